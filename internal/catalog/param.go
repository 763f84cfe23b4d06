package catalog

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"heliograph.dev"
)

// paramForm says how the values of a parameter are spelled in a canonical path. The zero form lowers GUIDs
// and leaves everything else as it is: ids of Outlook and Teams are sensitive to case.
type paramForm struct {
	user      bool
	url       bool
	wellKnown map[string]bool // in lower case
}

// canonical returns the one spelling of a value.
func (f paramForm) canonical(v string, me Me) string {
	switch {
	case isGUID(v):
		return strings.ToLower(v)
	case f.user:
		return canonicalUser(v, me)
	case f.url:
		return decodedURL(v)
	case f.wellKnown[strings.ToLower(v)]:
		return strings.ToLower(v)
	}
	return v
}

// canonicalUser lowers a principal name, and takes the caller's own for the caller. Graph also writes
// {object id}@{tenant id} (contract 11.13).
func canonicalUser(v string, me Me) string {
	if object, tenant, ok := strings.Cut(v, "@"); ok && isGUID(object) && isGUID(tenant) {
		return strings.ToLower(object)
	}
	if me.Object != "" && (strings.EqualFold(v, me.UPN) || strings.EqualFold(v, string(me.Object))) {
		return strings.ToLower(string(me.Object))
	}
	if strings.Contains(v, "@") {
		return strings.ToLower(v)
	}
	return v
}

func isGUID(v string) bool {
	_, ok := heliograph.ParseGUID(v)
	return ok
}

// decodedURL undoes percent encoding until none is left, because clients encode a URL once or twice (contract
// 18.10). It looks at what it has written again instead of starting over, so that it takes one pass.
func decodedURL(v string) string {
	if strings.IndexByte(v, '%') < 0 {
		return v
	}
	b := make([]byte, 0, len(v))
	for i := range len(v) {
		b = append(b, v[i])
		for n := len(b); n >= 3 && b[n-3] == '%'; n = len(b) {
			c, err := strconv.ParseUint(string(b[n-2:]), 16, 8)
			if err != nil || c < 0x20 || c == 0x7f {
				break
			}
			b = append(b[:n-3], byte(c))
		}
	}
	if !utf8.Valid(b) {
		return v
	}
	return string(b)
}
