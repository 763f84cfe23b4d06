package match

import (
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"

	"heliograph.dev"
	"heliograph.dev/internal/catalog"
)

// Index holds targets by tenant, row and path, and by id.
type Index struct {
	catalog *catalog.Catalog
	seed    maphash.Seed
	shared  *shared
	ids     [idShards]idShard
	finders sync.Pool
	count   atomic.Int64

	// mu guards the buckets, by the hash of tenant, row and path. Most have one target; where there are more,
	// the slot has several, and the targets are in groups.
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
	_       [32]byte // no two locks on one cache line
}

// New returns an empty index over the rows of c.
func New(c *catalog.Catalog) *Index {
	x := &Index{catalog: c, seed: maphash.MakeSeed(), shared: newShared(), groups: map[uint64]*group{}, several: &Target{}}
	for i := range x.ids {
		x.ids[i].targets = map[heliograph.SubscriptionID]*Target{}
	}
	x.finders.New = func() any { return newFinder(x) }
	return x
}

// Put adds a target, or puts it in the place of the one of the same id. It is visible under each of the watch
// paths (catalog.Resolved.Watch, catalog.Row.WatchPaths). The Index owns t from now on.
func (x *Index) Put(t *Target, watch []string) {
	if len(watch) != 1 || watch[0] != t.Path {
		list := slices.Clone(watch)
		t.watch = &list
	}
	x.shared.hold(t)
	shard := x.shard(t.ID)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	old := shard.targets[t.ID]
	shard.targets[t.ID] = t
	switch {
	case old == nil:
		x.count.Add(1)
		x.insert(t)
		return
	case old.sameKeys(t):
		x.replace(old, t)
	default:
		x.insert(t)
		x.erase(old)
	}
	x.shared.release(old)
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

// Len returns how many targets there are.
func (x *Index) Len() int { return int(x.count.Load()) }

func (x *Index) shard(id heliograph.SubscriptionID) *idShard { return &x.ids[id[0]%idShards] }

// key appends what comes before the path in what a bucket is found by.
func key(b []byte, tenant heliograph.TenantID, row *catalog.Row) []byte {
	b = append(b, tenant...)
	b = append(b, 0)
	b = append(b, row.ID...)
	return append(b, 0)
}

// each calls do for the hash of each bucket of t, under the lock.
func (x *Index) each(t *Target, do func(hash uint64)) {
	var room [256]byte
	prefix := key(room[:0], t.Tenant, t.Row)
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, path := range t.paths() {
		do(maphash.Bytes(x.seed, append(prefix, path...)))
	}
}

func (x *Index) insert(t *Target) {
	x.each(t, func(hash uint64) {
		s := x.buckets.find(hash)
		switch {
		case s == nil:
			x.buckets.add(hash, t)
		case s.target == x.several:
			x.groups[hash].add(t)
		default:
			g := &group{}
			g.add(s.target)
			g.add(t)
			x.groups[hash], s.target = g, x.several
		}
	})
}

func (x *Index) erase(t *Target) {
	x.each(t, func(hash uint64) {
		s := x.buckets.find(hash)
		if s.target != x.several {
			x.buckets.remove(hash)
			return
		}
		g := x.groups[hash]
		if g.remove(t); len(g.targets) == 1 {
			s.target = g.targets[0]
			delete(x.groups, hash)
		}
	})
}

// replace puts t where old is, bucket by bucket.
func (x *Index) replace(old, t *Target) {
	x.each(t, func(hash uint64) {
		s := x.buckets.find(hash)
		if s.target != x.several {
			s.target = t
			return
		}
		g := x.groups[hash]
		g.put(g.find(old), t)
	})
}
