package content_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"heliograph.dev/internal/catalog"
	"heliograph.dev/internal/content"
)

func rows(t *testing.T) *catalog.Catalog {
	t.Helper()
	c, err := catalog.Load()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAppend(t *testing.T) {
	t.Parallel()
	c := rows(t)
	for _, tt := range []struct {
		name, row, resource, data, want string
		unknown                         bool
	}{
		{
			"Outlook tells what is selected, and types beside what is no string", // contract 13.17
			"message", "me/messages?$select=Subject,importance,isRead,size,receivedDateTime",
			`{"id":"m1","@odata.etag":"W/\"1\"","subject":"Hi","body":{"content":"long"},"importance":"high","isRead":false,` +
				`"size":12,"receivedDateTime":"2026-11-22T12:00:00Z"}`,
			`{"@odata.type":"#t","@odata.id":"x/1","id":"m1","@odata.etag":"W/\"1\"","subject":"Hi",` +
				`"importance@odata.type":"#microsoft.graph.importance","importance":"high","isRead@odata.type":"#Boolean","isRead":false,` +
				`"size@odata.type":"#Int32","size":12,"receivedDateTime@odata.type":"#DateTimeOffset","receivedDateTime":"2026-11-22T12:00:00Z"}`,
			false,
		},
		{
			"presence tells three properties", // contract 13.18
			"presence", "communications/presences/u1", `{"id":"u1","availability":"Away","activity":"Away","statusMessage":"secret"}`,
			`{"@odata.type":"#t","@odata.id":"x/1","id":"u1","availability":"Away","activity":"Away"}`, false,
		},
		{
			"a recording tells all", // contract 13.19
			"callRecording.tenant", "communications/onlineMeetings/getAllRecordings",
			`{"id":"r1","meetingId":null,"callId":"c","meetingOrganizer":{"user":{"id":"u"}}}`,
			`{"@odata.type":"#t","@odata.id":"x/1","id":"r1","meetingId":null,"callId":"c","meetingOrganizer":{"user":{"id":"u"}}}`, false,
		},
		{
			"a roster update is told whole", // contract 13.20
			"onlineMeeting", "communications/onlineMeetings(joinWebUrl='u')/meetingCallEvents",
			`{"eventType":"rosterUpdated","participants@delta":[{"id":"p","removedState":{"reason":"left"}}]}`,
			`{"@odata.type":"#t","@odata.id":"x/1","eventType":"rosterUpdated","participants@delta":[{"id":"p","removedState":{"reason":"left"}}],"id":"1"}`, false,
		},
		{
			"a user's view of a chat, asked for", // contract 13.21 (a)
			"chat.item", "chats/c1?notifyOnUserSpecificProperties=true",
			`{"id":"c1","topic":"T","webUrl":"w","chatType":"group","viewpoint":{"isHidden":true}}`,
			`{"@odata.type":"#t","@odata.id":"x/1","id":"c1","topic":"T","chatType":"group","viewpoint":{"isHidden":true}}`, false,
		},
		{
			"the general payload of a chat has no viewpoint", // contract 13.21 (b)
			"chat.item", "chats/c1", `{"id":"c1","topic":"T","webUrl":"w","viewpoint":{"isHidden":true}}`,
			`{"@odata.type":"#t","@odata.id":"x/1","id":"c1","topic":"T","webUrl":"w"}`, false,
		},
		{
			"an indirect member says where the membership comes from", // contract 13.22
			"conversationMember.channels", "teams/t/channels/getAllMembers",
			`{"id":"m","@microsoft.graph.originalSourceMembershipUrl":"https://x/y"}`,
			`{"@odata.type":"#t","@odata.id":"x/1","id":"m","@microsoft.graph.originalSourceMembershipUrl":"https://x/y"}`, false,
		},
		{
			"a channel's email is empty", // contract 13.23
			"channel.team", "teams/t/channels", `{"id":"c","email":"a@b.example","displayName":"D"}`,
			`{"@odata.type":"#t","@odata.id":"x/1","id":"c","email":"","displayName":"D"}`, false,
		},
		{
			"a team has no discovery settings", // contract 13.23
			"team.item", "teams/t", `{"id":"t","discoverySettings":{"a":1},"classSettings":{},"displayName":"D"}`,
			`{"@odata.type":"#t","@odata.id":"x/1","id":"t","displayName":"D"}`, false,
		},
		{
			"an unknown member of an enumeration is hidden", // contract 9.1
			"chatMessage.chat", "chats/c/messages", `{"id":"m","messageType":"systemEventMessage"}`,
			`{"@odata.type":"#t","@odata.id":"x/1","id":"m","messageType":"unknownFutureValue"}`, false,
		},
		{
			"unless it was asked for",
			"chatMessage.chat", "chats/c/messages", `{"id":"m","messageType":"systemEventMessage"}`,
			`{"@odata.type":"#t","@odata.id":"x/1","id":"m","messageType":"systemEventMessage"}`, true,
		},
		{
			"published without data",
			"message", "me/messages?$select=subject", ``, `{"@odata.type":"#t","@odata.id":"x/1","id":"1"}`, false,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			asked, err := content.AskedBy(tt.resource, tt.unknown)
			if err != nil {
				t.Fatal(err)
			}
			got, err := content.Append([]byte("before"), c.Row(tt.row), asked, []byte(tt.data), content.Instance{ODataType: "#t", ODataID: "x/1", ID: "1"})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, string(got[len("before"):])); diff != "" {
				t.Error(diff)
			}
			if !json.Valid(got[len("before"):]) {
				t.Error("not JSON")
			}
		})
	}
}

// The id that stands in for the one in the data is told once (contract 9.2).
func TestRenamed(t *testing.T) {
	t.Parallel()
	c := rows(t)
	for data, want := range map[string]string{
		``:                           `{"@odata.type":"#t","@odata.id":"x/stays","id":"stays"}`,
		`{"id":"m1","subject":"Hi"}`: `{"@odata.type":"#t","@odata.id":"x/stays","subject":"Hi","id":"stays"}`,
		`{"subject":"Hi"}`:           `{"@odata.type":"#t","@odata.id":"x/stays","subject":"Hi","id":"stays"}`,
	} {
		asked := content.Asked{Select: []string{"subject"}}
		got, err := content.Append(nil, c.Row("message"), asked, []byte(data), content.Instance{ODataType: "#t", ODataID: "x/stays", ID: "stays", Renamed: true})
		if err != nil || string(got) != want {
			t.Errorf("%s\ngot  %s, %v\nwant %s", data, got, err, want)
		}
	}
}

func TestBrokenDataIsRefused(t *testing.T) {
	t.Parallel()
	c := rows(t)
	for _, data := range []string{`[]`, `{"a":}`, `{"a":1,"a":2}`, `{`} {
		got, err := content.Append([]byte("before"), c.Row("message"), content.Asked{}, []byte(data), content.Instance{ID: "1"})
		if err == nil || string(got) != "before" {
			t.Errorf("%s: %s, %v", data, got, err)
		}
	}
}
