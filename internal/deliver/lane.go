package deliver

import (
	"sync"
	"sync/atomic"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/catalog"
	"heliograph.dev/internal/health"
)

// pending is one notification that waits in memory.
type pending struct {
	frame *frame
	index uint32
	// attempts is how many failed so far; since, in Unix nanoseconds, when the first of them was due, or 0.
	attempts uint32
	since    int64
	sub      heliograph.SubscriptionID
	// told is the change type that the notification says, instance how it names what changed; both are zero
	// for a notice.
	told     heliograph.ChangeType
	rich     bool // it carries the change's data
	instance catalog.Instance
}

func (p *pending) change() *heliograph.Change { return &p.frame.Changes[p.index] }

func (p *pending) position() heliograph.Position {
	return heliograph.Position{Sequence: p.frame.Sequence, Index: p.index}
}

// queue holds what one subscription has pending at one endpoint.
type queue struct {
	sub   heliograph.SubscriptionID
	items []pending
	busy  bool // a POST with notifications of this subscription is in flight
}

// lane is one endpoint's way: live, or parked.
//
// Live: notifications wait in memory, in queues by subscription. Queues that have no POST in flight stand in
// ready, first come first served; a flight takes from the front. So one subscription's notifications leave
// in order, while those of many subscriptions share POSTs and fill several at a time.
//
// Parked: what waited goes to waiting, and from there the parker writes it to the backlog; what comes joins
// its end. A drain reads the backlog from its start once resumeAt has come, and when it finds nothing more,
// makes the lane live again.
//
// Apart: a lane of a single subscription beside that of its endpoint (apart.go). It is parked all its life.
type lane struct {
	d        *Dispatcher
	endpoint heliograph.Endpoint
	key      heliograph.Endpoint // of its backlog: the endpoint, and for a lane apart the subscription too
	receiver atomic.Pointer[ready]
	// late says that the backlog may be from before a long standstill: its window ends with the first attempt.
	late atomic.Bool
	// Of a lane apart: its endpoint's lane, and the subscription.
	main *lane
	sub  heliograph.SubscriptionID

	mu      sync.Mutex
	dead    bool // swept: nobody may queue here any more
	queues  map[heliograph.SubscriptionID]*queue
	ready   []*queue
	pending int // in queues
	flights int
	limit   int // of flights: grows while answers come, falls to one when they do not

	parked   bool
	waiting  []pending // to be written to the backlog, in order
	written  uint64    // counts what was written to the backlog
	draining bool      // a drain runs, or waits for resumeAt
	failures int       // in a row
	resumeAt time.Time
	hurry    chan struct{} // closed when a waiting drain is to begin at once
	idle     bool          // nothing happened since the last sweep
	apart    map[heliograph.SubscriptionID]*lane

	// writing is held while part of waiting is written to the backlog, and taken before mu.
	writing sync.Mutex
	// What drains have done of the backlog since the lane was parked; a drain's alone.
	progress progress
	// handed says that a write of the backlog is under way, unsure that one failed which may have been done.
	handed, unsure bool
	// refusals counts writes of the backlog in a row that the store refused, others the lists that it had taken before the
	// first of them. Guarded by writing.
	refusals int
	others   uint64

	// held is whose hold the lane is, or zero; alarm stops the timer of its next drain, and nudged says that the one
	// under way is to look again.
	held   heliograph.SubscriptionID
	alarm  func() bool
	nudged bool
	// bad is until when the holds of the endpoint wait.
	bad time.Time

	health health.Endpoint
	why    heliograph.Reason // it was parked
	since  time.Time         // it is parked
	oldest time.Time         // when the first of what is parked was due, as far as it was seen
}

// maxRefs bounds the references in one message of the backlog.
const maxRefs = 1024

// enqueue takes one notification. It answers false when the lane was swept: the caller finds the new one.
func (l *lane) enqueue(p pending) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead {
		return false
	}
	l.idle = false
	if l.refusesLocked(&p) {
		return true
	}
	q, apart := l.queues[p.sub], l.apart[p.sub]
	switch {
	case !l.parked && apart != nil: // else it follows what stands in the backlog before it
		return apart.enqueue(p)
	case !l.parked && l.main != nil:
		l.parkLocked(heliograph.ParkedApart, l.d.now(), 0)
		l.waitLocked(p)
	case !l.parked:
		l.pushLocked(q, p)
		if l.pending > l.d.opts.Limits.LanePending {
			l.parkLocked(heliograph.ParkedBehind, l.d.now(), 0)
			return true
		}
		l.launchLocked()
	case q != nil: // one of its POSTs is in flight still: what follows goes the way that one decides
		q.items = append(q.items, p)
		l.pending++
	default:
		l.waitLocked(p)
	}
	return true
}

