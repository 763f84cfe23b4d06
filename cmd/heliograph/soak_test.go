package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"heliograph.dev/client"
)

var (
	soakTime = flag.Duration("soak", 0, "how long TestSoak keeps a server under load")
	soakRamp = flag.Duration("soak.ramp", 20*time.Second, "how long it finds out before what the server can do")
)

const (
	soakPublishers = 8
	soakEach       = 4 // mailboxes of a publisher
	soakBatch      = 50
	soakData       = 1000
	soakLines      = 20 // of the table
)

// TestSoak keeps a production server under half of the load that it can take here, and watches its memory and its
// goroutines: they stay as they are. Every change comes once and in order, also at a slow receiver and at one that is ill
// a quarter of the time.
func TestSoak(t *testing.T) {
	t.Parallel()
	if *soakTime == 0 {
		t.Skip("not asked for: -soak says how long (make soak)")
	}
	s := startSoak(t)
	top := s.load(t, *soakRamp, 0)
	s.settle(t)
	t.Logf("%.0f changes/s is what it takes here; now half of that for %s", top, *soakTime)
	watching, stop := context.WithCancel(t.Context())
	watched := make(chan []soakLine)
	go func() { watched <- s.watch(watching, *soakTime/soakLines) }()
	s.load(t, *soakTime, top/2)
	stop()
	lines := <-watched
	s.settle(t)
	s.report(t, lines)
}

// soaking is the server with its publishers and receivers.
type soaking struct {
	server    *process
	api       *client.Client
	mailboxes []soakMailbox
	accepted  atomic.Int64
	delivered atomic.Int64
	twice     atomic.Int64
	wrong     atomic.Int64 // came before what it follows, or instead of it
	began     time.Time
}

// soakMailbox counts: its messages are numbered, and come one after the other.
type soakMailbox struct {
	sent int // by the one publisher that it belongs to
	mu   sync.Mutex
	came int
}

func startSoak(t *testing.T) *soaking {
	t.Helper()
	issuer := startIssuer(t)
	s := &soaking{mailboxes: make([]soakMailbox, soakPublishers*soakEach), began: time.Now()}
	s.server = launch(t, "--data", t.TempDir(), issuer.trusts())
	s.server.ready(t)
	s.api = issuer.client(t, s.server.url)
	urls := []string{s.receiver(t, healthy), s.receiver(t, healthy), s.receiver(t, slow), s.receiver(t, s.moody)}
	for m := range s.mailboxes {
		url := urls[m%2]
		if m >= 28 { // two of 32 each
			url = urls[2+m%2]
		}
		if _, err := s.api.CreateSubscription(t.Context(), client.Subscription{
			Resource: fmt.Sprintf("users/u%d/messages", m), ChangeType: "created", NotificationURL: url,
			ExpirationDateTime: time.Now().Add(24 * time.Hour),
		}); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// moody is ill for the first quarter of every fifth of the time.
func (s *soaking) moody(*http.Request) int {
	if period := *soakTime / 5; time.Since(s.began)%period < period/4 {
		return http.StatusServiceUnavailable
	}
	return http.StatusAccepted
}

func (s *soaking) receiver(t *testing.T, mood temper) string {
	t.Helper()
	r := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if token := r.URL.Query().Get("validationToken"); token != "" {
			w.Header().Set("Content-Type", "text/plain")
			_, _ = io.WriteString(w, token)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		status := mood(r)
		if status < 300 {
			s.take(body)
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(r.Close)
	return r.URL
}

func (s *soaking) take(body []byte) {
	var c struct{ Value []struct{ Resource string } }
	if err := json.Unmarshal(body, &c); err != nil {
		s.wrong.Add(1)
		return
	}
	for _, n := range c.Value {
		var mailbox, message int
		if _, err := fmt.Sscanf(strings.ToLower(n.Resource), "users/u%d/messages/m%d", &mailbox, &message); err != nil {
			s.wrong.Add(1)
			continue
		}
		m := &s.mailboxes[mailbox]
		m.mu.Lock()
		switch {
		case message == m.came:
			m.came++
			s.delivered.Add(1)
		case message < m.came:
			s.twice.Add(1)
		default:
			s.wrong.Add(1)
		}
		m.mu.Unlock()
	}
}

// load publishes for a while, so many changes a second or, with 0, as many as the server takes. It returns how many it
// delivered a second in the later half.
func (s *soaking) load(t *testing.T, d time.Duration, rate float64) float64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	var publishing sync.WaitGroup
	for p := range soakPublishers {
		publishing.Go(func() { s.publish(ctx, t, p, rate/soakPublishers) })
	}
	<-time.After(d / 2)
	half, before := time.Now(), s.delivered.Load()
	publishing.Wait()
	return float64(s.delivered.Load()-before) / time.Since(half).Seconds()
}

func (s *soaking) publish(ctx context.Context, t *testing.T, publisher int, rate float64) {
	t.Helper()
	data := map[string]string{"body": strings.Repeat("x", soakData-len(`{"body":""}`))}
	pace := time.NewTicker(10 * time.Millisecond)
	defer pace.Stop()
	began, sent := time.Now(), 0
	for ctx.Err() == nil {
		if rate > 0 && float64(sent) > rate*time.Since(began).Seconds() {
			select {
			case <-pace.C:
			case <-ctx.Done():
			}
			continue
		}
		events := make([]client.Event, soakBatch)
		for i := range events {
			number := publisher*soakEach + i%soakEach
			m := &s.mailboxes[number]
			events[i] = client.Event{
				ID: fmt.Sprintf("%d/%d", number, m.sent), Source: "soak", Type: client.Created, Data: data,
				Resource: fmt.Sprintf("users/u%d/messages/m%d", number, m.sent),
			}
			m.sent++
		}
		for { // what is refused is sent again: no number is left out
			_, err := s.api.Publish(context.WithoutCancel(ctx), events...) // what is begun is ended
			if err == nil {
				break
			}
			var refused *client.Error
			if !errors.As(err, &refused) || refused.Status != http.StatusTooManyRequests {
				t.Error(err)
				return
			}
			<-pace.C
		}
		s.accepted.Add(soakBatch)
		sent += soakBatch
	}
}

// settle waits until everything has come.
func (s *soaking) settle(t *testing.T) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for patience, last := time.Now(), s.delivered.Load(); s.delivered.Load() < s.accepted.Load(); <-tick.C {
		if now := s.delivered.Load(); now != last {
			patience, last = time.Now(), now
		}
		if time.Since(patience) > 2*time.Minute {
			t.Errorf("%d of %d changes never came", s.accepted.Load()-s.delivered.Load(), s.accepted.Load())
			return
		}
	}
}

// soakLine is a line of the table: means over a while.
type soakLine struct {
	at                  time.Duration
	accepted, delivered float64 // a second
	resident, heap      float64 // MB
	goroutines          float64
	waiting             int64
}

// watch looks once a second, until it is told to stop, and makes a line of every so many looks.
func (s *soaking) watch(ctx context.Context, every time.Duration) []soakLine {
	var lines []soakLine
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	start := time.Now()
	for {
		line, looks, from := soakLine{}, 0.0, time.Now()
		accepted, delivered := s.accepted.Load(), s.delivered.Load()
		for time.Since(from) < every {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return lines
			}
			m := s.metrics(ctx)
			line.resident += m["process_resident_memory_bytes"] / 1e6
			line.heap += m["go_memstats_heap_alloc_bytes"] / 1e6
			line.goroutines += m["go_goroutines"]
			looks++
		}
		took := time.Since(from).Seconds()
		line.at, line.waiting = time.Since(start).Round(time.Second), s.accepted.Load()-s.delivered.Load()
		line.accepted, line.delivered = float64(s.accepted.Load()-accepted)/took, float64(s.delivered.Load()-delivered)/took
		line.resident, line.heap, line.goroutines = line.resident/looks, line.heap/looks, line.goroutines/looks
		lines = append(lines, line)
	}
}

// metrics reads the metrics that have no labels.
func (s *soaking) metrics(ctx context.Context) map[string]float64 {
	found := map[string]float64{}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.server.url+"/metrics", nil)
	if err != nil {
		return found
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return found
	}
	defer func() { _ = answer.Body.Close() }()
	for text := bufio.NewScanner(answer.Body); text.Scan(); {
		name, value, _ := strings.Cut(text.Text(), " ")
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			found[name] = v
		}
	}
	return found
}

