package deliver

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"heliograph.dev"
)

// parker writes what waits in parked lanes to the backlog. References gather for ParkEvery, because each write
// costs an fsync and nobody waits for it but the cursor.
type parker struct {
	d     *Dispatcher
	wake  chan struct{} // buffered
	mu    sync.Mutex
	lanes map[*lane]struct{} // with something to write
}

// note tells that l has something to write. l.mu may be held.
func (k *parker) note(l *lane) {
	k.mu.Lock()
	k.lanes[l] = struct{}{}
	k.mu.Unlock()
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

func (k *parker) run() {
	for {
		select {
		case <-k.d.ctx.Done():
			return
		case <-k.wake:
		}
		gather := time.NewTimer(k.d.opts.Limits.ParkEvery)
		select {
		case <-k.d.ctx.Done():
			gather.Stop()
			return
		case <-gather.C:
		}
		if err := k.flush(k.d.ctx); err != nil && k.d.ctx.Err() == nil {
			k.d.opts.Logger.LogAttrs(k.d.ctx, slog.LevelWarn, "backlog not written", slog.Any("error", err))
		}
	}
}

// flush writes what all lanes have waiting. A lane whose write fails is noted again: its notifications stay in
// memory, and the cursor behind them.
func (k *parker) flush(ctx context.Context) error {
	k.mu.Lock()
	noted := k.lanes
	k.lanes = make(map[*lane]struct{}, len(noted))
	k.mu.Unlock()
	var errs []error
	for l := range noted {
		if err := l.writeWaiting(ctx); err != nil {
			errs = append(errs, err)
			k.note(l)
		}
	}
	return errors.Join(errs...)
}

// writeWaiting writes what the lane has waiting, a message of references at a time, and settles it.
func (l *lane) writeWaiting(ctx context.Context) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	for {
		l.mu.Lock()
		parked := l.parked
		batch := l.waiting[:min(len(l.waiting), maxRefs)]
		l.mu.Unlock()
		if len(batch) == 0 || !parked {
			return nil
		}
		refs := make([]heliograph.ParkedRef, len(batch))
		for i := range batch {
			refs[i] = batch[i].ref()
		}
		if _, err := l.d.opts.Backlog.Park(ctx, l.endpoint, refs); err != nil {
			return err
		}
		l.mu.Lock()
		l.waiting = l.waiting[len(batch):]
		l.written++
		l.mu.Unlock()
		l.d.opts.Observer.Backlog(l.endpoint, len(batch), 0)
		settleAll(batch)
		clear(batch)
	}
}

func (p *pending) ref() heliograph.ParkedRef {
	return heliograph.ParkedRef{
		Subscription: p.sub, Position: p.position(), Since: p.firstDue(), Attempts: p.attempts,
	}
}
