// Package throttle counts an application's calls and says when it has made too many (contract 15.1 to 15.6).
//
// A limit holds within a window: an application may make so many calls of a family over all tenants, and so many in
// one tenant. A window begins with the first call that is counted in it, not at a tick of the clock: whoever makes
// one call too many at once is refused for certain, and whoever comes back when he was told to is let in. The price
// is that twice the limit may come close together, the end of one window and the begin of the next.
//
// Time is an argument. What was let in longer ago than a window is forgotten, and no more than Options.Most windows
// are remembered whatever comes: beyond that the oldest, which would end first, gives way.
//
// A Limiter counts what this process sees, and no other node of a cluster knows: N nodes together let in N times as
// much, until their counts are brought together.
//
// A Limiter may be used by any number of goroutines.
package throttle

import (
	"sync"
	"time"

	"heliograph.dev"
)

// Limit is how many calls of a family an application may make within a window. Zero: any number.
type Limit struct {
	App    int // over all tenants
	Tenant int // in one tenant
}

// Options say what a Limiter allows.
type Options struct {
	Window time.Duration
	// Limits of the families. Calls of a family that is not there are not counted.
	Limits map[string]Limit
	// Most is how many windows are remembered at once. Zero: 100,000, some 20 MB.
	Most int
}

// Call is one call of an application.
type Call struct {
	Family string
	App    heliograph.AppID
	Tenant heliograph.TenantID
}

const defaultMost = 100_000

// Limiter counts calls.
type Limiter struct {
	opts Options

	mu     sync.Mutex
	counts map[Call]*count // without a tenant: over all tenants
	begun  []begin         // the windows of counts, the oldest first
	latest time.Time
}

// count is how many calls have come in a window.
type count struct {
	began time.Time
	calls int
}

type begin struct {
	of *count
	by Call
}

// New returns a Limiter that has seen nothing yet.
func New(opts Options) *Limiter {
	if opts.Most <= 0 {
		opts.Most = defaultMost
	}
	return &Limiter{opts: opts, counts: make(map[Call]*count)}
}

// Take counts a call, if each of its limits has room for it, and returns 0. Otherwise it counts nothing and returns
// how long it takes until there is room.
func (l *Limiter) Take(call Call, now time.Time) time.Duration {
	limit, known := l.opts.Limits[call.Family]
	if !known {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now = l.at(now)
	l.forget(now)
	everywhere := Call{Family: call.Family, App: call.App}
	wait := max(l.wait(everywhere, limit.App, now), l.wait(call, limit.Tenant, now))
	if wait > 0 {
		return wait
	}
	l.add(everywhere, limit.App, now)
	l.add(call, limit.Tenant, now)
	return 0
}

// at keeps time from running backwards among calls that come at once. A clock that was set back by more than a window
// would hold everybody up until it has caught up: what it counted is forgotten.
func (l *Limiter) at(now time.Time) time.Time {
	if l.latest.Sub(now) > l.opts.Window {
		clear(l.counts)
		l.begun = nil
	} else if now.Before(l.latest) {
		return l.latest
	}
	l.latest = now
	return now
}

// forget drops the windows that have ended.
func (l *Limiter) forget(now time.Time) {
	for len(l.begun) > 0 && now.Sub(l.begun[0].of.began) >= l.opts.Window {
		l.drop()
	}
}

func (l *Limiter) drop() {
	delete(l.counts, l.begun[0].by)
	l.begun[0] = begin{} // the rest of the slice stays: it must not keep what is dropped
	l.begun = l.begun[1:]
}

// wait returns how long it takes until by has room, 0 when it has.
func (l *Limiter) wait(by Call, limit int, now time.Time) time.Duration {
	c := l.counts[by]
	if c == nil || limit <= 0 || c.calls < limit {
		return 0
	}
	return c.began.Add(l.opts.Window).Sub(now)
}

func (l *Limiter) add(by Call, limit int, now time.Time) {
	if limit <= 0 {
		return
	}
	c := l.counts[by]
	if c == nil {
		if len(l.begun) == l.opts.Most {
			l.drop()
		}
		c = &count{began: now}
		l.counts[by], l.begun = c, append(l.begun, begin{c, by})
	}
	c.calls++
}
