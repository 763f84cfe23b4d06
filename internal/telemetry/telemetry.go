// Package telemetry is how a server tells what it does: a logger, and the metrics of every step of a change's way.
//
// Metrics live in a registry of their own, never in the process's global one. Labels come from small fixed sets: an
// outcome, a reason, a kind of error. No endpoint, tenant or subscription is a label: who wants to know about one of
// them asks the API. Every series is there from the start, so that a rate is zero before the first failure instead of
// absent.
//
// Counters are looked up when the metrics are made, not when something is counted: telling of a POST costs a few
// atomic additions for each notification in it.
//
// docs/reference/metrics.md lists the metrics; it is made from the registry by go generate.
package telemetry

import (
	"fmt"
	"regexp"
	"runtime"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

//go:generate go test -run ^TestMetricsReference$ . -update

// Metrics are a server's. It is delivery's observer; Accepting and Writing count ingest; Watch reads the levels of what
// is kept. Its methods may be called concurrently.
type Metrics struct {
	registry *prometheus.Registry
	intake
	delivery
}

// mutexWait is how long goroutines waited for locks: when the hot path is short of anything else, it is of that.
var mutexWait = regexp.MustCompile(`^/sync/mutex/wait/total:seconds$`)

// NewMetrics returns the metrics of a server of that version.
func NewMetrics(version string) (*Metrics, error) {
	m := &Metrics{registry: prometheus.NewRegistry(), intake: newIntake(), delivery: newDelivery()}
	all := []prometheus.Collector{
		collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(
			collectors.MetricsScheduler, collectors.GoRuntimeMetricsRule{Matcher: mutexWait})), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), buildInfo(version),
	}
	for _, c := range append(append(all, m.intake.collectors()...), m.delivery.collectors()...) {
		if err := m.registry.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return m, nil
}

// Registry returns what /metrics shows. Others may register theirs.
func (m *Metrics) Registry() *prometheus.Registry { return m.registry }

func buildInfo(version string) prometheus.Collector {
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "heliograph_build_info", Help: "1, for what is running: its version, its source's revision and Go's version.",
	}, []string{"version", "revision", "go"})
	info.WithLabelValues(version, revision(), runtime.Version()).Set(1)
	return info
}

func revision() string {
	if build, ok := debug.ReadBuildInfo(); ok {
		for _, s := range build.Settings {
			if s.Key == "vcs.revision" {
				return s.Value
			}
		}
	}
	return "unknown"
}
