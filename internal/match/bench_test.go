package match_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/catalog"
	"heliograph.dev/internal/match"
)

const tenants = 100

func tenantName(i int) heliograph.TenantID {
	return heliograph.TenantID(fmt.Sprintf("7f0e7c5a-0000-4000-8000-%012d", i%tenants))
}

// mailbox returns the id of the i-th user, spread as GUIDs are.
func mailbox(i int) string {
	h := uint64(i+1) * 0x9e3779b97f4a7c15
	return fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", h>>32, h>>16&0xffff, h&0xfff, h>>40&0xfff, h>>8&0xffffffffffff)
}

// subscription returns the i-th subscription of a population: one for each mailbox.
func subscription(i int) *heliograph.Subscription {
	path := "users/" + mailbox(i) + "/messages"
	return &heliograph.Subscription{
		ID: heliograph.NewGUID(), Tenant: tenantName(i), App: "00000003-0000-4000-8000-000000000001", Row: "message",
		Resource: "/" + path, Path: path, ChangeType: heliograph.Created | heliograph.Updated,
		NotificationURL: "https://app.example.com/notifications", ClientState: heliograph.NewSecret(fmt.Sprintf("secretClientValue-%016d", i)),
		Expires: start.Add(time.Hour),
	}
}

func load(tb testing.TB) *catalog.Catalog {
	tb.Helper()
	c, err := catalog.Load()
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func populate(tb testing.TB, n int) *match.Index {
	tb.Helper()
	c := load(tb)
	x := match.New(c)
	row := c.Row("message")
	for i := range n {
		s := subscription(i)
		x.Put(match.TargetOf(s, row), []string{s.Path})
	}
	return x
}

// changes fills list with changes of mailboxes all over the population, as fresh from a frame of the log.
func changes(list []heliograph.Change, from, n int) {
	for i := range list {
		at := int((uint64(from+i) * 0x9e3779b97f4a7c15 >> 20) % uint64(n))
		list[i] = heliograph.Change{Tenant: tenantName(at), Type: heliograph.Created, Resource: "users/" + mailbox(at) + "/messages/AAMkAGI1"}
	}
}

// BenchmarkFind: a change of a random mailbox, seen by one subscription; the changes come in frames, or one by
// one.
func BenchmarkFind(b *testing.B) {
	for _, size := range []int{256, 1} {
		for _, n := range []int{1_000, 100_000, 1_000_000} {
			b.Run(fmt.Sprintf("frame=%d/subscriptions=%d", size, n), func(b *testing.B) { benchmarkFind(b, size, n) })
		}
	}
}

func benchmarkFind(b *testing.B, size, n int) {
	b.Helper()
	x := populate(b, n)
	found := 0
	list := make([]heliograph.Change, 1024)
	visit := func(int, *match.Hit) { found++ }
	b.ReportAllocs()
	b.ResetTimer()
	for done := 0; done < b.N; {
		b.StopTimer()
		changes(list, done, n)
		b.StartTimer()
		for i := 0; i < len(list) && done < b.N; i += size {
			x.FindAll(&heliograph.Frame{Sequence: 1, Changes: list[i : i+size]}, start, visit)
			done += size
		}
	}
	b.StopTimer()
	if found < b.N {
		b.Fatalf("%d of %d found", found, b.N)
	}
}

// BenchmarkMemory: what the index takes for each subscription, the texts included.
func BenchmarkMemory(b *testing.B) {
	const n = 1_000_000
	var before, after runtime.MemStats
	for range b.N {
		runtime.GC()
		runtime.ReadMemStats(&before)
		x := populate(b, n)
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "bytes/subscription")
		runtime.KeepAlive(x)
	}
	b.ReportMetric(0, "ns/op")
}
