package engine

import (
	"context"
	"time"

	"heliograph.dev"
)

// WatchAway is Watch with another patience: half an hour is too long for a test.
func (e *Engine) WatchAway(ctx context.Context, away time.Duration) (*Watch, error) {
	return e.watch(ctx, func([]heliograph.Record) {}, away)
}

// Ending is closed when a watch begins to close.
func Ending(w *Watch) <-chan struct{} { return w.life.Done() }
