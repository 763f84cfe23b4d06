package filter

import (
	"bytes"
	"strings"
	"sync"

	"heliograph.dev/internal/odata"
	"heliograph.dev/internal/odata/edm"
)

// Limits of a filter.
const (
	MaxLength = 8 << 10 // bytes
	MaxDepth  = 24      // of parentheses, functions and collections within each other
	MaxNodes  = 200     // operators, functions, properties and literals
	MaxItems  = 1000    // values in lists
)

// Filter is a compiled $filter.
type Filter struct {
	root       expr
	properties []Use
	words      []Use
	envs       sync.Pool
}

// Use is something that a filter makes use of, and where in its text.
type Use struct {
	Name string
	Pos  int
}

// Parse compiles a $filter. Errors are *odata.SyntaxError.
func Parse(text string) (*Filter, error) {
	if len(text) > MaxLength {
		return nil, &odata.SyntaxError{Pos: MaxLength, Reason: "a filter that is too long"}
	}
	p := parser{s: text}
	root, err := p.whole()
	if err != nil {
		return nil, err
	}
	return &Filter{root: root, properties: p.properties, words: p.words}, nil
}

// Properties returns the properties that the filter reads, as paths from the resource: within a collection, from the
// collection on (mentions/mentioned/user/id).
func (f *Filter) Properties() []Use { return f.properties }

// Words returns the operators and functions that the filter uses, in lower case.
func (f *Filter) Words() []Use { return f.words }

// String returns the filter in its canonical form. Parsing it gives the same filter, and equal texts mean the same.
func (f *Filter) String() string { return string(f.root.append(nil)) }

// Match reports whether the filter means the resource with this JSON.
func (f *Filter) Match(resource []byte) bool {
	e := takeEnv(&f.envs)
	yes := f.root.eval(e, resource).isTrue()
	e.give(&f.envs)
	return yes
}

// Sees reports whether one of the properties that the filter reads is in the resource: then its answer is about the
// resource and not about what was left out.
func (f *Filter) Sees(resource []byte) bool {
	for _, use := range f.properties {
		name, _, _ := strings.Cut(use.Name, "/")
		if member(resource, []byte(name)) != nil {
			return true
		}
	}
	return len(f.properties) == 0
}

// env is the memory of one evaluation.
type env struct {
	// arena holds strings without their escapes. It only grows: what was cut from it stays.
	arena []byte
	// folded is where a string is folded to be searched in.
	folded []byte
}

// kept bounds what is kept for the next evaluation.
const kept = 64 << 10

// contains reports whether part stands in s. Both are folded first, so that the search takes linear time whatever they
// are.
func (e *env) contains(s, part []byte) bool {
	e.folded = edm.AppendFolded(e.folded[:0], s)
	n := len(e.folded)
	e.folded = edm.AppendFolded(e.folded, part)
	return bytes.Contains(e.folded[:n], e.folded[n:])
}

func takeEnv(pool *sync.Pool) *env {
	if e, ok := pool.Get().(*env); ok {
		return e
	}
	return &env{}
}

func (e *env) give(pool *sync.Pool) {
	if cap(e.arena)+cap(e.folded) > kept {
		return
	}
	e.arena = e.arena[:0]
	pool.Put(e)
}
