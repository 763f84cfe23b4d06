package telemetry

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"heliograph.dev"
	"heliograph.dev/internal/ingest"
)

// intake counts what came in and how it was written down.
type intake struct {
	changes byKind
	frames  byKind
	size    prometheus.Histogram
	took    prometheus.Histogram
}

func newIntake() intake {
	return intake{
		changes: newByKind("heliograph_ingest_changes_total",
			"Changes that were to be taken in, by outcome: accepted (on disk), or the kind of the error."),
		frames: newByKind("heliograph_ingest_frames_total",
			"Frames that were to be written to the change log, by outcome: accepted, or the kind of the error."),
		size: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "heliograph_ingest_frame_changes", Help: "Changes in one frame: how many shared one fsync.",
			Buckets: prometheus.ExponentialBuckets(1, 4, 7), // 1 to 4096
		}),
		took: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "heliograph_ingest_frame_seconds", Help: "How long it took until a frame was on disk.",
			Buckets: prometheus.ExponentialBuckets(0.00025, 4, 9), // 0.25 ms to 16 s: a lost leader costs 4 s to 8 s
		}),
	}
}

func (i *intake) collectors() []prometheus.Collector {
	return []prometheus.Collector{i.changes.vector, i.frames.vector, i.size, i.took}
}

// Accept takes changes in: on disk, or an error.
type Accept func(ctx context.Context, changes []heliograph.Change) error

// Accepting returns accept, counted. It is an Accept and has one: HTTP wants a method, a drive a function.
func (m *Metrics) Accepting(accept Accept) Accept {
	return func(ctx context.Context, changes []heliograph.Change) error {
		err := accept(ctx, changes)
		m.intake.changes.add(err, len(changes))
		return err
	}
}

// Accept calls a.
func (a Accept) Accept(ctx context.Context, changes []heliograph.Change) error {
	return a(ctx, changes)
}

// Writing returns log, with the writes counted and timed by now.
func (m *Metrics) Writing(log ingest.Log, now func() time.Time) ingest.Log {
	return timedLog{log, &m.intake, now}
}

type timedLog struct {
	ingest.Log
	intake *intake
	now    func() time.Time
}

// Append writes a frame down.
func (l timedLog) Append(ctx context.Context, partition int, changes []heliograph.Change) (uint64, error) {
	began := l.now()
	sequence, err := l.Log.Append(ctx, partition, changes)
	l.intake.took.Observe(l.now().Sub(began).Seconds())
	l.intake.size.Observe(float64(len(changes)))
	l.intake.frames.add(err, 1)
	return sequence, err
}
