package telemetry

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"heliograph.dev/internal/deliver"
	"heliograph.dev/internal/health"
)

// Levels are how much there is of what a server keeps.
type Levels struct {
	Subscriptions   int    // active ones, on this node's index
	LogFirst        uint64 // sequence of the change log's oldest frame
	LogLast         uint64 // sequence of its newest frame
	LogBytes        uint64
	LogLimit        uint64 // 0: there is none
	Room            bool   // whether changes are taken
	ParkedEndpoints uint64 // endpoints that have a backlog
	ParkedMessages  uint64
	ParkedBytes     uint64
	DiskFree        uint64
	DiskReserve     uint64
	WatchLag        uint64 // changes of records that the index has not seen
}

// Work is how much a server has under way.
type Work struct {
	deliver.Levels
	Waiting    int    // changes that wait for the next write to the log
	Unrecorded uint64 // deliveries that were not remembered
}

// Trust is what a server did to know its callers and to be known by receivers.
type Trust struct {
	TokensRemembered, TokensChecked uint64 // of callers, by whether they were known as verified
	TokensKept                      int    // verified ones that are remembered
	KeyFetches, KeyFetchFailures    uint64 // of issuers' keys; the fetches are all, failed ones too
	Certificates                    int    // of subscribers, that are kept parsed
	ValidationTokens                uint64 // that were signed
	TLSExpires                      time.Time
}

// Spans are those of traces that were recorded: all of them, and what became of them.
type Spans struct{ Recorded, Sent, Failed uint64 }

// levelsTimeout bounds how long a scrape waits for the engine.
const levelsTimeout = 2 * time.Second

// Watch shows the levels, read at each scrape. When read fails, they are missing and levels_known is 0.
func (m *Metrics) Watch(read func(ctx context.Context) (Levels, error)) error {
	return m.show("levels", &snapshot[Levels]{
		read: read, known: describe("levels_known", "1 when the levels of the store could be read at this scrape, else 0."), shown: levels(),
	})
}

// WatchWork shows what is under way, read at each scrape.
func (m *Metrics) WatchWork(read func() Work) error {
	return m.show("work", &snapshot[Work]{read: func(context.Context) (Work, error) { return read(), nil }, shown: work()})
}

// WatchTrust shows what has to do with tokens and keys, read at each scrape.
func (m *Metrics) WatchTrust(read func() Trust) error {
	return m.show("trust", &snapshot[Trust]{read: func(context.Context) (Trust, error) { return read(), nil }, shown: trust()})
}

// WatchSpans shows how many spans of traces there were, read at each scrape. Without traces there is no such metric.
func (m *Metrics) WatchSpans(read func() Spans) error {
	return m.show("spans", &snapshot[Spans]{read: func(context.Context) (Spans, error) { return read(), nil }, shown: spans()})
}

func (m *Metrics) show(what string, c prometheus.Collector) error {
	if err := m.registry.Register(c); err != nil {
		return fmt.Errorf("register %s: %w", what, err)
	}
	return nil
}

func levels() []shown[Levels] {
	return []shown[Levels]{
		gauge("subscriptions", "Active subscriptions.", func(l *Levels) float64 { return float64(l.Subscriptions) }),
		gauge("log_first_sequence", "Sequence of the change log's oldest frame.", func(l *Levels) float64 { return float64(l.LogFirst) }),
		gauge("log_last_sequence", "Sequence of the change log's newest frame.", func(l *Levels) float64 { return float64(l.LogLast) }),
		gauge("log_bytes", "Size of the change log.", func(l *Levels) float64 { return float64(l.LogBytes) }),
		gauge("log_limit_bytes", "How large the change log may get; 0 when nothing bounds it.", func(l *Levels) float64 { return float64(l.LogLimit) }),
		gauge("log_room", "1 while changes are taken, 0 while the log or the disk is full.", func(l *Levels) float64 { return truth(l.Room) }),
		gauge("disk_free_bytes", "What the disk of the data folder has left; 0 with an engine elsewhere.", func(l *Levels) float64 { return float64(l.DiskFree) }),
		gauge("disk_reserve_bytes", "What the disk must have left: below it no changes are taken.", func(l *Levels) float64 { return float64(l.DiskReserve) }),
		gauge("parked_endpoints", "Endpoints with a backlog on disk.", func(l *Levels) float64 { return float64(l.ParkedEndpoints) }),
		gauge("parked_messages", "Messages of all backlogs; each holds up to 1,024 notifications.", func(l *Levels) float64 { return float64(l.ParkedMessages) }),
		gauge("parked_bytes", "Size of all backlogs; a notification takes about 50 bytes, and a message some 300 besides.", func(l *Levels) float64 { return float64(l.ParkedBytes) }),
		gauge("watch_lag_records", "Changes of subscriptions and their counts in the store that this node's index has not seen yet.", func(l *Levels) float64 { return float64(l.WatchLag) }),
	}
}

