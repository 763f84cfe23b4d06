package subscribe

import (
	"context"

	"heliograph.dev"
	"heliograph.dev/internal/lifecycle"
)

// Provocation asks for a lifecycle notification.
type Provocation struct {
	Subscription heliograph.SubscriptionID
	Event        heliograph.LifecycleEvent
	// Keep leaves a subscription where it is that is said to be removed.
	Keep bool
}

// Provoke sends a lifecycle notification because a person asked for it, whatever the row knows and however the
// subscription is. One that is said to be removed is removed, unless it is to be kept. When Provoke returns, the notice is
// on disk. It returns the notice's id.
func (s *Service) Provoke(ctx context.Context, caller *heliograph.Caller, p Provocation) (heliograph.ChangeID, error) {
	found, err := s.Outline(ctx, caller, p.Subscription)
	if err != nil {
		return heliograph.ChangeID{}, err
	}
	sub := &found.Subscription
	if sub.LifecycleNotificationURL == "" {
		return heliograph.ChangeID{}, heliograph.Errorf(heliograph.Conflict, "lifecycle.nobody",
			"the subscription has no lifecycleNotificationUrl: there is nobody to tell")
	}
	now := s.now()
	notice := noticeOf(sub, lifecycle.Step{At: now, Event: p.Event, Why: lifecycle.Asked}, now)
	notice.ID = heliograph.NewGUID() // asked for twice, it is sent twice
	if err := s.options.Notices.Accept(ctx, []heliograph.Change{notice}); err != nil {
		return heliograph.ChangeID{}, err
	}
	if p.Event != heliograph.SubscriptionRemoved || p.Keep {
		return notice.ID, nil
	}
	return notice.ID, s.transact(ctx, sub.Tenant, func(ctx context.Context, l *ledger) error {
		stored, err := l.subscription(ctx, sub.ID)
		if err != nil || stored == nil {
			return err
		}
		return s.remove(ctx, l, stored)
	})
}
