package match_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"heliograph.dev"
	"heliograph.dev/internal/catalog"
	"heliograph.dev/internal/match"
)

const (
	inbox   = "users/a/messages"
	allThat = heliograph.Created | heliograph.Updated | heliograph.Deleted
)

// story is a subscription with a filter, and a log of changes that it is told of.
type story struct {
	tb       rapid.TB
	catalog  *catalog.Catalog
	index    *match.Index
	sub      *heliograph.Subscription
	sequence uint64
}

func newStory(tb rapid.TB, c *catalog.Catalog, resource string) *story {
	tb.Helper()
	found, err := c.Resolve(resource, catalog.Me{})
	if err != nil {
		tb.Fatal(err)
	}
	s := &story{tb: tb, catalog: c, sub: &heliograph.Subscription{
		ID: heliograph.NewGUID(), Tenant: "one", App: "app", Resource: resource, Path: found[0].Path, Row: found[0].Row.ID,
		ChangeType: allThat & found[0].ChangeTypes, Created: start, Expires: start.Add(time.Hour), NotificationURL: "https://example.com",
	}}
	s.restart()
	return s
}

// put indexes the subscription, as at its creation and at each renewal.
func (s *story) put() {
	s.tb.Helper()
	row := s.catalog.Row(s.sub.Row)
	selection, err := row.SelectionOf(s.sub)
	if err != nil {
		s.tb.Fatal(err)
	}
	t := match.TargetOf(s.sub, row)
	t.Restrict(selection, s.sub.Created)
	watch, err := row.WatchPaths(s.sub)
	if err != nil {
		s.tb.Fatal(err)
	}
	s.index.Put(t, watch)
}

// restart forgets everything.
func (s *story) restart() {
	s.tb.Helper()
	s.index = match.New(s.catalog)
	s.put()
}

// tell finds who wants a change that comes next in the log, and says what the subscription is told: a type, or why
// nothing.
func (s *story) tell(change heliograph.Change) string {
	s.tb.Helper()
	s.sequence++
	at := heliograph.Position{Sequence: s.sequence}
	told := ""
	s.index.Find(&change, at, start, func(h *match.Hit) { told += h.Type.String() })
	asked := s.ask(change, at)
	if told == "" && (asked == "created" || asked == "updated" || asked == "deleted") || told != "" && asked != told {
		s.tb.Errorf("%+v: told %q, and asked again %q", change, told, asked)
	}
	return asked
}

// ask judges a change of the log again.
func (s *story) ask(change heliograph.Change, at heliograph.Position) string {
	s.tb.Helper()
	answer := "invisible"
	s.index.Explain(&change, at, start, func(h *match.Hit) { answer = verdict(h) })
	h, visible := s.index.Match(&change, at, s.sub.ID, start)
	if again := verdict(&h); visible && again != answer {
		s.tb.Errorf("%+v: explained %s, matched %s", change, answer, again)
	}
	return answer
}

func verdict(h *match.Hit) string {
	if h.Withheld != "" {
		return string(h.Withheld)
	}
	return h.Type.String()
}

func message(id, what, data string) heliograph.Change {
	types, _ := heliograph.ParseChangeType(what)
	return heliograph.Change{Tenant: "one", Type: types, Resource: inbox + "/" + id, Data: []byte(data), Accepted: start.Add(time.Second)}
}

const (
	high   = `{"importance":"high","isRead":false}`
	normal = `{"importance":"normal","isRead":false}`
)

