package subscribe_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/subscribe"
)

// mailbag takes notices down.
type mailbag struct {
	mu     sync.Mutex
	all    []heliograph.Change
	refuse error
}

func (m *mailbag) Accept(_ context.Context, notices []heliograph.Change) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.refuse != nil {
		return m.refuse
	}
	m.all = append(m.all, notices...)
	return nil
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// take returns what was told since it was asked last: when, what and why.
func (m *mailbag) take() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []string
	for i := range m.all {
		c := &m.all[i]
		list = append(list, fmt.Sprint(c.Time.Sub(start), " ", c.Notice.Event, " ", c.Notice.Reason))
	}
	m.all = nil
	return list
}

// life is a subscription of a day whose token lasts an hour.
type life struct {
	*bench
	store  *memory
	bag    *mailbag
	caller *heliograph.Caller
	*heliograph.Subscription
}

func lived(t *testing.T) *life {
	t.Helper()
	l := &life{bag: &mailbag{}, caller: user("Mail.Read")}
	l.bench, l.store = newMemoryBench(t, func(o *subscribe.Options) { o.Notices = l.bag })
	l.Subscription = l.created(t, l.caller, func(r *subscribe.CreateRequest) { r.LifecycleNotificationURL = l.receiver.URL + "/life" })
	return l
}

// at moves the clock and has everything done that is due.
func (b *bench) at(t *testing.T, d time.Duration) {
	t.Helper()
	b.clock.Set(start.Add(d))
	if waiting, err := b.service.TendNow(t.Context()); waiting || err != nil {
		t.Fatal(waiting, err)
	}
}

func TestOwnersAreToldInTime(t *testing.T) { // contract 14.4, 14.7, 14.8
	t.Parallel()
	l := lived(t)
	b, bag, c, s := l.bench, l.bag, l.caller, l.Subscription
	const hour, minute = time.Hour, time.Minute
	reauthorize := func(until time.Duration) func() error {
		return func() error {
			c.Expires = start.Add(until)
			_, err := b.service.Reauthorize(t.Context(), c, s.ID)
			return err
		}
	}
	for _, step := range []struct {
		at   time.Duration
		do   func() error
		want []string
	}{
		{45*minute - 1, nil, nil},
		{45 * minute, nil, []string{"45m0s reauthorizationRequired token_ends"}},
		{50 * minute, nil, nil},
		{60 * minute, nil, []string{"1h0m0s reauthorizationRequired token_ends"}},
		{2 * hour, reauthorize(10 * hour), nil},
		{8*hour - 1, nil, nil},
		{8 * hour, nil, []string{"8h0m0s reauthorizationRequired token_ends"}}, // its last quarter
		{8*hour + minute, func() error { return b.service.Challenge(t.Context(), s.ID, "consent_revoked") }, []string{"8h1m0s reauthorizationRequired access_revoked"}},
		{8*hour + 2*minute, func() error { return b.service.Challenge(t.Context(), s.ID, "told twice") }, nil},
		{8*hour + 16*minute, nil, []string{"8h16m0s reauthorizationRequired access_revoked"}},
		{8*hour + 17*minute, reauthorize(48 * hour), nil},
		{9 * hour, nil, nil},
		{12 * hour, nil, []string{"12h0m0s reauthorizationRequired subscription_ends"}},
		{13 * hour, func() error {
			until := in(40 * hour)
			_, err := b.service.Update(t.Context(), c, s.ID, subscribe.UpdateRequest{ExpirationDateTime: &until})
			return err
		}, nil},
		{28*hour - 1, nil, nil},
		{28 * hour, nil, []string{"28h0m0s reauthorizationRequired subscription_ends"}},
		{39*hour + 50*minute, nil, []string{"39h45m0s reauthorizationRequired subscription_ends"}}, // what was slept through
		{40 * hour, nil, nil},
	} {
		b.clock.Set(start.Add(step.at))
		if step.do != nil {
			if err := step.do(); err != nil {
				t.Fatal(step.at, err)
			}
		}
		b.at(t, step.at)
		if got := bag.take(); !slices.Equal(got, step.want) {
			t.Errorf("at %v: told %v, want %v", step.at, got, step.want)
		}
	}
	if b.registry.Len() != 0 {
		t.Error("it has not expired")
	}
}