func (l *lane) pushLocked(q *queue, p pending) {
	if q == nil {
		q = &queue{sub: p.sub}
		l.queues[p.sub] = q
	}
	if len(q.items) == 0 && !q.busy {
		l.ready = append(l.ready, q)
	}
	q.items = append(q.items, p)
	l.pending++
}

// launchLocked begins another flight if one is allowed and has something to carry.
func (l *lane) launchLocked() {
	if l.parked || len(l.ready) == 0 || l.flights >= l.limit || l.d.isStopping() {
		return
	}
	if l.d.launch(l.fly) {
		l.flights++
	}
}

// load is what one flight carries.
type load struct {
	items  []pending
	queues []*queue
}

// takeLocked takes the next load from the front of ready, within the limits of one POST.
func (l *lane) takeLocked(into *load) bool {
	into.items, into.queues = into.items[:0], into.queues[:0]
	if l.parked || l.d.isStopping() {
		return false
	}
	limits, bytes, n := &l.d.opts.Limits, 0, 0
	for n < len(l.ready) && len(into.items) < limits.BatchCount && bytes < limits.BatchBytes {
		q := l.ready[n]
		n++
		took := 0
		for took < len(q.items) && len(into.items) < limits.BatchCount && bytes < limits.BatchBytes {
			bytes += q.items[took].estimate()
			into.items = append(into.items, q.items[took])
			took++
		}
		q.items = q.items[took:]
		q.busy = true
		l.pending -= took
		into.queues = append(into.queues, q)
	}
	rest := copy(l.ready, l.ready[n:])
	clear(l.ready[rest:])
	l.ready = l.ready[:rest]
	return len(into.items) > 0
}

// landedLocked takes back the queues of a flight. What failed, if anything, is parked before what came after it.
func (l *lane) landedLocked(flown *load, failed []pending) {
	for i := range failed {
		l.waitLocked(failed[i])
	}
	for _, q := range flown.queues {
		q.busy = false
		switch {
		case len(q.items) == 0:
			delete(l.queues, q.sub)
		case l.parked:
			l.parkQueueLocked(q)
		default:
			l.ready = append(l.ready, q)
		}
	}
}

// parkLocked sends everything that waits in memory on its way to the backlog, and what comes from now on
// behind it, until a drain that begins at resumeAt has caught up.
func (l *lane) parkLocked(why heliograph.Reason, resumeAt time.Time, failures int) {
	if l.main != nil {
		why = heliograph.ParkedApart
	}
	if !l.parked {
		l.parked, l.why = true, why
		l.since = l.d.now()
		l.oldest = l.since
		for _, q := range l.ready {
			l.parkQueueLocked(q)
		}
		clear(l.ready)
		l.ready = l.ready[:0]
		if l.isHold() {
			l.d.holding.Add(1)
		} else {
			l.d.opts.Observer.Parked(l.endpoint, len(l.waiting), why)
		}
	}
	l.failures = failures
	l.resumeAt = resumeAt
	if failures > 0 {
		l.limit = 1
	}
	l.scheduleLocked()
}

// parkQueueLocked moves a queue that has nothing in flight to waiting.
func (l *lane) parkQueueLocked(q *queue) {
	for i := range q.items {
		l.waitLocked(q.items[i])
	}
	l.pending -= len(q.items)
	delete(l.queues, q.sub)
}

func (l *lane) waitLocked(p pending) {
	if p.since == 0 { // its turn has come; that the endpoint is ill begins its window
		p.since = l.d.now().UnixNano()
	}
	l.waiting = append(l.waiting, p)
	l.d.parker.note(l)
}

