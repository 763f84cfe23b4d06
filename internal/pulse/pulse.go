// Package pulse remembers how a server did over the last half hour, so that a person sees at a glance whether it works:
// what came in, what was delivered, what failed and how long it took, in steps of ten seconds; and how each endpoint
// was at each of them. Metrics know more and keep it longer, where somebody collects them; this is there without.
//
// It is kept in memory and bounded: Steps steps, and of Endpoints endpoints as many points, some 6 MB when all is full.
// Time is the server's clock: when that is moved, what lies too far behind is forgotten.
//
// A Book is one of delivery's observers. Its methods may be called concurrently; telling it of a POST takes one lock
// for a moment.
package pulse

import (
	"math"
	"sync"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/deliver"
)

// Limits bound a Book.
type Limits struct {
	Step      time.Duration
	Steps     int
	Endpoints int
}

// DefaultLimits are half an hour.
func DefaultLimits() Limits { return Limits{Step: 10 * time.Second, Steps: 180, Endpoints: 500} }

// Step is what happened in one step of time.
type Step struct {
	At      time.Time // its beginning
	Changes int       // that were read from the log
	// Delivered are notifications that receivers have, Failed those of POSTs that failed, each time anew.
	Delivered, Failed int
	GivenUp           int
	// Median and Late are how long notifications took from 202 to the receiver's answer: half of them and 95 of 100
	// were faster. Zero when there were none.
	Median, Late time.Duration
}

// Book remembers.
type Book struct {
	limits Limits
	now    func() time.Time

	mu        sync.Mutex
	steps     []tally
	endpoints map[heliograph.Endpoint]*history
}

// tally counts a step.
type tally struct {
	number                              int64 // since the epoch
	changes, delivered, failed, givenUp int
	delays                              delays
}

// New returns an empty book. now is the server's clock.
func New(limits Limits, now func() time.Time) *Book {
	return &Book{limits: limits, now: now, steps: make([]tally, limits.Steps), endpoints: map[heliograph.Endpoint]*history{}}
}

// Steps returns the steps in which something happened, the oldest first.
func (b *Book) Steps() []Step {
	b.mu.Lock()
	defer b.mu.Unlock()
	newest := b.number(b.now())
	var out []Step
	for n := newest - int64(len(b.steps)) + 1; n <= newest; n++ {
		t := &b.steps[n%int64(len(b.steps))]
		if t.number != n {
			continue
		}
		out = append(out, Step{
			At: time.Unix(0, n*int64(b.limits.Step)).UTC(), Changes: t.changes, Delivered: t.delivered, Failed: t.failed, GivenUp: t.givenUp,
			Median: t.delays.quantile(0.5), Late: t.delays.quantile(0.95),
		})
	}
	return out
}

// Delays are how long notifications took over all steps, as Median and Late of a Step.
func (b *Book) Delays() (median, late time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	newest := b.number(b.now())
	var all delays
	for i := range b.steps {
		if t := &b.steps[i]; t.number > newest-int64(len(b.steps)) && t.number <= newest {
			all.merge(&t.delays)
		}
	}
	return all.quantile(0.5), all.quantile(0.95)
}

// StepLength is how long a step is, and how many there are.
func (b *Book) StepLength() (each time.Duration, most int) { return b.limits.Step, b.limits.Steps }

func (b *Book) number(t time.Time) int64 { return t.UnixNano() / int64(b.limits.Step) }

// tallyLocked returns the step of now.
func (b *Book) tallyLocked() *tally {
	n := b.number(b.now())
	t := &b.steps[n%int64(len(b.steps))]
	if t.number != n {
		*t = tally{number: n}
	}
	return t
}

// Matched counts changes.
func (b *Book) Matched(changes, _ int, _ time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tallyLocked().changes += changes
}

// Attempted counts the notifications of a POST.
func (b *Book) Attempted(attempt *heliograph.Attempt, notifications []deliver.Notification) {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.tallyLocked()
	if !attempt.OK() {
		t.failed += len(notifications)
		return
	}
	t.delivered += len(notifications)
	ended := attempt.Started.Add(attempt.Took)
	for i := range notifications {
		t.delays.add(ended.Sub(notifications[i].Accepted))
	}
}

// GivenUp counts a notification that will not be delivered.
func (b *Book) GivenUp(heliograph.Endpoint, deliver.Notification, heliograph.Reason) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tallyLocked().givenUp++
}

// Parked says nothing: Sample sees it.
func (*Book) Parked(heliograph.Endpoint, int, heliograph.Reason) {}

// Backlog says nothing.
func (*Book) Backlog(heliograph.Endpoint, int, int) {}

// Resumed says nothing: Sample sees it.
func (*Book) Resumed(heliograph.Endpoint, time.Duration) {}

// delays counts durations by their size, four classes to each doubling, from a microsecond on.
type delays struct {
	classes [128]uint32
	count   uint32
}

func (d *delays) add(delay time.Duration) {
	class := 0
	if us := delay.Microseconds(); us > 1 {
		class = min(int(4*math.Log2(float64(us))), len(d.classes)-1)
	}
	d.classes[class]++
	d.count++
}

func (d *delays) merge(other *delays) {
	for class, n := range other.classes {
		d.classes[class] += n
	}
	d.count += other.count
}

// quantile returns the middle of the class in which the share is reached.
func (d *delays) quantile(share float64) time.Duration {
	if d.count == 0 {
		return 0
	}
	rest := int64(math.Ceil(share * float64(d.count)))
	for class, n := range d.classes {
		if rest -= int64(n); rest <= 0 {
			return time.Duration(math.Exp2((float64(class)+0.5)/4) * float64(time.Microsecond))
		}
	}
	return 0
}
