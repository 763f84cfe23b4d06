package httpapi_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"heliograph.dev"
	"heliograph.dev/client"
	"heliograph.dev/internal/catalog"
	"heliograph.dev/internal/clock"
	"heliograph.dev/internal/engine"
	"heliograph.dev/internal/httpapi"
	"heliograph.dev/internal/identity"
	"heliograph.dev/internal/identity/devissuer"
	"heliograph.dev/internal/ingest"
	"heliograph.dev/internal/outbound"
	"heliograph.dev/internal/subscribe"
)

// real is a server of the real parts, but for delivery: identity, catalog, rules, handshake, engine.
type real struct {
	*httptest.Server
	t      *testing.T
	engine *engine.Engine
	ingest *ingest.Ingest
	issuer *devissuer.Issuer
}

// exchanger lets subscribe call receivers.
type exchanger struct{ *outbound.Client }

func (e exchanger) Exchange(ctx context.Context, c subscribe.Call) subscribe.Exchange {
	x := e.Client.Exchange(ctx, outbound.Request{URL: c.URL, Header: c.Header, Timeout: c.Timeout, MinTLS: outbound.MinTLS(c.LatestTLS)})
	return subscribe.Exchange{Attempt: x.Attempt, Sent: x.Sent, Header: x.Header, Body: x.Body, Truncated: x.Truncated}
}

// minter makes tokens by the development issuer.
type minter struct{ *devissuer.Issuer }

func (m minter) Mint(ctx context.Context, _ *heliograph.Caller, r httpapi.TokenRequest) (httpapi.Token, error) {
	text, expires, err := m.Issuer.Mint(ctx, devissuer.MintRequest{
		Base: r.Origin, Tenant: r.Tenant, App: r.App, User: r.User, Scopes: r.Scopes, Roles: r.Roles, Lifetime: r.Lifetime,
	})
	return httpapi.Token{Text: text, Expires: expires}, err
}

// admitting is a delivery that is never behind.
type admitting struct{}

func (admitting) Admit(int) error { return nil }

func (admitting) Appended(int, uint64, int) {}

func newReal(t *testing.T) *real {
	t.Helper()
	s := &real{t: t}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	resources, err := catalog.Load()
	must(err)
	s.engine, err = engine.Open(t.Context(), engine.Options{Dir: t.TempDir()})
	must(err)
	t.Cleanup(func() { _ = s.engine.Close(context.WithoutCancel(t.Context())) })
	registry := subscribe.NewRegistry(subscribe.PlanOf(resources), nil, newBench(t).logger())
	watch, err := s.engine.Watch(t.Context(), registry.Apply)
	must(err)
	t.Cleanup(watch.Close)
	<-watch.Ready()
	calls := outbound.New(outbound.Options{AllowLoopback: true, AllowHTTP: true})
	t.Cleanup(calls.Close)
	service := subscribe.New(subscribe.Options{
		Catalog: resources, Store: s.engine, Index: watch, Registry: registry, Endpoints: exchanger{calls}, Clock: clock.System(),
	})
	s.ingest = ingest.New(ingest.Options{
		Log: s.engine, Gate: admitting{}, Partitions: s.engine.Partitions(), Size: engine.ChangeSize,
		MaxFrame: engine.MaxFrame - engine.FrameOverhead, MaxWaiting: 8 << 20, WriteTimeout: 10 * time.Second,
	})
	t.Cleanup(s.ingest.Stop)
	now := clock.System().Now
	s.issuer, err = devissuer.New(devissuer.Options{
		Now: now, ApplicationPermissions: []string{"Mail.Read", "Files.Read.All"}, DelegatedPermissions: []string{"Mail.Read"},
	})
	must(err)
	t.Cleanup(s.issuer.Close)
	verifier, err := identity.New(identity.Options{Local: s.issuer, Now: now})
	must(err)
	t.Cleanup(verifier.Close)
	api, err := httpapi.New(httpapi.Options{
		Authenticator: verifier, Subscriptions: service, Handshakes: service.Handshakes(), Resources: resources, Ingest: s.ingest,
		Minter: minter{s.issuer}, Next: s.issuer, Now: now,
		Ready: func(ctx context.Context) []httpapi.Check {
			return []httpapi.Check{{Name: "engine", Err: s.engine.Check(ctx)}, {Name: "identity", Err: verifier.Ready(ctx)}}
		},
	})
	must(err)
	s.Server = httptest.NewServer(api)
	t.Cleanup(s.Close)
	return s
}

