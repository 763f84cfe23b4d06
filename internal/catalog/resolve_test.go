package catalog_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"heliograph.dev"
	"heliograph.dev/internal/catalog"
	"heliograph.dev/internal/odata"
)

func TestCanonicalPath(t *testing.T) {
	t.Parallel()
	c := load(t)
	for _, tt := range []struct{ in, path string }{
		{"me/messages", "users/" + aGUID + "/messages"}, // contract 18.4
		{"ME", "users/" + aGUID},
		{"/users/" + strings.ToUpper(aGUID), "users/" + aGUID},
		{"users('Adele@Contoso.com')/events", "users/" + aGUID + "/events"}, // the caller's own name
		{"users/Alex@Contoso.com/events", "users/alex@contoso.com/events"},
		{"users/" + aGUID + "@" + string(tenant) + "/messages", "users/" + aGUID + "/messages"},  // contract 11.13
		{"me/mailfolders('Drafts')/messages", "users/" + aGUID + "/mailFolders/drafts/messages"}, // contract 18.5
		{"users/u/mailFolders/AAMkAGI1==/messages", "users/u/mailFolders/AAMkAGI1==/messages"},
		{"chats('19:AbC@thread.v2')/messages", "chats/19:AbC@thread.v2/messages"},
		{"communications/presences?$filter=id in ('b','a','b')", "communications/presences(id=['a','b'])"},
		{"communications/presences?$filter=id%20in%20(%27a%27)", "communications/presences/a"},
		{"communications/presences?$filter=ID eq 'a'", "communications/presences/a"},
		{
			"solutions/virtualevents/events/GetEventsFromOrganizers(OrganizerIds=['b','A@x'])",
			"solutions/virtualEvents/events/getEventsFromOrganizers(organizerIds=['a@x','b'])",
		},
		{
			"communications/onlineMeetings(JoinWebUrl='https%253A%252F%252Ft%252F19%253ameeting')/meetingCallEvents", // contract 18.10
			"communications/onlineMeetings(joinWebUrl='https:%2F%2Ft%2F19:meeting')/meetingCallEvents",
		},
		{
			"communications/onlineMeetings/?$filter=JoinWebUrl eq 'https://t/19%3ameeting'",
			"communications/onlineMeetings(joinWebUrl='https:%2F%2Ft%2F19:meeting')/meetingCallEvents",
		},
		{"communications/onlineMeetings(joinWebUrl='%25252500')/meetingCallEvents", "communications/onlineMeetings(joinWebUrl='%2500')/meetingCallEvents"},
		{"communications/onlineMeetings(joinWebUrl='%25ff')/meetingCallEvents", "communications/onlineMeetings(joinWebUrl='%25ff')/meetingCallEvents"},
		{"chats/getAllMessges?model=A", "chats/getAllMessages"}, // contract 18.11
		{"print/printtaskdefinition/d/tasks", "print/taskDefinitions/d/tasks"},
		{"security/alerts?$filter=status eq 'New'", "security/alerts"},
	} {
		found, err := c.Resolve(tt.in, user())
		if err != nil || found[0].Path != tt.path {
			t.Errorf("%s: %+v, %v, want %s", tt.in, found, err, tt.path)
		}
	}
}

func TestResolveKeepsTheQuery(t *testing.T) {
	t.Parallel()
	c := load(t)
	for _, tt := range []struct {
		in   string
		left int
	}{
		{"security/alerts?$filter=status eq 'New'&$select=id", 2},
		{"communications/presences?$filter=id in ('a','b')&$select=id", 1},
		{"communications/onlineMeetings?$filter=JoinWebUrl eq 'x'", 0},
	} {
		found, err := c.Resolve(tt.in, catalog.Me{})
		if err != nil || len(found[0].Query) != tt.left {
			t.Errorf("%s: %+v, %v", tt.in, found, err)
		}
	}
	found, _ := c.Resolve("users/u/mailFolders/inbox/messages", catalog.Me{})
	if v, ok := found[0].Param("folder"); !ok || v != "inbox" {
		t.Errorf("folder %q", v)
	}
	if _, ok := found[0].Param("chat"); ok {
		t.Error("a parameter that is not there")
	}
}

