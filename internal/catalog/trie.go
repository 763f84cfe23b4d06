package catalog

import (
	"fmt"
	"slices"
	"strings"

	"heliograph.dev/internal/odata"
)

// node is a place in a tree of templates. A literal wins over a parameter: where both could come next, what is
// spelled like the literal is the literal.
type node struct {
	exact  map[string]*node // by the canonical spelling: for what is canonical already
	folded map[string]*node // by signature: for what comes from outside
	param  *node
	rest   *node
	name   string // of the parameter that led here
	args   []string
	leaves []*leaf
}

// leaf is a template that ends at a node.
type leaf struct {
	row    *Row
	tmpl   *template
	means  *template // what it is another spelling of, or tmpl itself
	change *change   // in the tree of changes
	// refusal is the rule that refuses, in the tree of what cannot be subscribed to.
	refusal string
}

// insert adds a leaf under its template. Two templates that lead to the same place must call their parameters
// the same, or one path would have two canonical forms.
func (n *node) insert(l *leaf) error {
	for i := range l.tmpl.steps {
		s := &l.tmpl.steps[i]
		if s.param < 0 {
			n = n.literal(s)
			continue
		}
		next := &n.param
		if s.rest {
			next = &n.rest
		}
		name := l.tmpl.params[s.param]
		if *next == nil {
			*next = &node{name: name}
		} else if (*next).name != name {
			return fmt.Errorf("{%s} is called {%s} in other rows", name, (*next).name)
		}
		n = *next
	}
	n.leaves = append(n.leaves, l)
	return nil
}

func (n *node) literal(s *step) *node {
	sig := s.sig()
	if next := n.folded[sig]; next != nil {
		return next
	}
	next := &node{}
	for _, a := range s.args {
		next.args = append(next.args, strings.ToLower(a.name))
	}
	if n.folded == nil {
		n.exact, n.folded = map[string]*node{}, map[string]*node{}
	}
	n.folded[sig] = next
	if len(s.args) == 0 {
		spelled := odata.Resource{Segments: []odata.Segment{{Text: s.name, Colon: s.colon}}}.Path()
		n.exact[spelled] = next
	}
	return next
}

// find walks segments as they came from outside. values has one list for each parameter on the way.
func (n *node) find(segments []odata.Segment) (leaves []*leaf, values [][]string) {
	for i := range segments {
		s := &segments[i]
		next := n.named(s)
		switch {
		case next != nil && !s.Quoted:
			for _, name := range next.args {
				values = append(values, argument(s, name))
			}
		case next == nil && n.param != nil && len(s.Args) == 0:
			values = append(values, []string{s.Text})
			next = n.param
		case next == nil && n.rest != nil:
			var rest []string
			for _, s := range segments[i:] {
				if len(s.Args) > 0 {
					return nil, nil
				}
				rest = append(rest, s.Text)
			}
			return n.rest.leaves, append(values, rest)
		default: // nothing there, or a key in quotes that would be a literal without them
			return nil, nil
		}
		n = next
	}
	return n.leaves, values
}

// named returns the node of a literal, or nil.
func (n *node) named(s *odata.Segment) *node {
	if len(s.Args) == 0 {
		return n.folded[strings.ToLower(s.Text)]
	}
	names := make([]string, len(s.Args))
	for i, a := range s.Args {
		names[i] = strings.ToLower(a.Name)
	}
	slices.Sort(names)
	return n.folded[signature(s.Text, names)]
}

func argument(s *odata.Segment, name string) []string {
	for _, a := range s.Args {
		if strings.EqualFold(a.Name, name) {
			return a.Values
		}
	}
	return nil
}

// walk finds a canonical path and puts its parameters' values, as they stand there, into values. It does not
// allocate unless the path holds arguments.
func (n *node) walk(path string, values *[maxParams]string) []*leaf {
	count := 0
	for path != "" {
		segment, tail, _ := strings.Cut(path, "/")
		next := n.exact[segment]
		switch {
		case next != nil:
		case strings.HasSuffix(segment, ")"):
			if next = n.function(segment, values, &count); next == nil {
				return nil
			}
		case n.param != nil:
			values[count] = segment
			count++
			next = n.param
		case n.rest != nil:
			values[count] = path
			return n.rest.leaves
		default:
			return nil
		}
		n, path = next, tail
	}
	return n.leaves
}

// function finds a segment with arguments; each must have one value.
func (n *node) function(segment string, values *[maxParams]string, count *int) *node {
	r, err := odata.ParseResource(segment)
	if err != nil {
		return nil
	}
	next := n.named(&r.Segments[0])
	if next == nil {
		return nil
	}
	for _, name := range next.args {
		v := argument(&r.Segments[0], name)
		if len(v) != 1 {
			return nil
		}
		values[*count] = odata.Escape(v[0])
		*count++
	}
	return next
}
