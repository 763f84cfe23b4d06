package edm_test

import (
	"math/big"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"heliograph.dev/internal/odata/edm"
)

func TestNumbersCompareAsRationals(t *testing.T) {
	t.Parallel()
	form := rapid.StringMatching(`[-+]?(0|[1-9][0-9]{0,4}|0{1,3}[0-9]{1,3})(\.[0-9]{1,5})?([eE][-+]?[0-9]{1,2})?`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := form.Draw(t, "a"), form.Draw(t, "b")
		x, okX := edm.ParseNumber([]byte(a))
		y, okY := edm.ParseNumber([]byte(b))
		p, _ := new(big.Rat).SetString(a)
		q, _ := new(big.Rat).SetString(b)
		if !okX || !okY || x.Compare(&y) != p.Cmp(q) || y.Compare(&x) != q.Cmp(p) || x.Compare(&x) != 0 {
			t.Fatalf("%s and %s: %d", a, b, x.Compare(&y))
		}
	})
}

func TestNumbersThatAreNone(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "-", "+", ".5", "5.", "5.e1", "5e", "5e+", "5x", "0x5", " 5", "5 ", "--5", "1_000", "INF", "NaN"} {
		if _, ok := edm.ParseNumber([]byte(s)); ok {
			t.Errorf("%q was taken", s)
		}
	}
	huge, ok := edm.ParseNumber([]byte("1e99999999999999999999"))
	tiny, is := edm.ParseNumber([]byte("1e-99999999999999999999"))
	if !ok || !is || huge.Compare(&tiny) != 1 {
		t.Error("what is beyond all exponents has lost its order")
	}
}

// What Go's time package writes is read as the same instant.
func TestInstants(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		seconds := rapid.Int64Range(-62135596800+86400, 253402300799-86400).Draw(t, "seconds") // the years 1 to 9999
		zone := time.FixedZone("", 60*rapid.IntRange(-14*60, 14*60).Draw(t, "minutes"))
		want := time.Unix(seconds, rapid.Int64Range(0, 999_999_999).Draw(t, "nanoseconds")).In(zone)
		text := want.Format(time.RFC3339Nano)
		if rapid.Bool().Draw(t, "lower") {
			text = strings.ToLower(text)
		}
		got, w, ok := edm.ParseInstant([]byte(text))
		if !ok || !w.Clock || !w.Zone || !got.Equal(want) || got.Location() != time.UTC {
			t.Fatalf("%s: %v, %v, %t", text, got, w, ok)
		}
	})
	for text, want := range map[string]string{
		"2026-01-31": "2026-01-31T00:00:00Z", "2024-02-29T23:59Z": "2024-02-29T23:59:00Z",
		"2026-01-31T12:00:00": "2026-01-31T12:00:00Z", "2026-01-31T12:00:00.1234567891Z": "2026-01-31T12:00:00.123456789Z",
	} {
		got, w, ok := edm.ParseInstant([]byte(text))
		if !ok || got.Format(time.RFC3339Nano) != want || w.Clock != strings.Contains(text, "T") || w.Zone != strings.HasSuffix(text, "Z") {
			t.Errorf("%s: %v, %v, %t", text, got, w, ok)
		}
	}
	for _, text := range []string{
		"", "2026", "2026-01", "2026-1-1", "2026-02-29", "2026-04-31", "2026-00-01", "2026-01-00", "2026-01-31T", "2026-01-31T12", "2026-01-31T24:00Z",
		"2026-01-31T12:60Z", "2026-01-31T12:00:60Z", "2026-01-31T12:00:00.Z", "2026-01-31T12:00:00.1234567890123Z", "2026-01-31T12:00Z ",
		"2026-01-31Z", "2026-01-31T12:00+15:00", "2026-01-31T12:00+02", "+2026-01-31", "2026-01-31 12:00",
	} {
		if _, _, ok := edm.ParseInstant([]byte(text)); ok {
			t.Errorf("%q was taken", text)
		}
	}
}

func TestDurations(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"PT1H": time.Hour, "P1D": 24 * time.Hour, "P1DT2H3M4.5S": 26*time.Hour + 3*time.Minute + 4500*time.Millisecond, "pt90m": 90 * time.Minute,
		"-PT1S": -time.Second, "+PT1S": time.Second, "PT0.000000001S": 1, "PT0S": 0, "P106751D": 106751 * 24 * time.Hour,
	} {
		if got, ok := edm.ParseDuration([]byte(text)); !ok || got != want {
			t.Errorf("%s: %v, %t", text, got, ok)
		}
	}
	for _, text := range []string{
		"", "P", "PT", "P1DT", "1D", "P1", "PT1", "P1H", "PT1D", "PT1S1M", "P1Y", "P1W", "PT1.5H", "PT1.S", "PT.5S", "PT1H ", "P106752D",
		"P106751DT24H", "PT9223372036.9S", "P99999999999999999999D", "PT1,5S",
	} {
		if got, ok := edm.ParseDuration([]byte(text)); ok {
			t.Errorf("%q was taken: %v", text, got)
		}
	}
}

// Texts compare as strings.EqualFold says, in an order that fits.
func TestTexts(t *testing.T) {
	t.Parallel()
	letter := rapid.SampledFrom([]rune("aAbBkKKsSſßÄäςσΣ1_ 😀"))
	some := rapid.StringOfN(letter, 0, 4, -1)
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := some.Draw(t, "a"), some.Draw(t, "b"), some.Draw(t, "c")
		x, y, z := []byte(a), []byte(b), []byte(c)
		if (edm.CompareText(x, y) == 0) != strings.EqualFold(a, b) || edm.CompareText(x, y) != -edm.CompareText(y, x) {
			t.Fatalf("%q and %q: %d", a, b, edm.CompareText(x, y))
		}
		if edm.CompareText(x, y) <= 0 && edm.CompareText(y, z) <= 0 && edm.CompareText(x, z) > 0 {
			t.Fatalf("%q, %q, %q are in no order", a, b, c)
		}
		f, g := string(edm.AppendFolded(nil, x)), string(edm.AppendFolded(nil, y))
		if (f == g) != strings.EqualFold(a, b) || edm.HasPrefix(x, y) != strings.HasPrefix(f, g) || edm.HasSuffix(x, y) != strings.HasSuffix(f, g) {
			t.Fatalf("%q and %q: folded %q and %q", a, b, f, g)
		}
	})
}

func FuzzParsers(f *testing.F) {
	f.Add([]byte("2026-01-31T12:00:00.5+02:00"))
	f.Add([]byte("-P1DT2H3M4.5S"))
	f.Add([]byte("-12.50e-3"))
	f.Fuzz(func(t *testing.T, s []byte) {
		if n, ok := edm.ParseNumber(s); ok && n.Compare(&n) != 0 {
			t.Fatalf("%q is not itself", s)
		}
		if at, w, ok := edm.ParseInstant(s); ok {
			if again, _, ok := edm.ParseInstant(at.AppendFormat(nil, time.RFC3339Nano)); at.Year() > 0 && at.Year() < 10000 && (!ok || !again.Equal(at)) {
				t.Fatalf("%q: %v, %v", s, at, w)
			}
		}
		_, _ = edm.ParseDuration(s)
		edm.AppendFolded(nil, s)
	})
}
