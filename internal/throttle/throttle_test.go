package throttle_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"heliograph.dev"
	"heliograph.dev/internal/throttle"
)

const window = 20 * time.Second

func start() time.Time { return time.Date(2026, 11, 22, 10, 30, 0, 0, time.UTC) }

// limiter allows five calls of an application everywhere and three in a tenant.
func limiter(most int) *throttle.Limiter {
	return throttle.New(throttle.Options{
		Window: window, Most: most,
		Limits: map[string]throttle.Limit{"list": {App: 5, Tenant: 3}, "get": {App: 2}, "free": {}},
	})
}

func call(family, app, tenant string) throttle.Call {
	return throttle.Call{Family: family, App: heliograph.AppID(app), Tenant: heliograph.TenantID(tenant)}
}

// contract 15.1 to 15.4: per application and tenant, and per application over all tenants.
func TestTake(t *testing.T) {
	t.Parallel()
	l := limiter(0)
	for i, step := range []struct {
		call throttle.Call
		at   time.Duration
		want time.Duration
	}{
		{call("list", "a", "1"), 0, 0},
		{call("list", "a", "1"), time.Second, 0},
		{call("list", "a", "1"), 2 * time.Second, 0},
		{call("list", "a", "1"), 2 * time.Second, 18 * time.Second},  // the tenant's limit
		{call("list", "b", "1"), 2 * time.Second, 0},                 // another application
		{call("get", "a", "1"), 2 * time.Second, 0},                  // another family
		{call("list", "a", "2"), 5 * time.Second, 0},                 // another tenant
		{call("list", "a", "2"), 5 * time.Second, 0},                 // the application's fifth
		{call("list", "a", "2"), 5 * time.Second, 15 * time.Second},  // and its sixth, in a tenant that has room
		{call("list", "a", "3"), 5 * time.Second, 15 * time.Second},  // wherever
		{call("list", "a", "3"), 20*time.Second - 1, 1},              // a nanosecond too early
		{call("list", "a", "3"), 20 * time.Second, 0},                // the application's window is over
		{call("list", "a", "2"), 20 * time.Second, 0},                // tenant 2's began at 5 s
		{call("list", "a", "2"), 21 * time.Second, 4 * time.Second},  // and is full until 25 s
		{call("list", "a", "2"), 25 * time.Second, 0},                // then it is over
		{call("list", "a", "1"), 25 * time.Second, 0},                // tenant 1's is over too
		{call("list", "a", "1"), 25 * time.Second, 0},                // the fifth of the second window
		{call("list", "a", "4"), 25 * time.Second, 15 * time.Second}, // which ends at 40 s
		{call("get", "a", "9"), 26 * time.Second, 0},                 // a family without a limit by tenant
		{call("get", "a", "9"), 26 * time.Second, 0},                 //
		{call("get", "a", "9"), 26 * time.Second, window},            //
		{call("free", "a", "9"), 26 * time.Second, 0},                // no limit at all
		{call("unheard of", "a", "9"), 26 * time.Second, 0},          //
		{call("list", "a", "4"), 25 * time.Second, 14 * time.Second}, // a clock that is late among others: it is 26 s
		{call("list", "a", "4"), -time.Hour, 0},                      // a clock that was set back
		{call("list", "a", "4"), -time.Hour + window, 0},             // counts anew
	} {
		if got := l.Take(step.call, start().Add(step.at)); got != step.want {
			t.Errorf("step %d, %+v at %v: wait %v, want %v", i, step.call, step.at, got, step.want)
		}
	}
}

// A model that remembers every window for ever agrees, and whoever waits as he was told is let in.
func TestTakeAgainstAModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l := limiter(0)
		now := start()
		windows := map[throttle.Call]*struct {
			began time.Time
			calls int
		}{}
		for range rapid.IntRange(1, 60).Draw(t, "calls") {
			now = now.Add(time.Duration(rapid.IntRange(0, 8000).Draw(t, "later")) * time.Millisecond)
			c := call("list", rapid.SampledFrom([]string{"a", "b"}).Draw(t, "app"), rapid.SampledFrom([]string{"1", "2", "3"}).Draw(t, "tenant"))
			full := false
			keys := map[throttle.Call]int{c: 3, call("list", string(c.App), ""): 5}
			for key, limit := range keys {
				w := windows[key]
				full = full || w != nil && now.Sub(w.began) < window && w.calls >= limit
			}
			wait := l.Take(c, now)
			if (wait > 0) != full {
				t.Fatalf("%+v at %v: wait %v, full %v", c, now.Sub(start()), wait, full)
			}
			if wait > window {
				t.Fatalf("wait %v", wait)
			}
			if full {
				now = now.Add(wait)
				if again := l.Take(c, now); again != 0 {
					t.Fatalf("told to wait %v, and then %v", wait, again)
				}
			}
			for key := range keys {
				w := windows[key]
				if w == nil || now.Sub(w.began) >= window {
					windows[key] = &struct {
						began time.Time
						calls int
					}{began: now}
				}
				windows[key].calls++
			}
		}
	})
}

// Memory is bounded: applications without end push out the oldest windows, not the newest.
func TestMostWindows(t *testing.T) {
	t.Parallel()
	l := limiter(10)
	for range 2 {
		l.Take(call("get", "first", ""), start())
	}
	if l.Take(call("get", "first", ""), start()) == 0 {
		t.Fatal("no limit")
	}
	for i := range 1000 {
		l.Take(call("get", fmt.Sprint(i), ""), start())
		l.Take(call("get", fmt.Sprint(i), ""), start())
	}
	if l.Take(call("get", "999", ""), start()) == 0 {
		t.Error("the newest is forgotten")
	}
	if l.Take(call("get", "first", ""), start()) != 0 {
		t.Error("the oldest is remembered")
	}
}

// At the limit, as many calls come in at once as it says, and no more.
func TestTakeAtOnce(t *testing.T) {
	t.Parallel()
	l := limiter(0)
	var (
		group sync.WaitGroup
		mu    sync.Mutex
		taken int
	)
	for range 50 {
		group.Go(func() {
			if l.Take(call("list", "a", "1"), start()) == 0 {
				mu.Lock()
				taken++
				mu.Unlock()
			}
		})
	}
	group.Wait()
	if taken != 3 {
		t.Errorf("%d calls taken", taken)
	}
}

func BenchmarkTake(b *testing.B) {
	l := throttle.New(throttle.Options{Window: window, Limits: map[string]throttle.Limit{"list": {App: 1 << 30, Tenant: 1 << 30}}})
	now := start()
	c := call("list", "24d3b144-21ae-4080-943f-7067b395b913", "84bd8158-6d4d-4958-8b9f-9d6445542f95")
	b.ReportAllocs()
	for b.Loop() {
		l.Take(c, now)
	}
}
