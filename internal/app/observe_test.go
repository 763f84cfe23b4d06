package app_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	pb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"heliograph.dev"
	"heliograph.dev/client"
	"heliograph.dev/internal/app"
	"heliograph.dev/internal/identity/devissuer"
)

// body returns what a GET answers.
func body(tb testing.TB, url string) (status int, text string) {
	tb.Helper()
	return bodyFor(tb, url, "")
}

// bodyFor returns what a GET with a token answers.
func bodyFor(tb testing.TB, url, token string) (status int, text string) {
	tb.Helper()
	request, err := http.NewRequestWithContext(tb.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		tb.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	raw, err := io.ReadAll(answer.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return answer.StatusCode, string(raw)
}

// TestOperatorsAddress: it answers what the others do. The profiler asks for the operator's permission on each.
func TestOperatorsAddress(t *testing.T) {
	t.Parallel()
	cfg := dev(t.TempDir())
	cfg.Listen.Operations = "127.0.0.1:0"
	a := start(t, app.Options{Config: cfg})
	if a.OperationsURL() == a.URL() || a.OperationsURL() == "" {
		t.Fatalf("the operators' address is %s", a.OperationsURL())
	}
	for path, want := range map[string]string{"/metrics": "heliograph_levels_known 1", "/readyz": "ready", "/healthz": "ok"} {
		if status, text := body(t, a.OperationsURL()+path); status != http.StatusOK || !strings.Contains(text, want) {
			t.Errorf("%s answers %d, %.300s", path, status, text)
		}
	}
	reader, operator := tokenOf(t, a, "Mail.Read"), tokenOf(t, a, heliograph.PermissionControl)
	for _, address := range []string{a.URL(), a.OperationsURL()} {
		for path, want := range map[string]string{
			"/debug/pprof/": "goroutine", "/debug/pprof/goroutine?debug=1": "goroutine profile:", "/debug/pprof/heap?debug=1": "heap profile:",
			"/debug/pprof/cmdline": "app", "/debug/pprof/profile?seconds=1": "",
		} {
			for _, c := range []struct {
				token  string
				status int
			}{{"", http.StatusUnauthorized}, {reader, http.StatusForbidden}, {operator, http.StatusOK}} {
				status, text := bodyFor(t, address+path, c.token)
				if status != c.status || status == http.StatusOK && !strings.Contains(text, want) || status != http.StatusOK && strings.Contains(text, "goroutine") {
					t.Errorf("%s%s answers %d, %.300s; want %d", address, path, status, text, c.status)
				}
			}
		}
	}
	if other := start(t, app.Options{Config: dev(t.TempDir())}); other.OperationsURL() != "" {
		t.Errorf("an address that nobody asked for: %s", other.OperationsURL())
	}
}

// tokenOf mints a token of an application that has one role.
func tokenOf(t *testing.T, a *app.App, role string) string {
	t.Helper()
	text, _, err := a.Issuer().Mint(t.Context(), devissuer.MintRequest{Base: a.URL(), Roles: []string{role}, Lifetime: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	return text.Reveal()
}

// TestMetricsOfAWay: a change is counted at every step from publish to receipt.
func TestMetricsOfAWay(t *testing.T) {
	t.Parallel()
	a := start(t, app.Options{Config: dev(t.TempDir())})
	api := connect(t, a)
	hook, resources := listener(t)
	subscribe(t, api, "users/u1/messages", hook, time.Now().Add(time.Hour))
	publish(t, api, "users/u1/messages/m1")
	take(t, resources)
	wanted := []string{
		`heliograph_ingest_changes_total{outcome="accepted"} 1`, `heliograph_ingest_frames_total{outcome="accepted"} 1`,
		"heliograph_ingest_frame_seconds_count 1", "heliograph_match_changes_total 1", "heliograph_match_notifications_total 1",
		`heliograph_delivery_attempts_total{outcome="delivered"} 1`, "heliograph_delivery_latency_seconds_count 1",
		`heliograph_delivery_notifications_total{kind="change"} 1`, "heliograph_subscriptions 1", "heliograph_levels_known 1",
		"heliograph_log_last_sequence 1", "heliograph_log_room 1", "heliograph_parked_endpoints 0", "heliograph_watch_lag_records 0",
		"heliograph_unread_changes 0", `heliograph_lanes{way="live"} 1`, `heliograph_endpoints{state="healthy"} 1`,
		"heliograph_pending_notifications 0", `heliograph_identity_tokens_total{outcome="checked"} 1`, "heliograph_identity_tokens_kept 1",
		"go_sched_latencies_seconds_count",
	}
	var missing []string
	for range 200 { // the receiver has it before the server has counted it
		_, text := body(t, a.URL()+"/metrics")
		missing = nil
		for _, line := range wanted {
			if !strings.Contains(text, "\n"+line) {
				missing = append(missing, line)
			}
		}
		if missing == nil {
			return
		}
	}
	t.Errorf("missing %q", missing)
}

// collector is a real OTLP receiver that keeps spans.
type collector struct {
	*httptest.Server
	mu    sync.Mutex
	spans map[string]*pb.Span
}

func newCollector(tb testing.TB) *collector {
	tb.Helper()
	c := &collector{spans: map[string]*pb.Span{}}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		var data pb.TracesData
		if err == nil {
			err = proto.Unmarshal(raw, &data)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, resource := range data.GetResourceSpans() {
			for _, scope := range resource.GetScopeSpans() {
				for _, span := range scope.GetSpans() {
					c.spans[span.GetName()] = span
				}
			}
		}
	}))
	tb.Cleanup(c.Close)
	return c
}

// tracedListener proves itself and keeps the trace contexts that come with notifications.
func tracedListener(tb testing.TB) (url string, carried chan string) {
	tb.Helper()
	carried = make(chan string, 10)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if token := r.URL.Query().Get("validationToken"); token != "" {
			w.Header().Set("Content-Type", "text/plain")
			_, _ = io.WriteString(w, token)
			return
		}
		carried <- r.Header.Get("Traceparent")
		w.WriteHeader(http.StatusAccepted)
	}))
	tb.Cleanup(s.Close)
	return s.URL, carried
}

