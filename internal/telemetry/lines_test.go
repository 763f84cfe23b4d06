package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/clock"
	"heliograph.dev/internal/deliver"
	"heliograph.dev/internal/telemetry"
)

// paper is what lines are written to, and a clock that the test moves.
type paper struct {
	mu    sync.Mutex
	text  bytes.Buffer
	clock *clock.Manual
	*telemetry.Lines
}

func newPaper() *paper {
	p := &paper{clock: clock.NewManual(accepted)}
	p.Lines = telemetry.NewLines(telemetry.NewLogger(p, slog.LevelInfo, "json"), p.clock.Now)
	return p
}

func (p *paper) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

// lines returns what was written since it was called last, without what every line has.
func (p *paper) lines(t *testing.T) []map[string]any {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []map[string]any
	for raw := range strings.Lines(p.text.String()) {
		if strings.Contains(raw, "secret") {
			t.Errorf("the line %s", raw)
		}
		line := map[string]any{}
		if err := json.Unmarshal([]byte(raw), &line); err != nil {
			t.Fatal(err)
		}
		delete(line, "time")
		all = append(all, line)
	}
	p.text.Reset()
	return all
}

func expectLines(t *testing.T, have []map[string]any, want ...string) {
	t.Helper()
	if len(have) != len(want) {
		t.Errorf("%d lines %v, want %d", len(have), have, len(want))
		return
	}
	for i := range want {
		if line := fmt.Sprint(have[i]); line != want[i] {
			t.Errorf("line %d is\n%s, want\n%s", i, line, want[i])
		}
	}
}

const ill = heliograph.Endpoint("https://hooks.example/secret?sig=secret")

func failure(reason heliograph.Reason) *heliograph.Attempt {
	return &heliograph.Attempt{
		Endpoint: ill, Reason: reason, Status: 503, Took: 20 * time.Millisecond, RetryAfter: time.Minute,
		Detail: "see https://hooks.example/?sig=secret",
	}
}

func TestLinesTellWhatGoesWrong(t *testing.T) {
	t.Parallel()
	p := newPaper()
	two := []deliver.Notification{{Attempts: 1}, {Attempts: 4}}
	p.Attempted(failure(heliograph.Delivered), two)
	p.Attempted(failure(heliograph.Stopped), two)
	p.Matched(1, 2, time.Second)
	p.Backlog(ill, 3, 4)
	expectLines(t, p.lines(t))
	p.Attempted(failure(heliograph.RefusedStatus), two)
	p.Parked(ill, 7, heliograph.ParkedIll)
	p.Resumed(ill, 90*time.Second)
	n := deliver.Notification{ID: heliograph.DeriveGUID("n"), Subscription: heliograph.DeriveGUID("s"), Tenant: "t", Attempts: 9}
	p.GivenUp(ill, n, heliograph.GivenUpWindow)
	p.GivenUp(ill, n, heliograph.GivenUpExpired)
	lines := p.lines(t)
	for _, line := range lines {
		if id, _ := line["endpoint_id"].(string); line["endpoint"] != "hooks.example" || len(id) != 8 {
			t.Errorf("the line %v names %v", line, line["endpoint"])
		}
		delete(line, "endpoint")
		delete(line, "endpoint_id")
	}
	given := "attempts:9 level:%s msg:notification given up notification:" + n.ID.String() + " reason:%s subscription:" + n.Subscription.String() + " tenant:t"
	expectLines(t, lines,
		"map[attempts:5 detail:see https://hooks.example/?… level:WARN msg:delivery failed notifications:2 reason:status retry_after:1m0s status:503 took:20ms]",
		"map[level:WARN msg:endpoint parked notifications:7 reason:endpoint_ill]",
		"map[level:INFO msg:endpoint resumed parked_for:1m30s]",
		"map["+fmt.Sprintf(given, "WARN", "window")+"]", "map["+fmt.Sprintf(given, "INFO", "subscription_expired")+"]")
}

