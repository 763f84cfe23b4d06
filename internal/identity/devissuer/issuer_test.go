package devissuer_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"go.uber.org/goleak"

	"heliograph.dev"
	"heliograph.dev/internal/clock"
	"heliograph.dev/internal/identity/devissuer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	tenantA = "11111111-aaaa-4aaa-8aaa-111111111111"
	appID   = "33333333-cccc-4ccc-8ccc-333333333333"
	graph   = "https://graph.microsoft.com"
)

var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// world is an issuer that answers on a port of its own.
type world struct {
	*devissuer.Issuer

	clock *clock.Manual
	http  *httptest.Server
}

func setup(tb testing.TB, change ...func(*devissuer.Options)) *world {
	tb.Helper()
	c := clock.NewManual(start)
	o := devissuer.Options{
		Now:                    c.Now,
		ApplicationPermissions: []string{"Mail.Read", "User.Read.All"},
		DelegatedPermissions:   []string{"User.Read", "Mail.Read", "Files.Read"},
	}
	for _, f := range change {
		f(&o)
	}
	issuer, err := devissuer.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	w := &world{Issuer: issuer, clock: c, http: httptest.NewServer(issuer)}
	tb.Cleanup(func() {
		w.http.Close()
		issuer.Close()
	})
	return w
}

// answer is a response, decoded.
type answer struct {
	status int
	header http.Header
	body   map[string]any
}

func (a *answer) text(name string) string {
	s, _ := a.body[name].(string)
	return s
}

func (w *world) do(tb testing.TB, request *http.Request) *answer {
	tb.Helper()
	response, err := w.http.Client().Do(request)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		tb.Fatal(err)
	}
	a := &answer{status: response.StatusCode, header: response.Header}
	_ = json.Unmarshal(body, &a.body)
	return a
}

func (w *world) get(tb testing.TB, path string) *answer {
	tb.Helper()
	return w.do(tb, newRequest(tb, http.MethodGet, w.http.URL+path, ""))
}

// form makes a form of names and values in turn.
func form(pairs ...string) url.Values {
	f := url.Values{}
	for n := 0; n < len(pairs); n += 2 {
		f.Set(pairs[n], pairs[n+1])
	}
	return f
}

func (w *world) post(tb testing.TB, path string, f url.Values) *answer {
	tb.Helper()
	request := newRequest(tb, http.MethodPost, w.http.URL+path, f.Encode())
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded;charset=utf-8")
	return w.do(tb, request)
}

// key returns the newest key published at an address.
func (w *world) key(tb testing.TB, path string) map[string]any {
	tb.Helper()
	keys, _ := w.get(tb, path).body["keys"].([]any)
	if len(keys) == 0 {
		tb.Fatalf("no keys at %s", path)
	}
	key, _ := keys[0].(map[string]any)
	return key
}

