package filter_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"heliograph.dev/internal/odata"
	"heliograph.dev/internal/odata/filter"
)

func parse(tb testing.TB, s string) *filter.Filter {
	tb.Helper()
	f, err := filter.Parse(s)
	if err != nil {
		tb.Fatalf("%s: %v", s, err)
	}
	return f
}

// The filters of Graph's own documentation decide as their resources are meant (contract 18.6, 18.8, 18.9).
func TestDocumentedFilters(t *testing.T) {
	t.Parallel()
	const user = "6a3f7c12-4c61-4a0e-9a55-6e3f0b7a9d01"
	mention := func(id string) string {
		return `{"body":{"content":"Hi"},"mentions":[{"id":0,"mentioned":{"application":null,"user":{"displayName":"A","id":"0"}}},` +
			`{"id":1,"mentioned":{"user":{"displayName":"B","id":"` + id + `"}}}]}`
	}
	for _, test := range []struct {
		filter  string
		yes, no []string
	}{
		{
			"hasAttachments eq true AND importance eq 'High'",
			[]string{`{"importance":"high","hasAttachments":true}`, `{"importance":"High","hasAttachments":true}`},
			[]string{`{"importance":"normal","hasAttachments":true}`, `{"importance":"high","hasAttachments":false}`, `{"importance":"high"}`},
		},
		{
			"hasAttachments eq true AND importance eq 'High' or isRead eq false",
			[]string{`{"isRead":false}`, `{"isRead":true,"importance":"high","hasAttachments":true}`},
			[]string{`{"isRead":true}`, `{}`},
		},
		{
			"mentions/any(u: u/mentioned/user/id eq '" + user + "')",
			[]string{mention(user), mention(strings.ToUpper(user))},
			[]string{mention("1"), `{"mentions":[]}`, `{"mentions":null}`, `{}`},
		},
		{"status eq 'New'", []string{`{"status":"new"}`, `{"Status":"New"}`}, []string{`{"status":"newAlert"}`, `{}`}},
		{
			"(scopeInfo/scope eq 'personal') or (scopeInfo/scope eq 'team')",
			[]string{`{"scopeInfo":{"scope":"team","teamId":"1"}}`, `{"scopeInfo":{"scope":"personal"}}`},
			[]string{`{"scopeInfo":{"scope":"groupChat"}}`, `{"scope":"team"}`},
		},
		{
			"appClass eq 'IPM.SkypeTeams.Message.Copilot.Teams' or conversationType ne 'bizchat'",
			[]string{`{"appClass":"IPM.SkypeTeams.Message.Copilot.Teams","conversationType":"bizchat"}`, `{"conversationType":"appchat"}`, `{}`},
			[]string{`{"appClass":"x","conversationType":"bizchat"}`},
		},
		{" isFetchable eq true", []string{`{"isFetchable":true}`}, []string{`{"isFetchable":false}`, `{}`}},
		{"alertType eq 'x'", []string{`{"alertType":"X"}`}, []string{`{"alertType":"y"}`}},
	} {
		f := parse(t, test.filter)
		for _, resource := range test.yes {
			if !f.Match([]byte(resource)) {
				t.Errorf("%s does not mean %s", test.filter, resource)
			}
		}
		for _, resource := range test.no {
			if f.Match([]byte(resource)) {
				t.Errorf("%s means %s", test.filter, resource)
			}
		}
	}
}

