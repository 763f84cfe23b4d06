package deliver

import (
	"context"
	"sync"

	"heliograph.dev"
)

// mostReleased is how many holds of one endpoint are drained at a time.
const mostReleased = 4

// gates let a few at a time pass to an endpoint, first come first served.
type gates struct {
	mu     sync.Mutex
	inside map[heliograph.Endpoint]*gate
}

type gate struct {
	passed  int
	waiting []chan struct{}
}

// enter waits for a place. It answers false when ctx ends first.
func (g *gates) enter(ctx context.Context, endpoint heliograph.Endpoint) bool {
	g.mu.Lock()
	at := g.inside[endpoint]
	if at == nil {
		at = &gate{}
		if g.inside == nil {
			g.inside = map[heliograph.Endpoint]*gate{}
		}
		g.inside[endpoint] = at
	}
	if at.passed < mostReleased {
		at.passed++
		g.mu.Unlock()
		return true
	}
	turn := make(chan struct{})
	at.waiting = append(at.waiting, turn)
	g.mu.Unlock()
	select {
	case <-turn:
		return true
	case <-ctx.Done(): // for good: nobody needs the place that it may have been given
		return false
	}
}

// leave gives the place to whoever has waited longest.
func (g *gates) leave(endpoint heliograph.Endpoint) {
	g.mu.Lock()
	defer g.mu.Unlock()
	at := g.inside[endpoint]
	if len(at.waiting) > 0 {
		close(at.waiting[0])
		at.waiting = at.waiting[1:]
		return
	}
	if at.passed--; at.passed == 0 {
		delete(g.inside, endpoint)
	}
}
