package catalog

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"heliograph.dev"
)

// paths reads what a subscription's resource may be, and puts it into the tree.
func (b *rowBuilder) paths() {
	if len(b.stored.Paths) == 0 {
		b.fail("paths", "none")
	}
	for i, text := range b.stored.Paths {
		field := fmt.Sprintf("paths[%d]", i)
		t := b.template(field, text)
		switch at := b.find(t); {
		case t == nil:
		case at == nil:
			b.row.templates = append(b.row.templates, t)
			b.row.Paths = append(b.row.Paths, t.shown())
			b.insertPath(field, t, t)
		case !isMe(text) && !isMe(at.source): // me/… and users/{user}/… are one
			b.fail(field, "twice")
		}
	}
	for _, t := range b.row.templates {
		b.list(t)
	}
	for i, text := range b.stored.PathAliases {
		field := fmt.Sprintf("path_aliases[%d]", i)
		t := b.template(field, text)
		if t == nil {
			continue
		}
		means := slices.IndexFunc(b.row.templates, t.sameParams)
		if means < 0 {
			b.fail(field, "no path of the row has the same parameters")
			continue
		}
		b.insertPath(field, t, b.row.templates[means])
	}
}

func isMe(text string) bool { return text == "me" || strings.HasPrefix(text, "me/") }

func (b *rowBuilder) template(field, text string) *template {
	t, err := parseTemplate(text)
	if err != nil {
		b.fail(field, "%q: %w", text, err)
		return nil
	}
	t.source = text
	if last := t.steps[len(t.steps)-1]; last.rest {
		b.fail(field, "%q: the rest of a path is for changes only", text)
		return nil
	}
	return t
}

// find returns the template of the row with the same canonical text.
func (b *rowBuilder) find(t *template) *template {
	if t == nil {
		return nil
	}
	for _, other := range b.row.templates {
		if other.text == t.text {
			return other
		}
	}
	return nil
}

func (b *rowBuilder) insertPath(field string, t, means *template) {
	if err := b.c.paths.insert(&leaf{row: b.row, tmpl: t, means: means}); err != nil {
		b.fail(field, "%w", err)
	}
	if t.filter != "" {
		last := t.steps[len(t.steps)-1]
		b.c.filters[strings.ToLower(last.name)] = true
		b.row.keyFilters = append(b.row.keyFilters, t.filter)
	}
}

// list finds what one element of a list of ids stands for: a filter for keys names the instances that the
// collection has under these keys.
func (b *rowBuilder) list(t *template) {
	if t.list < 0 {
		return
	}
	b.row.many = true
	if t.filter == "" {
		return
	}
	collection := strings.TrimSuffix(t.text, t.steps[len(t.steps)-1].argsText(t.params))
	key := collection + "/{" + t.params[t.list] + "}"
	for _, other := range b.row.templates {
		if other.text == key {
			b.row.single[t.text] = other
			return
		}
	}
	b.fail("paths", "%q names keys, and %q is not a path of the row", t.source, key)
}

func (b *rowBuilder) pathRules() {
	for _, text := range slices.Sorted(maps.Keys(b.stored.ByPath)) {
		field := "by_path: " + text
		t, err := parseTemplate(text)
		if err != nil || b.find(t) == nil {
			b.fail(field, "not a path of the row")
			continue
		}
		stored := b.stored.ByPath[text]
		rule := pathRule{types: b.types(field+": change_types", stored.ChangeTypes)}
		if rule.types&^b.row.ChangeTypes != 0 {
			b.fail(field+": change_types", "more than the row's")
		}
		for _, word := range stored.Callers {
			kind := slices.IndexFunc([]callerKind{delegatedWork, delegatedPersonal, application}, func(k callerKind) bool { return k.String() == word })
			if kind < 0 {
				b.fail(field+": callers", "%q: delegated_work, delegated_personal and application are known", word)
				continue
			}
			rule.callers = append(rule.callers, callerKind(kind))
		}
		b.row.byPath[t.text] = rule
	}
}

// changes reads how changes of the row's instances are published.
func (b *rowBuilder) changes() {
	reached := map[string]bool{}
	byRow := b.told("told_as", b.stored.ToldAs, nil)
	for i := range b.stored.Changes {
		b.change(fmt.Sprintf("changes[%d]", i), &b.stored.Changes[i], &byRow, reached)
	}
	for _, t := range b.row.templates {
		if !reached[t.text] && b.row.single[t.text] == nil {
			b.fail("changes", "none reaches %s", t.text)
		}
	}
}

