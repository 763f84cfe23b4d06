package subscribe_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"heliograph.dev"
	"heliograph.dev/internal/catalog"
	"heliograph.dev/internal/clock"
	"heliograph.dev/internal/engine"
	"heliograph.dev/internal/outbound"
	"heliograph.dev/internal/subscribe"
)

var (
	// loaded is the catalog, and shared the engine, of all tests. Every test has a tenant of its own.
	loaded = sync.OnceValues(func() (*catalog.Catalog, error) { return catalog.Load() })
	shared *engine.Engine
)

// TestMain opens the engine that most tests share, and sees that nothing is left running.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "subscribe")
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	shared, err = engine.Open(ctx, engine.Options{Dir: dir, Logger: slog.New(slog.DiscardHandler), Now: clock.System().Now})
	if err != nil {
		panic(err)
	}
	m.Run()
	if err := errors.Join(shared.Close(ctx), os.RemoveAll(dir), goleak.Find()); err != nil {
		panic(err)
	}
}

// start is when every test's clock begins to stand.
var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// bench is a service on a store, with a receiver that echoes.
type bench struct {
	service  *subscribe.Service
	registry *subscribe.Registry
	clock    *clock.Manual
	store    subscribe.Store
	sink     *sink
	receiver *receiver
}

// newBench is a bench on the engine.
func newBench(t *testing.T, change ...func(*subscribe.Options)) *bench {
	t.Helper()
	return benchOn(t, shared, change...)
}

func benchOn(t *testing.T, e *engine.Engine, change ...func(*subscribe.Options)) *bench {
	t.Helper()
	b := &bench{clock: clock.NewManual(start), store: e, sink: newSink(), receiver: newReceiver(t)}
	b.registry = subscribe.NewRegistry(planned(), b.sink, slog.New(slog.DiscardHandler))
	watch, err := e.Watch(t.Context(), b.registry.Apply)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(watch.Close)
	<-watch.Ready()
	b.start(t, watch, change...)
	return b
}

// newMemoryBench is a bench on a store that takes no time.
func newMemoryBench(t *testing.T, change ...func(*subscribe.Options)) (*bench, *memory) {
	t.Helper()
	store := &memory{records: make(map[string]heliograph.Record)}
	b := &bench{clock: clock.NewManual(start), store: store, sink: newSink(), receiver: newReceiver(t)}
	b.registry = subscribe.NewRegistry(planned(), b.sink, slog.New(slog.DiscardHandler))
	store.apply = b.registry.Apply
	b.start(t, store, append(change, func(o *subscribe.Options) { o.Scan = store.scan })...)
	return b, store
}

func (b *bench) start(t *testing.T, index subscribe.Index, change ...func(*subscribe.Options)) {
	t.Helper()
	c, err := loaded()
	if err != nil {
		t.Fatal(err)
	}
	client := outbound.New(outbound.Options{AllowLoopback: true, AllowHTTP: true})
	t.Cleanup(client.Close)
	o := subscribe.Options{
		Catalog: c, Store: b.store, Index: index, Registry: b.registry, Endpoints: endpoints{client}, Clock: b.clock,
	}
	for _, f := range change {
		f(&o)
	}
	b.service = subscribe.New(o)
}

// message is a request that passes.
func (b *bench) message() subscribe.CreateRequest {
	return subscribe.CreateRequest{
		RequestID: heliograph.NewGUID(), Resource: "me/mailFolders('Inbox')/messages", ChangeType: "created, Updated",
		NotificationURL: b.receiver.URL + "/hook?code=x", ExpirationDateTime: in(24 * time.Hour),
		ClientState: heliograph.NewSecret("state"),
	}
}

// in writes a time that far ahead of start.
func in(d time.Duration) string { return start.Add(d).Format(time.RFC3339Nano) }

// user is somebody who is signed in, in a tenant of his own.
func user(permissions ...string) *heliograph.Caller {
	return &heliograph.Caller{
		Tenant: heliograph.TenantID(guid()), App: heliograph.AppID(guid()), Object: heliograph.ObjectID(guid()), UPN: "adele@example.com",
		Delegated: true, Scopes: permissions, Expires: start.Add(time.Hour),
	}
}

// application is an application's own token, in a tenant of its own.
func application(permissions ...string) *heliograph.Caller {
	return &heliograph.Caller{
		Tenant: heliograph.TenantID(guid()), App: heliograph.AppID(guid()), Object: heliograph.ObjectID(guid()),
		Roles: permissions, Expires: start.Add(time.Hour),
	}
}

func guid() string { return heliograph.NewGUID().String() }

// refusal is what matters of an error, or all zero.
func refusal(t *testing.T, err error) heliograph.Error {
	t.Helper()
	if err == nil {
		return heliograph.Error{}
	}
	e, ok := errors.AsType[*heliograph.Error](err)
	if !ok {
		t.Fatalf("%v (%T) is no *heliograph.Error", err, err)
	}
	return *e
}

