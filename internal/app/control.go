package app

import (
	"context"
	"slices"

	"heliograph.dev"
	"heliograph.dev/internal/deliver"
	"heliograph.dev/internal/deliveries"
	"heliograph.dev/internal/engine"
	"heliograph.dev/internal/httpapi"
	"heliograph.dev/internal/subscribe"
)

// mostExplained bounds how many frames of the log are looked through for a change.
const mostExplained = 20_000

// control is what owners and operators may look at and do again: each its own.
type control struct {
	book       *deliveries.Book
	dispatcher *deliver.Dispatcher
	engine     *engine.Engine
	registry   *subscribe.Registry
}

// own narrows a query to what the caller may see: an operator its tenant, anybody else its application.
func own(caller *heliograph.Caller, q deliveries.Query) deliveries.Query {
	q.Tenant = caller.Tenant
	if !caller.HasRole(heliograph.PermissionControl) {
		q.App = caller.App
	}
	return q
}

// Find returns the latest deliveries that the caller may see.
func (c control) Find(caller *heliograph.Caller, q deliveries.Query) []deliveries.Delivery {
	return c.book.Find(own(caller, q))
}

// Skipped returns how many deliveries were not remembered.
func (c control) Skipped() uint64 { return c.book.Skipped() }

// Latest returns the latest deliveries of a subscription.
func (c control) Latest(sub heliograph.SubscriptionID) []*deliveries.Delivery {
	return c.book.Latest(sub)
}

// Get returns a delivery, less the notifications of others.
func (c control) Get(caller *heliograph.Caller, id deliveries.ID) (deliveries.Delivery, bool) {
	d, found := c.book.Get(id)
	if !found {
		return deliveries.Delivery{}, false
	}
	return own(caller, deliveries.Query{}).Match(d)
}

// Resend sends the notifications of a delivery once more.
func (c control) Resend(ctx context.Context, caller *heliograph.Caller, id deliveries.ID) (int, error) {
	d, found := c.Get(caller, id)
	if !found {
		return 0, heliograph.Errorf(heliograph.NotFound, "delivery.not_found", "The object was not found.")
	}
	for i := range d.Notifications {
		n := &d.Notifications[i]
		if err := c.dispatcher.Resend(ctx, n.Subscription, n.Position); err != nil {
			return i, err
		}
	}
	return len(d.Notifications), nil
}

// Replay sends all that a subscription would be told of a span of time, from its creation on at the earliest.
func (c control) Replay(ctx context.Context, caller *heliograph.Caller, id heliograph.SubscriptionID, when httpapi.Span) (int, error) {
	sub, found := c.registry.Lookup(id)
	if !found || sub.Tenant != caller.Tenant || sub.App != caller.App && !caller.HasRole(heliograph.PermissionControl) {
		return 0, heliograph.Errorf(heliograph.NotFound, "subscription.not_found", "The object was not found.")
	}
	since := when.Since
	if since.Before(sub.Created) {
		since = sub.Created
	}
	part, err := c.log(ctx)
	if err != nil {
		return 0, err
	}
	from, err := c.engine.SequenceAt(ctx, since)
	if err != nil {
		return 0, err
	}
	part.From = max(part.From, from)
	if !when.Until.IsZero() {
		behind, err := c.engine.SequenceAt(ctx, when.Until)
		if err != nil {
			return 0, err
		}
		part.To = min(part.To, behind-1)
	}
	return c.dispatcher.Replay(ctx, id, part)
}

func (c control) log(ctx context.Context) (deliver.Range, error) {
	state, err := c.engine.LogState(ctx)
	return deliver.Range{From: state.First, To: state.Last}, err
}

// Explain says what a recent change meant to each subscription that the caller may see.
func (c control) Explain(ctx context.Context, caller *heliograph.Caller, id heliograph.ChangeID) (*deliver.Explained, error) {
	part, err := c.log(ctx)
	if err != nil {
		return nil, err
	}
	if part.To > mostExplained {
		part.From = max(part.From, part.To-mostExplained)
	}
	e, err := c.dispatcher.Explain(ctx, id, part)
	if err != nil {
		return nil, err
	}
	if e.Change.Tenant != caller.Tenant {
		return nil, heliograph.Errorf(heliograph.NotFound, "explain.change", "no such change in the part of the log that was looked at")
	}
	if !caller.HasRole(heliograph.PermissionControl) {
		e.Fates = slices.DeleteFunc(e.Fates, func(f deliver.Fate) bool { return f.App != caller.App })
	}
	return e, nil
}
