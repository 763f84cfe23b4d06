package subscribe_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"heliograph.dev"
	"heliograph.dev/internal/catalog"
	"heliograph.dev/internal/clock"
	"heliograph.dev/internal/subscribe"
	"heliograph.dev/internal/subscribe/record"
)

// echoing is a world in which every endpoint proves itself at once.
type echoing struct{}

func (echoing) CheckURL(string) error { return nil }

func (echoing) Exchange(_ context.Context, call subscribe.Call) subscribe.Exchange {
	u, err := url.Parse(call.URL)
	if err != nil {
		return subscribe.Exchange{Attempt: heliograph.Attempt{Reason: heliograph.ConnectFailed}}
	}
	return subscribe.Exchange{
		Attempt: heliograph.Attempt{Reason: heliograph.Delivered, Status: 200},
		Header:  map[string][]string{"Content-Type": {"text/plain"}}, Body: []byte(u.Query().Get("validationToken")),
	}
}

// history is a service on a store that takes no time, in that world.
type history struct {
	catalog  *catalog.Catalog
	service  *subscribe.Service
	registry *subscribe.Registry
	clock    *clock.Manual
	store    *memory
	sink     *sink
}

func newHistory(limits ...catalog.QuotaLimit) (*history, error) {
	c, err := loaded()
	if err != nil {
		return nil, err
	}
	if c, err = c.WithQuotas(limits...); err != nil {
		return nil, err
	}
	h := &history{catalog: c, clock: clock.NewManual(start), store: &memory{records: make(map[string]heliograph.Record)}, sink: newSink()}
	h.registry = subscribe.NewRegistry(planned(), h.sink, slog.New(slog.DiscardHandler))
	h.store.apply = h.registry.Apply
	h.start(h.store)
	return h, nil
}

// start begins with a service whose commits go through store.
func (h *history) start(store subscribe.Store) {
	h.service = subscribe.New(subscribe.Options{
		Catalog: h.catalog, Store: store, Index: h.store, Registry: h.registry, Endpoints: echoing{}, Clock: h.clock, Scan: h.store.scan,
	})
}

// newEngineHistory is a service on the engine, in that world.
func newEngineHistory(tb testing.TB, limits ...catalog.QuotaLimit) (*history, error) {
	tb.Helper()
	c, err := loaded()
	if err != nil {
		return nil, err
	}
	if c, err = c.WithQuotas(limits...); err != nil {
		return nil, err
	}
	h := &history{clock: clock.NewManual(start), sink: newSink()}
	h.registry = subscribe.NewRegistry(planned(), h.sink, slog.New(slog.DiscardHandler))
	watch, err := shared.Watch(tb.Context(), h.registry.Apply)
	if err != nil {
		return nil, err
	}
	tb.Cleanup(watch.Close)
	<-watch.Ready()
	h.service = subscribe.New(subscribe.Options{
		Catalog: c, Store: shared, Index: watch, Registry: h.registry, Endpoints: echoing{}, Clock: h.clock,
	})
	return h, nil
}

func requestFor(resource, types string, expires time.Time) subscribe.CreateRequest {
	return subscribe.CreateRequest{
		Resource: resource, ChangeType: types, NotificationURL: "https://example.com/", ExpirationDateTime: expires.Format(time.RFC3339Nano),
	}
}

// mailboxLimit is how many subscriptions a mailbox of the model may have.
const mailboxLimit = 3

// known is a subscription of the model.
type known struct {
	id       heliograph.SubscriptionID
	caller   int
	mailbox  int
	resource string
	types    string
	expires  time.Time
}

// TestHistories runs random histories against the service and against a model of a list.
func TestHistories(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		h, err := newHistory(catalog.QuotaLimit{Name: "outlook.user", Limit: mailboxLimit})
		if err != nil {
			t.Fatal(err)
		}
		m := &model{history: h}
		adele := user("Mail.Read")
		bob, daemon := *adele, *adele
		bob.Object = heliograph.ObjectID(guid())
		daemon.Delegated, daemon.Object, daemon.Roles, daemon.Scopes = false, "service", []string{"Mail.Read"}, nil
		m.callers = []*heliograph.Caller{adele, &bob, &daemon}
		t.Repeat(map[string]func(*rapid.T){
			"create": m.create, "renew": m.renew, "delete": m.delete, "time passes": m.pass, "get": m.get, "": m.check,
		})
	})
}

