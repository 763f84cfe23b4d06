package engine_test

import (
	"testing"

	"heliograph.dev"
	"heliograph.dev/internal/engine"
)

// TestState: what is kept is counted where it is, and what is not yet applied of the records is the lag.
func TestState(t *testing.T) {
	t.Parallel()
	o := fresh(t)
	o.MaxLogBytes, o.MinFreeBytes, o.Shards = 64<<20, 1<<20, 2
	e := open(t, o)
	state := func() engine.State {
		t.Helper()
		s, err := e.State(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := state()
	if s.LogLimit != 64<<20 || s.Reserve != 1<<20 || s.Free == 0 || s.Refusal != nil || s.Backlog != (engine.BacklogState{}) {
		t.Errorf("empty: %+v", s)
	}
	appendOne(t, e, 1)
	for i, endpoint := range []heliograph.Endpoint{"https://one.example", "https://one.example", "https://other.example"} {
		if _, err := hold(e, 0).Park(t.Context(), endpoint, refs(i, 3)); err != nil {
			t.Fatal(err)
		}
	}
	s = state()
	if s.Log.First != 1 || s.Log.Last != 1 || s.Log.Bytes == 0 || s.Backlog.Endpoints != 2 || s.Backlog.Messages != 3 || s.Backlog.Bytes == 0 {
		t.Errorf("%+v", s)
	}
	full := fresh(t)
	full.MinFreeBytes = 1 << 62
	e = open(t, full)
	if s = state(); heliograph.KindOf(s.Refusal) != heliograph.Full || s.Free >= s.Reserve {
		t.Errorf("full: %+v", s)
	}
}

func TestLag(t *testing.T) {
	t.Parallel()
	e := open(t, fresh(t))
	entered, release := make(chan struct{}, 10), make(chan struct{})
	w, err := e.Watch(t.Context(), func([]heliograph.Record) {
		entered <- struct{}{}
		<-release
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	<-w.Ready()
	revision, err := e.Commit(t.Context(), tenant, []heliograph.Write{{Name: "a", Value: []byte("1")}, {Name: "b", Value: []byte("2")}})
	if err != nil {
		t.Fatal(err)
	}
	<-entered // the first of them is being applied
	if lag, err := w.Lag(t.Context()); err != nil || lag != 2 {
		t.Errorf("%d, %v", lag, err)
	}
	close(release)
	if err := w.Wait(t.Context(), tenant, revision); err != nil {
		t.Fatal(err)
	}
	if lag, err := w.Lag(t.Context()); err != nil || lag != 0 {
		t.Errorf("in the end: %d, %v", lag, err)
	}
}

// BenchmarkState is what a look at the store costs.
func BenchmarkState(b *testing.B) {
	e := open(b, fresh(b))
	_, w := watch(b, e)
	for b.Loop() {
		if _, err := e.State(b.Context()); err != nil {
			b.Fatal(err)
		}
		if _, err := w.Lag(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
