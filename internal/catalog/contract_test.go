package catalog_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"heliograph.dev"
	"heliograph.dev/internal/catalog"
)

// The longest leases of every family (contract 17.1 to 17.13), in minutes: basic, with resource data.
func TestContractOfLifetimes(t *testing.T) {
	t.Parallel()
	want := map[string][2]int{}
	put := func(basic, rich int, families ...string) {
		for _, f := range families {
			want[f] = [2]int{basic, rich}
		}
	}
	put(10080, 1440, "message", "event", "contact")                                                                    // contract 17.1
	put(4320, 4320, "channel", "chat", "chatMessage", "conversationMember", "team", "callRecording", "callTranscript") // contract 17.2
	put(4320, 4320, "teamsAppInstallation", "onlineMeeting", "aiInteraction")                                          // contract 17.2, 17.3, 17.5
	put(4230, 0, "callRecord")                                                                                         // contract 17.4
	put(43200, 0, "approvalItem", "alert")                                                                             // contract 17.6
	put(42300, 0, "healthMonitoringAlert", "driveItem", "list")                                                        // contract 17.7, 17.10
	put(360, 0, "offerShiftRequest", "openShiftChangeRequest", "shift", "swapShiftsChangeRequest", "timeOffRequest")   // contract 17.8
	put(4230, 0, "conversation", "printer", "printTaskDefinition", "todoTask", "baseTask")                             // contract 17.9
	put(41760, 0, "user", "group")                                                                                     // contract 17.11
	put(60, 60, "presence")                                                                                            // contract 17.12
	put(1440, 0, "virtualEvent", "virtualEventWebinar", "virtualEventTownhall")                                        // contract 17.13
	put(1440, 1440, "emergencyCallEvent")                                                                              // contract 17.13
	put(4320, 4320, "callAiInsight", "sharedWithChannelTeamInfo")
	for _, r := range load(t).Rows() {
		longest, known := want[r.Family]
		if got := [2]int{int(r.MaxBasic / time.Minute), int(r.MaxRich / time.Minute)}; !known || got[0] != longest[0] || got[1] != 0 && got[1] != longest[1] {
			t.Errorf("%s of %s: %v, want %v", r.ID, r.Family, got, longest)
		}
	}
}

// contract 2.10, 22.11: every cloud has subscriptions, and every row that is not said to be absent.
func TestContractOfClouds(t *testing.T) {
	t.Parallel()
	c := load(t)
	for _, name := range []string{"global", "us-l4", "us-l5", "china"} {
		played, err := c.WithCloud(name)
		if err != nil {
			t.Fatal(err)
		}
		has := 0
		for _, r := range c.Rows() {
			cloud := played.Cloud()
			if cloud.Has(r) {
				has++
			}
			if key := strings.ReplaceAll(name, "-", "_"); cloud.Has(r) != (r.Clouds[key] != "no") {
				t.Errorf("%s has %s: %t, documented %q", name, r.ID, cloud.Has(r), r.Clouds[key])
			}
		}
		if has < 10 || name == "global" && has != len(c.Rows()) {
			t.Errorf("%s has %d rows", name, has)
		}
	}
}

// contract 8.7, 21.4, 21.11: what only some pages name suffices, unless strict.
func TestContractOfPermissions(t *testing.T) {
	t.Parallel()
	c := load(t)
	for _, tt := range []struct {
		row, resource string
		permission    string
		strict        bool
	}{
		{"channel.team", "teams/t/channels", "ChannelSettings.Read.Group", false},
		{"chatMessage.chat", "chats/c/messages", "ChatMessage.Read.Chat", false},
		{"conversationMember.team", "teams/t/members", "TeamMember.Read.Group", false},
		{"channel.tenant", "teams/getAllChannels", "ChannelSettings.ReadWrite.All", false}, // contract 21.4
		{"channel.tenant", "teams/getAllChannels", "Channel.ReadBasic.All", true},
		{"chat.item", "chats/c", "ChatSettings.Read.Chat", true}, // contract 21.11, as the next ones
		{"chat.item", "chats/c", "ChatSettings.ReadWrite.Chat", true},
		{"chat.item", "chats/c", "Chat.Manage.Chat", true},
		{"chatMessage.channel", "teams/t/channels/c/messages", "ChannelMessage.Read.Group", true},
		{"conversationMember.chat", "chats/c/members", "ChatMember.Read.Chat", true},
	} {
		row := c.Row(tt.row)
		found, err := c.Resolve(tt.resource, catalog.Me{})
		res := of(found, row)
		if err != nil || res == nil {
			t.Fatalf("%s: %v", tt.resource, err)
		}
		caller := with(heliograph.Caller{Tenant: tenant}, tt.permission)
		ok, _ := row.Permits(caller, res, false)
		strict, _ := row.Permits(caller, res, true)
		if !ok || strict != tt.strict {
			t.Errorf("%s for %s: %t, strict %t", tt.permission, tt.resource, ok, strict)
		}
	}
	// contract 21.6: users may subscribe to a chat's messages.
	found, err := c.Resolve("chats/c/messages", catalog.Me{})
	if err != nil {
		t.Fatal(err)
	}
	if ok, _ := found[0].Row.Permits(with(heliograph.Caller{Tenant: tenant, Delegated: true}, "Chat.Read"), &found[0], true); !ok {
		t.Error("users may not subscribe to a chat's messages")
	}
}

