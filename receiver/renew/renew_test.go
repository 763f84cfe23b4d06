package renew_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"heliograph.dev/client"
	"heliograph.dev/internal/clock"
	"heliograph.dev/receiver"
	"heliograph.dev/receiver/renew"
)

// graph is an API that notes what is asked, and when.
type graph struct {
	mu    sync.Mutex
	began time.Time
	asked []string
	gone  map[string]bool
	fail  error // once
}

func (g *graph) call(what, id string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked = append(g.asked, fmt.Sprint(clock.System().Now().Sub(g.began), " ", what, " ", id))
	err := g.fail
	g.fail = nil
	if g.gone[id] {
		return &renew.Refusal{Status: http.StatusNotFound}
	}
	return err
}

func (g *graph) Renew(_ context.Context, id string, until time.Time) (time.Time, error) {
	return until, g.call("renew", id)
}

func (g *graph) Reauthorize(_ context.Context, id string) error { return g.call("reauthorize", id) }

func TestKeeperLivesThroughTwoDays(t *testing.T) { // contract 7.7, 7.11, 14.4, 14.9, 14.11
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &graph{began: clock.System().Now(), gone: map[string]bool{}}
		var troubles []error
		k, err := renew.New(renew.Options{
			API: g, Lease: 24 * time.Hour, Ahead: 8 * time.Hour,
			Lost: func(_ context.Context, id string) (string, time.Time, error) {
				return id + "+", clock.System().Now().Add(24 * time.Hour), g.call("replace", id+"?")
			},
			OnError: func(_ context.Context, _ string, err error) { troubles = append(troubles, err) },
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- k.Run(ctx) }()
		k.Keep("a", g.began.Add(24*time.Hour))
		k.Keep("b", g.began.Add(20*time.Hour))
		k.Keep("c", g.began.Add(time.Hour))
		k.Forget("c")
		tell := func(event receiver.LifecycleEvent, id string) {
			if err := k.Handle(ctx, &receiver.Notification{SubscriptionID: id, Lifecycle: event}); err != nil {
				t.Error(err)
			}
		}
		at := func(d time.Duration, do func()) {
			<-time.After(g.began.Add(d).Sub(clock.System().Now()))
			do()
			synctest.Wait()
		}
		at(time.Hour, func() { tell(receiver.ReauthorizationRequired, "a") })
		at(2*time.Hour, func() {
			g.mu.Lock()
			g.fail = &renew.Refusal{Status: 429, RetryAfter: 20 * time.Second}
			g.mu.Unlock()
			tell(receiver.ReauthorizationRequired, "a")
		})
		at(3*time.Hour, func() {
			tell("toBeInvented", "a")
			tell(receiver.Missed, "a")
			tell(receiver.ReauthorizationRequired, "unknown")
		})
		at(11*time.Hour+55*time.Minute, func() { tell(receiver.ReauthorizationRequired, "b") }) // its renewal is due
		at(12*time.Hour, func() { tell(receiver.ReauthorizationRequired, "b") })                // right after it: waits
		at(13*time.Hour, func() { tell(receiver.SubscriptionRemoved, "b") })
		at(15*time.Hour, func() {
			g.mu.Lock()
			g.gone["a"] = true
			g.mu.Unlock()
		})
		at(16*time.Hour+time.Minute, func() {})
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		want := []string{
			"1h0m0s reauthorize a", "2h0m0s reauthorize a", "2h0m20s reauthorize a",
			"11h55m0s renew b", "12h5m0s reauthorize b", "13h0m0s replace b?",
			"16h0m0s renew a", "16h0m0s replace a?",
		}
		if !slices.Equal(g.asked, want) || len(troubles) != 2 {
			t.Errorf("asked\n%q, want\n%q; %v", g.asked, want, troubles)
		}
	})
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	for _, o := range []renew.Options{{}, {API: &graph{}}, {API: &graph{}, Lease: time.Hour, Ahead: time.Hour}, {API: &graph{}, Lease: time.Hour, Ahead: -1}} {
		if _, err := renew.New(o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}

func TestClientTellsOfRefusals(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPatch {
			_, _ = fmt.Fprint(w, `{"id":"1","expirationDateTime":"2026-11-28T12:00:00Z"}`)
			return
		}
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	t.Cleanup(server.Close)
	c, err := client.New(server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	api := renew.Client(c)
	moment := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	if until, err := api.Renew(t.Context(), "1", moment); err != nil || !until.Equal(moment) {
		t.Errorf("%v, %v", until, err)
	}
	refused, _ := errors.AsType[*renew.Refusal](api.Reauthorize(t.Context(), "1"))
	if refused == nil || refused.Status != 429 || refused.RetryAfter != 7*time.Second {
		t.Errorf("%+v", refused)
	}
}
