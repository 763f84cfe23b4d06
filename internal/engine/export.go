package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/nats-io/nats.go/jetstream"

	"heliograph.dev/internal/engine/archive"
)

// Backup writes everything that is kept to w, while others read and write, in the form of package archive: sealed as it
// stands in the store. It holds one message at a time and what is on the way.
//
// The order of its steps is what makes it whole. A change that was acknowledged before Backup was called is either before
// the cursor of its partition, then it was delivered or is parked, or it is not, then it is in the log. So cursors are
// read first, the backlog then, and the log last, as far as it goes by then. What is moved within the backlog or the
// records while they are read is written anew behind where it was, so that it is met there. Records are as they were at
// one moment, in each shard: no commit is there by half.
func (e *Engine) Backup(ctx context.Context, w io.Writer, program string) (archive.Manifest, error) {
	kept, _, err := e.settings(ctx)
	if err != nil {
		return archive.Manifest{}, fmt.Errorf("back up: %w", err)
	}
	a, err := archive.NewWriter(w, archive.Head{
		Made: e.o.Now().UTC(), Program: program, Partitions: kept.Partitions, Witness: kept.Witness,
	})
	if err == nil {
		err = e.export(ctx, a)
	}
	if err != nil {
		return archive.Manifest{}, fmt.Errorf("back up: %w", err)
	}
	m, err := a.Close()
	if err != nil {
		return m, fmt.Errorf("back up: %w", err)
	}
	return m, nil
}

func (e *Engine) export(ctx context.Context, a *archive.Writer) error {
	for p := range e.partitions {
		next, err := e.Cursor(ctx, p)
		if err != nil {
			return err
		}
		if err := a.Add(archive.Entry{Kind: archive.Cursor, Sequence: next, Subject: strconv.Itoa(p)}); err != nil {
			return err
		}
	}
	err := e.through(ctx, e.backlog, 0, func(m jetstream.Msg, seq uint64) error {
		name := m.Headers().Get(endpointHeader)
		if name == "" { // a fence: the owners of another store are none of this one's
			return nil
		}
		return a.Add(archive.Entry{Kind: archive.Parked, Sequence: seq, Subject: m.Subject(), Header: name, Data: m.Data()})
	})
	if err != nil {
		return err
	}
	for _, s := range e.shards {
		err := e.through(ctx, s.stream, 0, func(m jetstream.Msg, seq uint64) error {
			entry := archive.Entry{Kind: archive.Record, Sequence: seq, Subject: m.Subject()[len(s.prefix):], Header: s.prefix, Data: m.Data()}
			if isMarker(m.Headers()) {
				entry.Kind, entry.Data = archive.Deletion, nil
			}
			return a.Add(entry)
		})
		if err != nil {
			return err
		}
	}
	log, err := e.LogState(ctx)
	if err != nil || log.Last < log.First {
		return err
	}
	return e.through(ctx, e.changes, log.Last, func(m jetstream.Msg, seq uint64) error {
		return a.Add(archive.Entry{Kind: archive.Frame, Sequence: seq, Subject: m.Subject(), Data: m.Data()})
	})
}

// through visits every message of a stream up to a sequence, or, when that is 0, until there is none behind the last.
func (e *Engine) through(ctx context.Context, stream jetstream.Stream, end uint64, visit func(m jetstream.Msg, seq uint64) error) error {
	t := e.newTail(stream, jetstream.ConsumerConfig{}, 0, readAhead, readAheadBytes)
	defer t.close() //nolint:contextcheck // cleans up whether or not ctx is over
	_, waiting, err := t.open(ctx)
	if err != nil {
		return unavailable(fmt.Errorf("read %s: %w", nameOf(stream), err))
	}
	for quiet := watchLinger; waiting > 0; {
		m, meta, err := t.next(ctx, watchLinger)
		if errors.Is(err, errNothing) {
			over, err := t.caughtUp(ctx)
			if over && err == nil {
				return nil
			}
			if quiet += watchLinger; quiet >= 2*t.heartbeat() { // a wait that is so short does not notice a lost consumer
				quiet = 0
				t.drop() //nolint:contextcheck // as above
			}
			continue
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", nameOf(stream), err)
		}
		quiet = 0
		if end != 0 && meta.Sequence.Stream > end {
			return nil
		}
		if err := visit(m, meta.Sequence.Stream); err != nil {
			return err
		}
		switch {
		case meta.Sequence.Stream == end:
			return nil
		case !within(m):
			waiting = meta.NumPending
		}
	}
	return nil
}

// within reports whether a message belongs to an atomic batch of which more is to come.
func within(m jetstream.Msg) bool {
	h := m.Headers()
	return h.Get(batchHeader) != "" && h.Get(batchCommitHeader) == ""
}
