package clock_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"heliograph.dev/internal/clock"
)

var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func TestManualWakesInOrderAtTheMoment(t *testing.T) {
	t.Parallel()
	c := clock.NewManual(start)
	var woken []time.Duration
	note := func() { woken = append(woken, c.Now().Sub(start)) }
	for _, d := range []time.Duration{3 * time.Hour, time.Second, 70 * time.Hour, time.Second} {
		c.At(start.Add(d), note)
	}
	stopped := c.At(start.Add(2*time.Second), func() { t.Error("woke though stopped") })
	if !stopped() || stopped() {
		t.Error("stop must report true once")
	}
	c.Advance(69 * time.Hour)
	if want := []time.Duration{time.Second, time.Second, 3 * time.Hour}; !slices.Equal(woken, want) {
		t.Errorf("woken at %v, want %v", woken, want)
	}
	c.Advance(time.Hour)
	if len(woken) != 4 || !c.Now().Equal(start.Add(70*time.Hour)) {
		t.Errorf("woken %v at %v", woken, c.Now())
	}
	c.Set(start)
	if !c.Now().Equal(start.Add(70 * time.Hour)) {
		t.Error("moved back")
	}
}

func TestManualWakerMayAskAgain(t *testing.T) {
	t.Parallel()
	c := clock.NewManual(start)
	n := 0
	var again func()
	again = func() {
		n++
		c.At(c.Now().Add(time.Minute), again)
	}
	c.At(start.Add(time.Minute), again)
	c.Advance(time.Hour)
	if n != 60 {
		t.Errorf("woke %d times in an hour, want 60", n)
	}
}

func TestUntil(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := clock.System()
		began := c.Now()
		if err := clock.Sleep(t.Context(), c, time.Hour); err != nil || c.Now().Sub(began) != time.Hour {
			t.Errorf("slept %v, %v", c.Now().Sub(began), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := clock.Sleep(ctx, c, time.Hour); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("err = %v", err)
		}
		if err := clock.Until(t.Context(), c, began); err != nil {
			t.Errorf("a moment that has passed: %v", err)
		}
	})
}
