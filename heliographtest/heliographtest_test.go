package heliographtest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"heliograph.dev/client"
	"heliograph.dev/heliographtest"
	"heliograph.dev/receiver"
)

// inbox is an application's endpoint: it keeps the resources that it is told of.
type inbox struct {
	*httptest.Server
	refuse atomic.Bool
	mu     sync.Mutex
	told   []string
}

func newInbox(tb testing.TB) *inbox {
	tb.Helper()
	in := &inbox{}
	h, err := receiver.New(receiver.Options{
		ClientState: receiver.AnyClientState(),
		OnChange: func(_ context.Context, n *receiver.Notification) error {
			in.mu.Lock()
			defer in.mu.Unlock()
			if in.refuse.Load() {
				return errors.New("not now")
			}
			in.told = append(in.told, n.Resource)
			return nil
		},
	})
	if err != nil {
		tb.Fatal(err)
	}
	in.Server = httptest.NewServer(h)
	tb.Cleanup(in.Close)
	return in
}

func (in *inbox) resources() string {
	in.mu.Lock()
	defer in.mu.Unlock()
	return strings.Join(in.told, " ")
}

func now() time.Time { return time.Now() } //nolint:forbidigo // the servers' clocks begin there

func subscribe(tb testing.TB, s *heliographtest.Server, resource, url string) *client.Subscription {
	tb.Helper()
	made, err := s.Client().CreateSubscription(tb.Context(), client.Subscription{
		Resource: resource, ChangeType: "created", NotificationURL: url, ExpirationDateTime: now().Add(time.Hour),
	})
	if err != nil {
		tb.Fatal(err)
	}
	return made
}

// failing is a test that may fail: it keeps what it failed with.
type failing struct {
	testing.TB
	why string
}

