package pulse

import (
	"cmp"
	"slices"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/deliver"
	"heliograph.dev/internal/health"
)

// Point is how an endpoint was at a moment.
type Point struct {
	At           time.Time
	State        health.State
	Answers      int
	Late, Beyond float64 // shares of the answers
	Failures     int     // in a row
	Pending      int     // in memory
	Parked       bool
}

// History is how an endpoint was, the oldest point first.
type History struct {
	Endpoint heliograph.Endpoint
	Points   []Point
}

type history struct {
	points []Point
	seen   int64 // the number of the step in which it was last there
}

// Sample notes how the endpoints are now. Of an endpoint that nothing is known of any more, the points stay until
// they are too old. When there are too many endpoints, new ones are not looked at.
func (b *Book) Sample(endpoints []deliver.Endpoint) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	n := b.number(now)
	for i := range endpoints {
		e := &endpoints[i]
		h := b.endpoints[e.URL]
		if h == nil {
			if len(b.endpoints) >= b.limits.Endpoints {
				continue
			}
			h = &history{}
			b.endpoints[e.URL] = h
		}
		if last := len(h.points) - 1; last >= 0 && h.seen == n { // the clock stands, or is slow
			h.points = h.points[:last]
		}
		h.seen = n
		if len(h.points) == b.limits.Steps {
			h.points = append(h.points[:0], h.points[1:]...)
		}
		h.points = append(h.points, Point{
			At: now, State: e.State, Answers: e.Shares.Answers, Late: e.Shares.Late, Beyond: e.Shares.Beyond,
			Failures: e.Failures, Pending: e.Pending, Parked: e.Parked,
		})
	}
	for url, h := range b.endpoints {
		if h.seen+int64(b.limits.Steps) <= n {
			delete(b.endpoints, url)
		}
	}
}

// Histories returns how the endpoints were, in the order of their URLs.
func (b *Book) Histories() []History {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]History, 0, len(b.endpoints))
	for url, h := range b.endpoints {
		out = append(out, History{Endpoint: url, Points: slices.Clone(h.points)})
	}
	slices.SortFunc(out, func(a, b History) int { return cmp.Compare(a.Endpoint, b.Endpoint) })
	return out
}
