package deliver

import (
	"strings"

	"heliograph.dev"
)

// A notification that its endpoint never takes, while it takes others (a receiver that fails on one body, or refuses one
// subscription), must not hold these up, and what follows it in its own subscription not for ever:
//
//   - A batch of a backlog that is refused is halved, at once and again, until the one is found that is refused alone.
//   - Then another subscription's first is tried. When that is refused too, the endpoint is ill, and all of it waits.
//     When it is taken, the refused one's subscription is set apart: it gets a lane and a backlog of its own, where it
//     is tried again by the schedule, and what follows it waits behind it. When that backlog is empty, the subscription
//     goes with the others again.
//   - What has been refused for a quarter of the window, and now five times in a row, makes way for what follows it in
//     its subscription, if that is taken: it is given up as refused. Where nothing follows, or that is refused too, it
//     is tried to the window's end.

// mostApart bounds how many subscriptions of one endpoint are set apart. Where there are more, the endpoint is ill.
const mostApart = 32

// mostLooked bounds how many messages of a backlog are looked through for another subscription's notification.
const mostLooked = 64

// apartMark divides a key of the backlog into endpoint and subscription. No URL holds it.
const apartMark = "\n"

// apartKey names the backlog of a subscription that is set apart.
func apartKey(endpoint heliograph.Endpoint, sub heliograph.SubscriptionID) heliograph.Endpoint {
	return endpoint + heliograph.Endpoint(apartMark+sub.String())
}

// splitKey is apartKey backwards. The subscription is zero for the backlog of an endpoint.
func splitKey(key heliograph.Endpoint) (heliograph.Endpoint, heliograph.SubscriptionID) {
	url, name, _ := strings.Cut(string(key), apartMark)
	sub, _ := heliograph.ParseGUID(name)
	return heliograph.Endpoint(url), sub
}

// apartFor returns the lane that a subscription has apart, or nil.
func (l *lane) apartFor(sub heliograph.SubscriptionID) *lane {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.apart[sub]
}

// refused deals with a batch that was not taken: what follows is another POST, or an error that ends the drain.
func (r *drainRun) refused(b *batch, failed []pending, attempt *heliograph.Attempt, m *ParkedMessage) error {
	l := r.l
	l.progress.skip(b, failed)
	if attempt.Reason == heliograph.Stopped {
		return errIll{}
	}
	l.late.Store(false)
	switch {
	case r.probing || !saysOfBody(attempt):
	case len(failed) == 1:
		l.progress.skipPassed() // now the failed one is next
		head := failed[0]       // the next POST takes its place
		if settled, err := r.another(&head, attempt, m); settled || err != nil {
			return err
		}
	case attempt.Reason != heliograph.TimedOut: // each costs a time-out: the next drain begins with one
		r.batch = len(failed) / 2
		return nil
	}
	r.failures++
	r.attempt = attempt
	return errIll{}
}

// saysOfBody reports whether the cause of a failed attempt may be what was sent.
func saysOfBody(a *heliograph.Attempt) bool {
	switch a.Reason {
	case heliograph.RefusedStatus: // 429 and 503 speak of the endpoint
		return a.Status != 429 && a.Status != 503 && a.RetryAfter == 0
	case heliograph.TimedOut, heliograph.ConnectionBroke:
		return true
	default:
		return false
	}
}

// another tries another notification in the place of one that was refused alone. It reports whether that settled what
// follows: the refused one's subscription is set apart, or the refused one is done with.
func (r *drainRun) another(head *pending, attempt *heliograph.Attempt, m *ParkedMessage) (bool, error) {
	l, headAt := r.l, place{m.Sequence, r.l.progress.next}
	n, at, err := r.neighbour(head, m)
	if err != nil || n == nil || n.sub != head.sub && !l.mayBeSetApart() {
		return false, err
	}
	settled := n.sub == head.sub && !r.insists(head)
	if !settled {
		failed, taken := r.post(n)
		if len(failed) > 0 {
			return false, nil
		}
		l.progress.pass(at)
		if taken == nil { // it had nobody to go to any more: that says nothing
			return false, nil
		}
	}
	switch {
	case settled:
		l.progress.pass(headAt)
	case n.sub == head.sub:
		l.lose(head, heliograph.GivenUpRefused)
		l.progress.pass(headAt)
	default:
		if err := l.setApart(m.Refs[headAt.index], attempt); err != nil {
			return false, err
		}
		l.progress.pass(headAt)
	}
	l.progress.skipPassed()
	r.batch, r.failures, r.attempt = 1, 0, nil
	return true, nil
}

