package recent_test

import (
	"sync"
	"testing"

	"pgregory.net/rapid"

	"heliograph.dev/internal/seal/recent"
)

func TestWhatIsUsedStays(t *testing.T) {
	t.Parallel()
	c := recent.New[int, string](4)
	c.Put(0, "kept")
	for n := range 100 {
		c.Put(1+n, "other")
		if v, ok := c.Get(0); !ok || v != "kept" {
			t.Fatalf("lost after %d others", n)
		}
	}
	if _, ok := c.Get(1); ok {
		t.Error("what nobody asked for is still there")
	}
}

// Against a map: a hit is what was put last, what was put last is a hit, and the bound holds.
func TestAgainstAMap(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(-1, 9).Draw(t, "limit")
		c := recent.New[int, int](limit)
		all := map[int]int{}
		keys := rapid.IntRange(0, 12)
		for n := range rapid.IntRange(0, 60).Draw(t, "steps") {
			key := keys.Draw(t, "key")
			if rapid.Bool().Draw(t, "put") {
				c.Put(key, n)
				all[key] = n
				if v, ok := c.Get(key); !ok || v != n {
					t.Fatalf("put %d, got %d, %v", n, v, ok)
				}
			} else if v, ok := c.Get(key); ok && v != all[key] {
				t.Fatalf("%d is %d, want %d", key, v, all[key])
			}
			if c.Len() > max(limit, 2) {
				t.Fatalf("%d values, want at most %d", c.Len(), limit)
			}
		}
	})
}

func TestAtOnce(t *testing.T) {
	t.Parallel()
	c := recent.New[int, int](8)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for n := range 2000 {
				c.Put(n%12, n%12)
				if v, ok := c.Get((n + 5) % 12); ok && v != (n+5)%12 {
					t.Errorf("%d is %d", (n+5)%12, v)
				}
			}
		})
	}
	all.Wait()
}
