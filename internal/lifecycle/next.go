package lifecycle

import (
	"time"

	"heliograph.dev"
)

// Do is what is to be done with a subscription.
type Do uint8

// What can be done.
const (
	Nothing Do = iota
	Expire     // remove it without a word
	Remove     // tell that it is removed, then remove it
	Tell       // tell an event; it stays
)

// String returns the word for it in the API.
func (d Do) String() string { return [...]string{"nothing", "expire", "remove", "tell"}[d] }

// Step is the next thing to be done with a subscription.
type Step struct {
	At    time.Time
	Do    Do
	Event heliograph.LifecycleEvent // of Tell, and of Remove where the owner hears of it; else 0
	Why   heliograph.Reason
}

// Next says what is to be done with a subscription next, and when. There is always something: it expires.
func (r *Rules) Next(s *heliograph.Subscription, row Events) Step {
	if !s.Removed.IsZero() {
		step := Step{At: s.Removed, Do: Remove, Why: heliograph.Reason(s.RemovedReason)}
		if Told(s, row, heliograph.SubscriptionRemoved) {
			step.Event = heliograph.SubscriptionRemoved
		}
		return step
	}
	next := Step{At: s.Expires, Do: Expire, Why: LeaseEnded}
	if !s.Missed.IsZero() && s.MissedTold.IsZero() && Told(s, row, heliograph.Missed) {
		next = next.sooner(Step{s.Missed, Tell, heliograph.Missed, heliograph.Reason(s.MissedReason)})
	}
	if Told(s, row, heliograph.ReauthorizationRequired) {
		next = r.challenge(s, next)
	}
	return next
}

// Due says what is to be done with a subscription now, the last of the challenges that have come due: those before it
// were slept through, and are not made up for. It is Nothing when its time has not come.
func (r *Rules) Due(s *heliograph.Subscription, row Events, now time.Time) Step {
	step := r.Next(s, row)
	if step.At.After(now) {
		return Step{}
	}
	for later := *s; step.Event == heliograph.ReauthorizationRequired; {
		later.Noticed, later.NoticedReason = step.At, string(step.Why)
		next := r.Next(&later, row)
		if next.At.After(now) {
			return step
		}
		step = next
	}
	return step
}

// sooner returns the earlier of two steps, the first when they are at the same moment.
func (a Step) sooner(b Step) Step {
	if b.At.Before(a.At) {
		return b
	}
	return a
}

// challenge returns the next reauthorizationRequired, or step when that comes first (contract 14.4).
func (r *Rules) challenge(s *heliograph.Subscription, step Step) Step {
	tell := func(at time.Time, why heliograph.Reason) {
		step = step.sooner(Step{at, Tell, heliograph.ReauthorizationRequired, why})
	}
	after := time.Time{}
	if !s.Noticed.IsZero() {
		after = s.Noticed.Add(r.Gap - 1)
	}
	leased := later(s.Created, s.Renewed)
	switch {
	case !s.Revoked.IsZero():
		if at, ok := r.revoked(s); ok {
			tell(at, AccessRevoked)
		}
	case !s.AuthorizedUntil.IsZero():
		for i := range r.Token {
			if at, ok := r.Token[i].next(later(leased, s.Reauthorized), s.AuthorizedUntil, after); ok {
				tell(at, TokenEnds)
			}
		}
	}
	for i := range r.Lease {
		if at, ok := r.Lease[i].next(leased, s.Expires, after); ok {
			tell(at, LeaseEnds)
		}
	}
	return step
}

// revoked returns when the next challenge is due after access was revoked. The first is, whatever was told before, at
// the same moment even.
func (r *Rules) revoked(s *heliograph.Subscription) (time.Time, bool) {
	for _, d := range r.Revoked {
		at := s.Revoked.Add(d)
		if at.After(s.Noticed) || at.Equal(s.Noticed) && s.NoticedReason != string(AccessRevoked) {
			return at, true
		}
	}
	return time.Time{}, false
}

// next returns the first moment of the band behind after, for something that lasts from one moment to another.
func (b *Band) next(from, until, after time.Time) (time.Time, bool) {
	most := time.Duration(float64(until.Sub(from)) * b.Last)
	for left := b.From; left > b.To || b.Every > 0 && left == b.To; {
		if at := until.Add(-left); left <= most && at.After(after) {
			return at, true
		}
		if b.Every == 0 {
			left /= 2
		} else {
			left -= b.Every
		}
	}
	return time.Time{}, false
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
