package httpapi

import (
	"fmt"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics count what came in and what was refused.
type metrics struct {
	requests *prometheus.CounterVec
	took     *prometheus.HistogramVec
	refusals *prometheus.CounterVec
}

func newMetrics(registry *prometheus.Registry) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "heliograph_http_requests_total", Help: "Requests answered, by route and status.",
		}, []string{"method", "route", "status"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "heliograph_http_request_seconds", Help: "Time from a request's header to the end of its answer.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 4, 9), // 0.5 ms to 33 s
		}, []string{"route"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "heliograph_http_refusals_total", Help: "Requests refused, by the rule that refused.",
		}, []string{"rule"}),
	}
	for _, c := range []prometheus.Collector{m.requests, m.took, m.refusals} {
		if err := registry.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics of the HTTP API: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) observe(x *exchange, status int, took time.Duration) {
	m.requests.WithLabelValues(methodLabel(x.request.Method), x.route, strconv.Itoa(status)).Inc()
	m.took.WithLabelValues(x.route).Observe(took.Seconds())
	if x.rule != "" {
		m.refusals.WithLabelValues(x.rule).Inc()
	}
}

// methodLabel keeps made-up methods from making series without end.
func methodLabel(method string) string {
	switch method {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS":
		return method
	}
	return "other"
}
