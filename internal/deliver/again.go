package deliver

import (
	"context"

	"heliograph.dev"
	"heliograph.dev/internal/match"
)

// Range is a part of the change log: frames From up to and including To.
type Range struct{ From, To uint64 }

// Resend delivers one notification once more, to where its subscription points now. It takes the way of what
// waits for an endpoint: on disk when Resend returns, in order behind what waits already.
func (d *Dispatcher) Resend(ctx context.Context, sub heliograph.SubscriptionID, at heliograph.Position) error {
	target := d.opts.Index.Get(sub)
	if target == nil {
		return heliograph.Errorf(heliograph.NotFound, "resend.subscription", "the subscription is gone")
	}
	f, err := d.changes.get(ctx, at.Sequence)
	if err != nil {
		return err
	}
	if f == nil || int(at.Index) >= len(f.Changes) {
		return heliograph.Errorf(heliograph.NotFound, "resend.change", "the change is no longer in the log")
	}
	endpoint := target.URL
	if n := f.Changes[at.Index].Notice; n != nil { // it carries its own address
		if n.Subscription != sub {
			return heliograph.Errorf(heliograph.NotFound, "resend.change", "the notice is another subscription's")
		}
		endpoint = heliograph.Endpoint(n.URL)
	}
	return d.again(ctx, endpoint, []heliograph.ParkedRef{d.refAgain(sub, at)})
}

// refAgain points to what is sent once more. It is due now: its window is its own.
func (d *Dispatcher) refAgain(sub heliograph.SubscriptionID, at heliograph.Position) heliograph.ParkedRef {
	return heliograph.ParkedRef{Subscription: sub, Position: at, Since: d.now(), Again: true}
}

// Replay delivers all that a subscription would be told of a part of the log once more, in order, and returns how
// much that is. What the subscription wants now decides.
func (d *Dispatcher) Replay(ctx context.Context, sub heliograph.SubscriptionID, part Range) (int, error) {
	replayed := 0
	var refs []heliograph.ParkedRef
	flush := func(target *match.Target) error {
		if len(refs) == 0 || target == nil {
			return nil
		}
		replayed += len(refs)
		err := d.again(ctx, target.URL, refs)
		refs = refs[:0]
		return err
	}
	target := d.opts.Index.Get(sub)
	if target == nil {
		return 0, heliograph.Errorf(heliograph.NotFound, "resend.subscription", "the subscription is gone")
	}
	for seq := part.From; seq <= part.To; seq++ {
		f, err := d.changes.get(ctx, seq)
		if err != nil {
			return replayed, err
		}
		if f == nil { // trimmed meanwhile, or unreadable
			continue
		}
		for i := range f.Changes {
			if f.Changes[i].Notice != nil {
				continue
			}
			position := heliograph.Position{Sequence: seq, Index: uint32(i)}
			hit, visible := d.opts.Index.Match(&f.Changes[i], position, sub, d.now())
			if !visible || hit.Withheld != "" {
				continue
			}
			refs = append(refs, d.refAgain(sub, position))
			if len(refs) == maxRefs {
				if err := flush(target); err != nil {
					return replayed, err
				}
			}
		}
	}
	return replayed, flush(target)
}

// again writes references to an endpoint's backlog and has them taken up; a write that failed too, since it may have
// been done.
func (d *Dispatcher) again(ctx context.Context, endpoint heliograph.Endpoint, refs []heliograph.ParkedRef) error {
	err := d.opts.Backlog.ParkAll(ctx, []Parking{{Endpoint: endpoint, Refs: refs}})
	if err == nil {
		d.opts.Observer.Backlog(endpoint, len(refs), 0)
	}
	l := d.lockLane(endpoint)
	defer l.mu.Unlock()
	l.takeUpLocked(err != nil)
	return err
}

// Fate is what a change meant to one subscription.
type Fate struct {
	Subscription heliograph.SubscriptionID
	Tenant       heliograph.TenantID
	App          heliograph.AppID
	URL          heliograph.Endpoint
	// Withheld is why it does not go there, or empty when it does.
	Withheld heliograph.Reason
}

// Explained is a change and what it meant to whom.
type Explained struct {
	Change   heliograph.Change
	Position heliograph.Position
	Fates    []Fate
}

// Explain says to which subscriptions a change of the log was visible, and from which it was withheld and why, as
// they are now. It looks for the change in the part of the log, the newest frames first.
func (d *Dispatcher) Explain(ctx context.Context, id heliograph.ChangeID, part Range) (*Explained, error) {
	for seq := part.To; seq >= part.From && seq > 0; seq-- {
		f, err := d.changes.get(ctx, seq)
		if err != nil {
			return nil, err
		}
		if f == nil {
			continue
		}
		for i := range f.Changes {
			if f.Changes[i].ID != id {
				continue
			}
			e := &Explained{
				Change:   f.Changes[i],
				Position: heliograph.Position{Sequence: seq, Index: uint32(i)},
			}
			d.opts.Index.Explain(&f.Changes[i], e.Position, d.now(), func(hit *match.Hit) {
				e.Fates = append(e.Fates, Fate{
					Subscription: hit.Target.ID, Tenant: hit.Target.Tenant, App: hit.Target.App,
					URL: hit.Target.URL, Withheld: hit.Withheld,
				})
			})
			return e, nil
		}
	}
	return nil, heliograph.Errorf(heliograph.NotFound, "explain.change", "no such change in the part of the log that was looked at")
}
