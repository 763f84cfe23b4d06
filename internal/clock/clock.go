// Package clock tells the time and wakes those who wait for a moment. Everything in Heliograph that depends on
// time takes a Clock or a plain now: the system's in serve, one that can be moved in dev and in tests.
//
// Network time-outs are not its business: a receiver has three real seconds to answer, whatever day it is.
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
