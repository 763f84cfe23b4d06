package owner

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/clock"
)

// lease is the right to work, for a while after each beat. One run has one.
type lease struct {
	clock  clock.Clock
	logger *slog.Logger

	mu     sync.Mutex
	until  time.Time
	ended  bool               // for good
	on     context.Context    // done when the lease is over; nil before the first beat
	off    context.CancelFunc // ends it
	stop   func() bool        // the timer
	change chan struct{}      // closed when it begins, goes on or ends
}

func newLease(c clock.Clock, logger *slog.Logger) *lease {
	return &lease{clock: c, logger: logger, change: make(chan struct{})}
}

// extend lets the lease go on until a moment.
func (l *lease) extend(until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended || !l.clock.Now().Before(until) {
		return
	}
	l.until = until
	if l.on == nil || l.on.Err() != nil {
		if l.on != nil {
			l.logger.Info("lease again")
		}
		l.on, l.off = context.WithCancel(context.Background())
		close(l.change)
		l.change = make(chan struct{})
	}
	if l.stop != nil {
		l.stop()
	}
	l.stop = l.clock.At(until, l.lapse)
}

// lapse is called when the lease may be over.
func (l *lease) lapse() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.off != nil && l.on.Err() == nil && !l.clock.Now().Before(l.until) {
		l.off()
		l.logger.Warn("lease is over: this node delivers nothing until it is in touch with the majority again")
	}
}

// end ends the lease for good.
func (l *lease) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return
	}
	l.ended = true
	if l.off != nil {
		l.off()
	}
	if l.stop != nil {
		l.stop()
	}
	close(l.change)
}

// valid reports whether work may go on now.
func (l *lease) valid() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.validLocked()
}

func (l *lease) validLocked() bool {
	return !l.ended && l.on != nil && l.on.Err() == nil && l.clock.Now().Before(l.until)
}

// errEnded is what a permit answers whose run has ended.
var errEnded = &heliograph.Error{
	Kind: heliograph.Unavailable, Rule: "owner.ended", Message: "the partition is worked by another node", RetryAfter: time.Second,
}

// permit waits until work may go on, and returns a context that ends when it may not any more.
func (l *lease) permit(ctx context.Context) (context.Context, error) {
	for {
		l.mu.Lock()
		on, ended, valid, change := l.on, l.ended, l.validLocked(), l.change
		l.mu.Unlock()
		switch {
		case ended:
			return nil, errEnded
		case valid:
			return on, nil
		}
		select {
		case <-change:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
