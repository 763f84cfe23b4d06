package app_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"heliograph.dev"
	"heliograph.dev/internal/app"
	"heliograph.dev/internal/clock"
	"heliograph.dev/internal/config"
	"heliograph.dev/internal/identity/devissuer"
)

// A person signs in at the operator's provider, and a page may then do on the API what the person's role allows.
func TestPeopleSignInToServe(t *testing.T) {
	t.Parallel()
	const (
		tenant = "11111111-aaaa-4aaa-8aaa-111111111111"
		pages  = "33333333-cccc-4ccc-8ccc-333333333333"
		public = "http://localhost"
	)
	issuer, err := devissuer.New(devissuer.Options{
		Now: clock.System().Now, DefaultTenant: tenant,
		Users:        []devissuer.User{{UPN: "ada", Roles: []string{heliograph.PermissionControl}}, {UPN: "bob"}},
		Applications: []devissuer.Application{{ID: pages, Secret: heliograph.NewSecret("x"), RedirectURIs: []string{public + "/signin/callback"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	provider := httptest.NewServer(issuer)
	t.Cleanup(func() {
		provider.Close()
		issuer.Close()
	})
	cfg := config.Default(config.Serve)
	cfg.Data, cfg.PublicURL, cfg.Listen.HTTP = t.TempDir(), public, "127.0.0.1:0"
	cfg.Identity.Issuers = []config.Issuer{{URL: provider.URL + "/" + tenant + "/v2.0"}}
	cfg.Pages.ClientID, cfg.Pages.ClientSecret = pages, heliograph.NewSecret("x")
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	a := start(t, app.Options{Config: cfg})

	// A client's own jar would keep Secure cookies from http, which browsers allow on loopback.
	send := func(method, address string, body url.Values, cookies []*http.Cookie) answered {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, strings.Replace(address, public+"/", a.URL()+"/", 1), strings.NewReader(body.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range cookies {
			r.AddCookie(c)
		}
		r.Header.Set("Accept", "text/html, application/json")
		if r.Header.Set("Sec-Fetch-Site", "same-origin"); body != nil {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		response, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		text, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answered{response.StatusCode, response.Header.Get("Location"), response.Cookies(), string(text)}
	}
	if got := send("GET", a.URL()+"/assets/", nil, nil); got.status != http.StatusNotFound || got.location != "" {
		t.Errorf("files are nobody's secret: %d %s", got.status, got.location)
	}
	if got := send("GET", a.URL()+"/", nil, nil); got.status != http.StatusSeeOther || got.location != "/signin?to=%2F" {
		t.Errorf("nobody is shown the pages: %d %s", got.status, got.location)
	}
	for user, want := range map[string]int{"ada": http.StatusOK, "bob": http.StatusForbidden} {
		begun := send("GET", a.URL()+"/signin", nil, nil)
		if begun.status != http.StatusFound {
			t.Fatalf("%d %s", begun.status, begun.text)
		}
		asked := send("POST", begun.location, url.Values{"user": {user}}, nil)
		if asked.status != http.StatusFound {
			t.Fatalf("%d %s", asked.status, asked.text)
		}
		back := send("GET", asked.location, nil, begun.cookies)
		if back.status != http.StatusSeeOther {
			t.Fatalf("%d %s", back.status, back.text)
		}
		if got := send("GET", a.URL()+"/control/v1/endpoints", nil, back.cookies); got.status != want {
			t.Errorf("%s: %d %s", user, got.status, got.text)
		}
		if got := send("GET", a.URL()+"/", nil, back.cookies); got.status != http.StatusOK || !strings.Contains(got.text, "<title>Heliograph</title>") {
			t.Errorf("%s is shown %d %s", user, got.status, got.text)
		}
		if got := send("POST", a.URL()+"/session", nil, back.cookies); got.text != `{"signIn":"/signin"}` {
			t.Errorf("%s: the page is told %d %s", user, got.status, got.text)
		}
		if got := send("GET", a.URL()+"/signin/person", nil, back.cookies); got.status != http.StatusOK || !strings.Contains(got.text, user) {
			t.Errorf("%s: %d %s", user, got.status, got.text)
		}
	}
	if got := send("GET", a.URL()+"/control/v1/endpoints", nil, nil); got.status != http.StatusUnauthorized {
		t.Errorf("nobody: %d", got.status)
	}
}

// answered is an answer that was read.
type answered struct {
	status   int
	location string
	cookies  []*http.Cookie
	text     string
}
