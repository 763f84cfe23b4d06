package subscribe_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/catalog"
	"heliograph.dev/internal/subscribe"
)

// withQuotas sets limits.
func withQuotas(t *testing.T, limits ...catalog.QuotaLimit) func(*subscribe.Options) {
	t.Helper()
	return func(o *subscribe.Options) {
		var err error
		if o.Catalog, err = o.Catalog.WithQuotas(limits...); err != nil {
			t.Fatal(err)
		}
	}
}

// of is a request for a resource that passes otherwise.
func (b *bench) of(resource, types string) subscribe.CreateRequest {
	r := b.message()
	r.Resource, r.ChangeType, r.ExpirationDateTime = resource, types, in(time.Hour)
	return r
}

// all creates requests at once, each by one of the services, and returns those that were made and the refusals.
func all(t *testing.T, c *heliograph.Caller, requests []subscribe.CreateRequest, services ...*subscribe.Service) (made []heliograph.SubscriptionID, refused []heliograph.Error) {
	t.Helper()
	var (
		wg sync.WaitGroup
		mu sync.Mutex
	)
	for i := range requests {
		wg.Go(func() {
			s, err := services[i%len(services)].Create(t.Context(), c, requests[i])
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				made = append(made, s.ID)
				return
			}
			e, ok := errors.AsType[*heliograph.Error](err)
			if !ok {
				t.Errorf("%v is no *heliograph.Error", err)
				return
			}
			refused = append(refused, *e)
		})
	}
	wg.Wait()
	return made, refused
}

func TestQuotaOnTwoNodes(t *testing.T) { // contract 16.2, 16.16, 5.34
	t.Parallel()
	const limit, creates = 10, 40
	set := withQuotas(t, catalog.QuotaLimit{Name: "outlook.user", Limit: limit})
	one, two := newBench(t, set), newBench(t, set)
	c := user("Mail.Read")
	requests := make([]subscribe.CreateRequest, creates)
	for i := range requests {
		requests[i] = one.of("me/mailFolders/"+guid()+"/messages", "created")
	}
	made, refused := all(t, c, requests, one.service, two.service)
	if len(made) != limit {
		t.Fatalf("%d made, want %d", len(made), limit)
	}
	const text = "Operation: Create; Exception: [Status Code: 429; Reason: Resource 'SubscriptionCountReached' has reached limit of '10'.  Please retry after '12/31/9999 11:59:59 PM'.]"
	for _, e := range refused {
		if e.Rule != "create.quota.mailbox" || e.Kind != heliograph.Limited || e.Code != "ExtensionError" || e.Message != text {
			t.Fatalf("%+v", e)
		}
	}
	// Whatever goes makes room, at once and on every node.
	for i, id := range made[:4] {
		service := []*subscribe.Service{one.service, two.service}[i%2]
		if err := service.Delete(t.Context(), c, id); err != nil {
			t.Fatal(err)
		}
	}
	again, _ := all(t, c, requests, one.service, two.service)
	if len(again) > 4 || len(again) == 0 { // some of the requests are twins of what is left
		t.Errorf("%d made when 4 had gone", len(again))
	}
	one.consistentCounters(t)
}

// consistentCounters fails when a counter is not what it counts.
func (b *bench) consistentCounters(t *testing.T) {
	t.Helper()
	if mended, err := b.service.Recount(t.Context()); err != nil || mended != 0 {
		t.Errorf("%d counters were wrong, %v", mended, err)
	}
}