func TestRemovedByOthers(t *testing.T) { // contract 14.9
	t.Parallel()
	l := lived(t)
	b, bag, c, s := l.bench, l.bag, l.caller, l.Subscription
	if err := b.service.Remove(t.Context(), s.ID, "user_deleted"); err != nil {
		t.Fatal(err)
	}
	// It is gone before its owner has heard.
	b.goneFor(t, c, s.ID)
	if b.sink.has(s.ID) {
		t.Error("it is still matched")
	}
	if list, err := b.service.List(t.Context(), c, subscribe.ListRequest{}); err != nil || len(list.Subscriptions) != 0 {
		t.Errorf("listed: %v, %v", list, err)
	}
	if err := b.service.Remove(t.Context(), s.ID, "again"); heliograph.KindOf(err) != heliograph.NotFound {
		t.Errorf("removed twice: %v", err)
	}
	if _, err := b.service.Create(t.Context(), c, b.message()); heliograph.KindOf(err) != heliograph.Conflict {
		t.Errorf("its place was taken before its owner has heard: %v", err)
	}
	bag.refuse = errors.New("no room")
	if waiting, err := b.service.TendNow(t.Context()); !waiting || err != nil {
		t.Error(waiting, err)
	}
	if b.registry.Len() != 1 {
		t.Error("it is forgotten, and nobody was told")
	}
	bag.refuse = nil
	b.at(t, 0)
	if got, want := bag.take(), []string{"0s subscriptionRemoved user_deleted"}; !slices.Equal(got, want) {
		t.Errorf("told %v, want %v", got, want)
	}
	if b.registry.Len() != 0 {
		t.Error("its record is still there")
	}
	if _, err := b.service.Create(t.Context(), c, b.message()); err != nil {
		t.Error(err)
	}
}

// TestMissedIsToldOnce has several losses told by one notice, until that has come to its end.
func TestMissedIsToldOnce(t *testing.T) {
	t.Parallel()
	l := lived(t)
	b, bag, s := l.bench, l.bag, l.Subscription
	miss := func(reason heliograph.Reason) func() error {
		return func() error { return b.service.Miss(t.Context(), s.ID, reason) }
	}
	heard := func() error { return b.service.Heard(t.Context(), s.ID) }
	for _, step := range []struct {
		at   time.Duration
		do   func() error
		want []string
	}{
		{time.Minute, miss("dropped"), []string{"1m0s missed dropped"}},
		{2 * time.Minute, miss("window"), nil},
		{3 * time.Minute, heard, nil},
		{4 * time.Minute, miss("window"), []string{"4m0s missed window"}},
		{10 * time.Minute, heard, nil},
		{10 * time.Minute, heard, nil}, // twice does no harm
		{11 * time.Minute, miss("purged"), []string{"11m0s missed purged"}},
	} {
		b.clock.Set(start.Add(step.at))
		if err := step.do(); err != nil {
			t.Fatal(step.at, err)
		}
		b.at(t, step.at)
		if got := bag.take(); !slices.Equal(got, step.want) {
			t.Errorf("at %v: told %v, want %v", step.at, got, step.want)
		}
	}
	if err := b.service.Miss(t.Context(), heliograph.NewGUID(), "dropped"); err != nil {
		t.Errorf("one that is gone: %v", err)
	}
}

