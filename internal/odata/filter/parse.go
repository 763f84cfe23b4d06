package filter

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"heliograph.dev/internal/odata"
)

// parser reads a filter from left to right, one function for each level of precedence.
type parser struct {
	s     string
	pos   int
	depth int
	nodes int
	items int
	// within are the lambdas around what is read.
	within            []scope
	properties, words []Use
}

// scope is a lambda around what is read: its variable, and the collection as a path from the resource.
type scope struct{ variable, prefix string }

func (p *parser) fail(pos int, reason string) error {
	return &odata.SyntaxError{Pos: pos, Reason: reason}
}

// whole reads the whole text.
func (p *parser) whole() (expr, error) {
	start := p.skip()
	x, err := p.or()
	if err != nil {
		return nil, err
	}
	if p.skip(); p.pos < len(p.s) {
		return nil, p.unexpected("an operator")
	}
	if !x.typ().is(condition) {
		return nil, p.fail(start, "expected a condition, found "+x.typ().String())
	}
	return x, nil
}

// skip passes over white space and returns where it ended.
func (p *parser) skip() int {
	for p.pos < len(p.s) && (p.s[p.pos] == ' ' || p.s[p.pos] == '\t') {
		p.pos++
	}
	return p.pos
}

// at reports whether c comes next.
func (p *parser) at(c byte) bool { return p.pos < len(p.s) && p.s[p.pos] == c }

// take passes over c, and white space before it, and reports whether it was there.
func (p *parser) take(c byte) bool {
	start := p.pos
	if p.skip(); !p.at(c) {
		p.pos = start
		return false
	}
	p.pos++
	return true
}

func (p *parser) must(c byte) error {
	if !p.take(c) {
		p.skip()
		return p.unexpected(string(c))
	}
	return nil
}

func (p *parser) unexpected(wanted string) error {
	found := "the end"
	if p.pos < len(p.s) {
		r, _ := utf8.DecodeRuneInString(p.s[p.pos:])
		found = string(r)
	}
	return p.fail(p.pos, "expected "+wanted+", found "+found)
}

// word returns the word that comes next, without passing over it.
func (p *parser) word() string {
	for i, r := range p.s[p.pos:] {
		if r == '_' || unicode.IsLetter(r) || i > 0 && (unicode.IsDigit(r) || unicode.Is(unicode.Mn, r)) {
			continue
		}
		return p.s[p.pos : p.pos+i]
	}
	return p.s[p.pos:]
}

// behind reports whether c comes next behind a word of that length.
func (p *parser) behind(word string, c byte) bool {
	i := p.pos + len(word)
	return i < len(p.s) && p.s[i] == c
}

// operator passes over one of words, in any case, and returns it.
func (p *parser) operator(words ...string) string {
	start := p.pos
	at := p.skip()
	found := p.word()
	for _, w := range words {
		if strings.EqualFold(found, w) {
			p.pos += len(found)
			p.words = append(p.words, Use{w, at})
			return w
		}
	}
	p.pos = start
	return ""
}

// node counts what is made.
func (p *parser) node(pos int) error {
	if p.nodes++; p.nodes > MaxNodes {
		return p.fail(pos, "a filter of too many parts")
	}
	return nil
}

func (p *parser) or() (expr, error)  { return p.chain("or", p.and) }
func (p *parser) and() (expr, error) { return p.chain("and", p.equality) }

// chain reads operands with and or or between them.
func (p *parser) chain(word string, operand func() (expr, error)) (expr, error) {
	l := &logical{or: word == "or"}
	for {
		start := p.skip()
		x, err := operand()
		if err != nil {
			return nil, err
		}
		more := p.operator(word) != ""
		if !more && len(l.list) == 0 {
			return x, nil
		}
		if !x.typ().is(condition) {
			return nil, p.fail(start, "expected a condition, found "+x.typ().String())
		}
		if l.add(x); !more {
			return l, p.node(start)
		}
	}
}

func (p *parser) equality() (expr, error) { return p.compared(p.relation, "eq", "ne") }
func (p *parser) relation() (expr, error) { return p.compared(p.unary, "gt", "ge", "lt", "le") }

// compared reads operands with a comparison between them.
func (p *parser) compared(operand func() (expr, error), words ...string) (expr, error) {
	left, err := operand()
	for err == nil {
		p.skip()
		at := p.pos
		word := p.operator(words...)
		if word == "" {
			return left, nil
		}
		var right expr
		if right, err = operand(); err == nil {
			left, err = p.comparison(at, &comparison{word: word, left: left, right: right})
		}
	}
	return nil, err
}

