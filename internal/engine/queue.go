package engine

import (
	"context"
	"fmt"
	"sync"

	"github.com/nats-io/nats.go"

	"heliograph.dev"
)

// An atomic batch costs several syncs, whatever is in it, and a single write costs one. So commits that wait
// while another is on its way go together, unless they are few and single.
const (
	fewSingles     = 12
	mostGroupBytes = 8 << 20
)

// commitQueue holds the commits of one shard that wait. While there are any, one goroutine writes.
type commitQueue struct {
	mu      sync.Mutex
	waiting []*commit
	busy    bool
}

// commit is one caller's writes.
type commit struct {
	messages []*nats.Msg
	bytes    int
	given    func() error // the caller's context: what it has given up is not begun
	done     chan result  // takes one
}

type result struct {
	rev uint64
	err error
}

func commitOf(ctx context.Context, msgs []*nats.Msg) *commit {
	c := &commit{messages: msgs, given: ctx.Err, done: make(chan result, 1)}
	for _, m := range msgs {
		c.bytes += len(m.Data)
	}
	return c
}

// enqueue waits for c to be written.
func (e *Engine) enqueue(ctx context.Context, s *shard, c *commit) (uint64, error) {
	q := &s.queue
	q.mu.Lock()
	q.waiting = append(q.waiting, c)
	begin := !q.busy
	q.busy = true
	q.mu.Unlock()
	if begin && !e.start(func() { e.writeQueue(s) }) {
		return 0, unavailable(errClosed)
	}
	select {
	case r := <-c.done:
		if r.err != nil {
			return 0, fmt.Errorf("commit: %w", r.err)
		}
		return r.rev, nil
	case <-ctx.Done():
		return 0, fmt.Errorf("commit: %w", ctx.Err())
	case <-e.closed:
		return 0, unavailable(errClosed)
	}
}

// writeQueue writes what waits in a shard's queue until nothing does.
func (e *Engine) writeQueue(s *shard) {
	for {
		group := s.queue.take()
		switch {
		case group == nil:
			return
		case len(group) == 1 || len(group) < fewSingles && size(group) == len(group):
			e.writeEach(s, group)
		default:
			e.writeGroup(s, group)
		}
	}
}

// take removes and returns the next commits that can go together: no two write the same record, and none
// overtakes another that does. When there are none, the queue is idle.
func (q *commitQueue) take() []*commit {
	q.mu.Lock()
	defer q.mu.Unlock()
	var group, rest []*commit
	taken := map[string]bool{} // subjects, of those in the group and of those that stay behind
	writes, bytes := 0, 0
	for i, c := range q.waiting {
		if err := c.given(); err != nil {
			c.done <- result{err: err}
			continue
		}
		if len(group) > 0 && (writes+len(c.messages) > MaxWrites || bytes+c.bytes > mostGroupBytes) {
			rest = append(rest, q.waiting[i:]...)
			break
		}
		clash := false
		for _, m := range c.messages {
			clash = clash || taken[m.Subject]
			taken[m.Subject] = true
		}
		if clash {
			rest = append(rest, c)
			continue
		}
		group = append(group, c)
		writes, bytes = writes+len(c.messages), bytes+c.bytes
	}
	q.waiting = rest
	q.busy = len(group) > 0
	return group
}

func size(group []*commit) int {
	n := 0
	for _, c := range group {
		n += len(c.messages)
	}
	return n
}

// writeEach writes commits one by one.
func (e *Engine) writeEach(s *shard, group []*commit) {
	for _, c := range group {
		rev, err := e.write(e.life, s.stream, c.messages)
		c.done <- result{rev, err}
	}
}

// writeGroup writes commits as one. A conflict of one fails all, so they are written one by one then.
func (e *Engine) writeGroup(s *shard, group []*commit) {
	msgs := make([]*nats.Msg, 0, size(group))
	for _, c := range group {
		msgs = append(msgs, c.messages...)
	}
	rev, err := e.write(e.life, s.stream, msgs)
	if heliograph.KindOf(err) == heliograph.Conflict {
		e.writeEach(s, group)
		return
	}
	rev -= uint64(len(msgs)) // before the first
	for _, c := range group {
		rev += uint64(len(c.messages))
		c.done <- result{rev, err}
	}
}
