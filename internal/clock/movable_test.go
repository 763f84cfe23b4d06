package clock_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"heliograph.dev/internal/clock"
)

// moments notes when somebody was woken, counted from the start.
type moments struct {
	clock clock.Clock
	at    []time.Duration
}

func (m *moments) note() { m.at = append(m.at, m.clock.Now().Sub(start)) }

// standing returns a clock that stands at the start.
func standing(o clock.MovableOptions) *clock.Movable {
	o.Position = clock.Position{At: start, Since: start}
	return clock.NewMovable(o)
}

func by(t *testing.T, c *clock.Movable, d time.Duration) clock.Moved {
	t.Helper()
	moved, err := c.Move(t.Context(), clock.Move{By: d})
	if err != nil {
		t.Fatal(err)
	}
	return moved
}

func TestMoveWakesInOrderAtTheMoment(t *testing.T) {
	t.Parallel()
	c := standing(clock.MovableOptions{})
	woken := moments{clock: c}
	for _, d := range []time.Duration{3 * time.Hour, time.Second, 70 * time.Hour, time.Second} {
		c.At(start.Add(d), woken.note)
	}
	stopped := c.At(start.Add(2*time.Second), func() { t.Error("woke though stopped") })
	if !stopped() || stopped() {
		t.Error("stop must report true once")
	}
	if next := c.Read().Next; !next.Equal(start.Add(time.Second)) {
		t.Errorf("next %v", next)
	}
	moved := by(t, c, 69*time.Hour)
	if want := []time.Duration{time.Second, time.Second, 3 * time.Hour}; !slices.Equal(woken.at, want) || moved.Woken != 3 {
		t.Errorf("woken at %v, want %v; %+v", woken.at, want, moved)
	}
	moved = by(t, c, time.Hour)
	if len(woken.at) != 4 || !c.Now().Equal(moved.To) || !moved.To.Equal(start.Add(70*time.Hour)) || !c.Read().Next.IsZero() {
		t.Errorf("woken %v, now %v, %+v", woken.at, c.Now(), moved)
	}
}

func TestMoveWaitsForWhatItWoke(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := standing(clock.MovableOptions{})
		var busy atomic.Int64
		c.Watch(clock.Sign{Busy: func() bool { return busy.Load() > 0 }})
		woken := moments{clock: c}
		// What is woken at the first hour works by Work, then in a part that shows a sign, and asks for the second hour.
		c.At(start.Add(time.Hour), func() {
			done := c.Work()
			go func() {
				<-time.After(7 * time.Second)
				busy.Add(1)
				done()
				<-time.After(7 * time.Second)
				woken.note()
				c.At(start.Add(2*time.Hour), woken.note)
				busy.Add(-1)
			}()
		})
		began := clock.System().Now()
		moved := by(t, c, 3*time.Hour)
		if want := []time.Duration{time.Hour, 2 * time.Hour}; !slices.Equal(woken.at, want) || moved.Hasty != 0 {
			t.Errorf("worked at %v, want %v; %+v", woken.at, want, moved)
		}
		if took := time.Since(began); took < 14*time.Second || took > 15*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestMoveGoesOnWithoutWhatIsNeverDone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := standing(clock.MovableOptions{})
		c.At(start.Add(time.Hour), func() { c.Work() })
		if moved := by(t, c, 3*time.Hour); moved.Hasty != 1 || moved.Woken != 1 || !c.Now().Equal(moved.To) {
			t.Errorf("%+v at %v", moved, c.Now())
		}
	})
}

func TestMoveStaysWhereItIsInterrupted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := standing(clock.MovableOptions{})
		woken := moments{clock: c}
		var done func()
		c.At(start.Add(time.Hour), func() { done = c.Work() })
		c.At(start.Add(2*time.Hour), woken.note)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		moved, err := c.Move(ctx, clock.Move{By: 3 * time.Hour})
		if !errors.Is(err, context.DeadlineExceeded) || !c.Now().Equal(start.Add(time.Hour)) || len(woken.at) != 0 {
			t.Errorf("%v at %v, woken %v", err, c.Now(), woken.at)
		}
		done()
		if _, err := c.Move(t.Context(), clock.Move{To: moved.To}); err != nil || len(woken.at) != 1 || !c.Now().Equal(start.Add(3*time.Hour)) {
			t.Errorf("%v at %v, woken %v", err, c.Now(), woken.at)
		}
	})
}

func TestMovePausesForThoseWhoWereTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := standing(clock.MovableOptions{})
		var told atomic.Uint64
		c.Watch(clock.Sign{Busy: func() bool { return false }, Told: told.Load})
		heard := moments{clock: c}
		c.At(start.Add(time.Hour), func() {
			told.Add(1)
			go func() { // a receiver that answers first and acts half a second later, which tells it something more
				<-time.After(500 * time.Millisecond)
				told.Add(1)
				<-time.After(500 * time.Millisecond)
				heard.note()
			}()
		})
		c.At(start.Add(2*time.Hour), func() {}) // tells nobody anything: no pause
		began := clock.System().Now()
		if _, err := c.Move(t.Context(), clock.Move{By: 3 * time.Hour, Pause: time.Second}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != 2*time.Second || !slices.Equal(heard.at, []time.Duration{time.Hour}) {
			t.Errorf("took %v, heard at %v", took, heard.at)
		}
	})
}

func TestClockRunsFreezesAndIsKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var kept clock.Position
		keep := func(p clock.Position) error {
			kept = p
			return nil
		}
		c := clock.NewMovable(clock.MovableOptions{Keep: keep})
		at := func(want time.Duration, began time.Time) {
			t.Helper()
			if got := c.Now().Sub(began); got != want {
				t.Errorf("the clock is at %v, want %v", got, want)
			}
		}
		began := c.Now()
		if !began.Equal(clock.System().Now()) || kept.Speed != 0 {
			t.Errorf("a new clock says %v, and kept %+v", began, kept)
		}
		<-time.After(time.Minute)
		at(time.Minute, began)
		if err := c.SetSpeed(t.Context(), 60); err != nil {
			t.Fatal(err)
		}
		woken := make(chan time.Time, 3)
		for _, d := range []time.Duration{2 * time.Hour, time.Hour} {
			c.At(began.Add(d), func() { woken <- c.Now() })
		}
		<-time.After(time.Minute)
		synctest.Wait()
		at(61*time.Minute, began)
		if first := <-woken; first.Sub(began) < time.Hour || first.Sub(began) > time.Hour+time.Second || len(woken) != 0 {
			t.Errorf("woken at %v, and %d more", first.Sub(began), len(woken))
		}
		if err := c.SetSpeed(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		<-time.After(24 * time.Hour)
		at(61*time.Minute, began)
		by(t, c, time.Hour)
		at(121*time.Minute, began)
		if second := <-woken; second.Sub(began) != 2*time.Hour {
			t.Errorf("woken at %v", second.Sub(began))
		}
		c = clock.NewMovable(clock.MovableOptions{Position: kept})
		at(121*time.Minute, began)
		if err := c.SetSpeed(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		by(t, c, time.Hour)
		<-time.After(time.Second)
		at(181*time.Minute+time.Second, began)
		if r := c.Read(); r.Speed != 1 || r.Offset() != r.Now.Sub(clock.System().Now()) || r.Offset() > 0 {
			t.Errorf("%+v", r)
		}
	})
}

func TestPositionIsKeptBeforeAnybodyIsWoken(t *testing.T) {
	t.Parallel()
	var kept clock.Position
	var broken error
	c := standing(clock.MovableOptions{Keep: func(p clock.Position) error {
		kept = p
		return broken
	}})
	for _, d := range []time.Duration{time.Hour, 2 * time.Hour} {
		c.At(start.Add(d), func() {
			if !kept.At.Equal(start.Add(d)) {
				t.Errorf("at %v, %v is kept", d, kept.At)
			}
			broken = errors.New("disk full")
		})
	}
	if _, err := c.Move(t.Context(), clock.Move{By: 3 * time.Hour}); err == nil || !c.Now().Equal(start.Add(time.Hour)) {
		t.Errorf("%v at %v", err, c.Now())
	}
}

func TestClockRefuses(t *testing.T) {
	t.Parallel()
	c := standing(clock.MovableOptions{})
	for _, tt := range []struct {
		name string
		do   func() error
		want error
	}{
		{"back", func() error { _, err := c.Move(t.Context(), clock.Move{By: -time.Second}); return err }, clock.ErrBackwards},
		{"to a moment that has passed", func() error { _, err := c.Move(t.Context(), clock.Move{To: start.Add(-1)}); return err }, clock.ErrBackwards},
		{"too far", func() error { _, err := c.Move(t.Context(), clock.Move{To: start.AddDate(300, 0, 0)}); return err }, clock.ErrTooFar},
		{"backwards", func() error { return c.SetSpeed(t.Context(), -1) }, clock.ErrSpeed},
		{"too fast", func() error { return c.SetSpeed(t.Context(), clock.MaxSpeed+1) }, clock.ErrSpeed},
		{"no number", func() error { return c.SetSpeed(t.Context(), math.NaN()) }, clock.ErrSpeed},
	} {
		if err := tt.do(); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	if !c.Now().Equal(start) {
		t.Errorf("at %v", c.Now())
	}
}

func TestEvery(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := standing(clock.MovableOptions{})
		ctx, cancel := context.WithCancel(t.Context())
		done := moments{clock: c}
		ended := make(chan error, 1)
		go func() {
			ended <- clock.Every(ctx, c, 20*time.Minute, func(context.Context) {
				<-time.After(time.Millisecond)
				done.note()
			})
		}()
		synctest.Wait()
		by(t, c, time.Hour)
		if want := []time.Duration{20 * time.Minute, 40 * time.Minute, time.Hour}; !slices.Equal(done.at, want) {
			t.Errorf("done at %v, want %v", done.at, want)
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if moved := by(t, c, time.Hour); moved.Hasty+moved.Woken != 0 {
			t.Errorf("%+v", moved)
		}
	})
}
