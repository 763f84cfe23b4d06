package settle_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"heliograph.dev/internal/source/drive/settle"
)

var (
	start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	rules = settle.Rules{Quiet: 50 * time.Millisecond, Longest: 100 * time.Millisecond, Patience: 2 * time.Second, Names: 100}
)

func at(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }

// run touches "f" at each of the moments and returns when it was due, in milliseconds.
func run(touches ...int) (due []int) {
	s := settle.New(rules)
	for ms := range 10_000 {
		if slices.Contains(touches, ms) {
			s.Touch("f", true, at(ms))
		}
		if next := s.Next(); next.IsZero() || next.After(at(ms)) {
			continue
		}
		if names, _ := s.Take(at(ms)); len(names) > 0 {
			due = append(due, ms)
		}
	}
	return due
}

func everyTen(to int) (all []int) {
	for ms := 0; ms <= to; ms += 10 {
		all = append(all, ms)
	}
	return all
}

func TestDue(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ touches, want []int }{
		"one write":                    {[]int{0}, []int{50}},
		"truncate, write, write":       {[]int{0, 1, 30}, []int{80}},
		"two saves":                    {[]int{0, 200}, []int{50, 250}},
		"a long copy ends":             {everyTen(1000), []int{100, 1050}},
		"a log that goes on":           {everyTen(5000), []int{100, 2110, 4120, 5050}},
		"a burst ends near its limit":  {everyTen(110), []int{100, 160}},
		"a save right after the limit": {append(everyTen(90), 145), []int{100, 195}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := run(test.touches...); !slices.Equal(got, test.want) {
				t.Errorf("due at %v, want %v", got, test.want)
			}
		})
	}
}

func TestNamesOfOneSaveComeTogether(t *testing.T) {
	t.Parallel()
	s := settle.New(rules)
	if !s.Touch("b", false, at(0)) || s.Touch("a", false, at(1)) || s.Touch("b", true, at(2)) {
		t.Error("only the first touch is news to whoever waits")
	}
	s.Touch("later", false, at(40))
	if next := s.Next(); !next.Equal(at(51)) {
		t.Errorf("next = %v", next)
	}
	due, all := s.Take(at(51))
	want := []settle.Name{{Path: "a", Since: at(1)}, {Path: "b", Since: at(0), Content: true}}
	if !slices.Equal(due, want) || all {
		t.Errorf("due = %v, %t", due, all)
	}
	if waiting := s.Waiting(); !slices.Equal(waiting, []string{"later"}) {
		t.Errorf("waiting = %v", waiting)
	}
	s.Drop("later")
	if !s.Next().IsZero() {
		t.Error("something waits")
	}
}

func TestManyNamesAreAll(t *testing.T) {
	t.Parallel()
	s := settle.New(rules)
	for i := range 100 {
		s.Touch(fmt.Sprint(i), true, at(0))
	}
	if !s.Touch("one more", true, at(10)) || s.Touch("another", true, at(20)) || len(s.Waiting()) != 0 {
		t.Error("not all")
	}
	if due, all := s.Take(at(60)); all || due != nil {
		t.Error("due before it rested")
	}
	s.Hold(at(500))
	if next := s.Next(); !next.Equal(at(500)) {
		t.Errorf("next = %v", next)
	}
	if _, all := s.Take(at(500)); !all {
		t.Error("not due")
	}
	if _, all := s.Take(at(9999)); all || !s.Next().IsZero() {
		t.Error("due twice")
	}
	for ms := range 3000 {
		s.TouchAll(at(1000 + ms))
	}
	if next := s.Next(); !next.Equal(at(3000)) {
		t.Errorf("never rests, next = %v", next)
	}
}

// Whatever the touches: each is followed by a due moment, soon after the last, never later than the limit, and
// once all rest nothing is remembered.
func TestNothingIsForgotten(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := settle.New(rules)
		owed := map[string]int{} // since when
		last, end := 0, rapid.IntRange(1, 3000).Draw(t, "end")
		steps := rapid.SliceOfN(rapid.IntRange(1, 120), 1, 200).Draw(t, "steps")
		for i, ms := 0, 0; ms < end+3000; ms++ {
			for i < len(steps) && last+steps[i] == ms && ms < end {
				last += steps[i]
				i++
				name := fmt.Sprint(i % 3)
				s.Touch(name, true, at(ms))
				if _, ok := owed[name]; !ok {
					owed[name] = ms
				}
			}
			if next := s.Next(); next.IsZero() || next.After(at(ms)) {
				continue
			}
			due, _ := s.Take(at(ms))
			for _, n := range due {
				since, ok := owed[n.Path]
				if !ok || !n.Since.Equal(at(since)) {
					t.Fatalf("%s due since %v, owed %v %t", n.Path, n.Since, at(since), ok)
				}
				if ms-since > int(rules.Patience.Milliseconds()) {
					t.Fatalf("%s waited %d ms", n.Path, ms-since)
				}
				delete(owed, n.Path)
			}
		}
		if len(owed) != 0 || !s.Next().IsZero() {
			t.Fatalf("forgotten: %v, next %v", owed, s.Next())
		}
	})
}
