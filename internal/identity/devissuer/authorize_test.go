package devissuer_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/identity/devissuer"
)

const (
	spa      = "http://localhost:3000"
	callback = spa + "/signed-in?from=here"
	verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
)

// browser is what a person uses: it keeps cookies and does not follow redirects, which are looked at.
type browser struct {
	*http.Client

	world *world
}

func newBrowser(t *testing.T, w *world) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &browser{&http.Client{Jar: jar, CheckRedirect: stay, Transport: w.http.Client().Transport}, w}
}

// page is what a browser was shown.
type page struct {
	status int
	header http.Header
	text   string
	at     string
}

func (b *browser) do(t *testing.T, r *http.Request) *page {
	t.Helper()
	response, err := b.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return &page{response.StatusCode, response.Header, string(text), r.URL.String()}
}

func (b *browser) open(t *testing.T, address string) *page {
	t.Helper()
	if strings.HasPrefix(address, "/") {
		address = b.world.http.URL + address
	}
	return b.do(t, newRequest(t, http.MethodGet, address, ""))
}

// fill sends the form of a page.
func (b *browser) fill(t *testing.T, p *page, pairs ...string) *page {
	t.Helper()
	if !strings.Contains(p.text, `<form method="post"`) {
		t.Fatalf("%d, no form: %s", p.status, p.text)
	}
	r := newRequest(t, http.MethodPost, p.at, form(pairs...).Encode())
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return b.do(t, r)
}

// sent returns where a page sends the browser, and the parameters in the query or the fragment.
func (p *page) sent(t *testing.T) (*url.URL, url.Values) {
	t.Helper()
	u, err := url.Parse(p.header.Get("Location"))
	if err != nil || p.status != http.StatusFound {
		t.Fatalf("%d, sent to %q: %s", p.status, p.header.Get("Location"), p.text)
	}
	if u.Fragment != "" {
		q, err := url.ParseQuery(u.EscapedFragment())
		if err != nil {
			t.Fatal(err)
		}
		return u, q
	}
	return u, u.Query()
}

func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// authorize returns the address of a sign-in with changes.
func authorize(pairs ...string) string {
	q := form("client_id", appID, "response_type", "code", "redirect_uri", callback, "scope", "openid profile offline_access User.Read",
		"state", "s+ t&", "nonce", "n-1", "code_challenge", challengeOf(verifier), "code_challenge_method", "S256", "client_info", "1")
	for n := 0; n < len(pairs); n += 2 {
		if q.Set(pairs[n], pairs[n+1]); pairs[n+1] == "-" {
			q.Del(pairs[n])
		}
	}
	return "/common/oauth2/v2.0/authorize?" + q.Encode()
}

// redeem returns the answer to a code, asked for by a script of the origin, or by a server when there is none.
func (w *world) redeem(t *testing.T, code, origin string, pairs ...string) *answer {
	t.Helper()
	f := form("grant_type", "authorization_code", "client_id", appID, "code", code, "redirect_uri", callback, "code_verifier", verifier)
	for n := 0; n < len(pairs); n += 2 {
		f.Set(pairs[n], pairs[n+1])
	}
	r := newRequest(t, http.MethodPost, w.http.URL+"/common/oauth2/v2.0/token", f.Encode())
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if origin != "" {
		r.Header.Set("Origin", origin)
	}
	return w.do(t, r)
}

