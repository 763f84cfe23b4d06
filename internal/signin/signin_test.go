package signin_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/clock"
	"heliograph.dev/internal/identity"
	"heliograph.dev/internal/identity/devissuer"
	"heliograph.dev/internal/signin"
)

const (
	tenant = "11111111-aaaa-4aaa-8aaa-111111111111"
	pages  = "33333333-cccc-4ccc-8ccc-333333333333"
	secret = "the pages' secret"
)

var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// world is a server with a gate, and the provider at which its people sign in.
type world struct {
	gate     *signin.Gate
	server   *httptest.Server
	provider *httptest.Server
	down     bool // the provider is
	clock    *clock.Manual
	verifier *identity.Verifier
}

func setup(t *testing.T, change ...func(*signin.Options, *identity.Options)) *world {
	t.Helper()
	w := &world{clock: clock.NewManual(start)}
	w.server = httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if w.gate.Handles(r.URL.Path) {
			w.gate.ServeHTTP(rw, r)
			return
		}
		w.gate.Wrap(http.HandlerFunc(w.api)).ServeHTTP(rw, r)
	}))
	w.server.StartTLS()
	t.Cleanup(w.server.Close)
	issuer, err := devissuer.New(devissuer.Options{
		Now: w.clock.Now, DefaultTenant: tenant, DelegatedPermissions: []string{"User.Read"},
		Users: []devissuer.User{
			{UPN: "ada@example.com", Name: "Ada", Roles: []string{heliograph.PermissionControl}}, {UPN: "bob@example.com", Roles: []string{strings.Repeat("long", 2000)}},
		},
		Applications: []devissuer.Application{{ID: pages, Name: "Pages", Secret: heliograph.NewSecret(secret), RedirectURIs: []string{w.server.URL + "/signin/callback"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.provider = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if w.down {
			http.Error(rw, "down", http.StatusServiceUnavailable)
			return
		}
		issuer.ServeHTTP(rw, r)
	}))
	t.Cleanup(func() {
		w.provider.Close()
		issuer.Close()
	})
	believe := identity.Options{Issuers: []identity.Issuer{{URL: w.issuer()}}, Now: w.clock.Now, Own: pages}
	o := signin.Options{
		Issuer: w.issuer(), ClientID: pages, ClientSecret: heliograph.NewSecret(secret), Scopes: []string{"profile", "https://graph.microsoft.com/User.Read"},
		Base: w.server.URL, Key: make([]byte, 32), Client: identity.Client(nil), Now: w.clock.Now,
	}
	for _, f := range change {
		f(&o, &believe)
	}
	if w.verifier, err = identity.New(believe); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.verifier.Close)
	o.Verifier = w.verifier
	if w.gate, err = signin.New(o); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) issuer() string { return w.provider.URL + "/" + tenant + "/v2.0" }

// api answers who asks, as the real one would know it.
func (w *world) api(rw http.ResponseWriter, r *http.Request) {
	caller, err := w.verifier.Authenticate(r.Context(), r.Header.Get("Authorization"))
	if err != nil {
		http.Error(rw, err.Error(), http.StatusUnauthorized)
		return
	}
	_, _ = fmt.Fprintf(rw, "%s of %s, control %v", caller.UPN, caller.App, caller.HasRole(heliograph.PermissionControl))
}

// browser keeps cookies, and follows redirects on the server but not to others.
type browser struct {
	*http.Client

	world *world
}

func (w *world) browser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &browser{&http.Client{Jar: jar, Transport: w.server.Client().Transport, CheckRedirect: stay}, w}
}

// answer is what a browser got.
type answer struct {
	status int
	header http.Header
	text   string
}

// send asks for a path of the server, or an address; pairs are header fields.
func (b *browser) send(t *testing.T, method, path, body string, pairs ...string) *answer {
	t.Helper()
	if strings.HasPrefix(path, "/") {
		path = b.world.server.URL + path
	}
	r, err := http.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n < len(pairs); n += 2 {
		r.Header.Set(pairs[n], pairs[n+1])
	}
	response, err := b.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return &answer{response.StatusCode, response.Header, string(text)}
}

