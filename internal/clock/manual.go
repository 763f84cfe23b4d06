package clock

import (
	"container/heap"
	"sync"
	"time"
)

// Manual is a clock that stands still until it is moved. It wakes waiters in the order of their moments, each
// at exactly its moment: a waiter that looks at Now sees the time it asked for.
type Manual struct {
	mu     sync.Mutex
	now    time.Time
	timers timers
	made   uint64
}

// NewManual returns a clock that stands at t.
func NewManual(t time.Time) *Manual { return &Manual{now: t} }

// Now returns where the clock stands.
func (m *Manual) Now() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

// At calls wake when the clock is moved to t or past it.
func (m *Manual) At(t time.Time, wake func()) func() bool {
	m.mu.Lock()
	if !t.After(m.now) {
		m.mu.Unlock()
		wake()
		return func() bool { return false }
	}
	m.made++
	tm := &timer{at: t, order: m.made, wake: wake}
	heap.Push(&m.timers, tm)
	m.mu.Unlock()
	return func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		if tm.index < 0 {
			return false
		}
		heap.Remove(&m.timers, tm.index)
		return true
	}
}

// Advance moves the clock by d.
func (m *Manual) Advance(d time.Duration) { m.Set(m.Now().Add(d)) }

// Set moves the clock forward to t, waking on the way whoever waits for a moment up to it. It never moves back.
func (m *Manual) Set(t time.Time) {
	for {
		m.mu.Lock()
		if len(m.timers) == 0 || m.timers[0].at.After(t) {
			if t.After(m.now) {
				m.now = t
			}
			m.mu.Unlock()
			return
		}
		tm, _ := heap.Pop(&m.timers).(*timer)
		if tm.at.After(m.now) {
			m.now = tm.at
		}
		m.mu.Unlock()
		tm.wake()
	}
}

type timer struct {
	at    time.Time
	order uint64 // of two for the same moment, the one asked for first wakes first
	index int    // in the heap, -1 once out
	wake  func()
}

// timers is a heap, the next to wake first.
type timers []*timer

func (t timers) Len() int { return len(t) }
func (t timers) Less(i, j int) bool {
	if t[i].at.Equal(t[j].at) {
		return t[i].order < t[j].order
	}
	return t[i].at.Before(t[j].at)
}

func (t timers) Swap(i, j int) {
	t[i], t[j] = t[j], t[i]
	t[i].index, t[j].index = i, j
}

// Push is for container/heap.
func (t *timers) Push(x any) {
	tm, _ := x.(*timer)
	tm.index = len(*t)
	*t = append(*t, tm)
}

// Pop is for container/heap.
func (t *timers) Pop() any {
	old := *t
	tm := old[len(old)-1]
	old[len(old)-1] = nil
	tm.index = -1
	*t = old[:len(old)-1]
	return tm
}
