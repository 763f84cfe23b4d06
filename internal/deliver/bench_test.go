package deliver_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"heliograph.dev"
	"heliograph.dev/internal/clock"
	"heliograph.dev/internal/deliver"
	"heliograph.dev/internal/deliveries"
	"heliograph.dev/internal/telemetry"
)

// counter is the cheapest honest receiver: it reads the body, counts the notifications in it and answers 202.
type counter struct {
	*httptest.Server
	seen atomic.Int64
	want int64
	full chan struct{}
}

func newCounter(b *testing.B) *counter {
	b.Helper()
	c := &counter{want: 1 << 62, full: make(chan struct{}, 1)}
	c.Server = httptest.NewServer(c)
	b.Cleanup(c.Close)
	return c
}

func (c *counter) expect(n int) {
	c.seen.Store(0)
	c.want = int64(n)
}

var subscriptionField = []byte(`"subscriptionId"`)

func (c *counter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	buf, _ := bodies.Get().(*bytes.Buffer)
	buf.Reset()
	_, _ = io.Copy(buf, r.Body)
	n := int64(bytes.Count(buf.Bytes(), subscriptionField))
	bodies.Put(buf)
	w.WriteHeader(http.StatusAccepted)
	if c.seen.Add(n) == c.want {
		c.full <- struct{}{}
	}
}

var bodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}

const oneNotification = `{"value":[{"id":"0e4b3a5e-12ab-8cde-8f01-23456789abcd","subscriptionId":"0e4b3a5e-12ab-4cde-8f01-23456789abcd",` +
	`"subscriptionExpirationDateTime":"2026-11-26T16:00:00Z","tenantId":"11111111-2222-3333-4444-555555555555",` +
	`"clientState":"state of u1","changeType":"created","resource":"Users/u1/Messages/m1","resourceData":` +
	`{"@odata.type":"#Microsoft.Graph.Message","@odata.id":"Users/u1/Messages/m1","id":"m1"}}]}`

// BenchmarkBareClient is the yardstick: the same sink, driven by net/http's client at 64 at a time.
func BenchmarkBareClient(b *testing.B) {
	c := newCounter(b)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, MaxConnsPerHost: 64}}
	defer client.CloseIdleConnections()
	var next atomic.Int64
	b.ResetTimer()
	used := cpuTime()
	var workers sync.WaitGroup
	for range 64 {
		workers.Go(func() {
			for next.Add(1) <= int64(b.N) {
				req, _ := http.NewRequestWithContext(b.Context(), http.MethodPost, c.URL, strings.NewReader(oneNotification))
				req.Header.Set("Content-Type", "application/json")
				resp, err := client.Do(req)
				if err != nil {
					b.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
		})
	}
	workers.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "notifications/s")
	b.ReportMetric(float64((cpuTime()-used).Microseconds())/float64(b.N), "cpu-µs/notification")
}

// BenchmarkDeliver goes the whole way, from the change log on disk to the sink, with 64 subscriptions. The log
// is filled beforehand: ingest has a benchmark of its own. Watched, everything is counted, told and remembered as a
// server does it.
func BenchmarkDeliver(b *testing.B) {
	for _, batch := range []int{1, 16, 128} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) { benchDeliver(b, batch, nil) })
		b.Run(fmt.Sprintf("batch=%d/watched", batch), func(b *testing.B) { benchDeliver(b, batch, everybody(b)) })
	}
}

// everybody lets a server's metrics, lines and record of deliveries hear.
func everybody(b *testing.B) func(*deliver.Options) {
	b.Helper()
	metrics, err := telemetry.NewMetrics("test")
	if err != nil {
		b.Fatal(err)
	}
	now := clock.System().Now
	return func(o *deliver.Options) {
		o.Observer = telemetry.Observers{metrics, telemetry.NewLines(slog.New(slog.DiscardHandler), now)}
		o.Recorder = book{deliveries.New(deliveries.DefaultLimits(), now)}
	}
}

// book keeps deliveries as app's recorder does.
type book struct{ *deliveries.Book }

func (r book) Record(attempt *heliograph.Attempt, givenUp heliograph.Reason, notifications []deliver.Notification, body []byte) {
	kept := make([]deliveries.Notified, min(len(notifications), r.Listed()))
	for i := range kept {
		n := &notifications[i]
		kept[i] = deliveries.Notified{
			ID: n.ID, Subscription: n.Subscription, Change: n.Change, Position: n.Position, Tenant: n.Tenant, App: n.App,
			Attempts: n.Attempts, Accepted: n.Accepted, Lifecycle: n.Lifecycle,
		}
	}
	r.Add(attempt, givenUp, kept, len(notifications), body)
}

func benchDeliver(b *testing.B, batch int, edit func(*deliver.Options)) {
	b.Helper()
	c := newCounter(b)
	h := newBench(b)
	h.limits = deliver.DefaultLimits()
	h.limits.BatchCount, h.limits.LanePending = batch, 1<<30
	for i := range 64 {
		h.subscribe(fmt.Sprintf("u%d", i), c.URL)
	}
	const frame = 500
	changes := make([]heliograph.Change, 0, frame)
	for i := range b.N {
		changes = append(changes, h.change(fmt.Sprintf("u%d", i%64)))
		if len(changes) == frame || i == b.N-1 {
			h.append(changes)
			changes = changes[:0]
		}
	}
	c.expect(b.N)
	b.ReportAllocs()
	b.ResetTimer()
	used := cpuTime()
	h.startWith(edit)
	<-c.full
	b.StopTimer()
	b.ReportMetric(float64((cpuTime()-used).Microseconds())/float64(b.N), "cpu-µs/notification")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "notifications/s")
	_ = h.d.Stop(context.Background())
}
