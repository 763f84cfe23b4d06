package httpapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/httpapi"
)

func decode(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
}

func TestHealthAndReadiness(t *testing.T) {
	t.Parallel()
	var fail error
	b := newBench(t, func(o *httpapi.Options) {
		o.Ready = func(ctx context.Context) []httpapi.Check {
			if _, bounded := ctx.Deadline(); !bounded {
				t.Error("the checks have no end")
			}
			return []httpapi.Check{{Name: "engine", Err: fail}, {Name: "keys"}}
		}
	})
	anonymous := []string{"Authorization", ""}
	r := b.send("GET", "/healthz", "", anonymous...)
	b.wants(r, 200, "Content-Type", "application/json; charset=utf-8")
	sameJSON(t, r.body, `{"status":"ok"}`)

	r = b.send("GET", "/readyz", "", anonymous...)
	b.wants(r, 200)
	sameJSON(t, r.body, `{"status":"ready","checks":[{"name":"engine","ready":true},{"name":"keys","ready":true}]}`)

	fail = errors.New("/var/lib/heliograph: no quorum")
	r = b.send("GET", "/readyz", "", anonymous...)
	b.wants(r, 503)
	sameJSON(t, r.body, `{"status":"not ready","checks":[{"name":"engine","ready":false,"detail":"see the server's log"},{"name":"keys","ready":true}]}`)

	fail = heliograph.Errorf(heliograph.Unavailable, "engine.quorum", "no quorum")
	r = b.send("GET", "/readyz", "", anonymous...)
	b.wants(r, 503)
	sameJSON(t, r.body, `{"status":"not ready","checks":[{"name":"engine","ready":false,"detail":"no quorum"},{"name":"keys","ready":true}]}`)

	lines := b.log.lines(t)
	if text, _ := lines[2]["error"].(string); text != "engine: /var/lib/heliograph: no quorum" || lines[0]["level"] != "DEBUG" {
		t.Errorf("log: %v", lines)
	}
	without := newBench(t)
	sameJSON(t, without.send("GET", "/readyz", "").body, `{"status":"ready","checks":[]}`)
}

func TestRootSaysWhatThisIs(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.send("GET", "/", "", "Authorization", "", "Host", "h.example")
	b.wants(r, 200, "Content-Type", "application/json; charset=utf-8")
	var d struct {
		Name, Version string
		Addresses     map[string]string
	}
	decode(t, r.body, &d)
	if d.Name != "Heliograph" || d.Version != "test" || d.Addresses["publish"] != "http://h.example/publish" {
		t.Errorf("%s", r.body)
	}
	r = b.send("GET", "/", "", "Authorization", "", "Accept", "text/html,application/xhtml+xml", "Host", `h"><script>`)
	if r.StatusCode == 200 && strings.Contains(r.body, "<script>") {
		t.Errorf("%s", r.body)
	}
	r = b.send("GET", "/", "", "Accept", "text/html", "Host", "h.example")
	b.wants(r, 200, "Content-Type", "text/html; charset=utf-8", "Content-Security-Policy", "default-src 'none'")
	if !strings.Contains(r.body, `<a href="http://h.example/v1.0/subscriptions">`) {
		t.Errorf("%s", r.body)
	}
}

func TestOneLogLineAndTheMetrics(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.send("GET", "/v1.0/subscriptions/"+firstID, "")
	b.send("BREW", "/v1.0/subscriptions", "")
	lines := b.log.lines(t)
	if len(lines) != 2 {
		t.Fatalf("%d lines", len(lines))
	}
	for key, want := range map[string]any{
		"level": "INFO", "msg": "request", "method": "GET", "route": "/v1.0/subscriptions/{id}", "status": 404.0,
		"tenant": tenant, "app": app, "rule": "subscription.not_found", "error": "The object was not found.",
	} {
		if lines[0][key] != want {
			t.Errorf("%s: %v, want %v", key, lines[0][key], want)
		}
	}
	if took, _ := lines[0]["took"].(float64); took <= 0 {
		t.Errorf("took %v", lines[0]["took"])
	}
	if id, _ := lines[0]["request_id"].(string); len(id) != 36 {
		t.Errorf("request_id %q", id)
	}
	r := b.send("GET", "/metrics", "", "Authorization", "")
	b.wants(r, 200)
	for _, want := range []string{
		`heliograph_http_refusals_total{rule="request.method"} 1`,
		`heliograph_http_refusals_total{rule="subscription.not_found"} 1`,
		`heliograph_http_requests_total{method="GET",route="/v1.0/subscriptions/{id}",status="404"} 1`,
		`heliograph_http_requests_total{method="other",route="/v1.0/subscriptions",status="405"} 1`,
		`heliograph_http_request_seconds_count{route="/v1.0/subscriptions"} 1`,
	} {
		if !strings.Contains(r.body, want+"\n") {
			t.Errorf("no %s in\n%s", want, r.body)
		}
	}
}

func TestMetricsAreRegisteredOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if _, err := httpapi.New(httpapi.Options{Subscriptions: b.shelf, Ingest: b.intake, Metrics: b.metrics, Now: start}); err == nil {
		t.Error("two APIs count in one place")
	}
}

func TestPanicCostsOneRequest(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *httpapi.Options) {
		o.Next = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/late" {
				_, _ = io.WriteString(w, "begun")
			}
			panic("next fell over")
		})
	})
	b.shelf.panicky = true
	b.refuses(b.send("POST", "/v1.0/subscriptions", plainCreate), 500, "InternalServerError", "internal error", "internal")
	b.refuses(b.send("GET", "/early", ""), 500, "InternalServerError", "internal error", "internal")
	if r := b.send("GET", "/late", ""); r.body != "begun" {
		t.Errorf("%s", r.body)
	}
	lines := b.log.lines(t)
	for i, want := range []string{"panic: the shelf fell over", "panic: next fell over", "panic: next fell over"} {
		if stack, _ := lines[i]["stack"].(string); lines[i]["error"] != want || !strings.Contains(stack, "harness_test.go") && i == 0 {
			t.Errorf("line %d: %v", i, lines[i])
		}
	}
}

func TestNextAnswersForTheRest(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *httpapi.Options) {
		o.Next = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "public")
			w.WriteHeader(http.StatusTeapot)
			_, _ = io.WriteString(w, r.URL.Path)
		})
	})
	for path, status := range map[string]int{
		"/common/discovery/keys": 418, "/" + tenant + "/oauth2/v2.0/token": 418, "/common/v2.0/.well-known/openid-configuration?": 418,
		"/v1.0/users": 400, "/v2.0/users": 400, "/subscriptions": 400, "/publish/x": 404, "/healthz": 200, "/metrics/x": 404,
		"/v1.example/oauth2/token": 418,
	} {
		r := b.send("GET", path, "", "Authorization", "")
		b.wants(r, status)
		if status == 418 {
			b.wants(r, status, "Cache-Control", "public")
		}
		lines := b.log.lines(t)
		logged, _ := lines[len(lines)-1]["path"].(string)
		if want := strings.TrimSuffix(path, "?"); logged != want && status != 200 {
			t.Errorf("%s: the log says %q", path, logged)
		}
	}
}

func TestClientThatDoesNotWait(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx, cancel := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "/v1.0/subscriptions", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer reader")
	cancel()
	b.shelf.fail = ctx.Err()
	w := &silent{header: make(http.Header)}
	b.api.ServeHTTP(w, request)
	lines := b.log.lines(t)
	if lines[0]["status"] != 499.0 || lines[0]["rule"] != "request.abandoned" || lines[0]["level"] != "INFO" || w.written {
		t.Errorf("%v", lines)
	}
}

// silent notes whether anybody writes.
type silent struct {
	header  http.Header
	written bool
}

func (s *silent) Header() http.Header { return s.header }

func (s *silent) WriteHeader(int) { s.written = true }

func (s *silent) Write(b []byte) (int, error) { s.written = true; return len(b), nil }

// A server that is told to stop finishes what it has begun, and cuts what outlives its grace.
func TestServeStops(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		grace  time.Duration
		finish bool
	}{"in order": {time.Minute, true}, "by force": {time.Millisecond, false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			begun, finish := make(chan struct{}), make(chan struct{})
			server := httpapi.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				close(begun)
				select {
				case <-finish:
				case <-r.Context().Done():
				}
			}), newBench(t).logger())
			listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			served, answered := make(chan error, 1), make(chan error, 1)
			go func() { served <- httpapi.Serve(ctx, server, listener, test.grace) }()
			go func() {
				request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+listener.Addr().String(), nil)
				if err == nil {
					var response *http.Response
					if response, err = http.DefaultClient.Do(request); err == nil {
						err = response.Body.Close()
					}
				}
				answered <- err
			}()
			<-begun
			stop()
			if test.finish {
				close(finish)
			}
			if err := <-served; (err == nil) != test.finish {
				t.Errorf("serve: %v", err)
			}
			if err := <-answered; (err == nil) != test.finish {
				t.Errorf("request: %v", err)
			}
		})
	}
}

func TestServeTellsOfABrokenListener(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = listener.Close()
	if err := httpapi.Serve(t.Context(), httpapi.NewServer(http.NotFoundHandler(), newBench(t).logger()), listener, time.Second); err == nil {
		t.Error("no error")
	}
}
