// Package odata reads the part of OData that the address of a resource is written in.
package odata

import (
	"fmt"
	"strings"
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
	// Args are the named arguments that followed the name: getX(organizerIds=['a','b']).
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
	Name  string // with its $, when it has one
	Value string // raw: not decoded
	Pos   int    // where the value begins
}

// Query is a resource's query options.
type Query []Option

// Get returns the first option of that name. Case and a leading $ do not count.
func (q Query) Get(name string) (Option, bool) {
	name = strings.TrimPrefix(name, "$")
	for _, o := range q {
		if strings.EqualFold(strings.TrimPrefix(o.Name, "$"), name) {
			return o, true
		}
	}
	return Option{}, false
}

// SyntaxError says what is wrong with a text, and where.
type SyntaxError struct {
	Pos    int // the byte, from 0
	Reason string
}

// Error returns the reason and the place, counted from 1.
func (e *SyntaxError) Error() string { return fmt.Sprintf("%s at character %d", e.Reason, e.Pos+1) }

// ParseResource reads a resource as clients write it. Errors are *SyntaxError.
func ParseResource(s string) (Resource, error) {
	return Resource{}, &SyntaxError{Reason: "not a resource: " + s}
}

// Path returns the canonical text of the path: no leading slash, keys as segments.
func (r Resource) Path() string { return "" }
