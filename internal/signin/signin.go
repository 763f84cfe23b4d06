// Package signin lets people into the pages of a production server: they sign in at the operator's OpenID provider, and
// the session that this gives them acts for them on the API.
//
// Signing in is the authorization code flow with PKCE (S256), a state and a nonce (RFC 6749, 7636, 9207, OpenID Connect
// Core). The token that it ends with is an ordinary token of a trusted issuer: the access token when this server is its
// audience, else the ID token. Whatever is done with a session is done with that token, and goes through the same
// verification and the same rules as if a program had sent it.
//
//	GET  /signin           to the provider; to= names the page to come back to, prompt= is handed on
//	GET  /signin/callback  back from it
//	GET  /signin/person    who is signed in, as JSON, or 401
//	POST /signout          ends the session here, and tells where the one at the provider is ended
//
// Nothing is kept on the server. The session is in cookies that only this server can read or make (XAES-256-GCM), that no
// script sees (HttpOnly), that go nowhere else (__Host-, Secure, SameSite=Lax), and that end with the token or after
// Options.Lifetime, whichever is first. A session is not renewed: the provider remembers the person and signs in again
// without asking. One that was signed out is gone from the browser; a copy of its cookies would hold until its end.
//
// A cookie says who the browser's owner is, not who wrote the page that sends the request. So a request with a session
// and no Authorization header is let through only when it comes from a page of this server: Sec-Fetch-Site says
// same-origin, or Origin does, or the person typed the address of something that only reads.
//
// A Gate may be used by any number of goroutines.
package signin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"heliograph.dev"
)

// Verifier tells who a token stands for.
type Verifier interface {
	// Verify returns the caller, who is shared and not to be changed, or an error of kind Unauthenticated or Unavailable.
	Verify(ctx context.Context, token string) (*heliograph.Caller, error)
}

// Options say where people sign in.
type Options struct {
	// Issuer is the provider's iss, to the letter. It is found by discovery when it is first needed.
	Issuer       string
	ClientID     string
	ClientSecret heliograph.Secret // zero: a public client
	// Scopes besides openid. One of them makes the access token one for this server.
	Scopes []string
	// Base is the URL by which browsers know this server: https, or http on loopback.
	Base string
	// Key seals the cookies: 32 bytes, the same on every node.
	Key      []byte
	Verifier Verifier
	// Lifetime bounds a session. Zero: eight hours.
	Lifetime time.Duration
	// Client asks the provider. Required: it is to have bounds of its own.
	Client *http.Client
	// Now tells the time. Required.
	Now    func() time.Time
	Logger *slog.Logger
}

// Path is where signing in begins.
const Path = signInPath

const (
	defaultLifetime = 8 * time.Hour

	signInPath   = "/signin"
	callbackPath = "/signin/callback"
	personPath   = "/signin/person"
	signOutPath  = "/signout"
)

// Gate is where people come in.
type Gate struct {
	opts     Options
	base     string // without a slash at its end
	origin   string
	sealer   sealer
	provider provider
	forgery  *http.CrossOriginProtection
}

// New returns a gate. It contacts nobody: a server starts while its provider is down.
func New(o Options) (*Gate, error) {
	if o.Now == nil || o.Client == nil || o.Verifier == nil {
		return nil, errors.New("signin: Now, Client and Verifier are required")
	}
	if o.ClientID == "" || o.Issuer == "" {
		return nil, errors.New("signin: a client id and an issuer are required")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Lifetime <= 0 {
		o.Lifetime = defaultLifetime
	}
	at, err := url.Parse(o.Base)
	if err != nil || at.Host == "" || at.Scheme != "https" && at.Scheme != "http" || at.RawQuery != "" || at.Fragment != "" {
		return nil, fmt.Errorf("signin: %q is not the URL of a server", o.Base)
	}
	g := &Gate{opts: o, base: strings.TrimRight(o.Base, "/"), origin: at.Scheme + "://" + strings.ToLower(at.Host), forgery: http.NewCrossOriginProtection()}
	if err := g.forgery.AddTrustedOrigin(g.origin); err != nil {
		return nil, fmt.Errorf("signin: %w", err)
	}
	if g.sealer, err = newSealer(o.Key, o.ClientID+" "+g.origin); err != nil {
		return nil, err
	}
	g.provider = provider{issuer: o.Issuer, client: o.Client, now: o.Now}
	return g, nil
}

// Handles reports whether ServeHTTP has an answer for a path.
func (g *Gate) Handles(path string) bool {
	return slices.Contains([]string{signInPath, callbackPath, personPath, signOutPath}, path)
}

// ServeHTTP signs in and out.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	want, do := http.MethodGet, g.person
	switch r.URL.Path {
	case signInPath:
		do = g.begin
	case callbackPath:
		do = g.callback
	case signOutPath:
		want, do = http.MethodPost, g.signOut
	case personPath:
	default:
		http.NotFound(w, r)
		return
	}
	if r.Method != want {
		w.Header().Set("Allow", want)
		g.refuse(w, r, refusal{http.StatusMethodNotAllowed, "method", "This is asked for with " + want + ".", nil})
		return
	}
	do(w, r)
}