// Entering a filter is created, leaving it deleted, anything else while inside updated (contract 18.7).
func TestEnteringAndLeaving(t *testing.T) {
	t.Parallel()
	c := load(t)
	for name, steps := range map[string][][3]string{
		"made inside, changed, left, came back, deleted": {
			{"created", high, "created"},
			{"updated", high, "updated"},
			{"updated", normal, "deleted"},
			{"updated", normal, "filter"},
			{"updated", high, "created"},
			{"deleted", "", "deleted"},
			{"deleted", "", "filter"},
		},
		"made outside":                {{"created", normal, "filter"}, {"updated", normal, "filter"}, {"deleted", "", "filter"}},
		"made outside, came in":       {{"created", normal, "filter"}, {"updated", high, "created"}, {"updated", high, "updated"}},
		"older than the subscription": {{"updated", high, "created"}, {"updated", high, "updated"}},
		"deleted as it was":           {{"deleted", high, "deleted"}},
		"deleted as it was not":       {{"deleted", normal, "filter"}},
		"deleted after leaving":       {{"created", high, "created"}, {"updated", normal, "deleted"}, {"deleted", normal, "filter"}},
		"left and deleted at once":    {{"created", high, "created"}, {"deleted", normal, "deleted"}},
		"made twice":                  {{"created", high, "created"}, {"created", high, "created"}},
		"without data":                {{"created", "", "filter"}, {"updated", "", "filter"}},
	} {
		s := newStory(t, c, inbox+"?$filter=importance eq 'High'")
		for i, step := range steps {
			if got := s.tell(message("m", step[0], step[1])); got != step[2] {
				t.Errorf("%s: step %d, %s: %s, want %s", name, i, step[0], got, step[2])
			}
		}
	}
}

// Whoever does not want a type is not told of it, and what is inside is noted nevertheless.
func TestEnteringForSomeTypes(t *testing.T) {
	t.Parallel()
	s := newStory(t, load(t), inbox+"?$filter=importance eq 'High'")
	s.sub.ChangeType = heliograph.Deleted
	s.restart()
	for i, step := range [][3]string{
		{"created", high, "change_type"}, {"updated", high, "change_type"}, {"updated", normal, "deleted"}, {"updated", normal, "filter"},
	} {
		if got := s.tell(message("m", step[0], step[1])); got != step[2] {
			t.Errorf("step %d: %s, want %s", i, got, step[2])
		}
	}
}

// Elsewhere a filter only keeps back (contract 18.6).
func TestFilterWithoutMemory(t *testing.T) {
	t.Parallel()
	s := newStory(t, load(t), "security/alerts?$filter=status eq 'New'")
	change := message("", "updated", "")
	change.Resource = "security/alerts/1"
	for i, step := range [][3]string{
		{"created", `{"status":"new"}`, "created"},
		{"updated", `{"status":"done"}`, "filter"},
		{"updated", `{"status":"new"}`, "updated"},
		{"updated", "", "filter"},
		{"deleted", `{"status":"done"}`, "filter"},
		{"deleted", `{"status":"New"}`, "deleted"},
		{"deleted", "", "deleted"},
		{"deleted", `{"id":"1"}`, "deleted"}, // nobody can tell: told
	} {
		change.Type, _ = heliograph.ParseChangeType(step[0])
		change.Data = []byte(step[1])
		if got := s.tell(change); got != step[2] {
			t.Errorf("step %d: %s, want %s", i, got, step[2])
		}
	}
	if s.index.Remembers() {
		t.Error("something is remembered")
	}
}

// contract 18.6, 18.9: words in a message, a printer's own option.
func TestSearchAndOptionsDecide(t *testing.T) {
	t.Parallel()
	c := load(t)
	s := newStory(t, c, "chats/x/messages?$search=hello")
	change := message("", "created", `{"body":{"content":"Hello"}}`)
	change.Resource = "chats/x/messages/1"
	if got := s.tell(change); got != "created" {
		t.Error(got)
	}
	change.Data = []byte(`{"body":{"content":"Bye"}}`)
	if got := s.tell(change); got != "filter" {
		t.Error(got)
	}
	s = newStory(t, c, "print/printers/p/jobs")
	s.sub.NotificationQueryOptions = "$filter = isFetchable eq true"
	s.restart()
	change = message("", "updated", `{"isFetchable":true}`)
	change.Resource = "print/printers/p/jobs/1"
	if got := s.tell(change); got != "updated" {
		t.Error(got)
	}
	change.Data = []byte(`{"isFetchable":false}`)
	if got := s.tell(change); got != "filter" {
		t.Error(got)
	}
}

