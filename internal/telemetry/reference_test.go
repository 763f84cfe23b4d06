package telemetry_test

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"heliograph.dev"
	"heliograph.dev/internal/clock"
	"heliograph.dev/internal/httpapi"
	"heliograph.dev/internal/telemetry"
)

var update = flag.Bool("update", false, "write docs/reference/metrics.md")

const referenceFile = "../../docs/reference/metrics.md"

// TestMetricsReference fails when the page does not list what /metrics shows.
func TestMetricsReference(t *testing.T) {
	t.Parallel()
	m := everything(t)
	want := reference(t, m.Registry())
	if *update {
		if err := os.WriteFile(referenceFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(referenceFile); err != nil || string(have) != want {
		t.Errorf("%s is not what the registry has (%v): run go generate ./internal/telemetry", referenceFile, err)
	}
}

// everything returns metrics with all that a server shows.
func everything(t *testing.T) *telemetry.Metrics {
	t.Helper()
	m := newMetrics(t)
	for _, err := range []error{
		m.Watch(noLevels), m.WatchWork(func() telemetry.Work { return telemetry.Work{} }),
		m.WatchTrust(func() telemetry.Trust { return telemetry.Trust{} }), m.WatchSpans(func() telemetry.Spans { return telemetry.Spans{} }),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	visit(t, m)
	return m
}

// nobody refuses everybody.
type nobody struct{}

func (nobody) Authenticate(context.Context, string) (*heliograph.Caller, error) {
	return nil, heliograph.Errorf(heliograph.Unauthenticated, "token.missing", "no token")
}

// visit sends the API a request, so that its metrics have something to show.
func visit(t *testing.T, m *telemetry.Metrics) {
	t.Helper()
	api, err := httpapi.New(httpapi.Options{
		Authenticator: nobody{}, Subscriptions: struct{ httpapi.Subscriptions }{}, Ingest: m.Accepting(nil),
		Metrics: m.Registry(), Now: clock.System().Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	answer := httptest.NewRecorder()
	api.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1.0/subscriptions", nil))
	if answer.Code != http.StatusUnauthorized {
		t.Fatalf("the API answered %d", answer.Code)
	}
}

func reference(t *testing.T, registry *prometheus.Registry) string {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString(`<!-- Made from the registry by go generate. Do not edit. -->

# Metrics

What ` + "`/metrics`" + ` shows for Prometheus, besides the Go runtime's (` + "`go_…`" + `) and the process's (` + "`process_…`" + `). No label names
an endpoint, a tenant or a subscription: the number of series does not grow with use.

| metric | type | labels | |
|---|---|---|---|
`)
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "heliograph_") {
			continue
		}
		values := map[string][]string{}
		var names []string
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if !slices.Contains(names, l.GetName()) {
					names = append(names, l.GetName())
				}
				if !slices.Contains(values[l.GetName()], l.GetValue()) {
					values[l.GetName()] = append(values[l.GetName()], l.GetValue())
				}
			}
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", f.GetName(), strings.ToLower(f.GetType().String()),
			labelCell(names, values), f.GetHelp())
	}
	return b.String()
}

// labelCell shows the values of labels that have a fixed set of them.
func labelCell(names []string, values map[string][]string) string {
	var cells []string
	for _, name := range names {
		cell := "`" + name + "`"
		if n := len(values[name]); n > 1 {
			cell += ": " + strings.Join(values[name], ", ")
		}
		cells = append(cells, cell)
	}
	return strings.Join(cells, "; ")
}
