package deliver

import (
	"sync"
	"sync/atomic"
)

// underWay is what a clock that is moved waits for.
type underWay struct {
	drains atomic.Int64 // whose moment has come
	posts  atomic.Uint64

	mu    sync.Mutex
	ahead map[int]extent // by partition
}

// extent is how far a partition's log goes, and how far it was read.
type extent struct{ appended, read uint64 }

func (u *underWay) appended(partition int, sequence uint64) {
	u.extend(partition, extent{appended: sequence})
}

func (u *underWay) read(partition int, sequence uint64) { u.extend(partition, extent{read: sequence}) }

func (u *underWay) extend(partition int, by extent) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.ahead == nil {
		u.ahead = make(map[int]extent)
	}
	at := u.ahead[partition]
	u.ahead[partition] = extent{max(at.appended, by.appended), max(at.read, by.read)}
}

func (u *underWay) unread() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, at := range u.ahead {
		if at.read < at.appended {
			return true
		}
	}
	return false
}

// Busy reports whether anything is under way: a change that was accepted and is neither delivered to all who want it,
// nor on disk for them, nor given up; or a backlog whose moment has come. What waits for a later moment is not.
func (d *Dispatcher) Busy() bool {
	if d.under.unread() {
		return true
	}
	for _, r := range d.readers {
		if r.tracker.busy() {
			return true
		}
	}
	return d.under.drains.Load() > 0
}

// Posts is how many POSTs have come to their end.
func (d *Dispatcher) Posts() uint64 { return d.under.posts.Load() }

func (t *tracker) busy() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.inFlight) > 0
}
