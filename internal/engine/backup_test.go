package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/engine"
	"heliograph.dev/internal/engine/archive"
)

// restoring is an empty folder for a restore, with the keys of another store.
func restoring(tb testing.TB, keys string) engine.Options {
	tb.Helper()
	o := fresh(tb)
	o.Vault, o.Restoring = keysIn(keys), true
	return o
}

func backup(tb testing.TB, e *engine.Engine) []byte {
	tb.Helper()
	var b bytes.Buffer
	if _, err := e.Backup(tb.Context(), &b, "test"); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// recordsIn reads all records of a store.
func recordsIn(tb testing.TB, e *engine.Engine) map[string]string {
	tb.Helper()
	var mu sync.Mutex
	all := map[string]string{}
	w, err := e.Watch(tb.Context(), func(list []heliograph.Record) {
		mu.Lock()
		defer mu.Unlock()
		for _, r := range list {
			key := string(r.Tenant) + "/" + r.Name
			if delete(all, key); !r.Deleted {
				all[key] = string(r.Value)
			}
		}
	})
	if err != nil {
		tb.Fatal(err)
	}
	wait(tb, "records", w.Ready())
	w.Close()
	return all
}

// undelivered reads what the deliverers of a store would begin with, of each tenant in order.
func undelivered(tb testing.TB, e *engine.Engine) map[heliograph.TenantID][]heliograph.ChangeID {
	tb.Helper()
	all := map[heliograph.TenantID][]heliograph.ChangeID{}
	for p := range e.Partitions() {
		from, err := e.Cursor(tb.Context(), p)
		if err != nil {
			tb.Fatal(err)
		}
		state, err := e.LogState(tb.Context())
		if err != nil {
			tb.Fatal(err)
		}
		for seq := max(from, 1); seq <= state.Last; seq++ {
			f, err := e.Frame(tb.Context(), seq)
			if err != nil {
				tb.Fatal(err)
			}
			if f.Partition != p {
				continue
			}
			for _, c := range f.Changes {
				if e.PartitionOf(c.Tenant) != p {
					tb.Errorf("a change of partition %d is in %d", e.PartitionOf(c.Tenant), p)
				}
				all[c.Tenant] = append(all[c.Tenant], c.ID)
			}
		}
	}
	return all
}

func tenantNumber(i int) heliograph.TenantID { return heliograph.TenantID(fmt.Sprintf("tenant-%d", i)) }

// of gives changes to tenants in turn.
func of(tenants int, list []heliograph.Change) []heliograph.Change {
	for i := range list {
		list[i].Tenant = tenantNumber(i % tenants)
	}
	return list
}

// TestBackupUnderLoad backs up while changes come, are delivered and parked, and records change, and restores into a store
// with other numbers of partitions and shards.
func TestBackupUnderLoad(t *testing.T) {
	t.Parallel()
	const tenants, before = 5, 40
	o := fresh(t)
	e := open(t, o)
	hold, err := e.Hold(0, engine.Epoch{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[heliograph.TenantID][]heliograph.ChangeID{} // acknowledged before, not delivered
	parked := map[heliograph.Endpoint][]heliograph.ChangeID{}
	var cursor uint64
	for n := range before {
		list := of(tenants, changes(100*n, 20, 50))
		seq, err := e.Append(t.Context(), 0, list)
		if err != nil {
			t.Fatal(err)
		}
		if n < before/2 { // delivered, but for one that is parked
			endpoint := heliograph.Endpoint(fmt.Sprintf("https://ill-%d.example", n%3))
			ref := heliograph.ParkedRef{Subscription: heliograph.NewGUID(), Position: heliograph.Position{Sequence: seq, Index: uint32(n % 20)}, Since: start}
			if _, err := hold.Park(t.Context(), endpoint, []heliograph.ParkedRef{ref}); err != nil {
				t.Fatal(err)
			}
			parked[endpoint] = append(parked[endpoint], list[n%20].ID)
			cursor = seq + 1
			continue
		}
		for _, c := range list {
			want[c.Tenant] = append(want[c.Tenant], c.ID)
		}
	}
	if err := hold.SaveCursor(t.Context(), cursor); err != nil {
		t.Fatal(err)
	}
	for i := range 300 {
		if _, err := e.Commit(t.Context(), tenantNumber(i%tenants), []heliograph.Write{{Name: fmt.Sprintf("sub.%d", i), Value: []byte(fmt.Sprint("value ", i))}}); err != nil {
			t.Fatal(err)
		}
	}
	kept := recordsIn(t, e)

	var stop atomic.Bool
	var load sync.WaitGroup
	load.Go(func() { // changes
		for n := before; !stop.Load(); n++ {
			if _, err := e.Append(t.Context(), 0, of(tenants, changes(100*n, 20, 50))); err != nil {
				t.Error(err)
				return
			}
		}
	})
	load.Go(func() { // what is parked moves, as a drain does that could deliver only a part
		for n := 0; !stop.Load(); n++ {
			endpoint := heliograph.Endpoint(fmt.Sprintf("https://ill-%d.example", n%3))
			list, err := hold.Parked(t.Context(), endpoint, 0, 1)
			if err == nil && len(list) == 1 {
				if _, err = hold.Park(t.Context(), endpoint, list[0].Refs); err == nil {
					err = hold.Unpark(t.Context(), endpoint, list[0].Sequence)
				}
			}
			if err != nil {
				t.Error(err)
				return
			}
		}
	})
	load.Go(func() { // three records that are always the same
		for n := 0; !stop.Load(); n++ {
			value := []byte(fmt.Sprint(n))
			var writes []heliograph.Write
			for _, name := range []string{"twin.a", "twin.b", "twin.c"} {
				w := heliograph.Write{Name: name, Value: value}
				if r, err := e.Get(t.Context(), tenantNumber(0), name); err == nil {
					w.Expect = r.Revision
				}
				writes = append(writes, w)
			}
			if _, err := e.Commit(t.Context(), tenantNumber(0), writes); err != nil {
				t.Error(err)
				return
			}
		}
	})
	files := [][]byte{backup(t, e), backup(t, e)}
	stop.Store(true)
	load.Wait()

	for i, file := range files {
		to := restoring(t, o.Dir)
		to.Partitions, to.Shards = 1+4*i, 1+2*i
		target := open(t, to)
		done, err := target.Restore(t.Context(), bytes.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		if done.Unreadable != 0 || done.WithoutTheirFrame != 0 || done.Records == 0 || done.Changes < before*20 {
			t.Errorf("restored %+v", done)
		}
		got := recordsIn(t, target)
		if a, b, c := got["tenant-0/twin.a"], got["tenant-0/twin.b"], got["tenant-0/twin.c"]; a != b || b != c {
			t.Errorf("a commit was restored by half: %q, %q, %q", a, b, c)
		}
		for name, value := range kept {
			if got[name] != value {
				t.Errorf("record %s = %q, want %q", name, got[name], value)
			}
		}
		has := undelivered(t, target)
		for tenant, ids := range want {
			if n := len(ids); len(has[tenant]) < n || !slices.Equal(has[tenant][:n], ids) {
				t.Errorf("tenant %s begins with %d changes, want %d others first", tenant, len(has[tenant]), n)
			}
		}
		for endpoint, ids := range parked {
			if got := parkedChanges(t, target, endpoint); !contains(got, ids) {
				t.Errorf("%s has %d parked, want these: %v", endpoint, len(got), ids)
			}
		}
	}
}

func contains(all, some []heliograph.ChangeID) bool {
	return !slices.ContainsFunc(some, func(id heliograph.ChangeID) bool { return !slices.Contains(all, id) })
}

// parkedChanges follows what is parked for an endpoint to its changes.
func parkedChanges(tb testing.TB, e *engine.Engine, endpoint heliograph.Endpoint) (ids []heliograph.ChangeID) {
	tb.Helper()
	for p := range e.Partitions() {
		h, err := e.Hold(p, engine.Epoch{})
		if err != nil {
			tb.Fatal(err)
		}
		list, err := h.Parked(tb.Context(), endpoint, 0, 10_000)
		if err != nil {
			tb.Fatal(err)
		}
		for _, m := range list {
			for _, ref := range m.Refs {
				f, err := e.Frame(tb.Context(), ref.Position.Sequence)
				if err != nil || f.Partition != p {
					tb.Fatalf("parked in partition %d: a change of %d, %v", p, f.Partition, err)
				}
				ids = append(ids, f.Changes[ref.Position.Index].ID)
			}
		}
	}
	return ids
}

func TestRestoreKeepsTheTime(t *testing.T) {
	t.Parallel()
	o := fresh(t)
	now := start
	o.Now = func() time.Time { return now }
	e := open(t, o)
	for n := range 4 {
		appendOne(t, e, n)
		now = now.Add(time.Hour)
	}
	to := restoring(t, o.Dir)
	target := open(t, to)
	if _, err := target.Restore(t.Context(), bytes.NewReader(backup(t, e))); err != nil {
		t.Fatal(err)
	}
	seq, err := target.SequenceAt(t.Context(), start.Add(2*time.Hour))
	if err != nil || seq != 3 {
		t.Errorf("two hours later begins at %d, %v, want 3", seq, err)
	}
}

func TestRestoreRefuses(t *testing.T) {
	t.Parallel()
	o := fresh(t)
	e := open(t, o)
	appendOne(t, e, 1)
	if _, err := e.Commit(t.Context(), tenant, []heliograph.Write{{Name: "a", Value: []byte("b")}}); err != nil {
		t.Fatal(err)
	}
	good := backup(t, e)
	flipped := slices.Clone(good)
	flipped[len(flipped)/2] ^= 4
	for name, c := range map[string]struct {
		file []byte
		keys string
		rule string
	}{
		"a cut file":       {good[:len(good)-3], o.Dir, "restore.damaged"},
		"a flipped file":   {flipped, o.Dir, "restore.damaged"},
		"no backup at all": {[]byte("{}"), o.Dir, "restore.damaged"},
		"another key":      {good, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			to := restoring(t, c.keys)
			if c.keys == "" {
				to.Vault = keysIn(to.Dir)
			}
			target := open(t, to)
			_, err := target.Restore(t.Context(), bytes.NewReader(c.file))
			if refused, is := errors.AsType[*heliograph.Error](err); !is || c.rule != "" && refused.Rule != c.rule {
				t.Errorf("err = %v, want %s", err, c.rule)
			}
			if state, err := target.LogState(t.Context()); err != nil || state.Last != 0 || len(recordsIn(t, target)) != 0 {
				t.Errorf("something was written: %+v, %v", state, err)
			}
			if c.rule == "" {
				return
			}
			if _, err := target.Restore(t.Context(), bytes.NewReader(good)); err != nil { // nothing was written
				t.Errorf("after a refusal: %v", err)
			}
			_, err = target.Restore(t.Context(), bytes.NewReader(good))
			if refused, is := errors.AsType[*heliograph.Error](err); !is || refused.Rule != "restore.not_empty" {
				t.Errorf("into a store that is not empty: %v", err)
			}
		})
	}
}

// TestRestoreByHalf breaks a restore off: what it left is opened by nobody.
func TestRestoreByHalf(t *testing.T) {
	t.Parallel()
	o := fresh(t)
	e := open(t, o)
	for n := range 3 {
		appendOne(t, e, n)
	}
	to := restoring(t, o.Dir)
	to.Restoring = false
	shut(t, open(t, to)) // a store that was made for something else
	to.Restoring = true
	target := open(t, to)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := target.Restore(ctx, &cutter{Reader: bytes.NewReader(backup(t, e)), cut: cancel})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("err = %v", err)
	}
	shut(t, target)
	to.Restoring = false
	_, err = engine.Open(t.Context(), to)
	if refused, is := errors.AsType[*heliograph.Error](err); !is || refused.Rule != "store.restoring" {
		t.Errorf("opened: %v", err)
	}
}

// cutter ends a context when it is read from its beginning for the second time.
type cutter struct {
	*bytes.Reader
	begun int
	cut   func()
}

// Read reads.
func (c *cutter) Read(b []byte) (int, error) {
	if c.Len() == int(c.Size()) {
		if c.begun++; c.begun == 2 {
			c.cut()
		}
	}
	return c.Reader.Read(b)
}

// TestBackupMeetsWhatMoves writes records and the backlog anew while they are read.
func TestBackupMeetsWhatMoves(t *testing.T) {
	t.Parallel()
	const n = 300 // more than what is on the way to a reader
	o := fresh(t)
	e := open(t, o)
	hold, err := e.Hold(0, engine.Epoch{})
	if err != nil {
		t.Fatal(err)
	}
	seq := appendOne(t, e, 1)
	endpoint := func(i int) heliograph.Endpoint { return heliograph.Endpoint(fmt.Sprintf("https://ill-%d.example", i)) }
	ref := []heliograph.ParkedRef{{Subscription: heliograph.NewGUID(), Position: heliograph.Position{Sequence: seq}, Since: start}}
	lists := make([]engine.Parking, n)
	var writes []heliograph.Write
	for i := range n {
		lists[i] = engine.Parking{Endpoint: endpoint(i), Refs: ref}
		writes = append(writes, heliograph.Write{Name: fmt.Sprint("r", i), Value: []byte("old")})
	}
	if err := hold.ParkAll(t.Context(), lists); err != nil {
		t.Fatal(err)
	}
	rev, err := e.Commit(t.Context(), tenant, writes)
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	w := &watcher{w: &file, once: map[archive.Kind]func() error{
		archive.Parked: func() error {
			list, err := hold.Parked(t.Context(), endpoint(n-1), 0, 1)
			if err == nil {
				err = hold.ParkAll(t.Context(), lists[n-1:])
			}
			if err == nil {
				err = hold.Unpark(t.Context(), endpoint(n-1), list[0].Sequence)
			}
			return err
		},
		archive.Record: func() error {
			_, err := e.Commit(t.Context(), tenant, []heliograph.Write{
				{Name: fmt.Sprint("r", n-1), Value: []byte("new"), Expect: rev}, {Name: "r0", Expect: rev - n + 1},
			})
			return err
		},
	}}
	if _, err := e.Backup(t.Context(), w, "test"); err != nil {
		t.Fatal(err)
	}
	target := open(t, restoring(t, o.Dir))
	done, err := target.Restore(t.Context(), bytes.NewReader(file.Bytes()))
	if err != nil || done.Parked != n {
		t.Fatalf("%+v, %v", done, err)
	}
	if got := parkedChanges(t, target, endpoint(n-1)); len(got) != 1 {
		t.Errorf("%d parked of what moved", len(got))
	}
	got := recordsIn(t, target)
	if _, there := got[string(tenant)+"/r0"]; there || got[string(tenant)+"/r299"] != "new" || len(got) != n-1 {
		t.Errorf("%d records, the last is %q, a deleted one is there: %v", len(got), got[string(tenant)+"/r299"], there)
	}
}

// watcher does something when a block of a kind is written for the first time.
type watcher struct {
	w    io.Writer
	once map[archive.Kind]func() error
}

// Write writes a block.
func (w *watcher) Write(b []byte) (int, error) {
	if do := w.once[archive.Kind(b[0])]; do != nil {
		delete(w.once, archive.Kind(b[0]))
		if err := do(); err != nil {
			return 0, err
		}
	}
	return w.w.Write(b)
}

// TestBackupIsSealed looks for what was stored in a backup.
func TestBackupIsSealed(t *testing.T) {
	t.Parallel()
	e := open(t, fresh(t))
	if _, err := e.Append(t.Context(), 0, changes(1, 1, 20)); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Commit(t.Context(), tenant, []heliograph.Write{{Name: "a", Value: []byte("a client state")}}); err != nil {
		t.Fatal(err)
	}
	file := string(backup(t, e))
	for _, secret := range []string{"a client state", "users/ada"} {
		if strings.Contains(file, secret) {
			t.Errorf("%q is in the backup", secret)
		}
	}
	if _, err := archive.Read(strings.NewReader(file), nil); err != nil {
		t.Error(err)
	}
}

// TestRestoreCluster makes three nodes of one that was alone. They end one after the other when it is done, and serve then.
func TestRestoreCluster(t *testing.T) {
	t.Parallel()
	o := fresh(t)
	e := open(t, o)
	for n := range 20 {
		if _, err := e.Append(t.Context(), 0, of(4, changes(100*n, 8, 50))); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 50 {
		if _, err := e.Commit(t.Context(), tenantNumber(i%4), []heliograph.Write{{Name: fmt.Sprint("r", i), Value: []byte("v")}}); err != nil {
			t.Fatal(err)
		}
	}
	file, kept, want := backup(t, e), recordsIn(t, e), undelivered(t, e)

	three := nodes(t)
	for i := range three {
		three[i].Vault, three[i].Restoring = keysIn(o.Dir), true
	}
	restoring := openAll(t, three)
	var all sync.WaitGroup
	for i, node := range restoring {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			var err error
			if i == 1 {
				_, err = node.Restore(ctx, bytes.NewReader(file))
			} else {
				err = node.AwaitRestored(ctx)
			}
			if err != nil {
				t.Errorf("node %d: %v", i, err)
			}
			shut(t, node)
		})
	}
	all.Wait()
	for i := range three {
		three[i].Restoring = false
	}
	node := openAll(t, three)[2]
	if got := recordsIn(t, node); !maps.Equal(got, kept) {
		t.Errorf("%d records, want %d", len(got), len(kept))
	}
	if got := undelivered(t, node); !maps.EqualFunc(got, want, slices.Equal) {
		t.Errorf("undelivered: %v, want %v", got, want)
	}
}
