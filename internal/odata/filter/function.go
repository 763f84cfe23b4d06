package filter

import (
	"bytes"
	"time"
	"unicode/utf8"

	"heliograph.dev/internal/odata/edm"
)

// function is what a filter may call.
type function struct {
	name   string
	params []typ
	result typ
	do     func(e *env, a, b value) value
}

// kindOf returns what the i-th argument must be when there is a resource.
func (f *function) kindOf(i int) kind {
	if f.params[i] == temporal {
		return instant
	}
	return text
}

// functionOf returns the function of that name, in lower case.
func functionOf(name string) (*function, bool) {
	f := function{name: name}
	switch name {
	case "contains", "startswith", "endswith":
		f.params, f.result, f.do = []typ{textual, textual}, condition, textTest(name)
	case "tolower", "toupper":
		// Texts are compared without regard to case: nothing can tell a text from its lower case.
		f.params, f.result, f.do = []typ{textual}, textual, func(_ *env, a, _ value) value { return a }
	case "trim":
		f.params, f.result = []typ{textual}, textual
		f.do = func(_ *env, a, _ value) value { return value{kind: text, b: bytes.TrimSpace(a.b)} }
	case "length":
		f.params, f.result = []typ{textual}, numeric
		f.do = func(_ *env, a, _ value) value { return count(utf8.RuneCount(a.b)) }
	case "date":
		f.params, f.result = []typ{temporal}, temporal
		f.do = func(_ *env, a, _ value) value { return at(a.t.Truncate(24 * time.Hour)) }
	default:
		part := partOf(name)
		if part == nil {
			return nil, false
		}
		f.params, f.result = []typ{temporal}, numeric
		f.do = func(_ *env, a, _ value) value { return count(part(a.t)) }
	}
	return &f, true
}

func textTest(name string) func(e *env, a, b value) value {
	switch name {
	case "contains":
		return func(e *env, a, b value) value { return truth(e.contains(a.b, b.b)) }
	case "startswith":
		return func(_ *env, a, b value) value { return truth(edm.HasPrefix(a.b, b.b)) }
	}
	return func(_ *env, a, b value) value { return truth(edm.HasSuffix(a.b, b.b)) }
}

// partOf returns the function that cuts a part out of an instant, or nil.
func partOf(name string) func(time.Time) int {
	switch name {
	case "year":
		return time.Time.Year
	case "month":
		return func(t time.Time) int { return int(t.Month()) }
	case "day":
		return time.Time.Day
	case "hour":
		return time.Time.Hour
	case "minute":
		return time.Time.Minute
	case "second":
		return time.Time.Second
	}
	return nil
}
