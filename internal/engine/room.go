package engine

import (
	"context"
	"fmt"
	"time"

	"heliograph.dev"
)

const roomInterval = time.Second

// Room returns nil when more changes may be taken, else an error of kind Full (the disk is below its watermark),
// Limited (the log is at its limit) or Unavailable (writing has failed for good). It is at most a second old and
// costs nothing.
func (e *Engine) Room() error {
	if refusal := e.refusal.Load(); refusal != nil {
		return refusal
	}
	return nil
}

// watchRoom looks for room now, and from then on every second.
func (e *Engine) watchRoom(ctx context.Context) error {
	refusal, err := e.look(ctx)
	if err != nil {
		return err
	}
	e.refusal.Store(refusal)
	e.start(func() {
		tick := time.NewTicker(roomInterval)
		defer tick.Stop()
		for {
			select {
			case <-e.life.Done():
				return
			case <-tick.C:
			}
			refusal, err := e.look(e.life)
			if err != nil {
				continue // nobody can tell: what was known stays, and an Append tells by itself
			}
			if old := e.refusal.Swap(refusal); refusal != nil && old == nil {
				e.logger.WarnContext(e.life, "no room for changes", "rule", refusal.Rule, "error", refusal.Err)
			} else if refusal == nil && old != nil {
				e.logger.InfoContext(e.life, "room for changes again")
			}
		}
	})
	return nil
}

// look returns what refuses changes now, or nil.
func (e *Engine) look(ctx context.Context) (*heliograph.Error, error) {
	if err := e.broken(); err != nil {
		return failedWrite(err), nil
	}
	if e.folder != nil {
		free, err := freeBytes(e.o.Dir)
		if err != nil {
			return nil, err
		}
		if free < e.o.MinFreeBytes {
			return full(fmt.Errorf("%d bytes are free of %d that must stay", free, e.o.MinFreeBytes)), nil
		}
	}
	if e.o.MaxLogBytes == 0 {
		return nil, nil //nolint:nilnil // nothing refuses, and nothing failed
	}
	ctx, cancel := context.WithTimeout(ctx, getTimeout)
	defer cancel()
	state, err := e.LogState(ctx)
	if err != nil {
		return nil, err
	}
	if state.Bytes+2*MaxFrame > uint64(e.o.MaxLogBytes) { //nolint:gosec // positive by Options' check
		return limited(fmt.Errorf("%d bytes of %d are in use", state.Bytes, e.o.MaxLogBytes)), nil
	}
	return nil, nil //nolint:nilnil // as above
}