func work() []shown[Work] {
	healths := make([]series[Work], health.Dropping+1)
	for state := range healths {
		healths[state] = series[Work]{health.State(state).String(), func(w *Work) float64 { return float64(w.Health[state]) }}
	}
	return []shown[Work]{
		gauge("ingest_waiting_changes", "Changes that wait for the next write to the log.", func(w *Work) float64 { return float64(w.Waiting) }),
		gauge("unread_changes", "Changes that were accepted and that delivery has not yet read.", func(w *Work) float64 { return float64(w.Unread) }),
		gauge("in_flight_frames", "Frames of the log that are read and not done with.", func(w *Work) float64 { return float64(w.Frames) }),
		gauge("in_flight_bytes", "What they take in memory.", func(w *Work) float64 { return float64(w.FrameBytes) }),
		gauge("undelivered_age_seconds", "How long ago the oldest change was accepted that is read and neither delivered nor in a backlog.",
			func(w *Work) float64 { return w.Undelivered.Seconds() }),
		counter("deliveries_left_out_total", "Deliveries that are not remembered for their owners to look at: under load a sample is.",
			func(w *Work) float64 { return float64(w.Unrecorded) }),
		gauge("pending_notifications", "Notifications in memory that wait for a POST.", func(w *Work) float64 { return float64(w.Pending) }),
		gauge("parking_notifications", "Notifications in memory that are about to be written to a backlog.", func(w *Work) float64 { return float64(w.Parking) }),
		gauge("parked_age_seconds", "How long ago the first notification was due of those in a backlog. At the end of the retry window it is given up.",
			func(w *Work) float64 { return w.Overdue.Seconds() }),
		gauge("posts_under_way", "POSTs under way to endpoints without a backlog.", func(w *Work) float64 { return float64(w.Flights) }),
		by(prometheus.GaugeValue, "lanes", "Endpoints that had something to do lately, by how their notifications go: live (at once) or parked (by a backlog); and subscriptions that have a backlog of their own, apart, because their endpoint refuses them while it takes others.", "way",
			series[Work]{"live", func(w *Work) float64 { return float64(w.Live) }}, series[Work]{"parked", func(w *Work) float64 { return float64(w.Parked) }},
			series[Work]{"apart", func(w *Work) float64 { return float64(w.Apart) }}),
		gauge("held_subscriptions", "Paused subscriptions whose notifications wait on disk.", func(w *Work) float64 { return float64(w.Held) }),
		by(prometheus.GaugeValue, "endpoints", "Endpoints that had something to do lately, by how they answer.", "state", healths...),
	}
}

func trust() []shown[Trust] {
	return []shown[Trust]{
		by(prometheus.CounterValue, "identity_tokens_total", "Tokens of callers, by whether they were remembered as verified or had to be checked.", "outcome",
			series[Trust]{"remembered", func(t *Trust) float64 { return float64(t.TokensRemembered) }},
			series[Trust]{"checked", func(t *Trust) float64 { return float64(t.TokensChecked) }}),
		gauge("identity_tokens_kept", "Verified tokens that are remembered.", func(t *Trust) float64 { return float64(t.TokensKept) }),
		by(prometheus.CounterValue, "identity_key_fetches_total", "Fetches of issuers' keys.", "outcome",
			series[Trust]{"fetched", func(t *Trust) float64 { return float64(t.KeyFetches - min(t.KeyFetches, t.KeyFetchFailures)) }},
			series[Trust]{"failed", func(t *Trust) float64 { return float64(t.KeyFetchFailures) }}),
		gauge("seal_certificates", "Subscribers' certificates that are kept parsed.", func(t *Trust) float64 { return float64(t.Certificates) }),
		counter("validation_tokens_signed_total", "Validation tokens that were signed: many notifications share one.",
			func(t *Trust) float64 { return float64(t.ValidationTokens) }),
		gauge("tls_certificate_expiry_timestamp_seconds", "When the certificate ends that https is answered with; 0 when the server makes its own.",
			func(t *Trust) float64 { return unix(t.TLSExpires) }),
	}
}

func spans() []shown[Spans] {
	return []shown[Spans]{
		counter("trace_spans_recorded_total", "Spans of traces that were recorded. Those that were neither sent nor failed wait, or too many waited.",
			func(s *Spans) float64 { return float64(s.Recorded) }),
		by(prometheus.CounterValue, "trace_spans_total", "Spans that the collector took, or that could not be sent to it.", "outcome",
			series[Spans]{"sent", func(s *Spans) float64 { return float64(s.Sent) }}, series[Spans]{"failed", func(s *Spans) float64 { return float64(s.Failed) }}),
	}
}

func unix(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.Unix())
}
