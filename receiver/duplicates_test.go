package receiver_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"

	"heliograph.dev/receiver"
)

func TestDuplicates(t *testing.T) {
	t.Parallel()
	d := receiver.NewDuplicates(4)
	want := func(id string, claim receiver.Claim) {
		t.Helper()
		if got := d.Begin(id); got != claim {
			t.Errorf("%q is %d, want %d", id, got, claim)
		}
	}
	want("a", receiver.Fresh)
	want("a", receiver.Running)
	d.End("a", false)
	want("a", receiver.Fresh)
	d.End("a", true)
	want("a", receiver.Handled)
	want("", receiver.Fresh)
	d.End("", true)
	want("", receiver.Fresh)
	handled := 0
	for n := range 100 {
		id := fmt.Sprint(n)
		want(id, receiver.Fresh)
		d.End(id, true)
		want(id, receiver.Handled)
	}
	for n := range 100 {
		if d.Begin(fmt.Sprint(n)) == receiver.Handled {
			handled++
		}
	}
	if handled < 2 || handled > 4 {
		t.Errorf("%d are remembered", handled)
	}
	want("a", receiver.Fresh)
}

// However many requests bring the same notifications at once, each is handled once.
func TestHandledOnce(t *testing.T) {
	t.Parallel()
	var s seen
	h := handler(t, s.options())
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for n := range 50 {
				for post(t, h, body(change(fmt.Sprint(n), fmt.Sprint(n)))) != http.StatusAccepted {
				}
			}
		})
	}
	all.Wait()
	slices.Sort(s.changes)
	if n := len(slices.Compact(slices.Clone(s.changes))); n != 50 || len(s.changes) != 50 {
		t.Errorf("%d notifications were handled %d times", n, len(s.changes))
	}
}
