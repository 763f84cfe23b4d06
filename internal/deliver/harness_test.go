package deliver_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/catalog"
	"heliograph.dev/internal/clock"
	"heliograph.dev/internal/deliver"
	"heliograph.dev/internal/engine"
	"heliograph.dev/internal/health"
	"heliograph.dev/internal/match"
	"heliograph.dev/internal/outbound"
	"heliograph.dev/internal/retry"
)

const tenant heliograph.TenantID = "11111111-2222-3333-4444-555555555555"

var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// bench is a dispatcher on the real engine, with real receivers and a clock that the test moves.
type bench struct {
	tb     testing.TB
	clock  *clock.Manual
	time   clock.Clock // clock, but in benchmarks
	engine *engine.Engine
	index  *match.Index
	cat    *catalog.Catalog
	out    *outbound.Client
	heard  *observer
	limits deliver.Limits
	drop   bool
	tracer deliver.Tracer
	d      *deliver.Dispatcher
	sent   int
}

func newBench(tb testing.TB) *bench {
	tb.Helper()
	b := &bench{tb: tb, clock: clock.NewManual(start), heard: newObserver(), limits: deliver.DefaultLimits()}
	b.time = b.clock
	now := func() time.Time { return b.time.Now() }
	b.limits.SaveEvery, b.limits.ParkEvery = 5*time.Millisecond, 5*time.Millisecond
	var err error
	if b.cat, err = catalog.Load(); err != nil {
		tb.Fatal(err)
	}
	b.index = match.New(b.cat)
	b.engine, err = engine.Open(tb.Context(), engine.Options{Dir: tb.TempDir(), Logger: slog.New(slog.DiscardHandler), Now: now})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = b.engine.Close(context.Background()) })
	b.out = outbound.New(outbound.Options{AllowLoopback: true, AllowHTTP: true, Now: now})
	tb.Cleanup(b.out.Close)
	return b
}

func (b *bench) start() {
	b.tb.Helper()
	b.startWith(nil)
}

// startWith starts a dispatcher with options that a test has changed.
func (b *bench) startWith(edit func(*deliver.Options)) {
	b.tb.Helper()
	parked, err := holdOf(b.engine).ParkedEndpoints(b.tb.Context())
	if err != nil {
		b.tb.Fatal(err)
	}
	var backlog []heliograph.Endpoint
	for _, p := range parked {
		backlog = append(backlog, p.Endpoint)
	}
	opts := deliver.Options{
		Partitions: []int{0}, Log: logOf{b.engine, holdOf(b.engine)}, Backlog: backlogOf{holdOf(b.engine)}, Index: b.index,
		Read: func(ctx context.Context, p int, from uint64) (deliver.Frames, error) {
			return b.engine.Read(ctx, p, from)
		},
		Prepare: b.prepare,
		Retry: retry.Policy{
			First: 2 * time.Second, Max: 10 * time.Minute, Factor: 2, Window: 4 * time.Hour,
			FirstTimeout: time.Minute, Timeout: time.Minute, // of the machine's time: a busy one is not to be late
			MaxRetryAfter: time.Hour,
		},
		Health: health.Rules(b.cat.Profile().Endpoint), Drop: b.drop, Limits: b.limits, Observer: b.heard, Clock: b.time, Dice: func() float64 { return 0 },
		Tracer: b.tracer, Logger: slog.New(slog.DiscardHandler),
	}
	if edit != nil {
		edit(&opts)
	}
	b.d = deliver.New(opts)
	if err := b.d.Start(b.tb.Context(), backlog); err != nil {
		b.tb.Fatal(err)
	}
}

func (b *bench) stop() {
	b.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := b.d.Stop(ctx); err != nil {
		b.tb.Error(err)
	}
}

func (b *bench) prepare(endpoint heliograph.Endpoint, _ match.TLS) (deliver.Receiver, error) {
	e, err := b.out.Prepare(endpoint, tls.VersionTLS12)
	return receiver{e}, err
}

type receiver struct{ e *outbound.Endpoint }

func (r receiver) Post(ctx context.Context, b deliver.Body) heliograph.Attempt {
	var header http.Header
	if b.Traceparent != "" {
		header = http.Header{"Traceparent": {b.Traceparent}}
	}
	return r.e.Post(ctx, b.JSON, header, b.Timeout)
}

// holdOf is the writing end of the only partition.
func holdOf(e *engine.Engine) *engine.Hold {
	h, err := e.Hold(0, engine.Epoch{})
	if err != nil {
		panic(err)
	}
	return h
}

type logOf struct {
	*engine.Engine
	hold *engine.Hold
}

