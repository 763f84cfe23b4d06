// Package heliographtest is Heliograph inside a Go test: a whole server, in the process, ready in milliseconds, for
// tests of an application that consumes Microsoft Graph's change notifications.
//
//	func TestMailArrives(t *testing.T) {
//		t.Parallel()
//		graph := heliographtest.New(t)
//		app := startMyApp(t, graph.URL(), graph.Token()) // subscribes to users/adele/messages
//		graph.WaitForSubscription("users/adele/messages")
//		change := graph.Publish(client.Event{Type: client.Created, Resource: "users/adele/messages/1"})
//		graph.ExpectDelivered(change)
//		… // what app made of it
//	}
//
// The application speaks with it as with Graph: over HTTP, with tokens, with its own SDK; its endpoint is asked to prove
// itself, and gets every notification as Graph sends it. Nothing is mocked, and nothing is shared: each server has a port
// and a store of its own, so tests run in parallel, and everything goes when the test ends.
//
// Methods fail the test that the server was made for, with what the server knows: a notification that did not come is
// reported with the reason (no such subscription, another change type, a filter, the endpoint's answer). With makes them
// fail another test, such as a subtest. They wait for ten seconds, or as [WaitAtMost] says.
package heliographtest

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"heliograph.dev/client"
	"heliograph.dev/internal/app"
	"heliograph.dev/internal/config"
	"heliograph.dev/internal/identity/devissuer"
)

// Server is a development server of one test.
type Server struct {
	tb     testing.TB
	server *app.App
	api    *client.Client // with every permission
	http   *http.Client
	tenant string
	wait   time.Duration
}

// Option changes what New makes.
type Option func(*settings)

type settings struct {
	config *config.Config
	logger *slog.Logger
	wait   time.Duration
}

// WaitAtMost sets how long methods wait for what should happen.
func WaitAtMost(d time.Duration) Option { return func(s *settings) { s.wait = d } }

// Profile has the server follow Graph's rules of another date, such as 2022-08: see heliograph config --rules.
func Profile(name string) Option { return func(s *settings) { s.config.Catalog.Profile = name } }

// Quota limits how many subscriptions there may be: the name of a quota, or all.
func Quota(name string, limit int) Option {
	return func(s *settings) {
		s.config.Catalog.Quotas = append(s.config.Catalog.Quotas, config.Quota{Name: name, Limit: limit})
	}
}

// APILimits holds applications to Graph's number of calls: more are answered with 429.
func APILimits() Option { return func(s *settings) { s.config.API.Limits = true } }

// Logger has the server log there. It says nothing otherwise.
func Logger(l *slog.Logger) Option { return func(s *settings) { s.logger = l } }

// New starts a server, and stops it when the test ends.
func New(tb testing.TB, options ...Option) *Server {
	tb.Helper()
	s := settings{config: config.Default(config.Dev), logger: slog.New(slog.DiscardHandler), wait: 10 * time.Second}
	s.config.Listen.HTTP, s.config.Listen.HTTPS = "127.0.0.1:0", ""
	s.config.Store.MinFreeBytes = 0 // a test writes little; a full disk is told by the writes
	s.config.Data = tb.TempDir()
	for _, o := range options {
		o(&s)
	}
	keys, err := issuerKeys()
	if err != nil {
		tb.Fatalf("heliographtest: %v", err)
	}
	server, err := app.Start(tb.Context(), app.Options{Config: s.config, Logger: s.logger, IssuerKeys: keys, Version: "test"})
	if err != nil {
		tb.Fatalf("heliographtest: %v", err)
	}
	transport := &http.Transport{}
	tb.Cleanup(func() {
		transport.CloseIdleConnections()
		if err := server.Stop(context.Background()); err != nil {
			tb.Errorf("heliographtest: %v", err)
		}
	})
	t := &Server{tb: tb, server: server, wait: s.wait}
	t.http = &http.Client{Transport: transport}
	return t.In("common")
}

// In returns the same server in a tenant, a GUID or a domain name: its methods see what is there and publish there, and
// its tokens are of that tenant.
func (s *Server) In(tenant string) *Server {
	s.tb.Helper()
	other := *s
	other.tenant = tenant
	var err error
	other.api, err = client.New(s.URL(), client.ClientCredentials(client.Credentials{
		TokenURL: other.TokenURL(), ClientID: "heliographtest", ClientSecret: "any", HTTP: s.http,
	}), client.WithHTTPClient(s.http))
	if err != nil {
		s.tb.Fatalf("heliographtest: %v", err)
	}
	return &other
}

// issuerKeys are the keys that every server of the process signs its tokens with. To make them costs more than all else
// that a server needs to start.
var issuerKeys = sync.OnceValues(func() ([]byte, error) { //nolint:gochecknoglobals // once for a process, which is what makes servers cheap
	return devissuer.MakeKeys(time.Now()) //nolint:forbidigo // a test starts now
})

// With returns the same server, whose methods fail tb.
func (s *Server) With(tb testing.TB) *Server {
	tb.Helper()
	other := *s
	other.tb = tb
	return &other
}

// URL is the server's address. The Graph API is below it, at /v1.0 and /beta.
func (s *Server) URL() string { return s.server.URL() }

// TokenURL is where any client id gets a token with any secret.
func (s *Server) TokenURL() string { return s.URL() + "/" + s.tenant + "/oauth2/v2.0/token" }

// Client is a client of the server with every permission: as an application and an operator.
func (s *Server) Client() *client.Client { return s.api }

// Token returns an access token of an application that has every permission, or of whom the options name.
func (s *Server) Token(options ...TokenOption) string {
	s.tb.Helper()
	r := client.TokenRequest{}
	if s.tenant != "common" {
		r.Tenant = s.tenant
	}
	for _, o := range options {
		o(&r)
	}
	token, err := s.api.MintToken(s.context(), r)
	if err != nil {
		s.tb.Fatalf("heliographtest: no token: %v", err)
	}
	return token.Text
}

// TokenOption says what a token is to be.
type TokenOption func(*client.TokenRequest)

// OfApp makes it a token of the application with that client id.
func OfApp(id string) TokenOption { return func(r *client.TokenRequest) { r.App = id } }

// OfUser makes it a token of a signed-in user, with these delegated permissions, or with all.
func OfUser(user string, scopes ...string) TokenOption {
	return func(r *client.TokenRequest) { r.User, r.Scopes = user, scopes }
}

// WithRoles gives an application's token these permissions only.
func WithRoles(roles ...string) TokenOption {
	return func(r *client.TokenRequest) { r.Roles = append([]string{}, roles...) }
}

// Lasting sets how long the token holds; below zero it ended that long ago.
func Lasting(d time.Duration) TokenOption { return func(r *client.TokenRequest) { r.Lifetime = d } }

func (s *Server) context() context.Context { return s.tb.Context() }

// same reports whether two resources are written alike, but for the slash that may come first and for case.
func same(a, b string) bool {
	return strings.EqualFold(strings.TrimPrefix(a, "/"), strings.TrimPrefix(b, "/"))
}
