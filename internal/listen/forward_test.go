package listen_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"heliograph.dev/internal/listen"
)

const collection = `{"value":[{"subscriptionId":"s","changeType":"updated","resource":"r"}]}`

func target(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

func TestForwardPassesTheRequestOnAndTheAnswerBack(t *testing.T) {
	t.Parallel()
	var seen *http.Request
	var body []byte
	app := target(t, func(w http.ResponseWriter, req *http.Request) {
		seen = req.Clone(req.Context())
		body, _ = io.ReadAll(req.Body)
		w.Header().Set("Retry-After", "7")
		http.Error(w, "later", http.StatusServiceUnavailable)
	})
	received := 0
	r := receive(t, listen.Options{ForwardTo: app + "/app?key=1", Received: func(*listen.Receipt) { received++ }})
	resp := send(t, http.MethodPost, r.URL+"/notify?tenant=a;b&x=%zz", collection,
		"Content-Type", "application/json", "Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	if resp.status != http.StatusServiceUnavailable || resp.header.Get("Retry-After") != "7" || resp.body != "later\n" {
		t.Errorf("answered %d %v %q", resp.status, resp.header, resp.body)
	}
	if seen.Method != http.MethodPost || seen.URL.Path != "/app/notify" || seen.URL.RawQuery != "key=1&tenant=a;b&x=%zz" || string(body) != collection {
		t.Errorf("target saw %s %s %q", seen.Method, seen.URL, body)
	}
	if seen.Header.Get("Content-Type") != "application/json" || seen.Header.Get("Traceparent") == "" || "http://"+seen.Host != app {
		t.Errorf("target saw host %s, headers %v", seen.Host, seen.Header)
	}
	r.Close()
	if received != 1 || r.Counts().Notifications != 1 {
		t.Errorf("received %d, counts %+v", received, r.Counts())
	}
	if out := r.output(); !strings.Contains(out, "> forwarded 503  "+app+"/app/notify") {
		t.Errorf("printed %s", out)
	}
}

func TestForwardFollowsNoRedirect(t *testing.T) {
	t.Parallel()
	r := receive(t, listen.Options{ForwardTo: target(t, func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, "http://127.0.0.1:1/elsewhere", http.StatusTemporaryRedirect)
	})})
	if resp := send(t, http.MethodPost, r.URL, collection); resp.status != http.StatusTemporaryRedirect {
		t.Errorf("answered %d", resp.status)
	}
}

func TestForwardOfWhatIsNoCollection(t *testing.T) {
	t.Parallel()
	r := receive(t, listen.Options{ForwardTo: target(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })})
	for _, method := range []string{http.MethodPost, http.MethodGet, http.MethodPut} {
		if resp := send(t, method, r.URL, "hello"); resp.status != http.StatusTeapot {
			t.Errorf("%s: answered %d", method, resp.status)
		}
	}
	r.Close()
	if got := r.Counts(); got != (listen.Counts{Rejected: 3}) {
		t.Errorf("counts = %+v", got)
	}
}

func TestForwardedHandshake(t *testing.T) {
	t.Parallel()
	token := "Validation: 50% + more"
	echo := func(status int, media string, body func(*http.Request) string) http.HandlerFunc {
		return func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("Content-Type", media)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body(req))
		}
	}
	right := func(req *http.Request) string { return req.URL.Query().Get("validationToken") }
	tests := map[string]struct {
		target http.HandlerFunc
		says   string
	}{
		"right":         {echo(200, "text/plain; charset=utf-8", right), ""},
		"status":        {echo(202, "text/plain", right), "wants status 200"},                                                        // contract 4.16
		"content type":  {echo(200, "text/html", right), `wants content type text/plain, not "text/html"`},                           // contract 4.6
		"still encoded": {echo(200, "text/plain", func(*http.Request) string { return url.QueryEscape(token) }), "is still encoded"}, // contract 4.8
		"something":     {echo(200, "text/plain", func(*http.Request) string { return "ok" }), "wants the token as body, exactly"},
		"more":          {echo(200, "text/plain", func(req *http.Request) string { return right(req) + "\n" }), "wants the token as body, exactly"},
		"much more":     {echo(200, "text/plain", func(req *http.Request) string { return right(req) + strings.Repeat("x", 1<<20) }), "wants the token as body, exactly"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := httptest.NewRecorder()
			path := "/?validationToken=" + url.QueryEscape(token)
			test.target(want, httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, http.NoBody))
			r := receive(t, listen.Options{ForwardTo: target(t, test.target)})
			resp := send(t, http.MethodPost, r.URL+path, "")
			if resp.status != want.Code || resp.body != want.Body.String() {
				t.Errorf("answered %d %.40q, the target %d %.40q", resp.status, resp.body, want.Code, want.Body)
			}
			r.Close()
			if out := r.output(); !strings.Contains(out, test.says) || (test.says == "") != !strings.Contains(out, "wants") {
				t.Errorf("printed %s, want %q", out, test.says)
			}
			if r.Counts().Handshakes != 1 {
				t.Errorf("counts = %+v", r.Counts())
			}
		})
	}
}

func TestForwardToNobody(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	r := receive(t, listen.Options{ForwardTo: "http://" + address + "/?secret=1"})
	if resp := send(t, http.MethodPost, r.URL, collection); resp.status != http.StatusBadGateway {
		t.Errorf("answered %d", resp.status)
	}
	r.Close()
	if out := r.output(); !strings.Contains(out, "> forwarded failed  http://"+address+"/") || !strings.Contains(out, "refused") || strings.Contains(out, "secret") {
		t.Errorf("printed %s", out)
	}
}

func TestForwardToNobodyWhoAnswers(t *testing.T) {
	t.Parallel()
	r := receive(t, listen.Options{
		ForwardTimeout: 10 * time.Millisecond,
		ForwardTo: target(t, func(_ http.ResponseWriter, req *http.Request) {
			_, _ = io.Copy(io.Discard, req.Body) // so that the server notices when the connection ends
			<-req.Context().Done()
		}),
	})
	if resp := send(t, http.MethodPost, r.URL, collection); resp.status != http.StatusGatewayTimeout {
		t.Errorf("answered %d", resp.status)
	}
	r.Close()
	if out := r.output(); !strings.Contains(out, "no answer in 10ms") {
		t.Errorf("printed %s", out)
	}
}

func TestForwardedAnswerBreaksOff(t *testing.T) {
	t.Parallel()
	received := make(chan struct{}, 1)
	r := receive(t, listen.Options{
		Received: func(*listen.Receipt) { received <- struct{}{} },
		ForwardTo: target(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = fmt.Fprint(w, "only this")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}),
	})
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.URL, strings.NewReader(collection))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := transport.RoundTrip(req)
	if err == nil {
		_, err = io.ReadAll(resp.Body)
		_ = resp.Body.Close()
	}
	if err == nil {
		t.Error("the sender got a whole answer")
	}
	<-received
}