// TestAnIllEndpointDoesNotFlood: one line a minute of each kind, and nothing that was left out goes untold.
func TestAnIllEndpointDoesNotFlood(t *testing.T) {
	t.Parallel()
	p := newPaper()
	fail := func(times int) {
		for range times {
			p.Attempted(failure(heliograph.TimedOut), nil)
		}
	}
	counts := func() (all []any) {
		for _, line := range p.lines(t) {
			all = append(all, line["left_out"])
		}
		return all
	}
	fail(10)
	if got := counts(); fmt.Sprint(got) != "[<nil>]" {
		t.Errorf("at once: %v", got)
	}
	p.clock.Advance(59 * time.Second)
	fail(1)
	p.Sweep(t.Context(), time.Minute)
	if got := counts(); got != nil {
		t.Errorf("within the minute: %v", got)
	}
	p.clock.Advance(time.Second)
	fail(1)
	if got := counts(); fmt.Sprint(got) != "[10]" {
		t.Errorf("a minute later: %v", got)
	}
	fail(3)
	p.clock.Advance(time.Minute)
	p.Sweep(t.Context(), time.Minute)
	if got := counts(); fmt.Sprint(got) != "[2]" {
		t.Errorf("nothing came, and at the end of the minute: %v", got)
	}
	p.clock.Advance(time.Minute)
	p.Sweep(t.Context(), time.Minute)
	fail(1)
	if got := counts(); fmt.Sprint(got) != "[<nil>]" {
		t.Errorf("after a quiet minute: %v", got)
	}
}

// TestManyIllEndpoints: all of them together have so many lines a second, and each has its line in the end.
func TestManyIllEndpoints(t *testing.T) {
	t.Parallel()
	p := newPaper()
	const endpoints = 3 * telemetry.MostLines
	for i := range endpoints {
		p.Parked(heliograph.Endpoint(fmt.Sprintf("https://e%d.example", i)), 1, heliograph.ParkedIll)
	}
	told := map[any]bool{}
	read := func() int {
		lines := p.lines(t)
		for _, line := range lines {
			told[line["endpoint"]] = true
		}
		return len(lines)
	}
	if n := read(); n != telemetry.MostLines {
		t.Errorf("%d lines in the first second", n)
	}
	for range 2 {
		p.clock.Advance(time.Second)
		p.Sweep(t.Context(), time.Minute)
		if n := read(); n != telemetry.MostLines {
			t.Errorf("%d lines in a further second", n)
		}
	}
	if len(told) != endpoints {
		t.Errorf("%d of %d endpoints were told of", len(told), endpoints)
	}
}

// TestLinesAreBounded: endpoints without end take memory up to a bound.
func TestLinesAreBounded(t *testing.T) {
	t.Parallel()
	p := newPaper()
	const many = 25_000
	for i := range many {
		p.Parked(heliograph.Endpoint(fmt.Sprintf("https://e%d.example", i)), 1, heliograph.ParkedIll)
	}
	p.lines(t)
	for range many / telemetry.MostLines {
		p.clock.Advance(time.Second)
		p.Sweep(t.Context(), time.Minute)
	}
	named, others := 0, 0.0
	for _, line := range p.lines(t) {
		if line["endpoint"] != nil {
			named++
			continue
		}
		leftOut, _ := line["left_out"].(float64)
		others += 1 + leftOut
	}
	if named+telemetry.MostLines != 20_000 || others != many-20_000 {
		t.Errorf("%d endpoints have a line of their own, %v share one", named, others)
	}
}

func TestLinesRun(t *testing.T) {
	t.Parallel()
	p := newPaper()
	p.Parked(ill, 1, heliograph.ParkedIll)
	p.Parked(ill, 2, heliograph.ParkedIll)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p.Run(ctx, p.clock)
	expectLines(t, p.lines(t)[1:], "map[endpoint:hooks.example endpoint_id:"+idOf(ill)+" level:WARN msg:endpoint parked notifications:2 reason:endpoint_ill]")
}

func idOf(e heliograph.Endpoint) string {
	_, id := telemetry.NameEndpoint(e)
	return id
}

// BenchmarkLines is what delivery pays for lines that are not written.
func BenchmarkLines(b *testing.B) {
	for name, reason := range map[string]heliograph.Reason{"delivered": heliograph.Delivered, "failed": heliograph.TimedOut} {
		b.Run(name, func(b *testing.B) {
			p := newPaper()
			attempt := failure(reason)
			b.ReportAllocs()
			for b.Loop() {
				p.Attempted(attempt, nil)
			}
		})
	}
}
