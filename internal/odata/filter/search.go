package filter

import (
	"slices"
	"strings"
	"sync"

	"heliograph.dev/internal/odata"
	"heliograph.dev/internal/odata/edm"
)

// MaxTerms is how many words and phrases a search may have.
const MaxTerms = 20

// Search is a compiled $search.
type Search struct {
	terms []string // as they were written
	wants [][]byte // folded
	in    []*path
	envs  sync.Pool
}

// ParseSearch compiles a $search of these properties: words, and phrases in quotes, that must all be there; AND may
// stand between them. Errors are *odata.SyntaxError.
func ParseSearch(s string, properties []string) (*Search, error) {
	if len(s) > MaxLength {
		return nil, &odata.SyntaxError{Pos: MaxLength, Reason: "a search that is too long"}
	}
	p := searchParser{parser{s: s}}
	terms, err := p.terms()
	if err != nil {
		return nil, err
	}
	search := &Search{terms: terms}
	for _, t := range terms {
		search.wants = append(search.wants, edm.AppendFolded(nil, []byte(t)))
	}
	for _, name := range properties {
		at := &path{}
		for step := range strings.SplitSeq(name, "/") {
			at.steps = append(at.steps, []byte(step))
		}
		search.in = append(search.in, at)
	}
	return search, nil
}

// String returns the search in its canonical form.
func (s *Search) String() string {
	var b strings.Builder
	for i, t := range s.terms {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(`"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(t) + `"`)
	}
	return b.String()
}

// Match reports whether each of the terms stands in one of the properties.
func (s *Search) Match(resource []byte) bool {
	e := takeEnv(&s.envs)
	defer e.give(&s.envs)
	for _, want := range s.wants {
		if !s.stands(e, want, resource) {
			return false
		}
	}
	return true
}

// Sees reports whether one of the properties is in the resource.
func (s *Search) Sees(resource []byte) bool {
	return slices.ContainsFunc(s.in, func(p *path) bool { return p.raw(resource) != nil })
}

func (s *Search) stands(e *env, want, resource []byte) bool {
	for _, at := range s.in {
		if v := at.eval(e, resource); v.kind == text && e.contains(v.b, want) {
			return true
		}
	}
	return false
}

// searchParser reads terms from left to right.
type searchParser struct{ parser }

func (p *searchParser) terms() ([]string, error) {
	var terms []string
	and := -1 // where an AND stands that a term must follow
	for p.skip() < len(p.s) {
		start := p.pos
		term, err := p.term()
		switch {
		case err != nil:
			return nil, err
		case p.s[start] == '"':
		case term == "OR" || term == "NOT":
			return nil, p.fail(start, term+" is not supported in a search")
		case term == "AND":
			if len(terms) == 0 || and >= 0 {
				return nil, p.fail(start, "expected a word before AND")
			}
			and = start
			continue
		}
		and = -1
		if terms = append(terms, term); len(terms) > MaxTerms {
			return nil, p.fail(start, "a search of too many words")
		}
	}
	if len(terms) == 0 || and >= 0 {
		return nil, p.unexpected("a word")
	}
	return terms, nil
}

// term reads a word, or a phrase in quotes in which a backslash takes away what a quote or another one means.
func (p *searchParser) term() (string, error) {
	start := p.pos
	if !p.take('"') {
		n := strings.IndexAny(p.s[start:], " \t\"()")
		if n < 0 {
			n = len(p.s) - start
		}
		if p.pos += n; n == 0 {
			return "", p.unexpected("a word")
		}
		return p.s[start:p.pos], nil
	}
	var b strings.Builder
	for ; p.pos < len(p.s); p.pos++ {
		switch c := p.s[p.pos]; c {
		case '"':
			p.pos++
			if b.Len() == 0 {
				return "", p.fail(start, "an empty phrase")
			}
			return b.String(), nil
		case '\\':
			if p.pos++; p.pos == len(p.s) {
				return "", p.fail(start, "a quote that does not end")
			}
			fallthrough
		default:
			b.WriteByte(p.s[p.pos])
		}
	}
	return "", p.fail(start, "a quote that does not end")
}
