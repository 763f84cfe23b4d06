package deliver

import (
	"context"
	"log/slog"

	"heliograph.dev"
	"heliograph.dev/internal/clock"
)

// Permit waits until POSTs may be sent, and returns a context that ends when they may not any more, even one that is
// under way. Its error says that none ever may again.
type Permit func(ctx context.Context) (context.Context, error)

// permitted sends one body for as long as the partition is this node's. A POST that was cut off because for a while it
// was not is sent again.
func (d *Dispatcher) permitted(r Receiver, body Body) heliograph.Attempt {
	if d.opts.Permit == nil {
		return r.Post(d.ctx, body)
	}
	for {
		on, err := d.opts.Permit(d.ctx)
		if err != nil {
			<-d.ctx.Done() // it is stopped by whoever knows that the partition has gone
			return r.Post(d.ctx, body)
		}
		ctx, cancel := context.WithCancel(d.ctx)
		stop := context.AfterFunc(on, cancel)
		attempt := r.Post(ctx, body)
		stop()
		cancel()
		if attempt.Reason != heliograph.Stopped || d.ctx.Err() != nil {
			return attempt
		}
	}
}

// settled waits until the index has what was written before the frame. It answers false when the dispatcher stops.
func (r *reader) settled(f *heliograph.Frame) bool {
	if r.d.opts.Settle == nil {
		return true
	}
	for told := false; ; told = true {
		err := r.d.opts.Settle(r.d.accepting, f)
		if err == nil {
			return true
		}
		if r.d.isStopping() {
			return false
		}
		if !told {
			r.d.opts.Logger.LogAttrs(r.d.accepting, slog.LevelWarn, "waiting for the subscriptions that a frame is for",
				slog.Int("partition", r.partition), slog.Any("error", err))
		}
		_ = clock.Sleep(r.d.accepting, clock.System(), retryEngine/10)
	}
}

// Counted are Frames that know how many more there are to read.
type Counted interface{ Pending() uint64 }

// Behind estimates how many accepted changes wait to be read: the frames that do, each of as many changes as those that
// were read.
func (d *Dispatcher) Behind() int64 {
	n := int64(0)
	for _, r := range d.readers {
		if c, ok := r.frames.(Counted); ok {
			frames, changes := r.frameCount.Load(), r.changeCount.Load()
			n += int64(c.Pending()) * max(changes, 1) / max(frames, 1) //nolint:gosec // a log holds fewer
		}
	}
	return n
}
