package catalog_test

import (
	"strings"
	"testing"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/catalog"
)

// What the delivery page said over the years (contract 10.20 to 10.23), and what leases and payment models were.
func TestProfilesOverTheYears(t *testing.T) {
	t.Parallel()
	type rules struct {
		first, retry                  time.Duration
		after                         int
		slowOver, slowDelay, dropOver time.Duration
		metered                       bool
		message, chatMessage          time.Duration
	}
	const day = 24 * time.Hour
	c := load(t)
	for name, want := range map[string]rules{
		"2022":    {3 * time.Second, 3 * time.Second, 100, 2900 * time.Millisecond, 10 * time.Minute, 2900 * time.Millisecond, true, 4230 * time.Minute, time.Hour}, // contract 10.20, 17.1, 17.2
		"2024":    {3 * time.Second, 3 * time.Second, 10, 3 * time.Second, 10 * time.Second, 3 * time.Second, true, 7 * day, 3 * day},                               // contract 10.21
		"2025":    {10 * time.Second, 10 * time.Second, 10, 10 * time.Second, 10 * time.Second, 10 * time.Second, true, 7 * day, 3 * day},                           // contract 10.22
		"2026-04": {3 * time.Second, 10 * time.Second, 10, 3 * time.Second, 10 * time.Minute, 10 * time.Second, false, 7 * day, 3 * day},                            // contract 10.23, 19.4
	} {
		dated, err := c.WithProfile(name)
		if err != nil {
			t.Fatal(err)
		}
		p := dated.Profile()
		e := p.Endpoint
		got := rules{
			p.FirstTimeout, p.RetryTimeout, e.After, e.SlowOver, e.SlowDelay, e.DropOver, p.Metered,
			p.MaxLifetime(c.Row("message"), false), p.MaxLifetime(c.Row("chatMessage.chat"), false),
		}
		if got != want {
			t.Errorf("%s:\n%+v, want\n%+v", name, got, want)
		}
		if e.Window != 10*time.Minute || e.SlowShare != 0.10 || e.DropShare != 0.15 || e.DropFor != 10*time.Minute || p.RetryWindow != 4*time.Hour {
			t.Errorf("%s: %+v", name, e)
		}
		if p.ReauthorizeGap != 10*time.Minute || p.MaxLifetime(c.Row("message"), true) != day { // contract 7.11, 3.3.8
			t.Errorf("%s: %+v", name, p)
		}
	}
}

func TestClouds(t *testing.T) { // contract 20.1 to 20.8
	t.Parallel()
	c := load(t)
	if c.Cloud().Name != catalog.DefaultCloud {
		t.Errorf("plays %s", c.Cloud().Name)
	}
	for name, want := range map[string]struct {
		graph, login string
		personal     bool
		without      string // rows that are not there, among others
		with         string
	}{
		"global": {"https://graph.microsoft.com", "https://login.microsoftonline.com", true, "", "presence todoTask driveItem.personal"},
		"us-l4":  {"https://graph.microsoft.us", "https://login.microsoftonline.us", false, "presence todoTask driveItem.personal callAiInsight channel.sharedWithTeams", "message chatMessage.chat"}, // contract 20.6, 20.7
		"us-l5":  {"https://dod-graph.microsoft.us", "https://login.microsoftonline.us", false, "presence todoTask", "message team.item"},
		"china":  {"https://microsoftgraph.chinacloudapi.cn", "https://login.chinacloudapi.cn", false, "chatMessage.chat team.item presence todoTask callRecord shift", "message user"}, // contract 20.5
	} {
		played, err := c.WithCloud(name)
		if err != nil {
			t.Fatal(err)
		}
		cloud := played.Cloud()
		if cloud.Graph != want.graph || cloud.Login != want.login || cloud.Personal != want.personal || cloud.Audiences()[0] != want.graph {
			t.Errorf("%+v", cloud)
		}
		for id := range strings.FieldsSeq(want.without) {
			if cloud.Has(c.Row(id)) {
				t.Errorf("%s has %s", name, id)
			}
		}
		for id := range strings.FieldsSeq(want.with) {
			if !cloud.Has(c.Row(id)) {
				t.Errorf("%s has no %s", name, id)
			}
		}
		if name == "china" {
			for _, r := range c.Rows() {
				if r.Workload == "teams" && cloud.Has(r) && r.Family != "aiInteraction" {
					t.Errorf("china has %s, which is of Teams", r.ID)
				}
			}
		}
	}
	if _, err := c.WithCloud("mars"); heliograph.KindOf(err) != heliograph.Invalid || !strings.Contains(err.Error(), "us-l4") {
		t.Errorf("%v", err)
	}
}