// sureRefused is how often a notification is refused in a row before one that follows it may take its place: endpoints
// that fail now and then do not cost anybody a notification.
const sureRefused = 5

// insists reports whether the endpoint refuses a notification that it has refused now again and again.
func (r *drainRun) insists(head *pending) bool {
	for range sureRefused - 1 {
		failed, attempt := r.post(head)
		if len(failed) == 0 {
			return false
		}
		if !saysOfBody(attempt) {
			break // the one that follows will fare no better
		}
	}
	return true
}

// post posts one notification.
func (r *drainRun) post(p *pending) ([]pending, *heliograph.Attempt) {
	failed, attempt := r.l.send([]pending{*p}, max(1, r.failures), &r.note)
	r.l.observe(attempt)
	return failed, attempt
}

// neighbour finds what may be tried in the place of the first notification of the backlog: another subscription's
// first, or, where there is none and the first has been refused for long, the one that follows it.
func (r *drainRun) neighbour(head *pending, m *ParkedMessage) (*pending, place, error) {
	look := looking{r: r, head: head, follower: r.l.d.opts.Retry.MakesWay(r.l.d.now(), head.firstDue())}
	if err := look.through(m, r.l.progress.next+1); err != nil || look.done {
		return look.found, look.at, err
	}
	written := false
	for seen, from := 0, m.Sequence+1; seen < mostLooked && !look.done; {
		messages, err := r.l.d.opts.Backlog.Parked(r.l.d.ctx, r.l.key, from, 4)
		switch {
		case err != nil:
			return nil, place{}, err
		case len(messages) == 0 && written:
			return look.found, look.at, nil
		case len(messages) == 0: // the rest waits in memory
			if err := r.l.writeWaiting(r.l.d.ctx); err != nil {
				return nil, place{}, err
			}
			written = true
		}
		for i := range messages {
			if err := look.through(&messages[i], 0); err != nil {
				return nil, place{}, err
			}
			seen, from = seen+1, messages[i].Sequence+1
		}
	}
	return look.found, look.at, nil
}

// looking is a search for a neighbour.
type looking struct {
	r        *drainRun
	head     *pending
	follower bool // one of the same subscription will do
	found    *pending
	at       place
	done     bool // there is none better
}

// through looks through a message from one of its references on.
func (k *looking) through(m *ParkedMessage, from int) error {
	done := &k.r.l.progress
	for i := from; i < len(m.Refs) && !k.done; i++ {
		ref, at := &m.Refs[i], place{m.Sequence, i}
		same := ref.Subscription == k.head.sub
		if done.ahead[at] || same && (!k.follower || k.found != nil) {
			continue
		}
		p, where, err := k.r.item(ref)
		switch {
		case err != nil:
			return err
		case where == here:
			k.found, k.at, k.done = &p, at, !same
		case where == nowhere:
			done.pass(at)
		}
	}
	return nil
}

// mayBeSetApart reports whether one more subscription may get a lane of its own.
func (l *lane) mayBeSetApart() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.main == nil && !l.isHold() && len(l.apart) < mostApart
}

// setApart gives the subscription of a reference, which was refused so, a lane of its own. It stands there in a message
// of its own, which is done with as soon as it is; what the backlog holds of the subscription moves there when its turn
// comes.
func (l *lane) setApart(ref heliograph.ParkedRef, attempt *heliograph.Attempt) error {
	d, key := l.d, apartKey(l.endpoint, ref.Subscription)
	apart := d.lockLane(key)
	apart.parkLocked(heliograph.ParkedApart, d.opts.Retry.Next(d.now(), 1, attempt, d.opts.Dice()), 1)
	apart.mu.Unlock()
	return d.again(d.ctx, key, []heliograph.ParkedRef{ref})
}

// rejoin ends a lane apart when all of it is delivered and nothing was written since its backlog was found empty: what
// comes goes with the others again, and so the order stays.
func (l *lane) rejoin(written uint64) bool {
	l.main.mu.Lock() // always before that of a lane apart
	defer l.main.mu.Unlock()
	if !l.writing.TryLock() {
		return false
	}
	defer l.writing.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.written != written || len(l.waiting) > 0 {
		return false
	}
	l.dead, l.parked, l.draining = true, false, false
	delete(l.main.apart, l.sub)
	l.d.opts.Observer.Resumed(l.endpoint, l.d.now().Sub(l.since))
	return true
}