func (f *failing) Fatalf(format string, args ...any) {
	f.why = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// why returns what do fails its test with.
func why(tb testing.TB, do func(testing.TB)) string {
	tb.Helper()
	f := &failing{TB: tb}
	done := make(chan struct{})
	go func() {
		defer close(done)
		do(f)
	}()
	<-done
	return f.why
}

func TestSaysWhy(t *testing.T) {
	t.Parallel()
	s := heliographtest.New(t, heliographtest.WaitAtMost(time.Minute))
	in := newInbox(t)
	sub := subscribe(t, s, "/users/u/messages", in.URL)
	if o := s.WaitForSubscription("Users/u/messages"); o.ID != sub.ID || o.State != "active" {
		t.Errorf("found %+v", o)
	}
	missed := s.Publish(client.Event{Resource: "users/other/messages/1"})
	other := s.Publish(client.Event{Resource: "users/u/messages/1", Type: client.Deleted})
	s.ExpectNotDelivered(missed)
	s.ExpectNotDelivered(other)
	got := s.Publish(client.Event{Resource: "users/u/messages/2"})
	s.ExpectDelivered(got)
	for name, tt := range map[string]struct {
		do   func(*heliographtest.Server)
		want []string
	}{
		"nobody watches it": {
			func(s *heliographtest.Server) { s.ExpectDelivered(missed) },
			[]string{"created users/other/messages/1 is for nobody", "no subscription watches it", "/users/u/messages (created)"},
		},
		"another change type": {
			func(s *heliographtest.Server) { s.ExpectDelivered(other) }, []string{"deleted users/u/messages/1 is for nobody", sub.ID, "change_type"},
		},
		"it is for somebody": {
			func(s *heliographtest.Server) { s.ExpectNotDelivered(got) }, []string{"is for subscription " + sub.ID},
		},
		"unknown resource": {
			func(s *heliographtest.Server) { s.Publish(client.Event{Resource: "users/u/nothing/1"}) }, []string{"publish users/u/nothing/1", "400"},
		},
		"unknown event": {
			func(s *heliographtest.Server) { s.Trigger(client.TriggerRequest{Event: "nothing.created"}) }, []string{"trigger nothing.created"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := why(t, func(tb testing.TB) {
				tb.Helper()
				tt.do(s.With(tb))
			})
			for _, part := range tt.want {
				if !strings.Contains(text, part) {
					t.Errorf("fails with %q, which lacks %q", text, part)
				}
			}
		})
	}
}

func TestSaysWhatTheEndpointAnswered(t *testing.T) {
	t.Parallel()
	s := heliographtest.New(t, heliographtest.WaitAtMost(time.Second))
	in := newInbox(t)
	subscribe(t, s, "users/u/messages", in.URL)
	in.refuse.Store(true)
	c := s.Publish(client.Event{Resource: "users/u/messages/1"})
	text := why(t, func(tb testing.TB) {
		tb.Helper()
		s.With(tb).ExpectDelivered(c)
	})
	if !strings.Contains(text, "was not delivered") || !strings.Contains(text, "the endpoint answered 503") {
		t.Errorf("fails with %q", text)
	}
	text = why(t, func(tb testing.TB) {
		tb.Helper()
		s.With(tb).WaitForSubscription("users/v/messages")
	})
	if !strings.Contains(text, "nobody has subscribed") {
		t.Errorf("fails with %q", text)
	}
}

func TestTenantsAndTokens(t *testing.T) {
	t.Parallel()
	s := heliographtest.New(t)
	in := newInbox(t)
	const tenant = "33333333-0000-0000-0000-000000000003"
	there := s.In(tenant)
	api, err := client.New(s.URL(), client.StaticToken(there.Token(heliographtest.OfApp("app"), heliographtest.WithRoles("Mail.Read"))))
	if err != nil {
		t.Fatal(err)
	}
	made, err := api.CreateSubscription(t.Context(), client.Subscription{
		Resource: "users/u/messages", ChangeType: "created", NotificationURL: in.URL, ExpirationDateTime: now().Add(time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	if o := there.WaitForSubscription("users/u/messages"); o.ID != made.ID || o.TenantID != tenant {
		t.Errorf("found %+v", o)
	}
	s.ExpectNotDelivered(s.Publish(client.Event{Resource: "users/u/messages/1"}))
	changes := there.Trigger(client.TriggerRequest{Event: "message.created", User: "u", Count: 2})
	for _, c := range changes {
		there.ExpectDelivered(c)
	}
	if err := api.DeleteSubscription(t.Context(), made.ID); err != nil || len(changes) != 2 {
		t.Error(len(changes), err)
	}
	there.ExpectGone(made.ID)
	ended, err := client.New(s.URL(), client.StaticToken(s.Token(heliographtest.OfUser("u@example.org", "Mail.Read"), heliographtest.Lasting(-time.Hour))))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ended.Subscription(t.Context(), made.ID); err == nil || !strings.Contains(err.Error(), "InvalidAuthenticationToken") {
		t.Errorf("a token that has ended: %v", err)
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	s := heliographtest.New(t, heliographtest.Quota("all", 1), heliographtest.Profile("2022"), heliographtest.APILimits())
	in := newInbox(t)
	subscribe(t, s, "users/u/messages", in.URL)
	_, err := s.Client().CreateSubscription(t.Context(), client.Subscription{
		Resource: "users/u/events", ChangeType: "created", NotificationURL: in.URL, ExpirationDateTime: now().Add(time.Hour),
	})
	if err == nil {
		t.Error("a second subscription where there may be one")
	}
}

func TestAdvance(t *testing.T) {
	t.Parallel()
	s := heliographtest.New(t)
	in := newInbox(t)
	sub := subscribe(t, s, "users/u/messages", in.URL)
	before := s.Now()
	s.Advance(59 * time.Minute)
	s.ExpectDelivered(s.Publish(client.Event{Resource: "users/u/messages/1"}))
	s.Advance(2 * time.Minute)
	s.ExpectGone(sub.ID) // at its expirationDateTime (contract 10.15)
	s.ExpectNotDelivered(s.Publish(client.Event{Resource: "users/u/messages/2"}))
	if passed := s.Now().Sub(before); passed < 61*time.Minute {
		t.Errorf("%v passed", passed)
	}
}

func story(tb testing.TB, n int) {
	tb.Helper()
	s := heliographtest.New(tb)
	in := newInbox(tb)
	subscribe(tb, s, "users/u/messages", in.URL)
	d := s.ExpectDelivered(s.Publish(client.Event{Resource: fmt.Sprintf("users/u/messages/%d", n)}))
	if want := fmt.Sprintf("Users/u/Messages/%d", n); len(d) != 1 || d[0].Status != http.StatusAccepted || in.resources() != want {
		tb.Errorf("delivered %+v; received %q, want %q", d, in.resources(), want)
	}
}

func TestTwoHundredAtOnce(t *testing.T) {
	t.Parallel()
	for n := range 200 {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			story(t, n)
		})
	}
}