// TestQuotas fills a quota that is set to two, and looks at who shares it and what the third is told.
func TestQuotas(t *testing.T) {
	t.Parallel()
	const chat, team = "19:a@thread.v2", "6a3f7c12-4c61-4a0e-9a55-6e3f0b7a9d01"
	tests := map[string]struct {
		limit    catalog.QuotaLimit
		app      bool // by an application's token
		scopes   string
		full     []string // resource and change types
		third    string
		rule     string
		text     string
		besides  string // what has room all the same
		elsewise func(*heliograph.Caller)
	}{
		"directory, one application": { // contract 16.1
			limit: catalog.QuotaLimit{Name: "directory.app", Limit: 2}, app: true, scopes: "User.Read.All Group.Read.All",
			full: []string{"users updated", "groups deleted"}, third: "groups/" + team + " updated", rule: "create.quota",
			text:     "Operation: Create; Exception: [Status Code: Forbidden; Reason: The limit of 2 subscriptions per app has been reached (directory.app).]", // contract 5.32
			elsewise: func(c *heliograph.Caller) { c.App = heliograph.AppID(guid()) },
		},
		"directory, one tenant": { // contract 16.1
			limit: catalog.QuotaLimit{Name: "directory.tenant", Limit: 2}, app: true, scopes: "User.Read.All Group.Read.All",
			full: []string{"users updated", "groups deleted"}, third: "groups updated", rule: "create.quota", text: "per tenant has been reached (directory.tenant)",
			elsewise: func(c *heliograph.Caller) { c.Tenant = heliograph.TenantID(guid()) },
		},
		"directory, all tenants": { // contract 16.1
			limit: catalog.QuotaLimit{Name: "directory.app.all", Limit: 2}, app: true, scopes: "User.Read.All Group.Read.All",
			full: []string{"users updated", "groups deleted"}, third: "groups updated", rule: "create.quota", text: "(directory.app.all)",
			elsewise: func(c *heliograph.Caller) { c.App = heliograph.AppID(guid()) },
		},
		"mailbox": { // contract 16.2
			limit: catalog.QuotaLimit{Name: "outlook", Limit: 2}, app: true, scopes: "Mail.Read Calendars.Read",
			full: []string{"users/" + team + "/messages created", "users/" + team + "/events created"}, third: "users/" + team + "/messages deleted",
			rule: "create.quota.mailbox", text: "has reached limit of '2'", besides: "users/" + chat + "/messages created",
		},
		"Teams": { // contract 16.3
			limit: catalog.QuotaLimit{Name: "teams", Limit: 2}, app: true, scopes: "Chat.Read.All Team.ReadBasic.All",
			full: []string{"chats/" + chat + " created", "teams/" + team + " updated"}, third: "chats/b created", rule: "create.quota", text: "(teams.tenant)",
			elsewise: func(c *heliograph.Caller) { c.Tenant = heliograph.TenantID(guid()) },
		},
		"one chat": { // contract 16.4
			app: true, scopes: "Chat.Read.All", full: []string{"chats/" + chat + " created"}, third: "chats/" + chat + " updated", rule: "create.quota",
			text: "per app and chat has been reached (chat.item.app+chat)", besides: "chats/b updated",
		},
		"one channel": { // contract 16.4
			app: true, scopes: "ChannelMessage.Read.All", full: []string{"teams/a/channels/b/messages created"}, third: "teams/a/channels/b/messages updated",
			rule: "create.quota", text: "per app and channel", besides: "teams/a/channels/c/messages created",
		},
		"chats of one user": { // contract 16.4
			limit: catalog.QuotaLimit{Name: "chatMessage.user", Limit: 2}, app: true, scopes: "Chat.Read.All",
			full: []string{"users/u/chats/getAllMessages created", "users/u/chats/getAllMessages updated"}, third: "users/u/chats/getAllMessages deleted",
			rule: "create.quota", text: "per user", besides: "users/v/chats/getAllMessages created",
		},
		"one team's members": { // contract 16.5
			app: true, scopes: "TeamMember.Read.All", full: []string{"teams/a/members created"}, third: "teams/a/members updated", rule: "create.quota",
			text: "per app and team", besides: "teams/b/members created",
		},
		"call records": { // contract 16.6
			limit: catalog.QuotaLimit{Name: "callRecord.tenant", Limit: 1}, app: true, scopes: "CallRecords.Read.All",
			full: []string{"communications/callRecords created"}, third: "communications/callRecords updated", rule: "create.quota", text: "per tenant",
		},
		"recordings of one meeting": { // contract 16.7
			app: true, scopes: "OnlineMeetingRecording.Read.All", full: []string{"communications/onlineMeetings/a/recordings created"},
			third: "communications/onlineMeetings/a/recordings?x=1 created", rule: "create.quota", text: "per app and meeting", besides: "communications/onlineMeetings/b/recordings created",
		},
		"interactions": { // contract 16.8
			app: true, scopes: "AiEnterpriseInteraction.Read.All", full: []string{"copilot/interactionHistory/getAllEnterpriseInteractions created"},
			third: "copilot/interactionHistory/getAllEnterpriseInteractions updated", rule: "create.quota", text: "per app has been reached (aiInteraction.tenant.app)",
			besides: "copilot/users/u/interactionHistory/getAllEnterpriseInteractions created",
		},
		"one meeting": { // contract 16.9
			app: true, scopes: "OnlineMeetings.Read.All", full: []string{"communications/onlineMeetings(joinWebUrl='https%3A%2F%2Fa')/meetingCallEvents updated"},
			third: "communications/onlineMeetings(joinWebUrl='https%253A%252F%252Fa')/meetingCallEvents?x=1 updated", rule: "create.quota", text: "joinWebUrl",
			besides: "communications/onlineMeetings(joinWebUrl='https%3A%2F%2Fb')/meetingCallEvents updated",
		},
		"presence": { // contract 16.10, 5.36, 16.17
			scopes: "Presence.Read.All", full: []string{"communications/presences/a updated"}, third: "communications/presences/b updated", rule: "create.quota.presence",
			text:     "Operation: Create; Exception: [Status Code: Conflict; Reason: A subscripton already exists. It must be deleted before a another can be made.]", //nolint:misspell // Graph writes so
			elsewise: func(c *heliograph.Caller) { c.Object = heliograph.ObjectID(guid()) },
		},
		"shifts of one application": { // contract 16.11
			app: true, scopes: "Schedule.Read.All", full: []string{"teams/a/schedule/shifts created"}, third: "teams/a/schedule/shifts updated", rule: "create.quota",
			text: "per app and path", besides: "teams/b/schedule/shifts created",
		},
		"approvals": { // contract 16.12
			app: true, scopes: "ApprovalSolution.ReadWrite.All", full: []string{"solutions/approval/approvalItems created"}, third: "solutions/approval/approvalItems updated",
			rule: "create.quota", text: "(approvalItem.app)",
		},
		"virtual events": { // contract 16.13
			app: true, scopes: "VirtualEvent.Read.All", full: []string{"solutions/virtualEvents/webinars/a/sessions created"},
			third: "solutions/virtualEvents/webinars/a/sessions updated", rule: "create.quota", text: "per app and path", besides: "solutions/virtualEvents/webinars/a/registrations created",
		},
		"emergency calls": { // contract 16.14, 5.37
			app: true, scopes: "CallEvents-Emergency.Read.All", full: []string{"communications/calls/getEmergencyEventsByPolicy(policyName='a') updated"},
			third: "communications/calls/getEmergencyEventsByPolicy(policyName='a')?x=1 updated", rule: "create.quota.emergency", text: "Status Code: Conflict",
			besides: "communications/calls/getEmergencyEventsByPolicy(policyName='b') updated",
		},
		"drives, once somebody says how many": { // contract 16.15, 5.33
			limit: catalog.QuotaLimit{Name: "driveItem.business", Limit: 1}, app: true, scopes: "Files.Read.All", full: []string{"drives/a/root updated"},
			third: "drives/b/root updated", rule: "create.quota.drive",
			text: "Operation: Create; Exception: [Status Code: Forbidden; Reason: Maximum number of subscriptions has been reached]",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var change []func(*subscribe.Options)
			if tt.limit.Name != "" {
				change = append(change, withQuotas(t, tt.limit))
			}
			b := newBench(t, change...)
			c := user(strings.Fields(tt.scopes)...)
			if tt.app {
				c = application(strings.Fields(tt.scopes)...)
			}
			create := func(what string) (*heliograph.Subscription, error) {
				resource, types, _ := strings.Cut(what, " ")
				r := b.of(resource, types)
				if strings.Contains(resource, "Emergency") {
					rich(&r)
					r.Resource = resource
				}
				return b.service.Create(t.Context(), c, r)
			}
			var last *heliograph.Subscription
			for _, what := range tt.full {
				var err error
				if last, err = create(what); err != nil {
					t.Fatalf("%s: %v", what, err)
				}
			}
			b.receiver.calls()
			_, err := create(tt.third)
			if got := refusal(t, err); got.Rule != tt.rule || !strings.Contains(got.Message, tt.text) {
				t.Fatalf("%+v, want %s: %s", got, tt.rule, tt.text)
			}
			if calls := b.receiver.calls(); len(calls) > 0 {
				t.Errorf("the endpoint of what has no room was called: %q", calls)
			}
			if tt.besides != "" {
				if _, err := create(tt.besides); err != nil {
					t.Errorf("%s: %v", tt.besides, err)
				}
			}
			if err := b.service.Delete(t.Context(), c, last.ID); err != nil {
				t.Fatal(err)
			}
			if _, err := create(tt.third); err != nil {
				t.Errorf("when there was room again: %v", err)
			}
			if tt.elsewise != nil {
				tt.elsewise(c)
				if _, err := create(tt.third); err != nil {
					t.Errorf("of another: %v", err)
				}
			}
			b.consistentCounters(t)
		})
	}
}

