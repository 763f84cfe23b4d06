package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"

	"heliograph.dev"
	"heliograph.dev/internal/deliver"
)

// delivery counts what delivery tells of.
type delivery struct {
	attempts           byReason
	took               *prometheus.HistogramVec
	tookOK, tookFailed prometheus.Observer
	batch              prometheus.Histogram
	notifications      *prometheus.CounterVec
	changes, notices   prometheus.Counter
	latency            *latencies
	parked             byReason
	givenUp            byReason
}

func newDelivery() delivery {
	d := delivery{
		attempts: newByReason("heliograph_delivery_attempts_total", "POSTs to endpoints, by how they ended.", "outcome",
			heliograph.Delivered, heliograph.RefusedStatus, heliograph.TimedOut, heliograph.ConnectFailed, heliograph.TLSFailed,
			heliograph.AddressRefused, heliograph.Redirected, heliograph.ConnectionBroke, heliograph.Stopped),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "heliograph_delivery_attempt_seconds", Help: "How long POSTs to endpoints took.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 4, 9), // 0.5 ms to 33 s: time-outs are at 3 s and 10 s
		}, []string{"outcome"}),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "heliograph_delivery_batch_notifications", Help: "Notifications in one POST.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 10), // 1 to 512
		}),
		notifications: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "heliograph_delivery_notifications_total", Help: "Notifications that their receivers have.",
		}, []string{"kind"}),
		latency: &latencies{desc: describe("delivery_latency_seconds",
			"From when a change was accepted to when a receiver has its notification.")},
		parked: newByReason("heliograph_delivery_parked_total",
			"Notifications that went to the backlog on disk, to be delivered later.", "reason",
			heliograph.ParkedIll, heliograph.ParkedBehind),
		givenUp: newByReason("heliograph_delivery_given_up_total", "Notifications that will not be delivered.", "reason",
			heliograph.GivenUpWindow, heliograph.GivenUpRemoved, heliograph.GivenUpExpired, heliograph.GivenUpLost,
			heliograph.WithheldType, heliograph.WithheldFilter, heliograph.WithheldAccess),
	}
	d.tookOK, d.tookFailed = d.took.WithLabelValues("delivered"), d.took.WithLabelValues("failed")
	d.changes, d.notices = d.notifications.WithLabelValues("change"), d.notifications.WithLabelValues("lifecycle")
	return d
}

func (d *delivery) collectors() []prometheus.Collector {
	return []prometheus.Collector{
		d.attempts.vector, d.took, d.batch, d.notifications, d.latency, d.parked.vector, d.givenUp.vector,
	}
}

// Attempted counts one POST and, when it went well, what it carried.
func (d *delivery) Attempted(attempt *heliograph.Attempt, notifications []deliver.Notification) {
	d.attempts.add(attempt.Reason, 1)
	d.batch.Observe(float64(len(notifications)))
	if !attempt.OK() {
		d.tookFailed.Observe(attempt.Took.Seconds())
		return
	}
	d.tookOK.Observe(attempt.Took.Seconds())
	end, notices, waited := attempt.Started.Add(attempt.Took), 0, tally{}
	for i := range notifications {
		waited.observe(end.Sub(notifications[i].Accepted))
		if notifications[i].Lifecycle != 0 {
			notices++
		}
	}
	d.latency.add(&waited)
	d.notices.Add(float64(notices))
	d.changes.Add(float64(len(notifications) - notices))
}

// Parked counts notifications that went to the backlog.
func (d *delivery) Parked(_ heliograph.Endpoint, count int, why heliograph.Reason) {
	d.parked.add(why, count)
}

// GivenUp counts a notification that will not be delivered.
func (d *delivery) GivenUp(_ deliver.Notification, why heliograph.Reason) { d.givenUp.add(why, 1) }
