package subscribe_test

import (
	"bytes"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/subscribe"
	"heliograph.dev/internal/subscribe/record"
)

// recordOf is the record of a subscription that expires in an hour.
func recordOf(id heliograph.SubscriptionID, url string, revision uint64) heliograph.Record {
	return heliograph.Record{Tenant: "t", Name: record.Name(id), Revision: revision, Value: record.Encode(&heliograph.Subscription{
		App: "app", NotificationURL: url, ChangeTypeText: "created", Created: start, Expires: start.Add(time.Hour),
	})}
}

func TestRegistryFollowsTheWatch(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s := newSink()
	r := subscribe.NewRegistry(planned(), s, slog.New(slog.NewTextHandler(&log, nil)))
	a, b := heliograph.NewGUID(), heliograph.NewGUID()
	gone := func(id heliograph.SubscriptionID, revision uint64) heliograph.Record {
		return heliograph.Record{Tenant: "t", Name: record.Name(id), Revision: revision, Deleted: true}
	}
	r.Apply([]heliograph.Record{
		recordOf(a, "1", 5),
		{Tenant: "t", Name: "uniq." + a.String(), Value: []byte("x"), Revision: 6},
		{Tenant: "t", Name: "sub.nonsense", Value: []byte("x"), Revision: 7},
		{Tenant: "t", Name: record.Name(b), Value: []byte("\xffbroken"), Revision: 8},
		recordOf(a, "0", 3), // an older one, told late
		gone(b, 8),
		gone(a, 4),
	})
	if got, ok := r.Lookup(a); !ok || got.NotificationURL != "1" || got.ID != a || got.Tenant != "t" || r.Len() != 1 || !s.has(a) {
		t.Errorf("%+v, %v of %d", got, ok, r.Len())
	}
	if lines := strings.Count(log.String(), "subscription record is unreadable"); lines != 1 {
		t.Errorf("logged %s", log.String())
	}
	r.Apply([]heliograph.Record{recordOf(a, "2", 9), recordOf(b, "3", 10)})
	r.Apply([]heliograph.Record{gone(a, 11)})
	if _, ok := r.Lookup(a); ok || r.Len() != 1 || s.has(a) || !s.has(b) {
		t.Errorf("%d left", r.Len())
	}
	r.Apply([]heliograph.Record{gone(b, 12)})
	if r.Len() != 0 {
		t.Errorf("%d left", r.Len())
	}
}

// BenchmarkRegistry loads subscriptions of one application and tells what one of them costs in memory, beside
// what the index keeps.
func BenchmarkRegistry(b *testing.B) {
	const n = 100_000
	records := make([]heliograph.Record, n)
	for i := range records {
		id := heliograph.NewGUID()
		user := guid()
		records[i] = heliograph.Record{Tenant: "t", Name: record.Name(id), Revision: uint64(i + 1), Value: record.Encode(&heliograph.Subscription{
			App: "11111111-1111-1111-1111-111111111111", Creator: heliograph.ObjectID(user), Delegated: true,
			Resource: "me/mailFolders('Inbox')/messages", Path: "users/" + user + "/mailFolders/inbox/messages", Row: "message",
			ChangeTypeText: "created,updated", NotificationURL: "https://app.example.com/api/notifications",
			ClientState: heliograph.NewSecret("0123456789abcdef"), LatestSupportedTLSVersion: "v1_2",
			Created: start.Add(time.Duration(i*7919%n) * time.Second), Expires: start.Add(time.Duration(i*104729%n) * time.Second),
			AuthorizedUntil: start,
		})}
	}
	load := func() *subscribe.Registry {
		r := subscribe.NewRegistry(planned(), nil, slog.New(slog.DiscardHandler))
		for i := 0; i < n; i += 1000 {
			r.Apply(records[i : i+1000])
		}
		return r
	}
	for b.Loop() {
		load()
	}
	perSubscription := float64(b.Elapsed().Nanoseconds()) / float64(b.N) / n
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	r := load()
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(perSubscription, "ns/subscription")
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "B/subscription")
	b.ReportMetric(float64(len(records[0].Value)), "B/record")
	if r.Len() != n {
		b.Fatal(r.Len())
	}
}
