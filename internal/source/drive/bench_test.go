package drive_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/source/drive"
)

// BenchmarkSaveToPublish measures what a person notices: from the end of a save to its change, with the
// default times.
func BenchmarkSaveToPublish(b *testing.B) {
	dir, err := filepath.EvalSymlinks(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	r := run(b, dir, filepath.Join(b.TempDir(), "state"), drive.Options{Quiet: 50 * time.Millisecond})
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		write(b, dir, "file", fmt.Sprint(i))
		saved := time.Now() //nolint:forbidigo // the machine's time is measured
		r.next()
		took = append(took, time.Since(saved))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1e3, "ms-p50")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1e3, "ms-p99")
	if err := r.stop(); err != nil {
		b.Error(err)
	}
}

// Benchmark100k measures a drive of 100,000 files in 1,000 folders: the first start, a start when nothing
// changed, the memory that it takes.
func Benchmark100k(b *testing.B) {
	dir, err := filepath.EvalSymlinks(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	for i := range 1000 {
		mkdir(b, dir, fmt.Sprint(i/100), fmt.Sprint(i))
		for j := range 100 {
			write(b, dir, fmt.Sprint(i/100), fmt.Sprint(i), fmt.Sprintf("file %d.txt", j), "x")
		}
	}
	state := filepath.Join(b.TempDir(), "state")
	for b.Loop() {
		_ = os.Remove(state)
		before := heap()
		began := time.Now() //nolint:forbidigo // the machine's time is measured
		r := run(b, dir, state, drive.Options{Publish: discard})
		b.ReportMetric(float64(time.Since(began).Milliseconds()), "ms-first-start")
		b.ReportMetric(float64(heap()-before)/1e6, "MB-heap")
		if err := r.stop(); err != nil {
			b.Fatal(err)
		}
		began = time.Now() //nolint:forbidigo // the machine's time is measured
		r = run(b, dir, state, drive.Options{Publish: discard})
		b.ReportMetric(float64(time.Since(began).Milliseconds()), "ms-start")
		if err := r.stop(); err != nil {
			b.Fatal(err)
		}
	}
}

func discard(context.Context, []heliograph.Change) error { return nil }

func heap() uint64 {
	runtime.GC() // twice: pools let go only then
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
