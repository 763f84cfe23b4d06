package match

import "slices"

// table finds targets by a hash that is uniform in all its bits. It is an open table with linear probing, in
// parts, so that growing moves one part and not everything.
type table struct {
	parts [parts]part
}

const (
	partBits = 6
	parts    = 1 << partBits
)

type part struct {
	slots []slot // a power of two of them, never all in use
	mask  uint64 // one less
	used  int
}

// slot is empty when it has no target.
type slot struct {
	hash   uint64
	target *Target
}

func (t *table) part(hash uint64) *part { return &t.parts[hash>>(64-partBits)] }

// touch reads where hash would be first, and returns something that depends on it. Many touches, one behind the
// other, wait for memory at the same time; as many look-ups would wait one after the other.
func (t *table) touch(hash uint64) uint64 {
	p := t.part(hash)
	if len(p.slots) == 0 {
		return 0
	}
	return p.slots[hash&p.mask].hash
}

// find returns the slot of hash, or nil. It is good until the table is changed.
func (t *table) find(hash uint64) *slot {
	p := t.part(hash)
	if len(p.slots) == 0 {
		return nil
	}
	for i := hash & p.mask; p.slots[i].target != nil; i = (i + 1) & p.mask {
		if p.slots[i].hash == hash {
			return &p.slots[i]
		}
	}
	return nil
}

// add takes a hash in that is not there.
func (t *table) add(hash uint64, target *Target) {
	p := t.part(hash)
	if p.used >= len(p.slots)/4*3 {
		p.grow()
	}
	p.place(slot{hash, target})
	p.used++
}

func (p *part) place(s slot) {
	i := s.hash & p.mask
	for p.slots[i].target != nil {
		i = (i + 1) & p.mask
	}
	p.slots[i] = s
}

func (p *part) grow() {
	old := p.slots
	if old == nil {
		p.mask = 7
	} else {
		p.mask = 2*p.mask + 1
	}
	p.slots = make([]slot, p.mask+1)
	for _, s := range old {
		if s.target != nil {
			p.place(s)
		}
	}
}

// remove takes a hash out, and moves what stands behind it to where it would be without it.
func (t *table) remove(hash uint64) {
	p := t.part(hash)
	s := t.find(hash)
	if s == nil {
		return
	}
	gap := hash & p.mask
	for &p.slots[gap] != s {
		gap = (gap + 1) & p.mask
	}
	for i := (gap + 1) & p.mask; p.slots[i].target != nil; i = (i + 1) & p.mask {
		home := p.slots[i].hash & p.mask
		if (i-home)&p.mask >= (i-gap)&p.mask { // its own place is not behind the gap
			p.slots[gap] = p.slots[i]
			gap = i
		}
	}
	p.slots[gap] = slot{}
	p.used--
}

// group is a bucket of several targets, in no order.
type group struct{ targets []*Target }

func (g *group) add(t *Target) {
	g.targets = append(g.targets, t)
	g.put(len(g.targets)-1, t)
}

func (g *group) put(i int, t *Target) {
	if !t.several() {
		t.place = uint32(i) //nolint:gosec // four billion targets do not fit into memory
	}
	g.targets[i] = t
}

// find returns where t is, without looking where t itself knows.
func (g *group) find(t *Target) int {
	if !t.several() {
		return int(t.place)
	}
	return slices.Index(g.targets, t)
}

func (g *group) remove(t *Target) {
	i := g.find(t)
	last := len(g.targets) - 1
	g.put(i, g.targets[last])
	g.targets[last] = nil
	g.targets = g.targets[:last]
	if cap(g.targets) > 64 && last < cap(g.targets)/4 {
		g.targets = slices.Clone(g.targets)
	}
}
