package subscribe_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/clock"
	"heliograph.dev/internal/engine"
	"heliograph.dev/internal/subscribe"
)

// expiring runs the service's expiry for the time of the test.
func expiring(t *testing.T, b *bench) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.service.Tend(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("expiry ended with %v", err)
		}
	})
}

func TestExpireRemovesAtTheMoment(t *testing.T) { // contract 10.15
	t.Parallel()
	b, store := newMemoryBench(t)
	c := user("Mail.Read")
	first := b.created(t, c)
	expiring(t, b) // begins with one, and hears of a nearer one
	second := b.created(t, c, func(r *subscribe.CreateRequest) { r.Resource, r.ExpirationDateTime = "me/messages", in(time.Hour) })
	third := b.created(t, c, func(r *subscribe.CreateRequest) { r.Resource, r.ExpirationDateTime = "me/events", in(2*time.Hour) }, func(*subscribe.CreateRequest) { c.Scopes = append(c.Scopes, "Calendars.Read") })

	commits := make(chan error, 10)
	store.mu.Lock()
	store.commits = commits
	store.mu.Unlock()
	until := in(48 * time.Hour)
	if _, err := b.service.Update(t.Context(), c, third.ID, subscribe.UpdateRequest{ExpirationDateTime: &until}); err != nil {
		t.Fatal(err)
	}
	if err := <-commits; err != nil {
		t.Fatal(err)
	}
	for _, s := range []*heliograph.Subscription{second, first} {
		b.clock.Set(s.Expires.Add(-time.Nanosecond))
		if !b.sink.has(s.ID) || len(commits) != 0 {
			t.Fatalf("%s was removed before its time", s.Resource)
		}
		b.clock.Set(s.Expires)
		if err := <-commits; err != nil {
			t.Fatal(err)
		}
		if b.sink.has(s.ID) {
			t.Errorf("%s is still indexed", s.Resource)
		}
	}
	if !b.sink.has(third.ID) || store.len() != 3 {
		t.Errorf("%d records; want the renewed one's three", store.len())
	}
}

func TestExpireTriesAgain(t *testing.T) {
	t.Parallel()
	b, store := newMemoryBench(t)
	c := user("Mail.Read")
	s := b.created(t, c)
	commits := make(chan error, 10)
	store.mu.Lock()
	store.refuse, store.commits = errors.New("store is down"), commits
	store.mu.Unlock()
	expiring(t, b)
	b.clock.Set(s.Expires)
	if err := <-commits; err == nil {
		t.Fatal("the store was not down")
	}
	store.fail(nil)
	if err := <-commits; err != nil || b.sink.has(s.ID) || store.len() != 0 {
		t.Errorf("%v; %d records left", err, store.len())
	}
}

// TestExpireOnTheEngine has many expire at once, in several tenants, on two nodes.
func TestExpireOnTheEngine(t *testing.T) {
	t.Parallel()
	e, err := engine.Open(t.Context(), engine.Options{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler), Now: clock.System().Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close(context.Background()) })
	one, two := benchOn(t, e), benchOn(t, e)
	var all []heliograph.SubscriptionID
	for range 3 {
		all = append(all, one.fill(t, user("Mail.Read"), 20)...)
	}
	keeper := user("Mail.Read")
	kept := one.created(t, keeper, func(r *subscribe.CreateRequest) { r.ExpirationDateTime = in(72 * time.Hour) })
	expiring(t, one)
	expiring(t, two)
	one.clock.Set(start.Add(25 * time.Hour))
	two.clock.Set(start.Add(25 * time.Hour))
	for _, b := range []*bench{one, two} {
		b.sink.untilLen(1)
		if !b.sink.has(kept.ID) || b.registry.Len() != 1 {
			t.Error("one was removed before its time")
		}
		for _, id := range all {
			if _, ok := b.registry.Lookup(id); ok {
				t.Errorf("%v is still there", id)
			}
		}
	}
}
