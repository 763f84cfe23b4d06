package outbound_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/outbound"
)

// multiplexing is a receiver that offers HTTP/2 and counts its connections.
type multiplexing struct {
	addr  string
	conns atomic.Int64
}

func newMultiplexing(t *testing.T, ca *authority, handler http.HandlerFunc) *multiplexing {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &multiplexing{addr: l.Addr().String()}
	s := &http.Server{
		Handler: handler, ReadHeaderTimeout: 5 * time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
		TLSConfig: serverConfig(ca.issue(t, "127.0.0.1", now().Add(time.Hour))),
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				m.conns.Add(1)
			}
		},
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.ServeTLS(l, "", "") }()
	t.Cleanup(func() { _ = s.Close(); <-done })
	return m
}

func echoProtocol(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Location", "https://"+strings.ToLower(strings.ReplaceAll(r.Proto, "/", "-"))+".example/")
	w.WriteHeader(http.StatusFound) // a redirect's target is what an attempt tells of an answer
}

func TestHTTP2WhereTheEndpointHasIt(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	has := newMultiplexing(t, ca, echoProtocol).addr
	hasNot := secure(t, serverConfig(ca.issue(t, "127.0.0.1", now().Add(time.Hour))), echoProtocol)
	for _, tt := range []struct {
		addr string
		on   bool
		says string // latestSupportedTlsVersion
		want string
	}{{has, true, "", "http-2.0"}, {has, true, "v1_3", "http-2.0"}, {hasNot, true, "", "http-1.1"}, {has, false, "", "http-1.1"}} {
		c := client(t, outbound.Options{AllowLoopback: true, RootCAs: ca.pool, HTTP2: tt.on})
		e, err := c.Prepare(heliograph.Endpoint("https://"+tt.addr+"/hook?code=hush"), outbound.MinTLS(tt.says))
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if a := e.Post(t.Context(), []byte("{}"), http.Header{"Traceparent": {"00-1"}}, patient); !strings.Contains(a.Detail, tt.want) || a.Reason != heliograph.Redirected {
				t.Errorf("%+v: %+v", tt, a)
			}
		}
		if x := c.Exchange(t.Context(), outbound.Request{URL: "https://" + tt.addr + "/", Timeout: patient}); !strings.Contains(x.Attempt.Detail, "http-1.1") {
			t.Errorf("an exchange: %+v", x.Attempt) // its bytes are shown
		}
	}
}

func TestHTTP2SharesAConnection(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	var bodies atomic.Int64
	s := newMultiplexing(t, ca, func(w http.ResponseWriter, r *http.Request) {
		if body, _ := io.ReadAll(r.Body); string(body) == `{"value":[]}` && r.ContentLength == int64(len(body)) && r.Header.Get("User-Agent") == "" {
			bodies.Add(1)
		}
		w.WriteHeader(http.StatusAccepted)
	})
	c := client(t, outbound.Options{AllowLoopback: true, RootCAs: ca.pool, HTTP2: true, MaxConnsPerHost: 3})
	if a := post(t, c, "https://"+s.addr, patient); !a.OK() {
		t.Fatalf("%+v", a)
	}
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if a := post(t, c, "https://"+s.addr, patient); !a.OK() {
				t.Errorf("%+v", a)
			}
		})
	}
	wg.Wait()
	if s.conns.Load() != 1 || bodies.Load() != 51 {
		t.Errorf("%d connections, %d bodies", s.conns.Load(), bodies.Load())
	}
}

func TestHostileReceiversOverHTTP2(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		handler http.HandlerFunc
		reason  heliograph.Reason
		status  int
	}{
		"never answers": {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, heliograph.TimedOut, 0},
		"never ends": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}, heliograph.TimedOut, 200},
		"endless body": {func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, strings.Repeat("a", 1<<10)); err != nil {
					return
				}
			}
		}, heliograph.Delivered, 200},
		"long headers": {func(w http.ResponseWriter, _ *http.Request) {
			for i := range 100 {
				w.Header().Set("X-Filler-"+strings.Repeat("y", i), strings.Repeat("abc", 500))
			}
		}, heliograph.ConnectionBroke, 0},
		"endless 103": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Filler", strings.Repeat("abc", 500))
			for r.Context().Err() == nil {
				w.WriteHeader(http.StatusEarlyHints)
			}
		}, heliograph.ConnectionBroke, 0},
		"resets the stream": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, heliograph.ConnectionBroke, 0},
		"2xx, then resets": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}, heliograph.ConnectionBroke, 200},
		"429": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) }, heliograph.RefusedStatus, 429},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ca := newAuthority(t)
			s := newMultiplexing(t, ca, tt.handler)
			c := client(t, outbound.Options{AllowLoopback: true, RootCAs: ca.pool, HTTP2: true})
			timeout := patient
			if tt.reason == heliograph.TimedOut {
				timeout = impatient
			}
			a := post(t, c, "https://"+s.addr+"/?code=hush", timeout)
			if a.Reason != tt.reason || a.Status != tt.status || strings.Contains(a.Detail, "hush") {
				t.Errorf("%+v, want %s %d", a, tt.reason, tt.status)
			}
		})
	}
}

// A receiver that agrees to HTTP/2 and then talks nonsense, or says nothing more, is a failure and no hang.
func TestNotHTTP2(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	for name, tt := range map[string]struct {
		serve  func(net.Conn)
		reason heliograph.Reason
	}{
		"garbage": {func(c net.Conn) { repeat(c, "HTTP/1.1 200 OK\r\n\r\n") }, heliograph.ConnectionBroke},
		"silence": {func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }, heliograph.TimedOut},
		"closes":  {func(c net.Conn) { _, _ = bufio.NewReader(c).ReadByte() }, heliograph.ConnectionBroke},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := serverConfig(ca.issue(t, "127.0.0.1", now().Add(time.Hour)))
			config.NextProtos = []string{"h2"}
			l, err := tls.Listen("tcp", "127.0.0.1:0", config)
			if err != nil {
				t.Fatal(err)
			}
			var serving sync.WaitGroup
			ctx, cancel := context.WithCancel(context.Background())
			serving.Go(func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					context.AfterFunc(ctx, func() { _ = conn.Close() })
					serving.Go(func() { defer func() { _ = conn.Close() }(); tt.serve(conn) })
				}
			})
			t.Cleanup(func() { _ = l.Close(); cancel(); serving.Wait() })
			c := client(t, outbound.Options{AllowLoopback: true, RootCAs: ca.pool, HTTP2: true})
			timeout := patient
			if tt.reason == heliograph.TimedOut {
				timeout = impatient
			}
			if a := post(t, c, "https://"+l.Addr().String(), timeout); a.Reason != tt.reason {
				t.Errorf("%+v, want %s", a, tt.reason)
			}
		})
	}
}
