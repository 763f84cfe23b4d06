package deliver_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/deliver"
)

// apart returns what the dispatcher knows of a subscription's lane apart.
func (b *bench) apart(sub heliograph.SubscriptionID) (deliver.Endpoint, bool) {
	for _, e := range b.d.Endpoints() {
		if e.Apart == sub {
			return e, true
		}
	}
	return deliver.Endpoint{}, false
}

// step waits until nothing of the endpoint can be done before the clock moves, and moves it.
func (b *bench) step(tb testing.TB, by time.Duration) {
	tb.Helper()
	b.poll(tb, func() bool {
		for _, e := range b.d.Endpoints() {
			if e.Pending > 0 || e.Flights > 0 || e.Parked && !e.Resumes.After(b.clock.Now()) {
				return false
			}
		}
		return true
	})
	b.clock.Advance(by)
}

// A notification that its endpoint never takes holds up neither the other subscriptions there nor, longer than a quarter
// of the window, what follows it in its own.
func TestPoisonStandsAlone(t *testing.T) {
	t.Parallel()
	b, s := newBench(t), newSink(t)
	names := map[string]string{}
	subs := map[string]heliograph.SubscriptionID{}
	for _, m := range []string{"u1", "u2", "u3"} {
		subs[m] = b.subscribe(m, s.URL)
		names[subs[m].String()] = m
	}
	s.refuses("m17")
	b.start()
	defer b.stop()
	var changes []heliograph.Change
	for range 20 { // m1 to m60: u1 has 1, 4, …, u2 has 2, 5, …, 17, …, u3 has 3, 6, …
		for _, m := range []string{"u1", "u2", "u3"} {
			changes = append(changes, b.change(m))
		}
	}
	b.append(changes)
	got := map[string][]string{}
	take := func(n int) {
		for _, i := range s.take(t, n) {
			m := names[i.SubscriptionID]
			got[m] = append(got[m], i.message())
		}
	}
	b.heard.await(t, b.heard.parked, heliograph.ParkedIll, 1)
	b.step(t, 10*time.Second)
	take(45) // all of u1 and u3, and u2 up to the one before
	if e, ok := b.apart(subs["u2"]); !ok || !e.Parked || e.Why != heliograph.ParkedApart {
		t.Errorf("set apart %v: %+v", ok, e)
	}
	b.poll(t, func() bool { v := b.d.Levels(); return v.Apart == 1 && v.Live == 1 && v.Parked == 0 })
	b.publish("u1", 1) // goes at once
	b.publish("u2", 1) // waits behind its own
	take(1)
	for b.clock.Now().Before(start.Add(50 * time.Minute)) {
		b.step(t, time.Minute)
	}
	s.none(t)
	for b.heard.count(b.heard.givenUp, heliograph.GivenUpRefused) == 0 && b.clock.Now().Before(start.Add(2*time.Hour)) {
		b.step(t, time.Minute)
	}
	take(15)
	b.poll(t, func() bool { _, ok := b.apart(subs["u2"]); return !ok })
	b.publish("u2", 1) // goes with the others again
	take(1)
	s.none(t)
	for m, ids := range got {
		if !slices.IsSortedFunc(ids, compareNumbers) || slices.Contains(ids, "m17") {
			t.Errorf("%s: %v", m, ids)
		}
	}
	if n := len(got["u1"]) + len(got["u2"]) + len(got["u3"]); n != 62 || b.heard.count(b.heard.givenUp, heliograph.GivenUpRefused) != 1 {
		t.Errorf("%d came, given up %v", n, b.heard.givenUp)
	}
}

// Where nothing follows it, it is tried to the end of the window, as any other.
func TestPoisonThatHoldsNobodyUpHasItsWindow(t *testing.T) {
	t.Parallel()
	b, s := newBench(t), newSink(t)
	b.subscribe("u1", s.URL)
	b.subscribe("u2", s.URL)
	s.refuses("m1")
	b.start()
	defer b.stop()
	b.append([]heliograph.Change{b.change("u1"), b.change("u2")})
	b.awaitParked(t)
	for b.heard.count(b.heard.givenUp, heliograph.GivenUpWindow) == 0 && b.clock.Now().Before(start.Add(6*time.Hour)) {
		b.step(t, 5*time.Minute)
	}
	if took := b.clock.Now().Sub(start); took < 4*time.Hour || took > 5*time.Hour {
		t.Errorf("given up after %v: %v", took, b.heard.givenUp)
	}
	if got := messages(s.take(t, 1)); got[0] != "m2" {
		t.Errorf("got %v", got)
	}
}

