package httpapi_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"heliograph.dev"
	"heliograph.dev/internal/httpapi"
	"heliograph.dev/internal/subscribe"
)

const (
	tenant      = "84bd8158-6d4d-4958-8b9f-9d6445542f95"
	otherTenant = "11111111-2222-4333-8444-555555555555"
	app         = "24d3b144-21ae-4080-943f-7067b395b913"
	creator     = "8ee44408-0679-472c-bc2a-692812af3437"
)

func start() time.Time { return time.Date(2026, 11, 22, 10, 30, 0, 0, time.UTC) }

// callers are the tokens that the test server knows.
func callers() map[string]*heliograph.Caller {
	caller := func(roles ...string) *heliograph.Caller {
		return &heliograph.Caller{Tenant: tenant, App: app, Object: creator, Roles: roles, Expires: start().Add(time.Hour)}
	}
	return map[string]*heliograph.Caller{
		"reader":     caller("Mail.Read"),
		"publisher":  caller(heliograph.PermissionPublish),
		"operator":   caller(heliograph.PermissionPublish, heliograph.PermissionControl),
		"controller": caller(heliograph.PermissionControl),
	}
}

// tokens is an Authenticator that knows tokens by heart.
type tokens map[string]*heliograph.Caller

func (t tokens) Authenticate(_ context.Context, authorization string) (*heliograph.Caller, error) {
	if authorization == "Bearer down" {
		return nil, &heliograph.Error{Kind: heliograph.Unavailable, Rule: "token.keys", Message: "The issuer's keys cannot be fetched."}
	}
	if caller, found := t[strings.TrimPrefix(authorization, "Bearer ")]; found {
		return caller, nil
	}
	return nil, heliograph.Errorf(heliograph.Unauthenticated, "token.unknown", "Access token is empty.")
}

// shelf keeps subscriptions in memory, without any rule.
type shelf struct {
	mu       sync.Mutex
	list     []heliograph.Subscription
	created  []subscribe.CreateRequest
	updated  []subscribe.UpdateRequest
	listed   []subscribe.ListRequest
	callers  []*heliograph.Caller
	fail     error
	panicky  bool
	pageSize int
}

func (s *shelf) Create(_ context.Context, caller *heliograph.Caller, r subscribe.CreateRequest) (*heliograph.Subscription, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.created, s.callers = append(s.created, r), append(s.callers, caller)
	if s.panicky {
		panic("the shelf fell over")
	}
	if s.fail != nil {
		return nil, s.fail
	}
	expires, _ := time.Parse(time.RFC3339, r.ExpirationDateTime)
	types, _ := heliograph.ParseChangeType(r.ChangeType)
	sub := heliograph.Subscription{
		ID:     heliograph.DeriveGUID("test", string(rune('a'+len(s.list)))),
		Tenant: caller.Tenant, App: caller.App, Creator: caller.Object,
		Resource: r.Resource, ChangeType: types, ChangeTypeText: r.ChangeType,
		NotificationURL: r.NotificationURL, LifecycleNotificationURL: r.LifecycleNotificationURL,
		ClientState: r.ClientState, Expires: expires,
		IncludeResourceData: r.IncludeResourceData, EncryptionCertificate: r.EncryptionCertificate,
		EncryptionCertificateID: r.EncryptionCertificateID, LatestSupportedTLSVersion: r.LatestSupportedTLSVersion,
		NotificationURLAppID: r.NotificationURLAppID, NotificationQueryOptions: r.NotificationQueryOptions,
		NotificationContentType: r.NotificationContentType,
	}
	s.list = append(s.list, sub)
	return &sub, nil
}

func (s *shelf) find(id heliograph.SubscriptionID) (int, error) {
	if s.fail != nil {
		return 0, s.fail
	}
	i := slices.IndexFunc(s.list, func(sub heliograph.Subscription) bool { return sub.ID == id })
	if i < 0 {
		return 0, heliograph.Errorf(heliograph.NotFound, "subscription.not_found", "The object was not found.")
	}
	return i, nil
}

