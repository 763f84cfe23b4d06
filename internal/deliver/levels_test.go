package deliver_test

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/deliver"
	"heliograph.dev/internal/health"
)

// TestLevels: what is under way is counted in the place where it is, and how old it is.
func TestLevels(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := newSink(t)
	b.subscribe("u1", s.URL)
	ill := true
	s.answers(func(_ int, w http.ResponseWriter) bool {
		if ill {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		return !ill
	})
	b.start()
	defer b.stop()
	if v := b.d.Levels(); v != (deliver.Levels{}) {
		t.Errorf("before anything: %+v", v)
	}
	b.d.Appended(0, 1, 3)
	b.publish("u1", 3)
	b.heard.await(t, b.heard.parked, heliograph.ParkedIll, 1)
	b.awaitParked(t)
	b.awaitCursor(t)
	b.clock.Advance(time.Second) // short of the next attempt
	want := deliver.Levels{Parked: 1, Overdue: time.Second, Health: [health.Dropping + 1]int{health.Healthy: 1}}
	if v := b.d.Levels(); v != want {
		t.Errorf("parked: %+v, want %+v", v, want)
	}
	if got := b.heard.backlog(); got != [2]int{3, 0} {
		t.Errorf("the backlog got and lost %v", got)
	}
	ill = false
	b.clock.Advance(10 * time.Minute)
	s.take(t, 3)
	if since := b.heard.awaitResumed(t); since != 10*time.Minute+time.Second {
		t.Errorf("was parked for %v", since)
	}
	if got := b.heard.backlog(); got != [2]int{3, 3} {
		t.Errorf("the backlog got and lost %v", got)
	}
	if v := b.d.Levels(); v.Live != 1 || v.Parked != 0 || v.Overdue != 0 {
		t.Errorf("recovered: %+v", v)
	}
}

// TestLevelsInFlight: what a receiver has not answered is under way.
func TestLevelsInFlight(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := newSink(t)
	arrived, release := make(chan struct{}), make(chan struct{})
	s.answers(func(n int, _ http.ResponseWriter) bool {
		if n == 1 {
			close(arrived)
			<-release
		}
		return true
	})
	b.subscribe("u1", s.URL)
	b.start()
	defer b.stop()
	b.publish("u1", 1)
	<-arrived
	b.publish("u1", 2)
	b.heard.awaitMatched(t, 3)
	b.clock.Advance(7 * time.Second)
	v := b.d.Levels()
	if v.Flights != 1 || v.Pending != 2 || v.Frames != 2 || v.FrameBytes == 0 || v.Undelivered != 7*time.Second || v.Live != 1 {
		t.Errorf("%+v", v)
	}
	close(release)
	s.take(t, 3)
	b.awaitCursor(t)
	if v := b.d.Levels(); v.Frames != 0 || v.FrameBytes != 0 || v.Undelivered != 0 {
		t.Errorf("delivered: %+v", v)
	}
}

// tracer keeps what it hears, and gives each POST a context of its own.
type tracer struct {
	mu      sync.Mutex
	matched []int
	posts   []heliograph.Reason
	ended   sync.WaitGroup
}

const (
	cameWith = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	goesWith = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01"
)

func (r *tracer) Matched(f *heliograph.Frame, began, ended time.Time, notifications []int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ended.Before(began) || len(f.Changes) != len(notifications) {
		return
	}
	r.matched = append(r.matched, notifications...)
}

func (r *tracer) Post(_ heliograph.Endpoint, notifications []deliver.Notification) (string, func(*heliograph.Attempt)) {
	came := notifications[0].Traceparent
	return goesWith, func(a *heliograph.Attempt) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.posts = append(r.posts, a.Reason)
		if came == cameWith {
			r.ended.Done()
		}
	}
}

func (r *tracer) GivenUp(heliograph.Endpoint, deliver.Notification, heliograph.Reason) {}

// TestTracer: the tracer decides what a POST carries, and hears of it from its change to its end.
func TestTracer(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := newSink(t)
	r := &tracer{}
	r.ended.Add(2)
	b.tracer = r
	b.subscribe("u1", s.URL)
	b.subscribe("u1", s.URL+"/other")
	b.start()
	defer b.stop()
	ones, nobodys := b.change("u1"), b.change("u2")
	ones.Traceparent = cameWith
	b.append([]heliograph.Change{nobodys, ones})
	s.take(t, 2)
	r.ended.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.matched) != 2 || r.matched[0] != 0 || r.matched[1] != 2 {
		t.Errorf("matched %v, want 0 and 2", r.matched)
	}
	if len(r.posts) != 2 || r.posts[0] != heliograph.Delivered {
		t.Errorf("POSTs %v", r.posts)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.traces) != 2 || s.traces[0] != goesWith || s.traces[1] != goesWith {
		t.Errorf("the POSTs carried %q", s.traces)
	}
}
