package retry_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"heliograph.dev"
	"heliograph.dev/internal/retry"
)

var (
	policy = retry.Policy{
		First: 2 * time.Second, Max: 10 * time.Minute, Factor: 2, Jitter: 0.2, Window: 4 * time.Hour,
		FirstTimeout: 3 * time.Second, Timeout: 10 * time.Second, MaxRetryAfter: 30 * time.Minute,
	}
	now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
)

func TestDelayDoublesUpToItsCeiling(t *testing.T) {
	t.Parallel()
	for failures, want := range map[int]time.Duration{
		1: 2 * time.Second, 2: 4 * time.Second, 3: 8 * time.Second, 9: 512 * time.Second,
		10: 10 * time.Minute, 1000: 10 * time.Minute,
	} {
		if got := policy.Delay(failures, 0); got != want {
			t.Errorf("Delay(%d) = %v, want %v", failures, got, want)
		}
	}
}

func TestDelayStaysWithinItsJitter(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		failures := rapid.IntRange(1, 100).Draw(t, "failures")
		dice := rapid.Float64Range(0, 0.999999).Draw(t, "dice")
		whole, got := policy.Delay(failures, 0), policy.Delay(failures, dice)
		if got > whole || got < whole*79/100 {
			t.Errorf("Delay(%d, %v) = %v, whole delay %v", failures, dice, got, whole)
		}
	})
}

func TestNextHonoursRetryAfterUpToItsCap(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ asked, want time.Duration }{
		{0, 2 * time.Second},
		{time.Second, 2 * time.Second}, // less than the schedule's own delay
		{time.Minute, time.Minute},
		{24 * time.Hour, 30 * time.Minute},
	} {
		got := policy.Next(now, 1, &heliograph.Attempt{RetryAfter: c.asked}, 0).Sub(now)
		if got != c.want {
			t.Errorf("asked for %v: next in %v, want %v", c.asked, got, c.want)
		}
	}
}

func TestWindow(t *testing.T) { // contract 10.5: up to four hours
	t.Parallel()
	for _, c := range []struct {
		since time.Time
		over  bool
	}{
		{time.Time{}, false}, // never attempted: its window has not begun
		{now, false},
		{now.Add(-4*time.Hour + time.Nanosecond), false},
		{now.Add(-4 * time.Hour), true},
	} {
		if got := policy.Over(now, c.since); got != c.over {
			t.Errorf("Over(since %v) = %v", now.Sub(c.since), got)
		}
	}
}

func TestMakesWay(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		since time.Time
		makes bool
	}{
		{time.Time{}, false},
		{now, false},
		{now.Add(-time.Hour + time.Nanosecond), false},
		{now.Add(-time.Hour), true}, // of a window of four
	} {
		if got := policy.MakesWay(now, c.since); got != c.makes {
			t.Errorf("MakesWay(since %v) = %v", now.Sub(c.since), got)
		}
	}
}

func TestTimeouts(t *testing.T) { // contract 10.4 and 10.5: 3 s at first, then 10 s
	t.Parallel()
	if policy.TimeoutFor(0) != 3*time.Second || policy.TimeoutFor(1) != 10*time.Second || policy.TimeoutFor(50) != 10*time.Second {
		t.Error("wrong time-outs")
	}
}