// as returns a client with an application's own token.
func (s *real) as(id string) *client.Client {
	s.t.Helper()
	c, err := client.New(s.URL, client.ClientCredentials(client.Credentials{
		TokenURL: s.URL + "/" + tenant + "/oauth2/v2.0/token", ClientID: id, ClientSecret: "any",
	}))
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// header returns the header of what an application gets.
func (s *real) header(id, path string) http.Header {
	s.t.Helper()
	token, _, err := s.issuer.Mint(s.t.Context(), devissuer.MintRequest{Base: s.URL, Tenant: tenant, App: id})
	if err != nil {
		s.t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.URL+path, http.NoBody)
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token.Reveal())
	response, err := s.Client().Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.Header
}

// receiver answers handshakes as spoil makes of the token.
func receiver(t *testing.T, spoil func(token string) string) (url string, seen func() []string) {
	t.Helper()
	var (
		mu     sync.Mutex
		tokens []string
	)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token := r.URL.Query().Get("validationToken")
		mu.Lock()
		tokens = append(tokens, token)
		mu.Unlock()
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, spoil(token))
	}))
	t.Cleanup(s.Close)
	return s.URL + "/hook?a=1", func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(tokens)
	}
}

func same(token string) string { return token }

// The life of a subscription and of a change, through the real parts and the Go client.
func TestRealSubscription(t *testing.T) {
	t.Parallel()
	s := newReal(t)
	mine := s.as(app)
	url, seen := receiver(t, same)
	expires := clock.System().Now().Add(2 * time.Hour).Truncate(time.Second)
	made, err := mine.CreateSubscription(t.Context(), client.Subscription{
		Resource: "/users/" + creator + "/messages", ChangeType: "created, updated", NotificationURL: url, ExpirationDateTime: expires, ClientState: "state",
	})
	if err != nil {
		t.Fatal(err)
	}
	if made.Resource != "/users/"+creator+"/messages" || made.ChangeType != "created, updated" || made.NotificationURL != url ||
		made.ApplicationID != app || !made.ExpirationDateTime.Equal(expires) || made.LatestSupportedTLSVersion != "v1_2" {
		t.Errorf("%+v", made)
	}
	if tokens := seen(); len(tokens) != 1 || !strings.HasPrefix(tokens[0], "Validation: Testing client application reachability for subscription Request-Id: ") {
		t.Errorf("handshake %q", tokens)
	}
	one, err := mine.Subscription(t.Context(), made.ID)
	if err != nil || *one != *made { // contract 7.3
		t.Errorf("%+v, %v", one, err)
	}
	renewed, err := mine.UpdateSubscription(t.Context(), made.ID, client.Update{ExpirationDateTime: expires.Add(time.Hour)})
	if err != nil || !renewed.ExpirationDateTime.Equal(expires.Add(time.Hour)) {
		t.Errorf("%+v, %v", renewed, err)
	}
	var listed []string
	for sub, err := range mine.Subscriptions(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if sub.ClientState != "" {
			t.Error("a list tells the state") // contract 6.3
		}
		listed = append(listed, sub.ID)
	}
	if !slices.Equal(listed, []string{made.ID}) {
		t.Errorf("listed %v", listed)
	}
	// Another application sees nothing of it (contract 7.15).
	other := s.as("99999999-21ae-4080-943f-7067b395b913")
	if _, err := other.Subscription(t.Context(), made.ID); !client.IsNotFound(err) {
		t.Errorf("another application: %v", err)
	}
	if err := mine.ReauthorizeSubscription(t.Context(), made.ID); err != nil {
		t.Error(err)
	}
	// contract 7.11: within ten minutes of the renewal, which is told, and can be read later
	if advice := s.header(app, "/v1.0/subscriptions/"+made.ID).Get("Heliograph-Advice"); !strings.HasPrefix(advice, "updated and reauthorized within too short a time at 2") {
		t.Errorf("advice %q", advice)
	}
	if err := mine.DeleteSubscription(t.Context(), made.ID); err != nil {
		t.Error(err)
	}
	for _, call := range []func() error{
		func() error { _, err := mine.Subscription(t.Context(), made.ID); return err },
		func() error { return mine.DeleteSubscription(t.Context(), made.ID) },
		func() error { return mine.ReauthorizeSubscription(t.Context(), made.ID) },
	} {
		var e *client.Error
		if err := call(); !errors.As(err, &e) || e.Status != 404 || e.Code != "ResourceNotFound" || e.Message != "The object was not found." { // contract 5.38, 7.13
			t.Errorf("%v", err)
		}
	}
}