// What the package says of meaning, a line each.
func TestMeaning(t *testing.T) {
	t.Parallel()
	const resource = `{"n":5,"s":"5","big":12345678901234567890.5,"t":true,"null":null,"name":"Größe","flags":"a, B","e":[],"list":[1,2,3],` +
		`"at":"2026-01-31T23:30:00.25-02:00","local":"2026-01-31T12:00:00.0000000","day":"2026-01-31","for":"PT90M","o":{"a":{"b":"x"}},` +
		`"id":"6A3F7C12-4C61-4A0E-9A55-6E3F0B7A9D01","escaped":"a\"b\\c\u00e4\ud83d\ude00","k\u0065y":1}`
	for _, test := range []struct {
		filter string
		want   bool
	}{
		{"missing eq null", true},
		{"missing/below eq null", true},
		{"n/below eq null", true},
		{"null eq null", true},
		{"null eq missing", true},
		{"missing ne 'x'", true},
		{"missing eq 'x'", false},
		{"missing lt 5 or missing ge 5", false},
		{"not (missing lt 5)", true},
		{"not contains(missing,'x')", false},
		{"contains(missing,'x') or t", true},
		{"contains(missing,'x') and t", false},
		{"contains(missing,'x') eq null", true},
		{"not missing", false},
		{"not s", false},
		{"n eq 5.0 and n eq 50e-1 and n lt 5.1", true},
		{"n eq '5' or s eq 5 or s lt 6", false},
		{"n ne '5'", true},
		{"big eq 12345678901234567890.50", true},
		{"big gt 12345678901234567890.49999999999999999999", true},
		{"name eq 'GRÖSSE'", false}, // ß is no letter's other case
		{"name eq 'gRÖße' and startswith(name,'GRÖ') and endswith(NAME,'ßE')", true},
		{"length(name) eq 5 and length(escaped) eq 7", true},
		{`escaped eq 'a"b\c` + "Ä😀'", true},
		{`contains(escaped,'B\C')`, true},
		{"key eq 1", true},
		{"flags has 'b' and flags has ns.t'B,A'", true},
		{"flags has 'a,c'", false},
		{"list/$count eq 3 and e/$count eq 0", true},
		{"n/$count eq null", true},
		{"list/any(x: x gt 2) and list/all(x: x gt 0) and list/any()", true},
		{"e/any() or e/any(x: true) or missing/any()", false},
		{"e/all(x: false) and missing/all(x: false)", true},
		{"not list/any(x: x) or not list/all(x: contains(x,'1'))", false}, // unknown
		{"list/any(x: x eq 2 or x) and not list/all(x: x eq 2 or x gt 2)", true},
		{"list eq 1 or list eq list or o eq o", false},
		{"list ne 1", true},
		{"at gt 2026-02-01 and at lt 2026-02-01T03:30:00+01:00 and at eq 2026-02-01T01:30:00.250Z", true},
		{"day(at) eq 1 and month(at) eq 2 and hour(at) eq 1 and date(at) eq 2026-02-01", true},
		{"local eq 2026-01-31T12:00Z", true},
		{"day eq 2026-01-31T00:00:00Z", true},
		{"day gt 'x' or day lt name", true}, // texts among themselves
		{"for eq duration'PT1H30M' and for lt duration'P1D' and for ne 'PT1H30M'", true},
		{"id eq 6a3f7c12-4c61-4a0e-9a55-6e3f0b7a9d01", true},
		{"o/a/b in ('y','X') and O/A/B eq $it/o/a/b", true},
		{"n in (null,5)", true},
	} {
		if got := parse(t, test.filter).Match([]byte(resource)); got != test.want {
			t.Errorf("%s: %t", test.filter, got)
		}
	}
}

// A row decides by what a filter uses.
func TestUses(t *testing.T) {
	t.Parallel()
	f := parse(t, "contains(subject,'x') AND not attachments/any(a: a/item/Size gt 5 and a/tags/all(t: t eq 'y'))")
	want := "[{subject 9} {attachments 30} {attachments/item/Size 49} {attachments/tags 70}]"
	if got := fmt.Sprint(f.Properties()); got != want {
		t.Errorf("%s", got)
	}
	want = "[{contains 0} {and 22} {not 26} {any 42} {gt 61} {and 66} {all 77} {eq 86}]"
	if got := fmt.Sprint(f.Words()); got != want {
		t.Errorf("%s", got)
	}
}

