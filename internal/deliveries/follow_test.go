package deliveries_test

import (
	"fmt"
	"testing"

	"heliograph.dev"
	"heliograph.dev/internal/deliveries"
)

// bodies of what a tail brought.
func bodies(t deliveries.Tail) (all string) {
	for i := range t.Deliveries {
		all += string(t.Deliveries[i].Body)
	}
	return all
}

func TestFollowBringsWhatComes(t *testing.T) {
	t.Parallel()
	b := book(nil)
	add(b, heliograph.Delivered, "1", notified("a", "x", "app1"))
	end := b.Follow(deliveries.ID{}, deliveries.Query{})
	if bodies(end) != "" {
		t.Errorf("the end of the book holds %q", bodies(end))
	}
	select {
	case <-end.More:
		t.Error("there is said to be more")
	default:
	}
	add(b, heliograph.Delivered, "2", notified("a", "x", "app1"))
	<-end.More
	next := b.Follow(end.At, deliveries.Query{})
	add(b, heliograph.TimedOut, "3", notified("b", "y", "app2"))
	<-next.More
	if got := bodies(next) + bodies(b.Follow(next.At, deliveries.Query{})); got != "23" {
		t.Errorf("%q, want 23", got)
	}
	mine := b.Follow(end.At, deliveries.Query{App: "app2"})
	if bodies(mine) != "3" || mine.At != b.Follow(deliveries.ID{}, deliveries.Query{}).At {
		t.Errorf("an application's own: %q, then from %v", bodies(mine), mine.At)
	}
}

func TestFollowAfterARestartBeginsAnew(t *testing.T) {
	t.Parallel()
	before := book(nil)
	add(before, heliograph.Delivered, "old", notified("a", "x", "app1"))
	place := before.Follow(deliveries.ID{}, deliveries.Query{}).At
	b := book(nil)
	add(b, heliograph.Delivered, "1", notified("a", "x", "app1"))
	if tail := b.Follow(place, deliveries.Query{}); bodies(tail) != "1" || tail.Missed != 0 {
		t.Errorf("%q, missed %d", bodies(tail), tail.Missed)
	}
}

func TestFollowTellsWhatWasMissed(t *testing.T) {
	t.Parallel()
	b := book(func(l *deliveries.Limits) { l.Attempts = 3 })
	place := b.Follow(deliveries.ID{}, deliveries.Query{}).At
	for i := range 5 {
		add(b, heliograph.Delivered, fmt.Sprint(i), notified("a", "x", "app1"))
	}
	if tail := b.Follow(place, deliveries.Query{}); bodies(tail) != "234" || tail.Missed != 2 {
		t.Errorf("%q, missed %d", bodies(tail), tail.Missed)
	}
}

func TestFollowIsBounded(t *testing.T) {
	t.Parallel()
	b := book(nil)
	place := b.Follow(deliveries.ID{}, deliveries.Query{}).At
	for range 1200 {
		add(b, heliograph.Delivered, "x", notified("a", "x", "app1"))
	}
	var got []int
	for total := 0; total < 1200; {
		tail := b.Follow(place, deliveries.Query{})
		got = append(got, len(tail.Deliveries))
		total += len(tail.Deliveries)
		place = tail.At
		if total < 1200 {
			<-tail.More
		}
	}
	if len(got) != 3 || got[0] != 500 {
		t.Errorf("brought %v", got)
	}
}
