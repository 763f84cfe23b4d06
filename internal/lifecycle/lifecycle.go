// Package lifecycle says what becomes of a subscription as time passes: whether it is active, paused or gone, when its
// owner is told something about it, and why. It is pure: a subscription and a moment in, a verdict with a named reason
// out. What has to be remembered stands on the subscription itself, so that a verdict is the same after a restart.
//
//	            create
//	              │
//	              ▼      PATCH, reauthorize
//	          ┌ active ◄────────────────────┐
//	          │   │ the token ended,        │
//	          │   │ access was revoked      │
//	removed,  │   ▼ (and its grace ended)   │
//	expired,  │ paused ─────────────────────┘
//	deleted   │   │ removed, expired, deleted
//	          ▼   ▼
//	          gone
//
// What is sent in which state, to a subscription with a lifecycleNotificationUrl whose row has the event:
//
//	active   reauthorizationRequired by the bands of the profile, missed
//	paused   reauthorizationRequired after access was revoked, or before the expiry; missed
//	gone     subscriptionRemoved, once, when it was removed; nothing when it expired or its owner deleted it
package lifecycle

import (
	"time"

	"heliograph.dev"
)

// State is what a subscription is at a moment.
type State uint8

// The states.
const (
	Active State = iota
	Paused
	Gone
)

// String returns the state's name in the API.
func (s State) String() string {
	return [...]string{"active", "paused", "gone"}[s]
}

// Why a subscription is not active, or why its owner is told.
const (
	TokenEnds     heliograph.Reason = "token_ends"        // the token behind it is about to end
	TokenEnded    heliograph.Reason = "token_ended"       // it has ended
	LeaseEnds     heliograph.Reason = "subscription_ends" // its expiry is near
	LeaseEnded    heliograph.Reason = "subscription_expired"
	AccessRevoked heliograph.Reason = "access_revoked"
	// Asked is the reason of what a person asked for without saying why.
	Asked heliograph.Reason = "asked"
)

// Why access may have been revoked or a subscription removed: the words of those who say so. Others may be used.
const (
	RemovedByOperator heliograph.Reason = "removed_by_operator"
	ConsentRevoked    heliograph.Reason = "consent_revoked"
	UserDisabled      heliograph.Reason = "user_disabled"
	UserDeleted       heliograph.Reason = "user_deleted"
	TenantDeleted     heliograph.Reason = "tenant_deleted"
	MembershipLost    heliograph.Reason = "membership_lost"
	Purged            heliograph.Reason = "purged"
)

// Rules are the numbers of a profile.
type Rules struct {
	// Token and Lease say when reauthorizationRequired is due, by what is left of the token and of the lease.
	Token, Lease []Band
	// Revoked says when it is due after access was revoked.
	Revoked []time.Duration
	// Gap is the least time between two that the bands ask for.
	Gap time.Duration
	// Grace is how long delivery goes on after access was revoked.
	Grace time.Duration
	// Pause says whose subscriptions pause when the token has ended: PauseChallenged, PauseAlways or PauseNever.
	Pause string
	// Window is how long is kept what comes for a paused subscription, and how long a notice may be under way.
	Window time.Duration
}

// Whose subscriptions pause when the token behind them has ended.
const (
	PauseChallenged = "challenged" // those that were told to reauthorize, that is with a lifecycleNotificationUrl
	PauseAlways     = "always"
	PauseNever      = "never"
)

// Band is a stretch of what is left of a token or a lease, and when within it something is due: where it begins, and
// then when half of that is left, and so on, or every so often.
type Band struct {
	From time.Duration // what is left at its beginning
	To   time.Duration // what is left at its end: not due any more when halving, still due with Every
	// Every is the time between two; 0 halves.
	Every time.Duration
	// Last is the share of the whole that may be left at most: short leases are not flooded.
	Last float64
}

// Events are lifecycle events that a row knows.
type Events uint8

// EventsOf returns the set of events.
func EventsOf(list ...heliograph.LifecycleEvent) (set Events) {
	for _, e := range list {
		set |= 1 << e
	}
	return set
}

// Has reports whether the event is in the set.
func (s Events) Has(e heliograph.LifecycleEvent) bool { return s&(1<<e) != 0 }

// Told reports whether the owner of a subscription hears of an event: its row knows it (contract 14.2), and there is a
// lifecycleNotificationUrl (contract 14.3).
func Told(s *heliograph.Subscription, row Events, e heliograph.LifecycleEvent) bool {
	return row.Has(e) && s.LifecycleNotificationURL != ""
}

// Standing is what a subscription is at a moment.
type Standing struct {
	State State
	Why   heliograph.Reason // empty when it is active
	Since time.Time         // zero when it is active
	// Detail is what was said when access was revoked or the subscription removed.
	Detail string
}

// Standing says what a subscription is now.
func (r *Rules) Standing(s *heliograph.Subscription, now time.Time) Standing {
	switch {
	case !s.Removed.IsZero():
		return Standing{Gone, heliograph.Reason(s.RemovedReason), s.Removed, s.RemovedReason}
	case s.Expired(now):
		return Standing{State: Gone, Why: LeaseEnded, Since: s.Expires}
	}
	at, why, lapses := r.Lapse(s)
	if !lapses || now.Before(at) {
		return Standing{}
	}
	v := Standing{State: Paused, Why: why, Since: at}
	if why == AccessRevoked {
		v.Detail = s.RevokedReason
	}
	return v
}

// Lapse says when the access behind a subscription ends, unless somebody stands behind it anew: from then on nothing
// is delivered (contract 8.10, 14.6).
func (r *Rules) Lapse(s *heliograph.Subscription) (at time.Time, why heliograph.Reason, lapses bool) {
	if !s.AuthorizedUntil.IsZero() && (r.Pause == PauseAlways || r.Pause == PauseChallenged && s.LifecycleNotificationURL != "") {
		at, why, lapses = s.AuthorizedUntil, TokenEnded, true
	}
	if s.Revoked.IsZero() {
		return at, why, lapses
	}
	if revoked := s.Revoked.Add(r.Grace); !lapses || revoked.Before(at) {
		return revoked, AccessRevoked, true
	}
	return at, why, lapses
}

// Outstanding reports whether a missed notice is under way already: what is missed meanwhile is told by it too. One
// that can no longer be under way is not waited for.
func (r *Rules) Outstanding(s *heliograph.Subscription, now time.Time) bool {
	return !s.Missed.IsZero() && (s.MissedTold.IsZero() || now.Before(s.MissedTold.Add(r.Window)))
}
