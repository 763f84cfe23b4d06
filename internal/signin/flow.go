package signin

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/sync/singleflight"

	"heliograph.dev"
)

const (
	// flowLife is how long a person may take to sign in.
	flowLife = 10 * time.Minute
	// askTimeout bounds what is asked of the provider for one request.
	askTimeout = 15 * time.Second
	// discoverAgain is how long what the provider says about itself is believed.
	discoverAgain = time.Hour
	maxTo         = 1024
)

// provider is the OpenID provider, found when it is first needed.
type provider struct {
	issuer string
	client *http.Client
	now    func() time.Time

	asking singleflight.Group
	mu     sync.Mutex
	known  *oidc.Provider
	since  time.Time
}

// get returns the provider. What was known an hour ago serves while the provider cannot be asked again.
func (p *provider) get(ctx context.Context) (*oidc.Provider, error) {
	p.mu.Lock()
	known, age := p.known, p.now().Sub(p.since)
	p.mu.Unlock()
	if known != nil && age >= 0 && age < discoverAgain {
		return known, nil
	}
	// Many may wait for one answer: it must not end because the first of them has gone.
	found, err, _ := p.asking.Do("", func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
		defer cancel()
		return oidc.NewProvider(oidc.ClientContext(ctx, p.client), p.issuer)
	})
	fresh, ok := found.(*oidc.Provider)
	if err != nil || !ok {
		if known != nil {
			return known, nil
		}
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known, p.since = fresh, p.now()
	return fresh, nil
}

// ask bounds what is asked of the provider.
func (g *Gate) ask(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	return oidc.ClientContext(ctx, g.opts.Client), cancel
}

func (g *Gate) oauth(p *oidc.Provider) *oauth2.Config {
	scopes := []string{oidc.ScopeOpenID}
	for _, s := range g.opts.Scopes {
		if !slices.Contains(scopes, s) {
			scopes = append(scopes, s)
		}
	}
	return &oauth2.Config{
		ClientID: g.opts.ClientID, ClientSecret: g.opts.ClientSecret.Reveal(), Endpoint: p.Endpoint(),
		RedirectURL: g.base + callbackPath, Scopes: scopes,
	}
}

// begin sends a person to the provider.
func (g *Gate) begin(w http.ResponseWriter, r *http.Request) {
	p, err := g.provider.get(r.Context())
	if err != nil {
		g.refuse(w, r, refusal{http.StatusServiceUnavailable, "provider", "The sign-in service does not answer. Please try again in a moment.", err})
		return
	}
	f := flow{
		State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(), To: localPath(r.URL.Query().Get("to")),
		Ends: g.opts.Now().Add(flowLife).Unix(),
	}
	if err := g.sealer.set(w, r, flowCookie, &f, flowLife); err != nil {
		g.refuse(w, r, refusal{http.StatusInternalServerError, "cookie", "The sign-in could not begin.", err})
		return
	}
	options := []oauth2.AuthCodeOption{oidc.Nonce(f.Nonce), oauth2.S256ChallengeOption(f.Verifier)}
	if prompt := r.URL.Query().Get("prompt"); slices.Contains([]string{"login", "select_account", "consent"}, prompt) {
		options = append(options, oauth2.SetAuthURLParam("prompt", prompt))
	}
	http.Redirect(w, r, g.oauth(p).AuthCodeURL(f.State, options...), http.StatusFound) //nolint:gosec // G710: to the provider, which is configured
}

// localPath returns where to go after the sign-in: a page of this server, whatever was asked for.
func localPath(to string) string {
	u, err := url.Parse(to)
	// Browsers take a backslash for a slash, and drop control characters: //elsewhere can be written in many ways.
	if err != nil || len(to) > maxTo || u.IsAbs() || u.Host != "" || !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") ||
		strings.ContainsFunc(to, func(c rune) bool { return c <= ' ' || c == '\\' || c == 0x7f }) {
		return "/"
	}
	if path, _, _ := strings.Cut(to, "?"); path == signInPath || path == callbackPath {
		return "/"
	}
	return to
}

// callback takes a person in who comes back from the provider.
func (g *Gate) callback(w http.ResponseWriter, r *http.Request) {
	var f flow
	if !g.sealer.get(r, flowCookie, &f) || !g.opts.Now().Before(time.Unix(f.Ends, 0)) {
		g.refuse(w, r, refusal{http.StatusBadRequest, "flow", "This sign-in was not begun in this browser, or it took too long.", nil})
		return
	}
	g.sealer.clear(w, r, flowCookie)
	s, no := g.finish(r, &f)
	if no.status == 0 {
		if err := g.sealer.set(w, r, sessionCookie, s, s.expires().Sub(g.opts.Now())); err != nil {
			no = refusal{http.StatusInternalServerError, "session_size", "The sign-in service's token is too large for a session.", err}
		}
	}
	if no.status != 0 {
		g.refuse(w, r, no)
		return
	}
	g.opts.Logger.LogAttrs(r.Context(), slog.LevelInfo, "signed in", slog.String("user", s.User), slog.Time("until", s.expires()))
	http.Redirect(w, r, f.To, http.StatusSeeOther)
}