// comparison refuses what can never hold.
func (p *parser) comparison(pos int, c *comparison) (expr, error) {
	a, b := c.left.typ(), c.right.typ()
	if !a.is(b) {
		return nil, p.fail(pos, a.String()+" cannot be compared with "+b.String())
	}
	if c.word != "eq" && c.word != "ne" {
		for _, t := range []typ{a, b} {
			if t == condition || t == identity {
				return nil, p.fail(pos, t.String()+" is neither less nor greater than another")
			}
		}
	}
	return c, p.node(pos)
}

// unary reads not and its operand, or an operand with in or has behind it.
func (p *parser) unary() (expr, error) {
	start := p.skip()
	if p.depth++; p.depth > MaxDepth {
		return nil, p.fail(start, "a filter that is nested too deeply")
	}
	defer func() { p.depth-- }()
	if w := p.word(); !strings.EqualFold(w, "not") || p.behind(w, '/') {
		return p.primary()
	}
	p.operator("not")
	at := p.skip()
	of, err := p.unary()
	if err != nil {
		return nil, err
	}
	if !of.typ().is(condition) {
		return nil, p.fail(at, "expected a condition, found "+of.typ().String())
	}
	return &negation{of}, p.node(start)
}

func (p *parser) primary() (expr, error) {
	x, err := p.operand()
	if err != nil {
		return nil, err
	}
	if err := p.node(p.pos); err != nil {
		return nil, err
	}
	switch p.operator("in", "has") {
	case "in":
		return p.in(x)
	case "has":
		return p.has(x)
	}
	p.skip()
	switch strings.ToLower(p.word()) {
	case "add", "sub", "mul", "div", "divby", "mod":
		return nil, p.fail(p.pos, "arithmetic is not supported")
	}
	return x, nil
}

// operand reads what stands between operators.
func (p *parser) operand() (expr, error) {
	p.skip()
	if p.pos == len(p.s) {
		return nil, p.unexpected("a property or a value")
	}
	switch c := p.s[p.pos]; {
	case c == '(':
		p.pos++
		x, err := p.or()
		if err == nil {
			err = p.must(')')
		}
		return x, err
	case c == '$':
		return p.path()
	case isLiteralStart(c):
		return p.literal()
	}
	word := p.word()
	switch {
	case word == "":
		return nil, p.unexpected("a property or a value")
	case p.isWordLiteral(word):
		return p.literal()
	case word == "NaN" || word == "INF":
		return nil, p.fail(p.pos, word+" is not supported")
	case p.behind(word, '('):
		return p.call(word)
	}
	return p.path()
}

// call reads a function and its arguments.
func (p *parser) call(word string) (expr, error) {
	start := p.pos
	f, known := functionOf(strings.ToLower(word))
	if !known {
		return nil, p.fail(start, "the function "+word+" is not supported")
	}
	p.words = append(p.words, Use{f.name, start})
	p.pos += len(word) + 1
	c := &call{function: f}
	for i, param := range f.params {
		if i > 0 {
			if err := p.must(','); err != nil {
				return nil, err
			}
		}
		at := p.skip()
		arg, err := p.or()
		if err != nil {
			return nil, err
		}
		if !arg.typ().is(param) {
			return nil, p.fail(at, "expected "+param.String()+", found "+arg.typ().String())
		}
		c.args = append(c.args, arg)
	}
	return c, p.must(')')
}

// in reads a list of literals.
func (p *parser) in(of expr) (expr, error) {
	if err := p.must('('); err != nil {
		return nil, err
	}
	m := &membership{of: of}
	for {
		start := p.skip()
		l, err := p.literal()
		if err != nil {
			return nil, err
		}
		if !l.of.is(of.typ()) {
			return nil, p.fail(start, of.typ().String()+" cannot be compared with "+l.of.String())
		}
		if p.items++; p.items > MaxItems {
			return nil, p.fail(start, "a filter with too many values")
		}
		m.list = append(m.list, l)
		if !p.take(',') {
			return m, p.must(')')
		}
	}
}

// has reads a member of an enumeration, or several.
func (p *parser) has(of expr) (expr, error) {
	start := p.skip()
	l, err := p.literal()
	if err != nil {
		return nil, err
	}
	if l.of != textual {
		return nil, p.fail(start, "expected a member of an enumeration, found "+l.of.String())
	}
	if !of.typ().is(textual) {
		return nil, p.fail(start, of.typ().String()+" has no members")
	}
	f := &flags{of: of, text: l.text}
	for member := range strings.SplitSeq(string(l.value.b), ",") {
		if member = strings.TrimSpace(member); member == "" {
			return nil, p.fail(start, "expected a member of an enumeration")
		}
		f.members = append(f.members, []byte(member))
	}
	return f, nil
}
