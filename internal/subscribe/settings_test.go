package subscribe_test

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/catalog"
	"heliograph.dev/internal/subscribe"
)

// withCatalog plays a cloud and a profile.
func withCatalog(t *testing.T, cloud, profile string) func(*subscribe.Options) {
	t.Helper()
	return func(o *subscribe.Options) {
		var err error
		if o.Catalog, err = o.Catalog.WithCloud(cloud); err == nil {
			o.Catalog, err = o.Catalog.WithProfile(profile)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestClouds(t *testing.T) { // contract 20.5 to 20.8, 8.3
	t.Parallel()
	personal := func() *heliograph.Caller {
		c := user("Mail.Read", "Files.Read")
		c.Tenant, c.Personal = heliograph.PersonalTenant, true
		return c
	}
	work := func() *heliograph.Caller {
		return user("Mail.Read", "Chat.Read", "Presence.Read.All", "Tasks.ReadWrite")
	}
	for _, tt := range []struct {
		cloud    string
		caller   *heliograph.Caller
		resource string
		rule     string
	}{
		{"global", work(), "chats/a", ""},
		{"global", work(), "communications/presences/a", ""},
		{"global", personal(), "me/messages", ""},
		{"us-l4", work(), "chats/a", ""},
		{"us-l4", work(), "communications/presences/a", "create.resource.cloud"},
		{"us-l5", work(), "me/todo/lists/a/tasks", "create.resource.cloud"},
		{"us-l5", personal(), "me/messages", "create.permission.cloud"},
		{"china", work(), "chats/a", "create.resource.cloud"},
		{"china", work(), "me/messages", ""},
		{"china", personal(), "me/drive/root", "create.resource.cloud"},
	} {
		b := newBench(t, withCatalog(t, tt.cloud, ""))
		_, err := b.service.Create(t.Context(), tt.caller, b.of(tt.resource, "updated"))
		if got := refusal(t, err); got.Rule != tt.rule || got.Rule == "create.resource.cloud" && !strings.Contains(got.Message, "Unsupported workload.") {
			t.Errorf("%s in %s: %+v, want %q", tt.resource, tt.cloud, got, tt.rule)
		}
	}
}

// Payment models were looked at until 2025-08-25 (contract 19.1, 19.4, 19.6), and are part of the resource (contract
// 19.5).
func TestPaymentModels(t *testing.T) {
	t.Parallel()
	const installed = "appCatalogs/teamsApps/a/installedToChats"
	resources := map[string]string{ // and what is wrong with their models
		"teams/getAllMessages?model=A": "", "chats/getAllMessages?model=B": "", "teams/getAllMembers?model=A": "", "chats/getAllMembers?model=b": "",
		"chats/getAllMessages":                 "", // contract 19.2: the evaluation mode
		"users/u/chats/getAllMessages?model=B": "", "users/u/chats/getAllMessages?model=A": "A",
		installed + "?model=B": "", installed + "?model=A": "A", installed + "/getAllMessages?model=A": "A", installed + "/getAllMembers?model=A": "A",
		"teams/getAllMessages?model=C": "C", "chats/getAllMembers?model=": "",
	}
	for _, profile := range []string{"2024", "2025", "2026-04"} {
		b := newBench(t, withCatalog(t, "", profile), withQuotas(t, catalog.QuotaLimit{Name: catalog.AllQuotas, Limit: 1000}))
		c := application("ChannelMessage.Read.All", "Chat.Read.All", "TeamMember.Read.All", "ChatMember.Read.All", "Chat.ReadBasic.WhereInstalled",
			"Chat.Read.WhereInstalled", "ChatMember.Read.WhereInstalled", "ChatMessage.Read.All")
		for resource, metered := range resources {
			s, err := b.service.Create(t.Context(), c, b.of(resource, "created"))
			got := refusal(t, err)
			switch wrong := metered != "" && profile != "2026-04"; {
			case wrong && (got.Rule != "create.resource.model" || !strings.Contains(got.Message, "'"+metered+"'")):
				t.Errorf("%s in %s: %+v", resource, profile, got)
			case !wrong && (err != nil || s.Resource != resource):
				t.Errorf("%s in %s: %+v, %v", resource, profile, s, err)
			}
		}
	}
}

// Older profiles have shorter leases (contract 17.1, 17.2).
func TestLeasesOfOldProfiles(t *testing.T) {
	t.Parallel()
	b, c := newBench(t, withCatalog(t, "", "2022")), user("Mail.Read", "Chat.Read")
	r := b.message()
	r.ExpirationDateTime = in(4231 * time.Minute)
	_, err := b.service.Create(t.Context(), c, r)
	if got := refusal(t, err); got.Message != "Subscription expiration can only be 4230 minutes in the future." {
		t.Errorf("%+v", got)
	}
	r = b.of("chats/a", "created")
	r.ExpirationDateTime = in(61 * time.Minute)
	if _, err := b.service.Create(t.Context(), c, r); !strings.Contains(refusal(t, err).Message, "beyond allowed max '01:00:00'") {
		t.Errorf("%v", err)
	}
}

func TestQueryOptions(t *testing.T) {
	t.Parallel()
	yes := true
	b := newBench(t)
	for name, tt := range map[string]struct {
		resource, permission string
		app                  bool
		change               func(*subscribe.CreateRequest)
		rule                 string
	}{
		"user-specific properties":                  {resource: "chats/a?notifyOnUserSpecificProperties=true", permission: "Chat.Read"}, // contract 13.21
		"spelled with a $":                          {resource: "me/chats?$notifyOnUserSpecificProperties=True", permission: "Chat.Read"},
		"by an application":                         {resource: "chats/b?notifyOnUserSpecificProperties=true", permission: "Chat.Read.All", app: true, rule: "create.query.delegated"},
		"not wanted by an application":              {resource: "chats/c?notifyOnUserSpecificProperties=false", permission: "Chat.Read.All", app: true},
		"where there are none":                      {resource: "chats/a/messages?notifyOnUserSpecificProperties=true", permission: "Chat.Read", rule: "create.query"},
		"neither true nor false":                    {resource: "chats/d?notifyOnUserSpecificProperties=maybe", permission: "Chat.Read", rule: "create.query.boolean"},
		"consent neither true nor false":            {resource: "appCatalogs/teamsApps/a/installations?useResourceSpecificConsentBasedAuthorization=x", permission: "TeamsAppInstallation.Read.All", app: true, rule: "create.query.boolean"}, // contract 8.8
		"options of a printer":                      {resource: "print/printers/a/jobs", permission: "Printer.Read.All", app: true, change: withOptions},                                                                                      // contract 1.15, 18.9
		"options of a resource that has them not":   {resource: "me/messages", permission: "Mail.Read", change: withOptions, rule: "create.query_options"},
		"selected properties without resource data": {resource: "me/messages?$select=subject,body", permission: "Mail.Read", rule: "create.query"}, // contract 3.3.3
		"ordered":              {resource: "me/events?$orderby=start", permission: "Calendars.Read", rule: "create.query"}, // contract 3.3.3
		"skipped":              {resource: "me/contacts?$skip=1", permission: "Contacts.Read", rule: "create.query"},
		"presence of a list":   {resource: "communications/presences?$filter=id in ('" + strings.Join(ids(650), "','") + "')", permission: "Presence.Read.All"},                                       // contract 16.10
		"presence of too many": {resource: "communications/presences?$filter=id in ('" + strings.Join(ids(651), "','") + "')", permission: "Presence.Read.All", rule: "create.resource.ids"},          // contract 16.10
		"presence, twice each": {resource: "communications/presences?$filter=id in ('" + strings.Join(slices.Repeat(ids(400), 2), "','") + "')", permission: "Presence.Read.All"},                     // distinct ids count
		"rich without $select": {resource: "me/events", permission: "Calendars.Read", change: func(r *subscribe.CreateRequest) { r.IncludeResourceData = &yes }, rule: "create.rich.select.required"}, // contract 3.3.2
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := user(tt.permission)
			if tt.app {
				c = application(tt.permission)
			}
			r := b.of(tt.resource, "updated")
			if tt.change != nil {
				tt.change(&r)
			}
			_, err := b.service.Create(t.Context(), c, r)
			if got := refusal(t, err); got.Rule != tt.rule {
				t.Errorf("%+v, want %q", got, tt.rule)
			}
		})
	}
}

func withOptions(r *subscribe.CreateRequest) {
	r.NotificationQueryOptions = "$filter = isFetchable eq true"
}

func ids(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = guid()
	}
	return list
}

