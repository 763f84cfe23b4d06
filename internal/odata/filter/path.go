package filter

import "strings"

// it is the resource itself.
const it = "$it"

// path reads a property, the size of a collection, or a condition on a collection's elements.
func (p *parser) path() (expr, error) {
	start := p.pos
	x := &path{}
	if err := p.rootOf(x); err != nil {
		return nil, err
	}
	for p.at('/') {
		p.pos++
		word := p.word()
		switch {
		case strings.HasPrefix(p.s[p.pos:], "$count"):
			p.pos += len("$count")
			p.property(x, start)
			return &size{x}, nil
		case word == "":
			return nil, p.unexpected("a property")
		case p.behind(word, '(') && isLambda(word):
			return p.lambda(x, start)
		case p.behind(word, '('):
			return nil, p.fail(p.pos, "a function of a path is not supported")
		case p.behind(word, '.'):
			return nil, p.fail(p.pos, "the name of a type is not supported here")
		}
		x.steps = append(x.steps, []byte(word))
		p.pos += len(word)
	}
	if len(x.steps) == 0 && x.root == it {
		return nil, p.unexpected("/")
	}
	p.property(x, start)
	return x, nil
}

// rootOf reads what a path begins with: within a lambda, its variable.
func (p *parser) rootOf(x *path) error {
	word := p.word()
	if p.at('$') {
		p.pos++
		if word = "$" + p.word(); !strings.EqualFold(word, it) {
			return p.fail(p.pos-1, word+" is not supported here")
		}
		p.pos--
		x.root = it
	}
	switch n := len(p.within); {
	case n > 0 && word != p.within[n-1].variable:
		return p.fail(p.pos, "expected a path that begins with "+p.within[n-1].variable)
	case n > 0:
		x.root = word
	case x.root == "" && p.behind(word, '.'):
		return p.fail(p.pos, "the name of a type is not supported here")
	case x.root == "":
		x.steps = [][]byte{[]byte(word)}
	}
	p.pos += len(word)
	return nil
}

// property notes that a path is used. The variable alone is not: its collection was noted.
func (p *parser) property(x *path, pos int) {
	if len(x.steps) > 0 {
		p.properties = append(p.properties, Use{p.fromResource(x), pos})
	}
}

// fromResource is a path as it is seen from the resource.
func (p *parser) fromResource(x *path) string {
	names := make([]string, 0, len(x.steps)+1)
	if n := len(p.within); n > 0 {
		names = append(names, p.within[n-1].prefix)
	}
	for _, step := range x.steps {
		names = append(names, string(step))
	}
	return strings.Join(names, "/")
}

func isLambda(word string) bool {
	return strings.EqualFold(word, "any") || strings.EqualFold(word, "all")
}

// lambda reads any or all, of a collection that has been read.
func (p *parser) lambda(of *path, start int) (expr, error) {
	p.property(of, start)
	at := p.pos
	l := &lambda{of: of, all: p.operator("any", "all") == "all"}
	p.pos++ // the parenthesis
	if !l.all && p.take(')') {
		return l, nil
	}
	p.skip()
	if l.variable = p.word(); l.variable == "" {
		return nil, p.unexpected("the name of a variable")
	}
	p.pos += len(l.variable)
	if err := p.must(':'); err != nil {
		return nil, err
	}
	p.within = append(p.within, scope{l.variable, p.fromResource(of)})
	cond, err := p.or()
	if err != nil {
		return nil, err
	}
	p.within = p.within[:len(p.within)-1]
	if !cond.typ().is(condition) {
		return nil, p.fail(at, "expected a condition in "+l.word()+", found "+cond.typ().String())
	}
	l.cond = cond
	return l, p.must(')')
}
