package deliver

import (
	"context"
	"log/slog"
	"sync"

	"heliograph.dev"
	"heliograph.dev/internal/clock"
)

// losses are subscriptions that something was given up for and whose owners have to be told. That is written down before
// the cursor passes what was lost, or before it is taken off the backlog: a crash does not make it forgotten.
type losses struct {
	d    *Dispatcher
	wake chan struct{} // buffered

	flushing sync.Mutex
	mu       sync.Mutex
	waiting  map[heliograph.SubscriptionID]*loss
}

// loss is what was lost for one subscription since it was last told: one reason, and the frames that wait for it.
type loss struct {
	why    heliograph.Reason
	frames []*frame
}

// isLoss reports whether a notification that is given up so should have been delivered: its owner is told (contract
// 14.10). That a subscription is gone is no loss.
func isLoss(why heliograph.Reason) bool {
	return why == heliograph.GivenUpWindow || why == heliograph.GivenUpDropped || why == heliograph.GivenUpPaused ||
		why == heliograph.GivenUpLost || why == heliograph.GivenUpRefused || why == heliograph.GivenUpUnparked || why == heliograph.GivenUpUnsealed
}

// lose tells that an item will not be delivered, and why, and ends its wait in memory. A notice that is lost is not
// told of: that would have no end.
func (l *lane) lose(p *pending, why heliograph.Reason) {
	l.giveUp(p, why)
	if l.d.opts.Missed == nil || p.change().Notice != nil || !isLoss(why) {
		p.frame.settle(1)
		return
	}
	l.d.losses.add(p.sub, why, p.frame)
}

func (k *losses) add(sub heliograph.SubscriptionID, why heliograph.Reason, f *frame) {
	k.mu.Lock()
	if k.waiting == nil {
		k.waiting = map[heliograph.SubscriptionID]*loss{}
	}
	lost := k.waiting[sub]
	if lost == nil {
		lost = &loss{why: why}
		k.waiting[sub] = lost
	}
	if f != nil && f.tracker != nil {
		lost.frames = append(lost.frames, f)
	}
	k.mu.Unlock()
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

func (k *losses) run() {
	for {
		select {
		case <-k.d.ctx.Done():
			return
		case <-k.wake:
		}
		for k.flush(k.d.ctx) != nil {
			if clock.Sleep(k.d.ctx, clock.System(), retryEngine) != nil {
				return
			}
		}
	}
}

// flush returns when all that was lost before is written down.
func (k *losses) flush(ctx context.Context) error {
	k.flushing.Lock()
	defer k.flushing.Unlock()
	k.mu.Lock()
	all := k.waiting
	k.waiting = nil
	k.mu.Unlock()
	for sub, lost := range all {
		if err := k.d.opts.Missed(ctx, sub, lost.why); err != nil {
			k.putBack(all)
			if ctx.Err() == nil {
				k.d.opts.Logger.LogAttrs(ctx, slog.LevelWarn, "what was missed is not written down", slog.Any("error", err))
			}
			return err
		}
		for _, f := range lost.frames {
			f.settle(1)
		}
		delete(all, sub)
	}
	return nil
}

// putBack returns what could not be written down.
func (k *losses) putBack(all map[heliograph.SubscriptionID]*loss) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for sub, newer := range k.waiting {
		if older := all[sub]; older != nil {
			older.frames = append(older.frames, newer.frames...)
			continue
		}
		all[sub] = newer
	}
	k.waiting = all
}