// atProvider begins to sign in, and returns where the provider sends the browser back to.
func (b *browser) atProvider(t *testing.T, path, user string) string {
	t.Helper()
	begun := b.send(t, "GET", path, "")
	if begun.status != http.StatusFound {
		t.Fatalf("%d %s", begun.status, begun.text)
	}
	done := b.send(t, "POST", begun.header.Get("Location"), url.Values{"user": {user}}.Encode(),
		"Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "same-origin")
	if done.status != http.StatusFound {
		t.Fatalf("%d %s", done.status, done.text)
	}
	return done.header.Get("Location")
}

func (b *browser) signIn(t *testing.T, user string) *answer {
	t.Helper()
	return b.send(t, "GET", b.atProvider(t, "/signin?to=/deliveries%3Fx=1", user), "")
}

func sameOrigin() []string { return []string{"Sec-Fetch-Site", "same-origin"} }

func TestSignIn(t *testing.T) {
	t.Parallel()
	w := setup(t)
	b := w.browser(t)
	if a := b.send(t, "GET", "/control/v1/x", "", sameOrigin()...); a.status != http.StatusUnauthorized {
		t.Fatalf("%d %s", a.status, a.text)
	}
	if a := b.send(t, "GET", "/signin/person", "", sameOrigin()...); a.status != http.StatusUnauthorized || !strings.Contains(a.text, "/signin") {
		t.Errorf("%d %s", a.status, a.text)
	}
	a := b.signIn(t, "ada@example.com")
	if a.status != http.StatusSeeOther || a.header.Get("Location") != "/deliveries?x=1" {
		t.Fatalf("%d %s: %s", a.status, a.header.Get("Location"), a.text)
	}
	for _, c := range a.header.Values("Set-Cookie") {
		if !strings.HasPrefix(c, "__Host-heliograph") || strings.Contains(c, "ada") {
			t.Errorf("cookie %s", c)
		}
		for _, part := range []string{"; Path=/", "; HttpOnly", "; Secure", "; SameSite=Lax", "; Max-Age="} {
			if !strings.Contains(c, part) {
				t.Errorf("cookie without %s: %s", part, c)
			}
		}
	}
	if a := b.send(t, "GET", "/control/v1/x", "", sameOrigin()...); a.text != "ada@example.com of "+pages+", control true" {
		t.Errorf("%d %s", a.status, a.text)
	}
	if a := b.send(t, "GET", "/signin/person", "", sameOrigin()...); a.text != `{"expires":"2026-11-22T13:00:00Z","name":"Ada","user":"ada@example.com"}` {
		t.Errorf("%d %s", a.status, a.text)
	}
	// A program's own token is its own: the session does not stand behind it.
	if a := b.send(t, "GET", "/control/v1/x", "", "Authorization", "Bearer x"); a.status != http.StatusUnauthorized {
		t.Errorf("%d %s", a.status, a.text)
	}
	out := b.send(t, "POST", "/signout", "", sameOrigin()...)
	if out.status != http.StatusOK || !strings.Contains(out.text, "/"+tenant+"/oauth2/v2.0/logout?client_id="+pages) || !strings.Contains(out.text, "post_logout_redirect_uri") {
		t.Errorf("%d %s", out.status, out.text)
	}
	if a := b.send(t, "GET", "/control/v1/x", "", sameOrigin()...); a.status != http.StatusUnauthorized {
		t.Errorf("signed out, and still %d %s", a.status, a.text)
	}
}

// The session is good for the pages of this server only, whoever has the cookie.
func TestOtherSitesCannotUseASession(t *testing.T) {
	t.Parallel()
	w := setup(t)
	b := w.browser(t)
	b.signIn(t, "ada@example.com")
	for _, c := range []struct {
		name, method string
		want         int
		header       []string
	}{
		{"a script of a page", "POST", 200, sameOrigin()},
		{"an older browser", "POST", 200, []string{"Origin", w.server.URL}},
		{"an address that was typed", "GET", 200, []string{"Sec-Fetch-Site", "none"}},
		{"a program that reads", "GET", 200, nil},
		{"a script of another site", "POST", 403, []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}},
		{"a sibling", "POST", 403, []string{"Sec-Fetch-Site", "same-site"}},
		{"an older browser on another site", "POST", 403, []string{"Origin", "https://evil.example"}},
		{"a page of nowhere", "POST", 403, []string{"Origin", "null"}},
		{"nobody says", "DELETE", 403, nil},
		{"a form by hand", "POST", 403, []string{"Sec-Fetch-Site", "none"}},
		{"a link of another site", "GET", 401, []string{"Sec-Fetch-Site", "cross-site"}},
		{"an image of another site", "GET", 401, []string{"Origin", "https://evil.example"}},
	} {
		if a := b.send(t, c.method, "/control/v1/x", "", c.header...); a.status != c.want {
			t.Errorf("%s: %d, want %d", c.name, a.status, c.want)
		}
	}
	if a := b.send(t, "POST", "/signout", "", "Sec-Fetch-Site", "cross-site"); a.status != http.StatusForbidden || len(a.header.Values("Set-Cookie")) > 0 {
		t.Errorf("%d %v", a.status, a.header)
	}
	if a := b.send(t, "GET", "/signin/person", "", "Sec-Fetch-Site", "cross-site"); a.status != http.StatusForbidden {
		t.Errorf("%d %s", a.status, a.text)
	}
	if a := b.send(t, "GET", "/signout", "", "Accept", "text/html"); a.status != http.StatusMethodNotAllowed || a.header.Get("Allow") != "POST" || !strings.Contains(a.text, "<html") {
		t.Errorf("%d %s", a.status, a.text)
	}
}

