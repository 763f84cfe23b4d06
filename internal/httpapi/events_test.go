package httpapi_test

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/clock"
	"heliograph.dev/internal/deliveries"
	"heliograph.dev/internal/health"
	"heliograph.dev/internal/httpapi"
	"heliograph.dev/internal/pulse"
)

// Follow, for who is looked at as an application's caller only.
func (s *sent) Follow(_ *heliograph.Caller, after deliveries.ID, q deliveries.Query) deliveries.Tail {
	s.asked = q
	t := deliveries.Tail{At: sentID(), More: make(chan struct{})}
	if after != sentID() {
		t.Deliveries = []deliveries.Delivery{s.one()}
	}
	return t
}

func (s *sent) Recent(_ context.Context, _ *heliograph.Caller, q httpapi.ChangesQuery) ([]heliograph.Change, error) {
	s.changes = q
	return []heliograph.Change{{ID: sentChange(), Type: heliograph.Updated, Resource: "users/u/messages/m", Accepted: start()}}, nil
}

func (*sent) Steps() []pulse.Step {
	return []pulse.Step{{At: start(), Changes: 4, Delivered: 3, Failed: 2, GivenUp: 1, Median: 1500 * time.Microsecond, Late: time.Second}}
}

func (*sent) Delays() (median, late time.Duration) { return 2 * time.Millisecond, 3 * time.Millisecond }

func (*sent) StepLength() (time.Duration, int) { return 10 * time.Second, 180 }

func (*sent) Histories() []pulse.History {
	return []pulse.History{{Endpoint: "https://hook.example/", Points: []pulse.Point{{At: start(), Answers: 20, Late: 0.5, Failures: 3, Parked: true}}}}
}

// following is a book that is followed by callers as it is.
type following struct{ *deliveries.Book }

func (f following) Follow(_ *heliograph.Caller, after deliveries.ID, q deliveries.Query) deliveries.Tail {
	return f.Book.Follow(after, q)
}

func (f following) add(reason heliograph.Reason) {
	n := []deliveries.Notified{{Subscription: heliograph.DeriveGUID("s"), Change: sentChange(), Accepted: start(), Resource: "users/u/messages/m", Type: heliograph.Created}}
	f.Add(&heliograph.Attempt{Endpoint: "https://hook.example/", Started: start(), Reason: reason}, "", n, 1, nil)
}

// follow opens a stream and returns what reads its next event, as one line.
func (b *bench) follow(path string, header ...string) (next func() string) {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, b.URL+path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer reader")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := b.Client().Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = response.Body.Close() })
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "text/event-stream" || response.Header.Get("Cache-Control") != "no-store" {
		b.t.Fatalf("%d %v", response.StatusCode, response.Header)
	}
	lines := bufio.NewScanner(response.Body)
	return func() string {
		var event []string
		for lines.Scan() {
			if lines.Text() == "" {
				return strings.Join(event, " ")
			}
			event = append(event, lines.Text())
		}
		return "the end"
	}
}

func TestDeliveriesAreFollowed(t *testing.T) {
	t.Parallel()
	book := following{deliveries.New(deliveries.DefaultLimits(), start)}
	book.add(heliograph.Delivered)
	b := newBench(t, func(o *httpapi.Options) { o.Follower = book })
	next := b.follow("/control/v1/events")
	if got := next(); got != `event: hello data: {"now":"2026-11-22T10:30:00Z"}` {
		t.Errorf("first: %s", got)
	}
	book.add(heliograph.TimedOut)
	got := next()
	if !strings.Contains(got, `"reason":"timeout"`) || !strings.Contains(got, `"resource":"users/u/messages/m","changeType":"created"`) {
		t.Errorf("what came: %s", got)
	}
	id, _, _ := strings.Cut(strings.TrimPrefix(got, "id: "), " ")
	book.add(heliograph.Delivered)
	book.add(heliograph.RefusedStatus)
	if got := next() + next(); !strings.Contains(got, `"delivered"`) || !strings.Contains(got, `"status"`) {
		t.Errorf("then: %s", got)
	}
	// One that was cut off goes on where it was, with a filter of its own.
	again := b.follow("/control/v1/events?failed=true", "Last-Event-ID", id)
	if got := again() + again(); !strings.HasPrefix(got, "event: hello") || !strings.Contains(got, `"reason":"status"`) || strings.Contains(got, "timeout") {
		t.Errorf("resumed: %s", got)
	}
	b.api.EndStreams()
	b.api.EndStreams()
	for _, stream := range []func() string{next, again} {
		if got := stream(); got != `event: bye data: {"why":"the server is stopping"}` || stream() != "the end" {
			t.Errorf("at the end: %s", got)
		}
	}
	for _, bad := range [][]string{{"?subscription=x", "Accept", "text/event-stream"}, {"", "Last-Event-ID", "7"}} {
		if r := b.send("GET", "/control/v1/events"+bad[0], "", bad[1:]...); r.StatusCode != http.StatusBadRequest {
			t.Errorf("%v: %d", bad, r.StatusCode)
		}
	}
	if r := b.send("HEAD", "/control/v1/events", ""); r.StatusCode != http.StatusOK || r.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("HEAD: %d %v", r.StatusCode, r.Header)
	}
}

