package rawjson

import (
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// Text reads a string.
func (c *Cursor) Text() (string, error) {
	if err := c.want(String); err != nil {
		return "", err
	}
	s, err := c.unquoted()
	return string(s), err
}

// peek returns the byte under the cursor, or 0 at the end: no value and no punctuation begins with it.
func (c *Cursor) peek() byte {
	if c.pos < len(c.text) {
		return c.text[c.pos]
	}
	return 0
}

func (c *Cursor) space() {
	for c.pos < len(c.text) {
		switch c.text[c.pos] {
		case ' ', '\t', '\n', '\r':
			c.pos++
		default:
			return
		}
	}
}

// begin stands on the first byte of the next value.
func (c *Cursor) begin() error {
	if c.bad != nil {
		return c.bad
	}
	c.space()
	return nil
}

func (c *Cursor) want(kind Kind) error {
	if err := c.begin(); err != nil {
		return err
	}
	if c.Kind() != kind {
		return c.unexpected(kind.String())
	}
	return nil
}

func (c *Cursor) unexpected(wanted string) error {
	found := "the end of the text"
	if c.pos < len(c.text) {
		r, _ := utf8.DecodeRune(c.text[c.pos:])
		found = fmt.Sprintf("%q", r)
	}
	return &SyntaxError{Offset: c.pos, Problem: "expected " + wanted + ", found " + found}
}

func (c *Cursor) literal(word string) error {
	if len(c.text)-c.pos < len(word) || string(c.text[c.pos:c.pos+len(word)]) != word {
		return c.unexpected(word)
	}
	c.pos += len(word)
	return nil
}

// list reads what stands between brackets: item is called before each part and must read it.
func (c *Cursor) list(closing byte, item func() error) error {
	if c.depth == 0 {
		return &SyntaxError{Offset: c.pos, Problem: "nested too deeply"}
	}
	c.depth--
	c.pos++
	for first := true; ; first = false {
		c.space()
		switch next := c.peek(); {
		case next == closing:
			c.pos++
			c.depth++
			return nil
		case first:
		case next == ',':
			c.pos++
			if c.space(); c.peek() == closing {
				return c.unexpected("a value")
			}
		default:
			return c.unexpected("',' or '" + string(closing) + "'")
		}
		if err := item(); err != nil {
			return err
		}
	}
}

// skip passes over the value under the cursor, checking it. Names within may come twice: whoever reads the
// value decides what that means.
func (c *Cursor) skip() error {
	switch c.Kind() {
	case Null:
		return c.literal("null")
	case Bool:
		_, err := c.Bool()
		return err
	case Number:
		return c.number()
	case String:
		_, err := c.quoted()
		return err
	case Array:
		return c.list(']', func() error { c.space(); return c.skip() })
	case Object:
		return c.list('}', func() error {
			if _, err := c.quoted(); err != nil {
				return err
			}
			if c.space(); c.peek() != ':' {
				return c.unexpected("':'")
			}
			c.pos++
			return c.skip()
		})
	case Invalid:
	}
	return c.unexpected("a value")
}

func (c *Cursor) number() error {
	if c.peek() == '-' {
		c.pos++
	}
	if c.peek() == '0' {
		c.pos++
	} else if err := c.digits(); err != nil {
		return err
	}
	if c.peek() == '.' {
		c.pos++
		if err := c.digits(); err != nil {
			return err
		}
	}
	if c.peek() == 'e' || c.peek() == 'E' {
		c.pos++
		if c.peek() == '+' || c.peek() == '-' {
			c.pos++
		}
		return c.digits()
	}
	return nil
}

// digits passes over one digit or more.
func (c *Cursor) digits() error {
	start := c.pos
	for c.pos < len(c.text) && '0' <= c.text[c.pos] && c.text[c.pos] <= '9' {
		c.pos++
	}
	if c.pos == start {
		return c.unexpected("a digit")
	}
	return nil
}

// quoted passes over a string and reports whether it holds escapes.
func (c *Cursor) quoted() (escapes bool, err error) {
	if c.peek() != '"' {
		return false, c.unexpected("a string")
	}
	c.pos++
	for c.pos < len(c.text) {
		switch b := c.text[c.pos]; {
		case b == '"':
			c.pos++
			return escapes, nil
		case b == '\\':
			escapes = true
			if err := c.escape(); err != nil {
				return false, err
			}
		case b < 0x20:
			return false, c.unexpected("a character of a string")
		default:
			c.pos++
		}
	}
	return false, c.unexpected("'\"'")
}

// escape passes over a backslash and what belongs to it.
func (c *Cursor) escape() error {
	c.pos++
	switch c.peek() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		c.pos++
		return nil
	case 'u':
		c.pos++
		for range 4 {
			if unhex(c.peek()) < 0 {
				return c.unexpected("a hexadecimal digit")
			}
			c.pos++
		}
		return nil
	}
	return c.unexpected("an escape")
}

// unquoted reads a string as UTF-8. Without escapes that is a part of the text itself.
func (c *Cursor) unquoted() ([]byte, error) {
	start := c.pos
	escapes, err := c.quoted()
	if err != nil {
		return nil, err
	}
	inner := c.text[start+1 : c.pos-1]
	if !escapes {
		return inner, nil
	}
	plain, ok := unescape(inner)
	if !ok {
		return nil, &SyntaxError{Offset: start, Problem: "half a surrogate pair in the string"}
	}
	return plain, nil
}

// unescape resolves the escapes of a string that quoted has passed. It answers false for half a surrogate pair.
func unescape(s []byte) ([]byte, bool) {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); {
		if s[i] != '\\' {
			out = append(out, s[i])
			i++
			continue
		}
		switch s[i+1] {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r, size := unicodeEscape(s[i:])
			if size == 0 {
				return nil, false
			}
			out = utf8.AppendRune(out, r)
			i += size
			continue
		default: // the character itself
			out = append(out, s[i+1])
		}
		i += 2
	}
	return out, true
}

// unicodeEscape reads one \uXXXX, or two that are a surrogate pair. Its size is 0 for half a pair.
func unicodeEscape(s []byte) (r rune, size int) {
	r = hex4(s[2:])
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	if len(s) < 12 || s[6] != '\\' || s[7] != 'u' {
		return 0, 0
	}
	if r = utf16.DecodeRune(r, hex4(s[8:])); r == utf8.RuneError {
		return 0, 0
	}
	return r, 12
}

func hex4(s []byte) rune {
	var r rune
	for _, b := range s[:4] {
		r = r<<4 | unhex(b)
	}
	return r
}

// unhex returns a hexadecimal digit's value, or -1.
func unhex(b byte) rune {
	switch {
	case '0' <= b && b <= '9':
		return rune(b - '0')
	case 'a' <= b && b <= 'f':
		return rune(b-'a') + 10
	case 'A' <= b && b <= 'F':
		return rune(b-'A') + 10
	}
	return -1
}
