package app

import (
	"context"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/deliver"
)

// missed has a subscription's owner told that something was not delivered.
func (a *App) missed(ctx context.Context, sub heliograph.SubscriptionID, why heliograph.Reason) error {
	return a.parts.subscriptions.Miss(ctx, sub, why)
}

func (a *App) heard(ctx context.Context, sub heliograph.SubscriptionID) {
	if err := a.parts.subscriptions.Heard(ctx, sub); err != nil && ctx.Err() == nil {
		a.log.WarnContext(ctx, "end of a missed notice not written down", "subscription", sub, "error", err)
	}
}

// endings is an observer of delivery that hears when a missed notice has come to its end, so that what is missed from
// then on is told anew. It may overhear one: after its window a notice counts as ended.
type endings chan heliograph.SubscriptionID

func newEndings() endings { return make(endings, 1024) }

func (e endings) run(ctx context.Context, heard func(context.Context, heliograph.SubscriptionID)) {
	for {
		select {
		case <-ctx.Done():
			return
		case sub := <-e:
			heard(ctx, sub)
		}
	}
}

func (e endings) end(n *deliver.Notification) {
	if n.Lifecycle != heliograph.Missed {
		return
	}
	select {
	case e <- n.Subscription:
	default:
	}
}

// Attempted hears of notices that were delivered.
func (e endings) Attempted(attempt *heliograph.Attempt, notifications []deliver.Notification) {
	if !attempt.OK() {
		return
	}
	for i := range notifications {
		e.end(&notifications[i])
	}
}

// GivenUp hears of those that will not be.
func (e endings) GivenUp(_ heliograph.Endpoint, n deliver.Notification, _ heliograph.Reason) {
	e.end(&n)
}

// Matched is nothing to hear of.
func (e endings) Matched(int, int, time.Duration) {}

// Parked is nothing to hear of.
func (e endings) Parked(heliograph.Endpoint, int, heliograph.Reason) {}

// Backlog is nothing to hear of.
func (e endings) Backlog(heliograph.Endpoint, int, int) {}

// Resumed is nothing to hear of.
func (e endings) Resumed(heliograph.Endpoint, time.Duration) {}
