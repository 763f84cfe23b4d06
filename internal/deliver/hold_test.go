package deliver_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"heliograph.dev"
	"heliograph.dev/internal/deliver"
)

func (b *bench) resume(sub heliograph.SubscriptionID) {
	b.index.Pause(sub, time.Time{})
	b.d.Reconsider(sub)
}

// awaitHeld waits until n notifications were written to the backlog.
func (b *bench) awaitHeld(tb testing.TB, n int) {
	tb.Helper()
	b.heard.awaitThat(tb, func() bool { return b.heard.onDisk[0] >= n })
}

func TestPausedWaitsAndResumesInOrder(t *testing.T) { // contract 8.10, 14.6
	t.Parallel()
	b, s := newBench(t), newSink(t)
	paused, other := b.subscribe("u1", s.URL), b.subscribe("u2", s.URL)
	b.start()
	defer b.stop()
	b.index.Pause(paused, start.Add(time.Minute))
	b.publish("u1", 1)
	s.take(t, 1)
	b.clock.Advance(time.Minute)
	b.publish("u1", 3)
	b.awaitHeld(t, 3)
	b.publish("u2", 2)
	if got := s.take(t, 2); got[0].SubscriptionID != other.String() || got[1].SubscriptionID != other.String() {
		t.Errorf("one that is paused costs another: %+v", got)
	}
	b.publish("u1", 2)
	b.awaitHeld(t, 5)
	if v := b.d.Levels(); v.Held != 1 || v.Parked != 0 {
		t.Errorf("levels %+v", v)
	}
	s.none(t)
	b.clock.Advance(3 * time.Hour)
	b.resume(paused)
	if got, want := messages(s.take(t, 5)), []string{"m2", "m3", "m4", "m7", "m8"}; !slices.Equal(got, want) {
		t.Errorf("came %v, want %v", got, want)
	}
	b.poll(t, func() bool { return b.d.Levels().Held == 0 })
	b.publish("u1", 1)
	s.take(t, 1)
}

func TestWhatIsPausedTooLongIsGivenUp(t *testing.T) { // contract 10.13, 14.6
	t.Parallel()
	b, s := newBench(t), newSink(t)
	sub := b.subscribe("u1", s.URL)
	missed := make(chan heliograph.Reason, 10)
	b.startWith(func(o *deliver.Options) {
		o.Missed = func(_ context.Context, id heliograph.SubscriptionID, why heliograph.Reason) error {
			if id == sub {
				missed <- why
			}
			return nil
		}
	})
	defer b.stop()
	b.index.Pause(sub, start)
	b.publish("u1", 2)
	b.awaitHeld(t, 2)
	b.clock.Advance(time.Hour)
	b.publish("u1", 3)
	b.awaitHeld(t, 5)
	b.clock.Advance(3*time.Hour - 1)
	if n := b.heard.count(b.heard.givenUp, heliograph.GivenUpPaused); n != 0 {
		t.Errorf("%d given up before the window ended", n)
	}
	b.clock.Advance(1)
	b.heard.await(t, b.heard.givenUp, heliograph.GivenUpPaused, 2)
	if why := <-missed; why != heliograph.GivenUpPaused {
		t.Errorf("missed because of %s", why)
	}
	b.resume(sub)
	if got, want := messages(s.take(t, 3)), []string{"m3", "m4", "m5"}; !slices.Equal(got, want) {
		t.Errorf("came %v, want %v", got, want)
	}
}

// TestPausedThroughARestart has a subscription resume while nobody delivers.
func TestPausedThroughARestart(t *testing.T) {
	t.Parallel()
	b, s := newBench(t), newSink(t)
	sub, gone := b.subscribe("u1", s.URL), b.subscribe("u2", s.URL)
	b.index.Pause(sub, start)
	b.index.Pause(gone, start)
	b.start()
	b.publish("u1", 3)
	b.publish("u2", 2)
	b.awaitHeld(t, 5)
	b.stop()
	b.start()
	b.publish("u1", 1)
	b.awaitHeld(t, 6)
	b.stop()
	b.index.Pause(sub, time.Time{})
	b.index.Remove(gone)
	b.start()
	defer b.stop()
	if got, want := messages(s.take(t, 4)), []string{"m1", "m2", "m3", "m6"}; !slices.Equal(got, want) {
		t.Errorf("came %v, want %v", got, want)
	}
	b.heard.await(t, b.heard.givenUp, heliograph.GivenUpRemoved, 2)
}

