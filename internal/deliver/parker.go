package deliver

import (
	"context"
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

// maxTogether bounds the references of one write, to some 200 KB: publishers' own syncs come in between.
const maxTogether = 4096

// flush writes what all lanes have waiting, those of all of them together as long as there is something: many ill
// endpoints cost the disk little more than one. When a write fails its lanes are noted again: their notifications
// stay in memory, and the cursor behind them.
func (k *parker) flush(ctx context.Context) error {
	k.mu.Lock()
	noted := k.lanes
	k.lanes = make(map[*lane]struct{}, len(noted))
	k.mu.Unlock()
	for len(noted) > 0 {
		var taken []*hand
		refs := 0
		for l := range noted {
			if refs >= maxTogether {
				break
			}
			if h := l.take(); h != nil {
				taken = append(taken, h)
				refs += len(h.refs)
			} else {
				delete(noted, l)
			}
		}
		if err := k.write(ctx, taken); err != nil {
			for l := range noted {
				k.note(l)
			}
			return err
		}
	}
	return nil
}

// write writes what was taken, and puts it away.
func (k *parker) write(ctx context.Context, taken []*hand) error {
	if len(taken) == 0 {
		return nil
	}
	lists := make([]Parking, len(taken))
	for i, h := range taken {
		lists[i] = Parking{Endpoint: h.lane.endpoint, Refs: h.refs}
	}
	err := k.d.opts.Backlog.ParkAll(ctx, lists)
	for _, h := range taken {
		h.put(err == nil)
	}
	return err
}

// hand is what was taken of a lane's waiting, to be written. Nobody else takes of it meanwhile.
type hand struct {
	lane  *lane
	batch []pending
	refs  []heliograph.ParkedRef
}

// take takes the first of what the lane has waiting, a message of references at the most, or nil.
func (l *lane) take() *hand {
	l.writing.Lock()
	l.mu.Lock()
	h := &hand{lane: l}
	if l.parked {
		h.batch = l.waiting[:min(len(l.waiting), maxRefs)]
	}
	l.handed = len(h.batch) > 0
	l.mu.Unlock()
	if len(h.batch) == 0 {
		l.writing.Unlock()
		return nil
	}
	h.refs = make([]heliograph.ParkedRef, len(h.batch))
	for i := range h.batch {
		h.refs[i] = h.batch[i].ref()
	}
	return h
}

// put lets go of the lane: what is written leaves it.
func (h *hand) put(written bool) {
	l := h.lane
	defer l.writing.Unlock()
	l.mu.Lock()
	l.written++ // or nobody knows: a drain that has found the backlog empty looks again
	l.handed = false
	if !written {
		l.unsure = true
		l.mu.Unlock()
		return
	}
	l.waiting = l.waiting[len(h.batch):]
	l.mu.Unlock()
	l.d.opts.Observer.Backlog(l.endpoint, len(h.batch), 0)
	settleAll(h.batch)
	clear(h.batch)
}

// writeWaiting writes all that one lane has waiting.
func (l *lane) writeWaiting(ctx context.Context) error {
	for h := l.take(); h != nil; h = l.take() {
		if err := l.d.parker.write(ctx, []*hand{h}); err != nil {
			return err
		}
	}
	return nil
}

func (p *pending) ref() heliograph.ParkedRef {
	return heliograph.ParkedRef{
		Subscription: p.sub, Position: p.position(), Since: p.firstDue(), Attempts: p.attempts,
	}
}
