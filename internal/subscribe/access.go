package subscribe

import (
	"context"
	"time"

	"heliograph.dev"
)

// Remove ends a subscription by somebody else's decision: an operator's, or because its user, its tenant or its consent
// is gone. From here on it is gone for everybody. Its owner is told by subscriptionRemoved where the row knows that,
// with the reason in the delivery's record (contract 14.9).
func (s *Service) Remove(ctx context.Context, id heliograph.SubscriptionID, reason heliograph.Reason) error {
	return s.alter(ctx, id, func(sub *heliograph.Subscription, now time.Time) bool {
		sub.Removed, sub.RemovedReason = now, string(reason)
		return true
	})
}

// Challenge notes that the access behind a subscription was revoked: its owner is asked to reauthorize, and delivery
// pauses after the profile's grace until somebody with access does (contract 14.4, 14.6). What was revoked before stays
// so since then.
func (s *Service) Challenge(ctx context.Context, id heliograph.SubscriptionID, reason heliograph.Reason) error {
	return s.alter(ctx, id, func(sub *heliograph.Subscription, now time.Time) bool {
		if !sub.Revoked.IsZero() {
			return false
		}
		sub.Revoked, sub.RevokedReason = now, string(reason)
		return true
	})
}

// Miss notes that something will not be delivered to a subscription: its owner is told by missed where the row knows
// that (contract 14.10). While one such notice is under way there is no other: it tells of all.
func (s *Service) Miss(ctx context.Context, id heliograph.SubscriptionID, reason heliograph.Reason) error {
	if known, ok := s.options.Registry.Lookup(id); !ok || !s.plans.told(&known, heliograph.Missed) || s.plans.rules.Outstanding(&known, s.now()) {
		return nil // as this node knows already: many may be lost at once
	}
	return ignoreNotFound(s.alter(ctx, id, s.miss(reason)))
}

func (s *Service) miss(reason heliograph.Reason) func(*heliograph.Subscription, time.Time) bool {
	return func(sub *heliograph.Subscription, now time.Time) bool {
		if !s.plans.told(sub, heliograph.Missed) || s.plans.rules.Outstanding(sub, now) {
			return false
		}
		sub.Missed, sub.MissedReason, sub.MissedTold = now, string(reason), time.Time{}
		return true
	}
}

// Heard notes that a missed notice has come to its end, delivered or given up: what is missed from now on is told anew.
func (s *Service) Heard(ctx context.Context, id heliograph.SubscriptionID) error {
	return ignoreNotFound(s.alter(ctx, id, func(sub *heliograph.Subscription, _ time.Time) bool {
		if sub.MissedTold.IsZero() {
			return false
		}
		sub.Missed, sub.MissedReason, sub.MissedTold = time.Time{}, "", time.Time{}
		return true
	}))
}

// alter changes a subscription that is not gone, unless change says that there is nothing to change. One that is not
// there is NotFound. It returns when this node's index has it.
func (s *Service) alter(ctx context.Context, id heliograph.SubscriptionID, change func(*heliograph.Subscription, time.Time) bool) error {
	known, ok := s.options.Registry.Lookup(id)
	if !ok {
		return s.notFound()
	}
	return s.transact(ctx, known.Tenant, func(ctx context.Context, l *ledger) error {
		sub, err := l.subscription(ctx, id)
		if err != nil {
			return err
		}
		now := s.now()
		if sub == nil || sub.Gone(now) {
			return s.notFound()
		}
		if change(sub, now) {
			l.putSubscription(sub)
		}
		return nil
	})
}