// endpoints lets the service speak through the real way out.
type endpoints struct{ *outbound.Client }

func (e endpoints) Exchange(ctx context.Context, call subscribe.Call) subscribe.Exchange {
	x := e.Client.Exchange(ctx, outbound.Request{
		URL: call.URL, Header: call.Header, Timeout: min(call.Timeout, testTimeout), MinTLS: outbound.MinTLS(call.LatestTLS),
	})
	return subscribe.Exchange{
		Attempt: x.Attempt, Sent: x.Sent, Header: x.Header, Body: x.Body, Truncated: x.Truncated, Address: x.Address, TLS: x.TLS,
		Resolved: x.Resolved, Connected: x.Connected, Secured: x.Secured, FirstByte: x.FirstByte,
	}
}

// testTimeout is long for a receiver on this machine and short for a test that waits for it to pass.
const testTimeout = 2 * time.Second

// receiver is an endpoint. It echoes the validation token as it should, unless answer does something else.
type receiver struct {
	*httptest.Server

	mu     sync.Mutex
	asked  []string // request URIs
	answer http.HandlerFunc
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		r.asked = append(r.asked, req.RequestURI)
		answer := r.answer
		r.mu.Unlock()
		if answer == nil {
			answer = echo
		}
		answer(w, req)
	}))
	t.Cleanup(r.Close)
	return r
}

func echo(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain")
	_, _ = w.Write([]byte(r.URL.Query().Get("validationToken")))
}

// echoThen proves the endpoint, and then does something else.
func echoThen(f func()) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { echo(w, r); f() }
}

func (r *receiver) answers(f http.HandlerFunc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = f
}

// calls returns the requests since it was asked last.
func (r *receiver) calls() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	asked := r.asked
	r.asked = nil
	return asked
}

// sink remembers the latest of each subscription.
type sink struct {
	mu      sync.Mutex
	changed *sync.Cond
	held    map[heliograph.SubscriptionID]heliograph.Subscription
}

func newSink() *sink {
	s := &sink{held: make(map[heliograph.SubscriptionID]heliograph.Subscription)}
	s.changed = sync.NewCond(&s.mu)
	return s
}

func (s *sink) Put(sub *heliograph.Subscription) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held[sub.ID] = *sub
	s.changed.Broadcast()
}

func (s *sink) Remove(id heliograph.SubscriptionID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.held, id)
	s.changed.Broadcast()
}

func (s *sink) has(id heliograph.SubscriptionID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.held[id]
	return ok
}

// untilLen waits until there are n.
func (s *sink) untilLen(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.held) != n {
		s.changed.Wait()
	}
}

// memory is a store of records in a map, and the watch over it.
type memory struct {
	mu       sync.Mutex
	records  map[string]heliograph.Record
	revision uint64
	apply    func([]heliograph.Record)
	refuse   error        // what Commit answers instead
	commits  chan<- error // told of each, when set
}

func (m *memory) Get(_ context.Context, tenant heliograph.TenantID, name string) (heliograph.Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.records[string(tenant)+" "+name]
	if !ok {
		return heliograph.Record{}, heliograph.Errorf(heliograph.NotFound, "memory", "no record %s", name)
	}
	return r, nil
}

func (m *memory) Commit(_ context.Context, tenant heliograph.TenantID, writes []heliograph.Write) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	err := m.commit(tenant, writes)
	if m.commits != nil {
		m.commits <- err
	}
	return m.revision, err
}

func (m *memory) commit(tenant heliograph.TenantID, writes []heliograph.Write) error {
	if m.refuse != nil {
		return m.refuse
	}
	for _, w := range writes {
		if m.records[string(tenant)+" "+w.Name].Revision != w.Expect {
			return heliograph.Errorf(heliograph.Conflict, "memory", "%s changed", w.Name)
		}
	}
	for _, w := range writes {
		m.revision++
		r := heliograph.Record{Tenant: tenant, Name: w.Name, Value: w.Value, Revision: m.revision, Deleted: w.Value == nil}
		if r.Deleted {
			delete(m.records, string(tenant)+" "+w.Name)
		} else {
			m.records[string(tenant)+" "+w.Name] = r
		}
		m.apply([]heliograph.Record{r})
	}
	return nil
}

func (m *memory) Wait(context.Context, heliograph.TenantID, uint64) error { return nil }

func (m *memory) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refuse = err
}

func (m *memory) len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.records)
}

// planned is the plan of the catalog that all tests use.
func planned() subscribe.Plan {
	c, err := loaded()
	if err != nil {
		panic(err)
	}
	return subscribe.PlanOf(c)
}
