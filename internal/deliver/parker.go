package deliver

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/clock"
)

// parker writes what waits in parked lanes to the backlog. References gather for ParkEvery, because each write
// costs an fsync and nobody waits for it but the cursor.
//
// A list that the store refuses for a reason of its own does not hold the others up: it is written alone from then on.
// When it has been refused often, while others were taken, it is given up: else the cursor would wait for it for ever.
type parker struct {
	d     *Dispatcher
	wake  chan struct{} // buffered
	taken atomic.Uint64 // lists, alone or together: what the store takes while it refuses one
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
			_ = clock.Sleep(k.d.ctx, clock.System(), pauseParks*k.d.opts.Limits.ParkEvery)
		}
	}
}

// pauseParks is for how many ParkEvery the store is left alone that has failed.
const pauseParks = 10

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
	var errs []error
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
		err := k.write(ctx, taken)
		if err != nil && !saysOfList(err) {
			for l := range noted {
				k.note(l)
			}
			return err
		}
		for _, h := range taken {
			if err := h.err; err != nil {
				errs = append(errs, err)
				delete(noted, h.lane)
				k.note(h.lane)
			}
		}
	}
	return errors.Join(errs...)
}

// saysOfList reports whether the cause of a failed write may be what was written, and not the store.
func saysOfList(err error) bool {
	switch heliograph.KindOf(err) {
	case heliograph.Unavailable, heliograph.Full, heliograph.Limited:
		return false
	default:
		return !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
	}
}

// write writes what was taken, and puts it away.
func (k *parker) write(ctx context.Context, taken []*hand) error {
	if len(taken) == 0 {
		return nil
	}
	lists := make([]Parking, len(taken))
	for i, h := range taken {
		lists[i] = Parking{Endpoint: h.lane.key, Refs: h.refs}
	}
	err := k.d.opts.Backlog.ParkAll(ctx, lists)
	switch {
	case err == nil:
		k.taken.Add(uint64(len(lists)))
	case saysOfList(err) && len(taken) > 1:
		return k.writeEach(ctx, taken)
	case saysOfList(err) && k.isRefused(taken[0].lane):
		k.d.opts.Logger.LogAttrs(ctx, slog.LevelError, "the store refuses notifications for ever",
			slog.Int("notifications", len(taken[0].refs)), slog.Any("error", err))
		taken[0].giveUp()
		return nil
	}
	for _, h := range taken {
		h.put(err)
	}
	return err
}

// writeEach writes, one after the other, what was refused together. It fails when the store does; whose list was refused
// has its error.
func (k *parker) writeEach(ctx context.Context, taken []*hand) error {
	for _, h := range taken {
		h.doubt()
	}
	for i, h := range taken {
		if err := k.write(ctx, []*hand{h}); err != nil && !saysOfList(err) {
			for _, rest := range taken[i+1:] {
				rest.put(err)
			}
			return err
		}
	}
	return nil
}

// mostRefusals is how often a list is refused, with others taken meanwhile, before it is given up.
const mostRefusals = 10

// isRefused counts that a lane's list was refused, and reports whether that is for ever. The lane's writing is held.
func (k *parker) isRefused(l *lane) bool {
	if l.refusals == 0 {
		l.others = k.taken.Load()
	}
	l.refusals++
	return l.refusals >= mostRefusals && k.taken.Load() > l.others
}

// hand is what was taken of a lane's waiting, to be written. Nobody else takes of it meanwhile.
type hand struct {
	lane  *lane
	batch []pending
	refs  []heliograph.ParkedRef
	err   error // of the write
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
func (h *hand) put(err error) {
	l := h.lane
	defer l.writing.Unlock()
	h.err = err
	l.mu.Lock()
	l.written++ // or nobody knows: a drain that has found the backlog empty looks again
	l.handed = false
	if err != nil {
		l.unsure = true
		l.mu.Unlock()
		return
	}
	l.refusals = 0
	l.waiting = l.waiting[len(h.batch):]
	l.mu.Unlock()
	l.d.opts.Observer.Backlog(l.endpoint, len(h.batch), 0)
	settleAll(h.batch)
	clear(h.batch)
}

// doubt notes that what was taken may have been written.
func (h *hand) doubt() {
	h.lane.mu.Lock()
	defer h.lane.mu.Unlock()
	h.lane.unsure = true
}

// giveUp lets go of the lane, and of what cannot be written.
func (h *hand) giveUp() {
	l := h.lane
	defer l.writing.Unlock()
	l.mu.Lock()
	l.written++
	l.handed, l.refusals = false, 0
	l.waiting = l.waiting[len(h.batch):]
	l.mu.Unlock()
	for i := range h.batch {
		l.lose(&h.batch[i], heliograph.GivenUpUnparked)
	}
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
