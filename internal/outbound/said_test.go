package outbound_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"heliograph.dev"
	"heliograph.dev/internal/outbound"
)

func TestPostKeepsWhatWasSaid(t *testing.T) {
	t.Parallel()
	const kept = 2 << 10
	answer := ""
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("X-Receiver", "here")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(s.Close)
	for _, trace := range []bool{false, true} {
		e, err := dev(t, outbound.Options{Trace: trace}).Prepare(heliograph.Endpoint(s.URL+"/hook?code=1"), 0)
		if err != nil {
			t.Fatal(err)
		}
		for i, body := range []string{"", "not now", strings.Repeat("x", kept), strings.Repeat("x", kept+1)} {
			answer = body
			a := e.Post(t.Context(), []byte("{}"), http.Header{"Traceparent": {"00-1"}}, patient)
			said := a.Said
			if a.Status != 503 || said == nil || http.Header(said.Header).Get("X-Receiver") != "here" || said.FirstByte <= 0 || said.FirstByte > a.Took {
				t.Fatalf("trace %v: %+v, said %+v", trace, a, said)
			}
			if string(said.Body) != body[:min(len(body), kept)] || said.Truncated != (len(body) > kept) {
				t.Errorf("trace %v: of %d bytes %d are kept, truncated %v", trace, len(body), len(said.Body), said.Truncated)
			}
			if !trace {
				if said.Sent != "" || said.Address != "" {
					t.Errorf("traced, though nobody asked for it: %+v", said)
				}
				continue
			}
			for _, want := range []string{"POST /hook?code=1 HTTP/1.1\r\n", "Host: 127.0.0.1:", "Content-Type: application/json; charset=utf-8\r\n", "Traceparent: 00-1\r\n"} {
				if !strings.Contains(said.Sent, want) {
					t.Errorf("the head %q lacks %q", said.Sent, want)
				}
			}
			if i == 0 && (said.Kept || said.Connected == 0) || !strings.HasPrefix(said.Address, "127.0.0.1:") {
				t.Errorf("post %d: %+v", i, said)
			}
		}
		for tries := 0; trace && !e.Post(t.Context(), nil, nil, patient).Said.Kept; tries++ { // a connection comes back in its own time
			if tries == 1000 {
				t.Fatal("no connection is said to be kept")
			}
		}
	}
}

func TestPostWithoutAnAnswerKeepsWhatItHeard(t *testing.T) {
	t.Parallel()
	e, err := dev(t, outbound.Options{Trace: true}).Prepare("http://127.0.0.1:1/", 0)
	if err != nil {
		t.Fatal(err)
	}
	if a := e.Post(t.Context(), nil, nil, patient); a.Reason != heliograph.ConnectFailed || a.Said == nil || a.Said.Header != nil || a.Said.Sent != "" {
		t.Errorf("%+v, said %+v", a, a.Said)
	}
}
