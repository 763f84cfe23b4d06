package subscribe

import (
	"slices"
	"sort"
)

// roll is a list of subscriptions in the order of their place. It is written far more often than read, and in
// any order at start: so it sorts itself when it is read, and lets those who are gone stand until they are half
// of it. Adding and removing cost a constant on average, at any size.
type roll struct {
	entries  []*entry
	gone     int
	unsorted bool
}

func rollOf[K comparable](m map[K]*roll, key K) *roll {
	l := m[key]
	if l == nil {
		l = &roll{}
		m[key] = l
	}
	return l
}

// dropGone tells the roll of that key that one of its entries has gone.
func dropGone[K comparable](m map[K]*roll, key K) {
	l := m[key]
	if l == nil {
		return
	}
	l.gone++
	if l.gone == len(l.entries) {
		delete(m, key)
		return
	}
	if l.gone > len(l.entries)/2 {
		l.tidy()
	}
}

func (l *roll) add(e *entry) {
	if n := len(l.entries); n > 0 && l.entries[n-1].place().compare(e.place()) > 0 {
		l.unsorted = true
	}
	l.entries = append(l.entries, e)
}

func (l *roll) tidy() {
	l.entries = slices.DeleteFunc(l.entries, func(e *entry) bool { return e.gone })
	if cap(l.entries) > 4*len(l.entries) {
		l.entries = slices.Clone(l.entries)
	}
	l.gone = 0
}

// behind appends up to limit entries that stand behind a place and are wanted.
func (l *roll) behind(found []*entry, after place, limit int, wanted func(*entry) bool) []*entry {
	if l.unsorted {
		slices.SortFunc(l.entries, func(a, b *entry) int { return a.place().compare(b.place()) })
		l.unsorted = false
	}
	start := sort.Search(len(l.entries), func(i int) bool { return l.entries[i].place().compare(after) > 0 })
	for _, e := range l.entries[start:] {
		if limit == 0 {
			break
		}
		if !e.gone && wanted(e) {
			found = append(found, e)
			limit--
		}
	}
	return found
}
