package engine_test

import (
	"flag"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"heliograph.dev"
	"heliograph.dev/internal/engine"
)

// view is what a watcher makes of what it is told.
type view struct {
	mu      sync.Mutex
	records map[string]heliograph.Record
	told    int
	last    map[heliograph.TenantID]uint64
	back    bool // a revision that was lower than one before
}

func (v *view) apply(records []heliograph.Record) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, r := range records {
		v.told++
		v.back = v.back || r.Revision <= v.last[r.Tenant]
		v.last[r.Tenant] = r.Revision
		if r.Deleted {
			delete(v.records, string(r.Tenant)+"/"+r.Name)
		} else {
			v.records[string(r.Tenant)+"/"+r.Name] = r
		}
	}
}

func (v *view) all() map[string]heliograph.Record {
	v.mu.Lock()
	defer v.mu.Unlock()
	return maps.Clone(v.records)
}

// state is how often it was told of a record, and whether a revision was ever lower than one before.
func (v *view) state() (told int, back bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.told, v.back
}

func watch(tb testing.TB, e *engine.Engine) (*view, *engine.Watch) {
	tb.Helper()
	v := &view{records: map[string]heliograph.Record{}, last: map[heliograph.TenantID]uint64{}}
	w, err := e.Watch(tb.Context(), v.apply)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(w.Close)
	return v, w
}

func TestWatchTellsAllThenEveryChange(t *testing.T) {
	t.Parallel()
	o := fresh(t)
	o.Shards = 3
	e := open(t, o)
	want := map[string]heliograph.Record{}
	tenants := []heliograph.TenantID{tenant, other, "t1", "t2", "t3"}
	write := func(n int) {
		who := tenants[n%len(tenants)]
		name := fmt.Sprintf("sub.%d", n)
		rev, err := e.Commit(t.Context(), who, []heliograph.Write{put(name, name, 0), put("uniq."+name, "", 0)})
		if err != nil {
			t.Fatal(err)
		}
		want[string(who)+"/"+name] = heliograph.Record{Tenant: who, Name: name, Value: []byte(name), Revision: rev - 1}
		want[string(who)+"/uniq."+name] = heliograph.Record{Tenant: who, Name: "uniq." + name, Value: []byte{}, Revision: rev}
		if n%3 == 0 {
			if _, err := e.Commit(t.Context(), who, []heliograph.Write{{Name: "uniq." + name, Expect: rev}}); err != nil {
				t.Fatal(err)
			}
			delete(want, string(who)+"/uniq."+name)
		}
	}
	for n := range 50 {
		write(n)
	}
	v, w := watch(t, e)
	wait(t, "load", w.Ready())
	if diff := cmp.Diff(want, v.all()); diff != "" {
		t.Error(diff)
	}
	for n := range 50 {
		write(50 + n)
	}
	last := map[heliograph.TenantID]uint64{}
	for _, r := range want {
		last[r.Tenant] = max(last[r.Tenant], r.Revision)
	}
	for who, rev := range last {
		if err := w.Wait(t.Context(), who, rev); err != nil {
			t.Error(err)
		}
	}
	got := v.all()
	for key := range got { // a deletion that is the last word of its tenant may be on its way
		if _, ok := want[key]; !ok {
			delete(got, key)
		}
	}
	_, back := v.state()
	if diff := cmp.Diff(want, got); diff != "" || back {
		t.Error(diff, back)
	}
}

func TestWatchOfAnEmptyStore(t *testing.T) {
	t.Parallel()
	e := open(t, fresh(t))
	_, w := watch(t, e)
	wait(t, "load", w.Ready())
}

