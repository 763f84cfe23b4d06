package match

import (
	"math"
	"sync"

	"heliograph.dev"
)

// What a memory may hold: with both bounds reached it takes about half a megabyte.
const (
	maxInside = 16 << 10 // items that meet the filter
	maxStays  = 1 << 10  // earlier stays
)

// place is a position of the log in one number. A frame is too small for a million changes.
type place uint64

func placeOf(p heliograph.Position) place { return place(p.Sequence<<20 | uint64(p.Index)) }

// forever is a place that no change comes to.
const forever place = math.MaxUint64

// memory knows which items met a filter, and from which change of the log on. It notes change by change, in the
// order of the log; a change that it has noted already changes nothing. About a place it answers as if only what
// stands before it had happened: so a change that is judged again gets the same verdict.
type memory struct {
	mu      sync.Mutex
	through place            // the last change that was noted
	inside  map[uint64]place // items that meet the filter, and since which change
	// stays are the latest; when there are maxStays, next is the oldest.
	stays []stay
	next  int
	full  bool // an item came to meet the filter for which there was no room
	// forgotten is the end of the last stay that was dropped: of what stands behind it, nothing is missing.
	forgotten place
}

// stay says that an item met the filter from one change on and no longer from another on. One of no length says that
// it did not meet it there; one that does not end is of an item for which there was no room.
type stay struct {
	item         uint64
	since, until place
}

// known is what a memory knows of an item.
type known uint8

const (
	outside known = iota
	inside
	unknown // it was forgotten, or never known
)

// see says what was known of the item before a place, and, if it is to be noted, notes whether it meets the filter
// from there on. whole says that all of the subscription's life was noted: an item of which nothing is known is
// outside then.
func (m *memory) see(item uint64, at place, meets, whole, note bool) known {
	m.mu.Lock()
	defer m.mu.Unlock()
	was := m.before(item, at, whole)
	if !note || at <= m.through {
		return was
	}
	m.through = at
	switch {
	case meets && was != inside:
		m.enter(item, at)
	case !meets && was != outside:
		m.leave(item, at)
	}
	return was
}

func (m *memory) before(item uint64, at place, whole bool) known {
	if since, ok := m.inside[item]; ok && since < at {
		return inside
	}
	whole = whole && !m.full
	if at > m.through && whole {
		return outside
	}
	for i := range m.stays {
		s := &m.stays[(m.next+len(m.stays)-1-i)%len(m.stays)] // the latest first
		switch {
		case s.item != item || s.since >= at:
		case at <= s.until:
			return inside
		default:
			return outside
		}
	}
	if whole && at > m.forgotten {
		return outside
	}
	return unknown
}

func (m *memory) enter(item uint64, at place) {
	if len(m.inside) >= maxInside {
		m.full = true
		m.keep(stay{item, at, forever})
		return
	}
	if m.inside == nil {
		m.inside = map[uint64]place{}
	}
	m.inside[item] = at
}

func (m *memory) leave(item uint64, at place) {
	since, ok := m.inside[item]
	if !ok {
		since = at // a stay of no length
	}
	delete(m.inside, item)
	m.keep(stay{item, since, at})
}

func (m *memory) keep(s stay) {
	if len(m.stays) < maxStays {
		m.stays = append(m.stays, s)
		return
	}
	if old := &m.stays[m.next]; old.until < forever {
		m.forgotten = old.until
	}
	m.stays[m.next] = s
	m.next = (m.next + 1) % maxStays
}
