package telemetry

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Levels are how much there is of what a server keeps.
type Levels struct {
	Subscriptions   int    // active ones, on this node's index
	LogFirst        uint64 // sequence of the change log's oldest frame
	LogLast         uint64 // sequence of its newest frame
	LogBytes        uint64
	Unread          int64 // changes accepted and not yet read by delivery
	ParkedEndpoints int   // endpoints that have a backlog
	ParkedMessages  uint64
}

// levelsTimeout bounds how long a scrape waits for the engine.
const levelsTimeout = 2 * time.Second

// Watch shows the levels, read at each scrape. When read fails, they are missing and levels_known is 0.
func (m *Metrics) Watch(read func(ctx context.Context) (Levels, error)) error {
	if err := m.registry.Register(newLevels(read)); err != nil {
		return fmt.Errorf("register levels: %w", err)
	}
	return nil
}

// levels collects Levels.
type levels struct {
	read   func(ctx context.Context) (Levels, error)
	gauges []level
	known  *prometheus.Desc
}

type level struct {
	desc *prometheus.Desc
	of   func(*Levels) float64
}

func newLevels(read func(ctx context.Context) (Levels, error)) *levels {
	l := &levels{read: read, known: describe("levels_known", "1 when the levels could be read at this scrape, else 0.")}
	for _, g := range []struct {
		name, help string
		of         func(*Levels) float64
	}{
		{"subscriptions", "Active subscriptions.", func(l *Levels) float64 { return float64(l.Subscriptions) }},
		{"log_first_sequence", "Sequence of the change log's oldest frame.", func(l *Levels) float64 { return float64(l.LogFirst) }},
		{"log_last_sequence", "Sequence of the change log's newest frame.", func(l *Levels) float64 { return float64(l.LogLast) }},
		{"log_bytes", "Size of the change log.", func(l *Levels) float64 { return float64(l.LogBytes) }},
		{"unread_changes", "Changes that were accepted and that delivery has not yet read.", func(l *Levels) float64 { return float64(l.Unread) }},
		{"parked_endpoints", "Endpoints with a backlog on disk.", func(l *Levels) float64 { return float64(l.ParkedEndpoints) }},
		{"parked_messages", "Messages of all backlogs; each holds up to 1,024 notifications.", func(l *Levels) float64 { return float64(l.ParkedMessages) }},
	} {
		l.gauges = append(l.gauges, level{describe(g.name, g.help), g.of})
	}
	return l
}

func describe(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("heliograph_"+name, help, nil, nil)
}

// Describe tells what Collect sends.
func (l *levels) Describe(to chan<- *prometheus.Desc) {
	to <- l.known
	for _, g := range l.gauges {
		to <- g.desc
	}
}

// Collect reads the levels and sends them.
func (l *levels) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), levelsTimeout)
	defer cancel()
	now, err := l.read(ctx)
	if err != nil {
		to <- prometheus.MustNewConstMetric(l.known, prometheus.GaugeValue, 0)
		return
	}
	to <- prometheus.MustNewConstMetric(l.known, prometheus.GaugeValue, 1)
	for _, g := range l.gauges {
		to <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, g.of(&now))
	}
}
