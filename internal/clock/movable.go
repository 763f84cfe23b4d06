package clock

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Movable is a clock that a developer moves: it can be set forward, stand still, and run faster or slower than the
// machine's. It never goes back. What a move promises is in the package's comment; between moves it wakes whoever's
// moment has come, in the order of the moments, and waits for nobody.
//
// Its methods may be called concurrently; moves take turns.
type Movable struct {
	real  Clock
	keep  func(Position) error
	signs []Sign
	turn  chan struct{} // of capacity 1: held by whoever changes how the clock goes
	work  atomic.Int64

	mu       sync.Mutex
	position Position
	moving   bool // it stands, whatever its speed
	timers   timers
	made     uint64
	waking   bool // somebody wakes those whose moment has come
	disarm   func() bool
}

// Position says how a clock goes: it said At when the machine's clock said Since, and has gone at Speed since. The zero
// value is the machine's own time.
type Position struct {
	At    time.Time `json:"at"`
	Since time.Time `json:"since"`
	Speed float64   `json:"speed"` // 0: it stands still
}

// now is what the clock says when the machine's says real.
func (p Position) now(real time.Time) time.Time {
	passed := real.Sub(p.Since)
	if p.Speed != 1 {
		passed = time.Duration(float64(passed) * p.Speed)
	}
	return p.At.Add(max(0, passed))
}

// Sign tells a move what a part of the server does. Signs are looked at in their order: work goes from the parts of
// earlier ones to those of later ones.
type Sign struct {
	// Busy reports whether something is under way that time must not run ahead of.
	Busy func() bool
	// Told counts what others were told: Move.Pause is for them. It may be nil.
	Told func() uint64
}

// MovableOptions say how a clock begins.
type MovableOptions struct {
	Position Position
	// Keep writes down how the clock goes, before it goes so: what happens at a moment can rely on it that the clock
	// will not be earlier again. Nil: nothing is kept.
	Keep func(Position) error
	// Real is the machine's clock; nil is System.
	Real Clock
}

// The limits of a clock.
const (
	MaxSpeed = 100_000
	maxYear  = 2200
	// settleMost is how long a moment is given, in real time, until what was begun is done: longer than any
	// notification takes. Time goes on then, and the move tells of it.
	settleMost  = 40 * time.Second
	settleFirst = 50 * time.Microsecond
	settlePause = 5 * time.Millisecond
)

// Why a clock does not do what was asked.
var (
	ErrBackwards = errors.New("the clock never goes back")
	ErrTooFar    = fmt.Errorf("the clock does not go beyond the year %d", maxYear)
	ErrSpeed     = fmt.Errorf("a speed is above 0 and at most %d", MaxSpeed)
)

// NewMovable returns a clock that goes on from a position.
func NewMovable(o MovableOptions) *Movable {
	if o.Real == nil {
		o.Real = System()
	}
	if o.Keep == nil {
		o.Keep = func(Position) error { return nil }
	}
	if o.Position.At.IsZero() {
		now := o.Real.Now().Round(0)
		o.Position = Position{At: now, Since: now, Speed: 1}
	}
	return &Movable{real: o.Real, keep: o.Keep, position: o.Position, turn: make(chan struct{}, 1)}
}

// Watch adds signs. It is to be called before the first move.
func (m *Movable) Watch(signs ...Sign) { m.signs = append(m.signs, signs...) }

// Work tells that somebody works: a move does not go on until done is called, which is to happen once.
func (m *Movable) Work() (done func()) {
	m.work.Add(1)
	return func() { m.work.Add(-1) }
}

// Now returns what the clock says.
func (m *Movable) Now() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.nowLocked()
}

// nowLocked goes by the wall, as files and other programs on the machine do.
func (m *Movable) nowLocked() time.Time {
	if m.moving || m.position.Speed == 0 {
		return m.position.At
	}
	return m.position.now(m.real.Now().Round(0))
}

// At calls wake when the clock reaches t.
func (m *Movable) At(t time.Time, wake func()) func() bool {
	m.mu.Lock()
	if !t.After(m.nowLocked()) {
		m.mu.Unlock()
		wake()
		return func() bool { return false }
	}
	m.made++
	tm := &timer{at: t, order: m.made, wake: wake}
	heap.Push(&m.timers, tm)
	if m.timers[0] == tm {
		m.armLocked()
	}
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

// armLocked asks the machine's clock to wake for the first moment that somebody waits for.
func (m *Movable) armLocked() {
	if m.disarm != nil {
		m.disarm()
		m.disarm = nil
	}
	if m.moving || m.waking || m.position.Speed == 0 || len(m.timers) == 0 {
		return
	}
	ahead := m.timers[0].at.Sub(m.nowLocked())
	if m.position.Speed != 1 { // up to the next nanosecond: woken a moment early, it would be woken for nothing
		ahead = time.Duration(float64(ahead)/m.position.Speed) + 1
	}
	m.disarm = m.real.At(m.real.Now().Add(ahead), func() { go m.wakeDue() })
}

// wakeDue wakes those whose moment has come, one after the other.
func (m *Movable) wakeDue() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.waking || m.moving {
		return
	}
	m.waking = true
	for !m.moving && len(m.timers) > 0 && !m.timers[0].at.After(m.nowLocked()) {
		tm, _ := heap.Pop(&m.timers).(*timer)
		m.mu.Unlock()
		tm.wake()
		m.mu.Lock()
	}
	m.waking = false
	m.armLocked()
}

