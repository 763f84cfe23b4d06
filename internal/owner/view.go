package owner

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Note is a note in the store. One without a revision is not there.
type Note struct {
	Name     string
	Value    []byte
	Revision uint64
}

const (
	nodePrefix  = "node."
	ownerPrefix = "owner."
)

// Facts are what a node tells the others with each beat.
type Facts struct {
	// URL is where the node answers, Version its build.
	URL     string `json:"url,omitempty"`
	Version string `json:"version,omitempty"`
	// Behind is how many accepted changes wait to be read, of each partition that the node has.
	Behind map[int]int64 `json:"behind,omitempty"`
}

// beat is a node's note.
type beat struct {
	Run     string    `json:"run"`
	Count   uint64    `json:"count"` // of beats: no two are alike
	Started time.Time `json:"started"`
	// Leaving says that the node wants no partitions any more, Ended that the run is over.
	Leaving bool  `json:"leaving,omitempty"`
	Ended   bool  `json:"ended,omitempty"`
	Facts   Facts `json:"facts"`
}

// holder is a partition's note.
type holder struct {
	Node string `json:"node,omitempty"` // empty: nobody
	Run  string `json:"run,omitempty"`
}

// view is what a node has seen of the notes.
type view struct {
	nodes  map[string]*seen
	owners []owned
}

// seen is a node as its last beat shows it.
type seen struct {
	beat
	revision uint64
	at       time.Time // when that beat was first seen
}

// owned is a partition's note as it was read.
type owned struct {
	holder
	revision uint64
}

// look takes the notes in, as they were read at a moment.
func (v *view) look(notes []Note, partitions int, now time.Time) {
	if v.nodes == nil {
		v.nodes = map[string]*seen{}
	}
	if v.owners == nil {
		v.owners = make([]owned, partitions)
	}
	there := map[string]bool{}
	for _, n := range notes {
		if name, ok := strings.CutPrefix(n.Name, nodePrefix); ok {
			there[name] = true
			v.node(name, n, now)
		} else if number, ok := strings.CutPrefix(n.Name, ownerPrefix); ok {
			p, err := strconv.Atoi(number)
			if err != nil || p < 0 || p >= partitions || n.Revision < v.owners[p].revision { // the last: a replica that lags
				continue
			}
			o := owned{revision: n.Revision}
			_ = json.Unmarshal(n.Value, &o.holder) // one that cannot be read is nobody's
			v.owners[p] = o
		}
	}
	for name := range v.nodes {
		if !there[name] {
			delete(v.nodes, name)
		}
	}
}

func (v *view) node(name string, n Note, now time.Time) {
	s := v.nodes[name]
	if s == nil {
		s = &seen{}
		v.nodes[name] = s
	}
	if n.Revision <= s.revision { // a replica that lags
		return
	}
	var b beat
	if json.Unmarshal(n.Value, &b) != nil {
		b.Ended = true
	}
	s.beat, s.revision, s.at = b, n.Revision, now
}

// lives reports whether a run has not ended.
func (v *view) lives(node, run string) bool {
	s := v.nodes[node]
	return s != nil && !s.Ended && s.Run == run
}

// takers are the nodes that want partitions, in order.
func (v *view) takers() []string {
	var names []string
	for name, s := range v.nodes {
		if !s.Ended && !s.Leaving {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// holders says who has each partition; "" nobody whose run has not ended.
func (v *view) holders() []string {
	names := make([]string, len(v.owners))
	for p := range v.owners {
		if o := &v.owners[p]; v.lives(o.Node, o.Run) {
			names[p] = o.Node
		}
	}
	return names
}

// silent lists the nodes of which no beat was seen for some time, and which have not ended.
func (v *view) silent(me string, now time.Time, limit time.Duration) []string {
	var names []string
	for name, s := range v.nodes {
		if name != me && !s.Ended && now.Sub(s.at) > limit {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
