package app_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"heliograph.dev/client"
	"heliograph.dev/internal/app"
)

// browser asks as a page of the server's own does.
func browser(t *testing.T, a *app.App, method, path string, header ...string) io.Reader {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, a.URL()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Accept", "text/html")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = answer.Body.Close() })
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %d", method, path, answer.StatusCode)
	}
	return answer.Body
}

// pagesToken is what a page is given.
func pagesToken(t *testing.T, a *app.App) string {
	t.Helper()
	var session struct{ Token string }
	if err := json.NewDecoder(browser(t, a, "POST", "/session")).Decode(&session); err != nil || session.Token == "" {
		t.Fatalf("%+v, %v", session, err)
	}
	return session.Token
}

// follow reads the events of a stream, one line each.
func follow(t *testing.T, a *app.App, token string) (next func() string) {
	t.Helper()
	lines := bufio.NewScanner(browser(t, a, "GET", "/control/v1/events", "Authorization", "Bearer "+token))
	return func() string {
		event := ""
		for lines.Scan() && lines.Text() != "" {
			event += lines.Text() + " "
		}
		return event
	}
}

// Everybody follows what is his own: an operator its tenant, an application itself. A stop ends the streams.
func TestPagesShowWhatOneMaySee(t *testing.T) {
	t.Parallel()
	a, err := app.Start(t.Context(), app.Options{Config: dev(t.TempDir())})
	if err != nil {
		t.Fatal(err)
	}
	api := connect(t, a)
	page, err := io.ReadAll(browser(t, a, "GET", "/"))
	if err != nil || !strings.Contains(string(page), "<title>Heliograph</title>") {
		t.Errorf("/ shows %s, %v", page, err)
	}
	all := follow(t, a, pagesToken(t, a))
	minted := func(id string) string {
		token, err := api.MintToken(t.Context(), client.TokenRequest{App: id, Roles: []string{"Mail.Read"}})
		if err != nil {
			t.Fatal(err)
		}
		return token.Text
	}
	own, others := follow(t, a, minted("11111111-0000-0000-0000-000000000001")), follow(t, a, minted("22222222-0000-0000-0000-000000000002"))
	for _, stream := range []func() string{all, own, others} {
		if got := stream(); !strings.HasPrefix(got, "event: hello") {
			t.Fatalf("first %s", got)
		}
	}
	hook, resources := listener(t)
	subscribe(t, api, "users/u1/messages", hook, time.Now().Add(time.Hour))
	publish(t, api, "users/u1/messages/m1")
	take(t, resources)
	for _, stream := range []func() string{all, own} {
		if got := stream(); !strings.Contains(got, `"resource":"users/u1/messages/m1"`) {
			t.Errorf("then %s", got)
		}
	}
	began := time.Now()
	if err := a.Stop(context.Background()); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 10*time.Second { // as long as requests under way would be waited for
		t.Errorf("streams held the stop up for %v", took)
	}
	if got := others(); !strings.Contains(got, "the server is stopping") {
		t.Errorf("another application follows %s", got)
	}
}

func TestPagesListWhatChanged(t *testing.T) {
	t.Parallel()
	a := start(t, app.Options{Config: dev(t.TempDir())})
	api := connect(t, a)
	token := pagesToken(t, a)
	publish(t, api, "users/u1/messages/m1")
	publish(t, api, "users/u2/events/e1")
	list := func(query string) (resources string) {
		var got struct{ Value []struct{ Resource string } }
		answer := browser(t, a, "GET", "/control/v1/changes"+query, "Authorization", "Bearer "+token)
		if err := json.NewDecoder(answer).Decode(&got); err != nil {
			t.Fatal(err)
		}
		for _, c := range got.Value {
			resources += c.Resource + " "
		}
		return resources
	}
	for query, want := range map[string]string{
		"":                   "users/u2/events/e1 users/u1/messages/m1 ",
		"?top=1":             "users/u2/events/e1 ",
		"?contains=MESSAGES": "users/u1/messages/m1 ",
		"?contains=nothing":  "",
	} {
		if got := list(query); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
}
