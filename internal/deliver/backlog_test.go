package deliver_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/catalog"
	"heliograph.dev/internal/deliver"
	"heliograph.dev/internal/match"
)

// refuse answers every POST with a status.
func refuse(status int) func(int, http.ResponseWriter) bool {
	return func(_ int, w http.ResponseWriter) bool {
		w.WriteHeader(status)
		return false
	}
}

func messages(items []item) []string {
	ids := make([]string, len(items))
	for i := range items {
		ids[i] = items[i].message()
	}
	return ids
}

// What was asked for again may stand in the backlog before older ones that nobody has delivered yet.
func TestWhatIsSentAgainHidesNothing(t *testing.T) {
	t.Parallel()
	b, s := newBench(t), newSink(t)
	b.limits.BatchCount = 1
	sub := b.subscribe("u1", s.URL)
	gates := []chan struct{}{make(chan struct{}), make(chan struct{})}
	arrived := make(chan int, 10)
	s.answers(func(n int, _ http.ResponseWriter) bool {
		arrived <- n
		if n <= len(gates) {
			<-gates[n-1]
		}
		return true
	})
	b.start()
	defer b.stop()
	b.publish("u1", 5)
	<-arrived // m1 is under way, the others wait for it
	b.heard.awaitMatched(t, 5)
	state, err := b.engine.LogState(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := b.d.Resend(t.Context(), sub, heliograph.Position{Sequence: state.First, Index: 4}); err != nil {
		t.Fatal(err)
	}
	close(gates[0])
	<-arrived        // m5 once more, which stood on disk before the others came there
	b.awaitCursor(t) // now all are
	close(gates[1])
	if got := messages(s.take(t, 6)); !slices.Equal(got, []string{"m1", "m5", "m2", "m3", "m4", "m5"}) {
		t.Errorf("got %v", got)
	}
}

// What follows a subscription to a new endpoint may come there behind what is younger.
func TestWhatFollowsASubscriptionIsNotTakenForDelivered(t *testing.T) {
	t.Parallel()
	b, old, moved := newBench(t), newSink(t), newSink(t)
	id := b.subscribe("u1", old.URL)
	old.answers(refuse(http.StatusInternalServerError))
	moved.answers(func(n int, w http.ResponseWriter) bool {
		if n == 1 {
			w.Header().Set("Retry-After", "60")
			w.WriteHeader(http.StatusTooManyRequests)
		}
		return n > 1
	})
	b.start()
	defer b.stop()
	b.publish("u1", 3)
	b.awaitCursor(t)
	b.subscribe("u1", moved.URL, func(s *heliograph.Subscription) { s.ID = id })
	b.publish("u1", 3)
	b.awaitCursor(t)
	b.clock.Advance(10 * time.Second) // the old endpoint's time has come: what waits there follows
	b.poll(t, func() bool {
		parked, err := holdOf(b.engine).ParkedEndpoints(t.Context())
		return err == nil && len(parked) == 1 && parked[0].Endpoint == heliograph.Endpoint(moved.URL)
	})
	b.clock.Advance(time.Minute)
	got := messages(moved.take(t, 6))
	slices.Sort(got)
	if !slices.Equal(got, []string{"m1", "m2", "m3", "m4", "m5", "m6"}) {
		t.Errorf("got %v", got)
	}
}

// Of what is read together, some may be done with while the rest fails: it is not done with again.
func TestWhatADrainHasDoneIsNotDoneAgain(t *testing.T) {
	t.Parallel()
	b, old, moved := newBench(t), newSink(t), newSink(t)
	follows := b.subscribe("u1", old.URL)
	b.subscribe("u2", old.URL)
	removed := b.subscribe("u3", old.URL)
	old.answers(func(n int, w http.ResponseWriter) bool {
		if n == 1 || n == 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return false
		}
		return true
	})
	b.start()
	defer b.stop()
	b.publish("u2", 1)
	b.awaitCursor(t) // from now on all goes to the backlog as it comes
	var changes []heliograph.Change
	for range 3 {
		changes = append(changes, b.change("u2"), b.change("u1"), b.change("u3"))
	}
	b.append(changes)
	b.awaitCursor(t)
	b.subscribe("u1", moved.URL, func(s *heliograph.Subscription) { s.ID = follows })
	b.index.Remove(removed)
	b.clock.Advance(10 * time.Second) // one is taken, the next POST fails
	b.poll(t, func() bool { return old.count() == 3 && b.endpoint(old).Resumes.After(b.clock.Now()) })
	b.clock.Advance(10 * time.Second)
	if got := messages(old.take(t, 4)); !slices.Equal(got, []string{"m1", "m2", "m5", "m8"}) {
		t.Errorf("the old endpoint got %v", got)
	}
	if got := messages(moved.take(t, 3)); !slices.Equal(got, []string{"m3", "m6", "m9"}) {
		t.Errorf("the new endpoint got %v", got)
	}
	b.poll(t, func() bool { return !b.endpoint(moved).Parked && !b.endpoint(old).Parked })
	moved.none(t)
	b.heard.mu.Lock()
	defer b.heard.mu.Unlock()
	if n := b.heard.givenUp[heliograph.GivenUpRemoved]; n != 3 {
		t.Errorf("%d given up, want 3", n)
	}
}

