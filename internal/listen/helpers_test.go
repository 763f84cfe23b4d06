package listen_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"heliograph.dev/internal/listen"
)

var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// hook is a Receiver behind a real server, with its output. Close waits until all handlers have ended.
type hook struct {
	*listen.Receiver
	*httptest.Server
	out *buffer
}

func (r hook) Close() {
	r.Server.Close()
	r.Receiver.Close()
}

func (r hook) output() string { return r.out.String() }

func receive(t *testing.T, opts listen.Options) hook {
	t.Helper()
	out := &buffer{}
	opts.Out = out
	opts.Logger = quiet()
	if opts.Now == nil {
		opts.Now = func() time.Time { return start }
	}
	r, err := listen.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	both := hook{r, httptest.NewServer(r), out}
	t.Cleanup(both.Close)
	return both
}

type buffer struct {
	mu    sync.Mutex
	text  bytes.Buffer
	wrote chan struct{} // closed at the next write
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.wrote != nil {
		close(b.wrote)
		b.wrote = nil
	}
	return b.text.Write(p)
}

// await waits until the text stands in the output: a sender is answered before anything is printed.
func (b *buffer) await(t *testing.T, text string) {
	t.Helper()
	deadline := time.After(time.Minute)
	for {
		b.mu.Lock()
		found := strings.Contains(b.text.String(), text)
		if b.wrote == nil {
			b.wrote = make(chan struct{})
		}
		wrote := b.wrote
		b.mu.Unlock()
		if found {
			return
		}
		select {
		case <-wrote:
		case <-deadline:
			t.Fatalf("%q was not printed", text)
		}
	}
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

type response struct {
	status int
	header http.Header
	body   string
}

// send makes a request with the headers given in pairs and reads the whole answer. It follows no redirect.
func send(t *testing.T, method, url, body string, headers ...string) response {
	t.Helper()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i+1] != "" {
			req.Header.Set(headers[i], headers[i+1])
		}
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response{resp.StatusCode, resp.Header, string(text)}
}
