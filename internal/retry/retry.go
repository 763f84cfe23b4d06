// Package retry decides what follows an attempt to reach an endpoint: nothing more, another attempt at a
// moment, or giving up; and why. It is pure: the moment, the attempt and the dice are arguments.
//
// Graph says: exponential backoff for up to four hours, then discarded (contract 10.5). The schedule between is
// not published; ours doubles from First up to Max with jitter, so that many endpoints that fell ill together
// do not come back together. The numbers come from the catalog's profile.
package retry

import (
	"time"

	"heliograph.dev"
)

// Policy holds the numbers of the schedule.
type Policy struct {
	// First is the delay after the first failure; each further one is Factor times longer, up to Max.
	First, Max time.Duration
	Factor     float64
	// Jitter is the part of each delay that is left to chance: 0.2 means between 80 % and 100 % of it.
	Jitter float64
	// Window is how long after the first failure a notification is still worth an attempt.
	Window time.Duration
	// FirstTimeout bounds a first attempt, Timeout every later one (contract 10.4, 10.5).
	FirstTimeout, Timeout time.Duration
	// MaxRetryAfter caps what a receiver's Retry-After may ask for.
	MaxRetryAfter time.Duration
}

// Delay returns how long to wait after the failures'th failure in a row, which is 1 or more. dice is in [0, 1).
func (p Policy) Delay(failures int, dice float64) time.Duration {
	delay := float64(p.First)
	for range failures - 1 {
		if delay *= p.Factor; delay >= float64(p.Max) {
			break
		}
	}
	delay = min(delay, float64(p.Max))
	return time.Duration(delay * (1 - p.Jitter*dice))
}

// Next returns when to try the endpoint again after attempt failed, being the failures'th failure in a row:
// by the schedule, or later when the receiver asked for that.
func (p Policy) Next(now time.Time, failures int, attempt *heliograph.Attempt, dice float64) time.Time {
	delay := p.Delay(failures, dice)
	if asked := min(attempt.RetryAfter, p.MaxRetryAfter); asked > delay {
		delay = asked
	}
	return now.Add(delay)
}

// Over reports whether a notification whose first attempt failed at since is past its window.
func (p Policy) Over(now, since time.Time) bool {
	return !since.IsZero() && !now.Before(since.Add(p.Window))
}

// MakesWay reports whether a notification whose first attempt failed at since has been tried alone for so long that those
// behind it, whose window runs too, need not wait for it any more: a quarter of the window.
func (p Policy) MakesWay(now, since time.Time) bool {
	return !since.IsZero() && !now.Before(since.Add(p.Window/4))
}

// TimeoutFor returns the bound of an attempt, given how many failed before it.
func (p Policy) TimeoutFor(failures int) time.Duration {
	if failures == 0 {
		return p.FirstTimeout
	}
	return p.Timeout
}
