package deliver_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"heliograph.dev"
	"heliograph.dev/internal/clock"
	"heliograph.dev/internal/deliver"
	"heliograph.dev/internal/health"
	"heliograph.dev/internal/match"
)

// TestHistories plays random histories on the real engine with real receivers: changes come, receivers answer, fail,
// hang and close, subscriptions begin, move, pause, resume and end, writes fail or are done and reported as failed, the clock jumps,
// the dispatcher stops or crashes. In the end the receivers are well, and of every subscription that lives
//
//   - each change has come, or was given up with a reason that holds;
//   - first arrivals came in the order of the log, but across a change of notificationUrl and for what was sent again;
//   - each arrival had the notification id of its change;
//   - nothing came twice, unless the history has a reason for that;
//   - nothing came that was published while it was paused, before it resumed;
//   - it was noted as missed when something was given up that should have come;
//
// and the cursor stands at the end of the log, the backlog is empty.
func TestHistories(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	real := clock.System()
	enough := real.Now().Add(12 * time.Second)
	failed := false // then it is played again, until it is as short as it can be
	rapid.Check(t, func(rt *rapid.T) {
		if real.Now().After(enough) && !failed {
			return
		}
		failed = true
		h := newHistory(b, rt)
		defer h.close()
		rt.Repeat(map[string]func(*rapid.T){
			"publish":     h.publish,
			"publish too": h.publish, // twice as often
			"answer":      h.answer,
			"advance":     h.advance,
			"breathe":     h.breathe,
			"stop":        h.restart,
			"crash":       h.crash,
			"begin":       h.subscribe,
			"move":        h.move,
			"end":         h.unsubscribe,
			"pause":       h.pause,
			"resume":      h.resume,
			"force":       h.force,
			"break":       h.breakWrites,
			"replay":      h.replay,
			"poison":      h.poison,
		})
		h.end()
		h.check()
		failed = rt.Failed()
	})
}

// history is one of them: what happens, and what must come of it.
type history struct {
	*bench
	rt        *rapid.T
	store     *fragile
	frames    *counted
	mailboxes []string
	receivers []*moody
	subs      []*watched

	mu      sync.Mutex
	bySub   map[string]*watched
	byID    map[heliograph.SubscriptionID]*watched
	wrong   []string // what must not be, heard from other goroutines
	twice   bool     // something may come twice
	changes map[string]published
}

type published struct {
	mailbox string
	number  int
	id      heliograph.ChangeID
	at      time.Time
}

// watched is a subscription and what became of its changes.
type watched struct {
	id       heliograph.SubscriptionID
	mailbox  string
	expires  time.Time
	ended    bool
	want     []int // numbers of changes, published while it lived
	arrived  []int // first arrivals, in their order
	count    map[int]int
	givenUp  map[int]heliograph.Reason
	paused   int  // since that change; 0: it is not
	missed   bool // its owner is to be told that something was lost
	since    int  // the order counts for changes with greater numbers: from the last move or replay on
	receiver *moody
}

func newHistory(b *bench, rt *rapid.T) *history {
	b.index = match.New(b.cat)
	b.heard = newObserver()
	b.limits.BatchCount = rapid.SampledFrom([]int{1, 3, 128}).Draw(rt, "batch")
	b.limits.LanePending = rapid.SampledFrom([]int{4, 20_000}).Draw(rt, "lane pending")
	b.limits.LaneFlights = rapid.SampledFrom([]int{1, 64}).Draw(rt, "lane flights")
	b.limits.ParkEvery = rapid.SampledFrom([]time.Duration{time.Millisecond, 30 * time.Millisecond}).Draw(rt, "park every")
	h := &history{
		bench: b, rt: rt, bySub: map[string]*watched{}, byID: map[heliograph.SubscriptionID]*watched{}, changes: map[string]published{},
	}
	for i := range 2 {
		h.mailboxes = append(h.mailboxes, fmt.Sprintf("of%d-%d", b.sent, i))
	}
	for range 3 {
		h.receivers = append(h.receivers, newMoody(h))
	}
	h.run()
	for range rapid.IntRange(1, 4).Draw(rt, "subscriptions") {
		h.subscribe(rt)
	}
	return h
}

func (h *history) close() {
	h.store.heal()
	h.stop()
	for _, r := range h.receivers {
		r.Close()
	}
}

func (h *history) run() {
	h.startWith(func(o *deliver.Options) {
		h.store = &fragile{Log: o.Log, Backlog: o.Backlog}
		o.Log, o.Backlog = h.store, h.store
		read := o.Read
		o.Read = func(ctx context.Context, p int, from uint64) (deliver.Frames, error) {
			f, err := read(ctx, p, from)
			h.frames = &counted{Frames: f, last: max(from, 1) - 1}
			return h.frames, err
		}
		o.Observer = hearing{h.heard, h}
		o.Missed = h.miss
		o.Retry.FirstTimeout, o.Retry.Timeout = 100*time.Millisecond, 150*time.Millisecond
	})
}

