package deliver_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/deliver"
	"heliograph.dev/internal/health"
)

// endpoint returns what the dispatcher knows of the sink.
func (b *bench) endpoint(s *sink) deliver.Endpoint {
	for _, e := range b.d.Endpoints() {
		if e.URL == heliograph.Endpoint(s.URL) {
			return e
		}
	}
	return deliver.Endpoint{}
}

func TestSlowEndpointGetsNewOnesWithADelay(t *testing.T) { // contract 10.8
	t.Parallel()
	b, s := newBench(t), newSink(t)
	b.subscribe("u1", s.URL)
	b.start()
	defer b.stop()
	b.d.Force(heliograph.Endpoint(s.URL), health.Slow)
	b.publish("u1", 20)
	b.heard.await(t, b.heard.parked, heliograph.ParkedSlow, 1)
	b.awaitCursor(t) // they wait on disk
	b.clock.Advance(10*time.Minute - time.Second)
	s.none(t)
	if e := b.endpoint(s); e.State != health.Slow || !e.Parked || e.Why != heliograph.ParkedSlow || !e.Resumes.Equal(start.Add(10*time.Minute)) {
		t.Errorf("endpoint %+v", e)
	}
	b.clock.Advance(time.Second)
	probes := s.take(t, health.Probes) // a small sample; the state is forced, so it stays
	b.poll(t, func() bool { return b.endpoint(s).Resumes.Equal(start.Add(20 * time.Minute)) })
	s.none(t)
	b.d.Force(heliograph.Endpoint(s.URL), health.Healthy) // and what waits comes at once
	ids := make([]string, 0, 20)
	for _, i := range append(probes, s.take(t, 15)...) {
		ids = append(ids, i.message())
	}
	if !slices.IsSortedFunc(ids, compareNumbers) {
		t.Errorf("out of order: %v", ids)
	}
	b.publish("u1", 1)
	s.take(t, 1)
}

func TestSlowEndpointRecoversByItsProbes(t *testing.T) { // contract 10.8
	t.Parallel()
	b, s := newBench(t), newSink(t)
	b.limits.BatchCount = 1
	b.subscribe("u1", s.URL)
	b.start()
	defer b.stop()
	b.d.Observe(heliograph.Endpoint(s.URL), &heliograph.Attempt{Reason: heliograph.TimedOut, Took: 3 * time.Second}, 10)
	if e := b.endpoint(s); e.State != health.Slow {
		t.Fatalf("endpoint %+v", e)
	}
	b.publish("u1", 30)
	b.awaitCursor(t)
	b.clock.Advance(10 * time.Minute)
	s.take(t, 30) // the probes were answered quickly, and the rest followed
	if e := b.endpoint(s); e.State != health.Healthy {
		t.Errorf("endpoint %+v", e)
	}
}

func TestDroppingEndpoint(t *testing.T) { // contract 10.9, 10.11
	t.Parallel()
	for _, discard := range []bool{true, false} {
		b, s := newBench(t), newSink(t)
		b.drop = discard
		b.subscribe("u1", s.URL)
		b.start()
		b.d.Force(heliograph.Endpoint(s.URL), health.Dropping)
		b.publish("u1", 7)
		b.awaitCursor(t)
		if discard {
			b.heard.await(t, b.heard.givenUp, heliograph.GivenUpDropped, 7)
		}
		s.none(t)
		b.d.Force(heliograph.Endpoint(s.URL), health.Healthy)
		b.publish("u1", 1)
		want := 8
		if discard {
			want = 1
		}
		if got := s.take(t, want); got[want-1].message() != "m8" {
			t.Errorf("discard %v: got %v", discard, got)
		}
		b.stop()
	}
}

func TestEndpointTellsWhyItWaits(t *testing.T) {
	t.Parallel()
	b, s := newBench(t), newSink(t)
	b.subscribe("u1", s.URL)
	s.answers(func(_ int, w http.ResponseWriter) bool {
		w.WriteHeader(http.StatusInternalServerError)
		return false
	})
	b.start()
	defer b.stop()
	b.publish("u1", 1)
	b.awaitParked(t)
	e := b.endpoint(s)
	if !e.Parked || e.Why != heliograph.ParkedIll || e.Failures != 1 || e.Shares.Answers != 1 || e.Shares.Late != 0 {
		t.Errorf("endpoint %+v", e)
	}
}