func TestQuotaLimits(t *testing.T) {
	t.Parallel()
	c := load(t)
	limits := func(c *catalog.Catalog) map[string]int {
		m := map[string]int{}
		for _, q := range c.Quotas() {
			m[q.Name()] = c.Limit(&q)
		}
		return m
	}
	documented := limits(c)
	for name, want := range map[string]int{
		"directory.app.all": 50000, "directory.tenant": 1000, "directory.app": 100, // contract 16.1
		"outlook.user": 1000, "teams.tenant": 10000, // contract 16.2, 16.3
		"chat.item.app+chat": 1, "chatMessage.channel.app+channel": 1, "chat.user": 10, "chatMessage.user": 10, // contract 16.4
		"channel.team.app+team": 1, "team.item.app+team": 1, "conversationMember.team.app+team": 1, // contract 16.5
		"callRecord.tenant": 100, "callRecording.meeting.app+meeting": 1, "callTranscript.user.app+user": 1, "callTranscript.user": 10, // contract 16.6, 16.7
		"aiInteraction.tenant.app": 1, "aiInteraction.user.app+user": 1, "aiInteraction.user": 10, "aiInteraction.tenant": 10000, // contract 16.8
		"onlineMeeting.app+joinWebUrl": 1, "presence.app+creator": 1, // contract 16.9, 16.10
		"shift.app+path": 1, "shift.creator+path": 10, "approvalItem.tenant": 1000, "approvalItem.app": 1, // contract 16.11, 16.12
		"virtualEventWebinar.app+path": 1, "emergencyCallEvent.app+policyName": 1, // contract 16.13, 16.14
		"driveItem.business.tenant": 0, // contract 16.15
	} {
		if got, ok := documented[name]; !ok || got != want {
			t.Errorf("%s: %d (%t), want %d", name, got, ok, want)
		}
	}
	other, err := c.WithQuotas(
		catalog.QuotaLimit{Name: catalog.AllQuotas, Limit: 7}, catalog.QuotaLimit{Name: "directory", Limit: 5},
		catalog.QuotaLimit{Name: "outlook.user", Limit: 2}, catalog.QuotaLimit{Name: "teams"},
	)
	if err != nil {
		t.Fatal(err)
	}
	set := limits(other)
	for name, want := range map[string]int{"chat.user": 7, "directory.app.all": 5, "directory.tenant": 5, "outlook.user": 2, "teams.tenant": 0} {
		if set[name] != want {
			t.Errorf("%s is %d, want %d", name, set[name], want)
		}
	}
	if limits(c)["outlook.user"] != 1000 {
		t.Error("the catalog before was changed")
	}
	if _, err := c.WithQuotas(catalog.QuotaLimit{Name: "outlok", Limit: 2}); heliograph.KindOf(err) != heliograph.Invalid {
		t.Errorf("a name that there is not: %v", err)
	}
}

