// Package odata reads the part of OData that the address of a resource is written in: its path, in every form
// that Graph's documentation uses, and its query options.
//
// A path is words between slashes. A key stands after a slash or in parentheses (users/a, users('a')), a
// function has named arguments (getX(organizerIds=['a','b'])), and after a word that ends in a colon come the
// names of files (root:/a (1)/b) in which parentheses mean nothing. Words are percent-decoded once. Which words
// are names and which are keys is not known here: package catalog knows.
//
// Every form has one canonical text, Resource.Path, in which a slash only ever separates segments. Parsing it
// gives it again.
//
// Query options are cut out as they were written. Option.Text undoes their encoding and knows where each character
// stood, so that what is wrong with a filter is shown where its client wrote it; what a filter means is package filter.
//
// Everything here is a pure function; errors are *SyntaxError and say where.
package odata

import (
	"fmt"
	"strings"
)

// Limits of a resource. The longest one known, a list of 650 presence ids, takes 25 kB, and three times that
// when it is encoded.
const (
	MaxLength   = 80 << 10
	MaxSegments = 100
)

// Resource is a parsed resource: the steps of its path and its query options, both in the order they were
// written in.
type Resource struct {
	Segments []Segment
	Query    Query
}

// Segment is one step of a path. A key in parentheses is a segment of its own: users('a') and users/a are
// the same two segments, told apart by Quoted.
type Segment struct {
	// Text is the decoded word: a name, or a key.
	Text string
	// Quoted says that it stood in parentheses, so that it can only be a key.
	Quoted bool
	// Colon says that the word was written with a colon at its end: a path of file names follows, or ends.
	Colon bool
	// Args are the named arguments that followed the name.
	Args []Arg
	// Pos is the byte at which it began.
	Pos int
}

// Arg is one named argument of a segment.
type Arg struct {
	Name   string
	Values []string
	List   bool // written in brackets
}

// Option is one query option, as it was written.
type Option struct {
	Name  string // decoded, with its $ when it has one
	Value string // raw: not decoded
	Pos   int    // where the value begins
}

// Query is a resource's query options. No name occurs twice.
type Query []Option

// Get returns the option of that name. Case and a leading $ do not count, because the documentation itself
// spells one option both ways (notifyOnUserSpecificProperties).
func (q Query) Get(name string) (Option, bool) {
	for _, o := range q {
		if sameOption(o.Name, name) {
			return o, true
		}
	}
	return Option{}, false
}

func sameOption(a, b string) bool {
	return strings.EqualFold(strings.TrimPrefix(a, "$"), strings.TrimPrefix(b, "$"))
}

// SyntaxError says what is wrong with a text, and where.
type SyntaxError struct {
	Pos    int // the byte, from 0
	Reason string
}

// Error returns the reason and the place, counted from 1 as people count.
func (e *SyntaxError) Error() string { return fmt.Sprintf("%s at character %d", e.Reason, e.Pos+1) }

// Path returns the canonical text of the path: no slash at its ends, keys as segments, arguments quoted, and
// escaped just so that a slash only separates.
func (r Resource) Path() string {
	var b strings.Builder
	for i, s := range r.Segments {
		if i > 0 {
			b.WriteByte('/')
		}
		s.write(&b)
	}
	return b.String()
}

func (s *Segment) write(b *strings.Builder) {
	if s.Colon {
		b.WriteString(Escape(s.Text[:len(s.Text)-1]))
		b.WriteByte(':')
	} else {
		b.WriteString(Escape(s.Text))
	}
	for i, a := range s.Args {
		b.WriteByte(",("[max(0, 1-i)])
		b.WriteString(a.Name)
		b.WriteByte('=')
		if a.List {
			b.WriteByte('[')
		}
		for j, v := range a.Values {
			if j > 0 {
				b.WriteByte(',')
			}
			b.WriteString(Quote(v))
		}
		if a.List {
			b.WriteByte(']')
		}
	}
	if len(s.Args) > 0 {
		b.WriteByte(')')
	}
}

// special are the characters that mean something in a canonical path.
const special = "%/?()"

// Escape returns a word as it stands in a canonical path. The colon at the end of a key is escaped too: plain,
// it would open a path of file names.
func Escape(word string) string {
	colon := strings.HasSuffix(word, ":")
	if !colon && !strings.ContainsAny(word, special) {
		return word
	}
	const hex = "0123456789ABCDEF"
	b := make([]byte, 0, len(word)+8)
	for i := range len(word) {
		if c := word[i]; strings.IndexByte(special, c) >= 0 || colon && i == len(word)-1 {
			b = append(b, '%', hex[c>>4], hex[c&15])
		} else {
			b = append(b, c)
		}
	}
	return string(b)
}

// Unescape returns the word that Escape was given.
func Unescape(canonical string) string {
	if strings.IndexByte(canonical, '%') < 0 {
		return canonical
	}
	b := make([]byte, 0, len(canonical))
	for i := 0; i < len(canonical); i++ {
		c := canonical[i]
		if c == '%' && i+2 < len(canonical) {
			if hi, lo := unhex(canonical[i+1]), unhex(canonical[i+2]); hi < 16 && lo < 16 {
				c = hi<<4 | lo
				i += 2
			}
		}
		b = append(b, c)
	}
	return string(b)
}

// Quote returns a word as it stands as an argument of a canonical path.
func Quote(word string) string {
	return "'" + strings.ReplaceAll(Escape(word), "'", "''") + "'"
}

func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}
