package listen

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// view turns what happened into output.
type view interface {
	handshake(in *incoming, token string) []byte
	notification(r *Receipt) []byte
	rejected(in *incoming, prob *problem) []byte
	forwarded(in *incoming, went *passage) []byte
}

// printable returns s with everything that could steer a terminal, or hide in it, escaped as JSON would.
func printable(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s { // invalid UTF-8 comes as U+FFFD, which is printable
		switch {
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}