func (l logOf) SaveCursor(ctx context.Context, _ int, next uint64) error {
	return l.hold.SaveCursor(ctx, next)
}

type backlogOf struct{ *engine.Hold }

func (b backlogOf) ParkAll(ctx context.Context, lists []deliver.Parking) error {
	parking := make([]engine.Parking, len(lists))
	for i, list := range lists {
		parking[i] = engine.Parking(list)
	}
	return b.Hold.ParkAll(ctx, parking)
}

func (b backlogOf) Parked(ctx context.Context, e heliograph.Endpoint, from uint64, limit int) ([]deliver.ParkedMessage, error) {
	messages, err := b.Hold.Parked(ctx, e, from, limit)
	out := make([]deliver.ParkedMessage, len(messages))
	for i, m := range messages {
		out[i] = deliver.ParkedMessage(m)
	}
	return out, err
}

// subscribe indexes a subscription of one mailbox's messages at url.
func (b *bench) subscribe(mailbox, url string, edit ...func(*heliograph.Subscription)) heliograph.SubscriptionID {
	b.tb.Helper()
	s := &heliograph.Subscription{
		ID: heliograph.NewGUID(), Tenant: tenant, App: "app", Row: "message", ChangeType: heliograph.Created | heliograph.Updated,
		Resource: "/Users/" + mailbox + "/messages", Path: "users/" + mailbox + "/messages", NotificationURL: url,
		ClientState: heliograph.NewSecret("state of " + mailbox), Expires: b.time.Now().Add(100 * time.Hour),
	}
	for _, e := range edit {
		e(s)
	}
	b.index.Put(match.TargetOf(s, b.cat.Row(s.Row)), []string{s.Path})
	return s.ID
}

// publish appends n changes to a mailbox, numbered over the whole test.
func (b *bench) publish(mailbox string, n int) {
	b.tb.Helper()
	changes := make([]heliograph.Change, n)
	for i := range changes {
		changes[i] = b.change(mailbox)
	}
	b.append(changes)
}

func (b *bench) change(mailbox string) heliograph.Change {
	b.sent++
	resource := fmt.Sprintf("users/%s/messages/m%d", mailbox, b.sent)
	return heliograph.Change{
		ID: heliograph.DeriveGUID(resource), Tenant: tenant, Type: heliograph.Created, Resource: resource,
		Time: b.time.Now(), Accepted: b.time.Now(),
	}
}

// awaitParked waits until something stands in the backlog on disk.
func (b *bench) awaitParked(tb testing.TB) {
	tb.Helper()
	b.poll(tb, func() bool {
		parked, err := holdOf(b.engine).ParkedEndpoints(tb.Context())
		return err == nil && len(parked) > 0
	})
}

// awaitCursor waits until the cursor has passed everything that was appended.
func (b *bench) awaitCursor(tb testing.TB) {
	tb.Helper()
	state, err := b.engine.LogState(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	b.poll(tb, func() bool {
		next, err := b.engine.Cursor(tb.Context(), 0)
		return err == nil && next == state.Last+1
	})
}

// poll asks the engine, which has no event for it, until ok.
func (b *bench) poll(tb testing.TB, ok func() bool) {
	tb.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			tb.Fatal("waited too long")
		}
	}
}

func (b *bench) append(changes []heliograph.Change) {
	b.tb.Helper()
	if _, err := b.engine.Append(b.tb.Context(), 0, changes); err != nil {
		b.tb.Fatal(err)
	}
}

// sink is a real receiver that keeps what it got.
type sink struct {
	*httptest.Server
	got chan item // every item of every POST it accepted, in order

	mu     sync.Mutex
	answer func(n int, w http.ResponseWriter) bool // nil accepts
	poison map[string]bool                         // messages that it refuses, and all that comes with them
	posts  int
	sizes  []int
	traces []string
}

// item is one notification as a receiver reads it.
type item struct {
	ID             string `json:"id"`
	SubscriptionID string `json:"subscriptionId"`
	Expires        string `json:"subscriptionExpirationDateTime"`
	TenantID       string `json:"tenantId"`
	ClientState    string `json:"clientState"`
	ChangeType     string `json:"changeType"`
	LifecycleEvent string `json:"lifecycleEvent"`
	Resource       string `json:"resource"`
	ResourceData   map[string]any
}

func (i item) message() string { return i.Resource[strings.LastIndexByte(i.Resource, '/')+1:] }

func newSink(tb testing.TB) *sink {
	tb.Helper()
	s := &sink{got: make(chan item, 1<<17)}
	s.Server = httptest.NewServer(s)
	tb.Cleanup(s.Close)
	return s
}

