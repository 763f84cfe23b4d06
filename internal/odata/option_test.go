package odata_test

import (
	"errors"
	"slices"
	"testing"

	"heliograph.dev/internal/odata"
)

// option returns the named option of a resource.
func option(t *testing.T, resource, name string) odata.Option {
	t.Helper()
	r, err := odata.ParseResource(resource)
	if err != nil {
		t.Fatal(err)
	}
	o, ok := r.Query.Get(name)
	if !ok {
		t.Fatalf("%s has no %s", resource, name)
	}
	return o
}

func TestText(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		resource, name, want string
		broken               int // the character, from 1
	}{
		{"me/messages?$filter=isRead eq false", "$filter", "isRead eq false", 0},
		{"me/messages?$filter=isRead%20eq+false", "$filter", "isRead eq false", 0},
		{"me/messages?$filter=a eq 'b+c'+or+d eq %27+%27", "$filter", "a eq 'b+c' or d eq '+'", 0},
		{"me/messages?$filter=a eq 'O''Neil+'+and+b", "$filter", "a eq 'O''Neil+' and b", 0},
		{"me/messages?$filter=a+ge+2026-01-31T12:00:00+02:00", "$filter", "a ge 2026-01-31T12:00:00+02:00", 0},
		{"me/messages?$filter=a+ge+2026-01-31T12:00:00%2b02%3A00", "$filter", "a ge 2026-01-31T12:00:00+02:00", 0},
		{"me/messages?$filter=a eq '%C3%A4'", "$filter", "a eq 'ä'", 0},
		{"me/messages?$filter=a eq 1%2", "$filter", "", 27},
		{"me/messages?$filter=a eq '100% sure'", "$filter", "", 30},
		{"me/messages?$filter=a eq '%FF'", "$filter", "", 27},
		{"chats/x/messages?$search=%22a+b%22+c", "$search", `"a+b" c`, 0},
	} {
		text, err := option(t, test.resource, test.name).Text()
		var syntax *odata.SyntaxError
		switch {
		case test.broken == 0 && (err != nil || text.Value != test.want):
			t.Errorf("%s: %q, %v", test.resource, text.Value, err)
		case test.broken > 0 && (!errors.As(err, &syntax) || syntax.Pos != test.broken-1):
			t.Errorf("%s: %v, want character %d", test.resource, err, test.broken)
		}
	}
}

// A place in the decoded text leads back to where the client wrote it.
func TestTextKnowsPlaces(t *testing.T) {
	t.Parallel()
	for _, resource := range []string{
		"me/messages?$filter=isRead eq bad", "me/messages?$filter=isRead%20eq%20bad", "me/messages?$filter=isRead+eq+bad",
	} {
		text, err := option(t, resource, "$filter").Text()
		if err != nil {
			t.Fatal(err)
		}
		const bad = len("isRead eq ")
		moved := text.Place(&odata.SyntaxError{Pos: bad, Reason: "x"})
		var syntax *odata.SyntaxError
		if !errors.As(moved, &syntax) || resource[syntax.Pos:] != "bad" {
			t.Errorf("%s: %v", resource, moved)
		}
		if end := text.Pos(len(text.Value)); end != len(resource) {
			t.Errorf("%s: it ends at %d", resource, end)
		}
	}
	other := errors.New("other")
	if got := (odata.Text{}).Place(other); !errors.Is(got, other) {
		t.Errorf("%v", got)
	}
}

// contract 18.9.
func TestParseQuery(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"$filter = isFetchable eq true", "?$filter=isFetchable eq true", "$filter=isFetchable eq true&"} {
		q, err := odata.ParseQuery(s)
		if err != nil || len(q) != 1 || q[0].Name != "$filter" || s[q[0].Pos:][:len(q[0].Value)] != q[0].Value {
			t.Errorf("%q: %+v, %v", s, q, err)
		}
	}
	if q, err := odata.ParseQuery(""); len(q) != 0 || err != nil {
		t.Errorf("%+v, %v", q, err)
	}
	for _, s := range []string{"$filter=a&$filter=b", "=x", "a\x00"} {
		if _, err := odata.ParseQuery(s); err == nil {
			t.Errorf("%q was taken", s)
		}
	}
}

func TestParseSelect(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		value string
		want  []string
		bad   int // the character of the resource, from 1
	}{
		{"Subject,bodyPreview,importance", []string{"Subject", "bodyPreview", "importance"}, 0},
		{"subject,%20from/emailAddress", []string{"subject", "from/emailAddress"}, 0},
		{"", nil, 8},
		{"a,,b", nil, 10},
		{"a, b c", nil, 12},
		{"a/", nil, 10},
		{"a,'b'", nil, 10},
		{"a,%zz", nil, 10},
	} {
		got, err := odata.ParseSelect(odata.Option{Name: "$select", Value: test.value, Pos: 7})
		var syntax *odata.SyntaxError
		if test.bad > 0 {
			if !errors.As(err, &syntax) || syntax.Pos != test.bad-1 {
				t.Errorf("%q: %v", test.value, err)
			}
			continue
		}
		names := make([]string, len(got))
		for i, s := range got {
			names[i] = s.Name
		}
		if err != nil || !slices.Equal(names, test.want) {
			t.Errorf("%q: %v, %v", test.value, names, err)
		}
	}
}

// FuzzText: whatever the value, every place in the text leads into the value, in order.
func FuzzText(f *testing.F) {
	f.Add("isRead%20eq+'+'")
	f.Add("a ge 2026-01-31T12:00:00+02:00")
	f.Fuzz(func(t *testing.T, s string) {
		o := odata.Option{Name: "$filter", Value: s, Pos: 3}
		_, _ = odata.ParseSelect(o)
		text, err := o.Text()
		var syntax *odata.SyntaxError
		if err != nil {
			if !errors.As(err, &syntax) || syntax.Pos < 3 || syntax.Pos > 3+len(s) {
				t.Fatalf("%q: %v", s, err)
			}
			return
		}
		last := 3
		for i := range len(text.Value) + 1 {
			if pos := text.Pos(i); pos < last || pos > 3+len(s) {
				t.Fatalf("%q: byte %d at %d, behind %d", s, i, pos, last)
			} else {
				last = pos
			}
		}
	})
}