func TestAuthorizationCode(t *testing.T) {
	t.Parallel()
	w := setup(t)
	b := newBrowser(t, w)
	p := b.open(t, authorize("login_hint", "ada@example.com"))
	if p.status != http.StatusOK || !strings.Contains(p.text, `value="ada@example.com"`) || !strings.Contains(p.text, "User.Read") {
		t.Fatalf("%d %s", p.status, p.text)
	}
	policy := p.header.Get("Content-Security-Policy")
	for _, part := range []string{"default-src 'none'", "frame-ancestors 'none'", "form-action 'self' " + spa} {
		if !strings.Contains(policy, part) {
			t.Errorf("policy %q lacks %q", policy, part)
		}
	}
	to, got := b.fill(t, p, "user", "ada@example.com").sent(t)
	if !strings.HasPrefix(to.String(), callback+"&") || got.Get("state") != "s+ t&" || got.Get("from") != "here" || got.Get("client_info") == "" || got.Get("session_state") == "" {
		t.Errorf("sent to %s", to)
	}
	a := w.redeem(t, got.Get("code"), "")
	if a.status != http.StatusOK || a.text("refresh_token") == "" || a.text("client_info") != got.Get("client_info") || a.text("scope") != "openid profile offline_access User.Read" {
		t.Fatalf("%d %v", a.status, a.body)
	}
	wantClaims(t, w.claims(t, a.text("id_token")), map[string]any{"nonce": "n-1", "aud": appID, "preferred_username": "ada@example.com", "iss": w.http.URL + "/" + string(w.DefaultTenant()) + "/v2.0"})
	wantClaims(t, w.claims(t, a.text("access_token")), map[string]any{"aud": graph, "scp": "User.Read", "upn": "ada@example.com", "nonce": nil})
	wantFault(t, w.redeem(t, got.Get("code"), ""), http.StatusBadRequest, "invalid_grant", 54005)

	refreshed := w.post(t, "/common/oauth2/v2.0/token", form("grant_type", "refresh_token", "client_id", appID, "refresh_token", a.text("refresh_token")))
	if refreshed.text("id_token") == "" {
		t.Errorf("%v", refreshed.body)
	}

	// The browser remembers who has signed in: for a day, for that user, until signed out.
	_, again := b.open(t, authorize("prompt", "none")).sent(t)
	if w.redeem(t, again.Get("code"), "").status != http.StatusOK {
		t.Error("no silent sign-in")
	}
	silent := func(why string, pairs ...string) {
		_, p := b.open(t, authorize(append([]string{"prompt", "none"}, pairs...)...)).sent(t)
		if p.Get("error") != "login_required" || !strings.HasPrefix(p.Get("error_description"), "AADSTS50058: ") || p.Get("state") != "s+ t&" {
			t.Errorf("%s: %v", why, p)
		}
	}
	silent("another user", "login_hint", "bob@example.com")
	if out := b.open(t, "/common/oauth2/v2.0/logout"); out.status != http.StatusOK || !strings.Contains(out.text, "signed out") {
		t.Errorf("%d %s", out.status, out.text)
	}
	silent("signed out")
	b.fill(t, b.open(t, authorize()), "user", "ada@example.com")
	w.clock.Advance(24 * time.Hour)
	silent("a day later")
}

func TestLogoutGoesBack(t *testing.T) {
	t.Parallel()
	b := newBrowser(t, setup(t))
	to, q := b.open(t, "/common/oauth2/v2.0/logout?state=x&post_logout_redirect_uri="+url.QueryEscape(spa+"/bye")).sent(t)
	if to.Host != "localhost:3000" || to.Path != "/bye" || q.Get("state") != "x" {
		t.Errorf("sent to %s", to)
	}
	if p := b.open(t, "/common/oauth2/v2.0/logout?post_logout_redirect_uri=https://evil.example/"); p.status != http.StatusOK {
		t.Errorf("%d, sent to %s", p.status, p.header.Get("Location"))
	}
}

func TestCodesAreRefused(t *testing.T) {
	t.Parallel()
	w := setup(t)
	b := newBrowser(t, w)
	code := func(pairs ...string) string {
		_, q := b.fill(t, b.open(t, authorize(append([]string{"prompt", "login"}, pairs...)...)), "user", "ada").sent(t)
		return q.Get("code")
	}
	for _, c := range []struct {
		name, code, origin string
		change             []string
		number             float64
	}{
		{"another application", code(), "", []string{"client_id", "other"}, 700005},
		{"another redirect", code(), "", []string{"redirect_uri", spa}, 500112},
		{"another verifier", code(), "", []string{"code_verifier", "x"}, 501481},
		{"no verifier", code(), "", []string{"code_verifier", ""}, 50148},
		{"verifier for nothing", code("code_challenge", "-", "code_challenge_method", "-"), "", nil, 501481},
		{"nonsense", "1.nonsense", "", nil, 9002313},
		{"refused by base64", "?", "", nil, 9002313},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			wantFault(t, w.redeem(t, c.code, c.origin, c.change...), http.StatusBadRequest, "invalid_grant", c.number)
		})
	}
}