// A subscription that is alone at its endpoint is not set apart, and what follows the poison gets its turn all the same.
func TestPoisonOfALonelySubscription(t *testing.T) {
	t.Parallel()
	b, s := newBench(t), newSink(t)
	sub := b.subscribe("u1", s.URL)
	s.refuses("m2", "m4")
	b.start()
	defer b.stop()
	b.publish("u1", 5)
	b.awaitParked(t)
	for b.heard.count(b.heard.givenUp, heliograph.GivenUpRefused) < 2 && b.clock.Now().Before(start.Add(2*time.Hour)) {
		b.step(t, time.Minute)
		if _, ok := b.apart(sub); ok {
			t.Fatal("set apart from nobody")
		}
	}
	if got := messages(s.take(t, 3)); !slices.Equal(got, []string{"m1", "m3", "m5"}) {
		t.Errorf("got %v", got)
	}
	if took := b.clock.Now().Sub(start); took < time.Hour {
		t.Errorf("given up after %v", took)
	}
}

// What was refused for a while and is taken then comes in its order, through a restart too.
func TestSetApartThroughARestart(t *testing.T) {
	t.Parallel()
	b, s := newBench(t), newSink(t)
	sub := b.subscribe("u1", s.URL)
	b.subscribe("u2", s.URL)
	s.refuses("m1")
	b.start()
	b.append([]heliograph.Change{b.change("u1"), b.change("u2")})
	b.heard.await(t, b.heard.parked, heliograph.ParkedIll, 1)
	b.step(t, 10*time.Second)
	s.take(t, 1)
	b.publish("u1", 3)
	b.publish("u2", 1)
	if got := messages(s.take(t, 1)); got[0] != "m6" {
		t.Errorf("got %v", got)
	}
	b.awaitCursor(t)
	b.stop()
	b.start()
	defer b.stop()
	b.poll(t, func() bool { e, ok := b.apart(sub); return ok && e.Resumes.After(b.clock.Now()) }) // refused once more
	b.publish("u1", 1)
	b.publish("u2", 1)
	if got := messages(s.take(t, 1)); got[0] != "m8" {
		t.Errorf("got %v", got)
	}
	s.refuses()
	b.d.Force(heliograph.Endpoint(s.URL), 0) // what waits apart is tried too
	if got := messages(s.take(t, 5)); !slices.Equal(got, []string{"m1", "m3", "m4", "m5", "m7"}) {
		t.Errorf("got %v", got)
	}
	b.poll(t, func() bool { _, ok := b.apart(sub); return !ok })
	s.none(t)
}

// An endpoint that refuses everything is ill: nobody is set apart, and a step costs one POST more.
func TestIllEndpointSetsNobodyApart(t *testing.T) {
	t.Parallel()
	b, s := newBench(t), newSink(t)
	for i := range 10 {
		b.subscribe(fmt.Sprintf("u%d", i), s.URL)
	}
	s.answers(refuse(http.StatusInternalServerError))
	b.start()
	defer b.stop()
	var changes []heliograph.Change
	for i := range 100 {
		changes = append(changes, b.change(fmt.Sprintf("u%d", i%10)))
	}
	b.append(changes)
	b.awaitParked(t)
	for range 20 {
		b.step(t, time.Minute)
	}
	if n := len(b.d.Endpoints()); n != 1 {
		t.Errorf("%d lanes", n)
	}
	if n := s.count(); n > 30 {
		t.Errorf("%d POSTs in 20 minutes", n)
	}
	s.answers(nil)
	b.step(t, 10*time.Minute)
	if got := s.take(t, 100); len(got) != 100 {
		t.Errorf("%d came", len(got))
	}
}

// Nobody tried while nobody was here: what was parked longer ago than the window gets an attempt before it is given up.
func TestBacklogOfALongStandstillIsTriedOnce(t *testing.T) {
	t.Parallel()
	for _, well := range []bool{true, false} {
		b, s := newBench(t), newSink(t)
		b.subscribe("u1", s.URL)
		s.answers(refuse(http.StatusInternalServerError))
		b.start()
		b.publish("u1", 5)
		b.awaitParked(t)
		b.awaitCursor(t)
		b.stop()
		b.clock.Advance(6 * time.Hour)
		before := s.count()
		if well {
			s.answers(nil)
		}
		b.start()
		if well {
			s.take(t, 5)
		} else {
			b.heard.await(t, b.heard.givenUp, heliograph.GivenUpWindow, 5)
			if s.count() == before {
				t.Error("not tried")
			}
		}
		b.stop()
	}
}
