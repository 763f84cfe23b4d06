// Package renew keeps subscriptions of Microsoft Graph, or of Heliograph, alive: it renews each before it ends, and
// reauthorizes it when its lifecycle notifications ask for that.
//
//	keeper, err := renew.New(renew.Options{API: renew.Client(api), Lease: 48 * time.Hour})
//	keeper.Keep(subscription.ID, subscription.ExpirationDateTime)
//	go keeper.Run(ctx)
//	…
//	receiver.Options{OnLifecycle: keeper.Handle, …}
//
// What it does and when is one pure rule (rule.go):
//
//   - A subscription is renewed (PATCH) when Ahead is left of it. That reauthorizes it too.
//   - reauthorizationRequired is answered by a reauthorize, or by the renewal if that is due soon. The two never come
//     within Gap of each other: Graph's own state may not be consistent then.
//   - What is refused is tried again, later each time, and not before the server's Retry-After.
//   - A subscription that is not there any more (404, or subscriptionRemoved) is handed to Options.Lost, which makes it
//     anew and reads what changed meanwhile.
//
// A Keeper may be used concurrently. It keeps nothing on disk: after a start, Keep what your program knows.
package renew

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"heliograph.dev/client"
	"heliograph.dev/internal/clock"
	"heliograph.dev/receiver"
)

// API is where subscriptions are kept. An error that tells of a status is a [*Refusal], or wraps one.
type API interface {
	// Renew moves the expiry and returns where it is then.
	Renew(ctx context.Context, id string, until time.Time) (time.Time, error)
	Reauthorize(ctx context.Context, id string) error
}

// Refusal is an answer of the API's that is not a success.
type Refusal struct {
	Status     int           // of HTTP
	RetryAfter time.Duration // or zero
	Err        error         // what else is known
}

// Error tells the status and what else is known.
func (r *Refusal) Error() string { return fmt.Sprintf("refused with status %d: %v", r.Status, r.Err) }

// Unwrap returns what else is known.
func (r *Refusal) Unwrap() error { return r.Err }

// Client is the API of a Heliograph client, which speaks with Graph as well.
func Client(c *client.Client) API { return ofClient{c} }

type ofClient struct{ *client.Client }

// Renew sends a PATCH.
func (c ofClient) Renew(ctx context.Context, id string, until time.Time) (time.Time, error) {
	s, err := c.UpdateSubscription(ctx, id, client.Update{ExpirationDateTime: until})
	if err != nil {
		return time.Time{}, refusal(err)
	}
	return s.ExpirationDateTime, nil
}

// Reauthorize sends a reauthorize.
func (c ofClient) Reauthorize(ctx context.Context, id string) error {
	return refusal(c.ReauthorizeSubscription(ctx, id))
}

func refusal(err error) error {
	if e, found := errors.AsType[*client.Error](err); found {
		return &Refusal{Status: e.Status, RetryAfter: e.RetryAfter, Err: err}
	}
	return err
}

// Options say how subscriptions are kept.
type Options struct {
	API API // required
	// Lease is how long a subscription is to last from each renewal on, within what its resource allows. Required.
	Lease time.Duration
	// Ahead is how much of it is left when it is renewed; zero: a third of Lease.
	Ahead time.Duration
	// Gap is the least time between a renewal and a reauthorize; zero: the ten minutes that Graph asks for.
	Gap time.Duration
	// Lost is called with a subscription that is gone. It returns the one that was made in its place, or an empty id for
	// none. What it fails with is tried again. Nil: a lost subscription is forgotten.
	Lost func(ctx context.Context, id string) (newID string, expires time.Time, err error)
	// OnError hears of what went wrong and will be tried again. Nil: a warning to slog's default logger.
	OnError func(ctx context.Context, id string, err error)
	// Timeout bounds one call; zero: a minute.
	Timeout time.Duration
	// Now tells the time; nil: the machine's. In a test against a server whose clock is moved, let it be the server's.
	Now func() time.Time
}

// Keeper keeps a set of subscriptions alive.
type Keeper struct {
	opts Options
	wake chan struct{} // buffered

	mu   sync.Mutex
	kept map[string]*state
}