func TestCodesEnd(t *testing.T) {
	t.Parallel()
	w := setup(t)
	b := newBrowser(t, w)
	code := func(pairs ...string) string {
		_, q := b.fill(t, b.open(t, authorize(append([]string{"prompt", "login"}, pairs...)...)), "user", "ada").sent(t)
		return q.Get("code")
	}
	plain := code("code_challenge", verifier, "code_challenge_method", "plain")
	if a := w.redeem(t, plain, ""); a.status != http.StatusOK {
		t.Errorf("plain: %v", a.body)
	}
	late := code()
	w.clock.Advance(10 * time.Minute)
	wantFault(t, w.redeem(t, late, ""), http.StatusBadRequest, "invalid_grant", 70008)
}

// A script redeems a code and refreshes from the origin that the code went to, and reads the answer; no other does.
func TestScripts(t *testing.T) {
	t.Parallel()
	w := setup(t)
	b := newBrowser(t, w)
	code := func(pairs ...string) string {
		_, q := b.fill(t, b.open(t, authorize(append([]string{"prompt", "login", "response_mode", "fragment"}, pairs...)...)), "user", "ada").sent(t)
		return q.Get("code")
	}
	a := w.redeem(t, code(), spa)
	if a.status != http.StatusOK || a.header.Get("Access-Control-Allow-Origin") != spa || !strings.Contains(strings.Join(a.header.Values("Vary"), " "), "Origin") {
		t.Fatalf("%d %v %v", a.status, a.body, a.header)
	}
	refresh := func(origin string) *answer {
		r := newRequest(t, http.MethodPost, w.http.URL+"/common/oauth2/v2.0/token", form("grant_type", "refresh_token", "client_id", appID, "refresh_token", a.text("refresh_token")).Encode())
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		return w.do(t, r)
	}
	if again := refresh(spa); again.status != http.StatusOK || again.header.Get("Access-Control-Allow-Origin") != spa {
		t.Errorf("%d %v", again.status, again.body)
	}
	wantFault(t, refresh("https://evil.example"), http.StatusBadRequest, "invalid_request", 9002326)
	wantFault(t, refresh(""), http.StatusBadRequest, "invalid_request", 9002327)
	wantFault(t, w.redeem(t, code(), "https://evil.example"), http.StatusBadRequest, "invalid_request", 9002326)
	unproven := code("code_challenge", "-", "code_challenge_method", "-")
	wantFault(t, w.redeem(t, unproven, spa, "code_verifier", ""), http.StatusBadRequest, "invalid_request", 9002325)
	w.clock.Advance(24 * time.Hour)
	wantFault(t, refresh(spa), http.StatusBadRequest, "invalid_grant", 700084)

	preflight := newRequest(t, http.MethodOptions, w.http.URL+"/common/oauth2/v2.0/token", "")
	preflight.Header.Set("Origin", spa)
	if got := w.do(t, preflight); got.status != http.StatusNoContent || got.header.Get("Access-Control-Allow-Origin") != spa {
		t.Errorf("%d %v", got.status, got.header)
	}
	// What gives a token to whoever asks is not read by the pages of any site.
	r := newRequest(t, http.MethodPost, w.http.URL+"/common/oauth2/v2.0/token", form("grant_type", "client_credentials", "client_id", appID, "client_secret", "x", "scope", graph+"/.default").Encode())
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", "https://evil.example")
	if got := w.do(t, r); got.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("%v", got.header)
	}
}

// ASP.NET's middleware asks for an ID token, alone or beside a code, in a form.
func TestFormPost(t *testing.T) {
	t.Parallel()
	w := setup(t)
	b := newBrowser(t, w)
	p := b.fill(t, b.open(t, authorize("response_type", "code id_token", "response_mode", "form_post")), "user", "ada")
	fields := map[string]string{}
	for _, m := range regexp.MustCompile(`<input type="hidden" name="(\w+)" value="([^"]*)">`).FindAllStringSubmatch(p.text, -1) {
		fields[m[1]] = html.UnescapeString(m[2])
	}
	if p.status != http.StatusOK || !strings.Contains(p.text, `action="`+html.EscapeString(callback)+`"`) || fields["state"] != "s+ t&" {
		t.Fatalf("%d %s", p.status, p.text)
	}
	if policy := p.header.Get("Content-Security-Policy"); !strings.Contains(policy, "form-action "+spa) || !strings.Contains(policy, "script-src 'sha256-") {
		t.Errorf("policy %q", policy)
	}
	sum := sha256.Sum256([]byte(fields["code"]))
	wantClaims(t, w.claims(t, fields["id_token"]), map[string]any{"nonce": "n-1", "c_hash": base64.RawURLEncoding.EncodeToString(sum[:16])})
	if a := w.redeem(t, fields["code"], ""); a.status != http.StatusOK {
		t.Errorf("%v", a.body)
	}
	_, alone := b.open(t, authorize("response_type", "id_token", "prompt", "none")).sent(t)
	if alone.Get("code") != "" {
		t.Errorf("%v", alone)
	}
	wantClaims(t, w.claims(t, alone.Get("id_token")), map[string]any{"nonce": "n-1", "c_hash": nil})
}

