package fresh_test

import (
	"testing"
	"time"

	"heliograph.dev/internal/fresh"
)

func TestTheOldestCounts(t *testing.T) {
	t.Parallel()
	early, late := time.Unix(100, 0), time.Unix(200, 0)
	fresh.Stale(t.Context(), late) // nobody asked: nothing happens
	if fresh.Asked(t.Context()) {
		t.Error("asked without a mark")
	}
	ctx, mark := fresh.With(t.Context())
	if _, stale := mark.Stale(); stale || !fresh.Asked(ctx) {
		t.Error("stale from the beginning")
	}
	for _, at := range []time.Time{late, early, late} {
		fresh.Stale(ctx, at)
	}
	if asOf, stale := mark.Stale(); !stale || !asOf.Equal(early) {
		t.Errorf("as of %v, %v", asOf, stale)
	}
}