// TestTraceFromPublishToReceipt: the receiver goes on with the publisher's trace, and every step between them is in it.
func TestTraceFromPublishToReceipt(t *testing.T) {
	t.Parallel()
	const traceID = "0af7651916cd43dd8448eb211c80319c"
	c := newCollector(t)
	hook, carried := tracedListener(t)
	cfg := dev(t.TempDir())
	cfg.Tracing.Endpoint = c.URL
	a, err := app.Start(t.Context(), app.Options{Config: cfg})
	if err != nil {
		t.Fatal(err)
	}
	api := connect(t, a)
	subscribe(t, api, "users/u1/messages", hook, time.Now().Add(time.Hour))
	publishIn(t, a, api, "00-"+traceID+"-b7ad6b7169203331-01")
	got := take(t, carried)
	if err := a.Stop(context.Background()); err != nil { // sends what was recorded
		t.Fatal(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range []string{"POST /publish", "ingest", "write frame", "match", "POST"} {
		if span := c.spans[name]; span == nil || hex.EncodeToString(span.GetTraceId()) != traceID {
			t.Errorf("%s is not in the trace: %v", name, span)
		}
	}
	if want := fmt.Sprintf("00-%s-%x-01", traceID, c.spans["POST"].GetSpanId()); got != want {
		t.Errorf("the receiver got %s, want %s", got, want)
	}
}

// publishIn publishes a change as a part of a trace.
func publishIn(tb testing.TB, a *app.App, api *client.Client, traceparent string) {
	tb.Helper()
	token, err := api.MintToken(tb.Context(), client.TokenRequest{App: "11111111-0000-0000-0000-000000000001"})
	if err != nil {
		tb.Fatal(err)
	}
	request, err := http.NewRequestWithContext(tb.Context(), http.MethodPost, a.URL()+"/publish", http.NoBody)
	if err != nil {
		tb.Fatal(err)
	}
	for name, value := range map[string]string{
		"Authorization": "Bearer " + token.Text, "Traceparent": traceparent, "Ce-Specversion": "1.0", "Ce-Id": "1",
		"Ce-Source": "test", "Ce-Type": "heliograph.change.created", "Ce-Subject": "users/u1/messages/m1",
	} {
		request.Header.Set(name, value)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		tb.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusAccepted {
		tb.Fatalf("publish answered %d", answer.StatusCode)
	}
}

// TestUntracedContextPassesThrough: without a collector the publisher's context reaches the receiver as it came.
func TestUntracedContextPassesThrough(t *testing.T) {
	t.Parallel()
	const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	a := start(t, app.Options{Config: dev(t.TempDir())})
	api := connect(t, a)
	hook, carried := tracedListener(t)
	subscribe(t, api, "users/u1/messages", hook, time.Now().Add(time.Hour))
	publishIn(t, a, api, traceparent)
	if got := take(t, carried); got != traceparent {
		t.Errorf("the receiver got %s", got)
	}
}

// TestCollectorThatIsDown costs a stop no more than its patience, and is no reason to fail.
func TestCollectorThatIsDown(t *testing.T) {
	t.Parallel()
	down := httptest.NewServer(http.NotFoundHandler())
	down.Close()
	cfg := dev(t.TempDir())
	cfg.Tracing.Endpoint = down.URL
	var log syncBuffer
	a, err := app.Start(t.Context(), app.Options{Config: cfg, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	publish(t, connect(t, a), "users/u1/messages/m1")
	if err := a.Stop(context.Background()); err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "traces not sent") {
		t.Errorf("the log says nothing of it: %s", log.String())
	}
}

// syncBuffer is a buffer that many write to.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