// Where the log does not reach back to the subscription's creation, what may be inside is taken to be: nothing that was
// told is left standing, at the price of a deletion of what was never told.
func TestWhatWasForgottenMayBeInside(t *testing.T) {
	t.Parallel()
	s := newStory(t, load(t), inbox+"?$filter=importance eq 'High'")
	s.index.KnownSince(start.Add(time.Minute))
	for i, step := range [][4]string{
		{"a", "updated", normal, "deleted"},
		{"a", "updated", normal, "filter"},
		{"a", "updated", high, "created"},
		{"a", "updated", high, "updated"},
		{"b", "created", normal, "filter"},
		{"b", "updated", normal, "filter"},
		{"b", "deleted", "", "filter"},
		{"c", "deleted", "", "deleted"},
		{"d", "deleted", normal, "filter"},
		{"e", "updated", high, "created"},
	} {
		if got := s.tell(message(step[0], step[1], step[2])); got != step[3] {
			t.Errorf("step %d: %s, want %s", i, got, step[3])
		}
	}
}

// frame tells of one change each of messages that are numbered, and says what was told of them.
func (s *story) frame(what string, from, to int, data string) map[int]string {
	f := heliograph.Frame{Changes: make([]heliograph.Change, 0, to-from)}
	for i := from; i < to; i++ {
		f.Changes = append(f.Changes, message(fmt.Sprint(i), what, data))
	}
	s.sequence++
	f.Sequence = s.sequence
	told := map[int]string{}
	s.index.FindAll(&f, start, func(i int, h *match.Hit) { told[from+i] = h.Type.String() })
	return told
}

// room is how many resources a memory holds.
const room = 16 << 10

// With more inside than a memory holds, what finds no room is told again rather than never.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	s := newStory(t, load(t), inbox+"?$filter=importance eq 'High'")
	const last = room + 2000
	s.frame("created", 0, last, high)
	for _, step := range []struct {
		what, data string
		message    int
		want       string
	}{
		{"updated", high, 0, "updated"},
		{"updated", high, last - 1, "updated"}, // no room, but not long ago
		{"updated", high, room, "created"},     // forgotten
		{"updated", normal, room, "deleted"},
		{"updated", normal, room + 1, "deleted"}, // forgotten: it may be inside
		{"updated", normal, room + 1, ""},
		{"updated", normal, 0, "deleted"},
		{"updated", normal, 0, ""},
		{"updated", high, room + 2, "created"}, // in the room of the first
		{"updated", high, room + 2, "updated"},
		{"created", normal, last, ""},
	} {
		if got := s.frame(step.what, step.message, step.message+1, step.data)[step.message]; got != step.want {
			t.Errorf("%d, %s, %s: %q, want %q", step.message, step.what, step.data, got, step.want)
		}
	}
}

// What was told long ago and is asked again may be forgotten: then it is told again.
func TestMemoryForgetsTheOldest(t *testing.T) {
	t.Parallel()
	s := newStory(t, load(t), inbox+"?$filter=importance eq 'High'")
	s.frame("created", 0, 1100, high)
	s.frame("updated", 0, 1100, normal)
	left := func(i int) string {
		return s.ask(message(fmt.Sprint(i), "updated", normal), heliograph.Position{Sequence: 2, Index: uint32(i)})
	}
	never := func(i int) string {
		return s.ask(message("never", "updated", normal), heliograph.Position{Sequence: 2, Index: uint32(i)})
	}
	if got := []string{left(1099), left(0), never(5), never(76)}; !slices.Equal(got, []string{"deleted", "deleted", "deleted", "filter"}) {
		t.Errorf("%q", got)
	}
	if got := s.tell(message("never", "updated", normal)); got != "filter" {
		t.Errorf("of now, nothing is forgotten: %s", got)
	}
}