// Rows that only some of the founding pages have, or only the newest, are rows (contract 21.2, 21.3, 21.14).
func TestContractOfPages(t *testing.T) {
	t.Parallel()
	c := load(t)
	for resource, id := range map[string]string{
		"users/u/tasks/lists/l/tasks": "baseTask",
		"communications/onlineMeetings(joinWebUrl='https%3A%2F%2Fa')/meetingCallEvents": "onlineMeeting", // contract 21.2
		"teams/getAllMembers": "conversationMember.teams", "teams/getAllChannels/getAllMembers": "conversationMember.allChannels",
		"solutions/virtualEvents/webinars/w": "virtualEventWebinar", "users/u/chats": "chat.user", // contract 21.3
		"communications/presences/u":                                      "presence",
		"copilot/interactionHistory/getAllEnterpriseInteractions":         "aiInteraction.tenant", // contract 21.14
		"copilot/users/u/interactionHistory/getAllEnterpriseInteractions": "aiInteraction.user",
		"solutions/virtualEvents/townhalls/t":                             "virtualEventTownhall",
	} {
		found, err := c.Resolve(resource, catalog.Me{})
		if err != nil || of(found, c.Row(id)) == nil {
			t.Errorf("%s: %v, want %s", resource, err, id)
		}
	}
	p := c.Profile()
	if p.ExpirationFloor != 45*time.Minute || p.ReauthorizeGap != 10*time.Minute { // contract 21.14
		t.Errorf("floor %v, gap %v", p.ExpirationFloor, p.ReauthorizeGap)
	}
}

// How a notification names what changed, where that is not simply its path.
func TestContractOfInstances(t *testing.T) {
	t.Parallel()
	c := load(t)
	for _, tt := range []struct {
		row, change                      string
		resource, odataID, odataType, id string
	}{
		// contract 11.18
		{"virtualEventWebinar", "solutions/virtualEvents/webinars/w/sessions/s", "/as/sent", "solutions/virtualEvents/webinars/w/sessions/s", "#microsoft.graph.virtualEventSession", "solutions/virtualEvents/webinars/w/sessions/s"},
		// contract 11.17, 22.10
		{"driveItem.business", "users/u/drive/root:/a/b.txt", "/as/sent", "", "#Microsoft.Graph.DriveItem", ""},
		{"list", "sites/s/lists/l/items/i", "/as/sent", "", "", ""},
	} {
		_, i := watchers(c, c.Row(tt.row), tt.change)
		if i.Resource("/as/sent", false) != tt.resource || i.ODataID("/as/sent", false) != tt.odataID || !strings.EqualFold(i.ODataType(false), tt.odataType) || i.ID() != tt.id {
			t.Errorf("%s: %q %q %q %q", tt.change, i.Resource("/as/sent", false), i.ODataID("/as/sent", false), i.ODataType(false), i.ID())
		}
	}
}

// contract 6.11: nothing is limited as much as lists. contract 22.2: the steps between retries are ours.
func TestContractOfLimits(t *testing.T) {
	t.Parallel()
	p := load(t).Profile()
	list := p.Calls.Limits["list"]
	for name, limit := range p.Calls.Limits {
		if name != "list" && (limit.App <= list.App || limit.Tenant <= list.Tenant) {
			t.Errorf("%s: %+v, lists: %+v", name, limit, list)
		}
	}
	if p.Backoff.First != 10*time.Second || p.Backoff.Factor != 2 || p.Backoff.Max != 10*time.Minute {
		t.Errorf("backoff %+v", p.Backoff)
	}
}

// contract 22.3: each refusal says whether Graph's words are known; those that are not are the nearest.
func TestContractOfWords(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("data/profiles/*.yaml")
	if err != nil || len(files) < 4 {
		t.Fatal(files, err)
	}
	chosen := 0
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var profile struct {
			Refusals map[string]struct{ Fact, Kind, Code, Basis, Text string }
		}
		if err := yaml.Unmarshal(text, &profile); err != nil {
			t.Fatal(err)
		}
		for rule, r := range profile.Refusals {
			if r.Fact == "" || r.Code == "" || r.Text == "" || !slices.Contains([]string{"documented", "observed", "chosen"}, r.Basis) {
				t.Errorf("%s: %s: %+v", name, rule, r)
			}
			if r.Basis == "chosen" {
				chosen++
			}
		}
	}
	if chosen == 0 {
		t.Error("all words are known?")
	}
}