// A handshake that fails can be looked at by whoever owns the endpoint, and by nobody else.
func TestRealHandshake(t *testing.T) {
	t.Parallel()
	s := newReal(t)
	mine := s.as(app)
	url, _ := receiver(t, func(token string) string { return strings.ReplaceAll(token, " ", "+") })
	_, err := mine.CreateSubscription(t.Context(), client.Subscription{
		Resource: "users/" + creator + "/messages", ChangeType: "created", NotificationURL: url,
		ExpirationDateTime: clock.System().Now().Add(time.Hour),
	})
	var e *client.Error
	if !errors.As(err, &e) || e.Status != 400 || e.Code != "ValidationError" || e.Rule == "" || e.Handshake == "" ||
		e.Message != "Subscription validation request failed. Response must exactly match validationToken query parameter." { // contract 5.20
		t.Fatalf("%#v", err)
	}
	h, err := mine.Handshake(t.Context(), e.Handshake)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(h.Expected, "Request-Id: "+e.RequestID) { // contract 4.3
		t.Errorf("the token %q does not name the request %s", h.Expected, e.RequestID)
	}
	if h.URL != url || h.Proved || h.DiffersAt == nil || *h.DiffersAt != len("Validation:") || h.Answer == nil ||
		h.Answer.Status != 200 || h.Answer.Body != strings.ReplaceAll(h.Expected, " ", "+") || !strings.HasPrefix(h.Request, "POST /hook?a=1&validationToken=") {
		t.Errorf("%+v", h)
	}
	list, err := mine.Handshakes(t.Context())
	if err != nil || len(list) != 1 || list[0].ID != e.Handshake {
		t.Errorf("%+v, %v", list, err)
	}
	control := s.as("99999999-21ae-4080-943f-7067b395b913")
	token, err := control.MintToken(t.Context(), client.TokenRequest{Tenant: tenant, App: "77777777-21ae-4080-943f-7067b395b913", Roles: []string{"Mail.Read"}})
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := client.New(s.URL, client.StaticToken(token.Text))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stranger.Handshake(t.Context(), e.Handshake); !client.IsNotFound(err) {
		t.Errorf("a stranger: %v", err)
	}
	if _, err := control.Handshake(t.Context(), e.Handshake); err != nil {
		t.Errorf("an operator: %v", err)
	}
	if _, err := stranger.MintToken(t.Context(), client.TokenRequest{}); !strings.Contains(err.Error(), "Heliograph.Control") {
		t.Errorf("a stranger makes tokens: %v", err)
	}
}

// What is answered 202 is in the log.
func TestRealPublish(t *testing.T) {
	t.Parallel()
	s := newReal(t)
	mine := s.as(app)
	receipt, err := mine.Publish(t.Context(),
		client.Event{Source: "/mail", ID: "1", Type: client.Created, Resource: "Users('" + strings.ToUpper(creator) + "')/Messages('AAMk')", Data: map[string]string{"subject": "Hi"}},
		client.Event{Source: "/mail", ID: "2", Type: client.Deleted, Resource: "/users/" + creator + "/messages/AAMk"},
	)
	if err != nil || receipt.Accepted != 2 {
		t.Fatalf("%+v, %v", receipt, err)
	}
	frames, err := s.engine.Read(t.Context(), s.engine.PartitionOf(tenant), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer frames.Close()
	frame, err := frames.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(frame.Changes) != 2 {
		t.Fatalf("%+v", frame)
	}
	for i, c := range frame.Changes {
		if c.ID.String() != receipt.IDs[i] || c.Resource != "users/"+creator+"/messages/AAMk" || c.Tenant != tenant {
			t.Errorf("%+v", c)
		}
	}
	_, err = mine.Publish(t.Context(), client.Event{Source: "/mail", ID: "1", Type: client.Created, Resource: "users/" + creator + "/messages/a"},
		client.Event{Source: "/mail", ID: "1", Type: client.Created, Resource: "planets/mars"})
	var e *client.Error
	if !errors.As(err, &e) || e.Status != 400 || !strings.HasPrefix(e.Message, "event 1: subject: ") {
		t.Errorf("%v", err)
	}
	_, err = mine.Publish(t.Context(), client.Event{Source: "/mail", ID: "1", Type: client.Created, Tenant: otherTenant, Resource: "users/" + creator + "/messages/a"},
		client.Event{Source: "/mail", ID: "1", Type: client.Created, Resource: "users/" + creator + "/messages/a"})
	if !errors.As(err, &e) || e.Rule != "publish.one_tenant" {
		t.Errorf("%v", err)
	}
}
