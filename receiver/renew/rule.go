package renew

import (
	"errors"
	"time"
)

// state is what is known of a subscription.
type state struct {
	expires time.Time
	// asked is when reauthorizationRequired came that was not answered yet, or zero.
	asked time.Time
	// lost says that it is gone.
	lost bool
	// renewed and reauthorized are when that was last done, or may have been; zero: not since it was kept.
	renewed, reauthorized time.Time
	failures              int // in a row
	notBefore             time.Time
}

// action is what can be done with a subscription.
type action uint8

const (
	nothing action = iota
	renewIt
	reauthorizeIt
	replaceIt
)

// step is what is to be done, and when.
type step struct {
	do action
	at time.Time
}

// next is the rule: what is done with a subscription next, as it looks now.
func (o *Options) next(s *state, now time.Time) step {
	if s.lost {
		return step{replaceIt, s.notBefore}
	}
	renewal := later(s.expires.Add(-o.Ahead), s.notBefore)
	if !s.asked.IsZero() {
		at := later(later(s.asked, s.renewed.Add(o.Gap)), later(s.notBefore, now))
		if renewal.After(at.Add(o.Gap)) {
			return step{reauthorizeIt, at}
		}
		renewal = later(s.asked, s.notBefore) // it reauthorizes too; that it comes soon after another one is no harm
	}
	return step{renewIt, later(renewal, s.reauthorized.Add(o.Gap))}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// outcome is how a call went.
type outcome struct {
	do      action
	at      time.Time // when it began
	expires time.Time
	newID   string
	err     error
}

// statusGone is HTTP's 404.
const statusGone = 404

// The pauses after failures.
const (
	firstPause   = time.Second
	longestPause = 5 * time.Minute
)

// note takes the outcome of a call into account.
func (s *state) note(did *outcome) {
	if did.err != nil {
		s.failed(did)
		return
	}
	s.failures, s.notBefore = 0, time.Time{}
	if did.do == renewIt {
		s.renewed, s.expires = did.at, did.expires
	} else {
		s.reauthorized = did.at
	}
	if !s.asked.After(did.at) { // what came while the call was under way asks for another
		s.asked = time.Time{}
	}
}

func (s *state) failed(did *outcome) {
	refused, _ := errors.AsType[*Refusal](did.err)
	if refused != nil && refused.Status == statusGone && did.do != replaceIt {
		s.lost, s.failures, s.notBefore = true, 0, time.Time{}
		return
	}
	if refused == nil { // nobody knows whether it was done
		switch did.do {
		case renewIt:
			s.renewed = did.at
		case reauthorizeIt:
			s.reauthorized = did.at
		case nothing, replaceIt:
		}
	}
	pause := min(firstPause<<min(s.failures, 20), longestPause)
	if refused != nil {
		pause = max(pause, refused.RetryAfter)
	}
	s.failures++
	s.notBefore = did.at.Add(pause)
}