func (b *rowBuilder) change(field string, s *storedChange, byRow *told, reached map[string]bool) {
	t, err := parseTemplate(s.Path)
	if err != nil {
		b.fail(field+": path", "%q: %w", s.Path, err)
		return
	}
	b.row.Changes = append(b.row.Changes, t.text)
	c := &change{tmpl: t, told: b.told(field+": told_as", s.ToldAs, byRow)}
	if s.Option != "" {
		b.row.many = true
		b.row.options = append(b.row.options, s.Option)
	}
	for _, to := range b.seenBy(field, s, t) {
		p, err := compilePath(to, t.params)
		if err != nil {
			b.fail(field+": to", "%s: %w", to.text, err)
			continue
		}
		if s.Option != "" {
			p = append(p, piece{text: "?" + s.Option})
		} else {
			reached[to.text] = true
		}
		c.views = append(c.views, view{p})
	}
	b.forms(field, c, s)
	if err := b.c.changes.insert(&leaf{row: b.row, tmpl: t, change: c}); err != nil {
		b.fail(field+": path", "%w", err)
	}
}

// seenBy returns the paths that see a change: those it names, or all whose parameters it binds.
func (b *rowBuilder) seenBy(field string, s *storedChange, t *template) []*template {
	var paths []*template
	for _, text := range s.To {
		to, err := parseTemplate(text)
		if err != nil || b.find(to) == nil {
			b.fail(field+": to", "%q is not a path of the row", text)
			continue
		}
		paths = append(paths, b.find(to))
	}
	if s.To != nil {
		return paths
	}
	for _, one := range b.row.templates {
		if t.binds(one) && b.row.single[one.text] == nil {
			paths = append(paths, one)
		}
	}
	if paths == nil {
		b.fail(field+": path", "%q binds the parameters of no path of the row", s.Path)
	}
	return paths
}

// forms compiles how a notification names the instance.
func (b *rowBuilder) forms(field string, c *change, s *storedChange) {
	text := func(name, text string, fallback pieces) pieces {
		if text == "" {
			return fallback
		}
		p, err := compileText(text, c.tmpl.params)
		if err != nil {
			b.fail(field+": "+name, "%w", err)
		}
		return p
	}
	if s.Resource == "" {
		b.fail(field+": resource", "missing")
	}
	c.basic.resource = text("resource", s.Resource, nil)
	named := c.basic.resource
	if len(named) == 1 && named[0].place == subscription { // no instance is named
		named = nil
	}
	c.basic.odataID = text("odata_id", s.ODataID, named)
	c.basic.odataType = firstOf(s.ODataType, b.stored.ODataType)
	c.rich.resource = text("rich: resource", s.Rich.Resource, c.basic.resource)
	c.rich.odataID = c.basic.odataID
	if s.Rich.Resource != "" && s.ODataID == "" {
		c.rich.odataID = c.rich.resource
	}
	c.rich.odataType = firstOf(s.Rich.ODataType, c.basic.odataType)
	c.id = text("id", s.ID, nil)
	if slices.ContainsFunc(c.id, func(p piece) bool { return p.place == subscription }) {
		b.fail(field+": id", "names no instance")
	}
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// told reads told_as; what it does not mention is told as fallback says, or as itself.
func (b *rowBuilder) told(field string, words map[string][]string, fallback *told) told {
	t := told{{heliograph.Created}, {heliograph.Updated}, {heliograph.Deleted}}
	if fallback != nil {
		t = *fallback
	}
	for _, from := range slices.Sorted(maps.Keys(words)) {
		changed := b.types(field, []string{from})
		i := typeIndex(changed)
		if i < 0 {
			continue
		}
		t[i] = nil
		for _, to := range words[from] {
			one := b.types(field+": "+from, []string{to})
			if one&^b.row.ChangeTypes != 0 {
				b.fail(field+": "+from, "the row has no change type %s", to)
			}
			t[i] = append(t[i], one)
		}
	}
	return t
}

// alone checks that no other row competes for a path: where two have the same one, no kind of caller may be
// able to subscribe to both.
func (b *rowBuilder) alone() {
	for _, t := range b.row.templates {
		for _, other := range b.c.rows {
			if other == b.row {
				return // the pairs behind it are seen from the other side
			}
			for kind := range callerKinds {
				if other.has(t) && b.row.supports(kind, t.text) && other.supports(kind, t.text) {
					b.fail("paths", "%s is also a path of row %s for %s callers", t.text, other.ID, kind)
				}
			}
		}
	}
}