// report prints the table, and compares its last quarter with its second: the first is for warming up.
func (s *soaking) report(t *testing.T, lines []soakLine) {
	t.Helper()
	var text strings.Builder
	text.WriteString("| after | accepted/s | delivered/s | waiting | resident MB | heap MB | goroutines |\n|---|---|---|---|---|---|---|\n")
	for _, l := range lines {
		fmt.Fprintf(&text, "| %s | %.0f | %.0f | %d | %.0f | %.0f | %.0f |\n",
			l.at, l.accepted, l.delivered, l.waiting, l.resident, l.heap, l.goroutines)
	}
	t.Logf("\n%s\n%d changes accepted, %d delivered, %d more than once, %d out of order",
		text.String(), s.accepted.Load(), s.delivered.Load(), s.twice.Load(), s.wrong.Load())
	if s.wrong.Load() > 0 || s.twice.Load() > 0 {
		t.Error("not every change came once and in order")
	}
	quarter := len(lines) / 4
	if quarter == 0 {
		t.Fatal("too short to compare anything")
	}
	early, late := lines[quarter:2*quarter], lines[len(lines)-quarter:]
	for _, c := range []struct {
		what  string
		of    func(soakLine) float64
		spare float64
	}{
		{"resident memory in MB", func(l soakLine) float64 { return l.resident }, 32},
		{"heap in MB", func(l soakLine) float64 { return l.heap }, 32},
		{"goroutines", func(l soakLine) float64 { return l.goroutines }, 20},
	} {
		before, after := mean(early, c.of), mean(late, c.of)
		t.Logf("%s: %.0f, later %.0f", c.what, before, after)
		if after > 1.2*before+c.spare {
			t.Errorf("%s grew from %.0f to %.0f", c.what, before, after)
		}
	}
}

func mean(lines []soakLine, of func(soakLine) float64) float64 {
	sum := 0.0
	for _, l := range lines {
		sum += of(l)
	}
	return sum / float64(len(lines))
}
