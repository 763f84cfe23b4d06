package engine_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"heliograph.dev"
	"heliograph.dev/internal/engine"
	"heliograph.dev/internal/seal/vault"
)

// freePorts returns addresses on which nobody listens, for servers that have to know each other's before they start.
func freePorts(tb testing.TB, n int) []string {
	tb.Helper()
	addresses := make([]string, n)
	for i := range addresses {
		l, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			tb.Fatal(err)
		}
		addresses[i] = l.Addr().String()
		defer func() { _ = l.Close() }()
	}
	return addresses
}

// nodes are the options of a cluster whose nodes share a key file.
func nodes(tb testing.TB) []engine.Options {
	tb.Helper()
	const n = 3
	addresses := freePorts(tb, n)
	keys := tb.TempDir() + "/vault.keys"
	if _, err := vault.Open(vault.Options{File: keys, MayCreate: true, Now: wall}); err != nil {
		tb.Fatal(err)
	}
	all := make([]engine.Options, n)
	for i := range all {
		all[i] = engine.Options{
			Dir: tb.TempDir(), Replicas: 3, Partitions: 2, Logger: quiet(tb),
			Vault: func(bool) (engine.Vault, error) { return vault.Open(vault.Options{File: keys, Now: wall}) },
			Cluster: &engine.Cluster{
				Name: "test", Node: fmt.Sprintf("n%d", i+1), Listen: addresses[i], Peers: addresses,
				Secret: heliograph.NewSecret("between us"),
			},
		}
	}
	return all
}

// openAll opens a cluster's nodes at once, and closes them with the test.
func openAll(tb testing.TB, all []engine.Options) []*engine.Engine {
	tb.Helper()
	engines := make([]*engine.Engine, len(all))
	var opening errgroup.Group
	for i := range all {
		opening.Go(func() (err error) {
			engines[i], err = engine.Open(tb.Context(), all[i])
			return err
		})
	}
	err := opening.Wait()
	tb.Cleanup(func() {
		for _, e := range engines {
			if e != nil {
				shut(tb, e)
			}
		}
	})
	if err != nil {
		tb.Fatal(err)
	}
	return engines
}

// TestClusterKeepsOnEveryNode is three nodes: what one has written any other reads at once, also when one is gone.
func TestClusterKeepsOnEveryNode(t *testing.T) {
	t.Parallel()
	all := openAll(t, nodes(t))
	for i := range 30 {
		writer, reader := all[i%3], all[(i+1)%3]
		name := fmt.Sprintf("sub.%d", i)
		rev, err := writer.Commit(t.Context(), tenant, []heliograph.Write{{Name: name, Value: []byte("x")}})
		if err != nil {
			t.Fatal(err)
		}
		if r, err := reader.Get(t.Context(), tenant, name); err != nil || r.Revision != rev {
			t.Errorf("record %d: revision %d, want %d; %v", i, r.Revision, rev, err)
		}
	}
	seq := appendOne(t, all[0], 1)
	shut(t, all[2])
	if f, err := all[1].Frame(t.Context(), seq); err != nil || len(f.Changes) != 1 {
		t.Errorf("frame: %v", err)
	}
	if _, err := all[1].Append(t.Context(), 1, changes(2, 1, 20)); err != nil {
		t.Errorf("append without one node: %v", err)
	}
	if err := all[0].Check(t.Context()); err != nil {
		t.Errorf("two of three: %v", err)
	}
}

// TestEpochs is what keeps an owner of before from writing.
func TestEpochs(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(t *testing.T) (a, b *engine.Engine){
		"one process": func(t *testing.T) (a, b *engine.Engine) {
			t.Helper()
			e := open(t, fresh(t))
			return e, e
		},
		"a cluster": func(t *testing.T) (a, b *engine.Engine) {
			t.Helper()
			all := openAll(t, nodes(t))
			return all[0], all[1]
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := open(t)
			first, firstNote := take(t, a, "a", 0)
			if _, err := b.Take(t.Context(), 0, []byte("b"), firstNote-1); heliograph.KindOf(err) != heliograph.Conflict {
				t.Errorf("taken over a newer note: %v", err)
			}
			write(t, first, 10, false)
			second, _ := take(t, b, "b", firstNote)
			write(t, first, 20, true)
			write(t, second, 30, false)
			write(t, first, 40, true)
			if next, err := a.Cursor(t.Context(), 0); err != nil || next != 30 {
				t.Errorf("cursor %d, want 30; %v", next, err)
			}
			if m, err := second.Parked(t.Context(), "https://a", 0, 100); err != nil || len(m) != 2+2*20 {
				t.Errorf("%d lists are parked, want those of the owners at their time; %v", len(m), err)
			}
		})
	}
}

