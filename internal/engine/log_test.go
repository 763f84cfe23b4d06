package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"heliograph.dev"
	"heliograph.dev/internal/engine"
)

func TestReaderFollowsItsPartition(t *testing.T) {
	t.Parallel()
	o := fresh(t)
	o.Partitions = 2
	e := open(t, o)
	var want []uint64
	write := func(n int) {
		if _, err := e.Append(t.Context(), 1, changes(1000+n, 1, 30)); err != nil {
			t.Fatal(err)
		}
		want = append(want, appendOne(t, e, n))
	}
	for n := range 5 {
		write(n)
	}
	r := openReader(t, e, 0, want[2]-1) // a place of the other partition
	for n := range 10 {
		f := next(t, r)
		if f.Sequence != want[n+2] || f.Partition != 0 || f.Changes[0].ID != changes(n+2, 1, 0)[0].ID {
			t.Errorf("read %d, partition %d, want %d", f.Sequence, f.Partition, want[n+2])
		}
		write(n + 5) // further and further behind it
	}
	r.Close()
	if _, err := r.Next(t.Context()); !errors.Is(err, engine.ErrReaderClosed) {
		t.Errorf("a closed reader: %v", err)
	}
}

func TestReaderWaitsAtTheEnd(t *testing.T) {
	t.Parallel()
	e := open(t, fresh(t))
	r := openReader(t, e, 0, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a reader without time: %v", err)
	}
	frames := make(chan heliograph.Frame)
	go func() {
		f, _ := r.Next(t.Context())
		frames <- f
	}()
	seq := appendOne(t, e, 1)
	if f := wait(t, "frame", frames); f.Sequence != seq {
		t.Errorf("read %d, want %d", f.Sequence, seq)
	}
	done := make(chan error)
	go func() {
		_, err := r.Next(context.WithoutCancel(t.Context()))
		done <- err
	}()
	r.Close()
	if err := wait(t, "end", done); !errors.Is(err, engine.ErrReaderClosed) {
		t.Errorf("closed while it waits: %v", err)
	}
}

func TestAppendRefuses(t *testing.T) {
	t.Parallel()
	e := open(t, fresh(t))
	few := changes(0, 1, 10)
	if _, err := e.Append(t.Context(), 1, few); err == nil {
		t.Error("a partition that is not there")
	}
	if _, err := e.Append(t.Context(), 0, nil); err == nil {
		t.Error("nothing")
	}
	if _, err := e.Append(t.Context(), 0, []heliograph.Change{{}}); err == nil {
		t.Error("a change without a type")
	}
	c := few[0]
	c.Data = make([]byte, engine.MaxFrame-engine.FrameOverhead-(engine.ChangeSize(&c)-len(c.Data)))
	if _, err := e.Append(t.Context(), 0, []heliograph.Change{c}); err != nil {
		t.Errorf("the largest frame: %v", err)
	}
	c.Data = append(c.Data, 'x')
	_, err := e.Append(t.Context(), 0, []heliograph.Change{c})
	wantKind(t, err, heliograph.TooLarge)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.Append(ctx, 0, few); !errors.Is(err, context.Canceled) {
		t.Errorf("without time: %v", err)
	}
	if seq := appendOne(t, e, 1); seq < 2 {
		t.Errorf("afterwards at %d", seq)
	}
}