func newRequest(tb testing.TB, method, address, body string) *http.Request {
	tb.Helper()
	request, err := http.NewRequestWithContext(tb.Context(), method, address, strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	return request
}

// claims verifies a token with the issuer's own keys and returns its payload.
func (w *world) claims(tb testing.TB, token string) map[string]any {
	tb.Helper()
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		tb.Fatalf("token %q: %v", token, err)
	}
	keys, err := w.PublicKeys(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	payload, err := signed.Verify(keys)
	if err != nil {
		tb.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		tb.Fatal(err)
	}
	return claims
}

// wantClaims compares some claims; nil wants none of the name.
func wantClaims(tb testing.TB, got, want map[string]any) {
	tb.Helper()
	for name, value := range want {
		g, w := asJSON(tb, got[name]), asJSON(tb, value)
		if g != w {
			tb.Errorf("%s = %s, want %s", name, g, w)
		}
	}
}

func asJSON(tb testing.TB, v any) string {
	tb.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

// A client that knows OpenID Connect and nothing of us finds its way.
func TestDiscoveryAsAClientSeesIt(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ctx := oidc.ClientContext(t.Context(), w.http.Client())
	provider, err := oidc.NewProvider(ctx, w.http.URL+"/"+tenantA+"/v2.0")
	if err != nil {
		t.Fatal(err)
	}
	path := strings.TrimPrefix(provider.Endpoint().TokenURL, w.http.URL)
	a := w.post(t, path, form("grant_type", "password", "client_id", appID, "username", "ada@example.com", "password", "x", "scope", "openid"))
	verifier := provider.VerifierContext(ctx, &oidc.Config{ClientID: appID, Now: w.clock.Now})
	if _, err := verifier.Verify(ctx, a.text("id_token")); err != nil {
		t.Error(err)
	}
	if _, err := oidc.NewProvider(ctx, w.http.URL+"/"+tenantA); err == nil {
		t.Error("the v1 issuer ends in a slash")
	}
	if _, err := oidc.NewProvider(ctx, w.http.URL+"/"+tenantA+"/"); err != nil {
		t.Error(err)
	}
}

func TestDiscoveryDocuments(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for path, want := range map[string]string{
		"/common/v2.0/.well-known/openid-configuration":              "/{tenantid}/v2.0",
		"/common/v2.0/.well-known/openid-configuration?":             "/{tenantid}/v2.0",
		"/organizations/v2.0/.well-known/openid-configuration/":      "/{tenantid}/v2.0",
		"/common/.well-known/openid-configuration":                   "/{tenantid}/",
		"/" + tenantA + "/.well-known/openid-configuration":          "/" + tenantA + "/",
		"/" + tenantA + "/V2.0/.Well-Known/OpenID-Configuration":     "/" + tenantA + "/v2.0",
		"/consumers/v2.0/.well-known/openid-configuration":           "/" + string(heliograph.PersonalTenant) + "/v2.0",
		"/contoso.example/v2.0/.well-known/openid-configuration?x=y": "/" + heliograph.DeriveGUID("tenant", "contoso.example").String() + "/v2.0",
	} {
		a := w.get(t, path)
		if a.status != http.StatusOK || a.body["issuer"] != w.http.URL+want {
			t.Errorf("%s: %d, issuer %v", path, a.status, a.body["issuer"])
		}
		// Every address in it answers.
		for _, name := range []string{"jwks_uri", "token_endpoint", "authorization_endpoint", "device_authorization_endpoint"} {
			if at := strings.TrimPrefix(a.text(name), w.http.URL); !w.Handles(at) {
				t.Errorf("%s: nothing answers at its %s %s", path, name, at)
			}
		}
		key := w.key(t, strings.TrimPrefix(a.text("jwks_uri"), w.http.URL))
		wantClaims(t, key, map[string]any{"issuer": w.http.URL + want, "kty": "RSA", "use": "sig", "e": "AQAB", "x5t": key["kid"]})
	}
	for _, path := range []string{"/", "/common", "/v1.0/subscriptions", "/common/oauth2", "/publish", "/control/v1/tokens", "/x/userrealm/a"} {
		if w.Handles(path) || w.get(t, path).status != http.StatusNotFound {
			t.Errorf("%s is not ours", path)
		}
	}
	if a := w.post(t, "/common/discovery/keys", nil); a.status != http.StatusMethodNotAllowed {
		t.Errorf("POST of keys: %d", a.status)
	}
}

func TestPublishedKeyIsTheCertificates(t *testing.T) {
	t.Parallel()
	w := setup(t)
	text := asJSON(t, w.get(t, "/common/discovery/v2.0/keys").body)
	var set jose.JSONWebKeySet // go-jose checks that x5c holds the same key, and x5t its thumbprint
	if err := json.Unmarshal([]byte(text), &set); err != nil || len(set.Keys) != 1 || len(set.Keys[0].Certificates) != 1 {
		t.Fatalf("%v in %s", err, text)
	}
	token, _, err := w.Mint(t.Context(), devissuer.MintRequest{})
	if err != nil {
		t.Fatal(err)
	}
	signed, err := jose.ParseSignedCompact(token.Reveal(), []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := signed.Verify(set.Key(signed.Signatures[0].Protected.KeyID)[0]); err != nil {
		t.Error(err)
	}
}

// What MSAL asks before it signs in.
func TestInstanceAndRealm(t *testing.T) {
	t.Parallel()
	w := setup(t)
	a := w.get(t, "/common/discovery/instance?api-version=1.1&authorization_endpoint="+url.QueryEscape(w.http.URL+"/"+tenantA+"/oauth2/v2.0/authorize"))
	host := strings.TrimPrefix(w.http.URL, "http://")
	wantClaims(t, a.body, map[string]any{
		"tenant_discovery_endpoint": w.http.URL + "/" + tenantA + "/v2.0/.well-known/openid-configuration",
		"metadata":                  []any{map[string]any{"preferred_network": host, "preferred_cache": host, "aliases": []string{host}}},
	})
	realm := w.get(t, "/common/userrealm/ada@example.com?api-version=1.0")
	wantClaims(t, realm.body, map[string]any{"account_type": "Managed", "domain_name": "example.com"})
}
