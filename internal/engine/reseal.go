package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"heliograph.dev"
)

const (
	resealWrites = 256 // records in one commit: those of callers go in between
	resealBytes  = 1 << 20
)

// Stale reports whether a record was met, by Open or a watch, that an older key than the newest has sealed.
func (e *Engine) Stale() bool { return e.stale.Load() }

// Reseal seals the records anew that an older key has sealed, and returns how many there were. Frames and parked lists
// are left as they are: they go within the time that the log is kept.
func (e *Engine) Reseal(ctx context.Context) (int, error) {
	total := 0
	for _, s := range e.shards {
		n, err := e.resealShard(ctx, s)
		total += n
		if err != nil {
			return total, fmt.Errorf("seal records anew: %w", err)
		}
	}
	kept, revision, err := e.settings(ctx)
	if err == nil && e.vault.Stale(kept.Witness) {
		err = e.keep(ctx, kept, revision)
	}
	if err != nil && heliograph.KindOf(err) != heliograph.Conflict { // else another node did it
		return total, fmt.Errorf("seal records anew: %w", err)
	}
	return total, nil
}

func (e *Engine) resealShard(ctx context.Context, s *shard) (int, error) {
	t := e.newTail(s.stream, jetstream.ConsumerConfig{}, 0, watchAhead, watchAheadBytes)
	defer t.close() //nolint:contextcheck // cleans up whether or not ctx is over
	if _, _, err := t.open(ctx); err != nil {
		return 0, err
	}
	total := 0
	for end := t.end; t.last < end; {
		msgs, over, err := e.staleRecords(ctx, t, end)
		if err != nil {
			return total, err
		}
		if err := e.replace(ctx, s, msgs); err != nil {
			return total, err
		}
		if total += len(msgs); over {
			break
		}
	}
	return total, nil
}

// staleRecords reads on until it has a commit's worth of records to write, and returns them sealed anew. It answers
// true when there are no more.
func (e *Engine) staleRecords(ctx context.Context, t *tail, end uint64) ([]*nats.Msg, bool, error) {
	var msgs []*nats.Msg
	for bytes := 0; len(msgs) < resealWrites && bytes < resealBytes && t.last < end; {
		msg, meta, err := t.next(ctx, watchLinger)
		if errors.Is(err, errNothing) {
			over, err := t.caughtUp(ctx)
			if err != nil || over {
				return msgs, over, err
			}
			continue
		}
		if err != nil {
			return nil, false, err
		}
		if isMarker(msg.Headers()) || !e.vault.Stale(msg.Data()) {
			continue
		}
		value, err := e.vault.OpenInPlace(msg.Data(), msg.Subject())
		if err != nil {
			if heliograph.KindOf(err) == heliograph.Unavailable {
				return nil, false, err
			}
			continue // nobody can read it; a watch has told
		}
		if value, err = e.vault.Seal([]byte{}, value, msg.Subject()); err != nil {
			return nil, false, err
		}
		msgs = append(msgs, recordMessage(msg.Subject(), value, meta.Sequence.Stream))
		bytes += len(value)
	}
	return msgs, false, nil
}

// replace writes records where they have not changed meanwhile. What has changed is sealed with the newest key
// already.
func (e *Engine) replace(ctx context.Context, s *shard, msgs []*nats.Msg) error {
	if len(msgs) == 0 {
		return nil
	}
	_, err := e.enqueue(ctx, s, commitOf(ctx, msgs))
	if heliograph.KindOf(err) != heliograph.Conflict {
		return err
	}
	if len(msgs) == 1 {
		return nil
	}
	for _, m := range msgs {
		if err := e.replace(ctx, s, []*nats.Msg{m}); err != nil {
			return err
		}
	}
	return nil
}
