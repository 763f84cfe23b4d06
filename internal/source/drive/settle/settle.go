// Package settle decides when a name that keeps changing is looked at.
//
// Programs save a file in several steps: they truncate it and write it in pieces, or write another and move it
// into place. Whoever looks after each step sees files that nobody meant to be seen. So a name is due when it
// has rested for a while. One that does not rest is due after a limit all the same, so that nobody waits long
// for the first word of a large copy; while the same burst lasts it is due again only after a much longer one.
//
//	touch ─ touch ─ touch ───── quiet ─────► due
//	touch ─ touch ─ touch ─ … longest ─────► due ─ touch ─ touch ─ … patience ─► due ─ … ─ quiet ─► due
//
// More names than are worth following one by one become "all": look at everything.
package settle

import (
	"slices"
	"strings"
	"sync"
	"time"
)

// Rules are the times and the limit.
type Rules struct {
	Quiet    time.Duration // a name that has rested this long is due
	Longest  time.Duration // a name is due this long after its first touch
	Patience time.Duration // within a burst that was due once: this long after its next touch
	Names    int           // so many names are followed; more are "all"
}

// Name is one that is due.
type Name struct {
	Path    string
	Since   time.Time // the first touch that has not been looked at
	Content bool      // its content may have changed, not only what is known about it
}

// Set holds the names that were touched. Its methods may be called concurrently.
type Set struct {
	rules Rules

	mu    sync.Mutex
	marks map[string]*mark
	all   mark
	hold  time.Time // All is not due before
}

// mark is what is remembered of a name: while it waits to be looked at, and then for as long as its burst may
// go on.
type mark struct {
	waiting     bool
	bursting    bool // was due once, by the limit
	content     bool
	first, last time.Time // touch
}

// New returns an empty set.
func New(rules Rules) *Set { return &Set{rules: rules, marks: make(map[string]*mark)} }

// Touch notes that something happened to the name. It reports whether the set was empty: whoever waits for Next
// must ask again then, and need not otherwise, because nothing is due before what was there already.
func (s *Set) Touch(path string, content bool, now time.Time) (first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all.waiting {
		s.all.touch(now)
		return false
	}
	m, known := s.marks[path]
	if !known {
		if len(s.marks) >= s.rules.Names {
			return s.touchAll(now)
		}
		m = &mark{}
		s.marks[path] = m
	}
	m.touch(now)
	m.content = m.content || content
	return !known && len(s.marks) == 1
}

// TouchAll notes that anything may have happened. It reports what Touch reports.
func (s *Set) TouchAll(now time.Time) (first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.touchAll(now)
}

func (s *Set) touchAll(now time.Time) bool {
	clear(s.marks)
	first := !s.all.waiting
	s.all.touch(now)
	return first
}

func (m *mark) touch(now time.Time) {
	if !m.waiting {
		m.waiting, m.content, m.first = true, false, now
	}
	m.last = now
}

// Hold keeps "all" from being due before a moment, so that looking at everything does not become all that is
// done.
func (s *Set) Hold(until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hold = until
}

// Take returns the names that are due, sorted, or that everything is. What is taken waits no longer.
func (s *Set) Take(now time.Time) (due []Name, all bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// What is due in a moment is taken along: names of one save are touched one after the other.
	soon := now.Add(s.rules.Quiet / 10)
	if s.all.waiting {
		if s.dueAll().After(soon) {
			return nil, false
		}
		s.all = mark{}
		return nil, true
	}
	for path, m := range s.marks {
		if s.due(m).After(soon) {
			continue
		}
		rested := !m.last.Add(s.rules.Quiet).After(soon)
		if m.waiting {
			due = append(due, Name{Path: path, Since: m.first, Content: m.content})
		}
		if rested {
			delete(s.marks, path)
		} else {
			m.waiting, m.bursting = false, true
		}
	}
	slices.SortFunc(due, func(a, b Name) int { return strings.Compare(a.Path, b.Path) })
	return due, false
}

// Next returns when to call Take, or the zero time when nothing waits.
func (s *Set) Next() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all.waiting {
		return s.dueAll()
	}
	var next time.Time
	for _, m := range s.marks {
		if due := s.due(m); next.IsZero() || due.Before(next) {
			next = due
		}
	}
	return next
}

// due is when a name is to be looked at, or to be forgotten.
func (s *Set) due(m *mark) time.Time {
	rested := m.last.Add(s.rules.Quiet)
	limit := m.first.Add(s.rules.Longest)
	if m.bursting {
		limit = m.first.Add(s.rules.Patience)
	}
	if m.waiting && limit.Before(rested) {
		return limit
	}
	return rested
}

// dueAll is due for "all", which is dear: it waits as long as a burst may.
func (s *Set) dueAll() time.Time {
	due := s.all.last.Add(s.rules.Quiet)
	if limit := s.all.first.Add(s.rules.Patience); limit.Before(due) {
		due = limit
	}
	if s.hold.After(due) {
		due = s.hold
	}
	return due
}

// Waiting returns the names that wait and were not due yet.
func (s *Set) Waiting() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var waiting []string
	for path, m := range s.marks {
		if m.waiting {
			waiting = append(waiting, path)
		}
	}
	return waiting
}

// Drop takes a name out before it is due.
func (s *Set) Drop(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.marks, path)
}
