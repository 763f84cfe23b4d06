package catalog

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"heliograph.dev/internal/odata"
)

// maxParams bounds a path's parameters, so that their values fit into an array and a walk allocates nothing.
const maxParams = 6

// template is a path with parameters: users/{user}/messages.
type template struct {
	text   string // in canonical form, me/ resolved
	source string // as the data file has it
	steps  []step
	params []string // the names, in the order of the steps
	// list is the parameter that takes a list of values, or -1.
	list int
	// filter is the property, when the parameter stood in a $filter that names keys of a collection. Such a
	// template is kept as if it were a function of the collection: presences(id=['{user}']).
	filter string
}

// step is one segment of a template.
type step struct {
	name  string // a literal, as it is spelled in canonical paths
	args  []arg  // of a function, in the order of their names
	param int    // a parameter's index, or -1
	rest  bool   // the parameter takes all that is left
	colon bool   // the literal ends in a colon: names of files follow
}

type arg struct {
	name  string
	param int
	list  bool
}

// parseTemplate reads a path as the data files write it.
func parseTemplate(text string) (*template, error) {
	r, err := odata.ParseResource(text)
	if err != nil {
		return nil, err
	}
	t := &template{list: -1}
	if err := t.takeFilter(&r); err != nil {
		return nil, err
	}
	if first := r.Segments[0]; first.Text == "me" && !first.Quoted {
		r.Segments = append([]odata.Segment{{Text: "users"}, {Text: "{user}"}}, r.Segments[1:]...)
	}
	for i := range r.Segments {
		if err := t.add(&r.Segments[i], i == len(r.Segments)-1); err != nil {
			return nil, err
		}
	}
	if len(t.params) > maxParams {
		return nil, fmt.Errorf("more than %d parameters", maxParams)
	}
	t.text = odata.Resource{Segments: r.Segments}.Path()
	return t, nil
}

// takeFilter turns ?$filter=id in ('{x}') into an argument of the last segment.
func (t *template) takeFilter(r *odata.Resource) error {
	if len(r.Query) == 0 {
		return nil
	}
	if len(r.Query) > 1 || r.Query[0].Name != "$filter" {
		return errors.New("the only query option of a path is a $filter that names keys")
	}
	property, values, err := odata.KeyFilter(r.Query[0])
	if err != nil {
		return err
	}
	t.filter = property
	last := &r.Segments[len(r.Segments)-1]
	last.Args = append(last.Args, odata.Arg{Name: property, Values: values, List: isList(r.Query[0].Value)})
	return nil
}

// isList reports whether a key filter is of the form "in (…)".
func isList(filter string) bool { return strings.Contains(filter, "(") }

func (t *template) add(s *odata.Segment, last bool) error {
	st := step{name: s.Text, param: -1, colon: s.Colon}
	if name, rest, ok := paramName(s.Text); ok {
		if rest && !last || len(s.Args) > 0 {
			return fmt.Errorf("{%s} must be the last segment", name)
		}
		st = step{param: len(t.params), rest: rest}
		if err := t.addParam(name); err != nil {
			return err
		}
	} else if strings.ContainsAny(s.Text, "{}") {
		return fmt.Errorf("a parameter is a whole segment: %q", s.Text)
	}
	args := slices.Clone(s.Args)
	slices.SortFunc(args, func(a, b odata.Arg) int { return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)) })
	for _, a := range args {
		name, rest, ok := paramName(a.Values[0])
		if !ok || rest || len(a.Values) > 1 {
			return fmt.Errorf("the argument %s must be one parameter", a.Name)
		}
		if a.List {
			if t.list >= 0 {
				return errors.New("more than one list")
			}
			t.list = len(t.params)
		}
		st.args = append(st.args, arg{name: a.Name, param: len(t.params), list: a.List})
		if err := t.addParam(name); err != nil {
			return err
		}
	}
	t.steps = append(t.steps, st)
	return nil
}

func (t *template) addParam(name string) error {
	if slices.Contains(t.params, name) {
		return fmt.Errorf("the parameter {%s} twice", name)
	}
	t.params = append(t.params, name)
	return nil
}

// paramName reads {name} and {name...}.
func paramName(s string) (name string, rest, ok bool) {
	name, ok = strings.CutPrefix(s, "{")
	if !ok {
		return "", false, false
	}
	if name, ok = strings.CutSuffix(name, "}"); !ok || strings.ContainsAny(name, "{}") {
		return "", false, false
	}
	name, rest = strings.CutSuffix(name, "...")
	return name, rest, name != ""
}

// sig is what a step is found by: the literal in lower case, and the names of the arguments.
func (s *step) sig() string {
	names := make([]string, len(s.args))
	for i, a := range s.args {
		names[i] = a.name
	}
	return signature(s.name, names)
}

// signature returns what a segment with these arguments, in the order of their names, is found by.
func signature(name string, args []string) string {
	name = strings.ToLower(name)
	if len(args) == 0 {
		return name
	}
	return name + "(" + strings.ToLower(strings.Join(args, ",")) + ")"
}

// argsText is how the arguments stand in the template's text.
func (s *step) argsText(params []string) string {
	values := make([][]string, len(params))
	for i, p := range params {
		values[i] = []string{"{" + p + "}"}
	}
	return strings.TrimPrefix((&template{steps: []step{*s}}).path(values), s.name)
}

// path renders the canonical path with these values, one list for each parameter.
func (t *template) path(values [][]string) string {
	r := odata.Resource{Segments: make([]odata.Segment, 0, len(t.steps))}
	for _, s := range t.steps {
		switch {
		case s.rest:
			for _, v := range values[s.param] {
				r.Segments = append(r.Segments, odata.Segment{Text: v})
			}
			continue
		case s.param >= 0:
			r.Segments = append(r.Segments, odata.Segment{Text: values[s.param][0]})
			continue
		}
		segment := odata.Segment{Text: s.name, Colon: s.colon}
		for _, a := range s.args {
			segment.Args = append(segment.Args, odata.Arg{Name: a.name, Values: values[a.param], List: a.list})
		}
		r.Segments = append(r.Segments, segment)
	}
	return r.Path()
}

// shown is the template as people write it.
func (t *template) shown() string {
	if t.filter != "" {
		return t.source
	}
	return t.text
}

// binds reports whether t has every parameter of other.
func (t *template) binds(other *template) bool {
	return !slices.ContainsFunc(other.params, func(p string) bool { return !slices.Contains(t.params, p) })
}

// sameParams reports whether both have the same parameters, in any order.
func (t *template) sameParams(other *template) bool { return t.binds(other) && other.binds(t) }
