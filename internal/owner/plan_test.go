package owner //nolint:testpackage // the plan is nobody else's

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestPlan is even, moves no more than it must, and comes to rest.
func TestPlan(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		names := []string{"", "a", "b", "c", "d", "gone"}
		nodes := rapid.SliceOfNDistinct(rapid.SampledFrom(names[1:5]), 1, 4, rapid.ID).Draw(t, "nodes")
		owners := rapid.SliceOfN(rapid.SampledFrom(names), 1, 20).Draw(t, "owners")
		next := plan(nodes, owners)
		has, had := map[string]int{}, map[string]int{}
		moves := 0
		for p, n := range next {
			if !slices.Contains(nodes, n) {
				t.Fatalf("partition %d goes to %q", p, n)
			}
			has[n]++
			if slices.Contains(nodes, owners[p]) {
				had[owners[p]]++
				if owners[p] != n {
					moves++
				}
			}
		}
		least, over := len(owners)/len(nodes), 0
		spare := len(owners) % len(nodes)
		for _, n := range nodes {
			if has[n] < least || has[n] > least+1 {
				t.Errorf("%s has %d of %d", n, has[n], len(owners))
			}
			if had[n] > least {
				over += had[n] - least
				if spare > 0 {
					over--
					spare--
				}
			}
		}
		if moves > over {
			t.Errorf("%d moves where %d are enough: %v to %v", moves, over, owners, next)
		}
		if again := plan(nodes, next); !slices.Equal(again, next) {
			t.Errorf("does not rest: %v, then %v", next, again)
		}
		if !slices.Equal(plan(slices.Sorted(slices.Values(nodes)), owners), next) {
			t.Error("depends on the order of the nodes")
		}
	})
}

// TestPlanOfNobody gives nothing to anybody.
func TestPlanOfNobody(t *testing.T) {
	t.Parallel()
	if next := plan(nil, []string{"a", ""}); next[0] != "" || next[1] != "" {
		t.Errorf("%q", next)
	}
}
