package httpapi_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"heliograph.dev"
	"heliograph.dev/internal/httpapi"
	"heliograph.dev/internal/subscribe"
)

// mint makes tokens that are their own request.
type mint struct{ asked []httpapi.TokenRequest }

func (m *mint) Mint(_ context.Context, _ *heliograph.Caller, r httpapi.TokenRequest) (httpapi.Token, error) {
	m.asked = append(m.asked, r)
	if r.App == "unknown" {
		return httpapi.Token{}, heliograph.Errorf(heliograph.Invalid, "token.app", "no such application")
	}
	return httpapi.Token{Text: heliograph.NewSecret("a.b.c"), Expires: start().Add(time.Hour)}, nil
}

func TestTokens(t *testing.T) {
	t.Parallel()
	m := &mint{}
	b := newBench(t, func(o *httpapi.Options) { o.Minter = m })
	operator := []string{"Authorization", "Bearer operator", "Host", "h.example"}
	r := b.send("POST", "/control/v1/tokens", `{"tenant":"t","app":"a","user":"u","scopes":["x","y"],"roles":[],"directoryRoles":["d"],"audience":"z","lifetime":"-PT5M"}`, operator...)
	b.wants(r, 201, "Cache-Control", "no-store")
	sameJSON(t, r.body, `{"access_token":"a.b.c","token_type":"Bearer","expires_in":3600,"expires":"2026-11-22T11:30:00Z"}`)
	b.wants(b.send("POST", "/control/v1/tokens", `{}`, operator...), 201)
	want := []httpapi.TokenRequest{
		{
			Origin: "http://h.example", Tenant: "t", App: "a", User: "u", Scopes: []string{"x", "y"}, Roles: []string{},
			DirectoryRoles: []string{"d"}, Audience: "z", Lifetime: -5 * time.Minute,
		},
		{Origin: "http://h.example"},
	}
	if diff := cmp.Diff(want, m.asked); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
	for body, detail := range map[string]string{
		`{"Tenant":"x"}`:   `"Tenant" is not known; it is spelled tenant`,
		`{"scopes":"a b"}`: `"scopes" is a string and must be an array`,
		`{"scopes":[7]}`:   `expected a string, found '7' at byte 11`,
	} {
		r := b.send("POST", "/control/v1/tokens", body, operator...)
		b.refuses(r, 400, "InvalidRequest", "The token request cannot be read; the header Heliograph-Detail says why.", "request.body")
		b.wants(r, 400, "Heliograph-Detail", detail)
	}
	b.refuses(b.send("POST", "/control/v1/tokens", `{"lifetime":"1h"}`, operator...), 400, "InvalidRequest",
		`"1h" is no duration; write it as in ISO 8601, such as PT1H30M`, "request.duration")
	b.refuses(b.send("POST", "/control/v1/tokens", `{"app":"unknown"}`, operator...), 400, "InvalidRequest", "no such application", "token.app")
	b.refuses(b.send("POST", "/control/v1/tokens", `{}`), 403, "Forbidden", "This call needs the application permission Heliograph.Control.", "request.permission")
	if b := newBench(t); b.send("POST", "/control/v1/tokens", `{}`, operator...).StatusCode != 404 {
		t.Error("a server without an issuer makes tokens")
	}
}

