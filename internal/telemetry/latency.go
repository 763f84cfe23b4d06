package telemetry

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// latencies is a histogram that takes the observations of a whole POST at once. The client library's takes one at a
// time, with three contended additions each: a notification then costs 83 ns alone and 500 ns beside another core, and 8 ns this way.
type latencies struct {
	desc   *prometheus.Desc
	counts [latencyBuckets + 1]atomic.Uint64
	sum    atomic.Int64 // nanoseconds
}

// latencyBuckets end at 1 ms, 4 ms, 16 ms and so on up to 4.7 h: the retry window is 4 h.
const latencyBuckets = 13

// tally gathers observations before they are added.
type tally struct {
	counts [latencyBuckets + 1]uint64
	sum    time.Duration
}

func (t *tally) observe(d time.Duration) {
	bucket, end := 0, time.Millisecond
	for d > end && bucket < latencyBuckets {
		bucket++
		end *= 4
	}
	t.counts[bucket]++
	t.sum += d
}

func (l *latencies) add(t *tally) {
	for i, n := range t.counts {
		if n > 0 {
			l.counts[i].Add(n)
		}
	}
	l.sum.Add(int64(t.sum))
}

// Describe tells what Collect sends.
func (l *latencies) Describe(to chan<- *prometheus.Desc) { to <- l.desc }

// Collect sends the histogram.
func (l *latencies) Collect(to chan<- prometheus.Metric) {
	sum, total, end := l.sum.Load(), uint64(0), time.Millisecond
	upTo := make(map[float64]uint64, latencyBuckets)
	for i := range latencyBuckets {
		total += l.counts[i].Load()
		upTo[end.Seconds()] = total
		end *= 4
	}
	total += l.counts[latencyBuckets].Load()
	to <- prometheus.MustNewConstHistogram(l.desc, total, time.Duration(sum).Seconds(), upTo)
}
