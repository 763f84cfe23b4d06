package catalog_test

import (
	"slices"
	"testing"

	"heliograph.dev"
	"heliograph.dev/internal/catalog"
)

func TestPermits(t *testing.T) {
	t.Parallel()
	c := load(t)
	app, work := heliograph.Caller{Tenant: tenant}, heliograph.Caller{Tenant: tenant, Delegated: true}
	personal := heliograph.Caller{Tenant: heliograph.PersonalTenant, Delegated: true}
	for _, tt := range []struct {
		about      string
		row        string
		resource   string
		caller     heliograph.Caller
		permission string
		ok, strict bool
	}{
		{"least privileged", "message", "users/u/messages", work, "Mail.ReadBasic", true, true},
		{"only a concept page has it", "message", "users/u/messages", app, "Mail.ReadBasic", true, false},
		{"shared never works, contract 3.2.8", "message", "users/u/messages", work, "Mail.Read.Shared", false, false},
		{"only old pages have it, contract 3.2.2", "driveItem.business", "users/u/drive/root", work, "Files.ReadWrite.All", true, false},
		{"contract 21.5", "chatMessage.channel", "teams/t/channels/c/messages", work, "Group.Read.All", true, false},
		{"newest docs", "todoTask", "users/u/todo/lists/l/tasks", app, "Tasks.ReadWrite.All", true, true},
		{"personal, contract 8.4", "message", "users/u/messages", personal, "Mail.Read", true, true},
		{"no personal accounts", "group", "groups", personal, "Group.Read.All", false, false},
		{"no users", "chatMessage.chats", "chats/getAllMessages", work, "Chat.Read.All", false, false},
		{"resource-specific consent, contract 8.6", "chat.item", "chats/c", app, "ChatSettings.Read.Chat", true, true},
		{"where installed, contract 8.9", "chat.installedTo", "appCatalogs/teamsApps/a/installedToChats", app, "Chat.Read.WhereInstalled", true, true},
		{"consent not asked to decide, contract 8.8", "callTranscript.meeting", "communications/onlineMeetings/m/transcripts", app, "OnlineMeetingTranscript.Read.Chat", false, false},
		{"consent asked to decide", "callTranscript.meeting", "communications/onlineMeetings/m/transcripts?useResourceSpecificConsentBasedAuthorization=true", app, "OnlineMeetingTranscript.Read.Chat", true, false},
		{"consent alone decides", "callTranscript.meeting", "communications/onlineMeetings/m/transcripts?useResourceSpecificConsentBasedAuthorization=true", app, "OnlineMeetingTranscript.Read.All", false, false},
		{"consent is nothing for users", "callTranscript.meeting", "communications/onlineMeetings/m/transcripts?useResourceSpecificConsentBasedAuthorization=true", work, "OnlineMeetingTranscript.Read.All", true, true},
		{"path for applications", "callTranscript.adhoc", "communications/adhocCalls/getAllTranscripts", work, "CallTranscripts.Read.All", false, false},
		{"path for users", "callTranscript.adhoc", "communications/adhocCalls/c/transcripts", app, "CallTranscripts.Read.All", false, false},
		{"path for both", "callTranscript.adhoc", "users/u/adhocCalls/getAllTranscripts", app, "CallTranscripts.Read.All", true, true},
	} {
		row := c.Row(tt.row)
		found, err := c.Resolve(tt.resource, catalog.Me{})
		res := of(found, row)
		if err != nil || res == nil {
			t.Fatalf("%s: %v", tt.resource, err)
		}
		ok, sufficient := row.Permits(with(tt.caller, tt.permission), res, false)
		strict, _ := row.Permits(with(tt.caller, tt.permission), res, true)
		if ok != tt.ok || strict != tt.strict || ok && !slices.Contains(sufficient, tt.permission) {
			t.Errorf("%s: %t, strict %t, sufficient %q", tt.about, ok, strict, sufficient)
		}
	}
}

func TestPermissionsOfARow(t *testing.T) {
	t.Parallel()
	app, delegated := load(t).Row("message").Permissions()
	if !slices.Equal(app, []string{"Mail.Read", "Mail.ReadBasic"}) || !slices.Equal(delegated, []string{"Mail.Read", "Mail.ReadBasic"}) {
		t.Errorf("%q, %q", app, delegated)
	}
}

