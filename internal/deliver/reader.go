package deliver

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/clock"
	"heliograph.dev/internal/match"
)

// reader reads one partition's frames in the order of the log and queues what subscriptions want of them.
type reader struct {
	d         *Dispatcher
	partition int
	frames    Frames
	tracker   *tracker
	// live is the cursor at the start: frames before it were delivered, and are read for what filters remember.
	live uint64
	// How much was read, for an estimate of what is not.
	frameCount, changeCount atomic.Int64
}

func (r *reader) run() {
	for r.tracker.waitForRoom() {
		f, err := r.frames.Next(r.d.accepting)
		switch {
		case err == nil && f.Sequence < r.live:
			r.d.opts.Index.Recall(&f)
		case err == nil:
			if !r.settled(&f) {
				return
			}
			r.frameCount.Add(1)
			r.changeCount.Add(int64(len(f.Changes)))
			r.dispatch(f)
			r.d.under.read(r.partition, f.Sequence)
		case r.d.isStopping():
			return
		default:
			r.trouble(r.d.accepting, err)
		}
	}
}

// trouble passes a frame that cannot be read, and waits a little when it is the engine that cannot be.
func (r *reader) trouble(ctx context.Context, err error) {
	if lost, ok := errors.AsType[Unreadable](err); ok {
		if lost.FrameSequence() < r.live { // it was told of when it was to be delivered
			return
		}
		r.d.opts.Logger.LogAttrs(ctx, slog.LevelError, "frame of the change log is unreadable",
			slog.Int("partition", r.partition), slog.Uint64("sequence", lost.FrameSequence()), slog.Any("error", err))
		r.d.opts.Observer.GivenUp("", Notification{}, heliograph.GivenUpLost)
		r.tracker.skip(lost.FrameSequence())
		r.d.under.read(r.partition, lost.FrameSequence())
		return
	}
	r.d.opts.Logger.LogAttrs(ctx, slog.LevelWarn, "change log not read",
		slog.Int("partition", r.partition), slog.Any("error", err))
	_ = clock.Sleep(ctx, clock.System(), retryEngine)
}

// dispatch matches each change of a frame and queues its notifications.
func (r *reader) dispatch(f heliograph.Frame) {
	if !f.Written.Before(r.d.started) { // older ones were never counted: another run accepted them
		r.d.unread.Add(-int64(len(f.Changes)))
	}
	work := r.tracker.begin(f)
	m := r.d.matching(work)
	for i := range work.Changes {
		if n := work.Changes[i].Notice; n != nil {
			m.hit(i)
			work.left.Add(1)
			r.d.queue(heliograph.Endpoint(n.URL), pending{frame: work, index: uint32(i), sub: n.Subscription})
		}
	}
	r.d.opts.Index.FindAll(&work.Frame, r.d.now(), func(change int, hit *match.Hit) {
		m.hit(change)
		work.left.Add(1)
		r.d.queue(hit.Target.URL, pending{
			frame: work, index: uint32(change), //nolint:gosec // a frame under 1 MB has far fewer changes than 2³²
			sub: hit.Target.ID, told: hit.Type, rich: hit.Target.Rich != nil, instance: hit.Instance,
		})
	})
	m.end()
	work.settle(1)
}

// matching counts what a frame's changes make, for those who watch.
type matching struct {
	d     *Dispatcher
	work  *frame
	began time.Time // in real time: how long it took is nothing to move a clock for
	total int
	each  []int // nil when nothing is traced
}

func (d *Dispatcher) matching(work *frame) matching {
	m := matching{d: d, work: work, began: clock.System().Now()}
	if d.opts.Tracer != nil {
		m.each = make([]int, len(work.Changes))
	}
	return m
}

func (m *matching) hit(change int) {
	m.total++
	if m.each != nil {
		m.each[change]++
	}
}

func (m *matching) end() {
	ended := clock.System().Now()
	m.d.opts.Observer.Matched(len(m.work.Changes), m.total, ended.Sub(m.began))
	if m.each != nil {
		m.d.opts.Tracer.Matched(&m.work.Frame, m.began, ended, m.each)
	}
}