func TestSlowStreamIsToldWhatItMissed(t *testing.T) {
	t.Parallel()
	limits := deliveries.DefaultLimits()
	limits.Attempts = 2
	book := following{deliveries.New(limits, start)}
	book.add(heliograph.Delivered)
	first := book.Book.Follow(deliveries.ID{}, deliveries.Query{}).At
	for range 4 {
		book.add(heliograph.Delivered)
	}
	b := newBench(t, func(o *httpapi.Options) { o.Follower = book })
	next := b.follow("/control/v1/events", "Last-Event-ID", first.String())
	next()
	if got := next(); got != `event: missed data: {"deliveries":2}` {
		t.Errorf("%s", got)
	}
}

func TestStreamsAreBounded(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *httpapi.Options) { o.Follower = following{deliveries.New(deliveries.DefaultLimits(), start)} })
	for range httpapi.MostStreams {
		b.follow("/control/v1/events")()
	}
	b.wants(b.send("GET", "/control/v1/events", ""), http.StatusTooManyRequests, "Heliograph-Rule", "events.streams")
}

// A stream beats while nothing happens, and ends with the token that opened it.
func TestStreamEndsWithItsToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		machine := clock.System()
		began := machine.Now()
		api, err := httpapi.New(httpapi.Options{
			Authenticator: tokens(callers()), Subscriptions: &shelf{}, Resources: mail{}, Ingest: nowhere{},
			Follower: following{deliveries.New(deliveries.DefaultLimits(), start)},
			Now:      func() time.Time { return start().Add(59*time.Minute + 20*time.Second + machine.Now().Sub(began)) },
		})
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/control/v1/events", nil)
		r.Header.Set("Authorization", "Bearer reader")
		w := httptest.NewRecorder()
		api.ServeHTTP(w, r)
		want := `event: hello
data: {"now":"2026-11-22T11:29:20Z"}

event: now
data: {"now":"2026-11-22T11:29:35Z"}

event: now
data: {"now":"2026-11-22T11:29:50Z"}

event: bye
data: {"why":"the token has ended"}

`
		if w.Body.String() != want {
			t.Errorf("%s", w.Body)
		}
	})
}

func TestChangesAreListed(t *testing.T) {
	t.Parallel()
	b := all(t)
	r := b.send("GET", "/control/v1/changes?contains=Messages&top=7", "", "Authorization", "Bearer operator")
	b.wants(r, http.StatusOK)
	if q := b.sent.changes; q.Contains != "Messages" || q.Most != 7 {
		t.Errorf("asked for %+v", q)
	}
	sameJSON(t, r.body, `{"value":[{"id":"`+sentChange().String()+`","resource":"users/u/messages/m","changeType":"updated","accepted":"2026-11-22T10:30:00Z"}]}`)
	b.wants(b.send("GET", "/control/v1/changes?top=201", "", "Authorization", "Bearer operator"), http.StatusBadRequest)
}

func TestPulseIsShown(t *testing.T) {
	t.Parallel()
	b := all(t, func(o *httpapi.Options) { o.Health = health.Rules{SlowShare: 0.1, SlowOver: 3 * time.Second} })
	r := b.send("GET", "/control/v1/pulse", "", "Authorization", "Bearer operator")
	sameJSON(t, r.body, `{"now":"2026-11-22T10:30:00Z","stepSeconds":10,"steps":180,"medianMs":2,"lateMs":3,
		"value":[{"at":"2026-11-22T10:30:00Z","changes":4,"delivered":3,"failed":2,"givenUp":1,"medianMs":1.5,"lateMs":1000}]}`)
	r = b.send("GET", "/control/v1/endpoints/history", "", "Authorization", "Bearer operator")
	sameJSON(t, r.body, `{"value":[{"endpoint":"https://hook.example/","points":[
		{"at":"2026-11-22T10:30:00Z","state":"healthy","answers":20,"late":0.5,"beyond":0,"failuresInARow":3,"pendingInMemory":0,"parked":true}]}],"rules":{"slowShare":0.1,"slowMs":3000,"dropShare":0,"dropMs":0}}`)
}

func TestBrowsersAreShownThePages(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *httpapi.Options) {
		o.Pages = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte("pages"))
		})
	})
	for accept, want := range map[string]bool{"text/html,*/*": true, "application/json": false, "*/*": false, "": false} {
		r := b.send("GET", "/", "", "Accept", accept)
		if (r.body == "pages") != want || r.Header.Get("Vary") != "Accept" {
			t.Errorf("%q: %s", accept, r.body)
		}
	}
}

// What a page of this server's own looks at again and again is not a line of the log each time.
func TestPagesAreQuiet(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, c := range []struct{ method, path, site, want string }{
		{"GET", "/v1.0/subscriptions", "same-origin", "DEBUG"},
		{"GET", "/v1.0/subscriptions", "", "INFO"},
		{"GET", "/v1.0/subscriptions/" + firstID, "same-origin", "INFO"}, // there is none
		{"POST", "/v1.0/subscriptions", "same-origin", "INFO"},
	} {
		b.send(c.method, c.path, "", "Sec-Fetch-Site", c.site)
		lines := b.log.lines(t)
		if got := lines[len(lines)-1]["level"]; got != c.want {
			t.Errorf("%s %s (%s): %v, want %s", c.method, c.path, c.site, got, c.want)
		}
	}
}
