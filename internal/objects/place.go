package objects

import (
	"slices"
	"strings"

	"heliograph.dev"
	"heliograph.dev/internal/catalog"
	"heliograph.dev/internal/odata"
)

// action is what is asked of a path.
type action int

const (
	get action = iota
	delta
	count
	children
)

// place is what a path means.
type place struct {
	do action
	// keys are those that an object there could have, lists the collections that it could be: more than one where a user
	// has two names. The first is the client's own.
	keys, lists []string
	template    string // of the first, its parameters in braces
	collection  bool
	rows        []*catalog.Row
	user        string // whose it is, as the path says, or empty
}

// namespace may stand before the name of a function.
const namespace = "microsoft.graph."

// locate finds out what a path means, or says false when no resource of the catalog is like it.
func (s *Store) locate(r *Request) (place, bool) {
	path, do := actionOf(strings.Trim(r.Path, "/"))
	p, ok := s.find(path, r)
	if !ok {
		return place{}, false
	}
	p.do = do
	p.rows = slices.DeleteFunc(p.rows, func(row *catalog.Row) bool { return !slices.Contains(row.APIVersions, r.version()) })
	if len(p.rows) == 0 {
		return place{}, false
	}
	if do == children && (p.collection || !p.isDrive()) {
		return place{}, false
	}
	return p, true
}

// actionOf takes a function from the end of a path.
func actionOf(path string) (string, action) {
	list, last := cut(path)
	last = strings.TrimSuffix(last, "()")
	if len(last) > len(namespace) && strings.EqualFold(last[:len(namespace)], namespace) {
		last = last[len(namespace):]
	}
	for name, do := range map[string]action{"delta": delta, "$count": count, "children": children} {
		if strings.EqualFold(last, name) && list != "" {
			if do == children {
				return list, do
			}
			if rest, inner := cut(list); strings.EqualFold(inner, "children") {
				return rest, do
			}
			return list, do
		}
	}
	if list == "" {
		return last, get
	}
	return list + "/" + last, get
}

// find reads the path of an object or a collection: first as what can be subscribed to, then as what can change, then
// as what holds something that can change.
func (s *Store) find(path string, r *Request) (place, bool) {
	me := catalog.MeOf(r.Caller)
	if found, err := s.opts.Catalog.Resolve(path, me); err == nil {
		template := found[0].Template
		p := place{template: template, collection: !strings.HasSuffix(template, "}") && !strings.HasSuffix(template, "/root")}
		for i := range found {
			p.rows = append(p.rows, found[i].Row)
		}
		p.name(s, found[0].Path, r)
		s.addRows(&p, found[0].Path)
		return p, true
	}
	if rest, mine := cutMe(path); mine {
		path = "users/" + odata.Escape(string(me.Object)) + rest
	}
	if key, err := s.opts.Catalog.CanonicalChange(path); err == nil {
		p := place{template: s.opts.Catalog.ChangeTemplate(key)}
		p.name(s, key, r)
		s.addRows(&p, key)
		return p, len(p.rows) > 0
	}
	if key, err := s.opts.Catalog.CanonicalChange(path + "/x"); err == nil {
		list, _ := cut(key)
		template, _ := cut(s.opts.Catalog.ChangeTemplate(key))
		p := place{template: template, collection: true}
		p.name(s, list, r)
		s.addRows(&p, key)
		return p, len(p.rows) > 0
	}
	return s.byName(path, r)
}

// byName finds what is only a name that notifications have for an object.
func (s *Store) byName(path string, r *Request) (place, bool) {
	parsed, err := odata.ParseResource(path)
	if err != nil {
		return place{}, false
	}
	key := folded(&parsed)
	s.mu.RLock()
	defer s.mu.RUnlock()
	d := s.dirs[r.Caller.Tenant]
	if d == nil || d.byKey[key] == nil {
		return place{}, false
	}
	path = parsed.Path()
	steps := strings.Split(path, "/")
	for i, step := range steps { // nobody says which are keys; words have no digits
		if strings.ContainsAny(step, "0123456789") {
			steps[i] = "{}"
		}
	}
	p := place{keys: []string{key}, lists: []string{path}, template: strings.Join(steps, "/")}
	s.addRows(&p, d.byKey[key].keys...)
	return p, len(p.rows) > 0
}

// cutMe takes me from the beginning of a path.
func cutMe(path string) (rest string, mine bool) {
	if len(path) >= 2 && strings.EqualFold(path[:2], "me") && (len(path) == 2 || path[2] == '/') {
		return path[2:], true
	}
	return path, false
}

