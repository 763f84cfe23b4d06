package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"heliograph.dev/client"
)

// scripted is a server that answers each call with the next answer and notes what was asked.
type scripted struct {
	*httptest.Server
	t       *testing.T
	answers []func(w http.ResponseWriter)
	asked   []string // method, path, Authorization, Content-Type and body
}

func serve(t *testing.T, answers ...func(http.ResponseWriter)) *scripted {
	t.Helper()
	s := &scripted{t: t, answers: answers}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *scripted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || len(s.asked) == len(s.answers) {
		s.t.Errorf("%s %s: %v", r.Method, r.URL, err)
		return
	}
	s.asked = append(s.asked, strings.Join([]string{r.Method, r.URL.RequestURI(), r.Header.Get("Authorization"), r.Header.Get("Content-Type"), string(body)}, " "))
	s.answers[len(s.asked)-1](w)
}

func (s *scripted) client(options ...client.Option) *client.Client {
	s.t.Helper()
	c, err := client.New(s.URL+"/", client.StaticToken("t"), options...)
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

func (s *scripted) wants(asked ...string) {
	s.t.Helper()
	if diff := cmp.Diff(asked, s.asked); diff != "" {
		s.t.Errorf("want -, got +:\n%s", diff)
	}
}

// says returns an answer of a status and a body, with header pairs.
func says(status int, body string, header ...string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func moment() time.Time { return time.Date(2026, 11, 24, 11, 30, 0, 0, time.FixedZone("", 3600)) }

func TestSubscriptionCalls(t *testing.T) {
	t.Parallel()
	const whole = `{"@odata.context":"c","id":"1","resource":"me/events","applicationId":"a","changeType":"created","clientState":"s","notificationUrl":"https://x","notificationQueryOptions":null,"expirationDateTime":"2026-11-24T10:30:00.9356913Z","creatorId":"u","includeResourceData":null}`
	s := serve(t, says(201, whole), says(200, whole), says(200, whole), says(204, ""), says(204, ""))
	c := s.client(client.WithBeta())
	made, err := c.CreateSubscription(t.Context(), client.Subscription{
		Resource: "me/events", ChangeType: "created", NotificationURL: "https://x", ExpirationDateTime: moment(), ClientState: "s",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := &client.Subscription{
		ID: "1", Resource: "me/events", ApplicationID: "a", ChangeType: "created", ClientState: "s", NotificationURL: "https://x",
		ExpirationDateTime: time.Date(2026, 11, 24, 10, 30, 0, 935691300, time.UTC), CreatorID: "u",
	}
	if diff := cmp.Diff(want, made); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
	if got, err := c.Subscription(t.Context(), "a/b"); err != nil || got.ID != "1" {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := c.UpdateSubscription(t.Context(), "1", client.Update{ExpirationDateTime: moment()}); err != nil || got.ID != "1" {
		t.Errorf("%+v, %v", got, err)
	}
	if err := errors.Join(c.ReauthorizeSubscription(t.Context(), "1"), c.DeleteSubscription(t.Context(), "1")); err != nil {
		t.Error(err)
	}
	s.wants(
		`POST /beta/subscriptions Bearer t application/json {"resource":"me/events","changeType":"created","notificationUrl":"https://x","expirationDateTime":"2026-11-24T10:30:00Z","clientState":"s"}`,
		`GET /beta/subscriptions/a%2Fb Bearer t  `,
		`PATCH /beta/subscriptions/1 Bearer t application/json {"expirationDateTime":"2026-11-24T10:30:00Z"}`,
		`POST /beta/subscriptions/1/reauthorize Bearer t  `,
		`DELETE /beta/subscriptions/1 Bearer t  `,
	)
}

func TestCreatePrefers(t *testing.T) {
	t.Parallel()
	asked := make(chan []string, 2)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Header.Values("Prefer")
		_, _ = io.WriteString(w, `{"id":"1"}`)
	}))
	t.Cleanup(s.Close)
	c, err := client.New(s.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, prefer := range []string{"", `IdType="ImmutableId"`} {
		if _, err := c.CreateSubscription(t.Context(), client.Subscription{Prefer: prefer}); err != nil {
			t.Fatal(err)
		}
	}
	if got := [][]string{<-asked, <-asked}; got[0] != nil || !slices.Equal(got[1], []string{`IdType="ImmutableId"`}) {
		t.Errorf("asked for %q", got)
	}
}

func TestListFollowsItsPages(t *testing.T) {
	t.Parallel()
	var s *scripted
	page := func(body string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) { _, _ = io.WriteString(w, strings.ReplaceAll(body, "HERE", s.URL)) }
	}
	s = serve(t,
		page(`{"value":[{"id":"1"},{"id":"2"}],"@odata.nextLink":"HERE/v1.0/subscriptions?$skiptoken=a%2Bb"}`),
		page(`{"value":[],"@odata.nextLink":"HERE/v1.0/subscriptions?$skiptoken=c"}`),
		page(`{"value":[{"id":"3"}]}`),
		page(`{"value":[{"id":"1"},{"id":"2"}],"@odata.nextLink":"HERE/x"}`),
		page(`{"value":[{"id":"1"}],"@odata.nextLink":"https://elsewhere.example/v1.0/subscriptions"}`),
	)
	var ids []string
	for sub, err := range s.client().Subscriptions(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, sub.ID)
	}
	if strings.Join(ids, " ") != "1 2 3" {
		t.Errorf("%v", ids)
	}
	for _, err := range s.client().Subscriptions(t.Context()) {
		if err != nil {
			t.Error(err)
		}
		break // asks for no further page
	}
	var last error
	for _, err := range s.client().Subscriptions(t.Context()) {
		last = err
	}
	if last == nil || !strings.Contains(last.Error(), "another server") {
		t.Errorf("a token was about to go elsewhere: %v", last)
	}
	if s.asked[1] != "GET /v1.0/subscriptions?$skiptoken=a%2Bb Bearer t  " || len(s.asked) != 5 {
		t.Errorf("%q", s.asked)
	}
}

func TestPublish(t *testing.T) {
	t.Parallel()
	s := serve(t, says(202, `{"accepted":2,"ids":["x","y"]}`), says(202, `{"accepted":1,"ids":["x"]}`), says(202, `{"accepted":0,"ids":[]}`))
	c := s.client()
	r, err := c.Publish(t.Context(),
		client.Event{
			Source: "/mail", ID: "1", Type: client.Created, Resource: "users/a/messages/b", Paths: []string{"p", "q"}, Tenant: "t",
			Time: moment(), Data: json.RawMessage(`{"a": 1}`), Traceparent: "tp",
		},
		client.Event{Source: "/mail", Type: client.Deleted, Resource: "users/a/messages/c", ImmutableID: "stays"},
	)
	if diff := cmp.Diff(client.Receipt{Accepted: 2, IDs: []string{"x", "y"}}, r); err != nil || diff != "" {
		t.Errorf("%v, %s", err, diff)
	}
	for _, raw := range []string{` {"id":"1"}`, "\n[]"} {
		if _, err := c.PublishRaw(t.Context(), json.RawMessage(raw)); err != nil {
			t.Error(err)
		}
	}
	if _, err := c.PublishRaw(t.Context(), json.RawMessage("hello")); err == nil {
		t.Error("took what is no event")
	}
	first, body, _ := strings.Cut(s.asked[0], "+json ")
	var sent []map[string]any
	if err := json.Unmarshal([]byte(body), &sent); err != nil || first != "POST /publish Bearer t application/cloudevents-batch" {
		t.Fatalf("%s: %v", s.asked[0], err)
	}
	if id, _ := sent[1]["id"].(string); len(id) < 20 {
		t.Errorf("id %q is not random", id)
	}
	delete(sent[1], "id")
	want := []map[string]any{
		{
			"specversion": "1.0", "id": "1", "source": "/mail", "type": "heliograph.change.created", "subject": "users/a/messages/b",
			"paths": "p q", "tenantid": "t", "time": "2026-11-24T11:30:00+01:00", "data": map[string]any{"a": 1.0}, "traceparent": "tp",
		},
		{"specversion": "1.0", "source": "/mail", "type": "heliograph.change.deleted", "subject": "users/a/messages/c", "immutableid": "stays"},
	}
	if diff := cmp.Diff(want, sent); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
	if s.asked[1] != `POST /publish Bearer t application/cloudevents+json {"id":"1"}` || s.asked[2] != `POST /publish Bearer t application/cloudevents-batch+json []` {
		t.Errorf("%q", s.asked[1:])
	}
}

func TestControl(t *testing.T) {
	t.Parallel()
	s := serve(t,
		says(201, `{"access_token":"a.b","token_type":"Bearer","expires_in":60,"expires":"2026-11-24T10:30:00Z"}`),
		says(201, `{}`),
		says(200, `{"value":[{"id":"1","proved":false}]}`),
		says(200, `{"id":"1","answer":{"status":200,"body":"x"},"differsAt":0,"timingMs":{"resolved":1.5}}`),
	)
	c := s.client()
	token, err := c.MintToken(t.Context(), client.TokenRequest{User: "u", Scopes: []string{}, Lifetime: -90 * time.Second})
	if err != nil || token.Text != "a.b" || !token.Expires.Equal(moment()) {
		t.Errorf("%+v, %v", token, err)
	}
	if _, err := c.MintToken(t.Context(), client.TokenRequest{}); err != nil {
		t.Error(err)
	}
	list, err := c.Handshakes(t.Context())
	if err != nil || len(list) != 1 || list[0].ID != "1" {
		t.Errorf("%+v, %v", list, err)
	}
	h, err := c.Handshake(t.Context(), "1")
	if err != nil || h.Answer.Body != "x" || h.DiffersAt == nil || h.Timing["resolved"] != 1.5 {
		t.Errorf("%+v, %v", h, err)
	}
	s.wants(
		`POST /control/v1/tokens Bearer t application/json {"user":"u","scopes":[],"lifetime":"-PT90.000S"}`,
		`POST /control/v1/tokens Bearer t application/json {}`,
		`GET /control/v1/handshakes Bearer t  `,
		`GET /control/v1/handshakes/1 Bearer t  `,
	)
}

func TestErrors(t *testing.T) {
	t.Parallel()
	s := serve(t,
		says(404, `{"error":{"code":"ResourceNotFound","message":"The object was not found.","innerError":{}}}`, "request-id", "r"),
		says(400, `{"error":{"code":"InvalidRequest","message":"m"}}`, "Heliograph-Rule", "rule", "Heliograph-Detail", "d", "Heliograph-Handshake", "h", "Retry-After", "7"),
		says(502, `<html>Bad gateway</html>`),
		says(302, ``, "Location", "http://elsewhere.example/"),
		says(200, `<html>`),
		says(200, `"`+strings.Repeat("x", 17<<20)+`"`),
	)
	c := s.client()
	want := []error{
		&client.Error{Status: 404, Code: "ResourceNotFound", Message: "The object was not found.", RequestID: "r"},
		&client.Error{Status: 400, Code: "InvalidRequest", Message: "m", Rule: "rule", Detail: "d", Handshake: "h", RetryAfter: 7 * time.Second},
		&client.Error{Status: 502, Code: "Bad Gateway", Message: "the answer is not from a Heliograph server"},
		&client.Error{Status: 302, Code: "Found", Message: "the answer is not from a Heliograph server"},
	}
	for i, w := range want {
		_, err := c.Subscription(t.Context(), "1")
		if diff := cmp.Diff(w, err); diff != "" {
			t.Errorf("want -, got +:\n%s", diff)
		}
		if client.IsNotFound(err) != (i == 0) {
			t.Errorf("%v: not found?", err)
		}
	}
	if text := want[1].Error(); text != "400 InvalidRequest: m (d)" {
		t.Error(text)
	}
	for _, part := range []string{"not what was expected", "larger than"} {
		if _, err := c.Subscription(t.Context(), "1"); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%v", err)
		}
	}
	s.Close()
	if _, err := c.Subscription(t.Context(), "1"); err == nil {
		t.Error("nobody answered")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Subscription(ctx, "1"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestNewRefusesAddresses(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"", "localhost:8080", "ftp://x", "http://", "http://[::1", "/v1.0"} {
		if _, err := client.New(address, nil); err == nil {
			t.Errorf("took %q", address)
		}
	}
}

func TestTokenErrorEndsTheCall(t *testing.T) {
	t.Parallel()
	broken := errors.New("no token today")
	c, err := client.New("http://127.0.0.1:1", func(context.Context) (string, error) { return "", broken })
	if err != nil {
		t.Fatal(err)
	}
	if err := c.DeleteSubscription(t.Context(), "1"); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	if _, err := c.Publish(t.Context(), client.Event{Data: func() {}}); err == nil {
		t.Error("took data that is no JSON")
	}
}

// One token serves all until it is about to end; then one request fetches the next.
func TestClientCredentials(t *testing.T) {
	t.Parallel()
	var fetched atomic.Int32
	answers := []string{
		`{"access_token":"one","expires_in":3600}`,
		`{"access_token":"short","expires_in":"1"}`,
	}
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil || r.PostForm.Get("grant_type") != "client_credentials" || r.PostForm.Get("client_id") != "id" ||
			r.PostForm.Get("client_secret") != "secret" || r.PostForm.Get("scope") != "https://graph.microsoft.com/.default" {
			t.Errorf("%v, %v", r.PostForm, err)
		}
		fetched.Add(1)
		which := 0
		if r.URL.Path == "/short" {
			which = 1
		}
		_, _ = io.WriteString(w, answers[which])
	}))
	t.Cleanup(issuer.Close)
	tokens := client.ClientCredentials(client.Credentials{TokenURL: issuer.URL + "/long", ClientID: "id", ClientSecret: "secret"})
	results := make(chan string, 20)
	for range cap(results) {
		go func() {
			token, err := tokens(t.Context())
			if err != nil {
				t.Error(err)
			}
			results <- token
		}()
	}
	for range cap(results) {
		if token := <-results; token != "one" {
			t.Errorf("token %q", token)
		}
	}
	if n := fetched.Load(); n != 1 {
		t.Errorf("%d requests for one token", n)
	}
	short := client.ClientCredentials(client.Credentials{TokenURL: issuer.URL + "/short", ClientID: "id", ClientSecret: "secret"})
	if token, err := short(t.Context()); err != nil || token != "short" {
		t.Errorf("a life in quotes: %s, %v", token, err)
	}
}

