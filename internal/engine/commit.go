package engine

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"heliograph.dev"
)

const (
	batchHeader       = "Nats-Batch-Id"
	batchNumberHeader = "Nats-Batch-Sequence"
	batchCommitHeader = "Nats-Batch-Commit"

	mostConflicts = 4 // with markers that come and go: each means that another won
)

// Commit makes all writes, on disk, or none, and returns the revision of the last: write i of n has the revision
// rev-n+1+i. It is a Conflict when a record has not the revision that its write expects. Commits that come
// together share their syncs. The values must not be changed afterwards.
func (e *Engine) Commit(ctx context.Context, tenant heliograph.TenantID, writes []heliograph.Write) (uint64, error) {
	if err := checkWrites(tenant, writes); err != nil {
		return 0, err
	}
	s := e.shardOf(tenant)
	sealed, err := e.sealed(s, tenant, writes)
	if err != nil {
		return 0, err
	}
	expect := make([]uint64, len(writes))
	for i, w := range writes {
		expect[i] = w.Expect
	}
	for range mostConflicts {
		msgs := make([]*nats.Msg, len(sealed))
		for i, w := range sealed {
			msgs[i] = recordMessage(s.subject(tenant, w.Name), w.Value, expect[i])
		}
		rev, err := e.enqueue(ctx, s, commitOf(ctx, msgs))
		if heliograph.KindOf(err) != heliograph.Conflict {
			return rev, err
		}
		// "Must not exist" is true of a record of which a deletion marker is left, but has to be said with the
		// marker's revision.
		again, lookErr := e.expectMarkers(ctx, s, tenant, writes, expect)
		if lookErr != nil {
			return 0, lookErr
		}
		if !again {
			return 0, err
		}
	}
	return 0, conflict(fmt.Errorf("lost %d times in a row", mostConflicts))
}

func checkWrites(tenant heliograph.TenantID, writes []heliograph.Write) error {
	if len(writes) == 0 || len(writes) > MaxWrites {
		return fmt.Errorf("commit: %d writes; there can be 1 to %d", len(writes), MaxWrites)
	}
	names := make(map[string]bool, len(writes))
	for _, w := range writes {
		if err := checkName(tenant, w.Name); err != nil {
			return err
		}
		switch {
		case names[w.Name]:
			return fmt.Errorf("commit: record %s is written twice", w.Name)
		case w.Value == nil && w.Expect == 0:
			return fmt.Errorf("commit: record %s is to be deleted and must not exist", w.Name)
		case len(w.Value) > MaxValue:
			return heliograph.Errorf(heliograph.TooLarge, "engine.value_size", "record %s takes %d bytes; at most %d are kept", w.Name, len(w.Value), MaxValue)
		}
		names[w.Name] = true
	}
	return nil
}

// expectMarkers looks at the records that must not exist, and lets those expect their deletion marker that have
// one. It reports whether that changed anything, so that trying again makes sense.
func (e *Engine) expectMarkers(ctx context.Context, s *shard, tenant heliograph.TenantID, writes []heliograph.Write, expect []uint64) (bool, error) {
	changed := false
	for i, w := range writes {
		if w.Expect != 0 {
			continue
		}
		var revision uint64
		m, err := e.messageOfLeader(ctx, nameOf(s.stream), getRequest{LastFor: s.subject(tenant, w.Name)})
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound): // never there, or the marker is gone by now
		case err != nil:
			return false, fmt.Errorf("commit: %w", err)
		case !isMarker(m.header):
			return false, nil // it exists
		default:
			revision = m.seq
		}
		changed = changed || revision != expect[i]
		expect[i] = revision
	}
	return changed, nil
}

// recordMessage returns the message of one write. A nil value deletes.
func recordMessage(subject string, value []byte, expect uint64) *nats.Msg {
	h := nats.Header{jetstream.ExpectedLastSubjSeqHeader: {strconv.FormatUint(expect, 10)}}
	if value == nil {
		h[operationHeader] = []string{operationDelete}
		h[jetstream.MsgTTLHeader] = []string{markerLife}
	}
	return &nats.Msg{Subject: subject, Header: h, Data: value}
}

// write puts messages into a stream, all of them or none, and returns the sequence of the last.
func (e *Engine) write(ctx context.Context, stream jetstream.Stream, msgs []*nats.Msg) (uint64, error) {
	last := msgs[len(msgs)-1]
	last.Header[jetstream.MsgIDHeader] = []string{nuid.Next()} // by which a try of which nobody heard is known
	for _, name := range []string{batchHeader, batchNumberHeader, batchCommitHeader} {
		delete(last.Header, name) // of a group that it was in before
	}
	done, err := e.persist(ctx, func(ctx context.Context) (*jetstream.PubAck, error) {
		if len(msgs) > 1 {
			if err := e.announce(msgs); err != nil {
				return nil, err
			}
		}
		return e.js.PublishMsg(ctx, last, jetstream.WithRetryAttempts(0))
	})
	if err != nil && done.tries > 1 && heliograph.KindOf(err) == heliograph.Conflict {
		return e.written(ctx, stream, last, err)
	}
	return done.seq, err
}

// announce publishes an atomic batch but for its last message, which commits it. Each try is a batch of its
// own: the server may still hold half of the one before. Nothing is answered: what is wrong with one message
// fails the last.
func (e *Engine) announce(msgs []*nats.Msg) error {
	id := nuid.Next()
	for i, m := range msgs {
		m.Header[batchHeader] = []string{id}
		m.Header[batchNumberHeader] = []string{strconv.Itoa(i + 1)}
		if i == len(msgs)-1 {
			m.Header[batchCommitHeader] = []string{"1"}
		} else if err := e.conn.PublishMsg(m); err != nil {
			return err
		}
	}
	return nil
}

// written finds out whether a conflict is with these very messages, of which an earlier try was stored though
// its answer was lost.
func (e *Engine) written(ctx context.Context, stream jetstream.Stream, last *nats.Msg, cause error) (uint64, error) {
	m, err := e.messageOfLeader(ctx, nameOf(stream), getRequest{LastFor: last.Subject})
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, cause
	}
	if err != nil {
		return 0, err
	}
	if m.header.Get(jetstream.MsgIDHeader) != last.Header.Get(jetstream.MsgIDHeader) {
		return 0, cause
	}
	return m.seq, nil
}
