package match_test

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"heliograph.dev"
	"heliograph.dev/internal/catalog"
	"heliograph.dev/internal/match"
)

var (
	start = time.Date(2026, 4, 1, 12, 0, 0, 0, time.UTC)
	first = heliograph.Position{Sequence: 1}
)

// world is an index and what it should hold: the plainest model of it.
type world struct {
	catalog *catalog.Catalog
	index   *match.Index
	subs    map[heliograph.SubscriptionID]*member
}

type member struct {
	sub   *heliograph.Subscription
	watch []string
}

func newWorld(c *catalog.Catalog) *world {
	return &world{catalog: c, index: match.New(c), subs: map[heliograph.SubscriptionID]*member{}}
}

// put subscribes to s.Resource, or moves the subscription of that id there. Of several rows that have the
// resource it takes the candidate-th.
func (w *world) put(tb rapid.TB, s heliograph.Subscription, candidate int) {
	tb.Helper()
	found, err := w.catalog.Resolve(s.Resource, catalog.Me{})
	if err != nil {
		tb.Fatal(err)
	}
	r := found[candidate%len(found)]
	s.App, s.Path, s.Row, s.NotificationURL = "app", r.Path, r.Row.ID, "https://example.com/"+r.Row.ID
	w.subs[s.ID] = &member{&s, r.Watch}
	w.index.Put(match.TargetOf(&s, r.Row), r.Watch)
}

// one is a subscription of tenant one to a resource, for an hour.
func one(resource string) heliograph.Subscription {
	return heliograph.Subscription{
		ID: heliograph.NewGUID(), Tenant: "one", Resource: resource, ChangeType: heliograph.Updated, Expires: start.Add(time.Hour),
	}
}

// seen is what the model says of one subscription and one change.
type seen struct {
	Type     heliograph.ChangeType
	Withheld heliograph.Reason
	Resource string
}

func (w *world) expect(change *heliograph.Change, now time.Time) map[heliograph.SubscriptionID]seen {
	all := map[heliograph.SubscriptionID]seen{}
	for _, path := range append([]string{change.Resource}, change.Paths...) {
		w.catalog.Watchers(path, func(at *catalog.Watcher) {
			for id, m := range w.subs {
				if _, before := all[id]; before || m.sub.Tenant != change.Tenant || m.sub.Row != at.Row.ID ||
					!slices.Contains(m.watch, string(at.AppendPath(nil))) {
					continue
				}
				i := at.Instance()
				s := seen{Type: i.Type(change.Type, m.sub.ChangeType), Resource: i.Resource(m.sub.Resource, false)}
				if s.Type == 0 {
					s.Withheld = heliograph.WithheldType
				}
				if m.sub.Expired(now) {
					s.Withheld = heliograph.GivenUpExpired
				}
				all[id] = s
			}
		})
	}
	return all
}

func note(tb rapid.TB, into map[heliograph.SubscriptionID]seen, h *match.Hit) {
	tb.Helper()
	if _, before := into[h.Target.ID]; before {
		tb.Fatalf("%s visited twice", h.Target.ID)
	}
	into[h.Target.ID] = seen{h.Type, h.Withheld, h.Instance.Resource(h.Target.Resource, false)}
}

