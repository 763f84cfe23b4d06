package subscribe_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/subscribe"
)

func TestHandshakeRequest(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.message()
	r.RequestID, _ = heliograph.ParseGUID("0f2c5a1e-8d3b-4c6f-9a7e-123456789abc")
	type head struct {
		line   string
		header http.Header
		length int64
	}
	got := make(chan head, 1)
	b.receiver.answers(func(w http.ResponseWriter, r *http.Request) {
		got <- head{r.Method + " " + r.RequestURI, r.Header, r.ContentLength}
		echo(w, r)
	})
	if _, err := b.service.Create(t.Context(), user("Mail.Read"), r); err != nil {
		t.Fatal(err)
	}
	h := <-got
	want := "POST /hook?code=x&validationToken=Validation%3a+Testing+client+application+reachability+for+subscription+Request-Id%3a+0f2c5a1e-8d3b-4c6f-9a7e-123456789abc"
	if h.line != want { // contract 4.1, 4.3, 4.4
		t.Errorf("request %q\n   want %q", h.line, want)
	}
	if h.length != 0 || len(h.header) != 2 || h.header.Get("Content-Type") != "text/plain; charset=utf-8" || h.header.Get("Content-Length") != "0" {
		t.Errorf("header %v, %d bytes of body: want Content-Type and Content-Length only", h.header, h.length) // contract 4.2, 4.5, 4.11
	}
}

// calling writes down the calls of handshakes.
type calling struct {
	echoing
	calls chan subscribe.Call
}

func (c calling) Exchange(ctx context.Context, call subscribe.Call) subscribe.Exchange {
	c.calls <- call
	return c.echoing.Exchange(ctx, call)
}

func TestHandshakeLimits(t *testing.T) {
	t.Parallel()
	calls := make(chan subscribe.Call, 1)
	b := newBench(t, func(o *subscribe.Options) { o.Endpoints = calling{calls: calls} })
	r := b.message()
	r.LatestSupportedTLSVersion = "v1_3"
	if _, err := b.service.Create(t.Context(), user("Mail.Read"), r); err != nil {
		t.Fatal(err)
	}
	if call := <-calls; call.Timeout != 10*time.Second || call.LatestTLS != "v1_3" { // contract 4.6, 1.13
		t.Errorf("%+v", call)
	}
}

func TestBothEndpointsAreProved(t *testing.T) { // contract 4.9
	t.Parallel()
	b := newBench(t)
	tests := map[string]struct {
		notification, lifecycle string
		want                    []string // paths
	}{
		"one":   {"/a", "", []string{"/a"}},
		"two":   {"/a", "/b", []string{"/a", "/b"}},
		"equal": {"/a", "/a", []string{"/a", "/a"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			receiver := newReceiver(t)
			r := b.message()
			r.NotificationURL = receiver.URL + tt.notification
			if tt.lifecycle != "" {
				r.LifecycleNotificationURL = receiver.URL + tt.lifecycle
			}
			if _, err := b.service.Create(t.Context(), user("Mail.Read"), r); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, uri := range receiver.calls() {
				path, query, _ := strings.Cut(uri, "?")
				got = append(got, path)
				if !strings.HasPrefix(query, "validationToken=") {
					t.Errorf("asked %s", uri)
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("asked %v, want %v", got, tt.want)
			}
		})
	}
}

func TestHandshakeVerdicts(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	text := func(status int, contentType string, body func(token string) string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Content-Type"] = []string{contentType}
			if contentType == "" {
				w.Header()["Content-Type"] = nil
			}
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body(r.URL.Query().Get("validationToken"))))
		}
	}
	same := func(token string) string { return token }
	status := func(name string) string {
		return "Subscription validation request failed. HTTP status code is '" + name + "'. Notification endpoint must respond with 200 OK to validation request."
	}
	const (
		echoText = "Subscription validation request failed. Response must exactly match validationToken query parameter."
		tokenLen = len("Validation: Testing client application reachability for subscription Request-Id: 00000000-0000-0000-0000-000000000000")
	)
	tests := map[string]struct {
		answer  http.HandlerFunc
		rule    string
		text    string
		differs int
	}{
		"with parameters":   {text(200, "Text/Plain; charset=utf-8", same), "", "", -1}, // contract 4.6
		"201":               {text(201, "text/plain", same), "handshake.status", status("Created"), -1},
		"202":               {text(202, "text/plain", same), "handshake.status", status("Accepted"), -1}, // contract 4.16
		"302":               {text(302, "text/plain", same), "handshake.status", status("Found"), -1},
		"400":               {text(400, "text/plain", same), "handshake.status", status("BadRequest"), -1}, // contract 5.18
		"403":               {text(403, "text/html", same), "handshake.status", status("Forbidden"), -1},
		"418":               {text(418, "text/plain", same), "handshake.status", status("418"), -1},
		"500":               {text(500, "text/plain", same), "handshake.status", status("InternalServerError"), -1},
		"another type":      {text(200, "application/json", same), "handshake.content_type", "text/plain", -1},
		"no type":           {text(200, "", same), "handshake.content_type", "text/plain", -1},
		"nothing":           {text(200, "text/plain", func(string) string { return "" }), "handshake.echo", echoText, 0}, // contract 5.20
		"in quotes":         {text(200, "text/plain", func(s string) string { return `"` + s + `"` }), "handshake.echo", echoText, 0},
		"a line more":       {text(200, "text/plain", func(s string) string { return s + "\n" }), "handshake.echo", echoText, tokenLen},
		"still encoded":     {text(200, "text/plain", url.QueryEscape), "handshake.echo", echoText, len("Validation")}, // contract 4.8
		"in lower case":     {text(200, "text/plain", strings.ToLower), "handshake.echo", echoText, 0},
		"far more":          {text(200, "text/plain", func(s string) string { return s + strings.Repeat("a", 1<<20) }), "handshake.echo", echoText, tokenLen},
		"closes":            {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "handshake.connect", "closed", 0},
		"without an answer": {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "handshake.timeout", "Subscription validation request timed out.", 0}, // contract 5.21
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			receiver, c := newReceiver(t), user("Mail.Read")
			receiver.answers(tt.answer)
			r := b.message()
			r.NotificationURL = receiver.URL + "/?code=hush"
			s, err := b.service.Create(t.Context(), c, r)
			if got := refusal(t, err); got.Rule != tt.rule || !strings.Contains(got.Message, tt.text) || strings.Contains(got.Message, "hush") ||
				err != nil && (got.Kind != heliograph.Invalid || got.Code != "ValidationError") || (s != nil) != (err == nil) { // contract 4.10
				t.Errorf("%+v, subscription %v; want %q, %q", got, s, tt.rule, tt.text)
			}
			kept := b.service.Handshakes().List(c)
			if len(kept) != 1 {
				t.Fatalf("%d handshakes are kept", len(kept))
			}
			h := kept[0]
			if h.Rule != tt.rule || h.Differs != tt.differs || h.Property != "notificationUrl" || h.URL != r.NotificationURL ||
				!strings.HasPrefix(h.Exchange.Sent, "POST /?code=hush&validationToken=Validation%3a+Testing") {
				t.Errorf("kept %+v", h)
			}
			if failed, ok := errors.AsType[*subscribe.HandshakeError](err); ok != (err != nil) || ok && failed.Exchange != h.ID {
				t.Errorf("%v (%T) does not lead to the exchange", err, err)
			}
		})
	}
}

