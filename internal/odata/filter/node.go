package filter

import (
	"bytes"

	"heliograph.dev/internal/odata/edm"
)

// expr is a node of a filter. Nodes are not changed once they are made.
type expr interface {
	// eval says what the node is at scope, the JSON of a resource or of an element of a collection.
	eval(e *env, scope []byte) value
	// typ says what eval answers, unless it is null.
	typ() typ
	// append appends the canonical text.
	append(b []byte) []byte
}

// typ is what is known of a node before there is a resource.
type typ uint8

const (
	anything  typ = iota // a property
	nothing              // null
	condition            // true or false
	numeric
	textual
	identity // a GUID: equal or not, and in no order
	temporal
	lasting
)

// is reports whether a node of this type can be one of the other.
func (t typ) is(other typ) bool {
	return t == other || t == anything || t == nothing || other == anything || other == nothing
}

// String says it in a message.
func (t typ) String() string {
	return [...]string{
		"a property", "null", "a condition", "a number", "a string", "a GUID", "a date", "a duration",
	}[t]
}

// literal is a value that stands in the filter.
type literal struct {
	value value
	of    typ
	text  string
}

func (l *literal) eval(*env, []byte) value { return l.value }
func (l *literal) typ() typ                { return l.of }
func (l *literal) append(b []byte) []byte  { return append(b, l.text...) }

// path is a property, seen from the scope.
type path struct {
	root  string // a variable or $it; empty: the resource
	steps [][]byte
}

func (p *path) raw(scope []byte) []byte {
	for _, step := range p.steps {
		if scope = member(scope, step); scope == nil {
			return nil
		}
	}
	return scope[space(scope, 0):]
}

func (p *path) eval(e *env, scope []byte) value { return e.decode(p.raw(scope)) }
func (p *path) typ() typ                        { return anything }

func (p *path) append(b []byte) []byte {
	b = append(b, p.root...)
	for i, step := range p.steps {
		if i > 0 || p.root != "" {
			b = append(b, '/')
		}
		b = append(b, step...)
	}
	return b
}

// size is how many elements a collection has.
type size struct{ of *path }

func (s *size) eval(_ *env, scope []byte) value {
	raw := s.of.raw(scope)
	if len(raw) == 0 || raw[0] != '[' {
		return value{}
	}
	n := 0
	elements(raw, func([]byte) bool { n++; return true })
	return count(n)
}

func (s *size) typ() typ               { return numeric }
func (s *size) append(b []byte) []byte { return append(s.of.append(b), "/$count"...) }

// lambda asks a condition of the elements of a collection: whether it holds for any, or for all.
type lambda struct {
	of       *path
	all      bool
	variable string
	cond     expr // nil: whether there is any
}

func (l *lambda) eval(e *env, scope []byte) value {
	// any ends at the first that is true, all at the first that is false. Short of that, one that is unknown leaves
	// the answer unknown.
	answer := truth(l.all)
	elements(l.of.raw(scope), func(element []byte) bool {
		v := truth(true)
		if l.cond != nil {
			v = l.cond.eval(e, element)
		}
		switch {
		case v.kind != boolean:
			answer = value{}
		case v.truth != l.all:
			answer = v
			return false
		}
		return true
	})
	return answer
}

func (l *lambda) typ() typ { return condition }

func (l *lambda) append(b []byte) []byte {
	b = append(l.of.append(b), '/')
	b = append(b, l.word()...)
	b = append(b, '(')
	if l.cond != nil {
		b = append(append(b, l.variable...), ':', ' ')
		b = l.cond.append(b)
	}
	return append(b, ')')
}

func (l *lambda) word() string {
	if l.all {
		return "all"
	}
	return "any"
}

// logical is a chain of and, or of or.
type logical struct {
	or   bool
	list []expr
}

func (l *logical) add(c expr) {
	if same, ok := c.(*logical); ok && same.or == l.or {
		l.list = append(l.list, same.list...)
		return
	}
	l.list = append(l.list, c)
}

func (l *logical) eval(e *env, scope []byte) value {
	answer := truth(!l.or)
	for _, c := range l.list {
		switch v := c.eval(e, scope); {
		case v.kind != boolean:
			answer = value{}
		case v.truth == l.or:
			return v
		}
	}
	return answer
}

func (l *logical) typ() typ { return condition }