// A PATCH and a reauthorize within ten minutes are reported, and refused by the strict (contract 7.11).
func TestReauthorizeGap(t *testing.T) {
	t.Parallel()
	until := in(5 * time.Hour)
	renew := func(b *bench, c *heliograph.Caller, id heliograph.SubscriptionID) error {
		_, err := b.service.Update(t.Context(), c, id, subscribe.UpdateRequest{ExpirationDateTime: &until})
		return err
	}
	reauthorize := func(b *bench, c *heliograph.Caller, id heliograph.SubscriptionID) error {
		_, err := b.service.Reauthorize(t.Context(), c, id)
		return err
	}
	type call = func(*bench, *heliograph.Caller, heliograph.SubscriptionID) error
	for name, tt := range map[string]struct {
		first, second call
		after         time.Duration
		told          string // of the strict
	}{
		"renewed, then reauthorized":   {renew, reauthorize, 10*time.Minute - time.Microsecond, "The subscription was updated less than 10 minutes ago."},
		"reauthorized, then renewed":   {reauthorize, renew, 0, "The subscription was reauthorized less than 10 minutes ago."},
		"late enough":                  {renew, reauthorize, 10 * time.Minute, ""},
		"renewed twice":                {renew, renew, time.Second, ""},
		"reauthorized twice":           {reauthorize, reauthorize, time.Second, ""},
		"renewed when late, by itself": {func(*bench, *heliograph.Caller, heliograph.SubscriptionID) error { return nil }, renew, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, strict := range []bool{false, true} {
				var log bytes.Buffer
				b := newBench(t, func(o *subscribe.Options) { o.Strict, o.Logger = strict, slog.New(slog.NewTextHandler(&log, nil)) })
				c := user("Mail.Read")
				s := b.created(t, c)
				if err := tt.first(b, c, s.ID); err != nil {
					t.Fatal(err)
				}
				b.clock.Advance(tt.after)
				got := refusal(t, tt.second(b, c, s.ID))
				stored, err := b.service.Get(t.Context(), c, s.ID)
				if err != nil {
					t.Fatal(err)
				}
				if strict {
					if (got.Rule == "update.reauthorize_gap") != (tt.told != "") || !strings.Contains(got.Message, tt.told) || !stored.Hurried.IsZero() {
						t.Errorf("strict: %+v, %v", got, stored.Hurried)
					}
					continue
				}
				if got.Rule != "" || stored.Hurried.Equal(b.clock.Now()) != (tt.told != "") || strings.Contains(log.String(), "too short a time") != (tt.told != "") {
					t.Errorf("%+v, %v, log %q", got, stored.Hurried, log.String())
				}
			}
		})
	}
}