func (h *history) publish(rt *rapid.T) {
	mailbox := rapid.SampledFrom(h.mailboxes).Draw(rt, "mailbox")
	changes := make([]heliograph.Change, rapid.IntRange(1, 12).Draw(rt, "changes"))
	for i := range changes {
		changes[i] = h.change(mailbox)
		h.mu.Lock()
		h.changes[fmt.Sprintf("m%d", h.sent)] = published{mailbox, h.sent, changes[i].ID, h.clock.Now()}
		for _, s := range h.subs {
			if s.mailbox == mailbox && !s.ended {
				s.want = append(s.want, h.sent)
			}
		}
		h.mu.Unlock()
	}
	h.append(changes)
}

func (h *history) answer(rt *rapid.T) {
	r := rapid.SampledFrom(h.receivers).Draw(rt, "receiver")
	r.mood.Store(int32(rapid.SampledFrom([]int{0, 0, 0, 500, 500, 429, hangs, closes, flaky}).Draw(rt, "mood")))
}

// poison has a receiver refuse, to the end of the history, what contains the next message.
func (h *history) poison(rt *rapid.T) {
	r := rapid.SampledFrom(h.receivers).Draw(rt, "receiver")
	r.poison.Store(int64(h.sent + 1))
	h.publish(rt)
}

// picky reports whether some receiver refused something: even what it would have taken a moment later.
func (h *history) picky() bool {
	return slices.ContainsFunc(h.receivers, func(r *moody) bool { return r.picky.Load() })
}

func (h *history) advance(rt *rapid.T) {
	h.clock.Advance(rapid.SampledFrom([]time.Duration{
		time.Second, 3 * time.Second, 10 * time.Second, time.Minute, 10 * time.Minute, 5 * time.Hour, 60 * time.Hour,
	}).Draw(rt, "by"))
}

// breathe lets what is under way come to an end, if it does soon.
func (h *history) breathe(*rapid.T) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 40 {
		if v := h.d.Levels(); v.Frames == 0 && v.Flights == 0 {
			return
		}
		<-tick.C
	}
}

func (h *history) restart(*rapid.T) {
	h.store.heal()
	h.twice = true
	h.stop()
	h.run()
}

// crash ends the dispatcher without its last words.
func (h *history) crash(*rapid.T) {
	h.twice = true
	h.store.fails.Store(always)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = h.d.Stop(ctx)
	h.run()
}

func (h *history) subscribe(rt *rapid.T) {
	if len(h.subs) == 6 {
		rt.Skip("enough of them")
	}
	s := &watched{
		mailbox: rapid.SampledFrom(h.mailboxes).Draw(rt, "mailbox"), count: map[int]int{}, givenUp: map[int]heliograph.Reason{},
		receiver: rapid.SampledFrom(h.receivers).Draw(rt, "receiver"), since: h.sent,
	}
	s.expires = h.clock.Now().Add(100 * time.Hour)
	s.id = heliograph.NewGUID()
	h.mu.Lock()
	h.bySub[s.id.String()], h.byID[s.id] = s, s
	h.subs = append(h.subs, s)
	h.mu.Unlock()
	h.put(s)
}

// put indexes a subscription as it is now.
func (h *history) put(s *watched) {
	h.bench.subscribe(s.mailbox, s.receiver.URL, func(sub *heliograph.Subscription) { sub.ID, sub.Expires = s.id, s.expires })
}

func (h *history) pick(rt *rapid.T) *watched {
	s := rapid.SampledFrom(h.subs).Draw(rt, "subscription")
	if s.ended {
		rt.Skip("it has ended")
	}
	return s
}

func (h *history) move(rt *rapid.T) {
	s := h.pick(rt)
	s.receiver = rapid.SampledFrom(h.receivers).Draw(rt, "receiver")
	h.awaitMatched()
	h.put(s)
	h.mu.Lock()
	s.since = h.sent
	h.mu.Unlock()
}

// awaitMatched waits until nothing that was published will be matched any more.
func (h *history) awaitMatched() {
	state, err := h.engine.LogState(h.tb.Context())
	if err != nil {
		h.rt.Fatal(err)
	}
	h.await("matching", func() bool { return h.frames.through.Load() >= state.Last })
}

func (h *history) unsubscribe(rt *rapid.T) {
	s := h.pick(rt)
	h.mu.Lock()
	s.ended = true
	h.mu.Unlock()
	h.index.Remove(s.id)
	h.d.Reconsider(s.id)
}

