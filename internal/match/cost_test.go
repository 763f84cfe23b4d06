package match_test

import (
	"runtime"
	"testing"

	"heliograph.dev"
	"heliograph.dev/internal/match"
)

// These tests measure memory, which other tests would disturb: they do not run in parallel.

func TestFindDoesNotAllocate(t *testing.T) { //nolint:paralleltest // counts the process's allocations
	x := populate(t, 1000)
	list := make([]heliograph.Change, 256)
	changes(list, 0, 1000)
	visit := func(int, *match.Hit) {}
	frame := heliograph.Frame{Sequence: 1, Changes: list}
	x.FindAll(&frame, start, visit)
	// The pool of finders may be emptied now and then; with the race detector it is, often.
	if got := testing.AllocsPerRun(100, func() { x.FindAll(&frame, start, visit) }); got > float64(len(list))/2 {
		t.Errorf("%v allocations for %d changes", got, len(list))
	}
}

// A subscription takes some 330 bytes with texts of usual length, everything included.
func TestMemoryPerSubscription(t *testing.T) { //nolint:paralleltest // measures the process's heap
	const n = 100_000
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	x := populate(t, n)
	runtime.GC()
	runtime.ReadMemStats(&after)
	if got := float64(after.HeapAlloc-before.HeapAlloc) / n; got > 400 {
		t.Errorf("%.0f bytes for each subscription", got)
	}
	runtime.KeepAlive(x)
}

// With all its bounds reached, what a filter remembers takes about half a megabyte.
func TestMemoryOfAFilter(t *testing.T) { //nolint:paralleltest // measures the process's heap
	s := newStory(t, load(t), inbox+"?$filter=importance eq 'High'")
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	s.frame("created", 0, 2*room, high)
	runtime.GC()
	runtime.ReadMemStats(&after)
	if got := int64(after.HeapAlloc) - int64(before.HeapAlloc); got > 800<<10 {
		t.Errorf("%d bytes", got)
	}
	runtime.KeepAlive(s)
}
