package match

import (
	"bytes"
	"hash/maphash"
	"slices"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/catalog"
)

// Hit is one subscription that a change is visible to. It is valid during the visit only; what it holds may be
// kept.
type Hit struct {
	Target *Target
	// Type is what the notification says: for a drive's root everything is an update. It is 0 when the change's
	// type withholds it.
	Type     heliograph.ChangeType
	Instance catalog.Instance
	// Withheld says why the change does not go to it; empty when it does.
	Withheld heliograph.Reason
}

// Find visits every subscription that wants the change, each once.
func (x *Index) Find(change *heliograph.Change, now time.Time, visit func(*Hit)) {
	x.find(change, now, false, nil, visit)
}

// Explain visits those too to which the change is visible and from which its type or their expiry withholds it.
func (x *Index) Explain(change *heliograph.Change, now time.Time, visit func(*Hit)) {
	x.find(change, now, true, nil, visit)
}

// Match says how one subscription sees a change: for what is sent later than it was found (after a restart, a
// resend). It reports false when the change is not visible to it, or it is gone.
func (x *Index) Match(change *heliograph.Change, id heliograph.SubscriptionID, now time.Time) (hit Hit, visible bool) {
	t := x.Get(id)
	if t == nil || t.Tenant != change.Tenant {
		return Hit{}, false
	}
	x.find(change, now, true, t, func(h *Hit) { hit, visible = *h, true })
	return hit, visible
}

// finder is the memory of one Find, used again by the next.
type finder struct {
	x       *Index
	change  *heliograph.Change
	now     int64
	explain bool
	only    *Target // look at no other
	visit   func(*Hit)
	watcher func(*catalog.Watcher) // f.look, made once

	keys   []byte // of the buckets that were looked at, one behind the other
	looked []looked
	found  []*Target
	many   []*Target // visited already, of those in several buckets
	hit    Hit
}

// looked is a bucket that was looked at.
type looked struct {
	hash     uint64
	from, to int // its key
}

func newFinder(x *Index) *finder {
	f := &finder{x: x}
	f.watcher = f.look
	return f
}

func (x *Index) find(change *heliograph.Change, now time.Time, explain bool, only *Target, visit func(*Hit)) {
	f, _ := x.finders.Get().(*finder)
	f.change, f.now, f.explain, f.only, f.visit = change, now.UnixNano(), explain, only, visit
	x.catalog.Watchers(change.Resource, f.watcher)
	for _, path := range change.Paths {
		x.catalog.Watchers(path, f.watcher)
	}
	f.forget()
	x.finders.Put(f)
}

// keptFinder bounds what a finder keeps for the next Find: a change that a million saw is not the usual one.
const keptFinder = 4096

// forget lets go of everything that the last change touched.
func (f *finder) forget() {
	f.change, f.only, f.visit, f.hit = nil, nil, nil, Hit{}
	f.keys, f.looked = f.keys[:0], f.looked[:0]
	clear(f.many)
	f.many = f.many[:0]
	if cap(f.found) > keptFinder {
		f.found = nil
	}
}

// look visits the targets of one bucket.
func (f *finder) look(w *catalog.Watcher) {
	from := len(f.keys)
	f.keys = key(f.keys, f.change.Tenant, w.Row)
	path := len(f.keys)
	f.keys = w.AppendPath(f.keys)
	if f.only != nil {
		if f.only.Row == w.Row && f.only.sees(f.keys[path:]) {
			f.consider(f.only, w)
		}
		return
	}
	hash := maphash.Bytes(f.x.seed, f.keys[from:])
	if f.seen(hash, from) {
		f.keys = f.keys[:from]
		return
	}
	f.looked = append(f.looked, looked{hash, from, len(f.keys)})
	f.collect(hash)
	for _, t := range f.found {
		if t.Tenant == f.change.Tenant && t.Row == w.Row && t.sees(f.keys[path:]) {
			f.consider(t, w)
		}
	}
	clear(f.found)
}

// seen reports whether the bucket was looked at before: a change may be visible under one path by several of
// its own.
func (f *finder) seen(hash uint64, from int) bool {
	for _, l := range f.looked {
		if l.hash == hash && bytes.Equal(f.keys[l.from:l.to], f.keys[from:]) {
			return true
		}
	}
	return false
}

// collect copies the bucket, so that it is visited without its lock.
func (f *finder) collect(hash uint64) {
	f.found = f.found[:0]
	s := &f.x.paths[hash%shards]
	s.mu.RLock()
	if g := s.groups[hash]; g != nil {
		f.found = append(f.found, g.targets...)
	} else if t := s.single[hash]; t != nil {
		f.found = append(f.found, t)
	}
	s.mu.RUnlock()
}

// consider visits a target that the change is visible to, unless it was visited or wants nothing of it.
func (f *finder) consider(t *Target, w *catalog.Watcher) {
	if f.only != nil || t.watch != nil {
		if slices.Contains(f.many, t) {
			return
		}
		f.many = append(f.many, t)
	}
	told := w.Type(f.change.Type, t.Types)
	var why heliograph.Reason
	switch {
	case f.now >= t.Expires:
		why = heliograph.GivenUpExpired
	case told == 0:
		why = heliograph.WithheldType
	}
	if why != "" && !f.explain {
		return
	}
	f.hit = Hit{Target: t, Type: told, Instance: w.Instance(), Withheld: why}
	f.visit(&f.hit)
}
