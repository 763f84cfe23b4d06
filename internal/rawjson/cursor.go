// Package rawjson walks over JSON text once, from left to right, without building values: what is read often
// and wanted as it stands (an event's data, which goes to the log byte for byte) is checked and cut out, not
// decoded and written again.
//
// It is stricter than encoding/json, because what it reads comes from outside and what two readers understand
// differently is a hole: names are told apart by case, a name that comes twice is refused, so are invalid
// UTF-8, half a surrogate pair in a string that is asked for, nesting beyond a limit, and anything after the
// end. Text that it accepts whole is accepted by encoding/json too.
//
// A Cursor is used by one goroutine. What Raw returns shares memory with the text.
package rawjson

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// Kind is what a value is, as its first byte tells.
type Kind uint8

// The kinds of value.
const (
	Invalid Kind = iota // not a value, or the end of the text
	Null
	Bool
	Number
	String
	Array
	Object
)

// String returns the kind's name with its article, as an error message says it.
func (k Kind) String() string {
	switch k {
	case Null:
		return "null"
	case Bool:
		return "a boolean"
	case Number:
		return "a number"
	case String:
		return "a string"
	case Array:
		return "an array"
	case Object:
		return "an object"
	case Invalid:
	}
	return "no value"
}

// SyntaxError says what is wrong with the text and where.
type SyntaxError struct {
	Offset  int // of the byte, from 0
	Problem string
}

// Error tells the problem and its place.
func (e *SyntaxError) Error() string { return fmt.Sprintf("%s at byte %d", e.Problem, e.Offset) }

// Cursor stands before a value of the text. Each method that reads takes exactly one value.
type Cursor struct {
	text  []byte
	pos   int
	depth int // how deep it may still go
	bad   *SyntaxError
}

// New returns a cursor before the text's only value, in which arrays and objects may be nested depth deep.
func New(text []byte, depth int) *Cursor {
	c := &Cursor{text: text, depth: depth}
	if !utf8.Valid(text) {
		at := 0
		for at < len(text) {
			r, size := utf8.DecodeRune(text[at:])
			if r == utf8.RuneError && size == 1 {
				break
			}
			at += size
		}
		c.bad = &SyntaxError{Offset: at, Problem: "invalid UTF-8"}
	}
	return c
}

// Kind tells what the next value is.
func (c *Cursor) Kind() Kind {
	if c.bad != nil {
		return Invalid
	}
	c.space()
	switch c.peek() {
	case 'n':
		return Null
	case 't', 'f':
		return Bool
	case '"':
		return String
	case '[':
		return Array
	case '{':
		return Object
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return Number
	}
	return Invalid
}

// Raw checks the next value and returns its bytes.
func (c *Cursor) Raw() ([]byte, error) {
	if err := c.begin(); err != nil {
		return nil, err
	}
	start := c.pos
	if err := c.skip(); err != nil {
		return nil, err
	}
	return c.text[start:c.pos:c.pos], nil
}

// Bool reads a boolean.
func (c *Cursor) Bool() (bool, error) {
	if err := c.want(Bool); err != nil {
		return false, err
	}
	if c.peek() == 't' {
		return true, c.literal("true")
	}
	return false, c.literal("false")
}

// Null reads null.
func (c *Cursor) Null() error {
	if err := c.want(Null); err != nil {
		return err
	}
	return c.literal("null")
}

// Array reads an array: visit is called before each element and must read it.
func (c *Cursor) Array(visit func(i int) error) error {
	if err := c.want(Array); err != nil {
		return err
	}
	i := -1
	return c.list(']', func() error {
		i++
		return visit(i)
	})
}

// Object reads an object: visit is called with each name, before its value, and must read it. The name is only
// good until visit returns.
func (c *Cursor) Object(visit func(name []byte) error) error {
	if err := c.want(Object); err != nil {
		return err
	}
	var seen names
	return c.list('}', func() error {
		at := c.pos
		name, err := c.unquoted()
		if err != nil {
			return err
		}
		if !seen.add(name) {
			return &SyntaxError{Offset: at, Problem: fmt.Sprintf("the name %.60q for the second time", name)}
		}
		c.space()
		if c.peek() != ':' {
			return c.unexpected("':'")
		}
		c.pos++
		return visit(name)
	})
}

// Offset returns how many bytes have been read.
func (c *Cursor) Offset() int { return c.pos }

// End reports an error when anything but white space is left.
func (c *Cursor) End() error {
	if c.bad != nil {
		return c.bad
	}
	if c.space(); c.pos < len(c.text) {
		return c.unexpected("the end")
	}
	return nil
}

// names remembers the names of one object: few are kept in a list without allocating, many in a map.
type names struct {
	few  [16][]byte
	n    int
	many map[string]struct{}
}

// add reports whether name is new.
func (s *names) add(name []byte) bool {
	for i := range s.n {
		if bytes.Equal(s.few[i], name) {
			return false
		}
	}
	if s.n < len(s.few) {
		s.few[s.n] = name
		s.n++
		return true
	}
	if _, found := s.many[string(name)]; found {
		return false
	}
	if s.many == nil {
		s.many = make(map[string]struct{})
	}
	s.many[string(name)] = struct{}{}
	return true
}
