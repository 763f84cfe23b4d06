package engine

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"heliograph.dev"
	"heliograph.dev/internal/engine/frame"
)

// What may be on the way to a FrameReader that does not keep up.
const (
	readAhead      = 64
	readAheadBytes = 8 << 20
)

// Read follows a partition from a sequence on, which need not be one of its own: 1 is the first frame that
// there is. ctx bounds the start only. The caller closes the reader.
func (e *Engine) Read(ctx context.Context, partition int, from uint64) (*FrameReader, error) {
	if partition < 0 || partition >= len(e.partitions) {
		return nil, fmt.Errorf("read: partition %d of %d", partition, len(e.partitions))
	}
	config := jetstream.ConsumerConfig{FilterSubject: e.partitions[partition].subject}
	r := &FrameReader{tail: e.newTail(e.changes, config, from, readAhead, readAheadBytes), batches: map[uint64]uint64{}}
	if _, _, err := r.tail.open(ctx); err != nil {
		return nil, fmt.Errorf("read partition %d: %w", partition, err)
	}
	return r, nil
}

// FrameReader reads the frames of a partition in order. Next is for one goroutine, Close for any.
type FrameReader struct {
	tail    *tail
	batches map[uint64]uint64 // newest batch number seen of each producer
	held    *heliograph.Frame // read already, told after the error that it uncovered
	sealed  *sealedFrame      // read already, and its key was not at hand
	pending atomic.Uint64     // frames behind the last
}

// sealedFrame is a frame as it stands in the log.
type sealedFrame struct {
	seq     uint64
	subject string
	data    []byte
}

// Pending returns how many frames of the partition were not read yet when the last one was.
func (r *FrameReader) Pending() uint64 { return r.pending.Load() }

const mostProducers = 1024 // each start of a process is one

// Next returns the next frame, and waits for it at the end of the log. It rides out a lost connection or
// consumer. A *FrameError tells of one frame that cannot be read or that is missing: Next goes on behind it when
// called again. After any other error it tries the same frame. After Close it answers ErrReaderClosed.
func (r *FrameReader) Next(ctx context.Context) (heliograph.Frame, error) {
	if f := r.held; f != nil {
		r.held = nil
		return *f, nil
	}
	if r.sealed == nil {
		msg, meta, err := r.tail.next(ctx, 0)
		if err != nil {
			return heliograph.Frame{}, fmt.Errorf("read frame: %w", err)
		}
		r.pending.Store(meta.NumPending)
		r.sealed = &sealedFrame{meta.Sequence.Stream, msg.Subject(), msg.Data()}
	}
	f, h, err := r.tail.e.decode(r.sealed.seq, r.sealed.subject, r.sealed.data)
	if heliograph.KindOf(err) != heliograph.Unavailable {
		r.sealed = nil
	}
	if err != nil {
		return heliograph.Frame{}, err
	}
	if missing := r.missing(h); missing > 0 {
		r.held = &f
		return heliograph.Frame{}, &FrameError{
			Sequence: f.Sequence - 1,
			Err:      fmt.Errorf("%d frames of producer %x are missing before its batch %d", missing, h.Producer, h.Batch),
		}
	}
	return f, nil
}

// missing returns how many frames of h's producer should have come before it and did not.
func (r *FrameReader) missing(h frame.Header) uint64 {
	last, known := r.batches[h.Producer]
	if !known && len(r.batches) >= mostProducers {
		clear(r.batches) // costs the notice of one hole at most, and only beside a second fault
	}
	r.batches[h.Producer] = h.Batch
	if !known || h.Batch <= last+1 {
		return 0
	}
	return h.Batch - last - 1
}

// Close ends the reader. A Next that waits returns.
func (r *FrameReader) Close() { r.tail.close() }

// LogState is the extent of the change log, of all its partitions.
type LogState struct {
	First, Last uint64 // sequences; First is Last+1 when there is no frame
	Bytes       uint64
}

// LogState returns the extent of the change log.
func (e *Engine) LogState(ctx context.Context) (LogState, error) {
	var info *jetstream.StreamInfo
	err := e.trying(ctx, func(ctx context.Context) (err error) {
		info, err = e.changes.Info(ctx)
		return err
	})
	if err != nil {
		return LogState{}, unavailable(fmt.Errorf("state of the change log: %w", err))
	}
	s := info.State
	if s.Msgs == 0 {
		s.FirstSeq = s.LastSeq + 1
	}
	return LogState{First: s.FirstSeq, Last: s.LastSeq, Bytes: s.Bytes}, nil
}

// Trim drops the frames before a sequence. It never drops what is not written yet, whatever it is given.
func (e *Engine) Trim(ctx context.Context, before uint64) error {
	state, err := e.LogState(ctx)
	if err != nil {
		return err
	}
	before = min(before, state.Last+1) // a purge beyond the end would move the end
	if before <= state.First {
		return nil
	}
	err = e.trying(ctx, func(ctx context.Context) error { return e.changes.Purge(ctx, jetstream.WithPurgeSequence(before)) })
	if err != nil {
		return unavailable(fmt.Errorf("trim before %d: %w", before, err))
	}
	return nil
}

// SequenceAt returns the sequence from which on all frames were written at t or later, by the clock of who
// wrote them. A clock that was set back makes it approximate.
func (e *Engine) SequenceAt(ctx context.Context, t time.Time) (uint64, error) {
	state, err := e.LogState(ctx)
	if err != nil {
		return 0, err
	}
	low, high := state.First, state.Last+1
	for low < high {
		middle := low + (high-low)/2
		m, err := e.message(ctx, e.changes, getRequest{Seq: middle, NextFor: changesSubjects})
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			high = middle
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("sequence at %v: %w", t, err)
		}
		written := m.time // good enough for a frame that cannot be read
		if f, _, err := e.decode(m.seq, m.subject, m.data); err == nil {
			written = f.Written
		}
		if written.Before(t) {
			low = m.seq + 1
		} else {
			high = middle
		}
	}
	return low, nil
}
