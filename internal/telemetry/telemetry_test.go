package telemetry_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"heliograph.dev"
	"heliograph.dev/internal/deliver"
	"heliograph.dev/internal/ingest"
	"heliograph.dev/internal/telemetry"
)

var (
	_ deliver.Observer = (*telemetry.Metrics)(nil)
	_ ingest.Log       = (*fakeLog)(nil)
)

var accepted = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func newMetrics(tb testing.TB) *telemetry.Metrics {
	tb.Helper()
	m, err := telemetry.NewMetrics("v1.2.3")
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

// read returns every series of ours by name{label="value"}: a counter's and a gauge's value, a histogram's count
// under name_count and its sum under name_sum.
func read(tb testing.TB, g prometheus.Gatherer) map[string]float64 {
	tb.Helper()
	families, err := g.Gather()
	if err != nil {
		tb.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "heliograph_") {
			continue
		}
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			suffix := ""
			if labels != nil {
				suffix = "{" + strings.Join(labels, ",") + "}"
			}
			if h := m.GetHistogram(); h != nil {
				all[f.GetName()+"_count"+suffix] = float64(h.GetSampleCount())
				all[f.GetName()+"_sum"+suffix] = h.GetSampleSum()
				continue
			}
			all[f.GetName()+suffix] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return all
}

func expect(t *testing.T, m *telemetry.Metrics, want map[string]float64) {
	t.Helper()
	have := read(t, m.Registry())
	for name, v := range want {
		if got, ok := have[name]; !ok || got < v-1e-9 || got > v+1e-9 {
			t.Errorf("%s is %v (there: %v), want %v", name, got, ok, v)
		}
	}
}

func TestDeliveryIsCounted(t *testing.T) {
	t.Parallel()
	m := newMetrics(t)
	three := []deliver.Notification{
		{Accepted: accepted},
		{Accepted: accepted.Add(-time.Second)},
		{Accepted: accepted, Lifecycle: heliograph.Missed},
	}
	started := accepted.Add(100 * time.Millisecond)
	m.Attempted(&heliograph.Attempt{Started: started, Took: 50 * time.Millisecond, Reason: heliograph.TimedOut}, three)
	m.Attempted(&heliograph.Attempt{Started: started, Took: 50 * time.Millisecond, Reason: heliograph.Delivered}, three)
	m.Parked("https://example.com/hook?code=1", 7, heliograph.ParkedIll)
	m.Backlog("https://example.com/hook?code=1", 7, 2)
	m.Resumed("https://example.com/hook?code=1", time.Minute)
	m.Matched(4, 9, time.Millisecond)
	m.GivenUp("https://example.com/", three[0], heliograph.GivenUpWindow)
	m.GivenUp("https://example.com/", three[0], "a reason of tomorrow")
	expect(t, m, map[string]float64{
		"heliograph_delivery_attempts_total{outcome=timeout}":             1,
		"heliograph_delivery_attempts_total{outcome=delivered}":           1,
		"heliograph_delivery_attempts_total{outcome=status}":              0,
		"heliograph_delivery_attempt_seconds_count{outcome=failed}":       1,
		"heliograph_delivery_attempt_seconds_sum{outcome=delivered}":      0.05,
		"heliograph_delivery_batch_notifications_sum":                     6,
		"heliograph_delivery_notifications_total{kind=change}":            2,
		"heliograph_delivery_notifications_total{kind=lifecycle}":         1,
		"heliograph_delivery_latency_seconds_count":                       3,
		"heliograph_delivery_latency_seconds_sum":                         0.15 + 1.15 + 0.15,
		"heliograph_delivery_parks_total{reason=endpoint_ill}":            1,
		"heliograph_backlog_added_total":                                  7,
		"heliograph_backlog_removed_total":                                2,
		"heliograph_delivery_resumes_total":                               1,
		"heliograph_match_changes_total":                                  4,
		"heliograph_match_notifications_total":                            9,
		"heliograph_delivery_given_up_total{reason=window}":               1,
		"heliograph_delivery_given_up_total{reason=other}":                1,
		"heliograph_delivery_given_up_total{reason=subscription_removed}": 0,
	})
}

// TestLatencyBuckets: each latency counts in every bucket that it fits into.
func TestLatencyBuckets(t *testing.T) {
	t.Parallel()
	m := newMetrics(t)
	for _, waited := range []time.Duration{0, time.Millisecond, time.Millisecond + 1, time.Second, 4 * time.Hour, 40 * time.Hour} {
		m.Attempted(&heliograph.Attempt{Started: accepted.Add(waited), Reason: heliograph.Delivered},
			[]deliver.Notification{{Accepted: accepted}})
	}
	families, err := m.Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	var have []uint64
	for _, f := range families {
		if f.GetName() == "heliograph_delivery_latency_seconds" {
			for _, b := range f.GetMetric()[0].GetHistogram().GetBucket() {
				have = append(have, b.GetCumulativeCount())
			}
		}
	}
	if want := []uint64{2, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 5}; !slices.Equal(have, want) {
		t.Errorf("buckets hold %v, want %v", have, want)
	}
}

// fakeLog is a log that takes as long as it is told and answers what it is told.
type fakeLog struct {
	now  *time.Time
	took time.Duration
	err  error
}

func (f *fakeLog) Append(context.Context, int, []heliograph.Change) (uint64, error) {
	*f.now = f.now.Add(f.took)
	return 17, f.err
}
func (f *fakeLog) PartitionOf(heliograph.TenantID) int { return 3 }
func (f *fakeLog) Room() error                         { return errors.New("no room") }

func TestIngestIsCounted(t *testing.T) {
	t.Parallel()
	m := newMetrics(t)
	now := accepted
	inner := &fakeLog{now: &now, took: 2 * time.Millisecond}
	log := m.Writing(inner, func() time.Time { return now })
	if seq, err := log.Append(t.Context(), 0, make([]heliograph.Change, 5)); seq != 17 || err != nil {
		t.Errorf("Append = %d, %v", seq, err)
	}
	if log.PartitionOf("") != 3 || log.Room() == nil {
		t.Error("the rest of the log does not come through")
	}
	inner.err = heliograph.Errorf(heliograph.Unavailable, "engine", "no leader")
	if _, err := log.Append(t.Context(), 0, make([]heliograph.Change, 1)); !errors.Is(err, inner.err) {
		t.Errorf("Append: %v", err)
	}
	answer := error(nil)
	accept := m.Accepting(func(context.Context, []heliograph.Change) error { return answer })
	for _, answer = range []error{nil, errors.New("disk"), heliograph.Errorf(heliograph.Limited, "publish.behind", "later")} {
		if err := accept.Accept(t.Context(), make([]heliograph.Change, 10)); !errors.Is(err, answer) {
			t.Errorf("Accept: %v, want %v", err, answer)
		}
	}
	expect(t, m, map[string]float64{
		"heliograph_ingest_changes_total{outcome=accepted}":   10,
		"heliograph_ingest_changes_total{outcome=internal}":   10,
		"heliograph_ingest_changes_total{outcome=limited}":    10,
		"heliograph_ingest_changes_total{outcome=full}":       0,
		"heliograph_ingest_frames_total{outcome=accepted}":    1,
		"heliograph_ingest_frames_total{outcome=unavailable}": 1,
		"heliograph_ingest_frame_changes_sum":                 6,
		"heliograph_ingest_frame_seconds_sum":                 0.004,
	})
}

func TestLevelsAreReadAtEachScrape(t *testing.T) {
	t.Parallel()
	m := newMetrics(t)
	levels, failure := telemetry.Levels{Subscriptions: 2, LogFirst: 3, LogLast: 9, LogBytes: 4096, ParkedEndpoints: 1}, error(nil)
	if err := m.Watch(func(context.Context) (telemetry.Levels, error) { return levels, failure }); err != nil {
		t.Fatal(err)
	}
	expect(t, m, map[string]float64{
		"heliograph_levels_known": 1, "heliograph_subscriptions": 2, "heliograph_log_last_sequence": 9,
		"heliograph_log_bytes": 4096, "heliograph_parked_endpoints": 1, "heliograph_log_room": 0,
	})
	levels.Subscriptions = 5
	expect(t, m, map[string]float64{"heliograph_subscriptions": 5})
	failure = errors.New("no engine")
	have := read(t, m.Registry())
	if _, there := have["heliograph_subscriptions"]; there || have["heliograph_levels_known"] != 0 {
		t.Errorf("levels that nobody knows are shown: %v", have)
	}
}

func TestWorkIsReadAtEachScrape(t *testing.T) {
	t.Parallel()
	m := newMetrics(t)
	w := telemetry.Work{Waiting: 4, Levels: deliver.Levels{
		Unread: 5, Frames: 6, FrameBytes: 7, Undelivered: 8 * time.Second, Pending: 9, Flights: 10, Live: 11, Parked: 12,
		Parking: 13, Overdue: 14 * time.Minute, Health: [3]int{15, 16, 17},
	}}
	if err := m.WatchWork(func() telemetry.Work { return w }); err != nil {
		t.Fatal(err)
	}
	expect(t, m, map[string]float64{
		"heliograph_ingest_waiting_changes": 4, "heliograph_unread_changes": 5, "heliograph_in_flight_frames": 6,
		"heliograph_in_flight_bytes": 7, "heliograph_undelivered_age_seconds": 8, "heliograph_pending_notifications": 9,
		"heliograph_posts_under_way": 10, "heliograph_lanes{way=live}": 11, "heliograph_lanes{way=parked}": 12,
		"heliograph_parking_notifications": 13, "heliograph_parked_age_seconds": 840, "heliograph_endpoints{state=healthy}": 15,
		"heliograph_endpoints{state=slow}": 16, "heliograph_endpoints{state=dropping}": 17,
	})
}

func TestTrustIsReadAtEachScrape(t *testing.T) {
	t.Parallel()
	m := newMetrics(t)
	trust := telemetry.Trust{
		TokensRemembered: 1, TokensChecked: 2, TokensKept: 3, KeyFetches: 7, KeyFetchFailures: 2, Certificates: 4, ValidationTokens: 6,
	}
	if err := m.WatchTrust(func() telemetry.Trust { return trust }); err != nil {
		t.Fatal(err)
	}
	if err := m.WatchSpans(func() telemetry.Spans { return telemetry.Spans{Recorded: 9, Sent: 5, Failed: 1} }); err != nil {
		t.Fatal(err)
	}
	expect(t, m, map[string]float64{
		"heliograph_identity_tokens_total{outcome=remembered}": 1, "heliograph_identity_tokens_total{outcome=checked}": 2,
		"heliograph_identity_tokens_kept": 3, "heliograph_identity_key_fetches_total{outcome=fetched}": 5,
		"heliograph_identity_key_fetches_total{outcome=failed}": 2, "heliograph_seal_certificates": 4,
		"heliograph_validation_tokens_signed_total": 6, "heliograph_tls_certificate_expiry_timestamp_seconds": 0,
		"heliograph_trace_spans_recorded_total": 9, "heliograph_trace_spans_total{outcome=sent}": 5,
		"heliograph_trace_spans_total{outcome=failed}": 1,
	})
	trust.TLSExpires = accepted
	expect(t, m, map[string]float64{"heliograph_tls_certificate_expiry_timestamp_seconds": float64(accepted.Unix())})
}

// TestSeriesStayFew keeps anything that grows with endpoints, tenants or subscriptions out of the labels.
func TestSeriesStayFew(t *testing.T) {
	t.Parallel()
	m := newMetrics(t)
	before := len(read(t, m.Registry()))
	for range 100 {
		e := heliograph.Endpoint("https://example.com/" + heliograph.NewGUID().String())
		m.Attempted(&heliograph.Attempt{Endpoint: e, Reason: heliograph.Reason(e)}, nil)
		m.Parked(e, 1, heliograph.Reason(e))
		m.GivenUp(e, deliver.Notification{}, heliograph.Reason(e))
	}
	if after := len(read(t, m.Registry())); after != before || before > 150 {
		t.Errorf("%d series, then %d", before, after)
	}
}

func TestServersDoNotShareMetrics(t *testing.T) {
	t.Parallel()
	one, other := newMetrics(t), newMetrics(t)
	one.Parked("", 1, heliograph.ParkedBehind)
	expect(t, other, map[string]float64{"heliograph_delivery_parks_total{reason=endpoint_behind}": 0})
	if err := one.Watch(noLevels); err != nil {
		t.Error(err)
	}
	if err := one.Watch(noLevels); err == nil {
		t.Error("levels are watched twice")
	}
}

func TestProfiler(t *testing.T) {
	t.Parallel()
	profiler := telemetry.Profiler()
	for path, want := range map[string]string{
		"/debug/pprof": "goroutine", "/debug/pprof/": "goroutine", "/debug/pprof/goroutine?debug=1": "goroutine profile:",
		"/debug/pprof/heap?debug=1": "heap profile:", "/debug/pprof/cmdline": "telemetry", "/debug/pprof/strange": "Unknown profile",
	} {
		answer := httptest.NewRecorder()
		profiler.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		if !strings.Contains(answer.Body.String(), want) {
			t.Errorf("%s: %d, %.300s", path, answer.Code, answer.Body)
		}
	}
}

func noLevels(context.Context) (telemetry.Levels, error) { return telemetry.Levels{}, nil }

// BenchmarkAttempted is what delivery pays for being counted: one POST with 128 notifications.
func BenchmarkAttempted(b *testing.B) {
	m := newMetrics(b)
	attempt := &heliograph.Attempt{Started: accepted, Took: time.Millisecond, Reason: heliograph.Delivered}
	notifications := slices.Repeat([]deliver.Notification{{Accepted: accepted}}, 128)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			m.Attempted(attempt, notifications)
		}
	})
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/128, "ns/notification")
}
