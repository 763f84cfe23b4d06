package edm

import (
	"cmp"
	"unicode"
	"unicode/utf8"
)

// fold returns the one rune that stands for r and for all that differ from it in case only.
func fold(r rune) rune {
	if r < utf8.RuneSelf {
		if 'a' <= r && r <= 'z' {
			r -= 'a' - 'A'
		}
		return r
	}
	least := r
	for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
		least = min(least, other)
	}
	return least
}

// next returns the folded rune that s begins with, and its length.
func next(s []byte) (rune, int) {
	if s[0] < utf8.RuneSelf {
		return fold(rune(s[0])), 1
	}
	r, n := utf8.DecodeRune(s)
	return fold(r), n
}

// CompareText compares without regard to case.
func CompareText(a, b []byte) int {
	for len(a) > 0 && len(b) > 0 {
		x, n := next(a)
		y, m := next(b)
		if x != y {
			return cmp.Compare(x, y)
		}
		a, b = a[n:], b[m:]
	}
	return cmp.Compare(len(a), len(b))
}

// HasPrefix reports whether s begins with prefix, without regard to case.
func HasPrefix(s, prefix []byte) bool {
	for len(prefix) > 0 {
		if len(s) == 0 {
			return false
		}
		x, n := next(s)
		y, m := next(prefix)
		if x != y {
			return false
		}
		s, prefix = s[n:], prefix[m:]
	}
	return true
}

// HasSuffix reports whether s ends with suffix, without regard to case.
func HasSuffix(s, suffix []byte) bool {
	for len(suffix) > 0 {
		x, n := utf8.DecodeLastRune(s)
		y, m := utf8.DecodeLastRune(suffix)
		if n == 0 || fold(x) != fold(y) {
			return false
		}
		s, suffix = s[:len(s)-n], suffix[:len(suffix)-m]
	}
	return true
}

// AppendFolded appends s, each rune folded.
func AppendFolded(dst, s []byte) []byte {
	for len(s) > 0 {
		r, n := next(s)
		dst = utf8.AppendRune(dst, r)
		s = s[n:]
	}
	return dst
}
