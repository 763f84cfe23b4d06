// Package clock tells the time and wakes those who wait for a moment. Everything in Heliograph that depends on
// time takes a Clock or a plain now: the system's in serve, one that a developer moves (Movable) in dev, one that a test
// moves (Manual).
//
// Network time-outs are not its business: a receiver has three real seconds to answer, whatever day it is.
//
// # What a move promises
//
// A Movable goes from one moment that somebody waits for to the next. At each it stands still, wakes one waiter, and
// goes on when what was begun is done, as far as the server can know: nobody works by Work, Every or Again any more, and
// every Sign is quiet. So each waiter sees the moment that it asked for, works at that moment, and may ask for another
// on the way; two of the same moment follow each other in the order in which they asked. What goes on elsewhere, such
// as a receiver that answers first and acts later, is not known: Move.Pause gives it real time.
package clock

import (
	"context"
	"time"
)

// Clock tells the time and wakes.
type Clock interface {
	Now() time.Time
	// At calls wake once Now has reached t: at once when it has already. wake must be quick and must not
	// block: it typically sends on a buffered channel. stop reports whether it prevented the call.
	At(t time.Time, wake func()) (stop func() bool)
}

// System returns the machine's clock.
func System() Clock { return system{} }

type system struct{}

// Now reads the machine's clock.
func (system) Now() time.Time { return time.Now() } //nolint:forbidigo // the one place that reads the machine's clock

// At sets a timer of the runtime.
func (s system) At(t time.Time, wake func()) func() bool {
	return time.AfterFunc(t.Sub(s.Now()), wake).Stop
}

// Until waits until c reaches t, or until ctx is done, and returns ctx's error then.
func Until(ctx context.Context, c Clock, t time.Time) error {
	if !c.Now().Before(t) {
		return ctx.Err()
	}
	reached := make(chan struct{})
	stop := c.At(t, func() { close(reached) })
	select {
	case <-reached:
		return nil
	case <-ctx.Done():
		stop()
		return ctx.Err()
	}
}

// Sleep waits for d on c, or until ctx is done, and returns ctx's error then.
func Sleep(ctx context.Context, c Clock, d time.Duration) error {
	return Until(ctx, c, c.Now().Add(d))
}

// Every calls do each time d has passed on c, until ctx is done, and returns ctx's error then. A move of the clock waits
// until do has returned.
func Every(ctx context.Context, c Clock, d time.Duration, do func(context.Context)) error {
	return Again(ctx, c, c.Now().Add(d), func(ctx context.Context) time.Time {
		do(ctx)
		return c.Now().Add(d)
	})
}

// Again is Every for a do that says when it is to be called again, beginning at first.
func Again(ctx context.Context, c Clock, first time.Time, do func(context.Context) time.Time) error {
	ended := func() {}
	for next := first; ; {
		woken := make(chan func(), 1)
		stop := c.At(next, func() { woken <- Work(c) })
		ended()
		select {
		case ended = <-woken:
			next = do(ctx)
		case <-ctx.Done():
			if !stop() {
				(<-woken)()
			}
			return ctx.Err()
		}
	}
}

// Work tells a clock that is moved that somebody works: it does not go on until done is called. Other clocks need not
// know.
func Work(c Clock) (done func()) {
	if m, ok := c.(interface{ Work() func() }); ok {
		return m.Work()
	}
	return func() {}
}
