package odata_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"heliograph.dev/internal/odata"
)

// contract 18.1, 18.3, 18.6: every form that the documentation shows, and what clients make of them.
func TestParseResourceReadsEveryForm(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ in, path string }{
		{"users", "users"},
		{"/users", "users"},
		{"users/", "users"},
		{"/users/", "users"},
		{"me/mailFolders('Inbox')/messages", "me/mailFolders/Inbox/messages"},
		{"me/mailFolders(%27Inbox%27)/messages", "me/mailFolders/Inbox/messages"},
		{"teams( 'a' )/channels('19:b@thread.tacv2')/messages", "teams/a/channels/19:b@thread.tacv2/messages"},
		{"users(0a1b)/messages", "users/0a1b/messages"},
		{"users('O''Brien')", "users/O'Brien"},
		{"users('O%27%27Brien')", "users/O'Brien"},
		{"users('%27%27')", "users/'"},
		{"users/adele%40contoso.com/messages", "users/adele@contoso.com/messages"},
		{"users/a_b.com#EXT#@contoso.com", "users/a_b.com#EXT#@contoso.com"},
		{"users('AAMk/a+b%2Fc=')/messages", "users/AAMk%2Fa+b%2Fc=/messages"},
		{"users/100%25", "users/100%25"},
		{"chats/getAllMessages()", "chats/getAllMessages"},
		{"chats/getAllMessages( )?model=A", "chats/getAllMessages"},
		{"communications/onlineMeetings/?$filter=JoinWebUrl eq 'x'", "communications/onlineMeetings"},
		{
			"communications/onlineMeetings(joinWebUrl='https%253A%252F%252Fteams')/meetingCallEvents",
			"communications/onlineMeetings(joinWebUrl='https%253A%252F%252Fteams')/meetingCallEvents",
		},
		{
			"communications/onlineMeetings(joinWebUrl='https://teams/x?context=(1)')/meetingCallEvents",
			"communications/onlineMeetings(joinWebUrl='https:%2F%2Fteams%2Fx%3Fcontext=%281%29')/meetingCallEvents",
		},
		{
			"solutions/virtualEvents/events/getEventsFromOrganizers(organizerIds=['a', 'b'])",
			"solutions/virtualEvents/events/getEventsFromOrganizers(organizerIds=['a','b'])",
		},
		{
			"communications/calls/getEmergencyEventsByPolicy( policyName = 'it''s' , n = 1 )",
			"communications/calls/getEmergencyEventsByPolicy(policyName='it''s',n='1')",
		},
		{"users/u/drive/root:/a (1)/b's.txt", "users/u/drive/root:/a %281%29/b's.txt"},
		{"users/u/drive/root:/a (1):/children", "users/u/drive/root:/a %281%29:/children"},
		{"users('u:')/f(x='1')", "users/u%3A/f(x='1')"},
	} {
		r, err := odata.ParseResource(tt.in)
		if err != nil {
			t.Errorf("%s: %v", tt.in, err)
			continue
		}
		if got := r.Path(); got != tt.path {
			t.Errorf("%s: path %s, want %s", tt.in, got, tt.path)
		}
	}
}

func TestParseResourceKeepsWhatTheFormSays(t *testing.T) {
	t.Parallel()
	r, err := odata.ParseResource("/teams('a')/f(ids=['x','y'],n='z')")
	if err != nil || len(r.Segments) != 3 {
		t.Fatalf("%+v, %v", r, err)
	}
	if s := r.Segments[1]; s.Text != "a" || !s.Quoted || s.Pos != 7 {
		t.Errorf("key %+v", s)
	}
	args := r.Segments[2].Args
	if len(args) != 2 || !args[0].List || args[1].List || !slices.Equal(args[0].Values, []string{"x", "y"}) {
		t.Errorf("arguments %+v", args)
	}
}

func TestParseResourcePointsAtTheMistake(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		in  string
		pos int
	}{
		{"", 0},
		{"/", 0},
		{"?$filter=a", 0},
		{"https://graph.microsoft.com/v1.0/me/messages", 0}, // contract 1.2: relative, no service root
		{"EventHub://x", 0},
		{"//graph.microsoft.com/me", 0},
		{"me//messages", 3},
		{"me/../users", 3},
		{"users('..')", 6},
		{"users/%2e%2e", 6},
		{"users('a'", 9},
		{"users('a)", 6},
		{"users('a')x", 10},
		{"users('')", 6},
		{"users(''')", 6},
		{"users('a','b')", 9},
		{"('a')", 0},
		{"users)", 5},
		{"users/%zz", 6},
		{"users/a%2", 7},
		{"users/a\tb", 7},
		{"users/a%09", 6},
		{"users/a%ff", 6},
		{"users/\xff", 6},
		{"f(a='1',a='2')", 8},
		{"f(a='1'", 7},
		{"f(a=['1'", 8},
		{"f(a='1',)", 8},
		{"f(a=)", 4},
		{"me/messages?=1", 12},
		{"me/messages?$=1", 12},
		{"me/messages?$top=1&top=2", 19},
		{"me/messages?%zz=1", 12},
		{strings.Repeat("a/", odata.MaxSegments) + "b", 2 * odata.MaxSegments},
		{strings.Repeat("a", odata.MaxLength+1), odata.MaxLength},
	} {
		_, err := odata.ParseResource(tt.in)
		var syntax *odata.SyntaxError
		if !errors.As(err, &syntax) {
			t.Errorf("%.60q: error %v", tt.in, err)
			continue
		}
		if syntax.Pos != tt.pos {
			t.Errorf("%.60q: %v, want character %d", tt.in, err, tt.pos+1)
		}
	}
}

