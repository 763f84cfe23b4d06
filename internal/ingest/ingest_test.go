package ingest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/clock"
	"heliograph.dev/internal/engine"
	"heliograph.dev/internal/ingest"
)

const tenant heliograph.TenantID = "11111111-2222-3333-4444-555555555555"

// gate admits until it is shut, and counts what was appended.
type gate struct {
	shut     atomic.Bool
	frames   atomic.Int64
	appended atomic.Int64
}

func (g *gate) Admit(int) error {
	if g.shut.Load() {
		return heliograph.Errorf(heliograph.Limited, "publish.behind", "behind")
	}
	return nil
}

func (g *gate) Appended(_ int, _ uint64, changes int) {
	g.frames.Add(1)
	g.appended.Add(int64(changes))
}

// heldLog is the engine, where each append can be held back.
type heldLog struct {
	*engine.Engine
	hold chan struct{} // nil: not held
	at   chan int      // gets the number of changes of each append that begins
}

func (l *heldLog) Append(ctx context.Context, partition int, changes []heliograph.Change) (uint64, error) {
	if l.hold != nil {
		l.at <- len(changes)
		select {
		case <-l.hold:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	return l.Engine.Append(ctx, partition, changes)
}

type fixture struct {
	log  *heldLog
	gate *gate
	in   *ingest.Ingest
}

func start(tb testing.TB, held bool) *fixture {
	tb.Helper()
	e, err := engine.Open(tb.Context(), engine.Options{Dir: tb.TempDir(), Logger: slog.New(slog.DiscardHandler), Now: clock.System().Now})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = e.Close(context.Background()) })
	f := &fixture{log: &heldLog{Engine: e, at: make(chan int, 100)}, gate: &gate{}}
	if held {
		f.log.hold = make(chan struct{})
	}
	f.in = ingest.New(ingest.Options{
		Log: f.log, Gate: f.gate, Partitions: 1, Size: engine.ChangeSize,
		MaxFrame: engine.MaxFrame - engine.FrameOverhead, MaxWaiting: 2 << 20, WriteTimeout: 10 * time.Second,
	})
	tb.Cleanup(f.in.Stop)
	return f
}

func change(id string, data int) heliograph.Change {
	return heliograph.Change{
		ID: heliograph.DeriveGUID(id), Tenant: tenant, Type: heliograph.Created, Resource: "users/u/messages/" + id,
		Time: time.Unix(1, 0), Accepted: time.Unix(2, 0), Data: bytes.Repeat([]byte("x"), data),
	}
}

