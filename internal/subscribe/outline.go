package subscribe

import (
	"context"

	"heliograph.dev"
	"heliograph.dev/internal/lifecycle"
)

// Outline is a subscription with what becomes of it, for those who look after it.
type Outline struct {
	heliograph.Subscription
	lifecycle.Standing
	// Next is what is done with it next, if nothing happens meanwhile.
	Next lifecycle.Step
}

// Outlines is one page of them, oldest first.
type Outlines struct {
	Outlines []Outline
	// Next asks for the next page; it is empty on the last.
	Next string
}

// Outlines returns a page of what the caller looks after: with Heliograph.Control that is its tenant's subscriptions,
// else its application's, or those of the user who is signed in to it.
func (s *Service) Outlines(_ context.Context, caller *heliograph.Caller, page string) (Outlines, error) {
	in := lookedAfter(caller)
	var after place
	if page != "" {
		var ok bool
		if after, ok = s.openToken(in, page); !ok {
			return Outlines{}, s.profile.Refuse("list.skiptoken", nil)
		}
	}
	list, more := s.options.Registry.page(in, after, s.now(), func(*heliograph.Subscription) bool { return true })
	out := Outlines{Outlines: make([]Outline, len(list))}
	for i := range list {
		out.Outlines[i] = s.outline(&list[i])
	}
	if more {
		last := &list[len(list)-1]
		out.Next = s.sealToken(in, place{last.Created.UnixNano(), last.ID})
	}
	return out, nil
}

// Outline returns one of them.
func (s *Service) Outline(_ context.Context, caller *heliograph.Caller, id heliograph.SubscriptionID) (Outline, error) {
	in := lookedAfter(caller)
	sub, found := s.options.Registry.Lookup(id)
	if !found || sub.Tenant != in.tenant || in.app != "" && sub.App != in.app || in.user != "" && (!sub.Delegated || sub.Creator != in.user) ||
		sub.Gone(s.now()) {
		return Outline{}, s.notFound()
	}
	return s.outline(&sub), nil
}

func (s *Service) outline(sub *heliograph.Subscription) Outline {
	return Outline{*sub, s.plans.rules.Standing(sub, s.now()), s.plans.next(sub)}
}

func lookedAfter(caller *heliograph.Caller) scope {
	in := scope{tenant: caller.Tenant, app: caller.App}
	switch {
	case caller.HasRole(heliograph.PermissionControl):
		in.app = ""
	case caller.Delegated:
		in.user = caller.Object
	}
	return in
}