func (l *logical) append(b []byte) []byte {
	for i, c := range l.list {
		if i > 0 && l.or {
			b = append(b, " or "...)
		} else if i > 0 {
			b = append(b, " and "...)
		}
		_, within := c.(*logical) // or within and needs it; and within or does not
		b = appendWithin(b, c, within && !l.or)
	}
	return b
}

func appendWithin(b []byte, c expr, parentheses bool) []byte {
	if !parentheses {
		return c.append(b)
	}
	return append(c.append(append(b, '(')), ')')
}

// negation is not.
type negation struct{ of expr }

func (n *negation) eval(e *env, scope []byte) value {
	v := n.of.eval(e, scope)
	if v.kind != boolean {
		return value{}
	}
	return truth(!v.truth)
}

func (n *negation) typ() typ { return condition }

func (n *negation) append(b []byte) []byte {
	return appendWithin(append(b, "not "...), n.of, isCompound(n.of))
}

// isCompound reports whether a node consists of parts that an operator joins.
func isCompound(x expr) bool {
	switch x.(type) {
	case *logical, *negation, *comparison, *membership, *flags:
		return true
	}
	return false
}

// comparison is one of eq ne gt ge lt le.
type comparison struct {
	word        string
	left, right expr
}

func (c *comparison) eval(e *env, scope []byte) value {
	a, b := c.left.eval(e, scope), c.right.eval(e, scope)
	switch c.word {
	case "eq":
		return truth(equal(a, b))
	case "ne":
		return truth(!equal(a, b))
	}
	order, ok := compare(a, b)
	switch c.word {
	case "gt":
		ok = ok && order > 0
	case "ge":
		ok = ok && order >= 0
	case "lt":
		ok = ok && order < 0
	default:
		ok = ok && order <= 0
	}
	return truth(ok)
}

func (c *comparison) typ() typ { return condition }

func (c *comparison) append(b []byte) []byte {
	b = appendWithin(b, c.left, isCompound(c.left))
	b = append(append(append(b, ' '), c.word...), ' ')
	return appendWithin(b, c.right, isCompound(c.right))
}

// membership is in.
type membership struct {
	of   expr
	list []*literal
}

func (m *membership) eval(e *env, scope []byte) value {
	v := m.of.eval(e, scope)
	for _, l := range m.list {
		if equal(v, l.value) {
			return truth(true)
		}
	}
	return truth(false)
}

func (m *membership) typ() typ { return condition }

func (m *membership) append(b []byte) []byte {
	b = append(appendWithin(b, m.of, isCompound(m.of)), " in ("...)
	for i, l := range m.list {
		if i > 0 {
			b = append(b, ',')
		}
		b = l.append(b)
	}
	return append(b, ')')
}

// flags is has: whether an enumeration has these members.
type flags struct {
	of      expr
	members [][]byte
	text    string
}

func (f *flags) eval(e *env, scope []byte) value {
	v := f.of.eval(e, scope)
	if v.kind != text {
		return value{}
	}
	for _, wanted := range f.members {
		if !hasMember(v.b, wanted) {
			return truth(false)
		}
	}
	return truth(true)
}

func hasMember(list, wanted []byte) bool {
	for member := range bytes.SplitSeq(list, []byte{','}) {
		if edm.CompareText(bytes.TrimSpace(member), wanted) == 0 {
			return true
		}
	}
	return false
}

func (f *flags) typ() typ { return condition }

func (f *flags) append(b []byte) []byte {
	b = appendWithin(b, f.of, isCompound(f.of))
	return append(append(b, " has "...), f.text...)
}

// call is a function of one or two arguments.
type call struct {
	*function
	args []expr
}

func (c *call) eval(e *env, scope []byte) value {
	var args [2]value
	for i, arg := range c.args {
		v := arg.eval(e, scope)
		if c.params[i] == temporal {
			v = v.read(instant)
		}
		if v.kind != c.kindOf(i) {
			return value{}
		}
		args[i] = v
	}
	return c.do(e, args[0], args[1])
}

func (c *call) typ() typ { return c.result }

func (c *call) append(b []byte) []byte {
	b = append(append(b, c.name...), '(')
	for i, arg := range c.args {
		if i > 0 {
			b = append(b, ',')
		}
		b = arg.append(b)
	}
	return append(b, ')')
}
