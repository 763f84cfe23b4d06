package deliver

import (
	"time"

	"heliograph.dev/internal/health"
)

// Levels are how much delivery has under way.
type Levels struct {
	Unread             int64 // changes that were accepted since the start and are not yet read
	Frames, FrameBytes int   // of the log that are read and not done with
	// Undelivered is how long ago the oldest change was accepted that is read and neither delivered nor on disk for
	// its endpoint.
	Undelivered time.Duration
	Pending     int // notifications in memory that wait for a POST
	Flights     int // POSTs under way, but for those of backlogs
	Live        int // endpoints whose notifications go out at once
	Parked      int // endpoints whose notifications wait on disk
	Apart       int // subscriptions whose notifications their endpoints refuse while they take others: they wait on disk
	Held        int // paused subscriptions whose notifications wait on disk
	Parking     int // notifications that are about to be written there
	// Overdue is how long ago the first notification was due of those that wait on disk.
	Overdue time.Duration
	// Health counts the endpoints of each state.
	Health [health.Dropping + 1]int
}

// Add adds what others have under way.
func (v *Levels) Add(o Levels) {
	v.Unread += o.Unread
	v.Frames, v.FrameBytes = v.Frames+o.Frames, v.FrameBytes+o.FrameBytes
	v.Undelivered, v.Overdue = max(v.Undelivered, o.Undelivered), max(v.Overdue, o.Overdue)
	v.Pending, v.Flights, v.Parking = v.Pending+o.Pending, v.Flights+o.Flights, v.Parking+o.Parking
	v.Live, v.Parked, v.Apart, v.Held = v.Live+o.Live, v.Parked+o.Parked, v.Apart+o.Apart, v.Held+o.Held
	for i := range o.Health {
		v.Health[i] += o.Health[i]
	}
}

// Levels counts what is under way. It looks at each endpoint that had something to do lately, one after the other:
// that is for a metric now and then. It is to be called after Start.
func (d *Dispatcher) Levels() Levels {
	now := d.now()
	v := Levels{Unread: max(0, d.unread.Load())}
	for _, r := range d.readers {
		v.addFrames(r.tracker, now)
	}
	for _, l := range d.allLanes() {
		v.addLane(l, now)
	}
	return v
}

func (d *Dispatcher) allLanes() []*lane {
	d.lanes.mu.RLock()
	defer d.lanes.mu.RUnlock()
	all := make([]*lane, 0, len(d.lanes.byURL))
	for _, l := range d.lanes.byURL {
		all = append(all, l)
	}
	return all
}

func (v *Levels) addFrames(t *tracker, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	v.Frames += len(t.inFlight)
	v.FrameBytes += t.bytes
	if len(t.inFlight) == 0 {
		return
	}
	if first := t.inFlight[0]; len(first.Changes) > 0 {
		v.Undelivered = max(v.Undelivered, now.Sub(first.Changes[0].Accepted))
	}
}

func (v *Levels) addLane(l *lane, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	v.Pending += l.pending
	v.Parking += len(l.waiting)
	v.Flights += l.flights
	if l.isHold() {
		if l.parked {
			v.Held++
		}
		return
	}
	if l.main != nil {
		v.Apart++
		v.Overdue = max(v.Overdue, now.Sub(l.oldest))
		return
	}
	if l.parked {
		v.Parked++
		v.Overdue = max(v.Overdue, now.Sub(l.oldest))
	} else {
		v.Live++
	}
	state, _, _ := l.health.State()
	v.Health[state]++
}