// desk is a row of an operator's: its subscriptions watch several desks, whose tickets are numbered at each, and their
// doors, which have no number.
const desk = `resources:
- id: desk
  paths: ['desks/watch(ids=[''{desk}''])']
  changes:
    - {path: 'desks/{desk}/tickets/{ticket}', resource: 'desks/{desk}/tickets/{ticket}', id: '{ticket}'}
    - {path: 'desks/{desk}/doors/{door}', resource: 'desks/{desk}/doors/{door}'}
  permissions: {application: [Desk.Read.All]}
  change_types: [created, updated, deleted]
  max_expiration_minutes: {basic: 1440}
  query_options: {$filter: {rule: allowed, entering: true}}
`

// Equal ids in different places are different resources, and so are those without one.
func TestMemoryTellsResourcesApart(t *testing.T) {
	t.Parallel()
	c, err := catalog.Load(catalog.File{Name: "desk.yaml", Data: []byte(desk)})
	if err != nil {
		t.Fatal(err)
	}
	s := newStory(t, c, "desks/watch(ids=['a','b'])?$filter=importance eq 'High'")
	for i, step := range [][3]string{
		{"desks/a/tickets/1", high, "created"},
		{"desks/b/tickets/1", high, "created"},
		{"desks/a/tickets/1", high, "updated"},
		{"desks/b/tickets/1", normal, "deleted"},
		{"desks/a/tickets/1", high, "updated"},
		{"desks/a/doors/1", high, "created"},
		{"desks/a/doors/2", high, "created"},
		{"desks/a/doors/2", normal, "deleted"},
		{"desks/a/doors/1", high, "updated"},
		{"desks/c/tickets/1", high, "invisible"},
	} {
		change := message("", "updated", step[1])
		change.Resource = step[0]
		if got := s.tell(change); got != step[2] {
			t.Errorf("step %d, %s: %s, want %s", i, step[0], got, step[2])
		}
	}
}

// Equal conditions are one in memory, and go with the last that has them.
func TestEqualConditionsAreShared(t *testing.T) {
	t.Parallel()
	c := load(t)
	x := match.New(c)
	put := func(id string, filter string) *match.Target {
		s := newStory(t, c, "security/alerts?$filter="+filter)
		s.sub.ID, s.index = heliograph.DeriveGUID(id), x
		s.put()
		return x.Get(s.sub.ID)
	}
	a, b := put("a", "status eq 'New'"), put("b", "status%20eq%20'New'")
	if a.Selection() == nil || a.Selection() != b.Selection() {
		t.Error("equal conditions are two")
	}
	if put("b", "status eq 'Old'").Selection() == a.Selection() {
		t.Error("different conditions are one")
	}
	x.Remove(a.ID)
	if again := put("a", "status eq 'New'"); again.Selection() == a.Selection() {
		t.Error("a condition that nobody had was kept")
	}
}

// entry is a change of the model's log.
type entry struct {
	heliograph.Change
	at heliograph.Position
}

// expect says what the story's subscription is told of a change, from everything that stands before it in the log.
func expect(log []entry, e *entry) string {
	const yes = "high"
	inside := false
	for i := range log {
		before := &log[i]
		if before.at.Before(e.at) && item(before) == item(e) && !before.Accepted.Before(start) {
			inside = before.Type != heliograph.Deleted && string(before.Data) == `{"importance":"`+yes+`"}`
		}
	}
	meets := string(e.Data) == `{"importance":"`+yes+`"}`
	switch {
	case e.Type == heliograph.Deleted && (inside || meets), !meets && inside:
		return "deleted"
	case !meets || e.Type == heliograph.Deleted:
		return "filter"
	case e.Type == heliograph.Updated && inside:
		return "updated"
	}
	return "created"
}

func item(e *entry) byte { return e.Resource[len(e.Resource)-1] }