func TestClientCredentialsRefusals(t *testing.T) {
	t.Parallel()
	s := serve(t,
		says(401, `{"error":"invalid_client","error_description":"unknown"}`),
		says(200, `{}`),
		says(200, `{"access_token":"x"}`),
		says(200, `<html>`),
	)
	for _, part := range []string{"401 Unauthorized: invalid_client: unknown", "200 OK", "how long", "not with JSON"} {
		_, err := client.ClientCredentials(client.Credentials{TokenURL: s.URL + "?secret=x", ClientID: "id", ClientSecret: "secret"})(t.Context())
		if err == nil || !strings.Contains(err.Error(), part) || strings.Contains(err.Error(), "secret=secret") {
			t.Errorf("%v, want %s", err, part)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := client.ClientCredentials(client.Credentials{TokenURL: s.URL})(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if _, err := client.ClientCredentials(client.Credentials{TokenURL: "://"})(t.Context()); err == nil {
		t.Error("took a broken address")
	}
}

func TestTrigger(t *testing.T) {
	t.Parallel()
	s := serve(t,
		says(202, `{"seed":7,"accepted":1,"changes":[{"id":"1","event":"message.created","changeType":"created","resource":"r","paths":["p"],"parameters":{"user":"u"},"data":{"a":1}}]}`),
		says(200, `{"value":[{"event":"message.created","rows":["message"],"parameters":[{"name":"user","default":"demo","seeded":false}]}]}`),
	)
	c, seed := s.client(), uint64(0)
	made, err := c.Trigger(t.Context(), client.TriggerRequest{
		Event: "message.created", User: "u", Set: client.Settings{{Name: "z[0]", Value: "1"}, {Name: "a", Value: json.RawMessage(`{"b":1}`)}}, Seed: &seed, Count: 2,
	})
	if err != nil || made.Seed != 7 || len(made.Changes) != 1 || made.Changes[0].Parameters["user"] != "u" {
		t.Errorf("%+v, %v", made, err)
	}
	list, err := c.Triggers(t.Context())
	if err != nil || len(list) != 1 || list[0].Parameters[0].Default != "demo" {
		t.Errorf("%+v, %v", list, err)
	}
	s.wants(
		`POST /control/v1/trigger Bearer t application/json {"event":"message.created","user":"u","set":{"z[0]":"1","a":{"b":1}},"seed":0,"count":2}`,
		`GET /control/v1/triggers Bearer t  `,
	)
}
