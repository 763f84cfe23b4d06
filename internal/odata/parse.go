package odata

import (
	"strings"
	"unicode/utf8"
)

// ParseResource reads a resource as clients write it: with or without a slash before it and one behind it,
// keys in either form, percent-encoded or not. An address with a scheme or a host is refused: a resource is
// relative to the service (contract 1.2). Errors are *SyntaxError.
func ParseResource(s string) (Resource, error) {
	if err := checkWhole(s); err != nil {
		return Resource{}, err
	}
	p := parser{s: s}
	if p.at('/') {
		p.pos++
	}
	var r Resource
	if err := p.path(&r); err != nil {
		return Resource{}, err
	}
	if len(r.Segments) == 0 {
		return Resource{}, p.fail(0, "no path")
	}
	query, err := parseQuery(s, p.pos)
	if err != nil {
		return Resource{}, err
	}
	r.Query = query
	return r, nil
}

func checkWhole(s string) error {
	switch {
	case s == "":
		return &SyntaxError{Pos: 0, Reason: "empty"}
	case len(s) > MaxLength:
		return &SyntaxError{Pos: MaxLength, Reason: "too long"}
	case strings.HasPrefix(s, "//"):
		return &SyntaxError{Pos: 0, Reason: "a host before the path"}
	}
	if scheme, _, ok := strings.Cut(s, "://"); ok && isScheme(scheme) {
		return &SyntaxError{Pos: 0, Reason: "an absolute URL"}
	}
	return checkText(s)
}

// checkText refuses what no address may hold, plain or encoded.
func checkText(s string) error {
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size <= 1:
			return &SyntaxError{Pos: i, Reason: "not UTF-8"}
		case r < 0x20 || r == 0x7f:
			return &SyntaxError{Pos: i, Reason: "control character"}
		}
		i += size
	}
	return nil
}

func isScheme(s string) bool {
	for i := range len(s) {
		c := s[i] | 0x20
		if letter := 'a' <= c && c <= 'z'; !letter && (i == 0 || strings.IndexByte("0123456789+-.", s[i]) < 0) {
			return false
		}
	}
	return s != ""
}

// parser reads a path from left to right.
type parser struct {
	s     string
	pos   int
	base  int  // where s begins in what the client wrote
	files bool // between two words that end in a colon: what stands here are names of files
}

func (p *parser) fail(pos int, reason string) error {
	return &SyntaxError{Pos: p.base + pos, Reason: reason}
}

// at reports whether the next character is c, written plainly.
func (p *parser) at(c byte) bool { return p.pos < len(p.s) && p.s[p.pos] == c }

func (p *parser) path(r *Resource) error {
	for p.pos < len(p.s) && !p.at('?') {
		if err := p.segment(r); err != nil {
			return err
		}
		if len(r.Segments) > MaxSegments {
			return p.fail(r.Segments[MaxSegments].Pos, "too many segments")
		}
		if !p.at('/') {
			break
		}
		p.pos++
	}
	return nil
}

// segment reads one word and, when parentheses follow, its key or its arguments.
func (p *parser) segment(r *Resource) error {
	start := p.pos
	stop := "/?()"
	if p.files {
		stop = "/?"
	}
	text, err := p.word(stop)
	if err != nil {
		return err
	}
	switch {
	case text == "":
		return p.fail(start, "empty segment")
	case text == "." || text == "..":
		return p.fail(start, "a relative path")
	case p.at(')'):
		return p.fail(p.pos, "unexpected )")
	}
	colon := p.s[p.pos-1] == ':'
	if colon {
		p.files = !p.files
	}
	r.Segments = append(r.Segments, Segment{Text: text, Colon: colon, Pos: start})
	if !p.at('(') {
		return nil
	}
	p.pos++
	if err := p.parentheses(r); err != nil {
		return err
	}
	if p.pos < len(p.s) && !p.at('/') && !p.at('?') {
		return p.fail(p.pos, "expected / after )")
	}
	return nil
}

// parentheses reads a key or named arguments; the opening one has been read.
func (p *parser) parentheses(r *Resource) error {
	if p.spaces(); p.at(')') { // a function without arguments
		p.pos++
		return nil
	}
	if p.named() {
		return p.arguments(&r.Segments[len(r.Segments)-1])
	}
	start := p.pos
	key, err := p.value()
	if err != nil {
		return err
	}
	if key == "." || key == ".." {
		return p.fail(start, "a relative path")
	}
	r.Segments = append(r.Segments, Segment{Text: key, Quoted: true, Pos: start})
	if p.spaces(); !p.at(')') {
		return p.fail(p.pos, "expected )")
	}
	p.pos++
	return nil
}

