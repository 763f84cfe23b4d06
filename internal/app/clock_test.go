package app_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"heliograph.dev/client"
	"heliograph.dev/internal/app"
	"heliograph.dev/internal/config"
)

// ask returns what f gives, and fails the test when it gives an error.
func ask[T any](tb testing.TB) func(T, error) T {
	tb.Helper()
	return func(v T, err error) T {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return v
	}
}

// TestClockMovesEverything lives through an endpoint's illness, with every retry at its moment, and past a token, a
// subscription and a restart, in no time.
func TestClockMovesEverything(t *testing.T) { // contract 10.5, 10.6, 10.15
	t.Parallel()
	dir := t.TempDir()
	a, err := app.Start(t.Context(), app.Options{Config: dev(dir)})
	if err != nil {
		t.Fatal(err)
	}
	stopped := false
	defer func() {
		if !stopped {
			_ = a.Stop(context.Background())
		}
	}()
	api := connect(t, a)
	began := ask[client.Clock](t)(api.FreezeClock(t.Context())).Now
	ill := &illness{now: func() time.Time { return ask[client.Clock](t)(api.Clock(t.Context())).Now }}
	hook := httptest.NewServer(ill)
	t.Cleanup(hook.Close)
	s := subscribe(t, api, "users/u1/messages", hook.URL, began.Add(6*time.Hour))
	publish(t, api, "users/u1/messages/m1")
	token := ask[client.Token](t)(api.MintToken(t.Context(), client.TokenRequest{Lifetime: time.Hour}))

	for hour := 1; hour <= 5; hour++ {
		c := ask[client.Clock](t)(api.AdvanceClock(t.Context(), time.Hour, 0))
		if !c.Now.Equal(began.Add(time.Duration(hour)*time.Hour)) || c.Hasty != 0 {
			t.Errorf("after hour %d: %+v", hour, c)
		}
	}
	ill.check(t, began)
	old := ask[*client.Client](t)(client.New(a.URL(), client.StaticToken(token.Text)))
	if _, err := old.Subscription(t.Context(), s.ID); refusal(err) != http.StatusUnauthorized {
		t.Errorf("a token of an hour after five: %v", err)
	}
	if list := ask[[]client.Delivery](t)(api.Deliveries(t.Context(), client.DeliveryQuery{Most: 1})); len(list) != 1 || list[0].GivenUp != "window" ||
		list[0].Started.Sub(began) < 4*time.Hour || list[0].Started.Sub(began) > 4*time.Hour+15*time.Minute {
		t.Errorf("not given up at the end of the window: %+v", list)
	}

	if err := a.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	stopped = true
	a2 := start(t, app.Options{Config: dev(dir)})
	api = connect(t, a2)
	if c := ask[client.Clock](t)(api.Clock(t.Context())); !c.Now.Equal(began.Add(5*time.Hour)) || !c.Frozen {
		t.Errorf("after the restart: %+v", c)
	}
	ask[*client.Subscription](t)(api.Subscription(t.Context(), s.ID))
	ask[client.Clock](t)(api.SetClock(t.Context(), s.ExpirationDateTime.Add(-time.Nanosecond), 0))
	ask[*client.Subscription](t)(api.Subscription(t.Context(), s.ID))
	ask[client.Clock](t)(api.SetClock(t.Context(), s.ExpirationDateTime, 0))
	if _, err := api.Subscription(t.Context(), s.ID); !client.IsNotFound(err) {
		t.Errorf("at its end: %v", err)
	}
}

func refusal(err error) int {
	refused, _ := errors.AsType[*client.Error](err)
	if refused == nil {
		return 0
	}
	return refused.Status
}

// illness is an endpoint that proves itself and refuses every notification, and asks what time it is when one comes.
type illness struct {
	now   func() time.Time
	mu    sync.Mutex
	tried []time.Time
}

func (i *illness) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if token := r.URL.Query().Get("validationToken"); token != "" {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, token)
		return
	}
	now := i.now() // the clock stands meanwhile: the attempt is not done
	i.mu.Lock()
	defer i.mu.Unlock()
	i.tried = append(i.tried, now)
	w.WriteHeader(http.StatusServiceUnavailable)
}

// check looks at the times of the attempts: the first at once, the others by the schedule of the profile, none left
// out because time had gone on.
func (i *illness) check(t *testing.T, began time.Time) {
	t.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.tried) < 10 || !i.tried[0].Equal(began) {
		t.Fatalf("%d attempts, the first after %v", len(i.tried), i.tried[0].Sub(began))
	}
	for n, at := range i.tried[1:] {
		if gap := at.Sub(i.tried[n]); gap <= 0 || gap > 15*time.Minute {
			t.Errorf("attempt %d came %v after the one before", n+2, gap)
		}
	}
}

func TestClockFileIsReadBack(t *testing.T) {
	t.Parallel()
	moved := t.TempDir()
	a, err := app.Start(t.Context(), app.Options{Config: dev(moved)})
	if err != nil {
		t.Fatal(err)
	}
	api := connect(t, a)
	ask[client.Clock](t)(api.AdvanceClock(t.Context(), time.Hour, 0))
	if err := a.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	serve := config.Default(config.Serve)
	serve.Data, serve.Listen.HTTP, serve.Listen.HTTPS = moved, "127.0.0.1:0", ""
	serve.Identity.Issuers = []config.Issuer{{URL: "https://issuer.example"}}
	if _, err := app.Start(t.Context(), app.Options{Config: serve}); err == nil || !strings.Contains(err.Error(), "was moved by heliograph dev") {
		t.Errorf("serve from a folder of another time: %v", err)
	}
	for _, text := range []string{"", "{}", `{"at":"2026-11-22T12:00:00Z","since":"2026-11-22T12:00:00Z","speed":-1}`} {
		broken := t.TempDir()
		if err := os.WriteFile(filepath.Join(broken, "clock.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := app.Start(t.Context(), app.Options{Config: dev(broken)}); err == nil || !strings.Contains(err.Error(), "clock.json") {
			t.Errorf("%q is taken for a clock: %v", text, err)
		}
	}
}

// TestLostAccessSurvivesARestart reports over the API, and asks again in another life of the server.
func TestLostAccessSurvivesARestart(t *testing.T) { // contract 7.12, 14.4
	t.Parallel()
	dir := t.TempDir()
	a, err := app.Start(t.Context(), app.Options{Config: dev(dir)})
	if err != nil {
		t.Fatal(err)
	}
	api := connect(t, a)
	hook, _ := listener(t)
	s := subscribe(t, api, "users/u1/messages", hook, time.Now().Add(time.Hour))
	lost := client.AccessChange{Change: "consentRevoked", App: s.ApplicationID}
	if did := ask[client.Affected](t)(api.ReportAccess(t.Context(), lost)); did.Challenged != 1 {
		t.Errorf("%+v", did)
	}
	if err := a.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	api = connect(t, start(t, app.Options{Config: dev(dir)}))
	refused, _ := errors.AsType[*client.Error](api.ReauthorizeSubscription(t.Context(), s.ID))
	if refused == nil || refused.Status != http.StatusForbidden || refused.Rule != "access.consent_revoked" {
		t.Errorf("%+v", refused)
	}
	lost.Change = "restored"
	if did := ask[client.Affected](t)(api.ReportAccess(t.Context(), lost)); did.Resumed != 1 {
		t.Errorf("%+v", did)
	}
	if err := api.ReauthorizeSubscription(t.Context(), s.ID); err != nil {
		t.Error(err)
	}
}