// Where renewals are proved, every endpoint is asked each time, and a renewal fails like a create (contract 4.12).
func TestProvedRenewals(t *testing.T) {
	t.Parallel()
	b, c := newBench(t, func(o *subscribe.Options) { o.ProveRenewals = true }), user("Mail.Read")
	s := b.created(t, c, func(r *subscribe.CreateRequest) { r.LifecycleNotificationURL = b.receiver.URL + "/life" })
	b.receiver.calls()
	until := in(2 * 24 * time.Hour)
	if _, err := b.service.Update(t.Context(), c, s.ID, subscribe.UpdateRequest{ExpirationDateTime: &until}); err != nil || len(b.receiver.calls()) != 2 {
		t.Error(err)
	}
	b.receiver.Close()
	if _, err := b.service.Update(t.Context(), c, s.ID, subscribe.UpdateRequest{ExpirationDateTime: &until}); refusal(t, err).Rule != "handshake.connect" {
		t.Errorf("%v", err)
	}
}

// A list shows what the token's permissions are for, and to Subscription.Read.All what it reaches (contract 6.5 to 6.9).
func TestListsByPermission(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	adele := user("Mail.Read", "Calendars.Read", "Chat.Read", "Schedule.Read.All")
	daemon := *adele
	daemon.Delegated, daemon.Object, daemon.Scopes, daemon.Roles = false, "service", nil, []string{"CallRecords.Read.All", "Mail.Read"}
	names := map[heliograph.SubscriptionID]string{}
	make := func(c *heliograph.Caller, resource, types string) {
		t.Helper()
		s, err := b.service.Create(t.Context(), c, b.of(resource, types))
		if err != nil {
			t.Fatal(err)
		}
		names[s.ID] = resource
	}
	make(adele, "me/messages", "created")
	make(adele, "me/events", "created")
	make(adele, "me/chats/getAllMessages", "created")
	make(adele, "teams/a/schedule/shifts", "created")
	make(&daemon, "communications/callRecords", "created")
	make(&daemon, "users/bob/messages", "created")
	for name, tt := range map[string]struct {
		change func(c *heliograph.Caller)
		lists  string
	}{
		"a user with one permission": {func(c *heliograph.Caller) { c.Scopes = []string{"Calendars.Read"} }, "me/events"},
		"a user with none":           {func(c *heliograph.Caller) { c.Scopes = []string{"openid"} }, ""},
		"an application with one":    {func(c *heliograph.Caller) { *c = daemon; c.Roles = []string{"CallRecords.Read.All"} }, "communications/callRecords"},
		"an application's Read.All":  {func(c *heliograph.Caller) { *c = daemon; c.Roles = []string{"Subscription.Read.All"} }, ""}, // contract 6.9: for users only
		"a user who reads all":       {func(c *heliograph.Caller) { c.Scopes = []string{"Subscription.Read.All"} }, "me/events me/messages"},
		"with a permission besides":  {func(c *heliograph.Caller) { c.Scopes = []string{"Subscription.Read.All", "Schedule.Read.All"} }, "me/events me/messages teams/a/schedule/shifts"},
		"an administrator": {func(c *heliograph.Caller) {
			c.Scopes, c.DirectoryRoles = []string{"Subscription.Read.All"}, []string{heliograph.GlobalAdministrator}
		}, "me/events me/messages users/bob/messages"},
		"an administrator by another": {func(c *heliograph.Caller) {
			c.App, c.Object, c.Scopes, c.DirectoryRoles = "x", "y", []string{"Subscription.Read.All", "Schedule.Read.All"}, []string{heliograph.GlobalAdministrator}
		}, "me/events me/messages users/bob/messages"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := *adele
			tt.change(&c)
			list, err := b.service.List(t.Context(), &c, subscribe.ListRequest{})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for i := range list.Subscriptions {
				got = append(got, names[list.Subscriptions[i].ID])
			}
			slices.Sort(got)
			if strings.Join(got, " ") != tt.lists {
				t.Errorf("lists %q, want %q", got, tt.lists)
			}
		})
	}
}

// The key of page tokens is made once and found by every node, and again after a restart.
func TestTokenKey(t *testing.T) {
	t.Parallel()
	b, store := newMemoryBench(t)
	c := user("Mail.Read")
	b.fill(t, c, 101)
	key, err := subscribe.TokenKey(t.Context(), store)
	if err != nil || len(key) != 32 {
		t.Fatalf("%x, %v", key, err)
	}
	b.start(t, store, func(o *subscribe.Options) { o.TokenKey = key })
	first, err := b.service.List(t.Context(), c, subscribe.ListRequest{})
	if err != nil {
		t.Fatal(err)
	}
	again, err := subscribe.TokenKey(t.Context(), store)
	if err != nil || !bytes.Equal(again, key) {
		t.Errorf("%x, %v", again, err)
	}
	b.start(t, store, func(o *subscribe.Options) { o.TokenKey = again })
	if list, err := b.service.List(t.Context(), c, subscribe.ListRequest{SkipToken: first.Next}); err != nil || len(list.Subscriptions) != 1 {
		t.Errorf("%+v, %v", list, err)
	}
}
