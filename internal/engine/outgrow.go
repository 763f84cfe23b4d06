package engine

import (
	"context"
	"fmt"
)

// Extent is how far the change log and the backlog go.
type Extent struct{ Log, Backlog uint64 }

// Barrier returns how far the log and the backlog go when every write that had begun is done: frames behind it are sealed
// with the key that is the newest when it is called, or with a newer one.
func (e *Engine) Barrier(ctx context.Context) (Extent, error) {
	for _, p := range e.partitions {
		select {
		case <-p.turn:
			p.turn <- struct{}{}
		case <-ctx.Done():
			return Extent{}, fmt.Errorf("wait for writes: %w", ctx.Err())
		case <-e.life.Done():
			return Extent{}, unavailable(errClosed)
		}
	}
	log, err := e.LogState(ctx)
	if err != nil {
		return Extent{}, err
	}
	info, err := e.backlog.Info(ctx)
	if err != nil {
		return Extent{}, unavailable(fmt.Errorf("state of the backlog: %w", err))
	}
	return Extent{Log: log.Last, Backlog: info.State.LastSeq}, nil
}

// Outgrown reports whether nothing is left of the log and the backlog up to an extent.
func (e *Engine) Outgrown(ctx context.Context, x Extent) (bool, error) {
	log, err := e.LogState(ctx)
	if err != nil || log.First <= x.Log {
		return false, err
	}
	info, err := e.backlog.Info(ctx)
	if err != nil {
		return false, unavailable(fmt.Errorf("state of the backlog: %w", err))
	}
	return info.State.Msgs == 0 || info.State.FirstSeq > x.Backlog, nil
}