// write writes in every way that an owner does: alone, and many at once.
func write(t *testing.T, h *engine.Hold, cursor uint64, refused bool) {
	t.Helper()
	lists := make([]engine.Parking, 20)
	for i := range lists {
		lists[i] = engine.Parking{Endpoint: "https://a", Refs: refs(i, 1)}
	}
	for what, do := range map[string]func() error{
		"cursor":   func() error { return h.SaveCursor(t.Context(), cursor) },
		"one list": func() error { _, err := h.Park(t.Context(), "https://a", refs(0, 1)); return err },
		"lists":    func() error { return h.ParkAll(t.Context(), lists) },
	} {
		err := do()
		if told, _ := errors.AsType[*heliograph.Error](err); refused && (told == nil || told.Rule != "engine.fenced") || !refused && err != nil {
			t.Errorf("%s: %v, is to be refused: %v", what, err, refused)
		}
	}
}

// take makes an engine the owner of partition 0, and returns the revision of its note.
func take(t *testing.T, e *engine.Engine, who string, after uint64) (*engine.Hold, uint64) {
	t.Helper()
	epoch, err := e.Take(t.Context(), 0, []byte(who), after)
	if err != nil {
		t.Fatal(err)
	}
	h, err := e.Hold(0, epoch)
	if err != nil {
		t.Fatal(err)
	}
	note, err := e.Note(t.Context(), engine.OwnerNote(0))
	if err != nil || string(note.Value) != who {
		t.Fatalf("owner %q: %v", note.Value, err)
	}
	return h, note.Revision
}

// TestNotes are read and written with compare-and-set.
func TestNotes(t *testing.T) {
	t.Parallel()
	e := open(t, fresh(t))
	if notes, err := e.Notes(t.Context()); err != nil || len(notes) != 0 {
		t.Errorf("notes %v: %v", notes, err)
	}
	rev, err := e.SetNote(t.Context(), engine.NodeNote("a"), []byte("one"), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.SetNote(t.Context(), engine.NodeNote("a"), []byte("two"), 0); heliograph.KindOf(err) != heliograph.Conflict {
		t.Errorf("written twice as new: %v", err)
	}
	if _, err := e.SetNote(t.Context(), engine.NodeNote("a"), []byte("two"), rev); err != nil {
		t.Error(err)
	}
	if _, err := e.Take(t.Context(), 0, []byte("a"), 0); err != nil {
		t.Error(err)
	}
	notes, err := e.Notes(t.Context())
	if err != nil || len(notes) != 2 {
		t.Fatalf("notes %v: %v", notes, err)
	}
	if err := e.RemoveNote(t.Context(), engine.NodeNote("a"), rev+1); err != nil {
		t.Error(err)
	}
	if n, err := e.Note(t.Context(), engine.NodeNote("a")); err != nil || n.Revision != 0 {
		t.Errorf("removed note: %+v, %v", n, err)
	}
}

// TestClusterSaysWhatItLacks is a node alone.
func TestClusterSaysWhatItLacks(t *testing.T) {
	t.Parallel()
	all := nodes(t)
	all[0].Cluster.Wait = 100 * time.Millisecond
	_, err := engine.Open(t.Context(), all[0])
	wantKind(t, err, heliograph.Unavailable)
	if err == nil || !strings.Contains(err.Error(), "no majority") || !strings.Contains(err.Error(), all[1].Cluster.Listen) {
		t.Errorf("%v does not say what is missing", err)
	}
}

// TestFolderOfAnotherKind is refused, and stays as it was.
func TestFolderOfAnotherKind(t *testing.T) {
	t.Parallel()
	alone := fresh(t)
	shut(t, openOnce(t, alone))
	node := nodes(t)[0]
	node.Dir = alone.Dir
	_, err := engine.Open(t.Context(), node)
	wantKind(t, err, heliograph.Invalid)
	shut(t, openOnce(t, alone))
}

func openOnce(t *testing.T, o engine.Options) *engine.Engine {
	t.Helper()
	e, err := engine.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestOpenClusterIsRefused is one that anybody could join.
func TestOpenClusterIsRefused(t *testing.T) {
	t.Parallel()
	o := nodes(t)[0]
	o.Cluster.Secret, o.Cluster.Listen = heliograph.Secret{}, "0.0.0.0:6222"
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err := engine.Open(ctx, o)
	wantKind(t, err, heliograph.Invalid)
}

// TestStrangerIsNotLetIn is a node with another secret.
func TestStrangerIsNotLetIn(t *testing.T) {
	t.Parallel()
	all := nodes(t)
	stranger := all[2]
	stranger.Cluster.Secret, stranger.Cluster.Wait = heliograph.NewSecret("something else"), 3*time.Second
	two := openTwo(t, all)
	_, err := engine.Open(t.Context(), stranger)
	wantKind(t, err, heliograph.Unavailable)
	appendOne(t, two[0], 1)
}

// openTwo opens the first two nodes of three: streams of three wait for the third, so these keep one copy.
func openTwo(t *testing.T, all []engine.Options) []*engine.Engine {
	t.Helper()
	two := []engine.Options{all[0], all[1]}
	for i := range two {
		two[i].Replicas = 1
	}
	return openAll(t, two)
}
