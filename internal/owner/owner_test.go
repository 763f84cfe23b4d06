package owner_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/clock"
	"heliograph.dev/internal/owner"
)

// store is a small true store, from which nodes can be cut off. Some writes are done though nobody hears of it.
type store struct {
	mu       sync.Mutex
	notes    map[string]owner.Note
	revision uint64
	cut      map[string]bool
	dice     *rand.Rand
}

// side is the store as a node reaches it.
type side struct {
	*store
	node string
}

var errCut = &heliograph.Error{Kind: heliograph.Unavailable, Message: "cut off"}

func (s side) Notes(context.Context) ([]owner.Note, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cut[s.node] {
		return nil, errCut
	}
	return slices.Collect(maps.Values(s.notes)), nil
}

func (s side) Note(_ context.Context, name string) (owner.Note, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cut[s.node] {
		return owner.Note{}, errCut
	}
	return s.notes[name], nil
}

func (s side) SetNote(ctx context.Context, name string, value []byte, revision uint64) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.cut[s.node]:
		s.mu.Unlock()
		<-ctx.Done() // as a store that does not answer
		s.mu.Lock()
		return 0, errCut
	case s.notes[name].Revision != revision:
		return 0, heliograph.Errorf(heliograph.Conflict, "test", "%s is at %d", name, s.notes[name].Revision)
	}
	s.revision++
	s.notes[name] = owner.Note{Name: name, Value: value, Revision: s.revision}
	if s.dice.IntN(20) == 0 {
		return 0, errCut // it was written
	}
	return s.revision, nil
}

func (s side) RemoveNote(_ context.Context, name string, revision uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.notes[name].Revision == revision {
		delete(s.notes, name)
	}
	return nil
}

// work is what a node does: it notes who may do what.
type work struct {
	side
	node string
	mu   sync.Mutex
	on   map[int]owner.Permit
}

func (w *work) Begin(ctx context.Context, p int, value []byte, revision uint64, permit owner.Permit) (uint64, error) {
	rev, err := w.SetNote(ctx, fmt.Sprint("owner.", p), value, revision)
	if err != nil {
		return 0, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.on[p] != nil {
		panic("begun twice")
	}
	w.on[p] = permit
	return rev, nil
}

func (w *work) End(_ context.Context, p int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.on, p)
	return nil
}

func (w *work) Drop(p int) { _ = w.End(context.Background(), p) }

// works reports whether the node may work a partition at this moment.
func (w *work) works(p int) bool {
	w.mu.Lock()
	permit := w.on[p]
	w.mu.Unlock()
	if permit == nil {
		return false
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	on, err := permit(ctx)
	return err == nil && on.Err() == nil
}

const partitions = 7

type cluster struct {
	t     *testing.T
	store *store
	dice  *rand.Rand
	nodes map[string]*node
	runs  atomic.Int64
	all   sync.Map // keepers, of every run
}

type node struct {
	keeper *owner.Keeper
	work   *work
}

func newCluster(t *testing.T, seed uint64) *cluster {
	t.Helper()
	dice := rand.New(rand.NewPCG(seed, 1))
	return &cluster{
		t: t, dice: dice, nodes: map[string]*node{},
		store: &store{notes: map[string]owner.Note{}, cut: map[string]bool{}, dice: rand.New(rand.NewPCG(seed, 2))},
	}
}

func (c *cluster) start(name string) {
	c.t.Helper()
	w := &work{side: side{c.store, name}, node: name, on: map[int]owner.Permit{}}
	k := owner.New(owner.Options{
		Node: name, Sure: true, Partitions: partitions, Store: w.side, Work: w, Times: owner.DefaultTimes(), Clock: clock.System(),
		Name: func() string { return fmt.Sprint(name, "-", c.runs.Add(1)) }, Logger: slog.New(slog.DiscardHandler),
		Nudge: c.wake,
	})
	for k.Start(c.t.Context()) != nil { // a beat of which nobody heard
	}
	c.nodes[name] = &node{k, w}
	c.all.Store(k, true)
}

func (c *cluster) wake() {
	c.all.Range(func(k, _ any) bool {
		if keeper, ok := k.(*owner.Keeper); ok {
			keeper.Wake()
		}
		return true
	})
}

// look fails when two nodes work the same partition, and returns how many each has.
func (c *cluster) look() map[string]int {
	c.t.Helper()
	has := map[string]int{}
	for p := range partitions {
		var who []string
		for name, n := range c.nodes {
			if n.work.works(p) {
				who = append(who, name)
				has[name]++
			}
		}
		if len(who) > 1 {
			c.t.Errorf("partition %d is worked by %v", p, who)
		}
	}
	return has
}

// pass lets time pass, and looks.
func (c *cluster) pass(d time.Duration) {
	c.t.Helper()
	for range d / (50 * time.Millisecond) {
		time.Sleep(50 * time.Millisecond) //nolint:forbidigo // in a bubble: nothing waits
		c.look()
	}
}

func (c *cluster) stop() {
	for _, n := range c.nodes {
		if err := n.keeper.Stop(context.Background()); err != nil {
			c.t.Error(err)
		}
	}
}

// TestOneOwnerAtATime cuts nodes off, heals, stops and starts them by chance: never do two work the same partition, and
// when all is well each has its part.
func TestOneOwnerAtATime(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, seed)
				names := []string{"a", "b", "c"}
				for _, n := range names {
					c.start(n)
				}
				for range 25 {
					c.chance(names[c.dice.IntN(len(names))])
					c.pass(time.Duration(c.dice.IntN(9000)) * time.Millisecond)
				}
				for _, n := range names {
					c.cut(n, false)
					if c.nodes[n] == nil {
						c.start(n)
					}
				}
				c.pass(20 * time.Second)
				if has := c.look(); has["a"]+has["b"]+has["c"] != partitions || slices.Max(slices.Collect(maps.Values(has))) > 3 {
					t.Errorf("in the end they have %v", has)
				}
				c.stop()
			})
		})
	}
}