func (s *shelf) Get(_ context.Context, _ *heliograph.Caller, id heliograph.SubscriptionID) (*heliograph.Subscription, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, err := s.find(id)
	if err != nil {
		return nil, err
	}
	sub := s.list[i]
	return &sub, nil
}

func (s *shelf) List(_ context.Context, _ *heliograph.Caller, r subscribe.ListRequest) (subscribe.List, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listed = append(s.listed, r)
	if s.fail != nil {
		return subscribe.List{}, s.fail
	}
	from := len(r.SkipToken) // as many letters as subscriptions to skip
	to := len(s.list)
	if s.pageSize > 0 {
		to = min(to, from+s.pageSize)
	}
	list := subscribe.List{Subscriptions: slices.Clone(s.list[from:to]), Ignored: r.Options}
	if to < len(s.list) {
		list.Next = strings.Repeat("+", to)
	}
	return list, nil
}

func (s *shelf) Update(_ context.Context, _ *heliograph.Caller, id heliograph.SubscriptionID, r subscribe.UpdateRequest) (*heliograph.Subscription, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.updated = append(s.updated, r)
	i, err := s.find(id)
	if err != nil {
		return nil, err
	}
	if r.ExpirationDateTime != nil {
		s.list[i].Expires, _ = time.Parse(time.RFC3339, *r.ExpirationDateTime)
	}
	if r.NotificationURL != nil {
		s.list[i].NotificationURL = *r.NotificationURL
	}
	sub := s.list[i]
	return &sub, nil
}

func (s *shelf) Delete(_ context.Context, _ *heliograph.Caller, id heliograph.SubscriptionID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, err := s.find(id)
	if err == nil {
		s.list = slices.Delete(s.list, i, i+1)
	}
	return err
}

func (s *shelf) Reauthorize(_ context.Context, _ *heliograph.Caller, id heliograph.SubscriptionID) (*heliograph.Subscription, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, err := s.find(id)
	if err != nil {
		return nil, err
	}
	sub := s.list[i]
	return &sub, nil
}

// mail knows the paths of messages, and no others.
type mail struct{}

func (mail) CanonicalChange(path string) (string, error) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	if len(parts) < 4 || !strings.EqualFold(parts[0], "users") || !strings.EqualFold(parts[len(parts)-2], "messages") {
		return "", heliograph.Errorf(heliograph.Invalid, "publish.resource", "no resource is like %q", path)
	}
	parts[0], parts[len(parts)-2] = "users", "messages"
	return strings.Join(parts, "/"), nil
}

// intake takes changes and keeps them.
type intake struct {
	mu      sync.Mutex
	batches [][]heliograph.Change
	fail    error
}

func (i *intake) Accept(_ context.Context, changes []heliograph.Change) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.fail == nil {
		i.batches = append(i.batches, changes)
	}
	return i.fail
}

func (i *intake) taken() []heliograph.Change {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Concat(i.batches...)
}

// journal collects log records.
type journal struct {
	mu    sync.Mutex
	bytes bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.bytes.Write(b)
}

