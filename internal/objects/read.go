package objects

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"heliograph.dev"
	"heliograph.dev/internal/catalog"
	"heliograph.dev/internal/odata/filter"
)

// Metadata is how much OData metadata an answer carries.
type Metadata int

// The levels.
const (
	Minimal Metadata = iota
	None
	Full
)

// Pages of an answer.
const (
	defaultPage = 100
	mostOnPage  = 999
)

// Request asks for what is at a path.
type Request struct {
	Caller *heliograph.Caller
	Path   string // below the version, as it was sent
	Beta   bool
	// Root is where the version is for the client: https://graph.example/v1.0.
	Root string
	// Options are the system query options, by their names in lower case with the dollar, decoded.
	Options  map[string]string
	Metadata Metadata
	// MaxPage is how many objects the client prefers on a page of delta, or 0.
	MaxPage int

	selected []string
}

func (r *Request) version() string {
	if r.Beta {
		return "beta"
	}
	return "v1.0"
}

// chosen reports whether $select lets a property through. Its id always comes along.
func (r *Request) chosen(name string) bool {
	name, _, _ = strings.Cut(name, "@")
	return len(r.selected) == 0 || name == "" || name == "id" || slices.ContainsFunc(r.selected, func(s string) bool { return strings.EqualFold(s, name) })
}

// Answer is what there is.
type Answer struct {
	// Known is false when no path of the catalog is like it: the path is not this package's.
	Known bool
	// Object is one object; nil: a collection.
	Object json.RawMessage
	// Number is the answer to $count at the end of a path.
	Number *int

	Context string // of a collection
	Values  []json.RawMessage
	Count   *int // when $count=true asks for it
	// Skip is the $skiptoken of the next page, Delta the $deltatoken of the next round.
	Skip, Delta string
}

// LostError says that the changes since a token are not known any more: the client is to begin anew.
type LostError struct{ Code string }

// Error says so.
func (e *LostError) Error() string {
	return "The sync state is too old or was lost. Read the collection again without a token."
}