// An app installation's permission goes by the scopes that its $filter names.
func TestPermissionsByFilter(t *testing.T) {
	t.Parallel()
	const path = "appCatalogs/teamsApps/a/installations"
	c := load(t)
	for _, tt := range []struct {
		query, roles string
		ok           bool
		missing      string
	}{
		{"", "TeamsAppInstallation.Read.All", true, ""},
		{"", "TeamsAppInstallation.ReadForUser.All", false, "TeamsAppInstallation.Read.All"},
		{"?$filter=scopeInfo/scope eq 'Personal'", "TeamsAppInstallation.ReadForUser.All", true, ""},
		{"?$filter=scopeInfo/scope%20eq%20%27personal%27", "TeamsAppInstallation.ReadForUser.All", true, ""},
		{"?$filter=scopeInfo/scope eq 'team'", "TeamsAppInstallation.ReadForUser.All", false, "TeamsAppInstallation.Read.All TeamsAppInstallation.ReadForTeam.All"},
		{"?$filter=(scopeInfo/scope eq 'personal') or (scopeInfo/scope eq 'team')", "TeamsAppInstallation.ReadForUser.All", false, "TeamsAppInstallation.Read.All TeamsAppInstallation.ReadForTeam.All"},
		{"?$filter=(scopeInfo/scope eq 'personal') or (scopeInfo/scope eq 'team')", "TeamsAppInstallation.ReadForUser.All TeamsAppInstallation.ReadForTeam.All", true, ""},
		{"?$filter=scopeInfo/scope eq 'groupChat'", "TeamsAppInstallation.Read.Chat", false, "TeamsAppInstallation.Read.All TeamsAppInstallation.ReadForChat.All"},
		{"?$filter=scopeInfo/scope eq 'groupChat'&useResourceSpecificConsentBasedAuthorization=true", "TeamsAppInstallation.Read.Chat", true, ""}, // contract 8.8
	} {
		found, err := c.Resolve(path+tt.query, catalog.Me{})
		if err != nil {
			t.Fatal(err)
		}
		caller := heliograph.Caller{Tenant: tenant, Roles: strings.Fields(tt.roles)}
		ok, sufficient := found[0].Row.Permits(&caller, &found[0], false)
		if ok != tt.ok || !ok && strings.Join(sufficient, " ") != tt.missing {
			t.Errorf("%s with %s: %t, %q", tt.query, tt.roles, ok, sufficient)
		}
	}
}

// Who is listed what (contract 6.5, 6.9).
func TestListedRows(t *testing.T) {
	t.Parallel()
	c := load(t)
	work := heliograph.Caller{Tenant: tenant, Delegated: true, Scopes: []string{"Mail.Read"}}
	personal := heliograph.Caller{Tenant: heliograph.PersonalTenant, Delegated: true, Personal: true}
	for id, want := range map[string][2]bool{
		"message": {true, true}, "user": {true, false}, "chatMessage.user": {false, false}, "shift": {false, false},
		"timeOffRequest": {false, false}, "callRecord": {false, false}, "team.item": {true, false}, "driveItem.personal": {false, true},
	} {
		if got := [2]bool{c.Row(id).ListedByReadAll(&work), c.Row(id).ListedByReadAll(&personal)}; got != want {
			t.Errorf("%s: %v, want %v", id, got, want)
		}
	}
	if !c.Row("message").PermitsSome(&work, false) || c.Row("contact").PermitsSome(&work, false) || c.Row("message").PermitsSome(&personal, true) {
		t.Error("permissions are not the row's")
	}
}

// What looks as if it could be subscribed to (contract 18.12, 5.27).
func TestNotSubscribable(t *testing.T) {
	t.Parallel()
	c := load(t)
	for resource, want := range map[string]string{
		"/groups('a')/Calendar/events": "create.resource.store", "groups/a/events?$select=id": "create.resource.store",
		"solutions/bookingBusinesses/a/appointments": "create.resource.unknown", "communications/onlineMeetings": "create.resource.unknown",
		"me/drive": "create.resource.unknown", "drives/a": "create.resource.unknown", // contract 3.2.7
	} {
		_, err := c.Resolve(resource, catalog.Me{Object: "u"})
		if e, ok := err.(*heliograph.Error); !ok || e.Rule != want || e.Kind != heliograph.Invalid { //nolint:errorlint // Resolve returns it itself
			t.Errorf("%s: %v", resource, err)
		}
	}
}

func TestLoadNamesMistakesOfRules(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ from, to, want string }{
		{"  change_types:", "  permissions_by_filter: {a: [B]}\n  change_types:", "row ticket: permissions_by_filter: a: B is not an application permission"},
		{"  change_types:", "  not_listed_by_read_all: [nobody]\n  change_types:", `row ticket: not_listed_by_read_all: "nobody"`},
		{"  change_types:", "  quotas: [{pool: teams, limit: 3}]\n  change_types:", "row ticket: quotas[0]: teams.tenant is another quota"},
		{"resources:", "not_subscribable: [{path: 'a/{b', rule: create.resource.store}]\nresources:", `not_subscribable[0]: "a/{b"`},
		{"resources:", "not_subscribable: [{path: 'a', rule: no}]\nresources:", `not_subscribable[0]: the profile has no rule "no"`},
	} {
		_, err := catalog.Load(catalog.File{Name: "ours.yaml", Data: []byte(strings.Replace(ours, tt.from, tt.to, 1))})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s:\n%v, want %s", tt.to, err, tt.want)
		}
	}
}
