package identity

import (
	"crypto/sha256"
	"sync"
	"time"

	"heliograph.dev"
)

const defaultCachedTokens = 8192

// trustFor bounds how long a token is believed on the strength of one verification: a key that its issuer has
// withdrawn stops working after this and the hour in which it is learnt.
const trustFor = 10 * time.Minute

type tokenKey [sha256.Size]byte

// verified is a token that was found good, without the token.
type verified struct {
	caller *heliograph.Caller
	until  time.Time
	source keySource
	keys   *keySet // that it was verified with
}

// holds reports whether the verdict still stands.
func (v *verified) holds(now time.Time) bool {
	return now.Before(v.until) && v.source.current() == v.keys
}

// tokenCache remembers verified tokens, at most size of them, in two halves: when the young half is full, the old
// half is dropped and the young one takes its place. What is in use moves to the young half and stays. This is as
// good as least-recently-used here, and a hit takes no write lock.
type tokenCache struct {
	half       int
	mu         sync.RWMutex
	young, old map[tokenKey]*verified
}

func newTokenCache(size int) *tokenCache {
	if size <= 0 {
		size = defaultCachedTokens
	}
	return &tokenCache{half: max(1, size/2), young: make(map[tokenKey]*verified)}
}

func (c *tokenCache) get(key tokenKey) *verified {
	c.mu.RLock()
	found, isYoung := c.young[key]
	if !isYoung {
		found = c.old[key]
	}
	c.mu.RUnlock()
	if found != nil && !isYoung {
		c.put(key, found)
	}
	return found
}

func (c *tokenCache) put(key tokenKey, v *verified) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, replaces := c.young[key]; !replaces && len(c.young) >= c.half {
		c.old, c.young = c.young, make(map[tokenKey]*verified)
	}
	c.young[key] = v
	delete(c.old, key)
}

func (c *tokenCache) len() int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return len(c.young) + len(c.old)
}
