package listen_test

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"heliograph.dev/internal/listen"
)

func serve(ctx context.Context, t *testing.T, opts listen.Options) (url string, ended chan error) {
	t.Helper()
	opts.Logger, opts.Now = quiet(), func() time.Time { return start }
	r, err := listen.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended = make(chan error, 1)
	go func() { ended <- r.Serve(ctx, listener) }()
	return "http://" + listener.Addr().String(), ended
}

func TestServeFinishesWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan struct{}), make(chan struct{})
	slow := target(t, func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-release
		w.WriteHeader(http.StatusNoContent)
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	url, ended := serve(ctx, t, listen.Options{ForwardTo: slow})
	answered := make(chan response, 1)
	go func() { answered <- send(t, http.MethodPost, url, collection) }()
	<-arrived
	cancel()
	close(release)
	if resp := <-answered; resp.status != http.StatusNoContent {
		t.Errorf("answered %d", resp.status)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestServeSaysThatItCannot(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = listener.Close()
	r, err := listen.New(listen.Options{Logger: quiet(), Now: func() time.Time { return start }})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Serve(t.Context(), listener); err == nil {
		t.Error("served on a closed listener")
	}
}

// deliver hands a body to r without a network: for the fuzzer.
func deliver(t *testing.T, r *listen.Receiver, body []byte) {
	t.Helper()
	w := httptest.NewRecorder()
	r.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", bytes.NewReader(body)))
	if w.Code != http.StatusAccepted {
		t.Errorf("answered %d", w.Code)
	}
}