func TestAuthorizationV1(t *testing.T) {
	t.Parallel()
	w := setup(t)
	b := newBrowser(t, w)
	address := strings.Replace(authorize("resource", graph, "scope", "openid"), "/v2.0", "", 1)
	_, q := b.fill(t, b.open(t, address), "user", "ada").sent(t)
	a := w.post(t, "/common/oauth2/token", form("grant_type", "authorization_code", "client_id", appID, "code", q.Get("code"), "redirect_uri", callback, "code_verifier", verifier))
	wantClaims(t, w.claims(t, a.text("access_token")), map[string]any{"ver": "1.0", "aud": graph, "appid": appID, "unique_name": "ada"})
	wantClaims(t, w.claims(t, a.text("id_token")), map[string]any{"ver": "1.0", "nonce": "n-1"})
}

// What is wrong is told to the application where that is known to be the application, and else to the person.
func TestAuthorizationFaults(t *testing.T) {
	t.Parallel()
	w := setup(t)
	b := newBrowser(t, w)
	for _, c := range []struct {
		name, error string
		number      int
		change      []string
	}{
		{"no kind", "invalid_request", 900144, []string{"response_type", "-"}},
		{"a kind that is not given", "unsupported_response_type", 70005, []string{"response_type", "token"}},
		{"no scope", "invalid_request", 900144, []string{"scope", "-"}},
		{"scopes of two resources", "invalid_scope", 28000, []string{"scope", "https://a.example/x https://b.example/y"}},
		{"ID token without nonce", "invalid_request", 90014, []string{"response_type", "id_token", "nonce", "-"}},
		{"another PKCE", "invalid_request", 501491, []string{"code_challenge_method", "S512"}},
		{"PKCE without challenge", "invalid_request", 501491, []string{"code_challenge", "-"}},
		{"another prompt", "invalid_request", 90023, []string{"prompt", "always"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, q := b.open(t, authorize(c.change...)).sent(t)
			if q.Get("error") != c.error || !strings.HasPrefix(q.Get("error_description"), fmt.Sprintf("AADSTS%d: ", c.number)) || q.Get("state") != "s+ t&" {
				t.Errorf("%v", q)
			}
		})
	}
	for name, address := range map[string]string{
		"AADSTS900144":  authorize("client_id", "-"),
		"AADSTS700016":  authorize("client_id", "a/b"),
		"AADSTS50011":   authorize("redirect_uri", "https://evil.example/"),
		"AADSTS90102":   authorize("redirect_uri", "nowhere"),
		"AADSTS70007":   authorize("response_mode", "web_message"),
		"AADSTS90002":   strings.Replace(authorize(), "common", "nowhere", 1),
		"AADSTS90015":   authorize("state", strings.Repeat("x", 20_000)),
		"AADSTS50011: ": authorize("redirect_uri", "javascript:alert(1)"),
	} {
		p := b.open(t, address)
		if p.status != http.StatusBadRequest || !strings.Contains(p.text, name) || p.header.Get("Location") != "" {
			t.Errorf("%s: %d %s", name, p.status, p.text)
		}
	}
	_, q := b.fill(t, b.open(t, authorize()), "cancel", "1").sent(t)
	if q.Get("error") != "access_denied" || q.Get("code") != "" {
		t.Errorf("%v", q)
	}
	wrong := b.fill(t, b.open(t, authorize()), "user", `<script>"`)
	if wrong.status != http.StatusBadRequest || strings.Contains(wrong.text, "<script>") || !strings.Contains(wrong.text, "AADSTS50034") {
		t.Errorf("%d %s", wrong.status, wrong.text)
	}
}

