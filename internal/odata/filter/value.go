package filter

import (
	"bytes"
	"cmp"
	"strconv"
	"time"

	"heliograph.dev/internal/odata/edm"
)

// kind is what a value is.
type kind uint8

const (
	null kind = iota
	boolean
	integer // of a function; numbers of JSON and of literals are number
	decimal
	text
	instant
	duration
	other // an object or an array
)

// value is what a node of a filter is for one resource.
type value struct {
	kind  kind
	truth bool
	n     int64  // an integer, or a duration's nanoseconds
	b     []byte // a text, or a number as it is written
	t     time.Time
}

func truth(yes bool) value        { return value{kind: boolean, truth: yes} }
func count(n int) value           { return value{kind: integer, n: int64(n)} }
func at(t time.Time) value        { return value{kind: instant, t: t} }
func (v value) isTrue() bool      { return v.kind == boolean && v.truth }
func lasts(d time.Duration) value { return value{kind: duration, n: int64(d)} }

// decode returns the value of a JSON text; null for none.
func (e *env) decode(raw []byte) value {
	if len(raw) == 0 {
		return value{}
	}
	switch c := raw[0]; c {
	case 't', 'f':
		return truth(c == 't')
	case '"':
		return value{kind: text, b: e.textOf(raw)}
	case '{', '[':
		return value{kind: other}
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return value{kind: decimal, b: raw}
	}
	return value{}
}

// textOf returns the text of a JSON string.
func (e *env) textOf(raw []byte) []byte {
	inner := raw[1:max(1, len(raw)-1)]
	if bytes.IndexByte(inner, '\\') < 0 {
		return inner
	}
	from := len(e.arena)
	e.arena = unescape(e.arena, inner)
	return e.arena[from:len(e.arena):len(e.arena)]
}

// read returns a text as the kind that it is compared with, where JSON has no such kind.
func (v value) read(as kind) value {
	if v.kind != text {
		return v
	}
	switch as {
	case instant:
		if t, _, ok := edm.ParseInstant(v.b); ok {
			return at(t)
		}
	case duration:
		if d, ok := edm.ParseDuration(v.b); ok {
			return lasts(d)
		}
	default:
	}
	return v
}

// compare orders two values. It answers false for those that have no order: of different kinds, null, objects.
func compare(a, b value) (order int, ok bool) {
	a, b = a.read(b.kind), b.read(a.kind)
	switch {
	case a.isNumber() && b.isNumber():
		return compareNumbers(a, b)
	case a.kind != b.kind:
		return 0, false
	}
	switch a.kind {
	case text:
		return edm.CompareText(a.b, b.b), true
	case instant:
		return a.t.Compare(b.t), true
	case duration:
		return cmp.Compare(a.n, b.n), true
	default:
		return 0, false
	}
}

func (v value) isNumber() bool { return v.kind == integer || v.kind == decimal }

func compareNumbers(a, b value) (order int, ok bool) {
	if a.kind == integer && b.kind == integer {
		return cmp.Compare(a.n, b.n), true
	}
	var room [2][20]byte
	x, okX := edm.ParseNumber(a.digits(room[0][:0]))
	y, okY := edm.ParseNumber(b.digits(room[1][:0]))
	return x.Compare(&y), okX && okY
}

// digits returns a number as it is written.
func (v value) digits(room []byte) []byte {
	if v.kind == integer {
		return strconv.AppendInt(room, v.n, 10)
	}
	return v.b
}

// equal reports whether two values are the same: null is null, and what has no order equals nothing.
func equal(a, b value) bool {
	switch {
	case a.kind == null || b.kind == null:
		return a.kind == b.kind
	case a.kind == boolean && b.kind == boolean:
		return a.truth == b.truth
	}
	order, ok := compare(a, b)
	return ok && order == 0
}