// finish makes a session of the provider's answer, or says why not.
func (g *Gate) finish(r *http.Request, f *flow) (*session, refusal) {
	said := r.URL.Query()
	if subtle.ConstantTimeCompare([]byte(said.Get("state")), []byte(f.State)) != 1 {
		return nil, refusal{http.StatusBadRequest, "state", "This answer belongs to another sign-in.", nil}
	}
	if from := said.Get("iss"); from != "" && from != g.opts.Issuer { // RFC 9207
		return nil, refusal{http.StatusBadRequest, "issuer", "This answer comes from another sign-in service.", nil}
	}
	if code := said.Get("error"); code != "" {
		return nil, refusal{http.StatusForbidden, "provider_refused", "The sign-in service refuses: " + excerpt(cmp.Or(said.Get("error_description"), code)), nil}
	}
	ctx, cancel := g.ask(r.Context())
	defer cancel()
	p, err := g.provider.get(ctx)
	if err != nil {
		return nil, refusal{http.StatusServiceUnavailable, "provider", "The sign-in service does not answer. Please try again in a moment.", err}
	}
	token, err := g.oauth(p).Exchange(ctx, said.Get("code"), oauth2.VerifierOption(f.Verifier))
	if err != nil {
		return nil, refusal{http.StatusBadGateway, "exchange", "The sign-in service did not accept the code that it has given.", err}
	}
	raw, _ := token.Extra("id_token").(string)
	id, err := p.VerifierContext(ctx, &oidc.Config{ClientID: g.opts.ClientID, Now: g.opts.Now}).Verify(ctx, raw)
	if err == nil && subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(f.Nonce)) != 1 {
		err = errors.New("the nonce is another one")
	}
	if err == nil && id.AccessTokenHash != "" {
		err = id.VerifyAccessToken(token.AccessToken)
	}
	if err != nil {
		return nil, refusal{http.StatusBadGateway, "id_token", "The sign-in service has not said who you are in a way that can be believed.", err}
	}
	return g.open(ctx, id, raw, token.AccessToken)
}

// open makes the session of a person who is known. Of the two tokens it takes the first that this server believes.
func (g *Gate) open(ctx context.Context, id *oidc.IDToken, idToken, accessToken string) (*session, refusal) {
	var said struct {
		Name      string `json:"name"`
		Preferred string `json:"preferred_username"`
		Email     string `json:"email"`
	}
	if err := id.Claims(&said); err != nil {
		return nil, refusal{http.StatusBadGateway, "id_token", "The sign-in service has not said who you are in a way that can be read.", err}
	}
	s := &session{Token: accessToken, User: cmp.Or(said.Preferred, said.Email, id.Subject)}
	s.Name = cmp.Or(said.Name, s.User)
	caller, err := g.opts.Verifier.Verify(ctx, accessToken)
	if heliograph.KindOf(err) == heliograph.Unauthenticated {
		var second error
		s.Token = idToken
		if caller, second = g.opts.Verifier.Verify(ctx, idToken); second != nil {
			err = fmt.Errorf("access token: %w; ID token: %w", err, second)
		} else {
			err = nil
		}
	}
	switch {
	case heliograph.KindOf(err) == heliograph.Unavailable:
		return nil, refusal{http.StatusServiceUnavailable, "provider", "The sign-in service's keys cannot be read now. Please try again in a moment.", err}
	case err != nil:
		return nil, refusal{http.StatusForbidden, "token", "You are signed in, but this server does not believe the token that the sign-in service gave for it. " +
			"Its operator finds the reason in the log; identity.audiences and pages.scopes are where to look.", err}
	}
	ends := g.opts.Now().Add(g.opts.Lifetime)
	if caller.Expires.Before(ends) {
		ends = caller.Expires
	}
	s.Ends = ends.Unix()
	return s, refusal{}
}

// endSession returns where the session at the provider is ended, or the first page.
func (g *Gate) endSession(ctx context.Context) string {
	p, err := g.provider.get(ctx)
	var said struct {
		End string `json:"end_session_endpoint"`
	}
	if err != nil || p.Claims(&said) != nil || said.End == "" {
		return "/"
	}
	u, err := url.Parse(said.End)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" {
		return "/"
	}
	q := u.Query()
	q.Set("client_id", g.opts.ClientID)
	q.Set("post_logout_redirect_uri", g.base+"/")
	u.RawQuery = q.Encode()
	return u.String()
}

// excerpt keeps what others say short.
func excerpt(s string) string {
	const most = 300
	return strings.ToValidUTF8(s[:min(len(s), most)], "")
}
