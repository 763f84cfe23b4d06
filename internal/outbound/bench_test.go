//go:build unix

package outbound_test

import (
	"bufio"
	"bytes"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/outbound"
)

// BenchmarkPost compares a Post with a bare http.Client that sends the same body to the same sink, one after
// the other and in parallel. The sink does as little as it can, so that the difference is the client's.
func BenchmarkPost(b *testing.B) {
	body := bytes.Repeat([]byte(`{"value":1}`), 64) // some 700 B: one notification
	url := "http://" + leanSink(b)
	own := outbound.New(outbound.Options{AllowLoopback: true, AllowHTTP: true})
	defer own.Close()
	endpoint, err := own.Prepare(heliograph.Endpoint(url), 0)
	if err != nil {
		b.Fatal(err)
	}
	bare := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	defer bare.CloseIdleConnections()

	sends := map[string]func(b *testing.B){
		"outbound": func(b *testing.B) {
			b.Helper()
			if a := endpoint.Post(b.Context(), body, nil, 10*time.Second); !a.OK() {
				b.Fatal(a.Reason, a.Detail)
			}
		},
		"bare": func(b *testing.B) {
			b.Helper()
			req, _ := http.NewRequestWithContext(b.Context(), http.MethodPost, url, bytes.NewReader(body))
			req.Header.Set("Content-Type", "application/json; charset=utf-8")
			resp, err := bare.Do(req)
			if err != nil {
				b.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		},
	}
	for _, name := range []string{"outbound", "bare"} {
		b.Run(name+"/one", func(b *testing.B) {
			b.ReportAllocs()
			defer reportCPU(b, cpu())
			for b.Loop() {
				sends[name](b)
			}
		})
		b.Run(name+"/parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(16)
			defer reportCPU(b, cpu())
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					sends[name](b)
				}
			})
		})
	}
}

// BenchmarkPostOverTLS compares HTTP/1.1 and HTTP/2 with one receiver: one POST after the other, 64 at a time, and a burst:
// one and then 64 at once, after which the connections are closed as idle ones are.
func BenchmarkPostOverTLS(b *testing.B) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusAccepted)
	}))
	s.EnableHTTP2 = true
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.StartTLS()
	defer s.Close()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	for _, http2 := range []bool{false, true} {
		own := outbound.New(outbound.Options{AllowLoopback: true, RootCAs: roots, HTTP2: http2})
		defer own.Close()
		endpoint, err := own.Prepare(heliograph.Endpoint(s.URL), 0)
		if err != nil {
			b.Fatal(err)
		}
		name := map[bool]string{false: "http1.1", true: "http2"}[http2]
		for _, together := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/together=%d", name, together), func(b *testing.B) {
				b.ReportAllocs()
				defer reportCPU(b, cpu())
				postTogether(b, endpoint, together, b.N)
			})
		}
		b.Run(name+"/burst=64", func(b *testing.B) {
			defer reportCPU(b, cpu())
			for range b.N {
				postTogether(b, endpoint, 1, 1)
				postTogether(b, endpoint, 64, 64)
				own.Close()
			}
		})
	}
}

// postTogether makes n POSTs, so many at a time.
func postTogether(b *testing.B, endpoint *outbound.Endpoint, together, n int) {
	b.Helper()
	body := bytes.Repeat([]byte(`{"value":1}`), 64)
	var left atomic.Int64
	left.Store(int64(n))
	var posting sync.WaitGroup
	for range together {
		posting.Go(func() {
			for left.Add(-1) >= 0 {
				if a := endpoint.Post(b.Context(), body, nil, 10*time.Second); !a.OK() {
					b.Error(a.Reason, a.Detail)
					return
				}
			}
		})
	}
	posting.Wait()
}

// reportCPU tells what a post cost both sides, which is steadier than how long it took where others use the
// machine too.
func reportCPU(b *testing.B, before time.Duration) {
	b.Helper()
	b.ReportMetric(float64((cpu()-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
}

// cpu returns the processor time that the process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// leanSink answers every POST with 202 and reads no more of it than it must.
func leanSink(b *testing.B) string {
	b.Helper()
	l, err := (&net.ListenConfig{}).Listen(b.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serveLean(c)
		}
	}()
	return l.Addr().String()
}

func serveLean(c net.Conn) {
	defer func() { _ = c.Close() }()
	r := bufio.NewReader(c)
	answer := []byte("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
	for {
		length := 0
		for {
			line, err := r.ReadSlice('\n')
			if err != nil {
				return
			}
			if len(line) <= 2 {
				break
			}
			if digits, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
				for _, d := range bytes.TrimSpace(digits) {
					length = length*10 + int(d-'0')
				}
			}
		}
		if _, err := r.Discard(length); err != nil {
			return
		}
		if _, err := c.Write(answer); err != nil {
			return
		}
	}
}
