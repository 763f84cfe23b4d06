package subscribe

import (
	"strconv"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/catalog"
	"heliograph.dev/internal/lifecycle"
)

// plans say what becomes of subscriptions: by the profile's rules, and by the events that their row knows.
type plans struct {
	rules  *lifecycle.Rules
	events map[string]lifecycle.Events // by row
}

func plansOf(c *catalog.Catalog) plans {
	p := plans{&c.Profile().Lifecycle, make(map[string]lifecycle.Events)}
	for _, row := range c.Rows() {
		p.events[row.ID] = lifecycle.EventsOf(row.LifecycleEvents...)
	}
	return p
}

// PlanOf returns the plan of a catalog.
func PlanOf(c *catalog.Catalog) Plan {
	p := plansOf(c)
	return func(s *heliograph.Subscription) time.Time { return p.next(s).At }
}

func (p *plans) next(s *heliograph.Subscription) lifecycle.Step {
	return p.rules.Next(s, p.events[s.Row])
}

func (p *plans) due(s *heliograph.Subscription, now time.Time) lifecycle.Step {
	return p.rules.Due(s, p.events[s.Row], now)
}

func (p *plans) told(s *heliograph.Subscription, e heliograph.LifecycleEvent) bool {
	return lifecycle.Told(s, p.events[s.Row], e)
}

// noticeOf returns the notice that a step sends. Its id is the step's own: a step that is done again after a crash says
// so by it.
func noticeOf(s *heliograph.Subscription, step lifecycle.Step, now time.Time) heliograph.Change {
	return heliograph.Change{
		ID:     heliograph.DeriveGUID("notice", s.ID.String(), step.Event.String(), strconv.FormatUint(uint64(s.Notices), 10)),
		Tenant: s.Tenant, Type: heliograph.Updated, Resource: s.Path, Time: step.At, Accepted: now,
		Notice: &heliograph.Notice{
			Event: step.Event, Subscription: s.ID, URL: s.LifecycleNotificationURL, ClientState: s.ClientState,
			Expires: s.Expires, Reason: string(step.Why),
		},
	}
}

// done writes into a subscription that a step which tells was done.
func done(s *heliograph.Subscription, step lifecycle.Step, now time.Time) {
	s.Notices++
	switch step.Event {
	case heliograph.Missed:
		s.MissedTold = now
	case heliograph.ReauthorizationRequired:
		s.Noticed, s.NoticedReason = step.At, string(step.Why)
	case heliograph.SubscriptionRemoved:
	}
}
