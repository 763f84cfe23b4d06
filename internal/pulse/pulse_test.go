package pulse_test

import (
	"fmt"
	"testing"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/deliver"
	"heliograph.dev/internal/health"
	"heliograph.dev/internal/pulse"
)

// at is a clock that is moved by hand.
type at struct{ time.Time }

func (a *at) now() time.Time { return a.Time }

func book() (*pulse.Book, *at) {
	clock := &at{time.Date(2026, 11, 22, 12, 0, 3, 0, time.UTC)}
	return pulse.New(pulse.Limits{Step: 10 * time.Second, Steps: 6, Endpoints: 2}, clock.now), clock
}

func attempted(b *pulse.Book, clock *at, reason heliograph.Reason, delays ...time.Duration) {
	a := heliograph.Attempt{Reason: reason, Started: clock.Time, Took: 0}
	told := make([]deliver.Notification, len(delays))
	for i, d := range delays {
		told[i].Accepted = clock.Add(-d)
	}
	b.Attempted(&a, told)
}

func TestStepsCount(t *testing.T) {
	t.Parallel()
	b, clock := book()
	b.Matched(3, 5, time.Millisecond)
	attempted(b, clock, heliograph.Delivered, time.Millisecond, 10*time.Millisecond, time.Second)
	attempted(b, clock, heliograph.TimedOut, time.Minute)
	clock.Time = clock.Add(25 * time.Second)
	b.GivenUp("", deliver.Notification{}, heliograph.GivenUpWindow)
	steps := b.Steps()
	if len(steps) != 2 {
		t.Fatalf("%d steps: %+v", len(steps), steps)
	}
	first, second := steps[0], steps[1]
	if !first.At.Equal(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)) || first.Changes != 3 || first.Delivered != 3 || first.Failed != 1 || first.GivenUp != 0 {
		t.Errorf("first %+v", first)
	}
	near := func(got, want time.Duration) bool { return got > want*8/10 && got < want*12/10 }
	if !near(first.Median, 10*time.Millisecond) || !near(first.Late, time.Second) {
		t.Errorf("half within %v, 95 of 100 within %v", first.Median, first.Late)
	}
	attempted(b, clock, heliograph.Delivered, 10*time.Millisecond)
	if median, late := b.Delays(); !near(median, 10*time.Millisecond) || !near(late, time.Second) {
		t.Errorf("of all, half within %v, 95 of 100 within %v", median, late)
	}
	clock.Time = clock.Add(time.Minute)
	if median, late := b.Delays(); median != 0 || late != 0 {
		t.Errorf("what is forgotten took %v, %v", median, late)
	}
	if second.GivenUp != 1 || second.Median != 0 || !second.At.Equal(first.At.Add(20*time.Second)) {
		t.Errorf("second %+v", second)
	}
}

func TestStepsAreForgotten(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		later time.Duration
		want  int
	}{{0, 1}, {50 * time.Second, 1}, {60 * time.Second, 0}, {70 * time.Hour, 0}, {-time.Hour, 0}} {
		b, clock := book()
		b.Matched(1, 1, 0)
		clock.Time = clock.Add(c.later)
		if got := len(b.Steps()); got != c.want {
			t.Errorf("%v later: %d steps, want %d", c.later, got, c.want)
		}
	}
}

func TestDelaysOfAnySize(t *testing.T) {
	t.Parallel()
	for _, d := range []time.Duration{-time.Second, 0, time.Nanosecond, time.Microsecond, 300 * time.Millisecond, 4 * time.Hour, 1000 * time.Hour} {
		b, clock := book()
		attempted(b, clock, heliograph.Delivered, d)
		got := b.Steps()[0].Median
		if d >= 10*time.Microsecond && d <= time.Hour && (got < d*8/10 || got > d*12/10) || got <= 0 {
			t.Errorf("%v is told as %v", d, got)
		}
	}
}

func TestHistoriesAreBounded(t *testing.T) {
	t.Parallel()
	b, clock := book()
	endpoint := func(n, failures int) deliver.Endpoint {
		return deliver.Endpoint{URL: heliograph.Endpoint(fmt.Sprintf("https://%d.example/", n)), State: health.Slow, Shares: health.Shares{Answers: 9, Late: 0.5}, Failures: failures, Parked: true}
	}
	for i := range 8 {
		b.Sample([]deliver.Endpoint{endpoint(1, i), endpoint(2, i), endpoint(3, i)})
		clock.Time = clock.Add(10 * time.Second)
	}
	all := b.Histories()
	if len(all) != 2 || all[0].Endpoint != "https://1.example/" || len(all[0].Points) != 6 {
		t.Fatalf("%+v", all)
	}
	b.Sample([]deliver.Endpoint{endpoint(1, 8)})
	b.Sample([]deliver.Endpoint{endpoint(1, 9)}) // in the same step
	if points := b.Histories()[0].Points; len(points) != 6 || points[5].Failures != 9 || points[4].Failures != 7 {
		t.Errorf("a step has more points than one: %+v", points)
	}
	p := all[0].Points[5]
	if p.Failures != 7 || p.State != health.Slow || p.Late != 0.5 || p.Answers != 9 || !p.Parked || !p.At.Equal(clock.Add(-10*time.Second)) {
		t.Errorf("the last point is %+v", p)
	}
	clock.Time = clock.Add(time.Minute)
	b.Sample([]deliver.Endpoint{endpoint(3, 0)})
	if all = b.Histories(); len(all) != 0 {
		t.Errorf("what was forgotten just now makes room at the next: %+v", all)
	}
	b.Sample([]deliver.Endpoint{endpoint(3, 0)})
	if all = b.Histories(); len(all) != 1 || len(all[0].Points) != 1 {
		t.Errorf("%+v", all)
	}
}
