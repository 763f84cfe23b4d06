package filter

import (
	"strings"
	"unicode/utf8"

	"heliograph.dev/internal/odata/edm"
)

func isLiteralStart(c byte) bool {
	return '0' <= c && c <= '9' || c == '\'' || c == '-' || c == '+'
}

// isWordLiteral reports whether the word that comes next begins a literal: null, a GUID, an enumeration's member.
func (p *parser) isWordLiteral(word string) bool {
	switch strings.ToLower(word) {
	case "null", "true", "false":
		return !p.behind(word, '/') && !p.behind(word, '.')
	}
	return isGUID(p.s[p.pos:]) || p.typeName(word) != ""
}

// typeName returns the name of a type, with dots or without, that a quote follows; or nothing.
func (p *parser) typeName(word string) string {
	q := parser{s: p.s, pos: p.pos + len(word)}
	for q.at('.') {
		q.pos++
		next := q.word()
		if next == "" {
			return ""
		}
		q.pos += len(next)
	}
	if !q.at('\'') {
		return ""
	}
	return p.s[p.pos:q.pos]
}

// literal reads a value.
func (p *parser) literal() (*literal, error) {
	if p.pos >= len(p.s) {
		return nil, p.unexpected("a value")
	}
	word := p.word()
	switch {
	case p.at('\''):
		s, err := p.quoted()
		return textLiteral("", s), err
	case isGUID(p.s[p.pos:]):
		s := strings.ToLower(p.s[p.pos : p.pos+guidLength])
		p.pos += guidLength
		return &literal{value{kind: text, b: []byte(s)}, identity, s}, nil
	case word != "" && p.typeName(word) != "":
		return p.typed(p.typeName(word))
	case isLiteralStart(p.s[p.pos]):
		return p.digits()
	}
	l := &literal{text: strings.ToLower(word)}
	switch l.text {
	case "null":
		l.of = nothing
	case "true", "false":
		l.of, l.value = condition, truth(l.text == "true")
	default:
		return nil, p.unexpected("a value")
	}
	p.pos += len(word)
	return l, nil
}

func textLiteral(name, s string) *literal {
	return &literal{value{kind: text, b: []byte(s)}, textual, name + "'" + strings.ReplaceAll(s, "'", "''") + "'"}
}

// quoted reads a string in quotes, in which two stand for one.
func (p *parser) quoted() (string, error) {
	start := p.pos
	var b strings.Builder
	for p.pos++; ; p.pos++ {
		n := strings.IndexByte(p.s[p.pos:], '\'')
		if n < 0 {
			return "", p.fail(start, "a quote that does not end")
		}
		b.WriteString(p.s[p.pos : p.pos+n])
		if p.pos += n + 1; !p.at('\'') {
			return b.String(), nil
		}
		b.WriteByte('\'')
	}
}

// typed reads a value in quotes behind the name of its type.
func (p *parser) typed(name string) (*literal, error) {
	start := p.pos
	p.pos += len(name)
	s, err := p.quoted()
	if err != nil {
		return nil, err
	}
	switch strings.ToLower(name) {
	case "duration":
		d, ok := edm.ParseDuration([]byte(s))
		if !ok {
			return nil, p.fail(start, "a duration is written duration'P1DT2H3M4.5S'")
		}
		return &literal{lasts(d), lasting, "duration'" + strings.ToUpper(s) + "'"}, nil
	case "binary", "geography", "geometry":
		return nil, p.fail(start, name+" is not supported")
	case "datetime", "datetimeoffset", "guid", "time":
		return nil, p.fail(start, "a date or a GUID is written without "+name+" and quotes")
	}
	if s == "" {
		return nil, p.fail(start, "expected a member of an enumeration")
	}
	return textLiteral(name, s), nil
}

// digits reads a number or a date.
func (p *parser) digits() (*literal, error) {
	start := p.pos
	for p.pos < len(p.s) && isLiteral(p.s[p.pos]) {
		p.pos++
	}
	raw := strings.ToUpper(p.s[start:p.pos])
	if p.pos < len(p.s) && p.s[p.pos] >= utf8.RuneSelf {
		return nil, p.fail(start, "neither a number nor a date")
	}
	if t, w, ok := edm.ParseInstant([]byte(raw)); ok {
		if w.Clock && !w.Zone {
			return nil, p.fail(p.pos, "expected Z or an offset")
		}
		return &literal{at(t), temporal, raw}, nil
	}
	if _, ok := edm.ParseNumber([]byte(raw)); ok {
		raw = strings.ToLower(strings.TrimPrefix(raw, "+"))
		return &literal{value{kind: decimal, b: []byte(raw)}, numeric, raw}, nil
	}
	return nil, p.fail(start, "neither a number nor a date")
}

// isLiteral reports whether c can go on with a number, a date or a GUID that has begun.
func isLiteral(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z' || strings.IndexByte(".:_+-", c) >= 0
}

const guidLength = 36

// isGUID reports whether s begins with a GUID.
func isGUID(s string) bool {
	if len(s) < guidLength || len(s) > guidLength && isLiteral(s[guidLength]) {
		return false
	}
	for i := range guidLength {
		c := s[i]
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if ('0' > c || c > '9') && ('a' > c|0x20 || c|0x20 > 'f') {
				return false
			}
		}
	}
	return true
}
