package heliograph_test

import (
	"strings"
	"testing"

	"heliograph.dev"
)

// FuzzParseGUID: what is a GUID comes back in lower case, what is not is refused. A dash in a wrong place used to
// read beyond the end.
func FuzzParseGUID(f *testing.F) {
	for _, seed := range []string{
		"", "9188040d-6c67-4c5b-b112-36a304b66dad", "9188040D-6C67-4C5B-B112-36A304B66DAD", "9188040d-6c67-4c5b-b112-36a304b66da-",
		"11111111-aaaa-4aaa-8aaa-1111111ddd-4", "-188040d-6c67-4c5b-b112-36a304b66dad", "9188040d06c67-4c5b-b112-36a304b66dad",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		g, ok := heliograph.ParseGUID(s)
		if ok && g.String() != strings.ToLower(s) {
			t.Errorf("%q read as %v", s, g)
		}
		if !ok && !g.IsZero() {
			t.Errorf("%q refused, and yet %v", s, g)
		}
	})
}

func TestGUIDsComeBack(t *testing.T) {
	t.Parallel()
	for _, g := range []heliograph.GUID{{}, heliograph.NewGUID(), heliograph.DeriveGUID("a", "bc")} {
		if back, ok := heliograph.ParseGUID(strings.ToUpper(g.String())); !ok || back != g {
			t.Errorf("%v came back as %v, %v", g, back, ok)
		}
	}
}
