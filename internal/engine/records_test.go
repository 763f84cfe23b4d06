package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"heliograph.dev"
	"heliograph.dev/internal/engine"
)

func commit(tb testing.TB, e *engine.Engine, writes ...heliograph.Write) uint64 {
	tb.Helper()
	rev, err := e.Commit(tb.Context(), tenant, writes)
	if err != nil {
		tb.Fatal(err)
	}
	return rev
}

func put(name, value string, expect uint64) heliograph.Write {
	return heliograph.Write{Name: name, Value: []byte(value), Expect: expect}
}

func TestCommitIsAllOrNothing(t *testing.T) {
	t.Parallel()
	e := open(t, fresh(t))
	rev := commit(t, e, put("sub.1", "one", 0), put("uniq.a", "", 0), put("quota.q", "1", 0))
	for i, name := range []string{"sub.1", "uniq.a", "quota.q"} {
		if r, err := e.Get(t.Context(), tenant, name); err != nil || r.Revision != rev-2+uint64(i) || r.Value == nil {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	for name, writes := range map[string][]heliograph.Write{
		"exists":            {put("sub.2", "two", 0), put("uniq.a", "", 0), put("quota.q", "2", rev)},
		"changed":           {put("sub.2", "two", 0), put("quota.q", "2", rev-1)},
		"changed, alone":    {put("quota.q", "2", rev-1)},
		"exists, alone":     {put("quota.q", "2", 0)},
		"not there":         {put("sub.2", "two", 0), put("sub.3", "three", 5)},
		"not there, alone":  {put("sub.3", "three", 5)},
		"delete, not there": {{Name: "sub.3", Expect: 5}},
	} {
		_, err := e.Commit(t.Context(), tenant, writes)
		if heliograph.KindOf(err) != heliograph.Conflict {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := e.Get(t.Context(), tenant, "sub.2")
	wantKind(t, err, heliograph.NotFound)
	if r, err := e.Get(t.Context(), tenant, "quota.q"); err != nil || string(r.Value) != "1" {
		t.Errorf("%+v, %v", r, err)
	}
	_, err = e.Get(t.Context(), other, "sub.1")
	wantKind(t, err, heliograph.NotFound)
}

func TestDeletedNamesMayReturn(t *testing.T) {
	t.Parallel()
	e := open(t, fresh(t))
	for range 3 {
		rev := commit(t, e, put("uniq.a", "x", 0))
		commit(t, e, heliograph.Write{Name: "uniq.a", Expect: rev})
		_, err := e.Get(t.Context(), tenant, "uniq.a")
		wantKind(t, err, heliograph.NotFound)
		rev = commit(t, e, put("uniq.b", "x", 0), put("uniq.a", "x", 0))
		_, err = e.Commit(t.Context(), tenant, []heliograph.Write{put("uniq.c", "x", 0), put("uniq.a", "x", 0)})
		wantKind(t, err, heliograph.Conflict)
		commit(t, e, heliograph.Write{Name: "uniq.a", Expect: rev}, heliograph.Write{Name: "uniq.b", Expect: rev - 1})
	}
}

func TestCommitRefuses(t *testing.T) {
	t.Parallel()
	e := open(t, fresh(t))
	for name, test := range map[string]struct {
		tenant heliograph.TenantID
		writes []heliograph.Write
		kind   heliograph.Kind
	}{
		"nothing":         {tenant, nil, heliograph.Internal},
		"too many":        {tenant, make([]heliograph.Write, engine.MaxWrites+1), heliograph.Internal},
		"the same twice":  {tenant, []heliograph.Write{put("a", "", 0), put("a", "", 0)}, heliograph.Internal},
		"delete nothing":  {tenant, []heliograph.Write{{Name: "a"}}, heliograph.Internal},
		"a wildcard":      {tenant, []heliograph.Write{put("sub.*", "", 0)}, heliograph.Invalid},
		"all":             {tenant, []heliograph.Write{put("sub.>", "", 0)}, heliograph.Invalid},
		"an empty token":  {tenant, []heliograph.Write{put("sub..x", "", 0)}, heliograph.Invalid},
		"no name":         {tenant, []heliograph.Write{put("", "", 0)}, heliograph.Invalid},
		"a tenant of two": {"a.b", []heliograph.Write{put("a", "", 0)}, heliograph.Invalid},
		"no tenant":       {"", []heliograph.Write{put("a", "", 0)}, heliograph.Invalid},
		"a large value":   {tenant, []heliograph.Write{put("a", strings.Repeat("x", engine.MaxValue+1), 0)}, heliograph.TooLarge},
	} {
		_, err := e.Commit(t.Context(), test.tenant, test.writes)
		if err == nil || heliograph.KindOf(err) != test.kind {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := e.Get(t.Context(), tenant, "sub.*")
	wantKind(t, err, heliograph.Invalid)
	commit(t, e, put("a", strings.Repeat("x", engine.MaxValue), 0))
	many := make([]heliograph.Write, engine.MaxWrites)
	for i := range many {
		many[i] = put(fmt.Sprintf("n.%d", i), "x", 0)
	}
	commit(t, e, many...)
}

// TestCounterUnderContention: compare-and-set loses no increment, alone and in batches.
func TestCounterUnderContention(t *testing.T) {
	t.Parallel()
	e := open(t, fresh(t))
	var failed atomic.Int64
	var all sync.WaitGroup
	for worker := range 4 {
		all.Go(func() {
			for n := range 10 {
				for {
					r, err := e.Get(t.Context(), tenant, "quota.q")
					if err != nil && heliograph.KindOf(err) != heliograph.NotFound {
						t.Error(err)
						return
					}
					writes := []heliograph.Write{{Name: "quota.q", Value: append(r.Value, 'x'), Expect: r.Revision}}
					if worker%2 == 0 {
						writes = append(writes, put(fmt.Sprintf("sub.%d-%d", worker, n), "x", 0))
					}
					_, err = e.Commit(t.Context(), tenant, writes)
					if err == nil {
						break
					}
					if heliograph.KindOf(err) != heliograph.Conflict {
						t.Error(err)
						return
					}
					failed.Add(1)
				}
			}
		})
	}
	all.Wait()
	r, err := e.Get(t.Context(), tenant, "quota.q")
	if err != nil || len(r.Value) != 40 {
		t.Errorf("counted %d of 40, %v", len(r.Value), err)
	}
	if failed.Load() == 0 {
		t.Error("nobody met anybody: the test shows nothing")
	}
}

// TestRecordsModel compares records with a map.
func TestRecordsModel(t *testing.T) {
	t.Parallel()
	e := open(t, fresh(t))
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		m := model{tenant: heliograph.TenantID(fmt.Sprintf("tenant-%d", run)), records: map[string]heliograph.Record{}}
		for range rapid.IntRange(1, 4).Draw(rt, "commits") { // each costs some syncs
			m.commit(t, rt, e)
		}
		for n := range 4 {
			name := fmt.Sprintf("n.%d", n)
			got, err := e.Get(t.Context(), m.tenant, name)
			want, there := m.records[name]
			if there != (err == nil) || !there && heliograph.KindOf(err) != heliograph.NotFound {
				rt.Errorf("%s: %v", name, err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				rt.Error(diff)
			}
		}
	})
}

type model struct {
	tenant  heliograph.TenantID
	records map[string]heliograph.Record
}

func (m model) commit(t *testing.T, rt *rapid.T, e *engine.Engine) {
	t.Helper()
	var writes []heliograph.Write
	legal := true
	for _, n := range rapid.SliceOfNDistinct(rapid.IntRange(0, 3), 1, 3, rapid.ID[int]).Draw(rt, "names") {
		name := fmt.Sprintf("n.%d", n)
		w := heliograph.Write{Name: name, Expect: m.records[name].Revision}
		if w.Expect == 0 || rapid.Bool().Draw(rt, "put") {
			w.Value = rapid.SliceOfN(rapid.Byte(), 1, 10).Draw(rt, "value")
		}
		if rapid.IntRange(0, 9).Draw(rt, "wrong") == 0 {
			w.Expect += 1 << 40
			legal = false
		}
		writes = append(writes, w)
	}
	rev, err := e.Commit(t.Context(), m.tenant, writes)
	if legal != (err == nil) || !legal && heliograph.KindOf(err) != heliograph.Conflict {
		rt.Fatalf("%+v: %v", writes, err)
	}
	if err != nil {
		return
	}
	for i, w := range writes {
		if w.Value == nil {
			delete(m.records, w.Name)
		} else {
			m.records[w.Name] = heliograph.Record{Tenant: m.tenant, Name: w.Name, Value: w.Value, Revision: rev - uint64(len(writes)-1-i)}
		}
	}
}

// TestCommitsTogether: commits that share a batch are told each its own, also when one of them conflicts.
func TestCommitsTogether(t *testing.T) {
	t.Parallel()
	e := open(t, fresh(t))
	commit(t, e, put("taken", "x", 0))
	var all sync.WaitGroup
	for n := range 100 {
		all.Go(func() {
			name := fmt.Sprintf("sub.%d", n)
			writes := []heliograph.Write{put(name, name, 0), put("uniq."+name, name, 0)}
			if n%40 == 7 {
				writes = append(writes, put("taken", "y", 0))
			}
			rev, err := e.Commit(t.Context(), tenant, writes)
			if n%40 == 7 {
				if heliograph.KindOf(err) != heliograph.Conflict {
					t.Errorf("%s: %v", name, err)
				}
				return
			}
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if r, err := e.Get(t.Context(), tenant, "uniq."+name); err != nil || r.Revision != rev || string(r.Value) != name {
				t.Errorf("%s: %+v, %v; want revision %d", name, r, err, rev)
			}
		})
	}
	all.Wait()
}

// TestGivenUpCommits: a commit whose caller has gone away stands in nobody's way.
func TestGivenUpCommits(t *testing.T) {
	t.Parallel()
	e := open(t, fresh(t))
	large := make([]heliograph.Write, engine.MaxWrites)
	for i := range large {
		large[i] = put(fmt.Sprintf("large.%d", i), strings.Repeat("x", 5000), 0)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() { // keeps the others waiting
		if _, err := e.Commit(t.Context(), tenant, large); err != nil {
			t.Error(err)
		}
	})
	for range 3 {
		all.Go(func() { _, _ = e.Commit(ctx, tenant, []heliograph.Write{put("a", "x", 0)}) })
	}
	cancel()
	done := make(chan error, 1)
	all.Go(func() {
		_, err := e.Commit(t.Context(), tenant, []heliograph.Write{put("a", "x", 0)})
		done <- err
	})
	if err := wait(t, "commit", done); err != nil && heliograph.KindOf(err) != heliograph.Conflict {
		t.Error(err)
	}
	all.Wait()
}

func TestErrorsNameTheirCause(t *testing.T) {
	t.Parallel()
	e := open(t, fresh(t))
	rev := commit(t, e, put("a", "x", 0))
	_, err := e.Commit(t.Context(), tenant, []heliograph.Write{put("a", "y", rev+1)})
	var told *heliograph.Error
	if !errors.As(err, &told) || told.Rule != "engine.revision" || told.Err == nil {
		t.Errorf("err = %#v", err)
	}
}

func BenchmarkCommit(b *testing.B) {
	for _, n := range []int{1, 3, 100} {
		for _, workers := range []int{1, 64} {
			b.Run(fmt.Sprintf("writes=%d/workers=%d", n, workers), func(b *testing.B) {
				e := open(b, fresh(b))
				value := []byte(strings.Repeat("x", 1200))
				b.SetParallelism(workers / 2)
				var made atomic.Int64
				work := func() {
					writes := make([]heliograph.Write, n)
					for i := range writes {
						writes[i] = heliograph.Write{Name: "sub." + heliograph.NewGUID().String(), Value: value}
					}
					if _, err := e.Commit(b.Context(), tenant, writes); err != nil {
						b.Error(err)
					}
					made.Add(1)
				}
				b.ResetTimer()
				if workers == 1 {
					for range b.N {
						work()
					}
				} else {
					b.RunParallel(func(pb *testing.PB) {
						for pb.Next() {
							work()
						}
					})
				}
				b.ReportMetric(float64(made.Load())/b.Elapsed().Seconds(), "commits/s")
			})
		}
	}
}

func BenchmarkGet(b *testing.B) {
	e := open(b, fresh(b))
	commit(b, e, put("sub.1", strings.Repeat("x", 1200), 0))
	for b.Loop() {
		if _, err := e.Get(b.Context(), tenant, "sub.1"); err != nil {
			b.Fatal(err)
		}
	}
}
