package telemetry

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
)

// snapshot collects what is read at each scrape, all of it at one moment.
type snapshot[T any] struct {
	read  func(ctx context.Context) (T, error)
	known *prometheus.Desc // 1 when it could be read, else 0; nil for what always can
	shown []shown[T]
}

// shown is one metric of a snapshot.
type shown[T any] struct {
	desc   *prometheus.Desc
	kind   prometheus.ValueType
	series []series[T]
}

// series is one value of a metric; label is empty where there is only one.
type series[T any] struct {
	label string
	of    func(*T) float64
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("heliograph_"+name, help, labels, nil)
}

func gauge[T any](name, help string, of func(*T) float64) shown[T] {
	return shown[T]{describe(name, help), prometheus.GaugeValue, []series[T]{{of: of}}}
}

func counter[T any](name, help string, of func(*T) float64) shown[T] {
	return shown[T]{describe(name, help), prometheus.CounterValue, []series[T]{{of: of}}}
}

// by makes a metric with a label of each of the series.
func by[T any](kind prometheus.ValueType, name, help, label string, all ...series[T]) shown[T] {
	return shown[T]{describe(name, help, label), kind, all}
}

// Describe tells what Collect sends.
func (s *snapshot[T]) Describe(to chan<- *prometheus.Desc) {
	if s.known != nil {
		to <- s.known
	}
	for i := range s.shown {
		to <- s.shown[i].desc
	}
}

// Collect reads and sends.
func (s *snapshot[T]) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), levelsTimeout)
	defer cancel()
	now, err := s.read(ctx)
	if s.known != nil {
		to <- prometheus.MustNewConstMetric(s.known, prometheus.GaugeValue, truth(err == nil))
	}
	if err != nil {
		return
	}
	for i := range s.shown {
		for _, one := range s.shown[i].series {
			var labels []string
			if one.label != "" {
				labels = []string{one.label}
			}
			to <- prometheus.MustNewConstMetric(s.shown[i].desc, s.shown[i].kind, one.of(&now), labels...)
		}
	}
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