func TestHandshakeWithNobody(t *testing.T) { // contract 5.22
	t.Parallel()
	b, c := newBench(t), user("Mail.Read")
	gone := newReceiver(t)
	gone.Close()
	r := b.message()
	r.LifecycleNotificationURL = gone.URL
	_, err := b.service.Create(t.Context(), c, r)
	if got := refusal(t, err); got.Rule != "handshake.connect" || !strings.Contains(got.Message, "refused") {
		t.Errorf("%+v", got)
	}
	kept := b.service.Handshakes().List(c)
	if len(kept) != 2 || kept[0].Property != "lifecycleNotificationUrl" || kept[1].Property != "notificationUrl" || kept[1].Rule != "" {
		t.Errorf("kept %+v", kept)
	}
	r.LifecycleNotificationURL = "https" + strings.TrimPrefix(b.receiver.URL, "http")
	_, err = b.service.Create(t.Context(), c, r)
	if got := refusal(t, err); got.Rule != "handshake.tls" {
		t.Errorf("%+v", got)
	}
	list, err := b.service.List(t.Context(), c, subscribe.ListRequest{})
	if err != nil || len(list.Subscriptions) != 0 {
		t.Errorf("%+v, %v: want no subscription", list, err)
	}
}

func TestHostileToken(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *subscribe.Options) { o.HostileToken = true })
	c := user("Mail.Read")
	if _, err := b.service.Create(t.Context(), c, b.message()); err != nil { // net/url decodes well
		t.Fatal(err)
	}
	if token := b.service.Handshakes().List(c)[0].Token; !strings.HasSuffix(token, "+/=%&") {
		t.Errorf("token %q", token)
	}
	b.receiver.answers(func(w http.ResponseWriter, r *http.Request) { // somebody decodes twice
		w.Header().Set("Content-Type", "text/plain")
		token, _ := url.QueryUnescape(r.URL.Query().Get("validationToken"))
		_, _ = w.Write([]byte(token))
	})
	r := b.message()
	r.Resource = "me/messages"
	if _, err := b.service.Create(t.Context(), c, r); refusal(t, err).Rule != "handshake.echo" {
		t.Errorf("%v", err)
	}
}

func TestBookOfHandshakes(t *testing.T) {
	t.Parallel()
	b, _ := newMemoryBench(t)
	c := user("Mail.Read")
	b.receiver.answers(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	for range 300 {
		if _, err := b.service.Create(t.Context(), c, b.message()); err == nil {
			t.Fatal("created")
		}
		b.clock.Advance(time.Second)
	}
	book := b.service.Handshakes()
	list := book.List(c)
	if len(list) != 256 || !slices.IsSortedFunc(list, func(a, b subscribe.Handshake) int {
		return b.Exchange.Attempt.Started.Compare(a.Exchange.Attempt.Started)
	}) {
		t.Errorf("%d kept, or not the latest first", len(list))
	}
	if h, ok := book.Get(c, list[9].ID); !ok || h.ID != list[9].ID {
		t.Errorf("by id: %v, %v", h, ok)
	}
	stranger, operator, abroad := *c, *application(heliograph.PermissionControl), *c
	stranger.App, operator.Tenant, abroad.Tenant = "another", c.Tenant, "another"
	for name, who := range map[string]struct {
		caller *heliograph.Caller
		sees   int
	}{"stranger": {&stranger, 0}, "operator": {&operator, 256}, "another tenant": {&abroad, 0}} {
		if got := len(book.List(who.caller)); got != who.sees {
			t.Errorf("%s sees %d, want %d", name, got, who.sees)
		}
	}
}