// TestPausedWhileItsEndpointIsIll has what waits for both reasons come in order, once neither holds.
func TestPausedWhileItsEndpointIsIll(t *testing.T) {
	t.Parallel()
	b, s := newBench(t), newSink(t)
	sub := b.subscribe("u1", s.URL)
	ill := true
	s.answers(func(_ int, w http.ResponseWriter) bool {
		if ill {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		return !ill
	})
	b.start()
	defer b.stop()
	b.publish("u1", 3)
	b.awaitHeld(t, 3)
	b.index.Pause(sub, b.clock.Now())
	s.mu.Lock()
	ill = false
	s.mu.Unlock()
	b.clock.Advance(time.Minute) // the endpoint's backlog is drained, into the hold
	b.awaitHeld(t, 6)
	s.none(t)
	b.publish("u1", 2)
	b.awaitHeld(t, 8)
	s.answers(func(n int, w http.ResponseWriter) bool {
		if n%2 == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		return n%2 != 0
	})
	b.resume(sub)
	var got []string
	b.poll(t, func() bool {
		select {
		case i := <-s.got:
			got = append(got, i.message())
		default:
			b.clock.Advance(time.Minute)
		}
		return len(got) == 5
	})
	if want := []string{"m1", "m2", "m3", "m4", "m5"}; !slices.Equal(got, want) {
		t.Errorf("came %v, want %v", got, want)
	}
}

// TestManyResumeAtOnce has few holds of one endpoint drained at a time.
func TestManyResumeAtOnce(t *testing.T) {
	t.Parallel()
	b, s := newBench(t), newSink(t)
	var subs []heliograph.SubscriptionID
	for i := range 40 {
		subs = append(subs, b.subscribe(string(rune('a'+i)), s.URL))
		b.index.Pause(subs[i], start)
	}
	var mu sync.Mutex
	inside, most := 0, 0
	arrived, leave := make(chan struct{}, len(subs)), make(chan struct{})
	s.answers(func(int, http.ResponseWriter) bool {
		mu.Lock()
		inside++
		most = max(most, inside)
		mu.Unlock()
		arrived <- struct{}{}
		<-leave
		mu.Lock()
		inside--
		mu.Unlock()
		return true
	})
	b.start()
	defer b.stop()
	for i := range subs {
		b.publish(string(rune('a'+i)), 1)
	}
	b.awaitHeld(t, len(subs))
	for _, sub := range subs {
		b.resume(sub)
	}
	for range 4 {
		<-arrived
	}
	close(leave)
	s.take(t, len(subs))
	mu.Lock()
	defer mu.Unlock()
	if most > 4 {
		t.Errorf("%d at once", most)
	}
}

// TestTheCursorWaitsForWhatWasMissed has a dropping endpoint lose something while nobody can write that down.
func TestTheCursorWaitsForWhatWasMissed(t *testing.T) { // contract 10.11, 14.10
	t.Parallel()
	b, s := newBench(t), newSink(t)
	b.drop = true
	sub := b.subscribe("u1", s.URL)
	down := make(chan struct{})
	var noted []heliograph.Reason
	b.startWith(func(o *deliver.Options) {
		o.Missed = func(_ context.Context, id heliograph.SubscriptionID, why heliograph.Reason) error {
			select {
			case <-down:
			default:
				return errors.New("no engine")
			}
			if id == sub {
				noted = append(noted, why)
			}
			return nil
		}
	})
	b.d.Force(heliograph.Endpoint(s.URL), 2)
	b.publish("u1", 3)
	b.heard.await(t, b.heard.givenUp, heliograph.GivenUpDropped, 3)
	if next, err := b.engine.Cursor(t.Context(), 0); err != nil || next > 1 {
		t.Errorf("the cursor is at %d, %v", next, err)
	}
	close(down)
	b.awaitCursor(t)
	b.stop()
	if len(noted) == 0 || noted[0] != heliograph.GivenUpDropped {
		t.Errorf("noted %v", noted)
	}
}

func TestNoticesOfTheGoneAreNotSent(t *testing.T) {
	t.Parallel()
	b, s := newBench(t), newSink(t)
	b.start()
	defer b.stop()
	for _, event := range []heliograph.LifecycleEvent{heliograph.ReauthorizationRequired, heliograph.Missed, heliograph.SubscriptionRemoved} {
		b.append([]heliograph.Change{{
			ID: heliograph.NewGUID(), Tenant: tenant, Type: heliograph.Updated, Time: start, Accepted: start,
			Notice: &heliograph.Notice{Event: event, Subscription: heliograph.NewGUID(), URL: s.URL, Expires: start},
		}})
	}
	if got := s.take(t, 1)[0]; got.LifecycleEvent != "subscriptionRemoved" {
		t.Errorf("got %+v", got)
	}
	b.awaitCursor(t)
	s.none(t)
	if n := b.heard.count(b.heard.givenUp, heliograph.GivenUpRemoved); n != 2 {
		t.Errorf("%d given up", n)
	}
}

func (h *history) pause(rt *rapid.T) {
	s := h.pick(rt)
	h.index.Pause(s.id, h.clock.Now())
	h.awaitMatched()
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.paused == 0 {
		s.paused = h.sent + 1
	}
}

func (h *history) resume(rt *rapid.T) { h.resumed(h.pick(rt)) }

func (h *history) resumed(s *watched) {
	h.mu.Lock()
	s.paused = 0
	h.mu.Unlock()
	h.index.Pause(s.id, time.Time{})
	h.d.Reconsider(s.id)
}

// miss notes that something was lost for a subscription.
func (h *history) miss(_ context.Context, id heliograph.SubscriptionID, _ heliograph.Reason) error {
	return h.store.write(func() error {
		h.mu.Lock()
		defer h.mu.Unlock()
		if s := h.byID[id]; s != nil {
			s.missed = true
		}
		return nil
	})
}
