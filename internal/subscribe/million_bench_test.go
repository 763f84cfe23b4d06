package subscribe_test

import (
	"flag"
	"fmt"
	"log/slog"
	"runtime"
	"testing"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/clock"
	"heliograph.dev/internal/engine"
	"heliograph.dev/internal/subscribe"
	"heliograph.dev/internal/subscribe/record"
)

var million = flag.Int("million", 1_000_000, "how many subscriptions BenchmarkMillionExpire has")

// BenchmarkMillionExpire has a million subscriptions on the engine expire within one hour of virtual time, and fails
// unless each is removed at its second, its record included.
func BenchmarkMillionExpire(b *testing.B) {
	for b.Loop() {
		expireMillion(b, *million)
	}
}

func expireMillion(b *testing.B, n int) {
	b.Helper()
	b.StopTimer()
	e, err := engine.Open(b.Context(), engine.Options{Dir: b.TempDir(), Logger: slog.New(slog.DiscardHandler), Now: clock.System().Now})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = e.Close(b.Context()) }()
	before := heap()
	h := &history{clock: clock.NewManual(start), sink: newSink()}
	h.registry = subscribe.NewRegistry(planned(), nil, discard())
	watch, err := e.Watch(b.Context(), h.registry.Apply)
	if err != nil {
		b.Fatal(err)
	}
	defer watch.Close()
	<-watch.Ready()
	c, err := loaded()
	if err != nil {
		b.Fatal(err)
	}
	h.service = subscribe.New(subscribe.Options{
		Catalog: c, Store: e, Index: watch, Registry: h.registry, Endpoints: echoing{}, Clock: h.clock, Notices: &mailbag{},
	})
	left := fillMillion(b, e, watch, n)
	b.ReportMetric(float64(heap()-before)/float64(n), "heap-bytes/sub")
	b.StartTimer()
	for second := range left {
		h.clock.Set(start.Add(time.Duration(second) * time.Second))
		if waiting, err := h.service.TendNow(b.Context()); waiting || err != nil {
			b.Fatal(waiting, err)
		}
		if got := h.registry.Len(); got != left[second] {
			b.Fatalf("%d are there at second %d, want %d", got, second, left[second])
		}
	}
	b.StopTimer()
	b.ReportMetric(b.Elapsed().Seconds()*1e6/float64(n), "s/million")
	b.StartTimer()
}

// fillMillion writes subscriptions of 500 tenants that expire one after the other within an hour, and returns how many
// are left at each of its seconds.
func fillMillion(b *testing.B, e *engine.Engine, watch *engine.Watch, n int) []int {
	b.Helper()
	const tenants, atOnce = 500, 250
	left := make([]int, 3601)
	for from := 0; from < n; from += atOnce {
		tenant := heliograph.TenantID(fmt.Sprint("tenant", from/atOnce%tenants))
		var writes []heliograph.Write
		for i := from; i < min(from+atOnce, n); i++ {
			second := 1 + i*3599/n
			left[second-1]++
			s := heliograph.Subscription{
				ID: heliograph.NewGUID(), App: "00000003-0000-0000-c000-000000000000", Row: "message", ChangeTypeText: "created",
				Resource: fmt.Sprintf("users/u%d/messages", i), Path: fmt.Sprintf("users/u%d/messages", i), NotificationURL: "https://example.com/hook",
				Created: start.Add(-time.Hour), Expires: start.Add(time.Duration(second) * time.Second), AuthorizedUntil: start,
			}
			writes = append(writes, heliograph.Write{Name: record.Name(s.ID), Value: record.Encode(&s)})
		}
		revision, err := e.Commit(b.Context(), tenant, writes)
		if err == nil {
			err = watch.Wait(b.Context(), tenant, revision)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	for second := len(left) - 2; second >= 0; second-- {
		left[second] += left[second+1]
	}
	return left
}

// heap is what is in use.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
