package engine

import (
	"context"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"heliograph.dev"
)

// WatchAway is Watch with another patience: half an hour is too long for a test.
func (e *Engine) WatchAway(ctx context.Context, away time.Duration) (*Watch, error) {
	return e.watch(ctx, func([]heliograph.Record) {}, away)
}

// Ending is closed when a watch begins to close.
func Ending(w *Watch) <-chan struct{} { return w.life.Done() }

// Ailment is what makes of a server's report whether it is broken.
func Ailment(ask func(*server.HealthzOptions) *server.HealthStatus) error {
	return ailment(ask, server.HealthzOptions{Details: true})
}