// The root of a drive is in two rows: who asks decides which is meant (contract 3.2.7).
func TestPickByKindOfCaller(t *testing.T) {
	t.Parallel()
	found, err := load(t).Resolve("me/drive/root", user())
	if err != nil || len(found) != 2 {
		t.Fatalf("%+v, %v", found, err)
	}
	for _, tt := range []struct {
		caller heliograph.Caller
		row    string
	}{
		{heliograph.Caller{Delegated: true, Tenant: tenant}, "driveItem.business"},
		{heliograph.Caller{Delegated: true, Tenant: tenant, Personal: true}, "driveItem.personal"},
		{heliograph.Caller{Tenant: tenant}, "driveItem.business"},
	} {
		if got := catalog.Pick(found, &tt.caller).Row.ID; got != tt.row {
			t.Errorf("%+v gets %s", tt.caller, got)
		}
	}
	if got := catalog.Pick(found[:1], &heliograph.Caller{Tenant: tenant}).Row.ID; got != "driveItem.personal" {
		t.Errorf("of one: %s", got)
	}
}

// What the limits tables say, as the rows have it (contract sections 14, 16, 17 and 3.3).
func TestFacts(t *testing.T) {
	t.Parallel()
	c := load(t)
	for _, tt := range []struct {
		row                   string
		basic, rich, over     float64 // minutes
		events                int
		richAlone, ownMailbox bool
	}{
		{"message", 10080, 1440, 0, 3, false, true},           // contract 17.1, 14.2, 3.2.8
		{"event", 10080, 1440, 0, 3, false, true},             // contract 17.1
		{"chatMessage.chat", 4320, 4320, 60, 2, false, false}, // contract 17.2, 3.2.10
		{"callRecord", 4230, 0, 60, 1, false, false},          // contract 17.4
		{"shift", 360, 0, 60, 1, false, false},                // contract 17.8
		{"driveItem.business", 42300, 0, 0, 1, false, false},  // contract 17.10
		{"user", 41760, 0, 0, 1, false, false},                // contract 17.11
		{"presence", 60, 60, 0, 1, false, false},              // contract 17.12
		{"emergencyCallEvent", 1440, 1440, 0, 1, true, false}, // contract 17.13, 3.3.5
		{"security.alert", 43200, 0, 0, 1, false, false},      // contract 17.6
	} {
		r := c.Row(tt.row)
		if r.MaxBasic.Minutes() != tt.basic || r.MaxRich.Minutes() != tt.rich || r.LifecycleURLOver.Minutes() != tt.over ||
			len(r.LifecycleEvents) != tt.events || r.Rich.Only != tt.richAlone || r.DelegatedOwnOnly != tt.ownMailbox ||
			r.Rich.Supported != (tt.rich > 0) {
			t.Errorf("%+v", r)
		}
	}
}

// contract 3.2.6, 3.2.5: what else a change is told as.
func TestToldAs(t *testing.T) {
	t.Parallel()
	c := load(t)
	const all = heliograph.Created | heliograph.Updated | heliograph.Deleted
	for _, tt := range []struct {
		row, change           string
		changed, wanted, told heliograph.ChangeType
	}{
		{"callRecord", "communications/callRecords/1", heliograph.Created, heliograph.Updated, heliograph.Updated},
		{"callRecord", "communications/callRecords/1", heliograph.Created, all, heliograph.Created},
		{"user", "users/1", heliograph.Created, heliograph.Updated | heliograph.Deleted, heliograph.Updated},
		{"user", "users/1", heliograph.Deleted, heliograph.Updated, 0},
		{"group", "groups/1/members/2", heliograph.Deleted, heliograph.Updated, heliograph.Updated},
		{"message", "users/1/messages/2", heliograph.Created, heliograph.Updated, 0},
		{"message", "users/1/messages/2", 0, all, 0},
		{"list", "sites/1/lists/2/items/3", heliograph.Deleted, heliograph.Updated, heliograph.Updated},
	} {
		_, instance := watchers(c, c.Row(tt.row), tt.change)
		if got := instance.Type(tt.changed, tt.wanted); got != tt.told {
			t.Errorf("%s: %s is told as %q to who wants %s", tt.change, tt.changed, got, tt.wanted)
		}
	}
}

// contract 11.13, 11.14: the two ways in which Outlook names an instance.
func TestRichInstanceOfOutlook(t *testing.T) {
	t.Parallel()
	c := load(t)
	_, i := watchers(c, c.Row("message"), "users/u/mailFolders/inbox/messages/m")
	for rich, want := range map[bool][3]string{
		false: {"Users/u/Messages/m", "Users/u/Messages/m", "#Microsoft.Graph.Message"},
		true:  {"Users('u')/messages('m')", "Users('u')/messages('m')", "#microsoft.graph.message"},
	} {
		if got := [3]string{i.Resource("", rich), i.ODataID("", rich), i.ODataType(rich)}; got != want || i.ID() != "m" {
			t.Errorf("%t: %q, id %s", rich, got, i.ID())
		}
	}
}