// A twin is told which subscription it is the twin of, where its resource is full with just that one (contract 5.35).
func TestTwinBeforeQuota(t *testing.T) {
	t.Parallel()
	b, c := newBench(t), application("Chat.Read.All", "Sites.Read.All")
	first, err := b.service.Create(t.Context(), c, b.of("chats/a", "created"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.service.Create(t.Context(), c, b.of("/Chats('a')", "created"))
	if got := refusal(t, err); got.Message != "Subscription Id "+first.ID.String()+" already exists for the requested combination" {
		t.Errorf("%+v", got)
	}
	// SharePoint answers no 409: an application may have equal subscriptions of a list.
	for range 2 {
		if _, err := b.service.Create(t.Context(), c, b.of("sites/a/lists/b", "updated")); err != nil {
			t.Error(err)
		}
	}
}

// What has expired makes room before anybody has removed it.
func TestExpiredMakesRoom(t *testing.T) {
	t.Parallel()
	b, store := newMemoryBench(t, withQuotas(t, catalog.QuotaLimit{Name: "outlook", Limit: 2}))
	c := user("Mail.Read")
	b.fill(t, c, 2)
	if _, err := b.service.Create(t.Context(), c, b.of("me/messages", "created")); refusal(t, err).Rule != "create.quota.mailbox" {
		t.Fatal(err)
	}
	b.clock.Advance(25 * time.Hour)
	r := b.of("me/messages", "created")
	r.ExpirationDateTime = in(48 * time.Hour)
	if _, err := b.service.Create(t.Context(), c, r); err != nil {
		t.Fatal(err)
	}
	if b.registry.Len() != 1 || store.len() != 3 {
		t.Errorf("%d subscriptions, %d records are left", b.registry.Len(), store.len())
	}
}

// On one node a quota over all tenants is as exact as the others.
func TestQuotaOverAllTenants(t *testing.T) {
	t.Parallel()
	const limit = 5
	b := newBench(t, withQuotas(t, catalog.QuotaLimit{Name: "directory.app.all", Limit: limit}))
	app := heliograph.AppID(guid())
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		made int
	)
	for range 4 * limit {
		wg.Go(func() {
			c := application("User.Read.All")
			c.App = app
			_, err := b.service.Create(t.Context(), c, b.of("users", "updated"))
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				made++
			} else if got := refusal(t, err); got.Rule != "create.quota" {
				t.Errorf("%+v", got)
			}
		})
	}
	wg.Wait()
	if made != limit {
		t.Errorf("%d made, want %d", made, limit)
	}
}