func TestResolveRefuses(t *testing.T) {
	t.Parallel()
	c := load(t)
	ids := make([]string, 651)
	for i := range ids {
		ids[i] = fmt.Sprintf("'%d'", i)
	}
	for _, tt := range []struct {
		in   string
		me   catalog.Me
		rule string
		says string
	}{
		{"https://graph.microsoft.com/v1.0/users", user(), "create.resource.syntax", "absolute"},
		{"users('a", user(), "create.resource.syntax", "character 7"},
		{"", user(), "create.resource.syntax", "empty"},
		{"me/messages", catalog.Me{}, "create.resource.me", "delegated"}, // contract 18.4
		{"me/messages", catalog.MeOf(&heliograph.Caller{Object: "principal"}), "create.resource.me", ""},
		{"solutions/bookingBusinesses/b/appointments", user(), "create.resource.unknown", "Unsupported workload"}, // contract 18.12
		{"communications/onlineMeetings", user(), "create.resource.unknown", ""},
		{"communications/presences", user(), "create.resource.unknown", ""},
		{"communications/presences?$filter=availability eq 'Busy'", user(), "create.resource.unknown", ""},
		{"communications/presences?$filter=id in ('a'", user(), "create.resource.syntax", "character 44"},
		{"communications/presences?$filter=id in (" + strings.Join(ids, ",") + ")", user(), "create.resource.ids", ""}, // contract 16.10
		{"chats('getAllMessages')", user(), "create.resource.unknown", ""},
		{"users/u/messages/m", user(), "create.resource.unknown", ""},
		{"users(id='u')/messages", user(), "create.resource.unknown", ""},
		{"communications/calls/getEmergencyEventsByPolicy(policyName=['a','b'])", user(), "create.resource.unknown", ""},
		{"communications/calls/getEmergencyEventsByPolicy(policy='a')", user(), "create.resource.unknown", ""},
	} {
		found, err := c.Resolve(tt.in, tt.me)
		var refused *heliograph.Error
		if !errors.As(err, &refused) || refused.Rule != tt.rule || refused.Kind != heliograph.Invalid || !strings.Contains(refused.Message, tt.says) {
			t.Errorf("%.60s: %+v, %v, want %s", tt.in, found, err, tt.rule)
		}
	}
}

// contract 16.10: 650 ids are allowed, and each is watched for.
func TestPresenceListWatchesEachID(t *testing.T) {
	t.Parallel()
	ids := make([]string, 650)
	for i := range ids {
		ids[i] = fmt.Sprintf("'6A3F7C12-4C61-4A0E-9A55-%012d'", i)
	}
	found, err := load(t).Resolve("/communications/presences?$filter=id in ("+strings.Join(ids, ",")+")", catalog.Me{})
	if err != nil || len(found[0].Watch) != 650 || found[0].Watch[1] != "communications/presences/6a3f7c12-4c61-4a0e-9a55-000000000001" {
		t.Errorf("%v, %v", found, err)
	}
}

// contract 13.22: members by way of other teams are for those who ask for them.
func TestIndirectMembersAreForThoseWhoAsk(t *testing.T) {
	t.Parallel()
	c := load(t)
	row := c.Row("conversationMember.channels")
	see := func(resource, change string) bool {
		found, err := c.Resolve(resource, catalog.Me{})
		if err != nil {
			t.Fatal(err)
		}
		paths, _ := watchers(c, row, change)
		return slices.ContainsFunc(found[0].Watch, func(p string) bool { return slices.Contains(paths, p) })
	}
	const direct, indirect = "teams/t/channels/c/members/m", "teams/t/channels/c/allMembers/m"
	for _, tt := range []struct {
		resource         string
		direct, indirect bool
	}{
		{"teams/t/channels/getAllMembers", true, false},
		{"teams/t/channels/getAllMembers?notifyOnIndirectMembershipUpdate=false", true, false},
		{"teams/t/channels/getAllMembers?notifyOnIndirectMembershipUpdate=True", true, true},
	} {
		if see(tt.resource, direct) != tt.direct || see(tt.resource, indirect) != tt.indirect {
			t.Errorf("%s sees %t %t", tt.resource, see(tt.resource, direct), see(tt.resource, indirect))
		}
	}
}