// check compares every way to ask with the model.
func (w *world) check(tb rapid.TB, changes []heliograph.Change, now time.Time) {
	tb.Helper()
	together := make([]map[heliograph.SubscriptionID]seen, len(changes))
	last := 0
	w.index.FindAll(&heliograph.Frame{Sequence: 1, Changes: changes}, now, func(i int, h *match.Hit) {
		if i < last {
			tb.Fatalf("change %d after change %d", i, last)
		}
		last = i
		if together[i] == nil {
			together[i] = map[heliograph.SubscriptionID]seen{}
		}
		note(tb, together[i], h)
	})
	for i := range changes {
		all := w.expect(&changes[i], now)
		wanted := maps.Clone(all)
		maps.DeleteFunc(wanted, func(_ heliograph.SubscriptionID, s seen) bool { return s.Withheld != "" })
		alone, explained := map[heliograph.SubscriptionID]seen{}, map[heliograph.SubscriptionID]seen{}
		at := heliograph.Position{Sequence: 1, Index: uint32(i)}
		w.index.Find(&changes[i], at, now, func(h *match.Hit) { note(tb, alone, h) })
		w.index.Explain(&changes[i], at, now, func(h *match.Hit) { note(tb, explained, h) })
		for _, got := range []map[heliograph.SubscriptionID]seen{alone, together[i]} {
			if diff := cmp.Diff(wanted, got); diff != "" && len(wanted)+len(got) > 0 {
				tb.Fatalf("%+v:\n%s", changes[i], diff)
			}
		}
		if diff := cmp.Diff(all, explained); diff != "" {
			tb.Fatalf("explained %+v:\n%s", changes[i], diff)
		}
		for id := range w.subs {
			h, ok := w.index.Match(&changes[i], at, id, now)
			want, visible := all[id]
			if ok != visible || ok && (want != seen{h.Type, h.Withheld, h.Instance.Resource(h.Target.Resource, false)}) {
				tb.Fatalf("match %+v: %+v, %t, want %+v, %t", changes[i], h, ok, want, visible)
			}
		}
	}
	if w.index.Len() != len(w.subs) {
		tb.Fatalf("%d targets, want %d", w.index.Len(), len(w.subs))
	}
}

// resources and instances meet in every way there is: exact and tenant-wide paths, one path in two rows, lists
// of ids, several paths for one change.
func resources() []string {
	return []string{
		"users/a/messages", "users/b/messages", "/Users('a')/mailFolders('Inbox')/messages", "chats/getAllMessages",
		"chats/x/messages", "users/a/chats/getAllMessages", "users/a/drive/root", "drives/d/items/f", "users", "users/a",
		"communications/presences?$filter=id in ('a','b')", "communications/presences?$filter=id in ('b','c')",
		"communications/presences/a", "teams/t/channels/getAllMembers?notifyOnIndirectMembershipUpdate=true",
		"teams/t/channels/getAllMembers", "solutions/virtualEvents/events/getEventsFromOrganizers(organizerIds=['a','b'])",
	}
}

func instances() []string {
	return []string{
		"users/a/messages/1", "users/a/mailFolders/inbox/messages/1", "users/b/messages/2", "chats/x/messages/3",
		"users/a/chats/x/messages/3", "chats/y/messages/4", "users/a/drive/root:/f/g.txt", "users/a/drive/root",
		"drives/d/items/f/children/g", "users/a", "communications/presences/a", "communications/presences/b", "users/c/presence",
		"teams/t/channels/c/members/m", "teams/t/channels/c/allMembers/m", "teams/t", "nothing/known",
		"solutions/virtualEvents/events/getEventsFromOrganizers(organizerIds=['b'])/e",
	}
}

