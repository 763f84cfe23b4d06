package filter

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"heliograph.dev/internal/odata/edm"
)

// What follows walks over JSON that was checked when it came in. It makes no values and goes no further than asked. What
// is broken nevertheless is read as if it ended there.

// member returns the value of a property of the object that b begins with, or nil. Of two of a name the first counts.
func member(b []byte, name []byte) []byte {
	i := space(b, 0)
	if i >= len(b) || b[i] != '{' {
		return nil
	}
	for i = space(b, i+1); i < len(b) && b[i] == '"'; i = space(b, i+1) {
		start := i + 1
		i = endOfString(b, i)
		key := b[start:max(start, i-1)]
		if i = space(b, i); i >= len(b) || b[i] != ':' {
			return nil
		}
		value := space(b, i+1)
		i = end(b, value)
		if isKey(key, name) {
			return b[value:i]
		}
		if i = space(b, i); i >= len(b) || b[i] != ',' {
			return nil
		}
	}
	return nil
}

func isKey(key, name []byte) bool {
	if bytes.IndexByte(key, '\\') >= 0 {
		key = unescape(nil, key)
	}
	return edm.CompareText(key, name) == 0
}

// elements visits the elements of the array that b begins with, until visit answers false.
func elements(b []byte, visit func(element []byte) bool) {
	i := space(b, 0)
	if i >= len(b) || b[i] != '[' {
		return
	}
	for i = space(b, i+1); i < len(b) && b[i] != ']'; i = space(b, i+1) {
		start := i
		if i = end(b, i); i == start || !visit(b[start:i]) {
			return
		}
		if i = space(b, i); i >= len(b) || b[i] != ',' {
			return
		}
	}
}

func space(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

// end returns where the value at i ends.
func end(b []byte, i int) int {
	if i >= len(b) {
		return len(b)
	}
	switch b[i] {
	case '"':
		return endOfString(b, i)
	case '{', '[':
		return endOfGroup(b, i)
	}
	for i < len(b) && b[i] != ',' && b[i] != '}' && b[i] != ']' && b[i] > ' ' {
		i++
	}
	return i
}

// endOfGroup returns where the object or array at i ends. Brackets are counted without looking which they are.
func endOfGroup(b []byte, i int) int {
	for depth := 0; i < len(b); {
		switch b[i] {
		case '"':
			i = endOfString(b, i)
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		if i++; depth == 0 {
			return i
		}
	}
	return len(b)
}

// endOfString returns where the string at i ends: behind its quote.
func endOfString(b []byte, i int) int {
	for i++; i < len(b); {
		n := bytes.IndexByte(b[i:], '"')
		if n < 0 {
			return len(b)
		}
		backslashes := 0
		for backslashes < n && b[i+n-1-backslashes] == '\\' {
			backslashes++
		}
		if i += n + 1; backslashes%2 == 0 {
			return i
		}
	}
	return len(b)
}

// unescape appends the text of a JSON string, without its quotes. Half a surrogate pair and an escape that is none
// become the replacement character.
func unescape(dst, s []byte) []byte {
	for i := 0; i < len(s); {
		n := bytes.IndexByte(s[i:], '\\')
		if n < 0 {
			return append(dst, s[i:]...)
		}
		dst = append(dst, s[i:i+n]...)
		if i += n + 1; i >= len(s) {
			return dst
		}
		c := s[i]
		i++
		if c == 'u' {
			r := hex4(s, i)
			i = min(i+4, len(s))
			if utf16.IsSurrogate(r) && i+1 < len(s) && s[i] == '\\' && s[i+1] == 'u' {
				if pair := utf16.DecodeRune(r, hex4(s, i+2)); pair != utf8.RuneError {
					r, i = pair, i+6
				}
			}
			dst = utf8.AppendRune(dst, r)
			continue
		}
		if n := strings.IndexByte("bfnrt", c); n >= 0 {
			c = "\b\f\n\r\t"[n]
		}
		dst = append(dst, c)
	}
	return dst
}

func hex4(s []byte, i int) rune {
	if i+4 > len(s) {
		return utf8.RuneError
	}
	n, err := strconv.ParseUint(string(s[i:i+4]), 16, 16)
	if err != nil {
		return utf8.RuneError
	}
	return rune(n)
}