// A page of another site cannot sign in for whoever looks at it.
func TestForeignFormsAreRefused(t *testing.T) {
	t.Parallel()
	w := setup(t)
	b := newBrowser(t, w)
	for _, path := range []string{authorize(), "/common/oauth2/deviceauth"} {
		r := newRequest(t, http.MethodPost, w.http.URL+path, form("user", "ada", "user_code", "x").Encode())
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		if p := b.do(t, r); p.status != http.StatusForbidden || p.header.Get("Location") != "" || len(p.header.Values("Set-Cookie")) != 0 {
			t.Errorf("%s: %d", path, p.status)
		}
	}
}

func TestConfiguredUsersArePicked(t *testing.T) {
	t.Parallel()
	w := setup(t, func(o *devissuer.Options) {
		o.Users = []devissuer.User{
			{UPN: "ada@example.com", Name: "Ada <L>", Roles: []string{"Heliograph.Control"}},
			{UPN: "bob@example.com", Password: heliograph.NewSecret("pass")},
			{UPN: "eve@other.example", Tenant: tenantA},
		}
		o.Applications = []devissuer.Application{{ID: appID, Name: "An app", RedirectURIs: []string{"https://app.example/cb", "http://localhost/cb"}}}
	})
	b := newBrowser(t, w)
	p := b.open(t, authorize("redirect_uri", "https://app.example/cb", "login_hint", "bob@example.com"))
	for _, part := range []string{"Ada &lt;L&gt;", `value="bob@example.com" autofocus`, `type="password"`, "eve@other.example", "An app"} {
		if !strings.Contains(p.text, part) {
			t.Errorf("no %q in %s", part, p.text)
		}
	}
	if one := b.open(t, strings.Replace(authorize("redirect_uri", "https://app.example/cb"), "common", tenantA, 1)); strings.Contains(one.text, "ada@") || !strings.Contains(one.text, "eve@") {
		t.Errorf("users of another tenant: %s", one.text)
	}
	if bad := b.fill(t, p, "user", "bob@example.com", "password", "wrong"); bad.status != http.StatusBadRequest || !strings.Contains(bad.text, "AADSTS50126") {
		t.Errorf("%d %s", bad.status, bad.text)
	}
	if to, _ := b.fill(t, p, "user", "bob@example.com", "password", "pass").sent(t); to.Host != "app.example" {
		t.Errorf("sent to %s", to)
	}
	// A native application listens on whichever port is free.
	native := authorize("redirect_uri", "http://localhost:54321/cb", "prompt", "login")
	_, q := b.fill(t, b.open(t, native), "user", "ada@example.com").sent(t)
	a := w.redeem(t, q.Get("code"), "", "redirect_uri", "http://localhost:54321/cb")
	wantClaims(t, w.claims(t, a.text("id_token")), map[string]any{"roles": []string{"Heliograph.Control"}})
	wantClaims(t, w.claims(t, a.text("access_token")), map[string]any{"roles": []string{"Heliograph.Control"}})
	for _, elsewhere := range []string{"https://app.example/other", "http://localhost/other", "http://127.0.0.1/cb"} {
		if p := b.open(t, authorize("redirect_uri", elsewhere)); p.status != http.StatusBadRequest || !strings.Contains(p.text, "AADSTS50011") {
			t.Errorf("%s: %d", elsewhere, p.status)
		}
	}
}

func TestRedirectsStayHere(t *testing.T) {
	t.Parallel()
	b := newBrowser(t, setup(t))
	for to, want := range map[string]int{
		"http://localhost:1/": 200, "https://127.0.0.1/cb": 200, "http://[::1]:5/": 200, "https://app.test/": 200, "http://a.localhost/": 200,
		"msal" + appID + "://auth": 200, "https://login.microsoftonline.com/common/oauth2/nativeclient": 200, "urn:ietf:wg:oauth:2.0:oob": 200,
		"https://localhost.evil.example/": 400, "http://user@localhost/": 400, "https://login.microsoftonline.com/elsewhere": 400, "data:text/html,x": 400,
		"http://localhost/#x": 400, "https://127.0.0.1.nip.example/": 400, "//localhost/": 400,
	} {
		if p := b.open(t, authorize("redirect_uri", to)); p.status != want {
			t.Errorf("%s: %d, want %d", to, p.status, want)
		}
	}
}