// Person is somebody who is signed in.
type Person struct {
	// Name is for people to read, User what the provider calls the account.
	Name, User string
	Expires    time.Time // when the session ends
}

// Person returns who is signed in in the browser that sent a request, without asking whether the token still holds.
func (g *Gate) Person(r *http.Request) (Person, bool) {
	s, ok := g.session(r)
	if !ok {
		return Person{}, false
	}
	return Person{Name: s.Name, User: s.User, Expires: s.expires()}, true
}

// Caller returns the caller that the browser's session stands for. The error is a *heliograph.Error.
func (g *Gate) Caller(r *http.Request) (*heliograph.Caller, error) {
	s, ok := g.session(r)
	if !ok {
		return nil, heliograph.Errorf(heliograph.Unauthenticated, "session.missing", "Nobody is signed in in this browser.")
	}
	if rule, text := g.foreign(r); rule != "" {
		return nil, heliograph.Errorf(heliograph.Denied, "session."+rule, "%s", text)
	}
	return g.opts.Verifier.Verify(r.Context(), s.Token)
}

// Wrap lets requests of signed-in people reach an API that asks for bearer tokens. A request that has an Authorization
// header, or no session, goes through as it is.
func (g *Gate) Wrap(api http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" || g.Handles(r.URL.Path) {
			api.ServeHTTP(w, r)
			return
		}
		w.Header().Add("Vary", "Cookie")
		s, ok := g.session(r)
		if !ok {
			api.ServeHTTP(w, r)
			return
		}
		if rule, text := g.foreign(r); rule != "" {
			if r.Method == http.MethodGet || r.Method == http.MethodHead {
				api.ServeHTTP(w, r) // a link to a page, perhaps: it is opened, without the session
				return
			}
			g.refuse(w, r, refusal{http.StatusForbidden, rule, text, nil})
			return
		}
		as := r.Clone(r.Context())
		as.Header.Set("Authorization", "Bearer "+s.Token)
		api.ServeHTTP(w, as)
	})
}

// Require shows a page to people who are signed in, and sends the others to sign in first.
func (g *Gate) Require(page http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Cookie")
		if _, ok := g.session(r); ok {
			page.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			g.refuse(w, r, refusal{http.StatusUnauthorized, "missing", "Nobody is signed in in this browser.", nil})
			return
		}
		http.Redirect(w, r, signInPath+"?"+url.Values{"to": {r.URL.RequestURI()}}.Encode(), http.StatusSeeOther)
	})
}

// foreign says why a request with a session is not one that a page of this server, or the person, has made: the rule and
// a sentence. It returns "" when it is.
func (g *Gate) foreign(r *http.Request) (rule, text string) {
	site, from := r.Header.Get("Sec-Fetch-Site"), r.Header.Get("Origin")
	safe := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch {
	case g.forgery.Check(r) != nil, site != "" && site != "same-origin" && (site != "none" || !safe), site == "" && from != "" && from != g.origin:
		return "cross_site", "A page of another site may not do this in your name."
	case !safe && site == "" && from == "":
		return "origin_unknown", "Your browser does not tell which page this comes from: it sends neither Sec-Fetch-Site nor Origin."
	}
	return "", ""
}

// person tells a page who is signed in.
func (g *Gate) person(w http.ResponseWriter, r *http.Request) {
	p, ok := g.Person(r)
	if rule, text := g.foreign(r); rule != "" {
		g.refuse(w, r, refusal{http.StatusForbidden, rule, text, nil})
		return
	}
	if !ok {
		writeJSON(w, http.StatusUnauthorized, map[string]string{"signIn": signInPath})
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"name": p.Name, "user": p.User, "expires": p.Expires.UTC().Format(time.RFC3339)})
}

// signOut forgets the session.
func (g *Gate) signOut(w http.ResponseWriter, r *http.Request) {
	if rule, text := g.foreign(r); rule != "" {
		g.refuse(w, r, refusal{http.StatusForbidden, rule, text, nil})
		return
	}
	g.sealer.clear(w, r, sessionCookie)
	to := g.endSession(r.Context())
	if wantsPage(r) {
		http.Redirect(w, r, to, http.StatusSeeOther)
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"location": to})
}

func writeJSON(w http.ResponseWriter, status int, v map[string]string) {
	body, err := json.Marshal(v)
	if err != nil { // strings always marshal
		status = http.StatusInternalServerError
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the browser may be gone: nobody is left to tell
}

func wantsPage(r *http.Request) bool { return strings.Contains(r.Header.Get("Accept"), "text/html") }
