package match

import (
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"

	"heliograph.dev"
	"heliograph.dev/internal/catalog"
)

// shards is how many locks each table is spread over: enough that a writer rarely meets a reader.
const shards = 64

// Index holds targets by tenant, row and path, and by id.
type Index struct {
	catalog *catalog.Catalog
	seed    maphash.Seed
	paths   [shards]pathShard
	ids     [shards]idShard
	words   words
	finders sync.Pool
	count   atomic.Int64
}

// pathShard holds buckets by the hash of tenant, row and path. Most have one target; the others are groups.
type pathShard struct {
	mu     sync.RWMutex
	single map[uint64]*Target
	groups map[uint64]*group
	_      [24]byte // no two locks on one cache line
}

// group is a bucket of several targets, in no order.
type group struct{ targets []*Target }

type idShard struct {
	mu      sync.RWMutex
	targets map[heliograph.SubscriptionID]*Target
	_       [32]byte
}

// New returns an empty index over the rows of c.
func New(c *catalog.Catalog) *Index {
	x := &Index{catalog: c, seed: maphash.MakeSeed()}
	for i := range shards {
		x.paths[i].single = map[uint64]*Target{}
		x.paths[i].groups = map[uint64]*group{}
		x.ids[i].targets = map[heliograph.SubscriptionID]*Target{}
	}
	x.words.known = map[string]*word{}
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
	shard := x.byID(t.ID)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	x.words.hold(t)
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
	x.words.release(old)
}

// Remove takes the target of that id out and reports whether it was there.
func (x *Index) Remove(id heliograph.SubscriptionID) bool {
	shard := x.byID(id)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	old := shard.targets[id]
	if old == nil {
		return false
	}
	delete(shard.targets, id)
	x.count.Add(-1)
	x.erase(old)
	x.words.release(old)
	return true
}

// Get returns the target of that id, or nil.
func (x *Index) Get(id heliograph.SubscriptionID) *Target {
	shard := x.byID(id)
	shard.mu.RLock()
	defer shard.mu.RUnlock()
	return shard.targets[id]
}

// Len returns how many targets there are.
func (x *Index) Len() int { return int(x.count.Load()) }

func (x *Index) byID(id heliograph.SubscriptionID) *idShard { return &x.ids[id[0]%shards] }

// key appends what a bucket is found by.
func key(b []byte, tenant heliograph.TenantID, row *catalog.Row) []byte {
	b = append(b, tenant...)
	b = append(b, 0)
	b = append(b, row.ID...)
	return append(b, 0)
}

// each calls do for each bucket of t, with its shard locked.
func (x *Index) each(t *Target, do func(s *pathShard, hash uint64)) {
	var room [256]byte
	prefix := key(room[:0], t.Tenant, t.Row)
	for _, path := range t.paths() {
		hash := maphash.Bytes(x.seed, append(prefix, path...))
		s := &x.paths[hash%shards]
		s.mu.Lock()
		do(s, hash)
		s.mu.Unlock()
	}
}

func (x *Index) insert(t *Target) {
	x.each(t, func(s *pathShard, hash uint64) {
		if g := s.groups[hash]; g != nil {
			g.add(t)
			return
		}
		first := s.single[hash]
		if first == nil {
			s.single[hash] = t
			return
		}
		g := &group{}
		g.add(first)
		g.add(t)
		s.groups[hash] = g
		delete(s.single, hash)
	})
}

func (x *Index) erase(t *Target) {
	x.each(t, func(s *pathShard, hash uint64) {
		g := s.groups[hash]
		if g == nil {
			if s.single[hash] == t {
				delete(s.single, hash)
			}
			return
		}
		if g.remove(t); len(g.targets) == 1 {
			s.single[hash] = g.targets[0]
			delete(s.groups, hash)
		}
	})
}

// replace puts t where old is, bucket by bucket.
func (x *Index) replace(old, t *Target) {
	x.each(t, func(s *pathShard, hash uint64) {
		if g := s.groups[hash]; g != nil {
			i := g.find(old)
			g.put(i, t)
			return
		}
		s.single[hash] = t
	})
}

func (g *group) add(t *Target) {
	if len(g.targets) > 0 && t.Path == g.targets[0].Path {
		t.Path = g.targets[0].Path // one copy for all, and comparing them is comparing addresses
	}
	g.targets = append(g.targets, t)
	g.put(len(g.targets)-1, t)
}

func (g *group) put(i int, t *Target) {
	if t.watch == nil {
		t.place = uint32(i) //nolint:gosec // four billion targets do not fit into memory
	}
	g.targets[i] = t
}

// find returns where t is, without looking where t itself knows.
func (g *group) find(t *Target) int {
	if t.watch == nil {
		return int(t.place)
	}
	return slices.Index(g.targets, t)
}

func (g *group) remove(t *Target) {
	i := g.find(t)
	if i < 0 {
		return
	}
	last := len(g.targets) - 1
	g.put(i, g.targets[last])
	g.targets[last] = nil
	g.targets = g.targets[:last]
	if cap(g.targets) > 64 && last < cap(g.targets)/4 {
		g.targets = slices.Clone(g.targets)
	}
}