// Reading is how a clock stands.
type Reading struct {
	Now, Real time.Time
	Speed     float64 // 0 when it stands still
	// Next is the next moment that somebody in the server waits for; zero when nobody waits.
	Next time.Time
}

// Offset is how far the clock is ahead of the machine's.
func (r Reading) Offset() time.Duration { return r.Now.Sub(r.Real) }

// Read returns how the clock stands.
func (m *Movable) Read() Reading {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := Reading{Now: m.nowLocked(), Real: m.real.Now().Round(0), Speed: m.position.Speed}
	if len(m.timers) > 0 {
		r.Next = m.timers[0].at
	}
	return r
}

// SetSpeed lets the clock run at a speed from now on; at 0 it stands still.
func (m *Movable) SetSpeed(ctx context.Context, speed float64) error {
	if !(speed >= 0 && speed <= MaxSpeed) { // and not NaN
		return ErrSpeed
	}
	if err := m.take(ctx); err != nil {
		return err
	}
	defer func() { <-m.turn }()
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.goLocked(m.nowLocked(), speed)
}

func (m *Movable) take(ctx context.Context) error {
	select {
	case m.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// goLocked writes down that the clock goes on from a moment at a speed, and lets it.
func (m *Movable) goLocked(at time.Time, speed float64) error {
	next := Position{At: at, Since: m.real.Now().Round(0), Speed: speed}
	if err := m.keep(next); err != nil {
		return fmt.Errorf("keep the clock's position: %w", err)
	}
	m.position = next
	m.armLocked()
	return nil
}

// Move says how a clock is to be moved.
type Move struct {
	// To is where it is moved; when that is zero, By from now.
	To time.Time
	By time.Duration
	// Pause is how long, in real time, a moment lasts at which others were told something: they may answer it.
	Pause time.Duration
}

// Moved says how a move went.
type Moved struct {
	// To is where the clock was to be moved: it is there unless the move was interrupted.
	To time.Time
	// Woken counts those who were woken on the way, Hasty the times when the clock went on although what was begun was
	// not done, since it took too long.
	Woken, Hasty int
}

// Move moves the clock. When ctx ends first it stays where it is, and its error is returned; a move to Moved.To goes on
// from there.
func (m *Movable) Move(ctx context.Context, to Move) (Moved, error) {
	if err := m.take(ctx); err != nil {
		return Moved{To: to.To}, err
	}
	defer func() { <-m.turn }()
	moved, err := m.begin(to)
	if err != nil {
		return moved, err
	}
	err = m.walk(ctx, to.Pause, &moved)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.moving = false
	return moved, errors.Join(err, m.goLocked(m.position.At, m.position.Speed))
}

// begin stops the clock for a move.
func (m *Movable) begin(to Move) (Moved, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.nowLocked()
	moved := Moved{To: to.To}
	if moved.To.IsZero() {
		moved.To = now.Add(to.By)
	}
	switch {
	case moved.To.Before(now):
		return moved, ErrBackwards
	case moved.To.Year() > maxYear:
		return moved, ErrTooFar
	}
	moved.To = moved.To.UTC()
	m.position.At, m.moving = now, true
	m.armLocked()
	return moved, nil
}

// walk goes from one moment that somebody waits for to the next.
func (m *Movable) walk(ctx context.Context, pause time.Duration, moved *Moved) error {
	if err := m.settle(ctx, 0, m.told(), moved); err != nil { // what is under way belongs to the moment at which it began
		return err
	}
	for {
		tm, err := m.step(moved.To)
		if tm == nil || err != nil {
			return err
		}
		before := m.told()
		tm.wake()
		moved.Woken++
		if err := m.settle(ctx, pause, before, moved); err != nil {
			return err
		}
	}
}

// step goes to the first moment up to the end that somebody waits for, and returns who does; nil when it is at the end.
func (m *Movable) step(end time.Time) (*timer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := end
	waited := len(m.timers) > 0 && !m.timers[0].at.After(end)
	if waited {
		at = m.timers[0].at
	}
	if at.After(m.position.At) {
		if err := m.goLocked(at, m.position.Speed); err != nil {
			return nil, err
		}
	}
	if !waited {
		return nil, nil //nolint:nilnil // documented: nobody
	}
	tm, _ := heap.Pop(&m.timers).(*timer)
	return tm, nil
}

// settle waits until what was begun is done and, while others are told more than before, for the pause that they are
// given.
func (m *Movable) settle(ctx context.Context, pause time.Duration, before uint64, moved *Moved) error {
	until := m.real.Now().Add(settleMost)
	for {
		for wait := settleFirst; m.busy(); wait = min(2*wait, settlePause) {
			if m.real.Now().After(until) {
				moved.Hasty++
				return nil
			}
			if err := Sleep(ctx, m.real, wait); err != nil {
				return err
			}
		}
		told := m.told()
		if pause == 0 || told == before || m.real.Now().After(until) {
			return ctx.Err()
		}
		before = told
		if err := Sleep(ctx, m.real, pause); err != nil {
			return err
		}
	}
}

// busy looks twice: what the last sign's part hands back to the first one's while they are looked at is seen then.
func (m *Movable) busy() bool {
	for range 2 {
		if m.work.Load() > 0 {
			return true
		}
		for _, s := range m.signs {
			if s.Busy() {
				return true
			}
		}
	}
	return false
}

func (m *Movable) told() (n uint64) {
	for _, s := range m.signs {
		if s.Told != nil {
			n += s.Told()
		}
	}
	return n
}