func TestSessionsEnd(t *testing.T) {
	t.Parallel()
	w := setup(t, func(o *signin.Options, _ *identity.Options) { o.Lifetime = 30 * time.Minute })
	b := w.browser(t)
	b.signIn(t, "ada@example.com")
	w.clock.Advance(30*time.Minute - time.Second)
	if a := b.send(t, "GET", "/x", "", sameOrigin()...); a.status != http.StatusOK {
		t.Errorf("%d %s", a.status, a.text)
	}
	w.clock.Advance(time.Second)
	if a := b.send(t, "GET", "/x", "", sameOrigin()...); a.status != http.StatusUnauthorized {
		t.Errorf("%d %s", a.status, a.text)
	}
	late := b.atProvider(t, "/signin?prompt=login", "ada@example.com")
	w.clock.Advance(10 * time.Minute)
	if a := b.send(t, "GET", late, "", "Accept", "text/html"); a.status != http.StatusBadRequest || !strings.Contains(a.text, "session.flow") {
		t.Errorf("%d %s", a.status, a.text)
	}
}

// A token that is longer than a cookie may be is cut into several.
func TestLongTokens(t *testing.T) {
	t.Parallel()
	w := setup(t)
	b := w.browser(t)
	if a := b.signIn(t, "bob@example.com"); a.status != http.StatusSeeOther || len(a.header.Values("Set-Cookie")) < 4 {
		t.Fatalf("%d %d cookies: %s", a.status, len(a.header.Values("Set-Cookie")), a.text)
	}
	if a := b.send(t, "GET", "/x", "", sameOrigin()...); !strings.Contains(a.text, "bob@example.com of "+pages+", control false") {
		t.Errorf("%d %s", a.status, a.text)
	}
	// One that signs in after it does not get its leftovers.
	b.signIn(t, "ada@example.com")
	if a := b.send(t, "GET", "/x", "", sameOrigin()...); !strings.Contains(a.text, "ada@example.com of") {
		t.Errorf("%d %s", a.status, a.text)
	}
}

