package catalog

import (
	"fmt"
	"slices"
	"strings"

	"heliograph.dev"
	"heliograph.dev/internal/odata"
	"heliograph.dev/internal/odata/edm"
	"heliograph.dev/internal/odata/filter"
)

// Selection is what the query options of a subscription say about which changes reach it, and what of a resource
// is told. It does not change.
type Selection struct {
	Filter *filter.Filter   // nil: none
	Search *filter.Search   // nil: none
	Select []odata.Selected // what $select names, in its order
	// Entering says that a resource that comes to meet the filter is told as created, and one that no longer does
	// as deleted (contract 18.7).
	Entering bool
}

// Decides reports whether some changes are kept from the subscription.
func (s *Selection) Decides() bool { return s != nil && (s.Filter != nil || s.Search != nil) }

// Match reports whether the subscription means a resource with this JSON.
func (s *Selection) Match(resource []byte) bool {
	return (s.Filter == nil || s.Filter.Match(resource)) && (s.Search == nil || s.Search.Match(resource))
}

// Sees reports whether this JSON tells what the conditions ask: whether some property that they read is there.
func (s *Selection) Sees(resource []byte) bool {
	return (s.Filter == nil || s.Filter.Sees(resource)) && (s.Search == nil || s.Search.Sees(resource))
}

// String returns the conditions in their canonical form: equal texts of subscriptions of one row decide the same.
func (s *Selection) String() string {
	var b strings.Builder
	if s.Filter != nil {
		b.WriteString("$filter=" + s.Filter.String())
	}
	if s.Search != nil {
		b.WriteString("&$search=" + s.Search.String())
	}
	return b.String()
}

// OptionError says what is wrong with a query option. The character is counted in the attribute that it stands in.
type OptionError struct {
	Attribute string // resource or notificationQueryOptions
	Option    string
	Err       error
}

// Error names the option and what is wrong with it.
func (e *OptionError) Error() string { return e.Attribute + ": " + e.Option + ": " + e.Err.Error() }

// Unwrap returns what is wrong.
func (e *OptionError) Unwrap() error { return e.Err }

const notHere = "not supported on this resource"

// Selection reads the $filter, $search and $select of a subscription of this row: from the query of its resource,
// without what names keys (Resolved.Query), and from its notificationQueryOptions where the row has them there
// (contract 18.9). What cannot be read, and what the row does not allow, is an *OptionError that points at the
// character.
func (r *Row) Selection(query odata.Query, options string) (*Selection, error) {
	s := &Selection{}
	filterRule := r.QueryOptions["$filter"]
	if err := r.choose(s, query, &filterRule); err != nil {
		return nil, err
	}
	own, ok := r.QueryOptions["notificationQueryOptions"]
	if !ok || options == "" {
		return s, nil
	}
	wrong := func(option string, err error) error { return &OptionError{"notificationQueryOptions", option, err} }
	asked, err := odata.ParseQuery(options)
	if err != nil {
		return nil, wrong("query options", err)
	}
	for _, o := range asked {
		if !isOption(o, "$filter") {
			return nil, wrong(o.Name, &odata.SyntaxError{Pos: o.Pos, Reason: notHere})
		}
		if s.Filter, err = own.filter(o); err != nil {
			return nil, wrong("$filter", err)
		}
	}
	return s, nil
}

// choose reads the options of a resource's query.
func (r *Row) choose(s *Selection, query odata.Query, filterRule *QueryOption) (err error) {
	for _, o := range query {
		name := "$filter"
		switch {
		case isOption(o, "$filter"):
			s.Filter, err = filterRule.filter(o)
			s.Entering = filterRule.Entering
		case isOption(o, "$search"):
			name = "$search"
			s.Search, err = r.search(o)
		case isOption(o, "$select") && r.QueryOptions["$select"].Rule != "":
			name = "$select"
			s.Select, err = odata.ParseSelect(o)
		}
		if err != nil {
			return &OptionError{"resource", name, err}
		}
	}
	return nil
}

func isOption(o odata.Option, name string) bool {
	_, ok := odata.Query{o}.Get(name)
	return ok
}

// filter compiles a $filter that a row allows.
func (q *QueryOption) filter(o odata.Option) (*filter.Filter, error) {
	text, err := o.Text()
	if err != nil {
		return nil, err
	}
	if q.Rule != "allowed" && q.Rule != "property" {
		return nil, text.Place(&odata.SyntaxError{Reason: notHere})
	}
	f, err := filter.Parse(text.Value)
	if err == nil {
		err = q.permits(f)
	}
	if err != nil {
		return nil, text.Place(err)
	}
	return f, nil
}

// permits refuses properties and words that the row does not have in a filter.
func (q *QueryOption) permits(f *filter.Filter) error {
	for _, use := range f.Properties() {
		if !q.readable(use.Name) {
			reason := fmt.Sprintf("the property %s is %s", use.Name, notHere)
			return &odata.SyntaxError{Pos: use.Pos, Reason: reason}
		}
	}
	for _, use := range f.Words() {
		if len(q.Words) > 0 && !slices.Contains(q.Words, use.Name) {
			return &odata.SyntaxError{Pos: use.Pos, Reason: use.Name + " is " + notHere}
		}
	}
	return nil
}

// readable reports whether a filter may read a property: one of those named, or what is below them.
func (q *QueryOption) readable(property string) bool {
	if q.TopLevel && strings.Contains(property, "/") {
		return false
	}
	return len(q.Properties) == 0 || slices.ContainsFunc(q.Properties, func(p string) bool {
		return edm.HasPrefix([]byte(property+"/"), []byte(p+"/"))
	})
}

// search compiles a $search, if the row has one.
func (r *Row) search(o odata.Option) (*filter.Search, error) {
	text, err := o.Text()
	if err != nil {
		return nil, err
	}
	rule := r.QueryOptions["$search"]
	if rule.Rule != "allowed" {
		return nil, text.Place(&odata.SyntaxError{Reason: notHere})
	}
	s, err := filter.ParseSearch(text.Value, rule.Properties)
	if err != nil {
		return nil, text.Place(err)
	}
	return s, nil
}

// SelectionOf reads what the options of a stored subscription of this row say; nil when there are none.
func (r *Row) SelectionOf(s *heliograph.Subscription) (*Selection, error) {
	if s.NotificationQueryOptions == "" && !strings.Contains(s.Resource, "?") {
		return nil, nil //nolint:nilnil // most subscriptions have none
	}
	resource, err := odata.ParseResource(s.Resource)
	if err != nil {
		return nil, err
	}
	return r.Selection(r.ownQuery(resource.Query), s.NotificationQueryOptions)
}

// options reads what the row makes of query options.
func (b *rowBuilder) options() {
	b.row.QueryOptions = make(map[string]QueryOption, len(b.stored.QueryOptions))
	for name, o := range b.stored.QueryOptions {
		field := "query_options: " + name
		b.oneOf(field, o.Rule, "allowed", "boolean", "keys", "required_when_rich", "unsupported", "forbidden", "property", "billing")
		for _, word := range o.Words {
			if !filter.IsWord(word) {
				b.fail(field+": words", "%q is no word of a filter", word)
			}
		}
		if name == "$search" && o.Rule == "allowed" && len(o.Properties) == 0 {
			b.fail(field+": properties", "missing")
		}
		b.row.QueryOptions[name] = QueryOption(o)
	}
}
