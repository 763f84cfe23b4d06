package deliver

import (
	"maps"

	"heliograph.dev"
)

// progress is what the drains of a lane have done of its backlog since it was parked: the next one goes on there.
type progress struct {
	message uint64 // the one being delivered
	next    int    // the first of its references that needs work
	ahead   map[place]bool
	// told are notifications that were delivered and may come once more: from the backlog, or from memory behind it.
	told map[toldKey]struct{}
}

// place is where a reference stands in the backlog.
type place struct {
	message uint64
	index   int
}

// toldKey names one notification. It is not the newest per subscription that counts: what follows a subscription from
// another endpoint, or is sent again, stands in a backlog in the order of its coming.
type toldKey struct {
	sub heliograph.SubscriptionID
	at  heliograph.Position
}

// mostTold bounds what is remembered to have been told. Beyond it, something may be told twice.
const mostTold = 1 << 16

// batch are notifications of one message that go into one POST.
type batch struct {
	items []pending
	at    []int // their references' places in the message
	end   int   // the place behind them
}

// at turns to a message.
func (g *progress) at(message uint64) {
	if g.message != message {
		g.message, g.next = message, 0
		maps.DeleteFunc(g.ahead, func(p place, _ bool) bool { return p.message < message })
	}
}

// pass notes that the reference at a place, of the message being delivered or behind it, needs no more work.
func (g *progress) pass(at place) {
	if g.ahead == nil {
		g.ahead = map[place]bool{}
	}
	g.ahead[at] = true
}

// passed reports whether the reference at an index of the message being delivered needs no more work.
func (g *progress) passed(index int) bool { return g.ahead[place{g.message, index}] }

// skipPassed moves next to the first reference that needs work.
func (g *progress) skipPassed() {
	for g.passed(g.next) {
		delete(g.ahead, place{g.message, g.next})
		g.next++
	}
}

// skip notes of a batch whose POST failed what needs no other attempt: failed does, in the batch's order.
func (g *progress) skip(b *batch, failed []pending) {
	for i := range b.items {
		if len(failed) > 0 && failed[0].key() == b.items[i].key() {
			failed = failed[1:]
			continue
		}
		g.pass(place{g.message, b.at[i]})
	}
}

func (g *progress) tell(p *pending) {
	if g.told == nil || len(g.told) >= mostTold {
		g.told = map[toldKey]struct{}{}
	}
	g.told[p.key()] = struct{}{}
}

func (g *progress) has(p *pending) bool {
	_, told := g.told[p.key()]
	return told
}

func (p *pending) key() toldKey { return toldKey{p.sub, p.position()} }
