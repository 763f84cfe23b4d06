package telemetry

import (
	"time"

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
	matched, made      prometheus.Counter
	matching           prometheus.Histogram
	parks              byReason
	resumes            prometheus.Counter
	parkedFor          prometheus.Histogram
	added, removed     prometheus.Counter
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
		matched: newCounter("heliograph_match_changes_total", "Changes that were read from the log and matched with the subscriptions."),
		made:    newCounter("heliograph_match_notifications_total", "Notifications that changes made: one for each subscription that wants them."),
		matching: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "heliograph_match_frame_seconds", Help: "How long it took to match the changes of one frame and to queue their notifications.",
			Buckets: prometheus.ExponentialBuckets(0.00001, 8, 8), // 10 µs to 21 s
		}),
		parks: newByReason("heliograph_delivery_parks_total",
			"Times that an endpoint's notifications began to go to its backlog on disk, to be delivered later.", "reason",
			heliograph.ParkedIll, heliograph.ParkedBehind, heliograph.ParkedSlow, heliograph.ParkedApart),
		resumes: newCounter("heliograph_delivery_resumes_total", "Times that an endpoint had caught up with its backlog."),
		parkedFor: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "heliograph_delivery_parked_seconds", Help: "How long endpoints had a backlog that have caught up.",
			Buckets: prometheus.ExponentialBuckets(1, 4, 8), // 1 s to 4.6 h: the window is 4 h
		}),
		added:   newCounter("heliograph_backlog_added_total", "Notifications that were written to a backlog on disk."),
		removed: newCounter("heliograph_backlog_removed_total", "Notifications that were taken off a backlog: delivered, given up or sent on."),
		givenUp: newByReason("heliograph_delivery_given_up_total", "Notifications that will not be delivered.", "reason",
			heliograph.GivenUpWindow, heliograph.GivenUpRemoved, heliograph.GivenUpExpired, heliograph.GivenUpLost,
			heliograph.GivenUpUnsealed, heliograph.GivenUpDropped, heliograph.GivenUpRefused, heliograph.GivenUpUnparked,
			heliograph.WithheldType, heliograph.WithheldFilter, heliograph.WithheldAccess),
	}
	d.tookOK, d.tookFailed = d.took.WithLabelValues("delivered"), d.took.WithLabelValues("failed")
	d.changes, d.notices = d.notifications.WithLabelValues("change"), d.notifications.WithLabelValues("lifecycle")
	return d
}

func (d *delivery) collectors() []prometheus.Collector {
	return []prometheus.Collector{
		d.attempts.vector, d.took, d.batch, d.notifications, d.latency, d.givenUp.vector,
		d.matched, d.made, d.matching, d.parks.vector, d.resumes, d.parkedFor, d.added, d.removed,
	}
}

func newCounter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
}

// Matched counts the changes of a frame and what they made.
func (d *delivery) Matched(changes, notifications int, took time.Duration) {
	d.matched.Add(float64(changes))
	d.made.Add(float64(notifications))
	d.matching.Observe(took.Seconds())
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

// Parked counts an endpoint that is parked.
func (d *delivery) Parked(_ heliograph.Endpoint, _ int, why heliograph.Reason) { d.parks.add(why, 1) }

// Resumed counts an endpoint that has caught up.
func (d *delivery) Resumed(_ heliograph.Endpoint, parked time.Duration) {
	d.resumes.Inc()
	d.parkedFor.Observe(parked.Seconds())
}

// Backlog counts what came to the backlogs and what went.
func (d *delivery) Backlog(_ heliograph.Endpoint, added, removed int) {
	d.added.Add(float64(added))
	d.removed.Add(float64(removed))
}

// GivenUp counts a notification that will not be delivered.
func (d *delivery) GivenUp(_ heliograph.Endpoint, _ deliver.Notification, why heliograph.Reason) {
	d.givenUp.add(why, 1)
}