// scheduleLocked sees to it that a drain begins at resumeAt, once nothing of the lane is in flight.
func (l *lane) scheduleLocked() {
	if !l.parked || l.draining || l.flights > 0 || l.d.isStopping() {
		return
	}
	if l.isHold() {
		l.scheduleHoldLocked()
		return
	}
	l.draining = true
	wake := make(chan struct{})
	l.hurry = make(chan struct{})
	hurry := l.hurry
	stop := l.d.opts.Clock.At(l.resumeAt, func() {
		l.d.under.drains.Add(1)
		close(wake)
	})
	launched := l.d.launch(func() {
		defer stop()
		l.drain(wake, hurry, stop)
	})
	if !launched {
		stop()
	}
}

// resume makes the lane live again, if nothing was written since the backlog was found empty and what still
// waits to be written fits into memory: so the order stays.
func (l *lane) resume(written uint64) bool {
	if l.main != nil {
		if !l.rejoin(written) {
			return false
		}
		l.d.lanes.forget(l)
		return true
	}
	l.writing.Lock()
	defer l.writing.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.written != written || len(l.waiting) > l.d.opts.Limits.LanePending/2 || l.isHold() && len(l.waiting) > 0 {
		return false
	}
	l.parked, l.draining, l.unsure = false, false, false
	l.late.Store(false)
	l.failures = 0
	if l.isHold() {
		l.d.holding.Add(-1)
	} else {
		l.d.opts.Observer.Resumed(l.endpoint, l.d.now().Sub(l.since))
	}
	back := l.waiting
	l.waiting = nil
	for i := range back {
		p := &back[i]
		switch apart := l.apart[p.sub]; {
		case l.progress.has(p):
			p.frame.settle(1)
		case apart != nil:
			apart.enqueue(*p)
		default:
			l.pushLocked(l.queues[p.sub], *p)
		}
	}
	l.progress = progress{}
	l.launchLocked()
	return true
}

// lanes finds an endpoint's lane, and the lanes apart: by the keys of their backlogs.
type lanes struct {
	mu    sync.RWMutex
	byURL map[heliograph.Endpoint]*lane
}

func (d *Dispatcher) lane(key heliograph.Endpoint) *lane {
	d.lanes.mu.RLock()
	l := d.lanes.byURL[key]
	d.lanes.mu.RUnlock()
	if l != nil {
		return l
	}
	d.lanes.mu.Lock()
	defer d.lanes.mu.Unlock()
	return d.laneLocked(key)
}

func (d *Dispatcher) laneLocked(key heliograph.Endpoint) *lane {
	if l := d.lanes.byURL[key]; l != nil {
		return l
	}
	l := &lane{d: d, key: key, queues: map[heliograph.SubscriptionID]*queue{}, limit: 1, held: heldBy(key)}
	l.endpoint, l.sub = splitKey(key)
	d.lanes.byURL[key] = l
	if l.sub.IsZero() {
		return l
	}
	l.main = d.laneLocked(l.endpoint)
	l.main.mu.Lock()
	defer l.main.mu.Unlock()
	if l.main.apart == nil {
		l.main.apart = map[heliograph.SubscriptionID]*lane{}
	}
	l.main.apart[l.sub] = l
	return l
}

// forget takes a lane out that is dead.
func (s *lanes) forget(l *lane) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byURL[l.key] == l {
		delete(s.byURL, l.key)
	}
}

// lockLane returns the lane of a backlog's key, locked, and not swept while it is.
func (d *Dispatcher) lockLane(key heliograph.Endpoint) *lane {
	for {
		l := d.lane(key)
		l.mu.Lock()
		if !l.dead {
			l.idle = false
			return l
		}
		l.mu.Unlock()
	}
}

// queue puts a notification into its endpoint's lane.
func (d *Dispatcher) queue(endpoint heliograph.Endpoint, p pending) {
	for !d.lane(endpoint).enqueue(p) {
	}
}

// sweepLoop forgets lanes that have been idle from one sweep to the next: an endpoint nobody writes to costs
// no memory.
func (d *Dispatcher) sweepLoop() {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-d.ctx.Done():
			return
		case <-tick.C:
			d.sweep()
		}
	}
}

func (d *Dispatcher) sweep() {
	d.lanes.mu.Lock()
	defer d.lanes.mu.Unlock()
	for endpoint, l := range d.lanes.byURL {
		l.mu.Lock()
		if l.idle && !l.parked && l.flights == 0 && len(l.queues) == 0 && len(l.apart) == 0 && l.forgettableLocked() {
			l.dead = true
			delete(d.lanes.byURL, endpoint)
		}
		l.idle = true
		l.mu.Unlock()
	}
}
