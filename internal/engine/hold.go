package engine

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"heliograph.dev"
)

// Epoch is the right to write for a partition, from when its owner took it until another does. It is two places, one in
// each stream that the owner writes to: the store compares them at each write, so that an owner of before, who does not
// know yet that it is one, writes nothing. The zero Epoch is for a store that one process has for itself.
type Epoch struct{ owner, fence uint64 }

// Revision is that of the note with which the epoch began.
func (p Epoch) Revision() uint64 { return p.owner }

const (
	expectSubjectHeader = "Nats-Expected-Last-Subject-Sequence-Subject"
	fencePrefix         = "fence."
	fenceSubjects       = "fence.*"
	// mostFenced is how often a write is tried again whose epoch holds: the store refuses what it cannot compare yet,
	// because a write of before is under way.
	mostFenced = 50
)

func cursorSubject(partition int) string { return "meta.cursor." + strconv.Itoa(partition) }

func ownerSubject(partition int) string { return ownerPrefix + strconv.Itoa(partition) }

func fenceSubject(partition int) string { return fencePrefix + strconv.Itoa(partition) }

// errFenced is why a write was refused: the partition is another's now.
func errFenced(partition int) error {
	return heliograph.Errorf(heliograph.Conflict, "engine.fenced", "partition %d is another node's now", partition)
}

// Take makes this process the owner of a partition: value says who it is, revision is that of the owner's note as it was
// read. It is a Conflict when somebody else has taken it meanwhile. From then on the epochs of before are worth nothing.
func (e *Engine) Take(ctx context.Context, partition int, value []byte, revision uint64) (Epoch, error) {
	owner, err := e.SetNote(ctx, OwnerNote(partition), value, revision)
	if err != nil {
		return Epoch{}, fmt.Errorf("take partition %d: %w", partition, err)
	}
	fence, err := e.raise(ctx, partition, owner)
	if err != nil {
		return Epoch{}, fmt.Errorf("take partition %d: %w", partition, err)
	}
	return Epoch{owner, fence}, nil
}

// raise puts the fence of an epoch into the backlog, unless a later one stands there.
func (e *Engine) raise(ctx context.Context, partition int, owner uint64) (uint64, error) {
	subject := fenceSubject(partition)
	for range mostFenced {
		m, err := e.messageOfLeader(ctx, nameOf(e.backlog), getRequest{LastFor: subject})
		if err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
			return 0, err
		}
		if stands, _ := strconv.ParseUint(string(m.data), 10, 64); stands > owner {
			return 0, errFenced(partition)
		} else if stands == owner && owner != 0 {
			return m.seq, nil
		}
		done, err := e.publish(ctx, &nats.Msg{Subject: subject, Data: strconv.AppendUint(nil, owner, 10), Header: nats.Header{
			jetstream.MsgIDHeader:               {nuid.Next()},
			jetstream.ExpectedLastSubjSeqHeader: {strconv.FormatUint(m.seq, 10)},
			jetstream.MsgRollup:                 {jetstream.MsgRollupSubject},
		}})
		if heliograph.KindOf(err) != heliograph.Conflict {
			return done.seq, err
		}
		if err := e.pause(ctx, pauseFirst); err != nil {
			return 0, err
		}
	}
	return 0, errFenced(partition)
}

// Hold is what the owner of a partition reads and writes: its cursor, and its part of the backlog.
type Hold struct {
	e         *Engine
	partition int
	epoch     Epoch

	mu   sync.Mutex // one write at a time: the store compares an epoch with what is stored, not with what is coming
	next uint64     // the cursor that was saved last, so that an idle reader costs no write
}

// Hold returns the writing end of a partition's delivery, in the name of an epoch.
func (e *Engine) Hold(partition int, epoch Epoch) (*Hold, error) {
	if partition < 0 || partition >= len(e.partitions) {
		return nil, fmt.Errorf("partition %d of %d", partition, len(e.partitions))
	}
	return &Hold{e: e, partition: partition, epoch: epoch}, nil
}

// SaveCursor keeps the sequence that the reader of the partition wants next. It costs an fsync when it differs from what
// was saved before: save a few times a second at most.
func (h *Hold) SaveCursor(ctx context.Context, next uint64) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.next == next && next != 0 {
		return nil
	}
	h.next = 0 // unknown until it is on disk
	msg := &nats.Msg{
		Subject: cursorSubject(h.partition), Header: nats.Header{jetstream.MsgIDHeader: {nuid.Next()}},
		Data: strconv.AppendUint(nil, next, 10),
	}
	h.stamp(msg, ownerSubject(h.partition), h.epoch.owner)
	err := h.fenced(ctx, func() error {
		_, err := h.e.publish(ctx, msg)
		return err
	})
	if err != nil {
		return fmt.Errorf("save cursor: %w", err)
	}
	h.next = next
	return nil
}

// Cursor returns what was saved for a partition, by whichever node, or 0.
func (e *Engine) Cursor(ctx context.Context, partition int) (uint64, error) {
	m, err := e.latest(ctx, e.meta, getRequest{LastFor: cursorSubject(partition)})
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read cursor: %w", err)
	}
	next, err := strconv.ParseUint(string(m.data), 10, 64) // another node may have saved it
	if err != nil {
		return 0, fmt.Errorf("read cursor: %w", err)
	}
	return next, nil
}

// stamp has the store refuse a message when something stands in a subject that is not the epoch's.
func (h *Hold) stamp(msg *nats.Msg, subject string, at uint64) {
	if at != 0 {
		msg.Header[jetstream.ExpectedLastSubjSeqHeader] = []string{strconv.FormatUint(at, 10)}
		msg.Header[expectSubjectHeader] = []string{subject}
	}
}

// fenced writes, again while the store says that the epoch is over and it is not.
func (h *Hold) fenced(ctx context.Context, write func() error) error {
	for range mostFenced {
		err := write()
		if heliograph.KindOf(err) != heliograph.Conflict {
			return err
		}
		over, lookErr := h.over(ctx)
		switch {
		case lookErr != nil:
			return lookErr
		case over:
			return errFenced(h.partition)
		}
		if err := h.e.pause(ctx, pauseFirst); err != nil {
			return err
		}
	}
	return unavailable(fmt.Errorf("the epoch of partition %d could not be compared", h.partition))
}

// over reports whether another has taken the partition.
func (h *Hold) over(ctx context.Context) (bool, error) {
	for _, at := range []struct {
		stream  jetstream.Stream
		subject string
		seq     uint64
	}{{h.e.meta, ownerSubject(h.partition), h.epoch.owner}, {h.e.backlog, fenceSubject(h.partition), h.epoch.fence}} {
		m, err := h.e.messageOfLeader(ctx, nameOf(at.stream), getRequest{LastFor: at.subject})
		if err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
			return false, err
		}
		if m.seq != at.seq {
			return true, nil
		}
	}
	return false, nil
}