func (h *history) force(rt *rapid.T) {
	r := rapid.SampledFrom(h.receivers).Draw(rt, "receiver")
	state := rapid.SampledFrom([]health.State{health.Healthy, health.Healthy, health.Slow, health.Dropping}).Draw(rt, "state")
	h.d.Force(heliograph.Endpoint(r.URL), state)
}

func (h *history) breakWrites(rt *rapid.T) {
	h.twice = true
	h.store.fails.Store(rapid.SampledFrom([]int32{never, always, afterwards}).Draw(rt, "how"))
}

func (h *history) replay(rt *rapid.T) {
	s := h.pick(rt)
	state, err := h.engine.LogState(h.tb.Context())
	if err != nil {
		rt.Fatal(err)
	}
	h.twice = true
	h.mu.Lock()
	s.since = h.sent
	h.mu.Unlock()
	first := state.Last - min(state.Last-1, uint64(rapid.IntRange(0, 5).Draw(rt, "frames")))
	_, _ = h.d.Replay(h.tb.Context(), s.id, deliver.Range{From: first, To: state.Last}) // fails while writes do
}

// end makes everything well and waits until nothing is left to do.
func (h *history) end() {
	h.store.heal()
	for _, r := range h.receivers {
		r.mood.Store(0)
		r.poison.Store(0)
	}
	for _, s := range h.subs {
		h.resumed(s)
	}
	state, err := h.engine.LogState(h.tb.Context())
	if err != nil {
		h.rt.Fatal(err)
	}
	h.await("the end", func() bool {
		idle, held := true, h.d.Levels().Held > 0
		for _, e := range h.d.Endpoints() {
			if e.State != health.Healthy || e.Parked || held {
				h.d.Force(e.URL, health.Healthy)
			}
			idle = idle && !e.Parked && e.Pending == 0 && e.Flights == 0
		}
		h.clock.Advance(time.Second)
		next, err := h.engine.Cursor(h.tb.Context(), 0)
		if !idle || err != nil || state.Last > 0 && next <= state.Last {
			return false
		}
		parked, err := holdOf(h.engine).ParkedEndpoints(h.tb.Context())
		return err == nil && len(parked) == 0
	})
}

func (h *history) await(what string, ok func() bool) {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			next, _ := h.engine.Cursor(h.tb.Context(), 0)
			parked, _ := holdOf(h.engine).ParkedEndpoints(h.tb.Context())
			h.rt.Fatalf("waited too long for %s: the cursor is at %d, backlogs %v, %+v, %+v", what, next, parked, h.d.Levels(), h.d.Endpoints())
		}
	}
}

func (h *history) check() {
	h.heard.mu.Lock()
	for why := range h.heard.attempts {
		h.twice = h.twice || why != "" && why != heliograph.RefusedStatus // who got it may not have been heard
	}
	h.heard.mu.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, w := range h.wrong {
		h.rt.Error(w)
	}
	for i, s := range h.subs {
		if s.ended || !h.clock.Now().Before(s.expires) {
			continue
		}
		for _, n := range s.want {
			if s.count[n] == 0 && s.givenUp[n] == "" {
				h.rt.Errorf("subscription %d: m%d never came; of %v came %v", i, n, s.want, s.arrived)
			}
			if s.count[n] > 1 && !h.twice {
				h.rt.Errorf("subscription %d: m%d came %d times", i, n, s.count[n])
			}
		}
		for n, why := range s.givenUp {
			if why != heliograph.GivenUpRemoved && s.count[n] == 0 && !s.missed {
				h.rt.Errorf("subscription %d: m%d was given up (%s), and nobody is told", i, n, why)
			}
		}
		last := 0
		for _, n := range s.arrived {
			if n > s.since && n < last && (s.givenUp[n] == "" || !h.twice) { // see ADR 4
				h.rt.Errorf("subscription %d: m%d came after m%d: %v; given up %v", i, n, last, s.arrived, s.givenUp)
			}
			if n > s.since {
				last = n
			}
		}
	}
}

func (h *history) arrive(i item) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s, c := h.bySub[i.SubscriptionID], h.changes[i.message()]
	if s == nil || c.mailbox != s.mailbox {
		h.wrong = append(h.wrong, fmt.Sprintf("%s came to nobody who wants it", i.Resource))
		return
	}
	if want := deliver.NotificationID(s.id, c.id).String(); i.ID != want {
		h.wrong = append(h.wrong, fmt.Sprintf("%s came with id %s, not %s", i.Resource, i.ID, want))
	}
	if s.paused > 0 && c.number >= s.paused {
		h.wrong = append(h.wrong, fmt.Sprintf("m%d came while its subscription was paused since m%d", c.number, s.paused))
	}
	if s.count[c.number]++; s.count[c.number] == 1 {
		s.arrived = append(s.arrived, c.number)
	}
}