// Who may see only some values of a property may filter for these, and for nothing that lets others through.
func TestValues(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ filter, want string }{
		{"(scopeInfo/scope eq 'personal') or (scopeInfo/scope eq 'team')", "[personal team] true"},
		{"'team' eq ScopeInfo/Scope", "[team] true"},
		{"$it/scopeInfo/scope in ('team','x')", "[team x] true"},
		{"a and scopeInfo/scope eq 'team'", "[team] true"},
		{"a and (b or scopeInfo/scope eq 'team')", "[] false"},
		{"scopeInfo/scope eq 'team' or a", "[] false"},
		{"scopeInfo/scope eq 'team' or true", "[] false"},
		{"scopeInfo/scope ne 'team'", "[] false"},
		{"not (scopeInfo/scope eq 'team')", "[] false"},
		{"(scopeInfo/scope eq 'team') eq false", "[] false"},
		{"scopeInfo/scope in ('team',null)", "[] false"},
		{"scopeInfo/scope eq scopeInfo/scope", "[] false"},
		{"scope eq 'team'", "[] false"},
		{"tolower(scopeInfo/scope) eq 'team'", "[] false"},
		{"scopeInfo/any(scope: scope eq 'team')", "[] false"},
	} {
		values, ok := parse(t, test.filter).Values("scopeInfo/scope")
		if got := fmt.Sprint(values, ok); got != test.want {
			t.Errorf("%s: %s", test.filter, got)
		}
	}
	for word, want := range map[string]bool{"eq": true, "any": true, "contains": true, "substringof": false, "EQ": false} {
		if filter.IsWord(word) != want {
			t.Errorf("%s is a word: %t", word, !want)
		}
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		form string
		n    int // the most that is taken
	}{
		"length": {"a eq '%s'", filter.MaxLength - len("a eq ''")},
		"depth":  {"%sa", filter.MaxDepth - 1},
		"values": {"a in (1%s)", filter.MaxItems - 1},
	} {
		unit := map[string]string{"length": "x", "depth": "not ", "values": ",1"}[name]
		if _, err := filter.Parse(fmt.Sprintf(test.form, strings.Repeat(unit, test.n))); err != nil {
			t.Errorf("%s: %d: %v", name, test.n, err)
		}
		_, err := filter.Parse(fmt.Sprintf(test.form, strings.Repeat(unit, test.n+1)))
		if syntax := (*odata.SyntaxError)(nil); !errors.As(err, &syntax) {
			t.Errorf("%s: %d: %v", name, test.n+1, err)
		}
	}
	if _, err := filter.Parse(strings.Repeat("a eq 1 or ", filter.MaxNodes/3+1) + "a"); err == nil {
		t.Error("a filter of many parts was taken")
	}
	if _, err := filter.Parse(strings.Repeat("(", 5000) + "a"); err == nil {
		t.Error("a filter of many parentheses was taken")
	}
}