func TestTrim(t *testing.T) {
	t.Parallel()
	o := fresh(t)
	now := start
	o.Now = func() time.Time { return now }
	e := open(t, o)
	state := func() engine.LogState {
		s, err := e.LogState(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if s := state(); s != (engine.LogState{First: 1}) {
		t.Errorf("empty log: %+v", s)
	}
	for n := range 10 {
		now = start.Add(time.Duration(n) * time.Minute)
		appendOne(t, e, n)
	}
	at := func(d time.Duration) uint64 {
		seq, err := e.SequenceAt(t.Context(), start.Add(d))
		if err != nil {
			t.Fatal(err)
		}
		return seq
	}
	for d, want := range map[time.Duration]uint64{-time.Hour: 1, 0: 1, 1: 2, 4 * time.Minute: 5, 9 * time.Minute: 10, time.Hour: 11} {
		if got := at(d); got != want {
			t.Errorf("sequence at +%v is %d, want %d", d, got, want)
		}
	}
	trim := func(before uint64) {
		if err := e.Trim(t.Context(), before); err != nil {
			t.Fatal(err)
		}
	}
	trim(0)
	trim(4)
	trim(2)
	if s := state(); s.First != 4 || s.Last != 10 || s.Bytes == 0 {
		t.Errorf("trimmed before 4: %+v", s)
	}
	if got := at(-time.Hour); got != 4 {
		t.Errorf("sequence at the beginning is %d, want 4", got)
	}
	_, err := e.Frame(t.Context(), 3)
	wantKind(t, err, heliograph.NotFound)
	if f := next(t, openReader(t, e, 0, 1)); f.Sequence != 4 {
		t.Errorf("a reader of all begins at %d", f.Sequence)
	}
	trim(1000) // not beyond the end
	if s := state(); s.First != 11 || s.Last != 10 {
		t.Errorf("trimmed all: %+v", s)
	}
	if seq := appendOne(t, e, 11); seq != 11 {
		t.Errorf("next frame at %d, want 11", seq)
	}
}

// TestReaderAheadOfTheLog: a log that lost its end goes on with sequences that its reader has seen already.
func TestReaderAheadOfTheLog(t *testing.T) {
	t.Parallel()
	o := fresh(t)
	o.Logger = nil
	e := open(t, o)
	appendOne(t, e, 1)
	r := openReader(t, e, 0, 1000)
	seq := appendOne(t, e, 2)
	if f := next(t, r); f.Sequence != seq {
		t.Errorf("read %d, want %d", f.Sequence, seq)
	}
}

func TestRoomOnDisk(t *testing.T) {
	t.Parallel()
	o := fresh(t)
	o.MinFreeBytes = 1 << 60
	e := open(t, o)
	err := e.Room()
	wantKind(t, err, heliograph.Full)
	o = fresh(t)
	o.MinFreeBytes = 1
	if err := open(t, o).Room(); err != nil {
		t.Error(err)
	}
}

func TestLogLimit(t *testing.T) {
	t.Parallel()
	o := fresh(t)
	o.MaxLogBytes = 2 * engine.MaxFrame
	e := open(t, o)
	var err error
	kept := 0
	for ; err == nil && kept < 100; kept++ {
		_, err = e.Append(t.Context(), 0, changes(kept, 1, 100_000))
	}
	kept--
	wantKind(t, err, heliograph.Limited)
	var told *heliograph.Error
	if errors.As(err, &told) && told.RetryAfter == 0 {
		t.Error("no word on when to come back")
	}
	if kept < 15 {
		t.Errorf("%d frames of 100 KB in 2 MB", kept)
	}
	shut(t, e)
	e = open(t, o)
	wantKind(t, e.Room(), heliograph.Limited)
	if err := e.Trim(t.Context(), 1000); err != nil {
		t.Fatal(err)
	}
	appendOne(t, e, 1000)
	// The refused frame left no hole in the count.
	r := openReader(t, e, 0, 1)
	next(t, r)
	shut(t, e)

	o.MaxLogBytes = 0 // a limit that is lifted
	e = open(t, o)
	for n := range 25 {
		if _, err := e.Append(t.Context(), 0, changes(n, 1, 100_000)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestReadBehindRefusedFrames: refused frames take no number, so their absence is not reported.
func TestReadBehindRefusedFrames(t *testing.T) {
	t.Parallel()
	o := fresh(t)
	o.MaxLogBytes = 2 * engine.MaxFrame
	e := open(t, o)
	r := openReader(t, e, 0, 1)
	var err error
	kept := 0
	for ; err == nil; kept++ {
		_, err = e.Append(t.Context(), 0, changes(kept, 1, 300_000))
	}
	for range kept - 1 {
		next(t, r)
	}
	if err := e.Trim(t.Context(), 1000); err != nil {
		t.Fatal(err)
	}
	seq := appendOne(t, e, 1000)
	if f := next(t, r); f.Sequence != seq {
		t.Errorf("read %d, want %d", f.Sequence, seq)
	}
}

// TestTrimmedPastAReader: a reader is told of frames that it can no longer read.
func TestTrimmedPastAReader(t *testing.T) {
	t.Parallel()
	e := open(t, fresh(t))
	r := openReader(t, e, 0, 1)
	appendOne(t, e, 0)
	next(t, r)
	shutReader := openReader(t, e, 0, 1)
	shutReader.Close()
	for n := range 200 { // more than is on the way to a reader
		if _, err := e.Append(t.Context(), 0, changes(n, 1, 200_000)); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Trim(t.Context(), 190); err != nil {
		t.Fatal(err)
	}
	var missed *engine.FrameError
	var last uint64
	for last != 201 {
		f, err := r.Next(t.Context())
		switch {
		case err == nil:
			last = f.Sequence
		case missed != nil || !errors.As(err, &missed):
			t.Fatal(err)
		}
	}
	if missed == nil || missed.Sequence != 189 {
		t.Errorf("told of %v, want the frames up to 189", missed)
	}
}

// TestFlippedBitOnDisk: what the disk changed is told, never read, and what follows is read.
func TestFlippedBitOnDisk(t *testing.T) {
	t.Parallel()
	o := fresh(t)
	o.Logger = nil
	o.Vault = nil // so that the test finds what it is to damage
	e := open(t, o)
	marker := bytes.Repeat([]byte("M"), 64)
	for n := range 10 {
		c := changes(n, 1, 2000)
		if n == 4 {
			c[0].Data = append(c[0].Data, marker...)
		}
		if _, err := e.Append(t.Context(), 0, c); err != nil {
			t.Fatal(err)
		}
	}
	shut(t, e)
	flip(t, o.Dir, marker)
	e = open(t, o)
	r := openReader(t, e, 0, 1)
	var read []uint64
	var told []error
	for len(read) == 0 || read[len(read)-1] < 10 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		f, err := r.Next(ctx)
		cancel()
		var damaged *engine.FrameError
		switch {
		case errors.As(err, &damaged):
			told = append(told, err)
		case err != nil:
			t.Fatalf("read %v, told %v: %v", read, told, err)
		default:
			read = append(read, f.Sequence)
		}
	}
	if diff := cmp.Diff([]uint64{1, 2, 3, 4, 6, 7, 8, 9, 10}, read); diff != "" || len(told) != 1 {
		t.Errorf("read %v, told %v", read, told)
	}
}

// flip changes one bit of what stands in the change log's files at marker.
func flip(t *testing.T, dir string, marker []byte) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "jetstream", "*", "streams", "changes", "msgs", "*.blk"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if at := bytes.Index(b, marker); at >= 0 {
			b[at] ^= 4
			if err := os.WriteFile(name, b, 0o600); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatal("marker not found")
}

func BenchmarkAppend(b *testing.B) {
	for _, n := range []int{1, 64, 256, 900} {
		b.Run(fmt.Sprintf("changes=%d", n), func(b *testing.B) {
			e := open(b, fresh(b))
			batch := changes(0, n, 900)
			for i := range batch {
				batch[i].Traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
			}
			b.SetBytes(int64(n * engine.ChangeSize(&batch[0])))
			for b.Loop() {
				if _, err := e.Append(b.Context(), 0, batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "changes/s")
		})
	}
}

func BenchmarkRead(b *testing.B) {
	e := open(b, fresh(b))
	batch := changes(0, 256, 900)
	for range 400 {
		if _, err := e.Append(b.Context(), 0, batch); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(256 * engine.ChangeSize(&batch[0])))
	r := openReader(b, e, 0, 1)
	left := 400
	for b.Loop() {
		if left == 0 {
			r.Close()
			r, left = openReader(b, e, 0, 1), 400
		}
		next(b, r)
		left--
	}
}

// BenchmarkTail measures the way of a frame through the log: from Append to the reader that waits for it.
func BenchmarkTail(b *testing.B) {
	e := open(b, fresh(b))
	r := openReader(b, e, 0, 1)
	arrived := make(chan time.Time)
	go func() {
		for {
			if _, err := r.Next(b.Context()); err != nil {
				return
			}
			arrived <- wall()
		}
	}()
	batch := changes(0, 1, 900)
	var after time.Duration
	for b.Loop() {
		if _, err := e.Append(b.Context(), 0, batch); err != nil {
			b.Fatal(err)
		}
		acked := wall()
		after += (<-arrived).Sub(acked)
	}
	b.ReportMetric(float64(after.Microseconds())/float64(b.N), "µs-after-ack")
}