func TestWatchPathsOfWhatNoLongerFits(t *testing.T) {
	t.Parallel()
	row := load(t).Row("presence")
	if _, err := row.WatchPaths(&heliograph.Subscription{Path: "users/u/messages"}); err == nil {
		t.Error("another row's path was taken")
	}
	if _, err := row.WatchPaths(&heliograph.Subscription{Path: "presences/("}); err == nil {
		t.Error("no path was taken")
	}
}

func TestCanonicalChange(t *testing.T) {
	t.Parallel()
	c := load(t)
	for _, tt := range []struct{ in, path, rule string }{
		{"/Users('A@B.com')/Messages('AAMk/x=')", "users/a@b.com/messages/AAMk%2Fx=", ""},
		{"users/u/drive/root:/My Files/a (1).txt", "users/u/drive/root:/My Files/a %281%29.txt", ""},
		{"users/u/drive/root:/a:", "users/u/drive/root:/a%3A", ""},
		{"chats/c/messages/1/", "chats/c/messages/1", ""},
		{"users/u/messages", "", "publish.resource.unknown"},
		{"me/messages/1", "", "publish.resource.unknown"},
		{"users/u/messages/1?$select=id", "", "publish.resource.query"},
		{"users/u//messages", "", "publish.resource.syntax"},
		{"users/u/drive/root:", "", "publish.resource.unknown"},
		{"communications/calls/getEmergencyEventsByPolicy(policyName=['a','b'])", "", "publish.resource.unknown"},
	} {
		got, err := c.CanonicalChange(tt.in)
		var refused *heliograph.Error
		if errors.As(err, &refused); got != tt.path || tt.rule != "" && (refused == nil || refused.Rule != tt.rule) {
			t.Errorf("%s: %s, %v, want %s %s", tt.in, got, err, tt.path, tt.rule)
		}
	}
	if c.Watchers("nothing/known", func(*catalog.Watcher) { t.Error("visited") }) {
		t.Error("an unknown change is known")
	}
}

// TestChangeMeetsSubscription: whatever the keys are made of, what a change's path leads to is letter by letter
// what a subscription is indexed under, and the notification has the keys back.
func TestChangeMeetsSubscription(t *testing.T) {
	t.Parallel()
	c := load(t)
	key := rapid.StringOfN(rapid.RuneFrom([]rune(`aZ09-_=+@:;,'/%()[]?&#{}. äß`)), 1, 12, -1).Filter(func(s string) bool {
		return s != "." && s != ".." && !strings.EqualFold(s, "inbox")
	})
	rapid.Check(t, func(t *rapid.T) {
		chat, message := key.Draw(t, "chat"), key.Draw(t, "message")
		path := odata.Resource{Segments: []odata.Segment{{Text: "chats"}, {Text: chat, Quoted: true}, {Text: "messages"}, {Text: message, Quoted: true}}}
		change, err := c.CanonicalChange(path.Path())
		if err != nil {
			t.Fatal(err)
		}
		found, err := c.Resolve("chats("+odata.Quote(chat)+")/messages", catalog.Me{})
		if err != nil {
			t.Fatal(err)
		}
		row := c.Row("chatMessage.chat")
		paths, instance := watchers(c, row, change)
		if !slices.Equal(paths, found[0].Watch) {
			t.Fatalf("%q seen under %q, indexed under %q", change, paths, found[0].Watch)
		}
		double := strings.NewReplacer("'", "''")
		if want := "chats('" + double.Replace(chat) + "')/messages('" + double.Replace(message) + "')"; instance.Resource("", false) != want || instance.ID() != message {
			t.Fatalf("resource %s, want %s; id %s", instance.Resource("", false), want, instance.ID())
		}
		organizer := key.Draw(t, "organizer")
		one := "solutions/virtualEvents/events/getEventsFromOrganizers(organizerIds=[" + odata.Quote(organizer) + "])"
		if change, err = c.CanonicalChange(one + "/e"); err != nil {
			t.Fatal(err)
		}
		if found, err = c.Resolve(one, catalog.Me{}); err != nil {
			t.Fatal(err)
		}
		if paths, _ = watchers(c, c.Row("virtualEvent.tenant"), change); !slices.Equal(paths, found[0].Watch) {
			t.Fatalf("%q seen under %q, indexed under %q", change, paths, found[0].Watch)
		}
	})
}