func (c *cluster) cut(name string, off bool) {
	c.store.mu.Lock()
	defer c.store.mu.Unlock()
	c.store.cut[name] = off
}

// chance does something to a node.
func (c *cluster) chance(name string) {
	n := c.nodes[name]
	switch c.dice.IntN(4) {
	case 0:
		c.cut(name, true)
	case 1:
		c.cut(name, false)
	case 2:
		if n != nil {
			delete(c.nodes, name)
			if err := n.keeper.Stop(context.Background()); err != nil {
				c.t.Error(err)
			}
		}
	default:
		c.store.mu.Lock()
		off := c.store.cut[name]
		c.store.mu.Unlock()
		if n == nil && !off {
			c.start(name)
		}
	}
}

// TestHowLongItTakes is the promise: a partition is without a node for less than ten seconds when its node is lost, and
// for no time that could be told when it is handed over.
func TestHowLongItTakes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		c.start("a")
		c.pass(2 * time.Second)
		if has := c.look(); has["a"] != partitions {
			t.Errorf("alone it has %v", has)
		}
		c.start("b")
		c.pass(2 * time.Second)
		if has := c.look(); has["a"] != 4 || has["b"] != 3 {
			t.Errorf("two have %v", has)
		}
		c.cut("a", true)
		c.pass(9 * time.Second)
		if has := c.look(); has["b"] != partitions || has["a"] != 0 {
			t.Errorf("after a loss they have %v", has)
		}
		c.cut("a", false)
		c.pass(5 * time.Second)
		a := c.nodes["a"]
		delete(c.nodes, "a")
		if err := a.keeper.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		c.pass(300 * time.Millisecond)
		if has := c.look(); has["b"] != partitions {
			t.Errorf("after a polite end they have %v", has)
		}
		c.stop()
	})
}

// TestNameInUse is two processes that say they are the same node.
func TestNameInUse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		c.start("a")
		w := &work{side: side{c.store, "a"}, node: "a", on: map[int]owner.Permit{}}
		second := owner.New(owner.Options{
			Node: "a", Partitions: partitions, Store: w.side, Work: w, Times: owner.DefaultTimes(), Clock: clock.System(),
			Name: func() string { return "another" }, Logger: slog.New(slog.DiscardHandler),
		})
		var refused *heliograph.Error
		if err := second.Start(t.Context()); !errors.As(err, &refused) || refused.Rule != "owner.name" {
			t.Errorf("a second process: %v", err)
		}
		c.stop()
	})
}
