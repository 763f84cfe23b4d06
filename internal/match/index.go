package match

import (
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/catalog"
)

// Index holds targets by tenant, row and path, and by id.
type Index struct {
	catalog *catalog.Catalog
	seeds   [2]maphash.Seed
	shared  *shared
	ids     [idShards]idShard
	finders sync.Pool
	count   atomic.Int64
	// memories counts the targets that have one; known is since when everything was noted in them.
	memories, known atomic.Int64

	// mu guards the buckets, by the first half of their keys. Most have one target; where there are more, the
	// table has several in their place, and they are in groups.
	mu      sync.RWMutex
	buckets table
	groups  map[uint64]*group
	several *Target
}

// idShards is how many locks the targets by id are spread over.
const idShards = 64

type idShard struct {
	mu      sync.RWMutex
	targets map[heliograph.SubscriptionID]*Target
	pauses  map[heliograph.SubscriptionID]int64 // from when on, in Unix nanoseconds, of those that will be paused
	_       [24]byte                            // no two locks on one cache line
}

// New returns an empty index over the rows of c.
func New(c *catalog.Catalog) *Index {
	x := &Index{catalog: c, shared: newShared(), groups: map[uint64]*group{}, several: &Target{}}
	x.seeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}
	for i := range x.ids {
		x.ids[i].targets = map[heliograph.SubscriptionID]*Target{}
	}
	x.finders.New = func() any { return newFinder(x) }
	return x
}

// Put adds a target, or puts it in the place of the one of the same id. It is visible under each of the watch
// paths (catalog.Resolved.Watch, catalog.Row.WatchPaths). The Index owns t from now on.
func (x *Index) Put(t *Target, watch []string) {
	x.address(t, watch)
	x.shared.hold(t)
	shard := x.shard(t.ID)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	old := shard.targets[t.ID]
	x.remember(old, t)
	shard.targets[t.ID] = t
	switch {
	case old == nil:
		x.count.Add(1)
		x.insert(t)
		return
	case slices.Equal(old.keys(), t.keys()):
		x.replace(old, t)
	default:
		x.insert(t)
		x.erase(old)
	}
	x.shared.release(old)
}

// remember hands a memory on to the target that comes in the place of the old one. Either may be nil.
func (x *Index) remember(old, t *Target) {
	if old != nil && old.remembers() {
		x.memories.Add(-1)
	}
	if t == nil || !t.remembers() {
		return
	}
	x.memories.Add(1)
	c := t.rest.condition
	if old != nil && old.remembers() && old.rest.condition.selection == c.selection {
		c.memory = old.rest.condition.memory
	}
}

// Remove takes the target of that id out and reports whether it was there.
func (x *Index) Remove(id heliograph.SubscriptionID) bool {
	shard := x.shard(id)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	old := shard.targets[id]
	if old == nil {
		return false
	}
	delete(shard.targets, id)
	delete(shard.pauses, id)
	x.remember(old, nil)
	x.count.Add(-1)
	x.erase(old)
	x.shared.release(old)
	return true
}

// Get returns the target of that id, or nil.
func (x *Index) Get(id heliograph.SubscriptionID) *Target {
	shard := x.shard(id)
	shard.mu.RLock()
	defer shard.mu.RUnlock()
	return shard.targets[id]
}

// Pause says from when on a target is paused; the zero time, that it is not. That withholds nothing: whoever delivers
// asks Paused. It may be said before the target is there, and lasts until it is said anew or the target is removed.
func (x *Index) Pause(id heliograph.SubscriptionID, from time.Time) {
	shard := x.shard(id)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if from.IsZero() {
		delete(shard.pauses, id)
		return
	}
	if shard.pauses == nil {
		shard.pauses = map[heliograph.SubscriptionID]int64{}
	}
	shard.pauses[id] = from.UnixNano()
}

// Paused reports whether a target is paused.
func (x *Index) Paused(id heliograph.SubscriptionID, now time.Time) bool {
	shard := x.shard(id)
	shard.mu.RLock()
	defer shard.mu.RUnlock()
	from, pauses := shard.pauses[id]
	return pauses && now.UnixNano() >= from
}

// Len returns how many targets there are.
func (x *Index) Len() int { return int(x.count.Load()) }

func (x *Index) shard(id heliograph.SubscriptionID) *idShard { return &x.ids[id[0]%idShards] }

// key stands for a tenant, a row and a path: two hashes of them under two seeds. A bucket is found by the first;
// what is in it is compared by both, and by tenant and row themselves. So a path is never compared, which would
// be one more wait for memory: among 2⁶⁴ paths of one tenant and row, two are expected to have the same key.
type key struct{ hash, check uint64 }

// appendText appends what keys are made of.
func appendText(b []byte, tenant heliograph.TenantID, row *catalog.Row) []byte {
	b = append(b, tenant...)
	b = append(b, 0)
	b = append(b, row.ID...)
	return append(b, 0)
}

func (x *Index) key(text []byte) key {
	return key{maphash.Bytes(x.seeds[0], text), maphash.Bytes(x.seeds[1], text)}
}

// address writes into t which buckets it is in.
func (x *Index) address(t *Target, watch []string) {
	var room [256]byte
	prefix := appendText(room[:0], t.Tenant, t.Row)
	if len(watch) == 1 {
		t.key = x.key(append(prefix, watch[0]...))
		return
	}
	keys := make([]key, len(watch))
	for i, path := range watch {
		keys[i] = x.key(append(prefix, path...))
	}
	t.more().keys = keys
}

func (x *Index) insert(t *Target) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, k := range t.keys() {
		s := x.buckets.find(k.hash)
		switch {
		case s == nil:
			x.buckets.add(k.hash, t)
		case s.target == x.several:
			x.groups[k.hash].add(t)
		default:
			g := &group{}
			g.add(s.target)
			g.add(t)
			x.groups[k.hash], s.target = g, x.several
		}
	}
}

func (x *Index) erase(t *Target) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, k := range t.keys() {
		s := x.buckets.find(k.hash)
		if s.target != x.several {
			x.buckets.remove(k.hash)
			continue
		}
		g := x.groups[k.hash]
		if g.remove(t); len(g.targets) == 1 {
			s.target = g.targets[0]
			delete(x.groups, k.hash)
		}
	}
}

// replace puts t where old is, bucket by bucket.
func (x *Index) replace(old, t *Target) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, k := range t.keys() {
		s := x.buckets.find(k.hash)
		if s.target != x.several {
			s.target = t
			continue
		}
		g := x.groups[k.hash]
		g.put(g.find(old), t)
	}
}
