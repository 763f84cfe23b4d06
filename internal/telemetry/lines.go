package telemetry

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/clock"
	"heliograph.dev/internal/deliver"
)

// Lines tells the log of deliveries that do not go well: an attempt that failed, an endpoint that is parked or that has
// resumed, notifications that are given up. It is an observer of delivery; what goes well costs it one comparison.
//
// An ill endpoint does not flood the log: of each endpoint and each kind of event there is one line a minute. The first
// is written at once. Those that follow within the minute are counted, and the next line, which comes at the end of the
// minute at the latest, says how many they were: left_out. Of all endpoints together there are MostLines a second.
//
// Lines name an endpoint by its host and a short hash, never by its path or query. They hold no data and no clientState.
type Lines struct {
	logger *slog.Logger
	now    func() time.Time

	mu     sync.Mutex
	told   map[topic]*told
	second int64 // of written
	wrote  int
}

const (
	// MostLines is how many lines about deliveries are written in a second, whatever happens.
	MostLines = 50
	// lineEvery is how often there is a line about one topic.
	lineEvery = time.Minute
	// mostTopics bounds what is remembered. Beyond it new ones share one topic.
	mostTopics = 20_000
)

// event is a kind of what happens.
type event string

const (
	failed  event = "delivery failed"
	parked  event = "endpoint parked"
	resumed event = "endpoint resumed"
	givenUp event = "notification given up"
)

// topic is what there is one line a minute about. What is given up differs by its reason.
type topic struct {
	endpoint heliograph.Endpoint
	event    event
	reason   heliograph.Reason
}

// told is what was told of a topic.
type told struct {
	last    time.Time // when a line was written
	leftOut int       // events since then
	level   slog.Level
	attrs   []slog.Attr // of the latest of those
}

// NewLines returns an observer that writes to logger. now tells the real time.
func NewLines(logger *slog.Logger, now func() time.Time) *Lines {
	return &Lines{logger: logger, now: now, told: map[topic]*told{}}
}

// Attempted tells of an attempt that failed. One that the server's own end cut off says nothing of the endpoint.
func (l *Lines) Attempted(a *heliograph.Attempt, notifications []deliver.Notification) {
	if a.OK() || a.Reason == heliograph.Stopped {
		return
	}
	attempts := uint32(0)
	for i := range notifications {
		attempts = max(attempts, notifications[i].Attempts)
	}
	attrs := []slog.Attr{
		slog.String("reason", string(a.Reason)), slog.Int("notifications", len(notifications)),
		slog.Duration("took", a.Took), slog.Uint64("attempts", uint64(attempts)+1),
	}
	if a.Status != 0 {
		attrs = append(attrs, slog.Int("status", a.Status))
	}
	if a.RetryAfter != 0 {
		attrs = append(attrs, slog.Duration("retry_after", a.RetryAfter))
	}
	if a.Detail != "" {
		attrs = append(attrs, slog.String("detail", CleanURLs(a.Detail)))
	}
	l.tell(topic{endpoint: a.Endpoint, event: failed}, slog.LevelWarn, attrs)
}

// Parked tells of an endpoint whose notifications go to its backlog now.
func (l *Lines) Parked(endpoint heliograph.Endpoint, waiting int, why heliograph.Reason) {
	l.tell(topic{endpoint: endpoint, event: parked}, slog.LevelWarn,
		[]slog.Attr{slog.String("reason", string(why)), slog.Int("notifications", waiting)})
}

// Resumed tells of an endpoint that has caught up.
func (l *Lines) Resumed(endpoint heliograph.Endpoint, after time.Duration) {
	l.tell(topic{endpoint: endpoint, event: resumed}, slog.LevelInfo, []slog.Attr{slog.Duration("parked_for", after)})
}

// GivenUp tells of a notification that will not be delivered.
func (l *Lines) GivenUp(endpoint heliograph.Endpoint, n deliver.Notification, why heliograph.Reason) {
	level := slog.LevelWarn
	if why == heliograph.GivenUpRemoved || why == heliograph.GivenUpExpired { // somebody's wish, or the ordinary end of it
		level = slog.LevelInfo
	}
	l.tell(topic{endpoint: endpoint, event: givenUp, reason: why}, level, []slog.Attr{
		slog.String("reason", string(why)), slog.String("tenant", string(n.Tenant)), slog.String("subscription", n.Subscription.String()),
		slog.String("notification", n.ID.String()), slog.Uint64("attempts", uint64(n.Attempts)),
	})
}

// Matched is nothing to tell of.
func (l *Lines) Matched(int, int, time.Duration) {}