// TestMemoryAgreesWithTheLog: whatever happens, whenever it is asked, and however often the server crashes and reads the
// log again from its cursor: a change is told as what stands before it in the log says.
func TestMemoryAgreesWithTheLog(t *testing.T) {
	t.Parallel()
	c := load(t)
	const folder = "users/a/mailFolders/inbox/messages"
	rapid.Check(t, func(t *rapid.T) {
		s := newStory(t, c, inbox+"?$filter=importance eq 'High'")
		var log []entry
		var frames []heliograph.Frame
		find := func(f *heliograph.Frame, from int) {
			told := make([]string, len(f.Changes))
			s.index.FindAll(f, start, func(i int, h *match.Hit) { told[i] += h.Type.String() })
			for i := range f.Changes {
				e := &log[from+i]
				if want := expect(log, e); told[i] != want && (told[i] != "" || want != "filter") {
					t.Fatalf("%v %s %s: told %q, want %q", e.at, e.Type, e.Data, told[i], want)
				}
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"frame": func(t *rapid.T) {
				f := heliograph.Frame{Sequence: uint64(2*len(frames) + 1)}
				from := len(log)
				for i := range rapid.IntRange(1, 4).Draw(t, "changes") {
					id := rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "message")
					change := heliograph.Change{
						Tenant: "one", Resource: inbox + "/" + id, Accepted: start.Add(time.Duration(rapid.IntRange(-1, 4).Draw(t, "accepted")) * time.Second),
						Type: rapid.SampledFrom([]heliograph.ChangeType{heliograph.Created, heliograph.Updated, heliograph.Deleted}).Draw(t, "type"),
						Data: []byte(rapid.SampledFrom([]string{`{"importance":"high"}`, `{"importance":"low"}`, ""}).Draw(t, "data")),
					}
					if rapid.Bool().Draw(t, "by folder") { // the same message, published under another path
						change.Resource, change.Paths = folder+"/"+id, []string{change.Resource}
					}
					f.Changes = append(f.Changes, change)
					log = append(log, entry{change, heliograph.Position{Sequence: f.Sequence, Index: uint32(i)}})
				}
				frames = append(frames, f)
				find(&f, from)
			},
			"ask": func(t *rapid.T) {
				if len(log) == 0 {
					return
				}
				e := &log[rapid.IntRange(0, len(log)-1).Draw(t, "which")]
				if got, want := s.ask(e.Change, e.at), expect(log, e); got != want {
					t.Fatalf("%v %s %s: asked %s, want %s", e.at, e.Type, e.Data, got, want)
				}
			},
			"renew": func(*rapid.T) { s.put() },
			"crash": func(t *rapid.T) {
				s.restart()
				cursor := rapid.IntRange(0, len(frames)).Draw(t, "cursor")
				for i := range frames[:cursor] {
					s.index.Recall(&frames[i])
				}
				from := 0
				for i := range frames {
					if i >= cursor {
						find(&frames[i], from)
					}
					from += len(frames[i].Changes)
				}
			},
			"read again": func(t *rapid.T) {
				if len(frames) == 0 {
					return
				}
				i := rapid.IntRange(0, len(frames)-1).Draw(t, "frame")
				from := 0
				for _, f := range frames[:i] {
					from += len(f.Changes)
				}
				find(&frames[i], from)
			},
		})
		if slices.ContainsFunc(log, func(e entry) bool { return e.at.Sequence == 0 }) {
			t.Fatal("a change stands nowhere")
		}
	})
}

// BenchmarkFindFiltered: as BenchmarkFind, where every subscription has a filter with a memory.
func BenchmarkFindFiltered(b *testing.B) {
	c := load(b)
	x, row := match.New(c), c.Row("message")
	const n = 10_000
	for i := range n {
		s := subscription(i)
		s.Resource += "?$filter=importance eq 'High'"
		selection, err := row.SelectionOf(s)
		if err != nil {
			b.Fatal(err)
		}
		t := match.TargetOf(s, row)
		t.Restrict(selection, s.Created)
		x.Put(t, []string{s.Path})
	}
	frame := heliograph.Frame{Changes: make([]heliograph.Change, 256)}
	found := 0
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		changes(frame.Changes, int(frame.Sequence)*len(frame.Changes), n)
		frame.Sequence++
		for i := range frame.Changes {
			frame.Changes[i].Data = []byte(high)
		}
		b.StartTimer()
		x.FindAll(&frame, start, func(int, *match.Hit) { found++ })
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(frame.Changes)), "ns/change")
}