// answers sets what decides each POST: it answers and returns false, or returns true for 202.
func (s *sink) answers(f func(n int, w http.ResponseWriter) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = f
}

// refuses sets which messages are refused, whatever else is in their POST.
func (s *sink) refuses(messages ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.poison = map[string]bool{}
	for _, m := range messages {
		s.poison[m] = true
	}
}

func (s *sink) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.posts
}

func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	var c struct{ Value []item }
	if err := json.Unmarshal(body, &c); err != nil || len(c.Value) == 0 {
		http.Error(w, "no collection: "+string(body), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	s.posts++
	n, answer := s.posts, s.answer
	s.sizes = append(s.sizes, len(c.Value))
	s.traces = append(s.traces, r.Header.Get("Traceparent"))
	poisoned := slices.ContainsFunc(c.Value, func(i item) bool { return s.poison[i.message()] })
	s.mu.Unlock()
	if poisoned {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if answer != nil && !answer(n, w) {
		return
	}
	for _, i := range c.Value {
		s.got <- i
	}
	w.WriteHeader(http.StatusAccepted)
}

// take waits for n notifications.
func (s *sink) take(tb testing.TB, n int) []item {
	tb.Helper()
	items := make([]item, 0, n)
	for len(items) < n {
		select {
		case i := <-s.got:
			items = append(items, i)
		case <-time.After(time.Minute):
			tb.Fatalf("got %d notifications, want %d", len(items), n)
		}
	}
	return items
}

// none checks that nothing has come that was not taken.
func (s *sink) none(tb testing.TB) {
	tb.Helper()
	select {
	case i := <-s.got:
		tb.Errorf("unexpected notification %+v", i)
	default:
	}
}

// observer keeps what it hears, and lets a test wait for it.
type observer struct {
	mu       sync.Mutex
	changed  chan struct{}
	attempts map[heliograph.Reason]int
	parked   map[heliograph.Reason]int
	givenUp  map[heliograph.Reason]int
	matched  int            // changes
	onDisk   [2]int         // notifications that came to the backlog and went
	resumed  *time.Duration // the last one
}

func newObserver() *observer {
	return &observer{
		changed: make(chan struct{}), attempts: map[heliograph.Reason]int{},
		parked: map[heliograph.Reason]int{}, givenUp: map[heliograph.Reason]int{},
	}
}

func (o *observer) note(m map[heliograph.Reason]int, why heliograph.Reason) {
	o.change(func() { m[why]++ })
}

func (o *observer) Attempted(a *heliograph.Attempt, _ []deliver.Notification) {
	o.note(o.attempts, a.Reason)
}

func (o *observer) Parked(_ heliograph.Endpoint, _ int, why heliograph.Reason) {
	o.note(o.parked, why)
}

func (o *observer) GivenUp(_ heliograph.Endpoint, _ deliver.Notification, why heliograph.Reason) {
	o.note(o.givenUp, why)
}

func (o *observer) Matched(changes, _ int, _ time.Duration) {
	o.change(func() { o.matched += changes })
}

func (o *observer) Backlog(_ heliograph.Endpoint, added, removed int) {
	o.change(func() { o.onDisk[0], o.onDisk[1] = o.onDisk[0]+added, o.onDisk[1]+removed })
}

func (o *observer) Resumed(_ heliograph.Endpoint, parked time.Duration) {
	o.change(func() { o.resumed = &parked })
}

func (o *observer) change(how func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	how()
	close(o.changed)
	o.changed = make(chan struct{})
}

func (o *observer) backlog() [2]int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.onDisk
}

func (o *observer) awaitMatched(tb testing.TB, n int) {
	tb.Helper()
	o.awaitThat(tb, func() bool { return o.matched >= n })
}

func (o *observer) awaitResumed(tb testing.TB) time.Duration {
	tb.Helper()
	o.awaitThat(tb, func() bool { return o.resumed != nil })
	return *o.resumed
}

func (o *observer) count(m map[heliograph.Reason]int, why heliograph.Reason) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return m[why]
}

// await waits until n of a kind have been heard.
func (o *observer) await(tb testing.TB, m map[heliograph.Reason]int, why heliograph.Reason, n int) {
	tb.Helper()
	o.awaitThat(tb, func() bool { return m[why] >= n })
}

// awaitThat waits until ok, which is asked under the lock.
func (o *observer) awaitThat(tb testing.TB, ok func() bool) {
	tb.Helper()
	deadline := time.After(time.Minute)
	for {
		o.mu.Lock()
		reached, changed := ok(), o.changed
		o.mu.Unlock()
		if reached {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			tb.Fatal("what was waited for was not heard")
		}
	}
}
