package odata

import (
	"net/url"
	"strings"
)

// parseQuery reads the options of s from the question mark at pos on. Values stay as they were written; an
// ampersand between the quotes of a $filter belongs to it, because clients write it so in a JSON body.
func parseQuery(s string, pos int) (Query, error) {
	if pos >= len(s) {
		return nil, nil
	}
	var q Query
	for pos++; pos < len(s); pos++ {
		start := pos
		for pos < len(s) && s[pos] != '=' && s[pos] != '&' {
			pos++
		}
		raw := s[start:pos]
		if raw == "" && (pos >= len(s) || s[pos] == '&') {
			continue
		}
		name, err := url.PathUnescape(raw)
		name = strings.TrimSpace(name) // "$filter = …" is how Universal Print's documentation writes it
		if err != nil || strings.TrimPrefix(name, "$") == "" || checkText(name) != nil {
			return nil, &SyntaxError{Pos: start, Reason: "expected the name of a query option"}
		}
		if _, ok := q.Get(name); ok {
			return nil, &SyntaxError{Pos: start, Reason: "a query option that was given before"}
		}
		o := Option{Name: name, Pos: pos}
		if pos < len(s) && s[pos] == '=' {
			o.Pos = pos + 1
			pos = valueEnd(s, o.Pos, sameOption(name, "$filter"))
			o.Value = s[o.Pos:pos]
		}
		q = append(q, o)
	}
	return q, nil
}

// valueEnd returns where the value that begins at pos ends.
func valueEnd(s string, pos int, quotes bool) int {
	for pos < len(s) && s[pos] != '&' {
		if quotes && s[pos] == '\'' {
			if end := strings.IndexByte(s[pos+1:], '\''); end >= 0 {
				pos += end + 1
			}
		}
		pos++
	}
	return pos
}

// KeyFilter reads a $filter that does nothing but name keys of a collection: "id in ('a','b')" or
// "JoinWebUrl eq 'a'". It answers the property and the values in the order of the filter. Errors are
// *SyntaxError, with places counted from the start of the resource.
func KeyFilter(filter Option) (property string, values []string, err error) {
	p := parser{s: plusAsSpace(filter.Value), base: filter.Pos}
	return p.keyFilter()
}

// plusAsSpace turns a plus outside quotes into a space, of the same length so that places stay right.
func plusAsSpace(s string) string {
	if strings.IndexByte(s, '+') < 0 {
		return s
	}
	b := []byte(s)
	quoted := false
	for i, c := range b {
		switch {
		case c == '\'' || strings.HasPrefix(s[i:], "%27"):
			quoted = !quoted
		case c == '+' && !quoted:
			b[i] = ' '
		}
	}
	return string(b)
}

func (p *parser) keyFilter() (property string, values []string, err error) {
	p.gap()
	n := nameLen(p.s[p.pos:])
	if n == 0 {
		return "", nil, p.fail(p.pos, "expected a property")
	}
	property = p.s[p.pos : p.pos+n]
	p.pos += n
	p.gap()
	start := p.pos
	n = nameLen(p.s[p.pos:])
	p.pos += n
	switch operator := p.s[start:p.pos]; {
	case strings.EqualFold(operator, "eq"):
		values = make([]string, 1)
		p.gap()
		values[0], err = p.value()
	case strings.EqualFold(operator, "in"):
		values, err = p.list()
	default:
		err = p.fail(start, "expected in or eq")
	}
	if err != nil {
		return "", nil, err
	}
	if p.gap(); p.pos < len(p.s) {
		return "", nil, p.fail(p.pos, "unexpected after the filter")
	}
	return property, values, nil
}

// list reads values between parentheses.
func (p *parser) list() ([]string, error) {
	if p.gap(); !p.token("(", "%28") {
		return nil, p.fail(p.pos, "expected (")
	}
	var values []string
	for {
		p.gap()
		v, err := p.value()
		if err != nil {
			return nil, err
		}
		values = append(values, v)
		switch p.gap(); {
		case p.token(")", "%29"):
			return values, nil
		case !p.token(",", "%2C"):
			return nil, p.fail(p.pos, "expected , or )")
		}
	}
}

// gap skips spaces, plain or encoded.
func (p *parser) gap() {
	for {
		if !p.token(" ", "%20") {
			return
		}
	}
}

// token skips the plain or the encoded form of a character and reports whether it was there.
func (p *parser) token(plain, encoded string) bool {
	rest := p.s[p.pos:]
	for _, form := range []string{plain, encoded} {
		if len(rest) >= len(form) && strings.EqualFold(rest[:len(form)], form) {
			p.pos += len(form)
			return true
		}
	}
	return false
}
