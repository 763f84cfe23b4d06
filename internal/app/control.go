package app

import (
	"cmp"
	"context"
	"slices"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/deliver"
	"heliograph.dev/internal/deliveries"
	"heliograph.dev/internal/engine"
	"heliograph.dev/internal/health"
	"heliograph.dev/internal/httpapi"
	"heliograph.dev/internal/subscribe"
)

// mostExplained bounds how many frames of the log are looked through for a change.
const mostExplained = 20_000

// control is what owners and operators may look at and do again: each its own. What other nodes have is asked of them.
type control struct {
	book     *deliveries.Book
	workshop *workshop
	engine   *engine.Engine
	registry *subscribe.Registry
	peers    *peers
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
	q = own(caller, q)
	list := c.book.Find(q)
	others := gather[[]deliveries.Delivery](c.peers, askFind, q)
	if len(others) == 0 {
		return list
	}
	for _, more := range others {
		list = append(list, more...)
	}
	list = latestFirst(list, func(d *deliveries.Delivery) time.Time { return d.Attempt.Started })
	return list[:min(len(list), q.Most)]
}

// Skipped returns how many deliveries were not remembered.
func (c control) Skipped() uint64 { return c.book.Skipped() }

// latestFirst sorts what several nodes have.
func latestFirst[T any](list []T, at func(*T) time.Time) []T {
	slices.SortStableFunc(list, func(a, b T) int { return at(&b).Compare(at(&a)) })
	return list
}

// Latest returns the latest deliveries of a subscription: the owner of its partition has them.
func (c control) Latest(sub heliograph.SubscriptionID) []*deliveries.Delivery {
	latest := c.book.Latest(sub)
	s, known := c.registry.Lookup(sub)
	node := ""
	if known {
		node = c.elsewhere(c.engine.PartitionOf(s.Tenant))
	}
	if node == "" {
		return latest
	}
	ctx, cancel := context.WithTimeout(context.Background(), peerWait)
	defer cancel()
	var theirs []*deliveries.Delivery
	if c.peers.call(ctx, node, askLatest, sub, &theirs) != nil || len(theirs) == 0 {
		return latest
	}
	return theirs
}

// elsewhere returns which other node works a partition, or "".
func (c control) elsewhere(partition int) string {
	if c.peers.keeper == nil || c.workshop.owns(partition) {
		return ""
	}
	return c.peers.keeper.Owner(partition)
}

// Get returns a delivery, less the notifications of others.
func (c control) Get(caller *heliograph.Caller, id deliveries.ID) (deliveries.Delivery, bool) {
	d, found := c.book.Get(id)
	if !found {
		theirs := gather[deliveries.Delivery](c.peers, askGet, id)
		if len(theirs) == 0 {
			return deliveries.Delivery{}, false
		}
		d = &theirs[0]
	}
	return own(caller, deliveries.Query{}).Match(d)
}

// Resend sends the notifications of a delivery once more.
func (c control) Resend(ctx context.Context, caller *heliograph.Caller, id deliveries.ID) (int, error) {
	d, found := c.Get(caller, id) //nolint:contextcheck // the nodes are asked within a bound of their own
	if !found {
		return 0, heliograph.Errorf(heliograph.NotFound, "delivery.not_found", "The object was not found.")
	}
	for i := range d.Notifications {
		n := &d.Notifications[i]
		r := resendRequest{n.Subscription, n.Position, c.engine.PartitionOf(n.Tenant)}
		var err error
		if node := c.elsewhere(r.Partition); node != "" {
			err = c.peers.call(ctx, node, askResend, r, new(int))
		} else {
			err = c.resendHere(ctx, r)
		}
		if err != nil {
			return i, err
		}
	}
	return len(d.Notifications), nil
}

func (c control) resendHere(ctx context.Context, r resendRequest) error {
	d := c.workshop.of(r.Partition)
	if d == nil {
		return errMoving
	}
	return d.Resend(ctx, r.Subscription, r.Position)
}

// errMoving is what is told while a partition is on its way from one node to another.
var errMoving = &heliograph.Error{
	Kind: heliograph.Unavailable, Rule: "control.moving", RetryAfter: 5 * time.Second,
	Message: "delivery is moving to another node; try again later",
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
	r := replayRequest{id, c.engine.PartitionOf(sub.Tenant), part}
	if node := c.elsewhere(r.Partition); node != "" {
		n := 0
		err := c.peers.call(ctx, node, askReplay, r, &n)
		return n, err
	}
	return c.replayHere(ctx, r)
}

func (c control) replayHere(ctx context.Context, r replayRequest) (int, error) {
	d := c.workshop.of(r.Partition)
	if d == nil {
		return 0, errMoving
	}
	return d.Replay(ctx, r.Subscription, r.Part)
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
	e, err := c.workshop.reader().Explain(ctx, id, part)
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

// Endpoints tells how the endpoints of all partitions are.
func (c control) Endpoints() []deliver.Endpoint {
	list := c.endpointsHere()
	for _, more := range gather[[]deliver.Endpoint](c.peers, askEndpoints, true) {
		list = append(list, more...)
	}
	slices.SortStableFunc(list, func(a, b deliver.Endpoint) int { return cmp.Compare(a.URL, b.URL) })
	return list
}

func (c control) endpointsHere() []deliver.Endpoint {
	var list []deliver.Endpoint
	for _, d := range c.workshop.all() {
		list = append(list, d.Endpoints()...)
	}
	return list
}

// Force makes an endpoint what a person says, on all nodes.
func (c control) Force(endpoint heliograph.Endpoint, state health.State) {
	c.forceHere(endpoint, state)
	gather[bool](c.peers, askForce, forceRequest{endpoint, state})
}

func (c control) forceHere(endpoint heliograph.Endpoint, state health.State) {
	for _, d := range c.workshop.all() {
		d.Force(endpoint, state)
	}
}