// logged reads the whole change log back.
func (f *fixture) logged(t *testing.T) (frames [][]string) {
	t.Helper()
	state, err := f.log.LogState(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for seq := state.First; seq <= state.Last; seq++ {
		frame, err := f.log.Frame(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, c := range frame.Changes {
			ids = append(ids, c.Resource)
		}
		frames = append(frames, ids)
	}
	return frames
}

func TestAcceptedIsInTheLog(t *testing.T) {
	t.Parallel()
	f := start(t, false)
	if err := f.in.Accept(t.Context(), []heliograph.Change{change("a", 10), change("b", 10)}); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(f.logged(t)); got != "[[users/u/messages/a users/u/messages/b]]" {
		t.Errorf("log holds %s", got)
	}
	if f.gate.frames.Load() != 1 || f.gate.appended.Load() != 2 {
		t.Error("the gate was not told")
	}
	if err := f.in.Accept(t.Context(), nil); err != nil {
		t.Errorf("nothing to accept: %v", err)
	}
}

func TestWhoComesDuringAWriteSharesTheNext(t *testing.T) {
	t.Parallel()
	f := start(t, true)
	var callers sync.WaitGroup
	accept := func(id string) {
		callers.Go(func() {
			if err := f.in.Accept(context.Background(), []heliograph.Change{change(id, 10)}); err != nil {
				t.Error(err)
			}
		})
	}
	accept("first")
	if n := <-f.log.at; n != 1 {
		t.Fatalf("an idle server waited for company: %d changes in the first write", n)
	}
	const late = 50
	for i := range late {
		accept(fmt.Sprint("late", i))
	}
	for f.in.Waiting() < late { // all have joined
		if t.Context().Err() != nil {
			t.Fatal("they never joined")
		}
	}
	f.log.hold <- struct{}{}
	if n := <-f.log.at; n != late {
		t.Errorf("the second write held %d changes, want %d", n, late)
	}
	f.log.hold <- struct{}{}
	callers.Wait()
	if frames := f.logged(t); len(frames) != 2 {
		t.Errorf("%d frames", len(frames))
	}
}

func TestBatchStaysWhole(t *testing.T) {
	t.Parallel()
	f := start(t, true)
	results := make(chan error, 3)
	batch := func(name string, n int) []heliograph.Change {
		var changes []heliograph.Change
		for i := range n {
			changes = append(changes, change(fmt.Sprint(name, i), 100_000))
		}
		return changes
	}
	go func() { results <- f.in.Accept(context.Background(), batch("a", 1)) }()
	<-f.log.at
	for _, name := range []string{"b", "c"} { // together more than a frame
		go func() { results <- f.in.Accept(context.Background(), batch(name, 6)) }()
	}
	for f.in.Waiting() < 12 {
		if t.Context().Err() != nil {
			t.Fatal("they never joined")
		}
	}
	close(f.log.hold)
	for range 3 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	frames := f.logged(t)
	if len(frames) != 3 || len(frames[1]) != 6 || len(frames[2]) != 6 {
		t.Errorf("frames %v", frames)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	foreign := change("b", 1)
	foreign.Tenant = "99999999-2222-3333-4444-555555555555"
	for _, c := range []struct {
		name    string
		changes []heliograph.Change
		prepare func(*fixture)
		kind    heliograph.Kind
	}{
		{"two tenants", []heliograph.Change{change("a", 1), foreign}, nil, heliograph.Invalid},
		{"more than a frame", []heliograph.Change{change("a", engine.MaxFrame)}, nil, heliograph.TooLarge},
		{"delivery behind", []heliograph.Change{change("a", 1)}, func(f *fixture) { f.gate.shut.Store(true) }, heliograph.Limited},
		{"stopping", []heliograph.Change{change("a", 1)}, func(f *fixture) { f.in.Stop() }, heliograph.Unavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := start(t, false)
			if c.prepare != nil {
				c.prepare(f)
			}
			if err := f.in.Accept(t.Context(), c.changes); heliograph.KindOf(err) != c.kind {
				t.Errorf("err = %v, want kind %v", err, c.kind)
			}
			if frames := f.logged(t); len(frames) != 0 {
				t.Errorf("refused, and written: %v", frames)
			}
		})
	}
}

func TestQueueIsBounded(t *testing.T) {
	t.Parallel()
	f := start(t, true)
	results := make(chan error, 10)
	accept := func() { results <- f.in.Accept(context.Background(), []heliograph.Change{change("x", 900_000)}) }
	go accept()
	<-f.log.at
	for range 4 { // two fit into 2 MB
		go accept()
	}
	for range 2 {
		if err := <-results; heliograph.KindOf(err) != heliograph.Limited {
			t.Errorf("err = %v", err)
		}
	}
	close(f.log.hold)
	for range 3 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

func TestWhoGivesUpWaitingIsNotWritten(t *testing.T) {
	t.Parallel()
	f := start(t, true)
	first := make(chan error, 1)
	go func() { first <- f.in.Accept(context.Background(), []heliograph.Change{change("a", 1)}) }()
	<-f.log.at
	ctx, cancel := context.WithCancel(t.Context())
	second := make(chan error, 1)
	go func() { second <- f.in.Accept(ctx, []heliograph.Change{change("b", 1)}) }()
	for f.in.Waiting() < 1 {
		if t.Context().Err() != nil {
			t.Fatal("it never joined")
		}
	}
	cancel()
	if err := <-second; !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v", err)
	}
	close(f.log.hold)
	if err := <-first; err != nil {
		t.Error(err)
	}
	if frames := f.logged(t); len(frames) != 1 {
		t.Errorf("frames %v", frames)
	}
}

// BenchmarkAccept measures durable changes of 1 KB per second, by how many come at once: callers times batch.
func BenchmarkAccept(b *testing.B) {
	for _, c := range []struct{ callers, batch int }{{1, 1}, {64, 1}, {1024, 1}, {1, 100}, {16, 100}} {
		b.Run(fmt.Sprintf("callers=%d/batch=%d", c.callers, c.batch), func(b *testing.B) {
			f := start(b, false)
			changes := make([]heliograph.Change, c.batch)
			for i := range changes {
				changes[i] = change(fmt.Sprint(i), 800)
			}
			var next atomic.Int64
			var callers sync.WaitGroup
			b.ResetTimer()
			for range c.callers {
				callers.Go(func() {
					for next.Add(int64(c.batch)) <= int64(b.N+c.batch-1) {
						if err := f.in.Accept(b.Context(), changes); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			callers.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "changes/s")
			b.ReportMetric(float64(b.N)/float64(max(1, f.gate.frames.Load())), "changes/fsync")
		})
	}
}
