package client

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

const clockPath = "/control/v1/clock"

// Clock is the time that a server lives in. That of a development server can be moved.
type Clock struct {
	Now time.Time `json:"now"`
	// Offset, an ISO 8601 duration such as PT70H, is how far it is ahead of the machine's.
	Offset string `json:"offset"`
	// Speed is 1 for the machine's own, 0 for a clock that stands still.
	Speed  float64 `json:"speed"`
	Frozen bool    `json:"frozen"`
	// Next is the next moment that something in the server waits for, or zero.
	Next    time.Time `json:"next,omitzero"`
	Movable bool      `json:"movable"`

	// After a move: how many timers woke on the way, and how often the clock went on although something took too long.
	Woken int `json:"woken"`
	Hasty int `json:"hasty"`
}

// moved is the answer to a move: a long one takes several requests.
type moved struct {
	Clock
	To      time.Time `json:"to"`
	Arrived bool      `json:"arrived"`
}

// Clock returns how the server's clock stands. The caller needs Heliograph.Control for this and what follows, and all
// but this is for development servers.
func (c *Client) Clock(ctx context.Context) (Clock, error) {
	var now Clock
	err := c.do(ctx, call{method: http.MethodGet, path: clockPath}, &now)
	return now, err
}

// AdvanceClock moves the clock forward. Everything that waits for a moment on the way happens at its moment, in order,
// before it returns. pause is how long, in real time, each moment lasts at which a receiver was told something, so that
// it can act on it; it may be zero.
func (c *Client) AdvanceClock(ctx context.Context, by, pause time.Duration) (Clock, error) {
	return c.moveClock(ctx, map[string]any{"advance": isoDuration(by)}, pause)
}

// SetClock is AdvanceClock to a moment, which must not have passed.
func (c *Client) SetClock(ctx context.Context, to time.Time, pause time.Duration) (Clock, error) {
	return c.moveClock(ctx, map[string]any{"set": to.Format(time.RFC3339Nano)}, pause)
}

func (c *Client) moveClock(ctx context.Context, body map[string]any, pause time.Duration) (Clock, error) {
	woken, hasty := 0, 0
	for {
		if pause > 0 {
			body["pause"] = isoDuration(pause)
		}
		var m moved
		if err := c.do(ctx, call{method: http.MethodPost, path: clockPath, body: body}, &m); err != nil {
			return Clock{}, err
		}
		woken, hasty = woken+m.Woken, hasty+m.Hasty
		if m.Arrived {
			m.Woken, m.Hasty = woken, hasty
			return m.Clock, nil
		}
		body = map[string]any{"set": m.To.Format(time.RFC3339Nano)}
	}
}

// FreezeClock lets the clock stand still.
func (c *Client) FreezeClock(ctx context.Context) (Clock, error) {
	var now Clock
	err := c.do(ctx, call{method: http.MethodPost, path: clockPath, body: map[string]any{"freeze": true}}, &now)
	return now, err
}

// RunClock lets the clock run at a speed from where it stands: 1 is the machine's, 60 an hour a minute.
func (c *Client) RunClock(ctx context.Context, speed float64) (Clock, error) {
	var now Clock
	err := c.do(ctx, call{method: http.MethodPost, path: clockPath, body: map[string]any{"speed": speed}}, &now)
	return now, err
}

// isoDuration writes a duration as the server reads it.
func isoDuration(d time.Duration) string {
	sign := ""
	if d < 0 {
		sign = "-"
	}
	return fmt.Sprintf("%sPT%.3fS", sign, d.Abs().Seconds())
}
