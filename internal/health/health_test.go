package health_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"heliograph.dev"
	"heliograph.dev/internal/health"
)

var (
	start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	rules = health.Rules{ // contract 10.8, 10.9, 10.23
		Window: 10 * time.Minute, After: 20, SlowShare: 0.10, SlowOver: 3 * time.Second, SlowDelay: 10 * time.Minute,
		ProbeEvery: 10 * time.Minute, DropShare: 0.15, DropOver: 10 * time.Second, DropFor: 10 * time.Minute,
	}
)

func answer(took time.Duration) *heliograph.Attempt {
	return &heliograph.Attempt{Reason: heliograph.Delivered, Took: took}
}

func timeout(after time.Duration) *heliograph.Attempt {
	return &heliograph.Attempt{Reason: heliograph.TimedOut, Took: after}
}

// observe feeds n answers, of which the first late ones are late.
func observe(e *health.Endpoint, at time.Time, n, late int, lateAttempt *heliograph.Attempt) (s health.State) {
	for i := range n {
		a := answer(time.Millisecond)
		if i < late {
			a = lateAttempt
		}
		s = e.Observe(&rules, at, a)
	}
	return s
}

func TestShares(t *testing.T) { // contract 10.8, 10.9
	t.Parallel()
	for _, c := range []struct {
		name string
		late int
		by   *heliograph.Attempt
		want health.State
	}{
		{"all quick", 0, nil, health.Healthy},
		{"a tenth late is not yet slow", 10, answer(3*time.Second + 1), health.Healthy},
		{"more than a tenth late is slow", 11, answer(3*time.Second + 1), health.Slow},
		{"exactly the limit is in time", 100, answer(3 * time.Second), health.Healthy},
		{"a first attempt's time-out is late", 11, timeout(3 * time.Second), health.Slow},
		{"late, but never beyond the last time-out", 100, answer(9 * time.Second), health.Slow},
		{"15 % beyond is only slow", 15, timeout(10 * time.Second), health.Slow},
		{"more than 15 % beyond is dropping", 16, timeout(10 * time.Second), health.Dropping},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			// The quick ones first: what is judged is the share at the end, not an accident of the order.
			r := rules
			r.After = 100
			var e health.Endpoint
			var got health.State
			for range 100 - c.late {
				got = e.Observe(&r, start, answer(time.Millisecond))
			}
			for range c.late {
				got = e.Observe(&r, start, c.by)
			}
			if got != c.want {
				t.Errorf("state %v, want %v (%+v)", got, c.want, e.Shares(&r, start))
			}
		})
	}
}

func TestTooFewAnswersSayNothing(t *testing.T) {
	t.Parallel()
	var e health.Endpoint
	if got := observe(&e, start, rules.After-1, rules.After-1, timeout(10*time.Second)); got != health.Healthy {
		t.Errorf("state %v after %d answers", got, rules.After-1)
	}
	if got := e.Observe(&rules, start, timeout(10*time.Second)); got != health.Dropping {
		t.Errorf("state %v after %d answers", got, rules.After)
	}
}

func TestOldAnswersAreForgotten(t *testing.T) {
	t.Parallel()
	var e health.Endpoint
	observe(&e, start, rules.After-1, rules.After-1, timeout(3*time.Second))
	if got := e.Shares(&rules, start.Add(rules.Window)); got.Answers != 0 {
		t.Errorf("after the window: %+v", got)
	}
}

func TestProbesEndTheState(t *testing.T) { // contract 10.8: a small sample every ten minutes
	t.Parallel()
	for _, c := range []struct {
		late int
		want health.State
	}{{0, health.Healthy}, {1, health.Slow}} {
		var e health.Endpoint
		observe(&e, start, rules.After, rules.After, timeout(3*time.Second))
		_, since, probe := e.State()
		if !since.Equal(start) || !probe.Equal(start.Add(rules.ProbeEvery)) {
			t.Errorf("since %v, probe %v", since, probe)
		}
		now := start.Add(rules.ProbeEvery)
		e.Probe(&rules, now)
		if got := observe(&e, now, health.Probes, c.late, timeout(3*time.Second)); got != c.want {
			t.Errorf("a probe of %d with %d late: %v, want %v", health.Probes, c.late, got, c.want)
		}
	}
}

func TestForcedStays(t *testing.T) {
	t.Parallel()
	var e health.Endpoint
	e.Force(&rules, health.Dropping, start)
	if got := observe(&e, start, 100, 0, nil); got != health.Dropping {
		t.Errorf("state %v", got)
	}
	e.Force(&rules, health.Healthy, start)
	if got := observe(&e, start, 100, 0, nil); got != health.Healthy {
		t.Errorf("state %v", got)
	}
}

func TestQuickAnswersNeverMakeIll(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var e health.Endpoint
		now := start
		for range rapid.IntRange(1, 200).Draw(t, "answers") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(t, "pause")))
			took := time.Duration(rapid.Int64Range(0, int64(rules.SlowOver)).Draw(t, "took"))
			if got := e.Observe(&rules, now, answer(took)); got != health.Healthy {
				t.Fatalf("state %v", got)
			}
		}
	})
}
