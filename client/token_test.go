package client_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"heliograph.dev/client"
)

// tokenServer gives tokens that live for an hour, without a network.
type tokenServer struct{ given int }

func (s *tokenServer) RoundTrip(*http.Request) (*http.Response, error) {
	s.given++
	body, w := io.Pipe()
	go func() {
		_, _ = io.WriteString(w, `{"access_token":"t`+string(rune('0'+s.given))+`","expires_in":3600}`)
		_ = w.Close()
	}()
	return &http.Response{StatusCode: http.StatusOK, Body: body, Header: make(http.Header)}, nil
}

func TestTokenIsRenewedFiveMinutesBeforeItEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := &tokenServer{}
		tokens := client.ClientCredentials(client.Credentials{TokenURL: "http://issuer.example/token", HTTP: &http.Client{Transport: server}})
		for _, step := range []struct {
			after time.Duration
			want  string
		}{{0, "t1"}, {54 * time.Minute, "t1"}, {time.Minute, "t2"}, {54 * time.Minute, "t2"}, {6 * time.Minute, "t3"}} {
			<-time.After(step.after)
			if got, err := tokens(t.Context()); err != nil || got != step.want {
				t.Errorf("%v later: %s, %v; want %s", step.after, got, err, step.want)
			}
		}
	})
}

func TestRefusedTokenIsReplacedOnce(t *testing.T) {
	t.Parallel()
	var asked []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Header.Get("Authorization"))
		if len(asked) != 2 {
			http.Error(w, "{}", http.StatusUnauthorized)
			return
		}
		_, _ = io.WriteString(w, `{"id":"1"}`)
	}))
	t.Cleanup(s.Close)
	tokens := client.ClientCredentials(client.Credentials{TokenURL: "http://issuer.example/token", HTTP: &http.Client{Transport: &tokenServer{}}})
	c, err := client.New(s.URL, tokens)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.Subscription(t.Context(), "1"); err != nil || got.ID != "1" {
		t.Errorf("%+v, %v", got, err)
	}
	refused, _ := errors.AsType[*client.Error](c.DeleteSubscription(t.Context(), "1"))
	if refused == nil || refused.Status != http.StatusUnauthorized {
		t.Errorf("a server that takes no token: %v", refused)
	}
	if want := []string{"Bearer t1", "Bearer t2", "Bearer t2", "Bearer t3"}; !slices.Equal(asked, want) {
		t.Errorf("asked with %q, want %q", asked, want)
	}
}

func TestClock(t *testing.T) {
	t.Parallel()
	const now = `{"now":"2026-11-25T10:30:00Z","offset":"PT70H","speed":1,"frozen":false,"movable":true`
	s := serve(t, says(200, now+`}`),
		says(200, now+`,"to":"2026-11-26T10:30:00Z","arrived":false,"woken":3,"hasty":1}`), says(200, now+`,"to":"2026-11-26T10:30:00Z","arrived":true,"woken":4,"hasty":0}`),
		says(200, now+`,"arrived":true}`), says(200, now+`}`), says(200, now+`}`))
	c := s.client()
	got := make([]client.Clock, 5)
	for i, ask := range []func() (client.Clock, error){
		func() (client.Clock, error) { return c.Clock(t.Context()) },
		func() (client.Clock, error) { return c.AdvanceClock(t.Context(), 94*time.Hour, 200*time.Millisecond) },
		func() (client.Clock, error) { return c.SetClock(t.Context(), moment(), 0) },
		func() (client.Clock, error) { return c.FreezeClock(t.Context()) },
		func() (client.Clock, error) { return c.RunClock(t.Context(), 60) },
	} {
		var err error
		if got[i], err = ask(); err != nil {
			t.Fatal(err)
		}
	}
	want := client.Clock{Now: time.Date(2026, 11, 25, 10, 30, 0, 0, time.UTC), Offset: "PT70H", Speed: 1, Movable: true}
	moved := want
	moved.Woken, moved.Hasty = 7, 1
	if diff := cmp.Diff([]client.Clock{want, moved, want, want, want}, got); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
	s.wants(
		`GET /control/v1/clock Bearer t  `,
		`POST /control/v1/clock Bearer t application/json {"advance":"PT338400.000S","pause":"PT0.200S"}`,
		`POST /control/v1/clock Bearer t application/json {"pause":"PT0.200S","set":"2026-11-26T10:30:00Z"}`,
		`POST /control/v1/clock Bearer t application/json {"set":"2026-11-24T11:30:00+01:00"}`,
		`POST /control/v1/clock Bearer t application/json {"freeze":true}`,
		`POST /control/v1/clock Bearer t application/json {"speed":60}`,
	)
}