// named reports whether an argument's name and its equals sign come next.
func (p *parser) named() bool {
	rest := p.s[p.pos:]
	n := nameLen(rest)
	return n > 0 && strings.HasPrefix(strings.TrimLeft(rest[n:], " "), "=")
}

// nameLen returns the length of the identifier that s begins with.
func nameLen(s string) int {
	for i := range len(s) {
		c := s[i] | 0x20
		if letter := 'a' <= c && c <= 'z' || s[i] == '_'; !letter && (i == 0 || s[i] < '0' || s[i] > '9') {
			return i
		}
	}
	return len(s)
}

// arguments reads name=value pairs and the closing parenthesis.
func (p *parser) arguments(s *Segment) error {
	if s.Colon {
		return p.fail(p.pos, "unexpected argument")
	}
	for {
		p.spaces()
		n := nameLen(p.s[p.pos:])
		arg := Arg{Name: p.s[p.pos : p.pos+n]}
		start := p.pos
		p.pos += n
		if p.spaces(); n == 0 || !p.at('=') {
			return p.fail(start, "expected name=value")
		}
		for _, other := range s.Args {
			if strings.EqualFold(other.Name, arg.Name) {
				return p.fail(start, "an argument that was given before")
			}
		}
		p.pos++
		if err := p.argument(&arg); err != nil {
			return err
		}
		s.Args = append(s.Args, arg)
		switch p.spaces(); {
		case p.at(')'):
			p.pos++
			return nil
		case !p.at(','):
			return p.fail(p.pos, "expected , or )")
		}
		p.pos++
	}
}

// argument reads one value, or a list of them in brackets.
func (p *parser) argument(arg *Arg) error {
	p.spaces()
	arg.List = p.at('[')
	if arg.List {
		p.pos++
	}
	for {
		p.spaces()
		v, err := p.value()
		if err != nil {
			return err
		}
		arg.Values = append(arg.Values, v)
		switch p.spaces(); {
		case !arg.List:
			return nil
		case p.at(']'):
			p.pos++
			return nil
		case !p.at(','):
			return p.fail(p.pos, "expected , or ]")
		}
		p.pos++
	}
}

// value reads one value: quoted, with ” for a quote in it, or bare.
func (p *parser) value() (string, error) {
	start := p.pos
	if p.quote() == 0 {
		v, err := p.word(" ,()[]/?'=")
		if err == nil && v == "" {
			err = p.fail(start, "expected a value")
		}
		return v, err
	}
	p.pos += p.quote()
	var b strings.Builder
	for from := p.pos; p.pos < len(p.s); {
		n := p.quote()
		if n == 0 {
			p.pos++
			continue
		}
		part, err := p.decode(p.s[from:p.pos], from)
		if err != nil {
			return "", err
		}
		b.WriteString(part)
		if p.pos += n; p.quote() == 0 {
			if b.Len() == 0 {
				return "", p.fail(start, "empty key")
			}
			return b.String(), nil
		}
		b.WriteByte('\'')
		p.pos += p.quote()
		from = p.pos
	}
	return "", p.fail(start, "a quote that does not end")
}

// quote returns the length of the quote that comes next, or 0: inside parentheses an encoded one counts too,
// because many clients encode it.
func (p *parser) quote() int {
	switch {
	case p.at('\''):
		return 1
	case strings.HasPrefix(p.s[p.pos:], "%27"):
		return 3
	}
	return 0
}

func (p *parser) spaces() {
	for p.at(' ') {
		p.pos++
	}
}

// word reads and decodes up to a plain character of stop.
func (p *parser) word(stop string) (string, error) {
	start := p.pos
	for p.pos < len(p.s) && strings.IndexByte(stop, p.s[p.pos]) < 0 {
		p.pos++
	}
	return p.decode(p.s[start:p.pos], start)
}

// decode undoes percent encoding in raw, which begins at pos.
func (p *parser) decode(raw string, pos int) (string, error) {
	if strings.IndexByte(raw, '%') < 0 {
		return raw, nil
	}
	b := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c == '%' {
			if i+2 >= len(raw) || unhex(raw[i+1]) > 15 || unhex(raw[i+2]) > 15 {
				return "", p.fail(pos+i, "% without two hexadecimal digits")
			}
			c = unhex(raw[i+1])<<4 | unhex(raw[i+2])
			i += 2
		}
		b = append(b, c)
	}
	if err := checkText(string(b)); err != nil {
		return "", p.fail(pos, "control character or broken UTF-8 in percent encoding")
	}
	return string(b), nil
}
