package owner

import (
	"cmp"
	"slices"
	"strconv"
	"time"
)

func itoa(n int) string { return strconv.Itoa(n) }

// Node is a node as this one sees it.
type Node struct {
	Name    string
	Started time.Time
	// Seen is when its last beat was first seen here. Live says that its run has not ended, and Leaving that it wants no
	// partitions any more.
	Seen          time.Time
	Live, Leaving bool
	Facts         Facts
}

// Status is the cluster as this node sees it.
type Status struct {
	Node  string
	Nodes []Node
	// Owners are the nodes that work the partitions; "" nobody. Epochs are the revisions of their notes.
	Owners []string
	Epochs []uint64
	// Reached is when the last beat that a majority has was sent; Leads says that this node may work.
	Reached time.Time
	Leads   bool
}

// Status tells what was seen last.
func (k *Keeper) Status() Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := Status{Node: k.opts.Node, Owners: k.view.holders(), Reached: k.reached, Leads: k.run.lease.valid()}
	for i := range k.view.owners {
		s.Epochs = append(s.Epochs, k.view.owners[i].revision)
	}
	for name, n := range k.view.nodes {
		s.Nodes = append(s.Nodes, Node{
			Name: name, Started: n.Started, Seen: n.at, Live: !n.Ended, Leaving: n.Leaving, Facts: n.Facts,
		})
	}
	slices.SortFunc(s.Nodes, func(a, b Node) int { return cmp.Compare(a.Name, b.Name) })
	return s
}

// Owner returns who works a partition, as far as was seen: "" nobody.
func (k *Keeper) Owner(partition int) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if partition >= len(k.view.owners) {
		return ""
	}
	if o := &k.view.owners[partition]; k.view.lives(o.Node, o.Run) {
		return o.Node
	}
	return ""
}

// Live returns how many nodes there are, this one included.
func (k *Keeper) Live() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := 0
	for _, s := range k.view.nodes {
		if !s.Ended {
			n++
		}
	}
	return max(n, 1)
}

// Behind returns how many accepted changes wait to be read of a partition, as its owner said last.
func (k *Keeper) Behind(partition int) int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := int64(0)
	for _, s := range k.view.nodes {
		if !s.Ended {
			n = max(n, s.Facts.Behind[partition])
		}
	}
	return n
}

// Reached returns when the last beat that a majority has was sent: what a leader of the store answers within its
// shortest election of that moment is the newest that there is.
func (k *Keeper) Reached() time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.reached
}