func TestRowsTellWhatTheyKnow(t *testing.T) { // contract 14.2, 14.3
	t.Parallel()
	life := func(r *subscribe.CreateRequest) { r.LifecycleNotificationURL = r.NotificationURL }
	for _, tt := range []struct {
		resource, permission string
		life                 bool
		want                 []string
	}{
		{"me/messages", "Mail.Read", true, []string{
			"0s missed window", "0s reauthorizationRequired access_revoked", "1m0s subscriptionRemoved user_deleted",
		}},
		{"me/messages", "Mail.Read", false, nil},
		{"users", "User.Read.All", true, []string{"0s reauthorizationRequired access_revoked"}},
	} {
		bag := &mailbag{}
		b, _ := newMemoryBench(t, func(o *subscribe.Options) { o.Notices = bag })
		c := user(tt.permission)
		s := b.created(t, c, func(r *subscribe.CreateRequest) {
			if r.Resource, r.ChangeType = tt.resource, "updated"; tt.life {
				life(r)
			}
		})
		for _, err := range []error{
			b.service.Challenge(t.Context(), s.ID, "consent_revoked"), b.service.Miss(t.Context(), s.ID, "window"),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		b.at(t, 0)
		b.clock.Set(start.Add(time.Minute))
		if err := b.service.Remove(t.Context(), s.ID, "user_deleted"); err != nil {
			t.Fatal(err)
		}
		b.at(t, time.Minute)
		got := bag.take()
		slices.Sort(got)
		if b.registry.Len() != 0 || !slices.Equal(got, tt.want) {
			t.Errorf("%s: told %q, want %q; %d left", tt.resource, got, tt.want, b.registry.Len())
		}
	}
}

// TestRestartsTellNothingTwice has another service take over, on the same records, whatever the moment.
func TestRestartsTellNothingTwice(t *testing.T) {
	t.Parallel()
	l := lived(t)
	b, bag, s := l.bench, l.bag, l.Subscription
	restart := func() {
		b.registry = subscribe.NewRegistry(planned(), b.sink, discard())
		store := l.store
		store.mu.Lock()
		store.apply = b.registry.Apply
		for _, r := range store.records {
			b.registry.Apply([]heliograph.Record{r})
		}
		store.mu.Unlock()
		b.start(t, store, func(o *subscribe.Options) { o.Notices, o.Registry = bag, b.registry })
	}
	var told []string
	for d := 30 * time.Minute; d <= 25*time.Hour; d += 5 * time.Minute {
		restart()
		b.at(t, d)
		told = append(told, bag.take()...)
		restart()
		b.at(t, d)
	}
	want := []string{
		"45m0s reauthorizationRequired token_ends", "1h0m0s reauthorizationRequired token_ends",
		"12h0m0s reauthorizationRequired subscription_ends", "18h0m0s reauthorizationRequired subscription_ends",
		"21h0m0s reauthorizationRequired subscription_ends", "22h30m0s reauthorizationRequired subscription_ends",
		"23h0m0s reauthorizationRequired subscription_ends", "23h15m0s reauthorizationRequired subscription_ends",
		"23h30m0s reauthorizationRequired subscription_ends", "23h45m0s reauthorizationRequired subscription_ends",
	}
	if !slices.Equal(told, want) {
		t.Errorf("told\n%q\nwant\n%q", told, want)
	}
	if _, found := b.registry.Lookup(s.ID); found {
		t.Error("it has not expired")
	}
}

// TestACrashBetweenSendingAndNoting sends twice under one id.
func TestACrashBetweenSendingAndNoting(t *testing.T) {
	t.Parallel()
	l := lived(t)
	b, bag, s := l.bench, l.bag, l.Subscription
	l.store.fail(errors.New("power cut"))
	b.clock.Set(start.Add(45 * time.Minute))
	if waiting, err := b.service.TendNow(t.Context()); !waiting || err != nil {
		t.Fatal(waiting, err)
	}
	l.store.fail(nil)
	b.at(t, 46*time.Minute)
	bag.mu.Lock()
	defer bag.mu.Unlock()
	if len(bag.all) != 2 || bag.all[0].ID != bag.all[1].ID || bag.all[0].Notice.Subscription != s.ID {
		t.Errorf("told %+v", bag.all)
	}
}