func TestDeviceCode(t *testing.T) {
	t.Parallel()
	w := setup(t)
	b := newBrowser(t, w)
	begin := func() *answer {
		return w.post(t, "/common/oauth2/v2.0/devicecode", form("client_id", appID, "scope", "openid offline_access Mail.Read"))
	}
	poll := func(code string, pairs ...string) *answer {
		f := form("grant_type", "urn:ietf:params:oauth:grant-type:device_code", "client_id", appID, "device_code", code)
		maps.Copy(f, form(pairs...))
		return w.post(t, "/common/oauth2/v2.0/token", f)
	}
	d := begin()
	code, typed := d.text("device_code"), d.text("user_code")
	if d.status != http.StatusOK || !strings.Contains(d.text("message"), typed) || d.body["expires_in"] != 900.0 || d.body["interval"] != 1.0 {
		t.Fatalf("%d %v", d.status, d.body)
	}
	wantFault(t, poll(code), http.StatusBadRequest, "authorization_pending", 70016)
	wantFault(t, poll(code, "client_id", "other"), http.StatusBadRequest, "invalid_grant", 700005)
	p := b.open(t, d.text("verification_uri"))
	if wrong := b.fill(t, p, "user_code", "nonsense", "user", "ada"); wrong.status != http.StatusBadRequest || !strings.Contains(wrong.text, "AADSTS70019") {
		t.Errorf("%d %s", wrong.status, wrong.text)
	}
	if wrong := b.fill(t, p, "user_code", typed, "user", "a/b"); wrong.status != http.StatusBadRequest || !strings.Contains(wrong.text, typed) {
		t.Errorf("%d %s", wrong.status, wrong.text)
	}
	if done := b.fill(t, p, "user_code", " "+strings.ToLower(typed[:4])+"-"+typed[4:], "user", "ada@example.com"); done.status != http.StatusOK || !strings.Contains(done.text, "ada@example.com") {
		t.Errorf("%d %s", done.status, done.text)
	}
	a := poll(code)
	wantClaims(t, w.claims(t, a.text("access_token")), map[string]any{"scp": "Mail.Read", "upn": "ada@example.com"})
	if a.text("id_token") == "" || a.text("refresh_token") == "" {
		t.Errorf("%v", a.body)
	}
	wantFault(t, poll(code), http.StatusBadRequest, "bad_verification_code", 70019)
	if again := b.fill(t, p, "user_code", typed, "user", "eve"); again.status != http.StatusBadRequest {
		t.Errorf("a code works twice: %d", again.status)
	}

	no := begin()
	b.fill(t, p, "user_code", no.text("user_code"), "cancel", "1")
	wantFault(t, poll(no.text("device_code")), http.StatusBadRequest, "authorization_declined", 70018)
	late := begin()
	w.clock.Advance(15 * time.Minute)
	wantFault(t, poll(late.text("device_code")), http.StatusBadRequest, "expired_token", 70020)
	if p := b.fill(t, p, "user_code", late.text("user_code"), "user", "ada"); p.status != http.StatusBadRequest {
		t.Errorf("%d", p.status)
	}
	v1 := w.post(t, "/common/oauth2/devicecode?resource="+url.QueryEscape(graph), form("client_id", appID))
	b.fill(t, p, "user_code", v1.text("user_code"), "user", "ada")
	got := w.post(t, "/common/oauth2/token", form("grant_type", "device_code", "client_id", appID, "code", v1.text("device_code")))
	wantClaims(t, w.claims(t, got.text("access_token")), map[string]any{"ver": "1.0", "aud": graph})
	wantFault(t, w.post(t, "/common/oauth2/v2.0/devicecode", form("scope", "x")), http.StatusBadRequest, "invalid_request", 900144)
	wantFault(t, w.post(t, "/common/oauth2/v2.0/devicecode", form("client_id", appID)), http.StatusBadRequest, "invalid_request", 900144)
	wantFault(t, w.get(t, "/common/oauth2/v2.0/devicecode"), http.StatusBadRequest, "invalid_request", 900561)
}

// What is under way is bounded: the oldest go.
func TestDevicesAreBounded(t *testing.T) {
	t.Parallel()
	w := setup(t)
	first := w.post(t, "/common/oauth2/v2.0/devicecode", form("client_id", appID, "scope", "openid"))
	for range 1000 {
		w.post(t, "/common/oauth2/v2.0/devicecode", form("client_id", appID, "scope", "openid"))
	}
	wantFault(t, w.post(t, "/common/oauth2/v2.0/token", form("grant_type", "device_code", "client_id", appID, "device_code", first.text("device_code"))),
		http.StatusBadRequest, "bad_verification_code", 70019)
}
