package engine

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"heliograph.dev"
	"heliograph.dev/internal/engine/frame"
)

// What whoever packs changes into frames must keep: FrameOverhead and the ChangeSize of each change together are
// at most MaxFrame.
const (
	MaxFrame      = frame.MaxSize
	FrameOverhead = frame.Overhead
)

// ChangeSize returns the bytes that c takes in a frame.
func ChangeSize(c *heliograph.Change) int { return frame.Size(c) }

const (
	changesStream   = "changes"
	changesPrefix   = "changes."
	changesSubjects = "changes.*"
)

// partition is the writing end of one partition of the change log.
type partition struct {
	subject string
	turn    chan struct{} // holds one token: whoever has it appends
	header  frame.Header  // of the next frame
	buf     []byte        // the frame
	sealed  []byte        // likewise, as it is written
}

func newPartition(n int) *partition {
	p := &partition{subject: changesPrefix + strconv.Itoa(n), turn: make(chan struct{}, 1)}
	p.turn <- struct{}{}
	p.header.Partition = n
	p.begin()
	return p
}

// begin starts a new count of frames, under a new name.
func (p *partition) begin() {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	p.header.Producer, p.header.Batch = binary.BigEndian.Uint64(b[:]), 1
}

// Append writes changes as one frame and returns its sequence once it is on disk: all of them or none. It
// refuses a frame over MaxFrame (TooLarge) and a log at its limit (Limited), and waits some seconds while the
// store does not answer (then Unavailable). The slice and what it points to may be used again afterwards.
func (e *Engine) Append(ctx context.Context, partition int, changes []heliograph.Change) (uint64, error) {
	if partition < 0 || partition >= len(e.partitions) || len(changes) == 0 {
		return 0, fmt.Errorf("append: %d changes to partition %d of %d", len(changes), partition, len(e.partitions))
	}
	size := FrameOverhead
	for i := range changes {
		size += ChangeSize(&changes[i])
	}
	if size > MaxFrame {
		return 0, heliograph.Errorf(heliograph.TooLarge, "engine.frame_size", "%d changes take %d bytes; at most %d fit together", len(changes), size, MaxFrame)
	}
	p := e.partitions[partition]
	select {
	case <-p.turn:
		defer func() { p.turn <- struct{}{} }()
	case <-ctx.Done():
		return 0, fmt.Errorf("append: %w", ctx.Err())
	case <-e.life.Done():
		return 0, unavailable(errClosed)
	}
	return e.appendFrame(ctx, p, e.o.Now(), changes)
}

func (e *Engine) appendFrame(ctx context.Context, p *partition, written time.Time, changes []heliograph.Change) (uint64, error) {
	var err error
	p.header.Written = written
	if p.buf, err = frame.Append(p.buf[:0], p.header, changes); err != nil {
		return 0, fmt.Errorf("append: %w", err)
	}
	if p.sealed, err = e.vault.Seal(p.sealed[:0], p.buf, p.subject); err != nil {
		return 0, fmt.Errorf("append: %w", err)
	}
	id := strconv.FormatUint(p.header.Producer, 36) + "-" + strconv.FormatUint(p.header.Batch, 36)
	msg := &nats.Msg{Subject: p.subject, Header: nats.Header{jetstream.MsgIDHeader: {id}}, Data: p.sealed}
	done, err := e.publish(ctx, msg)
	switch {
	case err == nil:
		p.header.Batch++
		return done.seq, nil
	case heliograph.KindOf(err) == heliograph.Limited: // not stored for sure: the number is still free
		return 0, err
	default: // perhaps stored: this number must never be another frame's
		p.begin()
		return 0, err
	}
}

// Frame returns the frame at seq. It is NotFound when it was trimmed or was never there, and a *FrameError when
// it cannot be read.
func (e *Engine) Frame(ctx context.Context, seq uint64) (heliograph.Frame, error) {
	raw, err := e.message(ctx, e.changes, getRequest{Seq: seq})
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return heliograph.Frame{}, heliograph.Errorf(heliograph.NotFound, "engine.frame", "no frame at %d", seq)
	}
	if err != nil {
		return heliograph.Frame{}, fmt.Errorf("read frame %d: %w", seq, err)
	}
	f, _, err := e.decode(raw.seq, raw.subject, raw.data)
	return f, err
}

// decode reads a frame as it stands in the log. A frame whose key is not at hand is no *FrameError: nobody may pass
// over it.
func (e *Engine) decode(seq uint64, subject string, sealed []byte) (heliograph.Frame, frame.Header, error) {
	data, err := e.vault.OpenInPlace(sealed, subject)
	if heliograph.KindOf(err) == heliograph.Unavailable {
		return heliograph.Frame{}, frame.Header{}, fmt.Errorf("frame %d: %w", seq, err)
	}
	var h frame.Header
	var changes []heliograph.Change
	if err == nil {
		h, changes, err = frame.Decode(data)
	}
	if err == nil && subject != changesPrefix+strconv.Itoa(h.Partition) {
		err = fmt.Errorf("%w: a frame of partition %d in %s", frame.ErrCorrupt, h.Partition, subject)
	}
	if err != nil {
		return heliograph.Frame{}, h, &FrameError{Sequence: seq, Err: err}
	}
	return heliograph.Frame{Partition: h.Partition, Sequence: seq, Written: h.Written, Changes: changes}, h, nil
}

// FrameError is a frame that cannot be read: damaged, or missing though its successor is there.
type FrameError struct {
	Sequence uint64 // where it stands, or the last place where the missing may have stood
	Err      error
}

// Error says which frame and why.
func (e *FrameError) Error() string { return fmt.Sprintf("frame %d: %v", e.Sequence, e.Err) }

// Unwrap returns the cause.
func (e *FrameError) Unwrap() error { return e.Err }

// FrameSequence returns where the frame stands.
func (e *FrameError) FrameSequence() uint64 { return e.Sequence }