// What is sent again has its window too: an endpoint that never answers does not hold it, and what is behind it, for
// ever.
func TestWhatIsSentAgainHasAWindow(t *testing.T) {
	t.Parallel()
	b, s := newBench(t), newSink(t)
	sub := b.subscribe("u1", s.URL)
	b.start()
	defer b.stop()
	b.publish("u1", 1)
	s.take(t, 1)
	s.answers(refuse(http.StatusInternalServerError))
	state, err := b.engine.LogState(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.d.Replay(t.Context(), sub, deliver.Range{From: state.First, To: state.Last}); err != nil {
		t.Fatal(err)
	}
	for tries := 1; b.clock.Now().Before(start.Add(5 * time.Hour)); tries++ {
		b.poll(t, func() bool {
			e := b.endpoint(s)
			return !e.Parked || e.Resumes.After(b.clock.Now())
		})
		b.clock.Advance(10 * time.Minute)
	}
	b.heard.await(t, b.heard.givenUp, heliograph.GivenUpWindow, 1)
}

func TestNoticeIsSentAgainToItsOwnAddress(t *testing.T) {
	t.Parallel()
	b, changes, lifecycle := newBench(t), newSink(t), newSink(t)
	sub, other := b.subscribe("u1", changes.URL), b.subscribe("u2", changes.URL)
	b.start()
	defer b.stop()
	b.append([]heliograph.Change{{
		ID: heliograph.NewGUID(), Tenant: tenant, Type: heliograph.Updated, Time: start, Accepted: start,
		Notice: &heliograph.Notice{Event: heliograph.Missed, Subscription: sub, URL: lifecycle.URL, Expires: start.Add(time.Hour)},
	}})
	lifecycle.take(t, 1)
	state, err := b.engine.LogState(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	at := heliograph.Position{Sequence: state.First}
	if err := b.d.Resend(t.Context(), sub, at); err != nil {
		t.Fatal(err)
	}
	if got := lifecycle.take(t, 1)[0]; got.LifecycleEvent != "missed" {
		t.Errorf("got %+v", got)
	}
	if err := b.d.Resend(t.Context(), other, at); heliograph.KindOf(err) != heliograph.NotFound {
		t.Errorf("another's notice: %v", err)
	}
	changes.none(t)
}

// bulky is a sealer whose content is as long as the data.
type bulky struct{}

func (bulky) AppendContent(b []byte, _ *match.Target, c *heliograph.Change, _ *catalog.Instance) ([]byte, error) {
	return append(append(append(b, '"'), strings.Repeat("x", len(c.Data))...), '"'), nil
}

func (bulky) Token(heliograph.TenantID, heliograph.AppID) (string, error) { return "token", nil }

// A POST is bounded in bytes, of rich notifications too, at once and from the backlog.
func TestRichPostsAreBounded(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.limits.BatchBytes = 100 << 10
	var longest atomic.Int64
	s := newSink(t)
	release := make(chan struct{})
	s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for old := longest.Load(); r.ContentLength > old && !longest.CompareAndSwap(old, r.ContentLength); old = longest.Load() {
		}
		<-release
		s.ServeHTTP(w, r)
	})
	s.answers(func(n int, w http.ResponseWriter) bool {
		if n == 3 {
			w.WriteHeader(http.StatusInternalServerError)
		}
		return n != 3
	})
	b.subscribe("u1", s.URL, func(s *heliograph.Subscription) { s.IncludeResourceData = new(true) })
	b.startWith(func(o *deliver.Options) { o.Sealer = bulky{} })
	defer b.stop()
	data := []byte(`{"x":"` + strings.Repeat("y", 40<<10) + `"}`)
	for range 40 {
		c := b.change("u1")
		c.Data = data
		b.append([]heliograph.Change{c})
	}
	close(release)
	b.awaitCursor(t)
	b.clock.Advance(10 * time.Second)
	s.take(t, 40)
	if n := longest.Load(); n > 160<<10 {
		t.Errorf("a POST of %d bytes", n)
	}
}

// doubtful is a backlog whose next write reports a failure although it was done.
type doubtful struct {
	deliver.Backlog
	fail *atomic.Bool
}

func (b doubtful) ParkAll(ctx context.Context, lists []deliver.Parking) error {
	err := b.Backlog.ParkAll(ctx, lists)
	if err == nil && b.fail.CompareAndSwap(true, false) {
		return errors.New("nobody answered")
	}
	return err
}

// A write of the backlog that may have been done or not leaves nothing there to surface later.
func TestBacklogWriteOfUnknownOutcome(t *testing.T) {
	t.Parallel()
	b, s := newBench(t), newSink(t)
	b.limits.ParkEvery = 300 * time.Millisecond // until the write is tried again
	var fail atomic.Bool
	b.subscribe("u1", s.URL)
	s.answers(refuse(http.StatusInternalServerError))
	b.startWith(func(o *deliver.Options) { o.Backlog = doubtful{o.Backlog, &fail} })
	defer b.stop()
	fail.Store(true)
	b.publish("u1", 3)
	b.awaitParked(t)
	b.poll(t, func() bool { return !fail.Load() })
	s.answers(nil)
	b.clock.Advance(10 * time.Second)
	if got := messages(s.take(t, 3)); !slices.Equal(got, []string{"m1", "m2", "m3"}) {
		t.Errorf("got %v", got)
	}
	b.poll(t, func() bool { return !b.endpoint(s).Parked })
	parked, err := holdOf(b.engine).ParkedEndpoints(t.Context())
	if err != nil || len(parked) != 0 {
		t.Errorf("left in the backlog: %v, %v", parked, err)
	}
	s.none(t)
}
