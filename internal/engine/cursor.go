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
)

// cursor is what was saved last, so that an idle reader costs no write.
type cursor struct {
	mu   sync.Mutex
	next uint64
}

func cursorSubject(partition int) string { return "meta.cursor." + strconv.Itoa(partition) }

// SaveCursor keeps the sequence that the reader of a partition wants next. It costs an fsync when it differs
// from what was saved before: save a few times a second at most.
func (e *Engine) SaveCursor(ctx context.Context, partition int, next uint64) error {
	if partition < 0 || partition >= len(e.partitions) {
		return fmt.Errorf("save cursor: partition %d of %d", partition, len(e.partitions))
	}
	c := &e.partitions[partition].cursor
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.next == next && next != 0 {
		return nil
	}
	c.next = 0 // unknown until it is on disk
	_, err := e.publish(ctx, &nats.Msg{
		Subject: cursorSubject(partition), Header: nats.Header{jetstream.MsgIDHeader: {nuid.Next()}},
		Data: strconv.AppendUint(nil, next, 10),
	})
	if err != nil {
		return fmt.Errorf("save cursor: %w", err)
	}
	c.next = next
	return nil
}

// Cursor returns what was saved for a partition, by whichever node, or 0.
func (e *Engine) Cursor(ctx context.Context, partition int) (uint64, error) {
	m, err := e.message(ctx, e.meta, getRequest{LastFor: cursorSubject(partition)})
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