func TestDurations(t *testing.T) {
	t.Parallel()
	m := &mint{}
	b := newBench(t, func(o *httpapi.Options) { o.Minter = m })
	for text, want := range map[string]time.Duration{
		"PT70H": 70 * time.Hour, "P1D": 24 * time.Hour, "P1DT2H3M4.5S": 26*time.Hour + 3*time.Minute + 4500*time.Millisecond,
		"PT0S": 0, "PT90M": 90 * time.Minute, "-P1D": -24 * time.Hour, "PT0.001S": time.Millisecond,
	} {
		b.wants(b.send("POST", "/control/v1/tokens", `{"lifetime":"`+text+`"}`, "Authorization", "Bearer operator"), 201)
		if got := m.asked[len(m.asked)-1].Lifetime; got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
	for _, text := range []string{"P", "PT", "P1", "1D", "P1M", "P1Y", "P1W", "PT1S1H", "PT1H2H", "PTxS", "PT-1S", "P1DT", "PT1e9H", "PT999999999H", "PTInfS", "P1H", "PT1D", "PT.S"} {
		if r := b.send("POST", "/control/v1/tokens", `{"lifetime":"`+text+`"}`, "Authorization", "Bearer operator"); r.StatusCode != 400 {
			t.Errorf("%s: taken as %v", text, m.asked[len(m.asked)-1].Lifetime)
		}
	}
}

// book is a Handshakes that shows every caller the handshakes of his application.
type book []subscribe.Handshake

func (k book) List(caller *heliograph.Caller) []subscribe.Handshake {
	return slices.DeleteFunc(slices.Clone(k), func(h subscribe.Handshake) bool { return h.App != caller.App })
}

func (k book) Get(caller *heliograph.Caller, id heliograph.GUID) (subscribe.Handshake, bool) {
	list := k.List(caller)
	i := slices.IndexFunc(list, func(h subscribe.Handshake) bool { return h.ID == id })
	if i < 0 {
		return subscribe.Handshake{}, false
	}
	return list[i], true
}

func handshakes() book {
	attempt := heliograph.Attempt{Started: start(), Took: 12500 * time.Microsecond, Reason: heliograph.Delivered, Status: 200}
	answered := subscribe.Handshake{
		ID: heliograph.DeriveGUID("h", "1"), Tenant: tenant, App: app, Property: "notificationUrl", URL: "https://app.example/hook?a=1",
		Token: "Validation: token", Rule: "handshake.echo", Differs: 11,
		Exchange: subscribe.Exchange{
			Attempt: attempt, Sent: "POST /hook?a=1&validationToken=Validation%3a+token HTTP/1.1\r\n",
			Header: map[string][]string{"Content-Type": {"text/plain"}}, Body: []byte("Validation:+token"), Truncated: true,
			Address: "192.0.2.1:443", TLS: "TLS 1.3", Resolved: time.Millisecond, Connected: 2 * time.Millisecond, FirstByte: 12 * time.Millisecond,
		},
	}
	silent := answered
	silent.ID, silent.Rule, silent.Differs = heliograph.DeriveGUID("h", "2"), "handshake.timeout", 0
	silent.Exchange = subscribe.Exchange{Attempt: heliograph.Attempt{Started: start(), Took: 10 * time.Second, Reason: heliograph.TimedOut, Detail: "no answer"}}
	binary := answered
	binary.ID = heliograph.DeriveGUID("h", "3")
	binary.Exchange.Body = []byte{0xff, 0x00}
	other := answered
	other.ID, other.App = heliograph.DeriveGUID("h", "4"), "another"
	return book{answered, silent, binary, other}
}

func TestHandshakes(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *httpapi.Options) { o.Handshakes = handshakes() })
	list := b.send("GET", "/control/v1/handshakes", "")
	b.wants(list, 200)
	golden(t, "handshakes", list.body)
	for i, name := range []string{"handshake-echo", "handshake-timeout", "handshake-binary"} {
		r := b.send("GET", "/control/v1/handshakes/"+handshakes()[i].ID.String(), "")
		b.wants(r, 200)
		golden(t, name, r.body)
	}
	for _, id := range []string{handshakes()[3].ID.String(), firstID} {
		b.refuses(b.send("GET", "/control/v1/handshakes/"+id, ""), 404, "ResourceNotFound", "The object was not found.", "handshake.not_found")
	}
	b.refuses(b.send("GET", "/control/v1/handshakes", "", "Authorization", ""), 401, "InvalidAuthenticationToken", "Access token is empty.", "token.unknown")
	if strings.Contains(list.body, "Validation") {
		t.Error("the list shows what was said")
	}
}
