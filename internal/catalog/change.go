package catalog

import (
	"heliograph.dev"
	"heliograph.dev/internal/odata"
)

// change is one form in which changes of a row's instances are published.
type change struct {
	tmpl  *template
	views []view
	told  told
	basic form
	rich  form
	id    pieces
}

// view is a subscription path that sees a change.
type view struct{ path pieces }

// form is how a notification names an instance.
type form struct {
	resource, odataID pieces
	odataType         string
}

// told says as which types a created, an updated and a deleted are told, in order of preference.
type told [3][]heliograph.ChangeType

func typeIndex(t heliograph.ChangeType) int {
	switch t {
	case heliograph.Created:
		return 0
	case heliograph.Updated:
		return 1
	case heliograph.Deleted:
		return 2
	}
	return -1
}

// first returns the first type that a change of type changed is told as to somebody who wants wanted, or 0.
func (t *told) first(changed, wanted heliograph.ChangeType) heliograph.ChangeType {
	i := typeIndex(changed)
	if i < 0 {
		return 0
	}
	for _, one := range t[i] {
		if wanted.Has(one) {
			return one
		}
	}
	return 0
}

// CanonicalChange returns the canonical form of the path of a changed instance (users/{id}/messages/{id}), or a
// *heliograph.Error of rule publish.resource.… when it cannot be read or belongs to no row.
func (c *Catalog) CanonicalChange(path string) (string, error) {
	r, err := odata.ParseResource(path)
	if err != nil {
		return "", heliograph.Errorf(heliograph.Invalid, "publish.resource.syntax", "the path of the changed resource %q cannot be read: %v", path, err)
	}
	if len(r.Query) > 0 {
		return "", heliograph.Errorf(heliograph.Invalid, "publish.resource.query", "the path of a changed resource has no query: %q", path)
	}
	leaves, values := c.changes.find(r.Segments)
	if len(leaves) == 0 {
		return "", unknownChange(path)
	}
	t := leaves[0].tmpl
	for i, name := range t.params {
		if s := t.steps[len(t.steps)-1]; s.rest && s.param == i {
			continue
		}
		if len(values[i]) != 1 {
			return "", unknownChange(path)
		}
		values[i] = []string{c.params[name].canonical(values[i][0], Me{})}
	}
	return t.path(values), nil
}

// ChangeTemplate returns the template of a canonical change path, its parameters in braces (users/{user}/messages/{message}),
// or nothing.
func (c *Catalog) ChangeTemplate(path string) string {
	r, err := odata.ParseResource(path)
	if err != nil {
		return ""
	}
	leaves, _ := c.changes.find(r.Segments)
	if len(leaves) == 0 {
		return ""
	}
	return leaves[0].tmpl.text
}

func unknownChange(path string) error {
	return heliograph.Errorf(heliograph.Invalid, "publish.resource.unknown", "no resource of the catalog has changes at %q", path)
}

// Watcher is one path that a subscription may stand on, and how a notification for it names the instance. It
// is valid during the visit only.
type Watcher struct {
	Row    *Row
	change *change
	path   pieces
	values [maxParams]string
}

// Watchers visits every subscription path under which a change of the instance at path is visible, and reports
// whether any row knows such an instance. The path must be canonical, as CanonicalChange gives it. It does not
// allocate.
func (c *Catalog) Watchers(path string, visit func(*Watcher)) bool {
	w, _ := c.watchers.Get().(*Watcher)
	defer c.watchers.Put(w)
	leaves := c.changes.walk(path, &w.values)
	for _, l := range leaves {
		w.Row, w.change = l.row, l.change
		for i := range l.change.views {
			w.path = l.change.views[i].path
			visit(w)
		}
	}
	clear(w.values[:]) // holds on to no change
	return len(leaves) > 0
}

// AppendPath appends the canonical subscription path.
func (w *Watcher) AppendPath(b []byte) []byte { return w.path.append(b, &w.values, "") }

// Instance returns how the notification names the instance. It may be kept.
func (w *Watcher) Instance() Instance { return Instance{change: w.change, values: w.values} }

// Instance is how a notification names what changed (contract 11.8, 11.9, 11.13 to 11.18). It holds on to the
// change's path and to nothing else.
type Instance struct {
	change *change
	values [maxParams]string
}

// Type returns the first of the types that a change of type changed is told as, among those wanted (a file made
// below a drive's root is an update of the root), or 0.
func (i *Instance) Type(changed, wanted heliograph.ChangeType) heliograph.ChangeType {
	return i.change.told.first(changed, wanted)
}

func (i *Instance) form(rich bool) *form {
	if rich {
		return &i.change.rich
	}
	return &i.change.basic
}

// Resource returns the notification's resource, given the subscription's own as it was sent (drives and lists
// name that one).
func (i *Instance) Resource(subscribed string, rich bool) string {
	return i.form(rich).resource.text(&i.values, subscribed)
}

// AppendResource appends what Resource returns.
func (i *Instance) AppendResource(b []byte, subscribed string, rich bool) []byte {
	return i.form(rich).resource.append(b, &i.values, subscribed)
}

// ODataID returns resourceData's @odata.id, or "" to leave it out.
func (i *Instance) ODataID(subscribed string, rich bool) string {
	return i.form(rich).odataID.text(&i.values, subscribed)
}

// AppendODataID appends what ODataID returns.
func (i *Instance) AppendODataID(b []byte, subscribed string, rich bool) []byte {
	return i.form(rich).odataID.append(b, &i.values, subscribed)
}

// ODataType returns resourceData's @odata.type, or "" to leave it out.
func (i *Instance) ODataType(rich bool) string { return i.form(rich).odataType }

// Identify has the instance named by another id than that in its path, everywhere.
func (i *Instance) Identify(id string) {
	if at := i.change.id; len(at) == 1 && at[0].place == alone {
		i.values[at[0].param] = odata.Escape(id)
	}
}

// ID returns resourceData's id, or "" to leave it out.
func (i *Instance) ID() string { return i.change.id.text(&i.values, "") }

// AppendID appends what ID returns.
func (i *Instance) AppendID(b []byte) []byte { return i.change.id.append(b, &i.values, "") }
