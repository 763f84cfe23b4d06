package filter_test

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"

	"heliograph.dev/internal/odata"
	"heliograph.dev/internal/odata/filter"
)

// grammarCase is a line of testdata/cases.txt.
type grammarCase struct {
	line      int
	text      string
	canonical string
	broken    int // the character at which it is refused, from 1; 0: it is taken
}

func grammarCases(tb testing.TB) []grammarCase {
	tb.Helper()
	file, err := os.ReadFile("testdata/cases.txt")
	if err != nil {
		tb.Fatal(err)
	}
	var cases []grammarCase
	for i, line := range strings.Split(strings.TrimSuffix(string(file), "\n"), "\n") {
		sign, rest, _ := strings.Cut(line, " ")
		c := grammarCase{line: i + 1}
		switch sign {
		case "", "#":
			continue
		case "+":
			var other bool
			if c.text, c.canonical, other = strings.Cut(rest, " => "); !other {
				c.canonical = strings.TrimSpace(c.text)
			}
		case "-":
			at, text, _ := strings.Cut(rest, " ")
			if c.broken, err = strconv.Atoi(at); err != nil {
				tb.Fatalf("line %d: %v", c.line, err)
			}
			c.text = text
		default:
			tb.Fatalf("line %d begins with %q", c.line, sign)
		}
		cases = append(cases, c)
	}
	return cases
}

func TestGrammar(t *testing.T) {
	t.Parallel()
	for _, c := range grammarCases(t) {
		f, err := filter.Parse(c.text)
		if c.broken == 0 {
			if err != nil {
				t.Errorf("line %d: %s: %v", c.line, c.text, err)
			} else if got := f.String(); got != c.canonical {
				t.Errorf("line %d: %s: canonical form is %s", c.line, c.text, got)
			}
			continue
		}
		var syntax *odata.SyntaxError
		switch {
		case err == nil:
			t.Errorf("line %d: %s was taken as %s", c.line, c.text, f)
		case !errors.As(err, &syntax) || syntax.Pos != c.broken-1:
			t.Errorf("line %d: %s: %v, want character %d", c.line, c.text, err, c.broken)
		}
	}
}
