package httpapi_test

import (
	"context"
	"testing"
	"time"

	"heliograph.dev/internal/clock"
	"heliograph.dev/internal/httpapi"
)

// still is a clock that stands at the start of all tests.
func still() *clock.Movable {
	return clock.NewMovable(clock.MovableOptions{Position: clock.Position{At: start(), Since: start()}, Real: clock.NewManual(start())})
}

func TestClock(t *testing.T) {
	t.Parallel()
	c := still()
	b := newBench(t, func(o *httpapi.Options) { o.Clock = c })
	operator := []string{"Authorization", "Bearer operator"}
	shows := func(r reply, want string) {
		t.Helper()
		b.wants(r, 200)
		sameJSON(t, r.body, want)
	}
	shows(b.send("GET", "/control/v1/clock", "", operator...),
		`{"now":"2026-11-22T10:30:00Z","offset":"PT0S","speed":0,"frozen":true,"movable":true}`)
	c.At(start().Add(time.Hour), func() {})
	c.At(start().Add(80*time.Hour), func() {})
	shows(b.send("POST", "/control/v1/clock", `{"advance":"PT70H30M0.5S","pause":"PT1S"}`, operator...),
		`{"now":"2026-11-25T09:00:00.5Z","offset":"PT70H30M0.5S","speed":0,"frozen":true,"movable":true,"next":"2026-11-25T18:30:00Z",
		"to":"2026-11-25T09:00:00.5Z","arrived":true,"woken":1,"hasty":0}`)
	shows(b.send("POST", "/control/v1/clock", `{"set":"2026-12-22T11:30:00+01:00"}`, operator...),
		`{"now":"2026-12-22T10:30:00Z","offset":"PT720H","speed":0,"frozen":true,"movable":true,
		"to":"2026-12-22T10:30:00Z","arrived":true,"woken":1,"hasty":0}`)
	shows(b.send("POST", "/control/v1/clock", `{"speed":60}`, operator...),
		`{"now":"2026-12-22T10:30:00Z","offset":"PT720H","speed":60,"frozen":false,"movable":true}`)
	shows(b.send("POST", "/control/v1/clock", `{"freeze":true}`, operator...),
		`{"now":"2026-12-22T10:30:00Z","offset":"PT720H","speed":0,"frozen":true,"movable":true}`)
	for body, rule := range map[string]string{
		`{}`: "clock.request", `{"advance":"PT1H","freeze":true}`: "clock.request", `{"freeze":false}`: "clock.request",
		`{"pause":"PT1S"}`: "clock.request", `{"advance":"1h"}`: "request.duration", `{"advance":"-PT1S"}`: "clock.backwards",
		`{"set":"2026-11-22T12:00:00Z"}`: "clock.backwards", `{"set":"tomorrow"}`: "clock.set", `{"set":"2201-01-01T00:00:00Z"}`: "clock.too_far",
		`{"speed":0}`: "clock.speed", `{"speed":1e9}`: "clock.speed", `{"speed":-1}`: "clock.speed", `{"speed":1e999}`: "request.body",
		`{"advance":"PT1H","pause":"PT11S"}`: "clock.pause", `{"advance":"PT1H","pause":"x"}`: "request.duration", `{"speed":"fast"}`: "request.body",
	} {
		if r := b.send("POST", "/control/v1/clock", body, operator...); r.StatusCode != 400 || r.Header.Get("Heliograph-Rule") != rule {
			t.Errorf("%s: %d by %s, want 400 by %s", body, r.StatusCode, r.Header.Get("Heliograph-Rule"), rule)
		}
	}
	if !c.Now().Equal(start().Add(720 * time.Hour)) {
		t.Errorf("a refusal moved the clock to %v", c.Now())
	}
}

// slow is a clock whose move takes two requests, and which another one moves first.
type slow struct {
	*clock.Movable
	turns int
}

func (s *slow) Move(ctx context.Context, to clock.Move) (clock.Moved, error) {
	s.turns++
	switch s.turns {
	case 1:
		return clock.Moved{}, context.DeadlineExceeded // waited for its turn
	case 2:
		return clock.Moved{To: start().Add(to.By), Woken: 7}, context.DeadlineExceeded
	}
	return s.Movable.Move(ctx, to)
}

func TestClockTakesItsTime(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *httpapi.Options) { o.Clock = &slow{Movable: still()} })
	operator := []string{"Authorization", "Bearer operator"}
	b.refuses(b.send("POST", "/control/v1/clock", `{"advance":"PT1H"}`, operator...), 503, "ServiceUnavailable", "The clock is being moved already.", "clock.moving")
	r := b.send("POST", "/control/v1/clock", `{"advance":"PT1H"}`, operator...)
	b.wants(r, 200)
	sameJSON(t, r.body, `{"now":"2026-11-22T10:30:00Z","offset":"PT0S","speed":0,"frozen":true,"movable":true,
		"to":"2026-11-22T11:30:00Z","arrived":false,"woken":7,"hasty":0}`)
}

func TestClockOfProduction(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	operator := []string{"Authorization", "Bearer operator"}
	r := b.send("GET", "/control/v1/clock", "", operator...)
	b.wants(r, 200)
	sameJSON(t, r.body, `{"now":"2026-11-22T10:30:00Z","offset":"PT0S","speed":1,"frozen":false,"movable":false}`)
	b.refuses(b.send("POST", "/control/v1/clock", `{"freeze":true}`, operator...), 403, "Forbidden",
		"This server lives in the machine's time: only heliograph dev has a clock that can be moved.", "clock.production")
	b.refuses(b.send("POST", "/control/v1/clock", `{"freeze":true}`), 403, "Forbidden",
		"This call needs the application permission Heliograph.Control.", "request.permission")
}