func TestIndexAgreesWithTheModel(t *testing.T) {
	t.Parallel()
	c := load(t)
	tenants := rapid.SampledFrom([]heliograph.TenantID{"one", "two"})
	types := rapid.Map(rapid.IntRange(1, 7), func(i int) heliograph.ChangeType { return heliograph.ChangeType(i) })
	hours := rapid.IntRange(0, 3)
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(c)
		ids := make([]heliograph.SubscriptionID, 12)
		for i := range ids {
			ids[i] = heliograph.DeriveGUID(fmt.Sprint(i))
		}
		anID := rapid.SampledFrom(ids)
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				w.put(t, heliograph.Subscription{
					ID: anID.Draw(t, "id"), Tenant: tenants.Draw(t, "tenant"), Resource: rapid.SampledFrom(resources()).Draw(t, "resource"),
					ChangeType: types.Draw(t, "types"), Expires: start.Add(time.Duration(hours.Draw(t, "expires")) * time.Hour),
				}, rapid.IntRange(0, 1).Draw(t, "candidate"))
			},
			"renew": func(t *rapid.T) {
				m := w.subs[anID.Draw(t, "id")]
				if m == nil {
					return
				}
				s := *m.sub
				s.Expires = s.Expires.Add(time.Hour)
				m.sub = &s
				w.index.Put(match.TargetOf(&s, c.Row(s.Row)), m.watch)
			},
			"remove": func(t *rapid.T) {
				id := anID.Draw(t, "id")
				if _, there := w.subs[id]; w.index.Remove(id) != there || w.index.Get(id) != nil {
					t.Fatalf("removing %s: it was there: %t", id, there)
				}
				delete(w.subs, id)
			},
			"": func(t *rapid.T) {
				n := rapid.IntRange(0, 4).Draw(t, "changes")
				changes := make([]heliograph.Change, n)
				for i := range changes {
					paths := rapid.SliceOfN(rapid.SampledFrom(instances()), 1, 3).Draw(t, "paths")
					changes[i] = heliograph.Change{
						Tenant: tenants.Draw(t, "tenant"), Resource: paths[0], Paths: paths[1:],
						Type: rapid.SampledFrom([]heliograph.ChangeType{heliograph.Created, heliograph.Updated, heliograph.Deleted}).Draw(t, "type"),
					}
				}
				w.check(t, changes, start.Add(time.Duration(hours.Draw(t, "now"))*time.Hour))
			},
		})
	})
}

// A drive's root knows only updates, and names itself (contract 3.2.5, 11.17).
func TestFileBelowADriveIsAnUpdateOfItsRoot(t *testing.T) {
	t.Parallel()
	w := newWorld(load(t))
	w.put(t, one("/Users/a/drive/root"), 1)
	for _, what := range []heliograph.ChangeType{heliograph.Created, heliograph.Updated, heliograph.Deleted} {
		found := 0
		change := &heliograph.Change{Tenant: "one", Type: what, Resource: "users/a/drive/root:/new folder/a.txt"}
		w.index.Find(change, first, start, func(h *match.Hit) {
			found++
			if h.Type != heliograph.Updated || h.Instance.Resource(h.Target.Resource, false) != "/Users/a/drive/root" ||
				h.Instance.ID() != "" || h.Instance.ODataType(false) != "#Microsoft.Graph.DriveItem" {
				t.Errorf("%s: %+v", what, h)
			}
		})
		if found != 1 {
			t.Errorf("%s: found %d times", what, found)
		}
	}
}

func TestNoticesAreNoChangesOfAResource(t *testing.T) {
	t.Parallel()
	w := newWorld(load(t))
	w.put(t, one("users"), 0)
	changes := []heliograph.Change{{Tenant: "one", Type: heliograph.Updated, Resource: "users/a", Notice: &heliograph.Notice{}}}
	w.index.FindAll(&heliograph.Frame{Changes: changes}, start, func(int, *match.Hit) { t.Error("a notice was matched") })
}

func TestTargetKeepsWhatDeliveryNeeds(t *testing.T) {
	t.Parallel()
	c := load(t)
	yes := true
	s := &heliograph.Subscription{
		ID: heliograph.NewGUID(), Tenant: "one", App: "app", Row: "message", Path: "users/a/messages", Resource: "/users/a/messages?$select=id",
		ChangeType: heliograph.Created, NotificationURL: "https://example.com/n", ClientState: heliograph.NewSecret("s"), Expires: start,
		IncludeResourceData: &yes, EncryptionCertificate: "cert", EncryptionCertificateID: "1", NotificationURLAppID: "other",
		LatestSupportedTLSVersion: "v1_3", ImmutableIDs: true, IncludeSecurityWebhooks: true, IncludeUnknownEnumMembers: true,
	}
	x := match.New(c)
	x.Put(match.TargetOf(s, c.Row("message")), []string{s.Path})
	got := x.Get(s.ID)
	if got.Tenant != s.Tenant || got.App != s.App || got.Resource != s.Resource || got.Types != s.ChangeType ||
		got.URL != "https://example.com/n" || got.ClientState.Reveal() != "s" || got.Expires != start.UnixNano() ||
		got.LatestTLS != match.TLS13 || got.LatestTLS.String() != "v1_3" || got.Row != c.Row("message") ||
		*got.Rich != (match.Rich{Certificate: "cert", CertificateID: "1", URLAppID: "other"}) ||
		got.Flags != match.ImmutableIDs|match.SecurityWebhooks|match.UnknownEnumMembers {
		t.Errorf("%+v", got)
	}
	s.LatestSupportedTLSVersion, s.IncludeResourceData = "v1_0", nil
	if got := match.TargetOf(s, c.Row("message")); got.LatestTLS != match.TLS12 || got.LatestTLS.String() != "v1_2" || got.Rich != nil {
		t.Errorf("%+v", got)
	}
}

