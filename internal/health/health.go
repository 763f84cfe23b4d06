// Package health judges an endpoint by how long its answers take, as Graph does (contract 10.8 to 10.10): an
// endpoint with too many late answers is slow, and gets new notifications with a delay; one with too many
// answers beyond the last time-out is dropping, and what comes for it meanwhile is discarded, or parked. It is
// pure: the moment and the answer are arguments.
//
//	          share over SlowOver > SlowShare
//	healthy ──────────────────────────────────► slow
//	   ▲  ▲                                      │ share over DropOver > DropShare
//	   │  └──── probes: the share has fallen ────┤
//	   │                                         ▼
//	   └────────────── probes, after DropFor ── dropping
//
// Probes are a few notifications that are sent every ProbeEvery while the endpoint is slow, and after DropFor
// while it is dropping. They are judged by themselves: the answers of before are forgotten with each probe.
package health

import (
	"time"

	"heliograph.dev"
)

// State is what an endpoint is.
type State uint8

// The states.
const (
	Healthy State = iota
	Slow
	Dropping
)

// String returns the state's name in metrics and in the API.
func (s State) String() string {
	switch s {
	case Slow:
		return "slow"
	case Dropping:
		return "dropping"
	case Healthy:
	}
	return "healthy"
}

// ParseState reads a state's name.
func ParseState(name string) (State, bool) {
	for _, s := range []State{Healthy, Slow, Dropping} {
		if s.String() == name {
			return s, true
		}
	}
	return Healthy, false
}

// Rules are the numbers of a profile.
type Rules struct {
	Window     time.Duration // answers are looked at for so long
	After      int           // so many answers, before anything is judged
	SlowShare  float64       // of answers that took longer than SlowOver
	SlowOver   time.Duration
	SlowDelay  time.Duration // of new notifications while it is slow
	ProbeEvery time.Duration
	DropShare  float64 // of answers that took longer than DropOver
	DropOver   time.Duration
	DropFor    time.Duration
}

// Probes is how many answers a probe waits for before it is judged.
const Probes = 5

// slices is how finely the window slides.
const slices = 10

// slice counts the answers of a part of the window.
type slice struct {
	number              int64 // since the epoch
	total, late, beyond uint32
}

// Endpoint is the health of one endpoint. The zero value is healthy. It is not safe for concurrent use.
type Endpoint struct {
	window [slices]slice
	state  State
	since  time.Time // of the state
	until  time.Time // when the next probe may go out
	forced bool      // by a person: stays until it is forced again
}

// Shares are what a state follows from.
type Shares struct {
	Answers      int
	Late, Beyond float64 // shares of the answers
}

// Observe takes one answer, or the lack of one, and returns what the endpoint is now and why.
func (e *Endpoint) Observe(r *Rules, now time.Time, attempt *heliograph.Attempt) State {
	took := attempt.Took
	if attempt.Reason == heliograph.TimedOut {
		took++ // it would have taken longer than it was given
	}
	s := e.slice(r, now)
	s.total++
	if took > r.SlowOver {
		s.late++
	}
	if took > r.DropOver {
		s.beyond++
	}
	e.judge(r, now)
	return e.state
}

func (e *Endpoint) slice(r *Rules, now time.Time) *slice {
	n := now.UnixNano() / int64(max(r.Window/slices, 1))
	s := &e.window[n%slices]
	if s.number != n {
		*s = slice{number: n}
	}
	return s
}

// Shares returns what of the window's answers came late.
func (e *Endpoint) Shares(r *Rules, now time.Time) Shares {
	var total, late, beyond uint32
	oldest := now.UnixNano()/int64(max(r.Window/slices, 1)) - slices
	for i := range e.window {
		if s := &e.window[i]; s.number > oldest {
			total, late, beyond = total+s.total, late+s.late, beyond+s.beyond
		}
	}
	if total == 0 {
		return Shares{}
	}
	return Shares{Answers: int(total), Late: float64(late) / float64(total), Beyond: float64(beyond) / float64(total)}
}

func (e *Endpoint) judge(r *Rules, now time.Time) {
	if e.forced {
		return
	}
	shares := e.Shares(r, now)
	enough := r.After
	if e.state != Healthy {
		enough = min(Probes, max(enough, 1))
	}
	if shares.Answers < enough {
		return
	}
	switch {
	case shares.Beyond > r.DropShare:
		e.become(Dropping, now, now.Add(r.DropFor))
	case shares.Late > r.SlowShare:
		e.become(Slow, now, now.Add(r.ProbeEvery))
	default:
		e.become(Healthy, now, time.Time{})
	}
}

func (e *Endpoint) become(s State, now, until time.Time) {
	if e.state != s {
		e.since = now
		if e.state != Healthy || s != Healthy {
			e.window = [slices]slice{} // what follows is judged by itself
		}
	}
	e.state = s
	if until.After(e.until) || s == Healthy {
		e.until = until
	}
}

// State returns what the endpoint is, since when, and when the next probe may go out.
func (e *Endpoint) State() (s State, since, probe time.Time) { return e.state, e.since, e.until }

// Force makes the endpoint what a person says, until somebody forces it to be healthy.
func (e *Endpoint) Force(r *Rules, s State, now time.Time) {
	e.window = [slices]slice{}
	e.state, e.since, e.forced = s, now, s != Healthy
	switch s {
	case Slow:
		e.until = now.Add(r.ProbeEvery)
	case Dropping:
		e.until = now.Add(r.DropFor)
	case Healthy:
		e.until = time.Time{}
	}
}

// Probe tells that a probe goes out now: the answers of before are forgotten, and the next probe is due later.
func (e *Endpoint) Probe(r *Rules, now time.Time) {
	e.window = [slices]slice{}
	if e.state == Dropping {
		e.until = now.Add(r.DropFor)
		return
	}
	e.until = now.Add(r.ProbeEvery)
}