// FuzzResolve: what resolves has a canonical path that resolves to itself.
func FuzzResolve(f *testing.F) {
	c := load(f)
	for _, row := range c.Rows() {
		for _, path := range slices.Concat(row.Paths, row.Aliases, row.Changes) {
			f.Add(quoted(example(path)))
		}
	}
	f.Add("communications/presences?$filter=id in ('a','b''c')&$filter2=x")
	f.Fuzz(func(t *testing.T, resource string) {
		found, err := c.Resolve(resource, user())
		if err != nil {
			var refused *heliograph.Error
			if !errors.As(err, &refused) || refused.Kind != heliograph.Invalid || !strings.HasPrefix(refused.Rule, "create.resource.") {
				t.Fatalf("%q: %v", resource, err)
			}
		}
		for i := range found {
			again, err := c.Resolve(found[i].Path, catalog.Me{})
			res := of(again, found[i].Row)
			if err != nil || res == nil || res.Path != found[i].Path || !slices.Equal(res.Watch[:1], found[i].Watch[:1]) {
				t.Fatalf("%q: %q gives %+v, %v", resource, found[i].Path, again, err)
			}
		}
		change, err := c.CanonicalChange(resource)
		if err != nil {
			return
		}
		if again, err := c.CanonicalChange(change); err != nil || again != change || !c.Watchers(change, func(*catalog.Watcher) {}) {
			t.Fatalf("%q: change %q gives %q, %v", resource, change, again, err)
		}
	})
}

func TestWatchersDoNotAllocate(t *testing.T) { //nolint:paralleltest // counts the process's allocations
	c := load(t)
	buffer := make([]byte, 0, 512)
	visit := func(w *catalog.Watcher) { buffer = w.AppendPath(buffer[:0]) }
	const change = "teams/6a3f7c12-4c61-4a0e-9a55-6e3f0b7a9d01/channels/19:abc@thread.tacv2/messages/1/replies/2"
	if got := testing.AllocsPerRun(1000, func() { c.Watchers(change, visit) }); got > 0.5 { // the pool may be emptied
		t.Errorf("%v allocations", got)
	}
}

func BenchmarkWatchers(b *testing.B) {
	c := load(b)
	buffer := make([]byte, 0, 512)
	visit := func(w *catalog.Watcher) { buffer = w.AppendPath(buffer[:0]) }
	b.ReportAllocs()
	for b.Loop() {
		c.Watchers("users/6a3f7c12-4c61-4a0e-9a55-6e3f0b7a9d01/messages/AAMkAGI1", visit)
	}
}

func BenchmarkResolve(b *testing.B) {
	c := load(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Resolve("/users/6a3f7c12-4c61-4a0e-9a55-6e3f0b7a9d01/mailFolders('Inbox')/messages?$filter=isRead eq false", catalog.Me{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		if _, err := catalog.Load(); err != nil {
			b.Fatal(err)
		}
	}
}