// lines returns the log's lines so far, decoded.
func (j *journal) lines(t *testing.T) []map[string]any {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	var lines []map[string]any
	d := json.NewDecoder(bytes.NewReader(j.bytes.Bytes()))
	for d.More() {
		var line map[string]any
		if err := d.Decode(&line); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
	return lines
}

// bench is a server under test and what stands behind it.
type bench struct {
	sent *sent // of all

	*httptest.Server
	t       *testing.T
	shelf   *shelf
	intake  *intake
	log     *journal
	metrics *prometheus.Registry
	api     *httpapi.API
}

func (b *bench) logger() *slog.Logger { return slog.New(slog.NewJSONHandler(b.log, nil)) }

func newBench(t *testing.T, change ...func(*httpapi.Options)) *bench {
	t.Helper()
	b := &bench{t: t, shelf: &shelf{}, intake: &intake{}, log: &journal{}, metrics: prometheus.NewRegistry()}
	opts := httpapi.Options{
		Authenticator: tokens(callers()), Subscriptions: b.shelf, Resources: mail{}, Ingest: b.intake,
		Metrics: b.metrics, Node: "node-1", Version: "test", Now: start,
		AuthorizationURI: func(base string) string { return base + "/common/oauth2/authorize" },
		Logger:           slog.New(slog.NewJSONHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, c := range change {
		c(&opts)
	}
	var err error
	if b.api, err = httpapi.New(opts); err != nil {
		t.Fatal(err)
	}
	b.Server = httptest.NewServer(b.api)
	t.Cleanup(b.Close)
	return b
}

// reply is an answer, read.
type reply struct {
	*http.Response
	body string
}

// send sends a request as reader, unless the header pairs say otherwise. "" as a value removes a header.
func (b *bench) send(method, path, body string, header ...string) reply {
	b.t.Helper()
	request, err := http.NewRequestWithContext(b.t.Context(), method, b.URL+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer reader")
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		if header[i+1] == "" {
			request.Header.Del(header[i])
			continue
		}
		request.Header.Set(header[i], header[i+1])
	}
	if host := request.Header.Get("Host"); host != "" {
		request.Host = host
	}
	response, err := b.Client().Do(request)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	r := reply{response, string(text)}
	b.conforms(r)
	return r
}

// wants checks the status and, where the pairs name headers, those.
func (b *bench) wants(r reply, status int, header ...string) {
	b.t.Helper()
	if r.StatusCode != status {
		b.t.Errorf("%s %s: status %d, want %d: %s", r.Request.Method, r.Request.URL, r.StatusCode, status, r.body)
	}
	for i := 0; i < len(header); i += 2 {
		if got := r.Header.Get(header[i]); got != header[i+1] {
			b.t.Errorf("%s %s: %s %q, want %q", r.Request.Method, r.Request.URL, header[i], got, header[i+1])
		}
	}
}

// refuses checks a refusal: status, Graph's code, message and the rule.
func (b *bench) refuses(r reply, status int, code, message, rule string) {
	b.t.Helper()
	b.wants(r, status, "Heliograph-Rule", rule)
	var body struct {
		Error struct {
			Code, Message string
			InnerError    map[string]string `json:"innerError"`
		}
	}
	if err := json.Unmarshal([]byte(r.body), &body); err != nil {
		b.t.Fatalf("%s: %v", r.body, err)
	}
	if body.Error.Code != code || body.Error.Message != message {
		b.t.Errorf("%s %s: got  %s: %s\nwant %s: %s", r.Request.Method, r.Request.URL, body.Error.Code, body.Error.Message, code, message)
	}
	want := map[string]string{
		"date": "2026-11-22T10:30:00", "request-id": r.Header.Get("request-id"), "client-request-id": r.Header.Get("client-request-id"),
	}
	if code == "TooManyRequests" { // as the page on throttling shows it
		want["code"], want["message"], want["status"] = "429", "Please retry after", "429"
	}
	if diff := cmp.Diff(want, body.Error.InnerError); diff != "" {
		b.t.Errorf("innerError: %s", diff)
	}
}

func gzipped(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	return b.String()
}

// sameJSON compares two JSON texts as values.
func sameJSON(t *testing.T, got, want string) {
	t.Helper()
	var g, w any
	if err := json.Unmarshal([]byte(got), &g); err != nil {
		t.Fatalf("%v in %s", err, got)
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatalf("%v in %s", err, want)
	}
	if diff := cmp.Diff(w, g); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
}

// nowhere takes changes and forgets them.
type nowhere struct{}

func (nowhere) Accept(context.Context, []heliograph.Change) error { return nil }

// post sends a body past the network, as operator's publisher.
func post(tb testing.TB, api http.Handler, path, contentType, body string) (int, string) {
	tb.Helper()
	request := httptest.NewRequestWithContext(tb.Context(), http.MethodPost, path, strings.NewReader(body))
	request.Header.Set("Authorization", "Bearer publisher")
	request.Header.Set("Content-Type", contentType)
	w := httptest.NewRecorder()
	api.ServeHTTP(w, request)
	return w.Code, w.Body.String()
}
