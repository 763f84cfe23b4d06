package deliver

import (
	"strings"
	"time"

	"heliograph.dev"
)

// A paused subscription's notifications wait on disk, like those of an ill endpoint, in a backlog and a lane of the
// subscription's own: a hold. What its turn comes for in the endpoint's lane while the subscription is paused goes to the
// hold, and so does what follows until the hold has nothing left: that keeps the order. When the subscription resumes,
// the hold's drain delivers to where the subscription points. While it is paused the drain only gives up what has
// waited for longer than the window; it is not scheduled for anything else, and costs a timer.

// holdPrefix begins the names of the backlogs of holds. It is no URL's.
const holdPrefix = "paused:"

func holdOf(sub heliograph.SubscriptionID) heliograph.Endpoint {
	return heliograph.Endpoint(holdPrefix + sub.String())
}

// heldBy returns whose hold a backlog is, or zero.
func heldBy(endpoint heliograph.Endpoint) (sub heliograph.SubscriptionID) {
	if text, ok := strings.CutPrefix(string(endpoint), holdPrefix); ok {
		sub, _ = heliograph.ParseGUID(text)
	}
	return sub
}

// olderFirst orders the keys of backlogs: those of a single subscription before those of endpoints.
func olderFirst(a, b heliograph.Endpoint) int {
	single := func(key heliograph.Endpoint) int {
		if _, sub := splitKey(key); sub.IsZero() && heldBy(key).IsZero() {
			return 1
		}
		return 0
	}
	return single(a) - single(b)
}

func (l *lane) isHold() bool { return !l.held.IsZero() }

// hold takes a notification whose turn has come while its subscription is paused, or behind what waits since it was. It
// answers false when the notification is to be delivered.
func (d *Dispatcher) hold(p *pending) bool {
	paused := d.opts.Index.Paused(p.sub, d.now())
	if !paused && d.holding.Load() == 0 {
		return false
	}
	l := d.lockLane(holdOf(p.sub))
	defer l.mu.Unlock()
	if !l.parked {
		if !paused {
			return false
		}
		l.parkLocked(heliograph.ParkedPaused, d.now().Add(d.opts.KeepPaused), 0)
	}
	l.waitLocked(*p)
	return true
}

// holds reports whether what comes for a subscription goes to its hold.
func (d *Dispatcher) holds(sub heliograph.SubscriptionID) bool {
	if d.opts.Index.Paused(sub, d.now()) {
		return true
	}
	if d.holding.Load() == 0 {
		return false
	}
	d.lanes.mu.RLock()
	l := d.lanes.byURL[holdOf(sub)]
	d.lanes.mu.RUnlock()
	if l == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.parked
}

// Reconsider looks at a subscription that has changed or gone: what waits because it was paused may be delivered, or
// given up.
func (d *Dispatcher) Reconsider(sub heliograph.SubscriptionID) {
	if d.holding.Load() == 0 {
		return
	}
	d.lanes.mu.RLock()
	l := d.lanes.byURL[holdOf(sub)]
	d.lanes.mu.RUnlock()
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.nudged = l.draining // it may have looked at what was before
	l.resumeAt = d.now()
	l.scheduleLocked()
}

// ReconsiderAll looks at all that wait because they were paused.
func (d *Dispatcher) ReconsiderAll() { d.reconsider(func(*lane) bool { return true }) }

// hurryHolds has the holds of an endpoint that is well again drained at once.
func (d *Dispatcher) hurryHolds(to *lane) { d.reconsider(func(l *lane) bool { return l.to() == to }) }

func (d *Dispatcher) reconsider(wanted func(*lane) bool) {
	if d.holding.Load() == 0 {
		return
	}
	for _, l := range d.allLanes() {
		if l.isHold() && wanted(l) {
			d.Reconsider(l.held)
		}
	}
}

// scheduleHoldLocked has the hold drained once resumeAt has come. Until then nothing runs for it.
func (l *lane) scheduleHoldLocked() {
	if l.draining {
		return
	}
	if l.alarm != nil {
		l.alarm()
	}
	l.alarm = l.d.opts.Clock.At(l.resumeAt, func() {
		l.d.under.drains.Add(1)
		if !l.d.launch(l.release) {
			l.d.under.drains.Add(-1)
		}
	})
}

// release drains a hold. Of the holds of one endpoint few do at a time.
func (l *lane) release() {
	defer l.d.under.drains.Add(-1)
	l.mu.Lock()
	if l.draining || !l.parked {
		l.mu.Unlock()
		return
	}
	l.draining = true
	l.mu.Unlock()
	d := l.d
	if to := l.to(); to != l && !d.opts.Index.Paused(l.held, d.now()) {
		if !d.gates.enter(d.accepting, to.endpoint) {
			return
		}
		defer d.gates.leave(to.endpoint)
		if until := to.badUntil(); until.After(d.now()) {
			l.again(until, l.failureCount(), nil)
			return
		}
	}
	l.drainNow()
}

// to returns the lane whose endpoint is posted to: a hold's subscription points to it.
func (l *lane) to() *lane {
	if !l.isHold() {
		return l
	}
	target := l.d.opts.Index.Get(l.held)
	if target == nil {
		return l
	}
	return l.d.lane(target.URL)
}

// badUntil is until when the holds of an endpoint wait, after one of them has found it ill.
func (l *lane) badUntil() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bad
}

func (l *lane) failureCount() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failures
}

// noteBad has the other holds of the endpoint wait until it is tried again.
func (l *lane) noteBad(until time.Time) {
	to := l.to()
	if to == l {
		return
	}
	to.mu.Lock()
	defer to.mu.Unlock()
	to.bad, to.idle = until, false
}

// errPaused ends the drain of a hold whose subscription is paused: nothing is due before a moment.
type errPaused struct{ until time.Time }

func (errPaused) Error() string { return "subscription paused" }

// kept says of a notification of a hold whether it is delivered now. One that is paused waits until its window ends,
// and is given up then.
func (r *drainRun) kept(p *pending) (gone bool, err error) {
	d := r.l.d
	now := d.now()
	if !d.opts.Index.Paused(p.sub, now) {
		return false, nil
	}
	until := p.firstDue().Add(d.opts.KeepPaused)
	if !now.Before(until) {
		r.l.lose(p, heliograph.GivenUpPaused)
		return true, nil
	}
	return false, errPaused{until}
}
