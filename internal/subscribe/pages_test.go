package subscribe_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"heliograph.dev"
	"heliograph.dev/internal/catalog"
	"heliograph.dev/internal/subscribe"
)

// TestPagesWhileSubscriptionsComeAndGo reads pages between random creates, deletes, renewals and expiries: what is
// there from the first page to the last is on exactly one, and nothing is on two (contract 6.2).
func TestPagesWhileSubscriptionsComeAndGo(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		h, err := newHistory(catalog.QuotaLimit{Name: catalog.AllQuotas})
		if err != nil {
			t.Fatal(err)
		}
		p := &paging{history: h, caller: user("Mail.Read")}
		for range rapid.IntRange(90, 320).Draw(t, "to begin with") {
			p.create(t)
		}
		throughout := slices.Clone(p.there)
		seen := map[heliograph.SubscriptionID]int{}
		for token := ""; ; {
			list, err := h.service.List(context.Background(), p.caller, subscribe.ListRequest{SkipToken: token})
			if err != nil {
				t.Fatal(err)
			}
			for i := range list.Subscriptions {
				seen[list.Subscriptions[i].ID]++
			}
			if token = list.Next; token == "" {
				break
			}
			for range rapid.IntRange(0, 30).Draw(t, "changes between two pages") {
				rapid.SampledFrom([]func(*rapid.T){p.create, p.delete, p.pass}).Draw(t, "change")(t)
			}
		}
		for _, s := range throughout {
			if slices.Contains(p.there, s) && h.clock.Now().Before(s.expires) && seen[s.id] != 1 {
				t.Fatalf("%v, there all the time, is on %d pages", s.id, seen[s.id])
			}
		}
		for id, n := range seen {
			if n != 1 {
				t.Fatalf("%v is on %d pages", id, n)
			}
		}
	})
}

type listed struct {
	id      heliograph.SubscriptionID
	expires time.Time
}

type paging struct {
	*history
	caller *heliograph.Caller
	there  []listed
}

// create makes one, at the same moment as the one before or later.
func (p *paging) create(t *rapid.T) {
	p.clock.Advance(time.Duration(rapid.IntRange(0, 2).Draw(t, "microseconds")) * time.Microsecond)
	expires := p.clock.Now().Add(time.Duration(rapid.IntRange(45, 90).Draw(t, "minutes")) * time.Minute)
	s, err := p.service.Create(context.Background(), p.caller, requestFor("me/mailFolders/"+guid()+"/messages", "created", expires))
	if err != nil {
		t.Fatal(err)
	}
	p.there = append(p.there, listed{s.ID, s.Expires})
}

func (p *paging) delete(t *rapid.T) {
	if len(p.there) == 0 {
		return
	}
	i := rapid.IntRange(0, len(p.there)-1).Draw(t, "which")
	err := p.service.Delete(context.Background(), p.caller, p.there[i].id)
	if err != nil && heliograph.KindOf(err) != heliograph.NotFound {
		t.Fatal(err)
	}
	p.there = slices.Delete(p.there, i, i+1)
}

func (p *paging) pass(t *rapid.T) {
	p.clock.Advance(time.Duration(rapid.IntRange(1, 40).Draw(t, "minutes")) * time.Minute)
}
