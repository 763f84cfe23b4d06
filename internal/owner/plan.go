package owner

import (
	"cmp"
	"slices"
)

// plan says who is to have each partition: everybody as many as the others, or one more, with as few moves as that takes.
// owners says who has each now, "" nobody; nodes are those that can have some. Every node that sees the same comes to
// the same plan. Without nodes nobody is to have any.
func plan(nodes, owners []string) []string {
	next := slices.Clone(owners)
	if len(nodes) == 0 {
		clear(next)
		return next
	}
	has := make(map[string]int, len(nodes))
	for _, n := range nodes {
		has[n] = 0
	}
	var free []int
	for p, owner := range owners {
		if _, there := has[owner]; there {
			has[owner]++
		} else {
			next[p] = ""
			free = append(free, p)
		}
	}
	order := slices.Clone(nodes)
	slices.SortFunc(order, func(a, b string) int { return cmp.Or(cmp.Compare(has[b], has[a]), cmp.Compare(a, b)) })
	quota := make(map[string]int, len(nodes))
	for i, n := range order { // who has most keeps the one more
		quota[n] = len(owners) / len(nodes)
		if i < len(owners)%len(nodes) {
			quota[n]++
		}
	}
	for p, owner := range slices.Backward(next) {
		if owner != "" && has[owner] > quota[owner] {
			has[owner]--
			next[p] = ""
			free = append(free, p)
		}
	}
	slices.Sort(free)
	slices.Sort(order)
	for _, p := range free {
		for _, n := range order {
			if has[n] < quota[n] {
				next[p] = n
				has[n]++
				break
			}
		}
	}
	return next
}