// A subscription that is renewed all the time is found all the time, once, whatever comes and goes beside it.
func TestRenewalIsNeverMissed(t *testing.T) {
	t.Parallel()
	w := newWorld(load(t))
	kept, row := heliograph.NewGUID(), w.catalog.Row("message")
	target := func(id heliograph.SubscriptionID, path string) *match.Target {
		return match.TargetOf(&heliograph.Subscription{
			ID: id, Tenant: "one", Resource: path, Path: path, ChangeType: heliograph.Created, Expires: start.Add(time.Hour),
		}, row)
	}
	const path = "users/a/messages"
	w.index.Put(target(kept, path), []string{path})
	const rounds = 2000
	var writers sync.WaitGroup
	writers.Go(func() {
		for range rounds {
			w.index.Put(target(kept, path), []string{path})
		}
	})
	writers.Go(func() {
		for i := range rounds {
			id := heliograph.DeriveGUID(fmt.Sprint(i))
			w.index.Put(target(id, path), []string{path})
			other := fmt.Sprintf("users/%d/messages", i)
			w.index.Put(target(heliograph.DeriveGUID(other), other), []string{other})
			w.index.Remove(id)
		}
	})
	stop := make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() {
		change := &heliograph.Change{Tenant: "one", Type: heliograph.Created, Resource: path + "/1"}
		for {
			found := 0
			w.index.Find(change, first, start, func(h *match.Hit) {
				if h.Target.ID == kept {
					found++
				}
			})
			if found != 1 {
				t.Errorf("found %d times", found)
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	writers.Wait()
	close(stop)
	reader.Wait()
	if w.index.Len() != 1+rounds {
		t.Errorf("%d targets", w.index.Len())
	}
}

// A million may be gone as quickly as they came, one path or many.
func TestManyOnOnePath(t *testing.T) {
	t.Parallel()
	w := newWorld(load(t))
	const n = 20_000
	ids := make([]heliograph.SubscriptionID, n)
	for i := range ids {
		s := one("users")
		ids[i] = s.ID
		w.put(t, s, 0)
	}
	change := &heliograph.Change{Tenant: "one", Type: heliograph.Created, Resource: "users/a"}
	count := func() (found int) {
		w.index.Find(change, first, start, func(*match.Hit) { found++ })
		return found
	}
	if got := count(); got != n {
		t.Errorf("found %d", got)
	}
	for i, id := range ids {
		if !w.index.Remove(id) {
			t.Fatalf("the %d-th is not there", i)
		}
	}
	if got := count(); got != 0 || w.index.Len() != 0 {
		t.Errorf("found %d, %d left", got, w.index.Len())
	}
}

func TestVisitMayUseTheIndex(t *testing.T) {
	t.Parallel()
	w := newWorld(load(t))
	s := one("users")
	w.put(t, s, 0)
	change := heliograph.Change{Tenant: "one", Type: heliograph.Updated, Resource: "users/a"}
	found := 0
	w.index.FindAll(&heliograph.Frame{Changes: []heliograph.Change{change, change}}, start, func(int, *match.Hit) {
		w.index.Find(&change, first, start, func(*match.Hit) { found++ })
		w.index.Remove(s.ID)
	})
	if found != 1 || w.index.Len() != 0 {
		t.Errorf("found %d, %d left", found, w.index.Len())
	}
}
