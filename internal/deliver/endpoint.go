package deliver

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/health"
)

// observeLocked lets the endpoint's health know of an answer. A slow endpoint gets what comes with a delay.
func (l *lane) observeLocked(attempt *heliograph.Attempt) health.State {
	if l.isHold() { // it has no health of its own
		return health.Healthy
	}
	now := l.d.now()
	state, _, _ := l.health.State()
	if attempt != nil && attempt.Reason != heliograph.Stopped {
		state = l.health.Observe(&l.d.opts.Health, now, attempt)
	}
	if state == health.Slow && !l.parked {
		l.parkLocked(heliograph.ParkedSlow, now.Add(l.d.opts.Health.SlowDelay), 0)
	}
	return state
}

func (l *lane) observe(attempt *heliograph.Attempt) health.State {
	if l.main != nil {
		return l.main.observe(attempt)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.observeLocked(attempt)
}

// refusesLocked deals with a notification that comes for an endpoint which is not well: what comes for a
// dropping one is given up, if that is the setting, and what comes for a slow one parks the lane.
func (l *lane) refusesLocked(p *pending) bool {
	state, _, until := l.health.State()
	switch {
	case state == health.Healthy:
		return false
	case state == health.Dropping && l.d.opts.Drop && l.d.now().Before(until):
		l.lose(p, heliograph.GivenUpDropped)
		return true
	case !l.parked:
		l.parkLocked(heliograph.ParkedSlow, l.d.now().Add(l.d.opts.Health.SlowDelay), 0)
	}
	return false
}

// laterLocked returns the later of a moment and of the endpoint's next probe, when it is not well.
func (l *lane) laterLocked(at time.Time) time.Time {
	if state, _, probe := l.health.State(); state != health.Healthy && probe.After(at) {
		return probe
	}
	return at
}

// later is laterLocked for a lane apart, whose health is its endpoint's.
func (l *lane) later(at time.Time) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.laterLocked(at)
}

// probeLocked tells health that a drain begins. It reports whether the drain is a probe.
func (l *lane) probeLocked() bool {
	if state, _, _ := l.health.State(); state == health.Healthy {
		return false
	}
	l.health.Probe(&l.d.opts.Health, l.d.now())
	return true
}

// forgettableLocked reports whether nothing is lost when the lane is forgotten.
func (l *lane) forgettableLocked() bool {
	state, _, _ := l.health.State()
	return state == health.Healthy && l.health.Shares(&l.d.opts.Health, l.d.now()).Answers == 0
}

// Endpoint is what is known of an endpoint.
type Endpoint struct {
	URL heliograph.Endpoint
	// Apart is the subscription whose lane apart this is, or zero: the endpoint takes others and refuses it.
	Apart heliograph.SubscriptionID
	State health.State
	Since time.Time // of the state; zero when it was never another
	// Shares are what the state follows from, over the profile's window.
	Shares health.Shares
	// Parked says that notifications wait on disk, and Why; Resumes is when delivery is tried again.
	Parked  bool
	Why     heliograph.Reason
	Resumes time.Time
	// Failures are those in a row, Pending what waits in memory, Flights the POSTs under way.
	Failures, Pending, Flights int
}

// Endpoints returns what is known of the endpoints that had something to do lately, in the order of their URLs.
func (d *Dispatcher) Endpoints() []Endpoint {
	var list []Endpoint
	for _, l := range d.allLanes() {
		if !l.isHold() {
			list = append(list, l.snapshot())
		}
	}
	slices.SortFunc(list, func(a, b Endpoint) int {
		return cmp.Or(cmp.Compare(a.URL, b.URL), bytes.Compare(a.Apart[:], b.Apart[:]))
	})
	return list
}

func (l *lane) snapshot() Endpoint {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := Endpoint{
		URL: l.endpoint, Apart: l.sub, Shares: l.health.Shares(&l.d.opts.Health, l.d.now()), Parked: l.parked,
		Failures: l.failures, Pending: l.pending + len(l.waiting), Flights: l.flights,
	}
	e.State, e.Since, _ = l.health.State()
	if l.parked {
		e.Why, e.Resumes = l.why, l.resumeAt
	}
	return e
}

// Observe lets an endpoint's health know of answers that others had: of n like attempt. It is what a fault that
// is played in development looks like.
func (d *Dispatcher) Observe(endpoint heliograph.Endpoint, attempt *heliograph.Attempt, n int) {
	l := d.lockLane(endpoint)
	defer l.mu.Unlock()
	for range n {
		l.observeLocked(attempt)
	}
}

// Force makes an endpoint what a person says, until somebody forces it to be healthy.
func (d *Dispatcher) Force(endpoint heliograph.Endpoint, state health.State) {
	l := d.lockLane(endpoint)
	l.forceLocked(state)
	l.mu.Unlock()
	if state == health.Healthy {
		d.hurryHolds(l)
	}
}

func (l *lane) forceLocked(state health.State) {
	l.health.Force(&l.d.opts.Health, state, l.d.now())
	if state != health.Healthy {
		return
	}
	l.bad = time.Time{}
	l.hurryLocked()
	for _, apart := range l.apart {
		apart.mu.Lock()
		apart.hurryLocked()
		apart.mu.Unlock()
	}
}

// hurryLocked has what is parked tried at once.
func (l *lane) hurryLocked() {
	if !l.parked {
		return
	}
	l.resumeAt = l.d.now()
	if l.hurry != nil {
		close(l.hurry)
		l.hurry = nil
	}
}