// contract 18.6, 18.9: options as clients write them, raw.
func TestParseResourceSplitsTheQuery(t *testing.T) {
	t.Parallel()
	in := "me/mailfolders('Drafts')/messages?$select=Subject,bodyPreview&%24filter=subject eq 'R&D' AND a eq 'b'&&model=A&notifyOnUserSpecificProperties=true&flag&"
	r, err := odata.ParseResource(in)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"$select":                         "Subject,bodyPreview",
		"FILTER":                          "subject eq 'R&D' AND a eq 'b'",
		"$model":                          "A",
		"$notifyOnUserSpecificProperties": "true",
		"flag":                            "",
	}
	for name, value := range want {
		if o, ok := r.Query.Get(name); !ok || o.Value != value {
			t.Errorf("%s = %q, %t, want %q", name, o.Value, ok, value)
		}
	}
	if len(r.Query) != len(want) {
		t.Errorf("%d options, want %d", len(r.Query), len(want))
	}
	if _, ok := r.Query.Get("$top"); ok {
		t.Error("found an option that is not there")
	}
	if o, _ := r.Query.Get("model"); o.Pos != strings.Index(in, "A&notify") {
		t.Errorf("model's value begins at %d", o.Pos)
	}
}

func TestKeyFilter(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		in       string
		property string
		values   []string
		pos      int // of the mistake, in in
	}{
		{"id in ('a','b')", "id", []string{"a", "b"}, 0},
		{" id  IN(%27a%27,+'b+c' ) ", "id", []string{"a", "b+c"}, 0},
		{"id%20in%20%28'a'%2C'b'%29", "id", []string{"a", "b"}, 0},
		{"JoinWebUrl eq 'https://t/x?a=''b'''", "JoinWebUrl", []string{"https://t/x?a='b'"}, 0},
		{"id eq a", "id", []string{"a"}, 0},
		{"id ne 'a'", "", nil, 3},
		{"id in 'a'", "", nil, 6},
		{"id in ('a' 'b')", "", nil, 11},
		{"id in ()", "", nil, 7},
		{"id eq 'a' or id eq 'b'", "", nil, 10},
		{"'a' eq id", "", nil, 0},
		{"", "", nil, 0},
	} {
		property, values, err := odata.KeyFilter(odata.Option{Value: tt.in, Pos: 10})
		if property != tt.property || !slices.Equal(values, tt.values) {
			t.Errorf("%q: %q, %q, %v", tt.in, property, values, err)
		}
		var syntax *odata.SyntaxError
		if errors.As(err, &syntax) != (tt.values == nil) || syntax != nil && syntax.Pos != 10+tt.pos {
			t.Errorf("%q: error %v, want one at %d", tt.in, err, 10+tt.pos)
		}
	}
}

// FuzzParseResource: whatever comes in, the canonical form of what is accepted parses to itself, and slashes in
// it only separate.
func FuzzParseResource(f *testing.F) {
	for _, seed := range []string{
		"/users/a@b/mailFolders('In''box')/messages?$filter=a eq 'b'",
		"communications/onlineMeetings(joinWebUrl='https%3A%2F%2Fx?y=(z)')/meetingCallEvents",
		"f(ids=['a','b'],n=1)/g()", "users/u/drive/root:/a (1)/%25:/x('y:')/z(a='b')", "a('b:')/c(d='e')", "x://y", "%3a:/a(b)",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := odata.ParseResource(s)
		if err != nil {
			var syntax *odata.SyntaxError
			if !errors.As(err, &syntax) || syntax.Pos < 0 || syntax.Pos > len(s) {
				t.Fatalf("error %v", err)
			}
			return
		}
		canonical := r.Path()
		again, err := odata.ParseResource(canonical)
		if err != nil || again.Path() != canonical || len(again.Segments) != len(r.Segments) {
			t.Fatalf("%q: canonical %q gives %q, %v", s, canonical, again.Path(), err)
		}
		steps := strings.Split(canonical, "/")
		if len(steps) != len(r.Segments) {
			t.Fatalf("%q: %d steps for %d segments", canonical, len(steps), len(r.Segments))
		}
		for i, segment := range r.Segments {
			if again.Segments[i].Text != segment.Text || !equalArgs(again.Segments[i].Args, segment.Args) {
				t.Fatalf("%q: segment %+v became %+v", s, segment, again.Segments[i])
			}
			if len(segment.Args) == 0 && odata.Unescape(steps[i]) != segment.Text {
				t.Fatalf("%q: step %q is not %q", s, steps[i], segment.Text)
			}
		}
	})
}

func equalArgs(a, b []odata.Arg) bool {
	return slices.EqualFunc(a, b, func(a, b odata.Arg) bool {
		return a.Name == b.Name && a.List == b.List && slices.Equal(a.Values, b.Values)
	})
}

// FuzzKeyFilter: no input breaks it, and every place is within the text.
func FuzzKeyFilter(f *testing.F) {
	f.Add("id in ('a','b')")
	f.Add("JoinWebUrl%20eq%20%27x%27")
	f.Fuzz(func(t *testing.T, s string) {
		_, values, err := odata.KeyFilter(odata.Option{Value: s})
		var syntax *odata.SyntaxError
		if errors.As(err, &syntax) && (syntax.Pos < 0 || syntax.Pos > len(s)) {
			t.Fatalf("%q: %v", s, err)
		}
		if err == nil && len(values) == 0 {
			t.Fatalf("%q: no values", s)
		}
	})
}