// Counters that are wrong are mended when the program starts to count by other quotas than before, and only then.
func TestSettle(t *testing.T) {
	t.Parallel()
	b, store := newMemoryBench(t)
	c := user("Mail.Read", "Chat.Read")
	b.fill(t, c, 3)
	settle := func(want int) {
		t.Helper()
		if mended, err := b.service.Settle(t.Context()); err != nil || mended != want {
			t.Errorf("%d counters mended, %v; want %d", mended, err, want)
		}
	}
	settle(0)
	if _, err := store.Commit(t.Context(), c.Tenant, store.spoiled(c.Tenant)); err != nil {
		t.Fatal(err)
	}
	settle(0) // by the same quotas as before: not looked at
	set := withQuotas(t, catalog.QuotaLimit{Name: "driveItem.business", Limit: 3})
	b.start(t, store, func(o *subscribe.Options) { o.Scan = store.scan }, set)
	settle(2)
	settle(0)
	b.consistentCounters(t)
	b.start(t, store, func(o *subscribe.Options) { o.Scan = store.scan }, withQuotas(t, catalog.QuotaLimit{Name: catalog.AllQuotas}))
	settle(1) // nothing is limited any more: the mailbox's counter goes
}

// spoiled returns writes that make counters wrong: one that there is, and one of nothing.
func (m *memory) spoiled(tenant heliograph.TenantID) []heliograph.Write {
	writes := []heliograph.Write{{Name: "quota." + guid(), Value: []byte("7")}}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.records {
		if r.Tenant == tenant && strings.HasPrefix(r.Name, "quota.") {
			writes = append(writes, heliograph.Write{Name: r.Name, Value: []byte("99"), Expect: r.Revision})
		}
	}
	return writes
}

