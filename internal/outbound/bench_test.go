//go:build unix

package outbound_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
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