// What comes back from the provider is taken from the browser that went there, once, and only from that provider.
func TestAnswersAreChecked(t *testing.T) {
	t.Parallel()
	w := setup(t)
	refused := func(name string, a *answer, status int, rule string) {
		t.Helper()
		if a.status != status || a.header.Get("Heliograph-Rule") != "session."+rule {
			t.Errorf("%s: %d %s %s, want %d %s", name, a.status, a.header.Get("Heliograph-Rule"), a.text, status, rule)
		}
	}
	with := func(address string, pairs ...string) string {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		for n := 0; n < len(pairs); n += 2 {
			q.Set(pairs[n], pairs[n+1])
		}
		u.RawQuery = q.Encode()
		return u.String()
	}
	victim, attacker := w.browser(t), w.browser(t)
	mine := attacker.atProvider(t, "/signin", "ada@example.com")
	refused("another browser's answer", victim.send(t, "GET", mine, ""), 400, "flow")
	victim.send(t, "GET", "/signin", "")
	refused("an answer to another sign-in", victim.send(t, "GET", mine, ""), 400, "state")
	refused("another provider's", victim.send(t, "GET", with(victim.atProvider(t, "/signin", "ada@example.com"), "iss", "https://evil.example"), ""), 400, "issuer")
	refused("another code", victim.send(t, "GET", with(victim.atProvider(t, "/signin", "ada@example.com"), "code", "x"), ""), 502, "exchange")
	// A code of one's own, put into another's sign-in: PKCE and the nonce are in the way.
	stolen, err := url.Parse(attacker.atProvider(t, "/signin", "ada@example.com"))
	if err != nil {
		t.Fatal(err)
	}
	refused("another's code", victim.send(t, "GET", with(victim.atProvider(t, "/signin", "bob@example.com"), "code", stolen.Query().Get("code")), ""), 502, "exchange")
	// An ID token that was made for another sign-in.
	begun := victim.send(t, "GET", "/signin", "")
	answered := victim.send(t, "POST", with(begun.header.Get("Location"), "nonce", "another"), "user=bob%40example.com",
		"Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "same-origin")
	refused("another nonce", victim.send(t, "GET", answered.header.Get("Location"), ""), 502, "id_token")
	refused("a refusal", victim.send(t, "GET", with(victim.atProvider(t, "/signin", "bob@example.com"), "error", "access_denied"), ""), 403, "provider_refused")

	good := victim.atProvider(t, "/signin", "bob@example.com")
	if a := victim.send(t, "GET", good, ""); a.status != http.StatusSeeOther {
		t.Errorf("%d %s", a.status, a.text)
	}
	refused("the same answer again", victim.send(t, "GET", good, ""), 400, "flow")
}

func TestProviderThatIsDown(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.down = true
	b := w.browser(t)
	if a := b.send(t, "GET", "/signin", "", "Accept", "text/html"); a.status != http.StatusServiceUnavailable || !strings.Contains(a.header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("%d %s", a.status, a.text)
	}
	w.down = false
	b.signIn(t, "ada@example.com")
	w.down = true // what is known serves, an hour later too
	w.clock.Advance(59 * time.Minute)
	if a := b.send(t, "GET", "/x", "", sameOrigin()...); a.status != http.StatusOK {
		t.Errorf("%d %s", a.status, a.text)
	}
	w.clock.Advance(2 * time.Minute)
	if a := b.send(t, "GET", "/signin", ""); a.status != http.StatusFound {
		t.Errorf("%d %s", a.status, a.text)
	}
}

// Where the provider's access token is for another server, the ID token stands for the person.
func TestWhichToken(t *testing.T) {
	t.Parallel()
	w := setup(t, func(_ *signin.Options, i *identity.Options) { i.Audiences = []string{"https://other.example"} })
	b := w.browser(t)
	b.signIn(t, "ada@example.com")
	if a := b.send(t, "GET", "/x", "", sameOrigin()...); a.text != "ada@example.com of "+pages+", control true" {
		t.Errorf("%d %s", a.status, a.text)
	}
	none := setup(t, func(_ *signin.Options, i *identity.Options) {
		i.Issuers = []identity.Issuer{{URL: "https://other.example"}}
	})
	if a := none.browser(t).signIn(t, "ada@example.com"); a.status != http.StatusForbidden || a.header.Get("Heliograph-Rule") != "session.token" {
		t.Errorf("%d %s", a.status, a.text)
	}
}

func TestWhereToGoAfterwards(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for to, want := range map[string]string{
		"": "/", "/": "/", "/a/b?c=d#e": "/a/b?c=d#e", "https://evil.example/": "/", "//evil.example": "/", `/\evil.example`: "/", `\\evil.example`: "/",
		"/\t/evil.example": "/", "javascript:alert(1)": "/", "relative": "/", "/signin?to=/": "/", "/" + strings.Repeat("x", 2000): "/",
	} {
		b := w.browser(t)
		a := b.send(t, "GET", b.atProvider(t, "/signin?"+url.Values{"to": {to}}.Encode(), "ada@example.com"), "")
		if got := a.header.Get("Location"); got != want {
			t.Errorf("%q leads to %q, want %q", to, got, want)
		}
	}
}

func TestRequire(t *testing.T) {
	t.Parallel()
	w := setup(t)
	page := w.gate.Require(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, "the page") }))
	for method, want := range map[string]int{"GET": http.StatusSeeOther, "POST": http.StatusUnauthorized} {
		answer := httptest.NewRecorder()
		page.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), method, "/a?b=c", nil))
		if answer.Code != want || method == "GET" && answer.Header().Get("Location") != "/signin?to=%2Fa%3Fb%3Dc" {
			t.Errorf("%s: %d %v", method, answer.Code, answer.Header())
		}
	}
	b := w.browser(t)
	b.signIn(t, "ada@example.com")
	at, err := url.Parse(w.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(t.Context(), "GET", "/a", nil)
	for _, c := range b.Jar.Cookies(at) {
		r.AddCookie(c)
	}
	answer := httptest.NewRecorder()
	page.ServeHTTP(answer, r)
	if answer.Body.String() != "the page" {
		t.Errorf("%d %s", answer.Code, answer.Body)
	}
	if caller, err := w.gate.Caller(r); err != nil || caller.UPN != "ada@example.com" {
		t.Errorf("%v, %v", caller, err)
	}
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	if _, err := w.gate.Caller(r); heliograph.KindOf(err) != heliograph.Denied {
		t.Errorf("a foreign page's request has a caller: %v", err)
	}
	if _, err := w.gate.Caller(httptest.NewRequestWithContext(t.Context(), "GET", "/a", nil)); heliograph.KindOf(err) != heliograph.Unauthenticated {
		t.Errorf("nobody is a caller: %v", err)
	}
	// A cookie is good for the name and the server that it was made for, and whole.
	for name, change := range map[string]func(*http.Cookie){
		"cut":     func(c *http.Cookie) { c.Value = c.Value[:len(c.Value)-2] },
		"changed": func(c *http.Cookie) { c.Value = c.Value[:9] + "AAAA" + c.Value[13:] },
		"renamed": func(c *http.Cookie) { c.Name += "-signin" },
		"many":    func(c *http.Cookie) { c.Value = "9" + c.Value[1:] },
		"none":    func(c *http.Cookie) { c.Value = "x" },
	} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/a", nil)
		for _, c := range b.Jar.Cookies(at) {
			change(c)
			r.AddCookie(c)
		}
		if p, ok := w.gate.Person(r); ok {
			t.Errorf("%s: %v", name, p)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	w := setup(t)
	good := signin.Options{Issuer: "https://login.example", ClientID: "x", Base: "https://graph.example", Key: make([]byte, 32), Verifier: w.verifier, Client: http.DefaultClient, Now: w.clock.Now}
	if _, err := signin.New(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*signin.Options){
		"no clock": func(o *signin.Options) { o.Now = nil }, "no client id": func(o *signin.Options) { o.ClientID = "" }, "short key": func(o *signin.Options) { o.Key = nil },
		"no base": func(o *signin.Options) { o.Base = "" }, "relative base": func(o *signin.Options) { o.Base = "/x" }, "no verifier": func(o *signin.Options) { o.Verifier = nil },
	} {
		bad := good
		change(&bad)
		if _, err := signin.New(bad); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
