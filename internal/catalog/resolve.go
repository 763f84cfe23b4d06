package catalog

import (
	"slices"
	"strconv"
	"strings"

	"heliograph.dev"
	"heliograph.dev/internal/odata"
)

// Me is who a request comes from, where that decides which resource is meant. The zero Me is an application.
type Me struct {
	Object heliograph.ObjectID
	UPN    string
}

// MeOf returns the Me of a caller: the zero Me unless a user is signed in.
func MeOf(caller *heliograph.Caller) Me {
	if !caller.Delegated {
		return Me{}
	}
	return Me{Object: caller.Object, UPN: caller.UPN}
}

// Resolved is a resource and one row that it belongs to.
type Resolved struct {
	Row      *Row
	Template string // the row's path that it is one of, without me/, ids of a filter as an argument
	// Path is the canonical path: no slash at its ends, literals as the catalog spells them, keys as segments,
	// me/ as users/{id}, GUIDs and principal names in lower case, ids that stood in a filter as an argument.
	// Resolving it again, by anybody, gives the same.
	Path   string
	Params []Param
	// Query are the options without a $filter that names keys: that is part of the path.
	Query odata.Query
	// ChangeTypes are what can be subscribed to on this path.
	ChangeTypes heliograph.ChangeType
	// Watch are the paths to index a subscription under: [Path], or one for each id of a list.
	Watch []string
}

// Param is a named part of a path, with its value: more than one for a list.
type Param struct {
	Name   string
	Values []string
}

// Param returns the first value of the named parameter.
func (r *Resolved) Param(name string) (string, bool) {
	for _, p := range r.Params {
		if p.Name == name {
			return p.Values[0], true
		}
	}
	return "", false
}

// Resolve finds the rows that a resource belongs to: one, except for the root of a drive, which is a personal
// row's and a business row's. Errors are *heliograph.Error from the active profile (rules create.resource.…).
func (c *Catalog) Resolve(resource string, me Me) ([]Resolved, error) {
	r, err := odata.ParseResource(resource)
	if err != nil {
		return nil, c.refuse("create.resource.syntax", resource, err)
	}
	if first := &r.Segments[0]; strings.EqualFold(first.Text, "me") && !first.Quoted && len(first.Args) == 0 {
		if me.Object == "" {
			return nil, c.refuse("create.resource.me", resource, nil)
		}
		users := []odata.Segment{{Text: "users"}, {Text: string(me.Object), Quoted: true}}
		r.Segments = append(users, r.Segments[1:]...)
	}
	leaves, values, err := c.lookup(&r)
	if err != nil {
		return nil, c.refuse("create.resource.syntax", resource, err)
	}
	found := make([]Resolved, 0, len(leaves))
	for _, l := range leaves {
		if len(values) != len(l.tmpl.params) {
			continue
		}
		res, rule := c.resolved(l, values, &r, me)
		if rule != "" {
			return nil, c.refuse(rule, resource, nil)
		}
		found = append(found, res)
	}
	if len(found) == 0 {
		return nil, c.refuse(c.unknown(&r), resource, nil)
	}
	return found, nil
}

func (c *Catalog) refuse(rule, resource string, cause error) *heliograph.Error {
	args := map[string]string{"resource": resource, "reason": "", "operation": "Create"}
	if cause != nil {
		args["reason"] = cause.Error()
	}
	return c.profile.Refuse(rule, args)
}

// lookup finds the leaves of a path. A $filter that names keys of a collection is tried as part of the path
// first.
func (c *Catalog) lookup(r *odata.Resource) (leaves []*leaf, values [][]string, err error) {
	filter, filtered := r.Query.Get("$filter")
	last := len(r.Segments) - 1
	if filtered && len(r.Segments[last].Args) == 0 {
		property, keys, keyErr := odata.KeyFilter(filter)
		if keyErr == nil {
			segments := slices.Clone(r.Segments)
			segments[last].Args = []odata.Arg{{Name: property, Values: keys, List: true}}
			if leaves, values = c.paths.find(segments); len(leaves) > 0 {
				return leaves, values, nil
			}
		}
		err = keyErr
	}
	if leaves, values = c.paths.find(r.Segments); len(leaves) > 0 || !c.filters[strings.ToLower(r.Segments[last].Text)] {
		err = nil
	}
	return leaves, values, err
}

// resolved fills in what a leaf makes of the values, or names the rule that refuses.
func (c *Catalog) resolved(l *leaf, values [][]string, r *odata.Resource, me Me) (res Resolved, rule string) {
	byName := make(map[string][]string, len(values))
	for i, name := range l.tmpl.params {
		canonical := make([]string, len(values[i]))
		for j, v := range values[i] {
			canonical[j] = c.params[name].canonical(v, me)
		}
		if len(canonical) > 1 {
			if l.tmpl.list != i {
				return res, "create.resource.unknown"
			}
			slices.Sort(canonical)
			canonical = slices.Compact(canonical)
		}
		if l.row.MaxIDs > 0 && len(canonical) > l.row.MaxIDs {
			return res, "create.resource.ids"
		}
		byName[name] = canonical
	}
	t := l.means
	if single := l.row.single[t.text]; single != nil && len(byName[t.params[t.list]]) == 1 {
		t = single
	}
	res = Resolved{Row: l.row, Template: t.text, ChangeTypes: l.row.ChangeTypes, Query: l.row.ownQuery(r.Query)}
	if types := l.row.byPath[t.text].types; types != 0 {
		res.ChangeTypes = types
	}
	ordered := make([][]string, len(t.params))
	for i, name := range t.params {
		ordered[i] = byName[name]
		res.Params = append(res.Params, Param{Name: name, Values: byName[name]})
	}
	res.Path = t.path(ordered)
	res.Watch = l.row.watch(t, ordered, &res)
	return res, ""
}

// watch returns the paths that a subscription is indexed under.
func (r *Row) watch(t *template, values [][]string, res *Resolved) []string {
	paths := []string{res.Path}
	if t.list >= 0 {
		single := r.single[t.text]
		if single == nil {
			single = t
		}
		paths = paths[:0]
		for _, v := range values[t.list] {
			one := slices.Clone(values)
			one[t.list] = []string{v}
			paths = append(paths, single.path(one))
		}
	}
	for _, option := range r.options {
		if isTrue(res.Query.Get(option)) {
			for _, p := range slices.Clone(paths) {
				paths = append(paths, p+"?"+option)
			}
		}
	}
	return paths
}

// ownQuery returns the options without a $filter that names keys.
func (r *Row) ownQuery(q odata.Query) odata.Query {
	if len(r.keyFilters) == 0 {
		return q
	}
	return slices.DeleteFunc(slices.Clone(q), func(o odata.Option) bool {
		if !strings.EqualFold(strings.TrimPrefix(o.Name, "$"), "filter") {
			return false
		}
		property, _, err := odata.KeyFilter(o)
		return err == nil && slices.ContainsFunc(r.keyFilters, func(k string) bool { return strings.EqualFold(k, property) })
	})
}

func isTrue(o odata.Option, found bool) bool {
	if !found {
		return false
	}
	yes, err := strconv.ParseBool(strings.ToLower(o.Value))
	return err == nil && yes
}

// Pick returns the candidate for the caller's kind, or the first when none is for it.
func Pick(candidates []Resolved, caller *heliograph.Caller) Resolved {
	kind := kindOf(caller)
	for _, res := range candidates {
		if res.Row.supports(kind, res.Template) {
			return res
		}
	}
	return candidates[0]
}