// New returns a keeper that keeps nothing yet.
func New(o Options) (*Keeper, error) {
	switch {
	case o.API == nil:
		return nil, errors.New("renew: API is required")
	case o.Lease <= 0 || o.Ahead < 0 || o.Ahead >= o.Lease:
		return nil, fmt.Errorf("renew: a lease of %v that is renewed when %v is left does not work", o.Lease, o.Ahead)
	}
	if o.Ahead == 0 {
		o.Ahead = o.Lease / 3
	}
	if o.Gap == 0 {
		o.Gap = 10 * time.Minute
	}
	if o.Timeout == 0 {
		o.Timeout = time.Minute
	}
	if o.Now == nil {
		o.Now = clock.System().Now
	}
	if o.OnError == nil {
		o.OnError = func(ctx context.Context, id string, err error) {
			slog.WarnContext(ctx, "subscription not kept for now", "subscription", id, "error", err) //nolint:sloglint // a program of others has no logger of ours
		}
	}
	return &Keeper{opts: o, wake: make(chan struct{}, 1), kept: make(map[string]*state)}, nil
}

// Keep takes a subscription in, or takes note that it ends at another moment.
func (k *Keeper) Keep(id string, expires time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.kept[id]
	if s == nil {
		s = &state{}
		k.kept[id] = s
	}
	s.expires = expires
	k.signal()
}

// Forget lets a subscription end.
func (k *Keeper) Forget(id string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.kept, id)
}

// Handle takes a lifecycle notification of a subscription that is kept: it fits receiver.Options.OnLifecycle. It returns
// at once; missed, and events that do not exist yet, are not its business.
func (k *Keeper) Handle(_ context.Context, n *receiver.Notification) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.kept[n.SubscriptionID]
	if s == nil {
		return nil
	}
	switch n.Lifecycle {
	case receiver.ReauthorizationRequired:
		s.asked = k.opts.Now()
	case receiver.SubscriptionRemoved:
		s.lost = true
	case receiver.Missed:
	}
	k.signal()
	return nil
}

func (k *Keeper) signal() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// Run does what is due, until ctx is done. It returns nil then.
func (k *Keeper) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		id, step := k.next()
		wait := step.at.Sub(k.opts.Now())
		if step.do != nothing && wait <= 0 {
			k.carryOut(ctx, id, step.do)
			continue
		}
		if step.do == nothing {
			wait = lookAgain
		}
		real := clock.System()
		stop := real.At(real.Now().Add(min(wait, lookAgain)), k.signal)
		select {
		case <-k.wake:
		case <-ctx.Done():
		}
		stop()
	}
	return nil
}

// lookAgain is how often Now is asked at least: it may be another clock than the timers'.
const lookAgain = time.Minute

// next returns what is to be done first.
func (k *Keeper) next() (id string, first step) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.opts.Now()
	for name, s := range k.kept {
		if step := k.opts.next(s, now); step.do != nothing && (first.do == nothing || step.at.Before(first.at)) {
			id, first = name, step
		}
	}
	return id, first
}

// carryOut makes one call and notes how it went.
func (k *Keeper) carryOut(ctx context.Context, id string, do action) {
	call, cancel := context.WithTimeout(ctx, k.opts.Timeout)
	defer cancel()
	began := k.opts.Now()
	did := outcome{do: do, at: began}
	switch do {
	case renewIt:
		did.expires, did.err = k.opts.API.Renew(call, id, began.Add(k.opts.Lease))
	case reauthorizeIt:
		did.err = k.opts.API.Reauthorize(call, id)
	case replaceIt:
		if k.opts.Lost != nil {
			did.newID, did.expires, did.err = k.opts.Lost(call, id)
		}
	case nothing:
	}
	if did.err != nil && ctx.Err() == nil {
		k.opts.OnError(ctx, id, did.err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.kept[id]
	if s == nil { // forgotten meanwhile
		return
	}
	if did.err == nil && do == replaceIt {
		delete(k.kept, id)
		if did.newID != "" {
			k.kept[did.newID] = &state{expires: did.expires}
		}
		return
	}
	s.note(&did)
}