// addRows adds the rows whose subscriptions see a change at one of the paths.
func (s *Store) addRows(p *place, paths ...string) {
	for _, path := range paths {
		s.opts.Catalog.Watchers(path, func(w *catalog.Watcher) {
			if !slices.Contains(p.rows, w.Row) {
				p.rows = append(p.rows, w.Row)
			}
		})
	}
}

// name sets the keys and collections of a canonical path, with both names of its user.
func (p *place) name(s *Store, path string, r *Request) {
	paths := []string{path}
	segments, steps := strings.Split(path, "/"), strings.Split(p.template, "/")
	for i, step := range steps {
		if step != "{user}" || i >= len(segments) {
			continue
		}
		p.user = odata.Unescape(segments[i])
		if s.opts.OtherName == nil {
			break
		}
		if other := s.opts.OtherName(r.Caller.Tenant, p.user); other != "" {
			twin := slices.Clone(segments)
			twin[i] = odata.Escape(other)
			paths = append(paths, strings.Join(twin, "/"))
		}
	}
	for _, one := range paths {
		p.keys = append(p.keys, s.keysOf(one)...)
	}
	p.lists = paths
}

// context is where a place stands in the metadata: users('demo')/messages.
func (p *place) context() string {
	if len(p.lists) == 0 {
		return ""
	}
	steps, segments := strings.Split(p.template, "/"), strings.Split(p.lists[0], "/")
	if strings.Contains(p.template, "(") || strings.Contains(strings.ToLower(lastOf(p.template)), "getall") {
		row := p.rows[0]
		return "Collection(" + strings.TrimPrefix(row.ODataType, "#") + ")"
	}
	var b strings.Builder
	for i, segment := range segments {
		switch {
		case i < len(steps) && strings.HasPrefix(steps[i], "{"):
			b.WriteString("(" + odata.Quote(odata.Unescape(segment)) + ")")
		case i > 0:
			b.WriteString("/" + segment)
		default:
			b.WriteString(segment)
		}
	}
	return b.String()
}

// isDrive reports whether the place belongs to a drive or a list, which tell of deletions in a way of their own.
func (p *place) isDrive() bool { return slices.ContainsFunc(p.rows, isFile) }

func isFile(row *catalog.Row) bool { return row.Workload == "drive" || row.Workload == "sharepoint" }

// refuse returns an error in the words of the service that the place belongs to.
func (p *place) refuse(kind heliograph.Kind, rule string) *heliograph.Error {
	type words struct{ code, message string }
	denied := map[string]words{
		"outlook":    {"ErrorAccessDenied", "Access is denied. Check credentials and try again."},
		"directory":  {"Authorization_RequestDenied", "Insufficient privileges to complete the operation."},
		"groups":     {"Authorization_RequestDenied", "Insufficient privileges to complete the operation."},
		"drive":      {"accessDenied", "Access denied"},
		"sharepoint": {"accessDenied", "Access denied"},
		"":           {"Forbidden", "Insufficient privileges to complete the operation."},
	}
	missing := map[string]words{
		"outlook":    {"ErrorItemNotFound", "The specified object was not found in the store."},
		"directory":  {"Request_ResourceNotFound", "Resource does not exist or one of its queried reference-property objects are not present."},
		"groups":     {"Request_ResourceNotFound", "Resource does not exist or one of its queried reference-property objects are not present."},
		"drive":      {"itemNotFound", "The resource could not be found."},
		"sharepoint": {"itemNotFound", "The resource could not be found."},
		"":           {"NotFound", "The object was not found."},
	}
	table := missing
	if kind == heliograph.Denied {
		table = denied
	}
	w, ok := table[p.rows[0].Workload]
	if !ok {
		w = table[""]
	}
	return &heliograph.Error{Kind: kind, Rule: rule, Code: w.code, Message: w.message}
}

// widen adds the rows that see the object at a place by another of its paths: who may read a chat because an app is
// installed there reads it by its own path.
func (s *Store) widen(p *place, r *Request) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	d := s.dirs[r.Caller.Tenant]
	if d == nil || p.collection {
		return
	}
	if o := d.object(p); o != nil {
		s.addRows(p, o.keys...)
	}
}

// admit refuses a caller who may not read there.
func (p *place) admit(s *Store, caller *heliograph.Caller) error {
	own := p.user == "" || !caller.Delegated || strings.EqualFold(p.user, string(caller.Object)) || strings.EqualFold(p.user, caller.UPN)
	for _, row := range p.rows {
		if row.PermitsSome(caller, s.opts.Strict) && (own || !row.DelegatedOwnOnly) {
			return nil
		}
	}
	return p.refuse(heliograph.Denied, "objects.permission")
}