// gated is a store whose commits wait to be let through.
type gated struct {
	*memory
	gate    chan struct{}
	commits int
}

func (g *gated) Commit(ctx context.Context, tenant heliograph.TenantID, writes []heliograph.Write) (uint64, error) {
	<-g.gate
	g.commits++
	return g.memory.Commit(ctx, tenant, writes)
}

// TestOrdersTogether has many creates of one tenant come while a commit is on its way: they go together in the next.
func TestOrdersTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, err := newHistory()
		if err != nil {
			t.Fatal(err)
		}
		store := &gated{memory: h.store, gate: make(chan struct{})}
		h.start(store)
		c := user("Mail.Read")
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Go(func() {
				r := requestFor("me/mailFolders/f"+strconv.Itoa(i)+"/messages", "created", start.Add(time.Hour))
				if _, err := h.service.Create(t.Context(), c, r); err != nil {
					t.Error(err)
				}
			})
		}
		done := make(chan struct{})
		go func() {
			wg.Wait()
			close(done)
		}()
		for waiting := true; waiting; {
			synctest.Wait() // until all who are not in the commit wait for the next
			select {
			case store.gate <- struct{}{}:
			case <-done:
				waiting = false
			}
		}
		if store.commits > 2 { // one with whoever came first, one with all others
			t.Errorf("%d commits", store.commits)
		}
		close(store.gate)
		if err := h.consistent(); err != nil {
			t.Error(err)
		}
	})
}

// A create whose caller has gone is not begun, and does not keep the others waiting.
func TestOrderGivenUp(t *testing.T) {
	t.Parallel()
	b, store := newMemoryBench(t)
	c := user("Mail.Read")
	gone, cancel := context.WithCancel(t.Context())
	b.receiver.answers(echoThen(cancel))
	if _, err := b.service.Create(gone, c, b.message()); err == nil {
		t.Error("made for nobody")
	}
	b.receiver.answers(nil)
	if _, err := b.service.Create(t.Context(), c, b.message()); err != nil {
		t.Error(err)
	}
	if store.len() != 3 {
		t.Errorf("%d records", store.len())
	}
}

// BenchmarkCreate makes subscriptions of one tenant, all of which share counters, on the engine with synced commits.
func BenchmarkCreate(b *testing.B) {
	for _, at := range []struct {
		name     string
		limit    catalog.QuotaLimit
		resource string
	}{
		{"no quota", catalog.QuotaLimit{Name: catalog.AllQuotas}, "me/mailFolders/%d/messages"},
		{"quota of one mailbox", catalog.QuotaLimit{Name: "outlook", Limit: 1 << 30}, "me/mailFolders/%d/messages"},
		{"quotas of Teams", catalog.QuotaLimit{Name: "teams", Limit: 1 << 30}, "chats/%d/messages"},
	} {
		for _, workers := range []int{1, 16, 64} {
			b.Run(fmt.Sprintf("%s/%d", at.name, workers), func(b *testing.B) { benchmarkCreate(b, workers, at.limit, at.resource) })
		}
	}
}

func benchmarkCreate(b *testing.B, workers int, limit catalog.QuotaLimit, resource string) {
	b.Helper()
	h, err := newEngineHistory(b, limit)
	if err != nil {
		b.Fatal(err)
	}
	c := user("Mail.Read", "Chat.Read")
	next := make(chan int)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := range next {
				r := requestFor(fmt.Sprintf(resource, i), "created", start.Add(time.Hour))
				if _, err := h.service.Create(b.Context(), c, r); err != nil {
					b.Error(err)
				}
			}
		})
	}
	b.ResetTimer()
	for i := range b.N {
		next <- i
	}
	close(next)
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "creates/s")
}