// hearing notes what is given up, and judges why.
type hearing struct {
	*observer
	h *history
}

func (o hearing) GivenUp(e heliograph.Endpoint, n deliver.Notification, why heliograph.Reason) {
	o.observer.GivenUp(e, n, why)
	h := o.h
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.byID[n.Subscription]
	if s == nil {
		return // of a history that failed
	}
	now, found := h.clock.Now(), false
	for _, c := range h.changes {
		if c.id != n.Change {
			continue
		}
		found = true
		holds := why == heliograph.GivenUpWindow && !now.Before(c.at.Add(4*time.Hour)) ||
			why == heliograph.GivenUpRefused && !now.Before(c.at.Add(time.Hour)) && h.picky() ||
			why == heliograph.GivenUpUnparked && h.twice || why == heliograph.GivenUpPaused && !now.Before(c.at.Add(4*time.Hour)) ||
			why == heliograph.GivenUpRemoved && s.ended || why == heliograph.GivenUpExpired && !now.Before(s.expires)
		if !holds {
			h.wrong = append(h.wrong, fmt.Sprintf("m%d given up: %s, after %v, %+v", c.number, why, now.Sub(c.at), n))
		}
		s.givenUp[c.number] = why
	}
	if !found {
		h.wrong = append(h.wrong, fmt.Sprintf("given up: %s of %+v", why, n))
	}
}

// The moods of a receiver, beside a status to refuse with; 0 accepts.
const (
	hangs = iota + 1
	closes
	flaky
)

// moody is a receiver whose mood changes.
type moody struct {
	*httptest.Server
	mood  atomic.Int32
	posts atomic.Int32
	// poison is the number of a message that it refuses; picky says that it may have refused what it could take.
	poison atomic.Int64
	picky  atomic.Bool
}

func newMoody(h *history) *moody {
	m := &moody{}
	m.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var c struct{ Value []item }
		if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
			return
		}
		mood := m.mood.Load()
		if mood != 0 || m.poison.Load() > 0 {
			m.picky.Store(true)
		}
		if mood == 0 && slices.ContainsFunc(c.Value, func(i item) bool { return i.message() == fmt.Sprintf("m%d", m.poison.Load()) }) {
			mood = http.StatusBadRequest
		}
		if mood == flaky && m.posts.Add(1)%2 == 1 {
			mood = http.StatusServiceUnavailable
		}
		switch mood {
		case hangs:
			<-r.Context().Done()
			return
		case closes:
			panic(http.ErrAbortHandler)
		case 0, flaky:
		default:
			if mood == http.StatusTooManyRequests {
				w.Header().Set("Retry-After", "30")
			}
			w.WriteHeader(int(mood))
			return
		}
		for _, i := range c.Value {
			h.arrive(i)
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	return m
}

// When the writes of a fragile store fail: before they are done, or afterwards.
const (
	never = int32(iota)
	always
	afterwards
)

// counted tells which frames have been dealt with.
type counted struct {
	deliver.Frames
	last    uint64 // was read
	through atomic.Uint64
}

func (c *counted) Next(ctx context.Context) (heliograph.Frame, error) {
	c.through.Store(c.last) // who asks for the next one has dealt with it
	f, err := c.Frames.Next(ctx)
	if err == nil {
		c.last = f.Sequence
	}
	return f, err
}

var errBroken = errors.New("the store does not answer")

// fragile is the engine, whose writes fail when a test says so. One that has begun comes to its end before the dispatcher
// does: what it writes later, the next dispatcher would not find at its start.
type fragile struct {
	deliver.Log
	deliver.Backlog
	fails atomic.Int32
}

func (f *fragile) heal() { f.fails.Store(never) }

func (f *fragile) write(do func() error) error {
	if f.fails.Load() == always {
		return errBroken
	}
	err := do()
	if err == nil && f.fails.Load() == afterwards {
		return errBroken
	}
	return err
}

func (f *fragile) SaveCursor(ctx context.Context, partition int, next uint64) error {
	return f.write(func() error { return f.Log.SaveCursor(context.WithoutCancel(ctx), partition, next) })
}

func (f *fragile) ParkAll(ctx context.Context, lists []deliver.Parking) error {
	return f.write(func() error { return f.Backlog.ParkAll(context.WithoutCancel(ctx), lists) })
}

func (f *fragile) Unpark(ctx context.Context, e heliograph.Endpoint, through uint64) error {
	return f.write(func() error { return f.Backlog.Unpark(context.WithoutCancel(ctx), e, through) })
}