// Read answers a request. Errors are *heliograph.Error or *LostError.
func (s *Store) Read(r Request) (Answer, error) {
	if _, mine := cutMe(strings.Trim(r.Path, "/")); mine && catalog.MeOf(r.Caller).Object == "" {
		return Answer{Known: true}, badOption("/me request is only valid with delegated authentication flow.")
	}
	p, ok := s.locate(&r)
	if !ok {
		return Answer{}, nil
	}
	s.widen(&p, &r)
	if err := p.admit(s, r.Caller); err != nil {
		return Answer{Known: true}, err
	}
	q, err := r.query()
	if err != nil {
		return Answer{Known: true}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	d := s.dirs[r.Caller.Tenant]
	if d == nil {
		d = &dir{}
	}
	if p.do == get {
		if o := d.object(&p); o != nil {
			return Answer{Known: true, Object: o.show(&r, p.contextOf(&r, true), p.identity(&r, o), p.typeOf(o))}, nil
		}
		if !p.collection {
			return Answer{Known: true}, p.refuse(heliograph.NotFound, "objects.not_found")
		}
	}
	a := &reading{s: s, r: &r, p: &p, q: q, all: d.members(p.lists)}
	if p.do == delta {
		return a.delta()
	}
	return a.list()
}

// object returns what is at a place, or nil. What is only known by what is below it is told by its id.
func (d *dir) object(p *place) *object {
	for _, key := range p.keys {
		if o := d.byKey[key]; o != nil && !o.deleted {
			return o
		}
	}
	if p.collection {
		return nil
	}
	for _, list := range p.lists {
		if len(d.lists[list]) > 0 {
			o := &object{id: lastOf(list)}
			if o.id == "root" {
				o.data = []byte(`{"name":"root","root":{},"folder":{"childCount":` + strconv.Itoa(len(d.lists[list])) + `}}`)
			}
			return o
		}
	}
	return nil
}

// members returns the objects of collections, those that are no more among them.
func (d *dir) members(lists []string) []*object {
	var all []*object
	for i, list := range lists {
		for o := range d.lists[list] {
			if i == 0 || !d.lists[lists[0]][o] {
				all = append(all, o)
			}
		}
	}
	return all
}

// contextOf returns the context of an object or a collection.
func (p *place) contextOf(r *Request, entity bool) string {
	context := p.context()
	if r.Metadata == None || context == "" {
		return ""
	}
	if len(r.selected) > 0 {
		context += "(" + strings.Join(r.selected, ",") + ")"
	}
	if entity && !strings.HasPrefix(context, "Collection(") {
		list, _ := cutEntity(context)
		context = list + "/$entity"
	}
	return r.Root + "/$metadata#" + context
}

// cutEntity takes the key from the end of a context.
func cutEntity(context string) (list, key string) {
	selected := ""
	if at := strings.LastIndex(context, ")("); at >= 0 && !strings.HasPrefix(context[at:], ")('") {
		context, selected = context[:at+1], context[at+1:]
	}
	if at := strings.LastIndex(context, "('"); at >= 0 && strings.HasSuffix(context, "')") {
		return context[:at] + selected, context[at:]
	}
	return context + selected, ""
}

// identity is the address of an object, for full metadata.
func (p *place) identity(r *Request, o *object) string {
	if p.collection && len(p.lists) > 0 {
		return r.Root + "/" + p.lists[0] + "/" + o.id
	}
	return r.Root + "/" + strings.Trim(r.Path, "/")
}

// typeOf returns the type of an object, as far as the rows say it.
func (p *place) typeOf(*object) string {
	for _, row := range p.rows {
		if row.ODataType != "" && !strings.HasPrefix(row.ID, "virtualEvent") {
			return row.ODataType
		}
	}
	return ""
}

// query is what the options say.
type query struct {
	top, skip int
	count     bool
	filter    *filter.Filter
	order     []order
	skipToken string
	delta     string
}

type order struct {
	way  []string
	down bool
}

// badOption refuses what is asked of a path.
func badOption(format string, args ...any) *heliograph.Error {
	err := heliograph.Errorf(heliograph.Invalid, "objects.query", format, args...)
	err.Code = "BadRequest"
	return err
}

// query reads the options. One that is not known to be without meaning here is refused: to pass over it would give other
// objects than were asked for.
func (r *Request) query() (query, error) {
	q := query{top: defaultPage}
	for name, text := range r.Options {
		var err error
		switch name {
		case "$top":
			if q.top, err = strconv.Atoi(text); err != nil || q.top < 1 || q.top > mostOnPage {
				return q, badOption("Invalid value '%.20s' for $top: it is a number from 1 to %d.", text, mostOnPage)
			}
		case "$skip":
			if q.skip, err = strconv.Atoi(text); err != nil || q.skip < 0 {
				return q, badOption("Invalid value '%.20s' for $skip.", text)
			}
		case "$count":
			if q.count, err = strconv.ParseBool(strings.ToLower(text)); err != nil {
				return q, badOption("Invalid value '%.20s' for $count: it is true or false.", text)
			}
		case "$filter":
			if q.filter, err = filter.Parse(text); err != nil {
				return q, badOption("Invalid filter clause: %v.", err)
			}
		case "$orderby":
			if q.order, err = orderOf(text); err != nil {
				return q, err
			}
		case "$select":
			for property := range strings.SplitSeq(text, ",") {
				if property = strings.TrimSpace(property); property != "" && property != "*" {
					r.selected = append(r.selected, property)
				}
			}
		case "$skiptoken":
			q.skipToken = text
		case "$deltatoken":
			q.delta = text
		case "$expand", "$format":
		default:
			return q, badOption("The query option '%.40s' is not supported.", name)
		}
	}
	return q, nil
}

func orderOf(text string) ([]order, error) {
	var all []order
	for part := range strings.SplitSeq(text, ",") {
		words := strings.Fields(part)
		if len(words) == 0 || len(words) > 2 || len(words) == 2 && !strings.EqualFold(words[1], "asc") && !strings.EqualFold(words[1], "desc") {
			return nil, badOption("Invalid $orderby '%.60s': it is a list of properties, each with asc or desc or neither.", text)
		}
		all = append(all, order{strings.Split(words[0], "/"), len(words) == 2 && strings.EqualFold(words[1], "desc")})
	}
	return all, nil
}

// reading is a collection on its way to an answer.
type reading struct {
	s   *Store
	r   *Request
	p   *place
	q   query
	all []*object
}

func (a *reading) seal(k kind, at, began heliograph.Position) string {
	return a.s.seal(token{k, at, began}, a.r.Caller.Tenant, a.p.lists[0])
}

// open opens a token that was given for this collection, of one of the kinds.
func (a *reading) open(text string, kinds ...kind) (token, error) {
	t, ok := a.s.open(text, a.r.Caller.Tenant, a.p.lists[0])
	if !ok || !slices.Contains(kinds, t.kind) {
		return t, badOption("The token in the query is not one that was given for this collection.")
	}
	return t, nil
}

// list answers with a page of what there is.
func (a *reading) list() (Answer, error) {
	live := slices.DeleteFunc(a.all, func(o *object) bool { return o.deleted || a.q.filter != nil && !a.q.filter.Match(o.data) })
	total := len(live)
	if a.p.do == count {
		return Answer{Known: true, Number: &total}, nil
	}
	slices.SortFunc(live, func(x, y *object) int {
		for _, by := range a.q.order {
			c := compare(x.value(by.way), y.value(by.way))
			if by.down {
				c = -c
			}
			if c != 0 {
				return c
			}
		}
		return inOrder(x.made, y.made)
	})
	passed := a.q.skip
	if a.q.skipToken != "" {
		t, err := a.open(a.q.skipToken, pageOf, rankedOf)
		switch {
		case err != nil:
			return Answer{Known: true}, err
		case t.kind == rankedOf:
			passed = int(t.at.Index)
		default:
			passed = 0
			live = slices.DeleteFunc(live, func(o *object) bool { return !t.at.Before(o.made) })
		}
	}
	rest := live[min(passed, len(live)):]
	page := rest[:min(a.q.top, len(rest))]
	answer := a.page(page)
	if a.q.count {
		answer.Count = &total
	}
	switch {
	case len(page) == len(rest):
	case len(a.q.order) > 0:
		answer.Skip = a.seal(rankedOf, heliograph.Position{Index: uint32(passed + len(page))}, heliograph.Position{}) //nolint:gosec // bounded by what is kept
	default:
		answer.Skip = a.seal(pageOf, page[len(page)-1].made, heliograph.Position{})
	}
	return answer, nil
}

func inOrder(x, y heliograph.Position) int {
	switch {
	case x.Before(y):
		return -1
	case y.Before(x):
		return 1
	}
	return 0
}

func (a *reading) page(page []*object) Answer {
	answer := Answer{Known: true, Context: a.p.contextOf(a.r, false), Values: make([]json.RawMessage, len(page))}
	for i, o := range page {
		if o.deleted {
			answer.Values[i] = o.removed(a.p.isDrive())
			continue
		}
		answer.Values[i] = o.show(a.r, "", a.p.identity(a.r, o), a.p.typeOf(o))
	}
	return answer
}

// delta answers with what has changed since a token, or to begin with, with all that there is.
func (a *reading) delta() (Answer, error) {
	if strings.EqualFold(a.q.delta, "latest") {
		answer := a.page(nil)
		answer.Delta = a.seal(sinceThen, a.s.now(), heliograph.Position{})
		return answer, nil
	}
	since, err := a.since()
	if err != nil {
		return Answer{Known: true}, err
	}
	first := since.kind == firstOf
	known := since.at
	if first {
		known = since.began
	}
	if known.Before(a.s.floor) {
		return Answer{Known: true}, a.lost()
	}
	changed := slices.DeleteFunc(a.all, func(o *object) bool {
		return first && o.deleted || !since.at.Before(o.at) || !o.deleted && a.q.filter != nil && !a.q.filter.Match(o.data)
	})
	slices.SortFunc(changed, func(x, y *object) int { return inOrder(x.at, y.at) })
	most := a.q.top
	if a.r.MaxPage > 0 {
		most = min(a.r.MaxPage, mostOnPage)
	}
	page := changed[:min(most, len(changed))]
	answer := a.page(page)
	switch {
	case len(page) < len(changed):
		answer.Skip = a.seal(since.kind, page[len(page)-1].at, since.began)
	case first:
		answer.Delta = a.seal(sinceThen, since.began, heliograph.Position{})
	default:
		answer.Delta = a.seal(sinceThen, a.s.now(), heliograph.Position{})
	}
	return answer, nil
}

// since reads the token of a round of delta.
func (a *reading) since() (token, error) {
	switch {
	case a.q.delta != "":
		t, err := a.open(a.q.delta, sinceThen)
		t.kind = deltaOf
		return t, err
	case a.q.skipToken != "":
		return a.open(a.q.skipToken, firstOf, deltaOf)
	}
	return token{kind: firstOf, began: a.s.now()}, nil
}

// lost is the refusal of a token whose changes are not all known any more.
func (a *reading) lost() error {
	if a.p.isDrive() {
		return &LostError{Code: "resyncRequired"}
	}
	return &LostError{Code: "syncStateNotFound"}
}
