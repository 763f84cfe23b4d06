package deliveries_test

import (
	"testing"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/deliveries"
)

var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func book(change func(*deliveries.Limits)) *deliveries.Book {
	l := deliveries.DefaultLimits()
	if change != nil {
		change(&l)
	}
	return deliveries.New(l, func() time.Time { return start })
}

func notified(sub, change string, app heliograph.AppID) deliveries.Notified {
	return deliveries.Notified{Subscription: heliograph.DeriveGUID(sub), Change: heliograph.DeriveGUID(change), App: app, Tenant: "t"}
}

func add(b *deliveries.Book, reason heliograph.Reason, body string, n ...deliveries.Notified) {
	b.Add(&heliograph.Attempt{Endpoint: "https://e.example/", Reason: reason, Started: start}, "", n, len(n), []byte(body))
}

func TestFindTellsTheLatestFirst(t *testing.T) {
	t.Parallel()
	b := book(nil)
	add(b, heliograph.Delivered, "1", notified("a", "x", "app1"), notified("b", "x", "app2"))
	add(b, heliograph.TimedOut, "2", notified("a", "y", "app1"))
	for _, c := range []struct {
		name string
		q    deliveries.Query
		want string // bodies
	}{
		{"all", deliveries.Query{Most: 10}, "21"},
		{"at most", deliveries.Query{Most: 1}, "2"},
		{"of a subscription", deliveries.Query{Subscription: heliograph.DeriveGUID("b"), Most: 10}, "1"},
		{"of a change", deliveries.Query{Change: heliograph.DeriveGUID("y"), Most: 10}, "2"},
		{"of an application", deliveries.Query{App: "app2", Most: 10}, "1"},
		{"failed", deliveries.Query{FailedOnly: true, Most: 10}, "2"},
		{"of another endpoint", deliveries.Query{Endpoint: "https://f.example/", Most: 10}, ""},
		{"of another tenant", deliveries.Query{Tenant: "u", Most: 10}, ""},
	} {
		got := ""
		for _, d := range b.Find(c.q) {
			got += string(d.Body)
			if again, ok := b.Get(d.ID); !ok || again.ID != d.ID {
				t.Errorf("%s: %v is not found by its id", c.name, d.ID)
			}
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	if d := b.Find(deliveries.Query{App: "app2", Most: 1})[0]; len(d.Notifications) != 1 || d.Count != 2 {
		t.Errorf("others' notifications are told: %+v", d)
	}
}

func TestQuietSubscriptionIsNotPushedOut(t *testing.T) {
	t.Parallel()
	b := book(func(l *deliveries.Limits) { l.Attempts, l.PerSubscription = 10, 2 })
	add(b, heliograph.Delivered, "q1", notified("quiet", "1", "a"))
	add(b, heliograph.Delivered, "q2", notified("quiet", "2", "a"))
	add(b, heliograph.Delivered, "q3", notified("quiet", "3", "a"))
	for range 100 {
		add(b, heliograph.Delivered, "n", notified("noisy", "4", "a"))
	}
	got := b.Find(deliveries.Query{Subscription: heliograph.DeriveGUID("quiet"), Most: 10})
	if len(got) != 2 || string(got[0].Body) != "q3" || string(got[1].Body) != "q2" {
		t.Errorf("got %+v", got)
	}
	if got := b.Find(deliveries.Query{Most: 1000}); len(got) != 10 {
		t.Errorf("%d remembered in all", len(got))
	}
}

func TestSamplesUnderLoad(t *testing.T) {
	t.Parallel()
	now := start
	l := deliveries.DefaultLimits()
	l.PerSecond = 10
	b := deliveries.New(l, func() time.Time { return now })
	kept := func(ok bool) (n int) {
		for range 100 {
			if b.Wants(ok) {
				n++
			}
		}
		return n
	}
	if well, failed := kept(true), kept(false); well != 10 || failed != 10 || b.Skipped() != 180 {
		t.Errorf("kept %d and %d, skipped %d", well, failed, b.Skipped())
	}
	now = now.Add(time.Second)
	if kept(true) != 10 {
		t.Error("the next second")
	}
}

func TestBodiesAreBounded(t *testing.T) {
	t.Parallel()
	b := book(func(l *deliveries.Limits) { l.BodyBytes = 160 })
	for _, body := range []string{"first bod", "second bo", "a body that is far too long"} {
		add(b, heliograph.Delivered, body, notified("a", body, "a"))
	}
	for range 17 {
		add(b, heliograph.Delivered, "nine byte", notified("b", "x", "a"))
	}
	got := b.Find(deliveries.Query{Subscription: heliograph.DeriveGUID("a"), Most: 10})
	if len(got) != 3 || got[0].Body != nil || got[1].Body != nil || got[2].Body != nil {
		t.Errorf("got %+v", got)
	}
}

func TestAnswersAreBounded(t *testing.T) {
	t.Parallel()
	b := book(func(l *deliveries.Limits) { l.BodyBytes = 16 << 10 })
	for range 20 {
		a := heliograph.Attempt{Endpoint: "https://e.example/", Reason: heliograph.Delivered, Said: &heliograph.Said{
			Header: map[string][]string{"X": {"y"}}, Body: make([]byte, 2<<10), FirstByte: time.Millisecond,
		}}
		b.Add(&a, "", []deliveries.Notified{notified("a", "x", "app1")}, 1, nil)
	}
	kept := 0
	for i, d := range b.Find(deliveries.Query{Most: 100}) {
		if d.Attempt.Said != nil {
			kept++
			if i != kept-1 {
				t.Errorf("the %d. is kept, and a later one is not", i)
			}
		}
	}
	if kept != 6 {
		t.Errorf("%d answers of 2 KB are kept in 16 KB", kept)
	}
}

func TestAnotherBooksID(t *testing.T) {
	t.Parallel()
	b := book(nil)
	add(b, heliograph.Delivered, "1", notified("a", "x", "app1"))
	if _, ok := book(nil).Get(b.Find(deliveries.Query{Most: 1})[0].ID); ok {
		t.Error("found in a book that never had it")
	}
	if _, ok := b.Get(heliograph.GUID{}); ok {
		t.Error("found nothing")
	}
}
