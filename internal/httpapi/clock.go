package httpapi

import (
	"context"
	"errors"
	"net/http"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/clock"
)

// Clock is the time that the server lives in, where it can be moved.
type Clock interface {
	Read() clock.Reading
	SetSpeed(ctx context.Context, speed float64) error
	Move(ctx context.Context, to clock.Move) (clock.Moved, error)
}

const (
	// moveMost is how long one request moves the clock, in real time: a client that waits a minute has its answer.
	moveMost = 45 * time.Second
	// pauseMost bounds the real time that a moment may last.
	pauseMost = 10 * time.Second
)

// clockView is the clock as it is shown.
type clockView struct {
	Now     string  `json:"now"`
	Offset  string  `json:"offset"`
	Speed   float64 `json:"speed"`
	Frozen  bool    `json:"frozen"`
	Next    string  `json:"next,omitempty"`
	Movable bool    `json:"movable"`

	*moveView
}

// moveView is how a move went.
type moveView struct {
	To      string `json:"to"`
	Arrived bool   `json:"arrived"`
	Woken   int    `json:"woken"`
	Hasty   int    `json:"hasty"`
}

// clockRequest asks the clock to go otherwise.
type clockRequest struct {
	advance, set, pause string
	freeze              *bool
	speed               *float64
}

func (a *API) readClockRequest(x *exchange) (clockRequest, error) {
	body, err := x.jsonBody()
	if err != nil {
		return clockRequest{}, err
	}
	x.takeTime(2 * moveMost)
	type r = clockRequest
	return shape[r]{
		text("advance", func(r *r) *string { return &r.advance }),
		text("set", func(r *r) *string { return &r.set }),
		text("pause", func(r *r) *string { return &r.pause }),
		boolean("freeze", func(r *r) **bool { return &r.freeze }),
		number("speed", func(r *r) **float64 { return &r.speed }),
	}.decode(body, "The request cannot be read; the header Heliograph-Detail says why.")
}

func (a *API) clock(context.Context, *heliograph.Caller, none) (clockView, error) {
	return a.readClock(), nil
}

func (a *API) readClock() clockView {
	if a.opts.Clock == nil {
		return clockView{Now: stamp(a.opts.Now()), Offset: "PT0S", Speed: 1}
	}
	r := a.opts.Clock.Read()
	v := clockView{Now: stamp(r.Now), Offset: formatDuration(r.Offset()), Speed: r.Speed, Frozen: r.Speed == 0, Movable: true}
	if !r.Next.IsZero() {
		v.Next = stamp(r.Next)
	}
	return v
}

func (a *API) setClock(ctx context.Context, _ *heliograph.Caller, r clockRequest) (clockView, error) {
	if a.opts.Clock == nil {
		return clockView{}, heliograph.Errorf(heliograph.Denied, "clock.production",
			"This server lives in the machine's time: only heliograph dev has a clock that can be moved.")
	}
	speed, move, err := r.read()
	switch {
	case err != nil:
	case move != nil:
		return a.moveClock(ctx, *move)
	default:
		err = refusedClock(a.opts.Clock.SetSpeed(ctx, speed))
	}
	return a.readClock(), err
}

// read says what is asked for: a move, or else a speed.
func (r *clockRequest) read() (speed float64, move *clock.Move, err error) {
	asked := 0
	for _, given := range []bool{r.advance != "", r.set != "", r.freeze != nil, r.speed != nil} {
		if given {
			asked++
		}
	}
	if asked != 1 || r.freeze != nil && !*r.freeze {
		return 0, nil, heliograph.Errorf(heliograph.Invalid, "clock.request",
			`Say one of "advance" (PT70H), "set" (a moment), "freeze" (true) and "speed" (1 is the machine's).`)
	}
	if r.speed != nil {
		if *r.speed == 0 {
			return 0, nil, refusedClock(clock.ErrSpeed) // it is called freeze
		}
		return *r.speed, nil, nil
	}
	if r.freeze != nil {
		return 0, nil, nil
	}
	move = &clock.Move{}
	if r.set != "" {
		if move.To, err = time.Parse(time.RFC3339, r.set); err != nil {
			return 0, nil, heliograph.Errorf(heliograph.Invalid, "clock.set", "set is not a moment such as 2026-11-22T12:00:00Z: %.40q", r.set)
		}
	} else if move.By, err = parseDuration(r.advance); err != nil {
		return 0, nil, err
	}
	if r.pause != "" {
		if move.Pause, err = parseDuration(r.pause); err != nil {
			return 0, nil, err
		}
		if move.Pause < 0 || move.Pause > pauseMost {
			return 0, nil, heliograph.Errorf(heliograph.Invalid, "clock.pause", "pause is at most %s", formatDuration(pauseMost))
		}
	}
	return 0, move, nil
}

// moveClock moves the clock as far as it comes in one request: the client asks again to get to the end.
func (a *API) moveClock(ctx context.Context, move clock.Move) (clockView, error) {
	bounded, cancel := context.WithTimeout(ctx, moveMost)
	defer cancel()
	moved, err := a.opts.Clock.Move(bounded, move)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil && moved.To.IsZero() {
		return clockView{}, heliograph.Errorf(heliograph.Unavailable, "clock.moving", "The clock is being moved already.")
	}
	late := errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil
	if err != nil && !late {
		return clockView{}, refusedClock(err)
	}
	v := a.readClock()
	v.moveView = &moveView{To: stamp(moved.To), Arrived: !late, Woken: moved.Woken, Hasty: moved.Hasty}
	return v, nil
}

// refusedClock says why the clock does not do what was asked.
func refusedClock(err error) error {
	for rule, refusal := range map[string]error{
		"clock.backwards": clock.ErrBackwards, "clock.too_far": clock.ErrTooFar, "clock.speed": clock.ErrSpeed,
	} {
		if errors.Is(err, refusal) {
			return heliograph.Errorf(heliograph.Invalid, rule, "%w", refusal)
		}
	}
	return err
}

func shownClock(_ *exchange, v clockView) answer { return answer{status: http.StatusOK, body: v} }