// contract 18.6: teams/{id}/channels/{id}/messages?$search=Hello.
func TestSearch(t *testing.T) {
	t.Parallel()
	const message = `{"id":"Hello","subject":"Plan B","body":{"contentType":"html","content":"<p>hello, \"big\" WORLD ſtraße</p>"}}`
	for _, test := range []struct {
		search, canonical string
		want              bool
	}{
		{"Hello", `"Hello"`, true},
		{"hello world", `"hello" "world"`, true},
		{"hello AND world", `"hello" "world"`, true},
		{" world   hello ", `"world" "hello"`, true},
		{`"hello world"`, `"hello world"`, false},
		{`"\"big\" world"`, `"\"big\" world"`, true},
		{`"AND"`, `"AND"`, false},
		{"hello there", `"hello" "there"`, false},
		{"STRASSE", `"STRASSE"`, false},
		{"STRAßE", `"STRAßE"`, true},
		{"plan hello", `"plan" "hello"`, true},
		{`a\b`, `"a\\b"`, false},
	} {
		s, err := filter.ParseSearch(test.search, []string{"body/content", "subject"})
		if err != nil {
			t.Errorf("%s: %v", test.search, err)
			continue
		}
		again, err := filter.ParseSearch(s.String(), []string{"body/content", "subject"})
		if err != nil || s.String() != test.canonical || again.String() != s.String() {
			t.Errorf("%s: %s, then %v, %v", test.search, s, again, err)
		}
		if got := s.Match([]byte(message)); got != test.want {
			t.Errorf("%s: %t", test.search, got)
		}
		if s.Match([]byte(`{"body":{"content":5}}`)) || s.Match(nil) {
			t.Errorf("%s was found in nothing", test.search)
		}
	}
	for search, at := range map[string]int{
		"": 1, "  ": 3, "AND a": 1, "a AND": 6, "a AND AND b": 7, "a OR b": 3, "NOT a": 1, "(a)": 1, `"a`: 1, `a "b\`: 3, `""`: 1,
		strings.Repeat("a ", 21): 41,
	} {
		_, err := filter.ParseSearch(search, nil)
		if syntax := (*odata.SyntaxError)(nil); !errors.As(err, &syntax) || syntax.Pos != at-1 {
			t.Errorf("%q: %v, want character %d", search, err, at)
		}
	}
}

func TestFilterIsAskedByManyAtOnce(t *testing.T) {
	t.Parallel()
	f := parse(t, `contains(a,'\x') and b eq '"'`)
	var all sync.WaitGroup
	for i := range 8 {
		yes := i%2 == 0
		resource := fmt.Appendf(nil, `{"a":"%s","b":"\""}`, strings.Repeat(`\\`, i+1)+map[bool]string{true: "x"}[yes])
		all.Go(func() {
			for range 500 {
				if f.Match(resource) != yes {
					t.Errorf("%s: %t", resource, !yes)
					return
				}
			}
		})
	}
	all.Wait()
}

// FuzzParse: no text breaks the parser; what it takes has a canonical form that is the same filter; places are within
// the text; and no JSON, broken or not, breaks the filter.
func FuzzParse(f *testing.F) {
	for _, c := range grammarCases(f) {
		f.Add(c.text, `{"a":[{"b":"x"},1,null],"s":"\u00e4"}`)
	}
	f.Fuzz(func(t *testing.T, s, resource string) {
		parsed, err := filter.Parse(s)
		if err != nil {
			var syntax *odata.SyntaxError
			if !errors.As(err, &syntax) || syntax.Pos < 0 || syntax.Pos > len(s) {
				t.Fatalf("%q: %v", s, err)
			}
			return
		}
		canonical := parsed.String()
		again, err := filter.Parse(canonical)
		if err != nil || again.String() != canonical {
			t.Fatalf("%q: canonical form %q gives %v, %v", s, canonical, again, err)
		}
		if len(again.Properties()) != len(parsed.Properties()) {
			t.Fatalf("%q uses %v, %q %v", s, parsed.Properties(), canonical, again.Properties())
		}
		for _, u := range append(parsed.Properties(), parsed.Words()...) {
			if u.Pos < 0 || u.Pos >= len(s) {
				t.Fatalf("%q: %v", s, u)
			}
		}
		if parsed.Match([]byte(resource)) != again.Match([]byte(resource)) {
			t.Fatalf("%q and %q disagree about %q", s, canonical, resource)
		}
	})
}

// FuzzSearch: no text breaks it, and a canonical form is the same search.
func FuzzSearch(f *testing.F) {
	f.Add(`hello "big world" AND x`, `{"a":"Hello big world x"}`)
	f.Fuzz(func(t *testing.T, s, resource string) {
		parsed, err := filter.ParseSearch(s, []string{"a"})
		if err != nil {
			var syntax *odata.SyntaxError
			if !errors.As(err, &syntax) || syntax.Pos < 0 || syntax.Pos > len(s) {
				t.Fatalf("%q: %v", s, err)
			}
			return
		}
		if len(s) > filter.MaxLength/2 {
			return // its canonical form may be too long
		}
		again, err := filter.ParseSearch(parsed.String(), []string{"a"})
		if err != nil || again.String() != parsed.String() || again.Match([]byte(resource)) != parsed.Match([]byte(resource)) {
			t.Fatalf("%q: %q, %v, %v", s, parsed, again, err)
		}
	})
}

func TestMatchDoesNotAllocate(t *testing.T) { //nolint:paralleltest // counts the process's allocations
	for _, s := range benchmarks() {
		f := parse(t, s)
		resource := []byte(messageJSON())
		least := 1000.0 // the pool may be emptied now and then; with the race detector it is, often
		for range 50 {
			least = min(least, testing.AllocsPerRun(1, func() { f.Match(resource) }))
		}
		if least > 0 {
			t.Errorf("%s: %v allocations", s, least)
		}
	}
}

func benchmarks() map[string]string {
	return map[string]string{
		"two":      "hasAttachments eq true and importance eq 'High'",
		"missing":  "missing eq 'x'",
		"any":      "toRecipients/any(r: r/emailAddress/address eq 'nobody@example.com')",
		"contains": "contains(body/content,'quarterly figures')",
		"date":     "receivedDateTime ge 2026-01-01T00:00:00Z and receivedDateTime lt 2027-01-01",
	}
}

// messageJSON is a message of about 6 kB.
func messageJSON() string {
	var b strings.Builder
	b.WriteString(`{"@odata.type":"#Microsoft.Graph.Message","id":"AAMkAGUw","subject":"Figures","hasAttachments":true,"body":{"contentType":"html","content":"`)
	for range 80 {
		b.WriteString(`<p>The quick brown fox \"jumps\" over the lazy dog.</p>\r\n`)
	}
	b.WriteString(`"},"toRecipients":[`)
	for i := range 10 {
		fmt.Fprintf(&b, `{"emailAddress":{"name":"Person %d","address":"person%d@example.com"}},`, i, i)
	}
	b.WriteString(`{"emailAddress":{"name":"x","address":"x@example.com"}}],"receivedDateTime":"2026-03-01T10:00:00Z","isRead":false,"importance":"high"}`)
	return b.String()
}

func BenchmarkMatch(b *testing.B) {
	resource := []byte(messageJSON())
	for name, s := range benchmarks() {
		b.Run(name, func(b *testing.B) {
			f := parse(b, s)
			b.ReportAllocs()
			b.SetBytes(int64(len(resource)))
			for b.Loop() {
				f.Match(resource)
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_, _ = filter.Parse("hasAttachments eq true and importance eq 'High' or isRead eq false")
	}
}
