package match

import (
	"slices"

	"heliograph.dev"
	"heliograph.dev/internal/catalog"
)

// block is how many changes are looked up together.
const block = 64

// finder finds who wants a block of changes, in steps: which buckets the changes lead to, which targets are in
// them, and who of these is meant. Between the steps it touches the memory that the next one will read, all of
// it at once. A finder is used by one Find at a time and keeps its memory for the next.
type finder struct {
	x *Index
	mode
	single  [1]heliograph.Change
	watcher func(*catalog.Watcher) // f.look, made once

	change  *heliograph.Change // being looked at
	at      int                // its index in the block
	first   int                // its first probe
	probes  []probe
	text    []byte // of a key
	found   []*Target
	many    []*Target // visited already for one change, of those in several buckets
	sight   sight
	hit     Hit
	touched uint64 // keeps the compiler from leaving touches out
}

// mode is what a Find is for.
type mode struct {
	now     int64
	explain bool // visit those too from which the change is withheld
	note    bool // take down what enters and leaves filters
	silent  bool // visit nobody
}

// probe is one bucket that a change leads to.
type probe struct {
	key      key
	row      *catalog.Row
	instance catalog.Instance
	change   int
	end      int // its targets in found: from the end of the probe before it
}

func newFinder(x *Index) *finder {
	f := &finder{x: x}
	f.watcher = f.look
	return f
}

// find visits the targets of a block of changes that follow each other from a position on.
func (f *finder) find(changes []heliograph.Change, from heliograph.Position, visit func(int, *Hit)) {
	for i := range changes {
		f.probe(&changes[i], i)
	}
	f.collect()
	f.touch()
	f.visit(changes, from, visit)
	f.forget()
}

// probe notes the buckets that a change leads to.
func (f *finder) probe(change *heliograph.Change, at int) {
	if change.Notice != nil {
		return
	}
	f.change, f.at, f.first = change, at, len(f.probes)
	f.x.catalog.Watchers(change.Resource, f.watcher)
	for _, path := range change.Paths {
		f.x.catalog.Watchers(path, f.watcher)
	}
}

// look notes one of them, unless another path of the change has led to it.
func (f *finder) look(w *catalog.Watcher) {
	f.text = w.AppendPath(appendText(f.text[:0], f.change.Tenant, w.Row))
	p := probe{row: w.Row, change: f.at, key: f.x.key(f.text)}
	for i := f.first; i < len(f.probes); i++ {
		if f.probes[i].key == p.key {
			return
		}
	}
	p.instance = w.Instance()
	f.probes = append(f.probes, p)
}

// collect copies the targets of the buckets, so that they are visited without the lock.
func (f *finder) collect() {
	x := f.x
	x.mu.RLock()
	defer x.mu.RUnlock()
	var touched uint64
	for i := range f.probes {
		touched += x.buckets.touch(f.probes[i].key.hash)
	}
	f.touched = touched
	for i := range f.probes {
		p := &f.probes[i]
		switch s := x.buckets.find(p.key.hash); {
		case s == nil:
		case s.target == x.several:
			f.found = append(f.found, x.groups[p.key.hash].targets...)
		default:
			f.found = append(f.found, s.target)
		}
		p.end = len(f.found)
	}
}

// touch reads from every target what visit will.
func (f *finder) touch() {
	var touched int64
	for _, t := range f.found {
		touched += t.Expires
	}
	f.touched += uint64(touched)
}

// visit tells of the targets that are meant. A hash only finds candidates: what they are is compared.
func (f *finder) visit(changes []heliograph.Change, from heliograph.Position, visit func(int, *Hit)) {
	start, change := 0, -1
	s := &f.sight
	s.now, s.note = f.now, f.note
	for i := range f.probes {
		p := &f.probes[i]
		if p.change != change {
			change = p.change
			f.many = f.many[:0]
			s.change = &changes[change]
			s.at = placeOf(from) + place(change) //nolint:gosec // an index
		}
		s.key, s.instance = p.key, &p.instance
		for _, t := range f.found[start:p.end] {
			if t.Tenant != s.change.Tenant || t.Row != p.row || !t.in(p.key) || !f.anew(t) || f.silent && !t.remembers() {
				continue
			}
			f.x.judge(t, s, &f.hit)
			if !f.silent && (f.hit.Withheld == "" || f.explain) {
				visit(int(from.Index)+change, &f.hit)
			}
		}
		start = p.end
	}
}

// anew reports whether a target was not visited for the change before.
func (f *finder) anew(t *Target) bool {
	if !t.several() {
		return true
	}
	if slices.Contains(f.many, t) {
		return false
	}
	f.many = append(f.many, t)
	return true
}

// kept bounds what a finder keeps for the next Find: a change that a million saw is not the usual one.
const kept = 4096

// forget lets go of everything that the changes touched.
func (f *finder) forget() {
	clear(f.probes)
	clear(f.found)
	clear(f.many)
	f.change, f.sight, f.hit = nil, sight{}, Hit{}
	f.probes, f.found, f.many = f.probes[:0], f.found[:0], f.many[:0]
	if cap(f.found) > kept {
		f.found = nil
	}
}
