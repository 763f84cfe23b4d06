package app_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"heliograph.dev/client"
	"heliograph.dev/internal/app"
	"heliograph.dev/internal/clock"
	"heliograph.dev/internal/config"
)

// listUntil lists until the server refuses, at most so often, and returns how often it did not.
func listUntil(t *testing.T, api *client.Client, most int) (listed int, refused error) {
	t.Helper()
	for range most {
		for _, err := range api.Subscriptions(t.Context()) {
			if err != nil {
				return listed, err
			}
		}
		listed++
	}
	return listed, nil
}

// contract 15.4, 15.6: the 26th list of an application in a tenant within 20 seconds is refused, and told when to come
// back. It is so in production; in development, when it is asked for.
func TestCallLimits(t *testing.T) {
	t.Parallel()
	c := clock.NewManual(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC))
	cfg := dev(t.TempDir())
	cfg.API.Limits = true
	api := connect(t, start(t, app.Options{Config: cfg, Clock: c}))
	for range 2 {
		listed, err := listUntil(t, api, 30)
		e, isRefusal := errors.AsType[*client.Error](err)
		if listed != 25 || !isRefusal || e.Status != http.StatusTooManyRequests || e.Code != "TooManyRequests" ||
			e.Message != "Please retry again later." || e.Rule != "request.throttled" || e.RetryAfter != 20*time.Second {
			t.Fatalf("%d lists, then %+v", listed, err)
		}
		c.Advance(e.RetryAfter)
	}
	free := connect(t, start(t, app.Options{Config: dev(t.TempDir())}))
	if listed, err := listUntil(t, free, 60); err != nil {
		t.Errorf("without limits: %d lists, then %v", listed, err)
	}
	if !config.Default(config.Serve).API.Limits {
		t.Error("production has no limits")
	}
}

// A client without a token is sent to the development issuer, by the name that it knows the server by.
func TestWhereTokensComeFrom(t *testing.T) {
	t.Parallel()
	a := start(t, app.Options{Config: dev(t.TempDir())})
	for host, want := range map[string]string{
		"":                    a.URL() + "/common/oauth2/authorize",
		"graph.microsoft.com": "http://graph.microsoft.com/common/oauth2/authorize", // over https it is the login service
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.URL()+"/v1.0/subscriptions", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = host
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if challenge := response.Header.Get("Www-Authenticate"); response.StatusCode != 401 || !strings.Contains(challenge, `authorization_uri="`+want+`"`) {
			t.Errorf("%s: %d %s", host, response.StatusCode, challenge)
		}
	}
}
