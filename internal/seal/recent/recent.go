// Package recent keeps what was used of late, within a bound: a cache for values that cost something to make and are
// asked for with every notification.
//
// It has two generations in place of a list in order of use. When the young one is full it becomes the old one, and
// the old one is dropped; what is asked for again moves back to the young. So what is in use stays, a hit in the young
// generation takes one look-up under a shared lock, and the cost of the bound is that between half of it and all of it
// is remembered.
package recent

import "sync"

// Cache remembers values by key. Its methods may be called concurrently.
type Cache[K comparable, V any] struct {
	half int

	mu         sync.RWMutex
	young, old map[K]V
}

// New returns a cache of at most limit values; a limit below 2 is 2.
func New[K comparable, V any](limit int) *Cache[K, V] {
	return &Cache[K, V]{half: max(limit/2, 1), young: map[K]V{}}
}

// Get returns the value of a key, and whether there is one.
func (c *Cache[K, V]) Get(key K) (V, bool) {
	c.mu.RLock()
	value, young := c.young[key]
	found := young
	if !young {
		value, found = c.old[key]
	}
	c.mu.RUnlock()
	if found && !young {
		c.again(key)
	}
	return value, found
}

// again moves a value from the old generation to the young one, if nobody has meanwhile put a newer one there.
func (c *Cache[K, V]) again(key K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	value, old := c.old[key]
	if _, young := c.young[key]; old && !young {
		c.put(key, value)
	}
}

// Put remembers a value in place of any that the key had.
func (c *Cache[K, V]) Put(key K, value V) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.put(key, value)
}

func (c *Cache[K, V]) put(key K, value V) {
	if _, there := c.young[key]; !there && len(c.young) >= c.half {
		c.young, c.old = make(map[K]V, c.half), c.young
	}
	delete(c.old, key)
	c.young[key] = value
}

// Len returns how many values are remembered.
func (c *Cache[K, V]) Len() int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return len(c.young) + len(c.old)
}
