package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"

	"heliograph.dev"
)

// byReason counts by a label whose values are known, each counter at hand. Other values count as other.
type byReason struct {
	vector *prometheus.CounterVec
	known  map[heliograph.Reason]prometheus.Counter
	other  prometheus.Counter
}

func newByReason(name, help, label string, values ...heliograph.Reason) byReason {
	b := byReason{
		vector: prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label}),
		known:  map[heliograph.Reason]prometheus.Counter{},
	}
	for _, v := range values {
		b.known[v] = b.vector.WithLabelValues(string(v))
	}
	b.other = b.vector.WithLabelValues("other")
	return b
}

func (b *byReason) add(why heliograph.Reason, n int) {
	c, ok := b.known[why]
	if !ok {
		c = b.other
	}
	c.Add(float64(n))
}

// byKind counts by the kind of an error, or as accepted.
type byKind struct {
	vector   *prometheus.CounterVec
	accepted prometheus.Counter
	kinds    [heliograph.Full + 1]prometheus.Counter
}

func newByKind(name, help string) byKind {
	b := byKind{vector: prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{"outcome"})}
	b.accepted = b.vector.WithLabelValues("accepted")
	for kind := range b.kinds {
		b.kinds[kind] = b.vector.WithLabelValues(heliograph.Kind(kind).String())
	}
	return b
}

func (b *byKind) add(err error, n int) {
	c := b.accepted
	if err != nil {
		c = b.kinds[heliograph.KindOf(err)]
	}
	c.Add(float64(n))
}
