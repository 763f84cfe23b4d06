package deliver_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/clock"
	"heliograph.dev/internal/deliver"
)

// BenchmarkLatency publishes one change at a time at a steady pace, some 30 % of what one at a time can be made
// durable here, and measures from before the write to the receipt by a healthy endpoint: alone, beside one endpoint
// that never answers and has 1,000 changes waiting, and beside 200 such endpoints. The ratio of the figures of one
// run is what counts.
func BenchmarkLatency(b *testing.B) {
	for _, dead := range []int{0, 1, 200} {
		b.Run(fmt.Sprintf("dead=%d", dead), func(b *testing.B) { benchLatency(b, dead) })
	}
}

// stopwatch is a receiver that notes when each message came.
type stopwatch struct {
	mu   sync.Mutex
	at   map[int]time.Time
	seen chan struct{}
	now  func() time.Time
}

var messageMark = []byte("/Messages/m")

func (s *stopwatch) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	now := s.now()
	w.WriteHeader(http.StatusAccepted)
	s.mu.Lock()
	defer s.mu.Unlock()
	for rest := body; ; {
		at := bytes.Index(rest, []byte(`"resource":"`))
		if at < 0 {
			return
		}
		rest = rest[at+12:]
		end := bytes.IndexByte(rest, '"')
		if m := bytes.Index(rest[:end], messageMark); m >= 0 {
			if n, err := strconv.Atoi(string(rest[m+len(messageMark) : end])); err == nil {
				s.at[n] = now
				s.seen <- struct{}{}
			}
		}
	}
}

func benchLatency(b *testing.B, dead int) {
	b.Helper()
	real := clock.System()
	h := newBench(b)
	h.limits = deliver.DefaultLimits()
	h.time = real // so that time-outs, parking and retries happen while the healthy one is measured
	watch := &stopwatch{at: map[int]time.Time{}, seen: make(chan struct{}, b.N), now: real.Now}
	healthy := httptest.NewServer(watch)
	b.Cleanup(healthy.Close)
	hang, release := context.WithCancel(context.Background())
	b.Cleanup(release)
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hang.Done():
		case <-r.Context().Done():
		}
	}))
	b.Cleanup(func() {
		release()
		silent.CloseClientConnections()
		silent.Close()
	})
	h.subscribe("well", healthy.URL)
	for i := range dead {
		h.subscribe("ill", fmt.Sprintf("%s/%d", silent.URL, i))
	}
	h.start()
	if dead > 0 { // 1,000 wait for each dead endpoint
		for range 10 {
			h.publish("ill", 100)
		}
		h.poll(b, func() bool {
			waiting := 0
			for _, e := range h.d.Endpoints() {
				waiting += e.Pending + e.Flights
			}
			return waiting >= dead*999
		})
	}
	sent := make([]time.Time, b.N)
	first := h.sent + 1
	pace := time.NewTicker(time.Millisecond)
	defer pace.Stop()
	b.ResetTimer()
	for i := range b.N {
		<-pace.C
		change := []heliograph.Change{h.change("well")}
		sent[i] = real.Now()
		h.append(change)
	}
	for range b.N {
		<-watch.seen
	}
	b.StopTimer()
	took := make([]time.Duration, b.N)
	for i := range took {
		took[i] = watch.at[first+i].Sub(sent[i])
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
	release()
	_ = h.d.Stop(context.Background())
}
