package deliver

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"heliograph.dev"
)

// frame is a frame of the log while its notifications are under way.
type frame struct {
	heliograph.Frame
	bytes   int
	left    atomic.Int64 // notifications not yet delivered, parked or given up; and 1 for the reader
	tracker *tracker
	done    bool // guarded by tracker.mu
}

// settle tells that n of the frame's notifications need no more work in memory. A frame that a drain read has
// no tracker: no cursor waits for it.
func (f *frame) settle(n int) {
	if n != 0 && f.tracker != nil && f.left.Add(-int64(n)) == 0 {
		f.tracker.finish(f)
	}
}

// tracker knows which frames of a partition are under way and keeps the cursor behind the oldest of them.
type tracker struct {
	d         *Dispatcher
	partition int

	mu       sync.Mutex
	room     *sync.Cond
	inFlight []*frame // in the order of the log
	bytes    int
	next     uint64 // the cursor: everything before it is settled
	saved    uint64
	closed   bool
}

func newTracker(d *Dispatcher, partition int, next uint64) *tracker {
	t := &tracker{d: d, partition: partition, next: next, saved: next}
	t.room = sync.NewCond(&t.mu)
	return t
}

// waitForRoom waits until another frame may be read. It answers false once the tracker is closed.
func (t *tracker) waitForRoom() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.bytes >= t.d.opts.Limits.MaxInFlight && !t.closed {
		t.room.Wait()
	}
	return !t.closed
}

// close wakes whoever waits for room.
func (t *tracker) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	t.room.Broadcast()
}

// begin takes up a frame that was read. Its left count starts at 1, for the reader itself.
func (t *tracker) begin(f heliograph.Frame) *frame {
	work := &frame{Frame: f, tracker: t}
	for i := range f.Changes {
		work.bytes += len(f.Changes[i].Data) + 512 // 512: about what a decoded change takes beside its data
	}
	work.left.Store(1)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.inFlight = append(t.inFlight, work)
	t.bytes += work.bytes
	return work
}

// skip moves past a frame that cannot be read.
func (t *tracker) skip(sequence uint64) {
	t.begin(heliograph.Frame{Partition: t.partition, Sequence: sequence}).settle(1)
}

func (t *tracker) finish(f *frame) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f.done = true
	t.bytes -= f.bytes
	n := 0
	for n < len(t.inFlight) && t.inFlight[n].done {
		t.next = t.inFlight[n].Sequence + 1
		t.inFlight[n] = nil
		n++
	}
	t.inFlight = t.inFlight[n:]
	t.room.Broadcast()
}

// saveLoop writes the cursor when it has moved, at most every SaveEvery: an fsync is not spent on each frame.
func (t *tracker) saveLoop() {
	tick := time.NewTicker(t.d.opts.Limits.SaveEvery)
	defer tick.Stop()
	for {
		select {
		case <-t.d.ctx.Done():
			return
		case <-tick.C:
			if err := t.save(t.d.ctx); err != nil && t.d.ctx.Err() == nil {
				t.d.opts.Logger.LogAttrs(t.d.ctx, slog.LevelWarn, "cursor not written",
					slog.Int("partition", t.partition), slog.Any("error", err))
			}
		}
	}
}

func (t *tracker) save(ctx context.Context) error {
	t.mu.Lock()
	next := t.next
	moved := next != t.saved
	t.mu.Unlock()
	if !moved {
		return nil
	}
	if err := t.d.opts.Log.SaveCursor(ctx, t.partition, next); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.saved = max(t.saved, next)
	return nil
}
