package odata

import (
	"errors"
	"strings"
)

// ParseQuery reads query options that stand by themselves, with or without a question mark before them, as in
// notificationQueryOptions (contract 18.9). Errors are *SyntaxError.
func ParseQuery(s string) (Query, error) {
	if len(s) > MaxLength {
		return nil, &SyntaxError{Pos: MaxLength, Reason: "too long"}
	}
	if err := checkText(s); err != nil {
		return nil, err
	}
	if strings.HasPrefix(s, "?") {
		return parseQuery(s, 0)
	}
	return parseQuery(s, -1)
}

// Text is what an option's value says, and where each of its bytes was written.
type Text struct {
	Value string
	at    []int // nil: as it was written
	start int
}

// Text undoes the encoding of the value: percent signs, and a plus for a space. Between quotes, and where a time's
// offset begins, a plus is one, because clients write filters into JSON as they are. Errors are *SyntaxError.
func (o Option) Text() (Text, error) {
	if strings.IndexByte(o.Value, '%') < 0 && strings.IndexByte(o.Value, '+') < 0 {
		return Text{Value: o.Value, start: o.Pos}, nil
	}
	quote := byte('\'')
	if sameOption(o.Name, "$search") {
		quote = '"'
	}
	t := Text{start: o.Pos}
	b := make([]byte, 0, len(o.Value))
	quoted := false
	for i := 0; i < len(o.Value); i++ {
		c := o.Value[i]
		t.at = append(t.at, i)
		switch {
		case c == '%':
			if i+2 >= len(o.Value) || unhex(o.Value[i+1]) > 15 || unhex(o.Value[i+2]) > 15 {
				return Text{}, &SyntaxError{Pos: o.Pos + i, Reason: "% without two hexadecimal digits"}
			}
			c = unhex(o.Value[i+1])<<4 | unhex(o.Value[i+2])
			i += 2
		case c == '+' && !quoted && !isOffset(o.Value[i+1:]):
			c = ' '
		}
		if c == quote {
			quoted = !quoted
		}
		b = append(b, c)
	}
	t.at = append(t.at, len(o.Value))
	t.Value = string(b)
	if err := checkText(t.Value); err != nil {
		return Text{}, t.Place(err)
	}
	return t, nil
}

// isOffset reports whether s begins with the hours of a time's offset.
func isOffset(s string) bool {
	return len(s) > 2 && '0' <= s[0] && s[0] <= '9' && '0' <= s[1] && s[1] <= '9' &&
		(s[2] == ':' || strings.HasPrefix(s[2:], "%3"))
}

// Pos returns where the i-th byte of Value was written, counted from the start of the resource.
func (t Text) Pos(i int) int {
	if t.at == nil {
		return t.start + i
	}
	return t.start + t.at[min(max(i, 0), len(t.at)-1)]
}

// Place moves the place in a *SyntaxError about Value to where it is in the resource.
func (t Text) Place(err error) error {
	if syntax, ok := errors.AsType[*SyntaxError](err); ok {
		return &SyntaxError{Pos: t.Pos(syntax.Pos), Reason: syntax.Reason}
	}
	return err
}

// Selected is a property that a $select names: a path from the resource.
type Selected struct {
	Name string // subject, from/emailAddress
	Pos  int    // where it stands in the resource
}

// ParseSelect reads a $select: the names of properties, with commas between them. Errors are *SyntaxError.
func ParseSelect(o Option) ([]Selected, error) {
	text, err := o.Text()
	if err != nil {
		return nil, err
	}
	var list []Selected
	pos := 0
	for part := range strings.SplitSeq(text.Value, ",") {
		name := strings.Trim(part, " ")
		start := pos + len(part) - len(strings.TrimLeft(part, " "))
		pos += len(part) + 1
		if n := badPath(name); n >= 0 {
			return nil, &SyntaxError{Pos: text.Pos(start + n), Reason: "expected the name of a property"}
		}
		list = append(list, Selected{name, text.Pos(start)})
	}
	return list, nil
}

// badPath returns where s stops being names with slashes between them, or -1.
func badPath(s string) int {
	for n := 0; ; n++ {
		name := nameLen(s[n:])
		n += name
		switch {
		case name > 0 && n == len(s):
			return -1
		case name == 0 || s[n] != '/':
			return n
		}
	}
}