type model struct {
	*history
	callers []*heliograph.Caller
	made    []known
}

// live are those that have not expired.
func (m *model) live() []known {
	return slices.DeleteFunc(slices.Clone(m.made), func(k known) bool { return !m.clock.Now().Before(k.expires) })
}

// sees reports whether a caller sees a subscription: the application sees all of them.
func (m *model) sees(caller int, k known) bool { return caller == 2 || caller == k.caller }

func (m *model) create(t *rapid.T) {
	caller := rapid.IntRange(0, 2).Draw(t, "caller")
	mailbox := min(caller, 1)
	resource := "users/" + string(m.callers[mailbox].Object) + "/mailFolders/" + rapid.SampledFrom([]string{"a", "b"}).Draw(t, "folder") + "/messages"
	types := rapid.SampledFrom([]string{"created", "deleted"}).Draw(t, "types")
	expires := m.clock.Now().Add(time.Duration(rapid.IntRange(-10, 300).Draw(t, "minutes")) * time.Minute)
	s, err := m.service.Create(context.Background(), m.callers[caller], requestFor(resource, types, expires))
	twin := slices.ContainsFunc(m.live(), func(k known) bool { return k.caller == caller && k.resource == resource && k.types == types })
	if twin {
		if heliograph.KindOf(err) != heliograph.Conflict {
			t.Fatalf("a twin gave %v", err)
		}
		return
	}
	held := 0
	for _, k := range m.live() {
		if k.mailbox == mailbox {
			held++
		}
	}
	if held >= mailboxLimit {
		if heliograph.KindOf(err) != heliograph.Limited {
			t.Fatalf("a mailbox with %d gave %v", held, err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	want := expires
	if floor := m.clock.Now().Add(45 * time.Minute); want.Before(floor) {
		want = floor
	}
	if !s.Expires.Equal(want) {
		t.Fatalf("expires %v, want %v", s.Expires, want)
	}
	m.made = append(m.made, known{s.ID, caller, mailbox, resource, types, want})
}

// pick returns the index of one that was ever made, or skips.
func (m *model) pick(t *rapid.T) int {
	if len(m.made) == 0 {
		t.Skip("nothing yet")
	}
	return rapid.IntRange(0, len(m.made)-1).Draw(t, "which")
}

// there reports whether a caller should find it, and fails when err says otherwise.
func (m *model) there(t *rapid.T, caller, i int, err error) bool {
	k := m.made[i]
	want := m.sees(caller, k) && m.clock.Now().Before(k.expires)
	if want != (err == nil) || err != nil && heliograph.KindOf(err) != heliograph.NotFound {
		t.Fatalf("caller %d and %+v at %v: %v", caller, k, m.clock.Now(), err)
	}
	return want
}

func (m *model) renew(t *rapid.T) {
	i, caller := m.pick(t), rapid.IntRange(0, 2).Draw(t, "caller")
	until := m.clock.Now().Add(time.Duration(rapid.IntRange(46, 500).Draw(t, "minutes")) * time.Minute)
	text := until.Format(time.RFC3339Nano)
	_, err := m.service.Update(context.Background(), m.callers[caller], m.made[i].id, subscribe.UpdateRequest{ExpirationDateTime: &text})
	if m.there(t, caller, i, err) {
		m.made[i].expires = until
	}
}

func (m *model) delete(t *rapid.T) {
	i, caller := m.pick(t), rapid.IntRange(0, 2).Draw(t, "caller")
	if m.there(t, caller, i, m.service.Delete(context.Background(), m.callers[caller], m.made[i].id)) {
		m.made[i].expires = m.clock.Now()
	}
}

func (m *model) pass(t *rapid.T) {
	m.clock.Advance(time.Duration(rapid.IntRange(1, 90).Draw(t, "minutes")) * time.Minute)
}

func (m *model) get(t *rapid.T) {
	i, caller := m.pick(t), rapid.IntRange(0, 2).Draw(t, "caller")
	s, err := m.service.Get(context.Background(), m.callers[caller], m.made[i].id)
	if m.there(t, caller, i, err) && !s.Expires.Equal(m.made[i].expires) {
		t.Fatalf("expires %v, want %v", s.Expires, m.made[i].expires)
	}
}

// check compares every caller's list with the model, order included, and the records with each other.
func (m *model) check(t *rapid.T) {
	for caller := range m.callers {
		list, err := m.service.List(context.Background(), m.callers[caller], subscribe.ListRequest{})
		if err != nil {
			t.Fatal(err)
		}
		var got, want []string
		for i := range list.Subscriptions {
			got = append(got, list.Subscriptions[i].ID.String())
		}
		for _, k := range m.live() {
			if m.sees(caller, k) {
				want = append(want, k.id.String())
			}
		}
		created := slices.IsSortedFunc(list.Subscriptions, func(a, b heliograph.Subscription) int { return a.Created.Compare(b.Created) })
		slices.Sort(got)
		slices.Sort(want)
		if !created || !slices.Equal(got, want) {
			t.Fatalf("caller %d sees %v, want %v; in order: %v", caller, got, want, created)
		}
	}
	if err := m.consistent(); err != nil {
		t.Fatal(err)
	}
}

// consistent checks that every subscription holds exactly one place, that every place has its subscription, and
// that the counters count them.
func (h *history) consistent() error {
	if mended, err := h.service.Recount(context.Background()); err != nil || mended != 0 {
		return fmt.Errorf("%d counters were wrong, %w", mended, err)
	}
	return h.store.consistent()
}

func (m *memory) consistent() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	held := map[string]bool{}
	subscriptions := 0
	for key, r := range m.records {
		tenant, _, _ := strings.Cut(key, " ")
		if _, ok := record.ParseName(r.Name); ok {
			subscriptions++
			continue
		}
		if !strings.HasPrefix(r.Name, "uniq.") {
			continue
		}
		id, _ := heliograph.ParseGUID(string(r.Value))
		if _, ok := m.records[tenant+" "+record.Name(id)]; !ok || held[string(r.Value)] {
			return fmt.Errorf("place %s is held by %s, which is not there or holds another", r.Name, r.Value)
		}
		held[string(r.Value)] = true
	}
	if subscriptions != len(held) {
		return fmt.Errorf("%d subscriptions hold %d places", subscriptions, len(held))
	}
	return nil
}

// scan is what Recount finds counters by.
func (m *memory) scan(_ context.Context, visit func(*heliograph.Record)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.records {
		visit(&r)
	}
	return nil
}

// TestManyAtOnce has several clients do everything at once, with expiry running, and looks at what is left.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	h, err := newHistory()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	expiry := make(chan error, 1)
	go func() { expiry <- h.service.Tend(ctx) }()
	caller := user("Mail.Read")
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(worker)))
			for range 200 {
				now := h.clock.Now()
				r := requestFor("me/mailFolders/"+[]string{"a", "b", "c"}[random.IntN(3)]+"/messages", "created", now.Add(time.Hour))
				s, err := h.service.Create(ctx, caller, r)
				switch {
				case err != nil && heliograph.KindOf(err) != heliograph.Conflict:
					t.Error(err)
				case err != nil:
					h.clock.Advance(time.Minute)
				case random.IntN(2) == 0:
					text := now.Add(3 * time.Hour).Format(time.RFC3339)
					_, err = h.service.Update(ctx, caller, s.ID, subscribe.UpdateRequest{ExpirationDateTime: &text})
				default:
					err = h.service.Delete(ctx, caller, s.ID)
				}
				if k := heliograph.KindOf(err); err != nil && k != heliograph.Conflict && k != heliograph.NotFound {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := h.consistent(); err != nil {
		t.Error(err)
	}
	h.clock.Advance(4 * time.Hour)
	h.sink.untilLen(0)
	cancel()
	if err := <-expiry; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if n := h.store.len(); n != 0 || h.registry.Len() != 0 {
		t.Errorf("%d records and %d subscriptions are left when all have expired", n, h.registry.Len())
	}
}
