package receiver

import (
	"context"
	"sync"
)

// queue runs what waits behind answers, one after the other. Its goroutine lives while there is something to do, so
// that a Handler that nobody closes leaves nothing behind.
type queue struct {
	mu      sync.Mutex
	waiting []work
	size    int64         // of what waits and of what runs
	idle    chan struct{} // closed when the goroutine ends; nil when there is none
	closed  bool
}

type work struct {
	size int64
	do   func()
}

// add takes work unless that is more than limit together with what is there, or the queue is closed. Work that is too
// large by itself is taken when there is nothing else.
func (q *queue) add(size, limit int64, do func()) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || q.size > 0 && q.size+size > limit {
		return false
	}
	q.size += size
	q.waiting = append(q.waiting, work{size, do})
	if q.idle == nil {
		q.idle = make(chan struct{})
		go q.run()
	}
	return true
}

func (q *queue) run() {
	for {
		q.mu.Lock()
		if len(q.waiting) == 0 {
			close(q.idle)
			q.idle = nil
			q.mu.Unlock()
			return
		}
		next := q.waiting[0]
		q.waiting[0] = work{}
		q.waiting = q.waiting[1:]
		q.mu.Unlock()

		next.do()

		q.mu.Lock()
		q.size -= next.size
		q.mu.Unlock()
	}
}

// close takes no more work and waits until there is none, or for ctx.
func (q *queue) close(ctx context.Context) error {
	q.mu.Lock()
	q.closed = true
	idle := q.idle
	q.mu.Unlock()
	if idle == nil {
		return nil
	}
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
