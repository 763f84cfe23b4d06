package edm

import (
	"bytes"
	"cmp"
)

// Number is a decimal of any length: 0.D × 10^exponent, where D are the digits before and behind the point, of which the
// first is not 0. Zero has no digits.
type Number struct {
	negative      bool
	exponent      int
	before, after []byte
}

// ParseNumber reads a number as JSON and OData write it.
func ParseNumber(s []byte) (n Number, ok bool) {
	if len(s) > 0 && (s[0] == '-' || s[0] == '+') {
		n.negative = s[0] == '-'
		s = s[1:]
	}
	n.before, s = digits(s)
	ok = len(n.before) > 0
	if len(s) > 0 && s[0] == '.' {
		n.after, s = digits(s[1:])
		ok = ok && len(n.after) > 0
	}
	scale := 0
	if len(s) > 0 && s[0]|0x20 == 'e' {
		scale, s, ok = exponent(s[1:], ok)
	}
	if !ok || len(s) > 0 {
		return Number{}, false
	}
	n.normalize(scale)
	return n, true
}

// mostExponent is where exponents end: beyond it all numbers are alike.
const mostExponent = 1 << 30

func exponent(s []byte, before bool) (e int, rest []byte, ok bool) {
	negative := len(s) > 0 && s[0] == '-'
	if negative || len(s) > 0 && s[0] == '+' {
		s = s[1:]
	}
	all, rest := digits(s)
	for _, c := range all {
		e = min(10*e+int(c-'0'), mostExponent)
	}
	if negative {
		e = -e
	}
	return e, rest, before && len(all) > 0
}

// digits cuts s behind the digits that it begins with.
func digits(s []byte) (all, rest []byte) {
	i := 0
	for i < len(s) && '0' <= s[i] && s[i] <= '9' {
		i++
	}
	return s[:i], s[i:]
}

func (n *Number) normalize(scale int) {
	n.before = bytes.TrimLeft(n.before, "0")
	n.exponent = scale + len(n.before)
	if len(n.before) == 0 {
		after := bytes.TrimLeft(n.after, "0")
		n.exponent -= len(n.after) - len(after)
		n.after = after
	}
	if len(n.before)+len(n.after) == 0 {
		*n = Number{}
	}
}

func (n *Number) isZero() bool { return len(n.before)+len(n.after) == 0 }

// digit returns the i-th digit; behind the last one come zeros.
func (n *Number) digit(i int) byte {
	if i < len(n.before) {
		return n.before[i]
	}
	if i -= len(n.before); i < len(n.after) {
		return n.after[i]
	}
	return '0'
}

func (n *Number) sign() int {
	switch {
	case n.isZero():
		return 0
	case n.negative:
		return -1
	}
	return 1
}

// Compare returns -1, 0 or 1 where the number is less than, equal to or greater than other.
func (n *Number) Compare(other *Number) int {
	if c := cmp.Compare(n.sign(), other.sign()); c != 0 || n.isZero() {
		return c
	}
	c := cmp.Compare(n.exponent, other.exponent)
	for i := 0; c == 0 && i < max(len(n.before)+len(n.after), len(other.before)+len(other.after)); i++ {
		c = cmp.Compare(n.digit(i), other.digit(i))
	}
	return c * n.sign()
}
