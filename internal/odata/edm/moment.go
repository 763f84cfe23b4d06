package edm

import (
	"math"
	"time"
)

// reader reads what is written in digits and marks. Once something did not fit it is bad.
type reader struct {
	s   []byte
	bad bool
}

// take passes over a mark and reports whether it was there. Case does not count.
func (r *reader) take(mark byte) bool {
	if len(r.s) == 0 || fold(rune(r.s[0])) != rune(mark) {
		return false
	}
	r.s = r.s[1:]
	return true
}

func (r *reader) must(mark byte) { r.bad = !r.take(mark) || r.bad }

// exactly reads n digits, a number from low to high.
func (r *reader) exactly(n, low, high int) int {
	all, _ := digits(r.s[:min(n, len(r.s))])
	v := 0
	for _, c := range all {
		v = 10*v + int(c-'0')
	}
	r.s = r.s[len(all):]
	r.bad = r.bad || len(all) < n || v < low || v > high
	return v
}

// fraction reads the digits behind a point: at most 12, of which 9 count.
func (r *reader) fraction() (nanoseconds int) {
	all, rest := digits(r.s)
	r.s = rest
	r.bad = r.bad || len(all) == 0 || len(all) > 12
	for i := range 9 {
		nanoseconds *= 10
		if i < len(all) {
			nanoseconds += int(all[i] - '0')
		}
	}
	return nanoseconds
}

// Written says which parts an instant was written with: a time of day, and an offset.
type Written struct{ Clock, Zone bool }

// ParseInstant reads a date, or a date and a time of day, with or without an offset.
func ParseInstant(s []byte) (t time.Time, w Written, ok bool) {
	r := reader{s: s}
	year := r.exactly(4, 0, 9999)
	r.must('-')
	month := r.exactly(2, 1, 12)
	r.must('-')
	day := r.exactly(2, 1, 31)
	var hour, minute, second, nanosecond, offset int
	if w.Clock = r.take('T'); w.Clock {
		hour = r.exactly(2, 0, 23)
		r.must(':')
		minute = r.exactly(2, 0, 59)
		if r.take(':') {
			if second = r.exactly(2, 0, 59); r.take('.') {
				nanosecond = r.fraction()
			}
		}
		offset, w.Zone = r.offset()
	}
	if r.bad || len(r.s) > 0 {
		return t, w, false
	}
	t = time.Date(year, time.Month(month), day, hour, minute, second, nanosecond, time.UTC)
	if t.Day() != day { // 31 April
		return t, w, false
	}
	return t.Add(-time.Duration(offset) * time.Minute), w, true
}

// offset reads Z or +02:00, in minutes.
func (r *reader) offset() (minutes int, there bool) {
	if r.take('Z') {
		return 0, true
	}
	sign := 1
	switch {
	case r.take('-'):
		sign = -1
	case !r.take('+'):
		return 0, false
	}
	hours := r.exactly(2, 0, 14)
	r.must(':')
	return sign * (60*hours + r.exactly(2, 0, 59)), true
}

// ParseDuration reads a duration of days and smaller: P1DT2H3M4.5S.
func ParseDuration(s []byte) (d time.Duration, ok bool) {
	r := reader{s: s}
	negative := r.take('-')
	if !negative {
		r.take('+')
	}
	r.must('P')
	parts := r.part(&d, 'D', 24*time.Hour)
	if r.take('T') {
		clock := r.part(&d, 'H', time.Hour) + r.part(&d, 'M', time.Minute) + r.seconds(&d)
		r.bad = r.bad || clock == 0
		parts += clock
	}
	if r.bad || parts == 0 || len(r.s) > 0 {
		return 0, false
	}
	if negative {
		d = -d
	}
	return d, true
}

// part reads digits and their mark, if they come next, adds them to d and returns how many parts it read.
func (r *reader) part(d *time.Duration, mark byte, unit time.Duration) int {
	all, rest := digits(r.s)
	if len(all) == 0 || len(rest) == 0 || fold(rune(rest[0])) != rune(mark) {
		return 0
	}
	r.s = rest[1:]
	r.add(d, all, unit)
	return 1
}

// seconds reads a part that may have a fraction.
func (r *reader) seconds(d *time.Duration) int {
	if r.part(d, 'S', time.Second) > 0 {
		return 1
	}
	all, rest := digits(r.s)
	if len(all) == 0 {
		return 0
	}
	r.s = rest
	r.add(d, all, time.Second)
	r.must('.')
	fraction := time.Duration(r.fraction())
	r.must('S')
	r.bad = r.bad || *d > math.MaxInt64-fraction
	*d += fraction
	return 1
}

// add adds as many units as the digits say. What does not fit into 292 years is bad.
func (r *reader) add(d *time.Duration, all []byte, unit time.Duration) {
	most := int64(math.MaxInt64-*d) / int64(unit)
	var n int64
	for _, c := range all {
		if n = 10*n + int64(c-'0'); n > most {
			r.bad = true
			return
		}
	}
	*d += time.Duration(n * int64(unit))
}
