package engine_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"heliograph.dev"
	"heliograph.dev/internal/engine"
)

func TestOpenAgainFindsEverything(t *testing.T) {
	t.Parallel()
	o := fresh(t)
	o.Partitions, o.Shards = 3, 2
	o.Now = func() time.Time { return start }
	e := open(t, o)
	want := changes(0, 3, 50)
	seq, err := e.Append(t.Context(), 2, want)
	if err != nil {
		t.Fatal(err)
	}
	if err := hold(e, 2).SaveCursor(t.Context(), 7); err != nil {
		t.Fatal(err)
	}
	rev, err := e.Commit(t.Context(), tenant, []heliograph.Write{{Name: "sub.1", Value: []byte("one")}})
	if err != nil {
		t.Fatal(err)
	}
	place := e.PartitionOf(tenant)
	shut(t, e)

	o.Partitions, o.Shards = 0, 0
	e = open(t, o)
	if e.Partitions() != 3 || e.PartitionOf(tenant) != place {
		t.Errorf("%d partitions, tenant in %d; want 3 and %d", e.Partitions(), e.PartitionOf(tenant), place)
	}
	f, err := e.Frame(t.Context(), seq)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(heliograph.Frame{Partition: 2, Sequence: seq, Written: start, Changes: want}, f); diff != "" {
		t.Error(diff)
	}
	if next, err := e.Cursor(t.Context(), 2); err != nil || next != 7 {
		t.Errorf("cursor %d, %v", next, err)
	}
	if next, err := e.Cursor(t.Context(), 1); err != nil || next != 0 {
		t.Errorf("cursor of another partition %d, %v", next, err)
	}
	r, err := e.Get(t.Context(), tenant, "sub.1")
	if diff := cmp.Diff(heliograph.Record{Tenant: tenant, Name: "sub.1", Value: []byte("one"), Revision: rev}, r); err != nil || diff != "" {
		t.Error(err, diff)
	}
	if err := e.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestPlacesNeverMove: where tenants are stands on disk.
func TestPlacesNeverMove(t *testing.T) {
	t.Parallel()
	o := fresh(t)
	o.Partitions = 8
	e := open(t, o)
	for id, want := range map[heliograph.TenantID]int{tenant: 1, other: 5, "": 5, "contoso": 0} {
		if got := e.PartitionOf(id); got != want {
			t.Errorf("%q is in partition %d, was in %d", id, got, want)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	write := func(name, text string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			t.Helper()
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, test := range []struct {
		name    string
		prepare func(t *testing.T, dir string)
		rule    string
	}{
		{"somebody else's folder", write("thesis.doc", "x"), "data.foreign"},
		{"a cluster's folder", write("heliograph.json", `{"schema":1,"mode":"cluster:prod:n1"}`), "data.mode"},
		{"a newer folder", write("heliograph.json", `{"schema":3,"mode":"standalone"}`), "data.newer"},
		{"a damaged mode file", write("heliograph.json", `{"schema":`), "data.mode"},
		{"an empty mode file", write("heliograph.json", `{}`), "data.mode"},
		{"a folder in use", func(t *testing.T, dir string) {
			t.Helper()
			open(t, at(t, dir))
		}, "data.locked"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			test.prepare(t, dir)
			before := names(t, dir)
			_, err := engine.Open(t.Context(), at(t, dir))
			var told *heliograph.Error
			if !errors.As(err, &told) || told.Rule != test.rule || !strings.Contains(told.Message, dir) {
				t.Errorf("err = %v, want one of rule %s that names the folder", err, test.rule)
			}
			if diff := cmp.Diff(before, names(t, dir)); test.rule != "data.locked" && test.rule != "data.mode" && diff != "" {
				t.Errorf("the folder was touched: %s", diff)
			}
		})
	}
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func TestOpenRefusesOtherCounts(t *testing.T) {
	t.Parallel()
	o := fresh(t)
	o.Partitions, o.Shards = 4, 2
	shut(t, open(t, o))
	for rule, o := range map[string]engine.Options{
		"store.partitions": {Dir: o.Dir, Partitions: 5},
		"store.shards":     {Dir: o.Dir, Shards: 3},
	} {
		_, err := engine.Open(t.Context(), o)
		var told *heliograph.Error
		if !errors.As(err, &told) || told.Rule != rule {
			t.Errorf("err = %v, want %s", err, rule)
		}
	}
	open(t, o)
}

func TestOptionsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]engine.Options{
		"no home":             {},
		"too many partitions": {Dir: "x", Partitions: 257},
		"negative shards":     {Dir: "x", Shards: -1},
		"lonely replicas":     {Dir: "x", Replicas: 3},
		"a log for nothing":   {Dir: "x", MaxLogBytes: 100},
	} {
		if _, err := engine.Open(t.Context(), o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestFolderIsPrivate(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("Windows folders have no mode")
	}
	old := filepath.Join(t.TempDir(), "old")
	if err := os.Mkdir(old, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{old, filepath.Join(t.TempDir(), "new", "deep")} {
		open(t, at(t, dir))
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", dir, info.Mode(), err)
		}
	}
}

func TestCloseIsIdempotentAndBounded(t *testing.T) {
	t.Parallel()
	o := fresh(t)
	e := open(t, o)
	r := openReader(t, e, 0, 1)
	w, err := e.Watch(t.Context(), func([]heliograph.Record) {})
	if err != nil {
		t.Fatal(err)
	}
	reading := make(chan error)
	go func() {
		_, err := r.Next(context.WithoutCancel(t.Context()))
		reading <- err
	}()
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.Close(over); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("close without time: %v", err)
	}
	shut(t, e)
	shut(t, e)
	if wait(t, "end of the reader", reading) == nil {
		t.Error("a reader read on")
	}
	wait(t, "end of the watch", w.Done())
	if err := w.Err(); err != nil {
		t.Errorf("watch failed: %v", err)
	}
	_, err = e.Append(t.Context(), 0, changes(0, 1, 10))
	wantKind(t, err, heliograph.Unavailable)
	if e.Check(t.Context()) == nil {
		t.Error("a closed engine is ready")
	}
	for link := range openFiles(t) {
		if strings.HasPrefix(link, o.Dir) {
			t.Errorf("still open: %s", link)
		}
	}
}

// openFiles returns what this process holds open, where the system tells.
func openFiles(t *testing.T) map[string]bool {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil
	}
	links := map[string]bool{}
	for _, entry := range entries {
		if link, err := os.Readlink(filepath.Join("/proc/self/fd", entry.Name())); err == nil {
			links[link] = true
		}
	}
	return links
}

// TestDamagedStoreIsNotMadeAnew: a stream that cannot be recovered is an error, not an empty stream.
func TestDamagedStoreIsNotMadeAnew(t *testing.T) {
	t.Parallel()
	o := fresh(t)
	e := open(t, o)
	appendOne(t, e, 1)
	shut(t, e)
	meta := filepath.Join(o.Dir, "jetstream", "$G", "streams", "changes", "meta.inf")
	if err := os.WriteFile(meta, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := engine.Open(t.Context(), at(t, o.Dir))
	if err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("err = %v", err)
	}
}

func BenchmarkOpen(b *testing.B) {
	for b.Loop() {
		e, err := engine.Open(b.Context(), fresh(b))
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		shut(b, e)
		b.StartTimer()
	}
}