// TestReadYourWrites: what Commit returned is in the view once Wait has returned.
func TestReadYourWrites(t *testing.T) {
	t.Parallel()
	e := open(t, fresh(t))
	v, w := watch(t, e)
	for n := range 200 {
		name := fmt.Sprintf("sub.%d", n)
		rev := commit(t, e, put(name, "x", 0))
		if err := w.Wait(t.Context(), tenant, rev); err != nil {
			t.Fatal(err)
		}
		if got := v.all()[string(tenant)+"/"+name]; got.Revision != rev {
			t.Fatalf("revision %d after waiting for %d", got.Revision, rev)
		}
	}
	rev := commit(t, e, put("last", "x", 0))
	over := make(chan error)
	go func() { over <- w.Wait(t.Context(), tenant, rev+1) }()
	w.Close()
	wantKind(t, wait(t, "end of Wait", over), heliograph.Unavailable)
}

func TestWatchLoadsMany(t *testing.T) {
	t.Parallel()
	o := fresh(t)
	o.Shards = 4
	e := open(t, o)
	const tenants, each = 20, 1000
	for n := range tenants {
		writes := make([]heliograph.Write, each)
		for i := range writes {
			writes[i] = put(fmt.Sprintf("sub.%d", i), "x", 0)
		}
		if _, err := e.Commit(t.Context(), heliograph.TenantID(fmt.Sprintf("t%d", n)), writes); err != nil {
			t.Fatal(err)
		}
	}
	v, w := watch(t, e)
	wait(t, "load", w.Ready())
	if told, _ := v.state(); len(v.all()) != tenants*each || told != tenants*each {
		t.Errorf("%d records, told %d times", len(v.all()), told)
	}
}

// TestCloseDuringTheLoad: it does not wait for all that is left.
func TestCloseDuringTheLoad(t *testing.T) {
	t.Parallel()
	e := open(t, fresh(t))
	const all = 10_000
	for n := range all / 1000 {
		writes := make([]heliograph.Write, 1000)
		for i := range writes {
			writes[i] = put(fmt.Sprintf("sub.%d-%d", n, i), "x", 0)
		}
		commit(t, e, writes...)
	}
	told := 0
	begun, goOn := make(chan struct{}), make(chan struct{})
	w, err := e.Watch(t.Context(), func(r []heliograph.Record) {
		if told == 0 {
			close(begun)
			<-goOn
		}
		told += len(r)
	})
	if err != nil {
		t.Fatal(err)
	}
	wait(t, "first record", begun)
	closed := make(chan struct{})
	go func() {
		w.Close()
		close(closed)
	}()
	wait(t, "beginning of Close", engine.Ending(w))
	close(goOn)
	wait(t, "end of Close", closed)
	if told == all {
		t.Error("Close waited for the whole load")
	}
}

var records = flag.Int("records", 100_000, "how many records BenchmarkWatchLoad has")

func BenchmarkWatchLoad(b *testing.B) {
	e := open(b, fresh(b))
	value := make([]byte, 1200)
	keys := *records
	for from := 0; from < keys; from += 1000 {
		writes := make([]heliograph.Write, 1000)
		for i := range writes {
			writes[i] = heliograph.Write{Name: fmt.Sprintf("sub.%d", from+i), Value: value}
		}
		commit(b, e, writes...)
	}
	for b.Loop() {
		w, err := e.Watch(b.Context(), func([]heliograph.Record) {})
		if err != nil {
			b.Fatal(err)
		}
		<-w.Ready()
		w.Close()
	}
	b.ReportMetric(float64(keys*b.N)/b.Elapsed().Seconds(), "records/s")
}

// BenchmarkWatch measures the way of a commit to the watcher that waits for it.
func BenchmarkWatch(b *testing.B) {
	e := open(b, fresh(b))
	w, err := e.Watch(b.Context(), func([]heliograph.Record) {})
	if err != nil {
		b.Fatal(err)
	}
	defer w.Close()
	var after time.Duration
	for n := 0; b.Loop(); n++ {
		rev := commit(b, e, put(fmt.Sprintf("sub.%d", n), "x", 0))
		acked := wall()
		if err := w.Wait(b.Context(), tenant, rev); err != nil {
			b.Fatal(err)
		}
		after += wall().Sub(acked)
	}
	b.ReportMetric(float64(after.Microseconds())/float64(b.N), "µs-after-ack")
}