// Backlog is nothing to tell of.
func (l *Lines) Backlog(heliograph.Endpoint, int, int) {}

// tell writes a line, or counts the event for the next one. The line is written without the lock.
func (l *Lines) tell(about topic, level slog.Level, attrs []slog.Attr) {
	leftOut, write := l.count(&about, level, attrs)
	if write {
		l.write(context.Background(), about, told{leftOut: leftOut, level: level, attrs: attrs}) // what happened is no request's
	}
}

func (l *Lines) count(about *topic, level slog.Level, attrs []slog.Attr) (leftOut int, write bool) {
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.told[*about]
	if t == nil {
		if len(l.told) >= mostTopics {
			about.endpoint = "" // of many
			t = l.told[*about]
		}
		if t == nil {
			t = &told{}
			l.told[*about] = t
		}
	}
	if now.Sub(t.last) < lineEvery || !l.mayLocked(now) {
		t.leftOut++
		t.level, t.attrs = level, attrs
		return 0, false
	}
	leftOut = t.leftOut
	*t = told{last: now}
	return leftOut, true
}

// mayLocked reports whether this second has room for another line, and takes it.
func (l *Lines) mayLocked(now time.Time) bool {
	if s := now.Unix(); s != l.second {
		l.second, l.wrote = s, 0
	}
	if l.wrote >= MostLines {
		return false
	}
	l.wrote++
	return true
}

func (l *Lines) write(ctx context.Context, about topic, t told) {
	line := make([]slog.Attr, 0, len(t.attrs)+3)
	if about.endpoint != "" {
		host, id := NameEndpoint(about.endpoint)
		line = append(line, slog.String("endpoint", host), slog.String("endpoint_id", id))
	}
	line = append(line, t.attrs...)
	if t.leftOut > 0 {
		line = append(line, slog.Int("left_out", t.leftOut))
	}
	l.logger.LogAttrs(ctx, t.level, string(about.event), line...) //nolint:sloglint // one of four constants
}

// Run writes the lines that are due, until ctx is done.
func (l *Lines) Run(ctx context.Context, c clock.Clock) {
	for clock.Sleep(ctx, c, lineEvery/4) == nil {
		l.Sweep(ctx, lineEvery)
	}
	l.Sweep(ctx, 0)
}

// Sweep writes a line of each topic whose last line is so old and of which events were left out since, and forgets those
// of which there were none.
func (l *Lines) Sweep(ctx context.Context, old time.Duration) {
	type due struct {
		topic
		told
	}
	var lines []due
	now := l.now()
	l.mu.Lock()
	for about, t := range l.told {
		if now.Sub(t.last) < old {
			continue
		}
		switch {
		case t.leftOut == 0:
			delete(l.told, about)
		case l.mayLocked(now):
			t.leftOut-- // this one is told
			lines = append(lines, due{about, *t})
			*t = told{last: now}
		}
	}
	l.mu.Unlock()
	for _, d := range lines {
		l.write(ctx, d.topic, d.told)
	}
}

// Observers are several, told one after the other.
type Observers []deliver.Observer

// Attempted tells of one POST.
func (o Observers) Attempted(a *heliograph.Attempt, notifications []deliver.Notification) {
	for _, one := range o {
		one.Attempted(a, notifications)
	}
}

// Matched tells of a frame that was matched.
func (o Observers) Matched(changes, notifications int, took time.Duration) {
	for _, one := range o {
		one.Matched(changes, notifications, took)
	}
}

// Parked tells of an endpoint that is parked.
func (o Observers) Parked(endpoint heliograph.Endpoint, waiting int, why heliograph.Reason) {
	for _, one := range o {
		one.Parked(endpoint, waiting, why)
	}
}

// Backlog tells of a backlog that grew or shrank.
func (o Observers) Backlog(endpoint heliograph.Endpoint, added, removed int) {
	for _, one := range o {
		one.Backlog(endpoint, added, removed)
	}
}

// Resumed tells of an endpoint that has caught up.
func (o Observers) Resumed(endpoint heliograph.Endpoint, after time.Duration) {
	for _, one := range o {
		one.Resumed(endpoint, after)
	}
}

// GivenUp tells of a notification that will not be delivered.
func (o Observers) GivenUp(endpoint heliograph.Endpoint, n deliver.Notification, why heliograph.Reason) {
	for _, one := range o {
		one.GivenUp(endpoint, n, why)
	}
}

var (
	_ deliver.Observer = (*Lines)(nil)
	_ deliver.Observer = Observers(nil)
)
