package outbound_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/outbound"
)

// impatient is a time-out that a receiver runs into; patient is one that no test should.
const impatient, patient = 250 * time.Millisecond, time.Minute

func TestPostSendsWhatItIsGiven(t *testing.T) { // contract 10.1
	t.Parallel()
	type request struct {
		line   string
		header http.Header
		body   string
		length int64
	}
	got := make(chan request, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- request{r.Method + " " + r.RequestURI, r.Header, string(body), r.ContentLength}
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(s.Close)
	started := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	c := dev(t, outbound.Options{Now: func() time.Time { return started }})
	url := s.URL + "/hook%2Fa?code=x%20y&b"
	e, err := c.Prepare(heliograph.Endpoint(url), 0)
	if err != nil {
		t.Fatal(err)
	}
	a := e.Post(t.Context(), []byte("{}"), http.Header{"Traceparent": {"00-1"}}, patient)
	if !a.OK() || a.Status != 202 || a.Endpoint != heliograph.Endpoint(url) || !a.Started.Equal(started) || a.Took <= 0 || a.Detail != "" {
		t.Errorf("attempt %+v", a)
	}
	r := <-got
	if r.line != "POST /hook%2Fa?code=x%20y&b" || r.body != "{}" || r.length != 2 {
		t.Errorf("request %+v", r)
	}
	if len(r.header) != 3 || r.header.Get("Content-Type") != "application/json; charset=utf-8" || r.header.Get("Traceparent") != "00-1" {
		t.Errorf("header %v: want Content-Type, Content-Length and Traceparent only", r.header)
	}
	if a := e.Post(t.Context(), nil, nil, patient); !a.OK() {
		t.Errorf("a second one: %+v", a)
	}
	if r := <-got; len(r.header.Values("Traceparent")) != 0 {
		t.Errorf("one post's header is in the next: %v", r.header)
	}
}

func TestHostileReceivers(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		serve  func(c net.Conn)
		reason heliograph.Reason
		status int
		detail string // part of it
	}{
		"never answers":           {func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }, heliograph.TimedOut, 0, "in time"},
		"a byte at a time":        {func(c net.Conn) { trickle(c, "HTTP/1.1 200 OK\r\nX-Filler: "+strings.Repeat("a", 1000)) }, heliograph.TimedOut, 0, "in time"},
		"body a byte at a time":   {answerThen("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", func(c net.Conn) { trickle(c, "a") }), heliograph.TimedOut, 200, "in time"},
		"endless headers":         {answerThen("HTTP/1.1 200 OK\r\n", func(c net.Conn) { repeat(c, "X-Filler: abc\r\n") }), heliograph.ConnectionBroke, 0, "too long"},
		"endless header line":     {answerThen("HTTP/1.1 200 OK\r\nX: ", func(c net.Conn) { repeat(c, "aaaaaaaa") }), heliograph.ConnectionBroke, 0, "too long"},
		"endless 100-continue":    {func(c net.Conn) { repeat(c, "HTTP/1.1 100 Continue\r\n\r\n") }, heliograph.ConnectionBroke, 0, "too long"},
		"one 100-continue":        {answer("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"), heliograph.Delivered, 204, ""},
		"endless body":            {answerThen("HTTP/1.1 200 OK\r\n\r\n", func(c net.Conn) { repeat(c, "aaaaaaaa") }), heliograph.Delivered, 200, ""},
		"endless body of refusal": {answerThen("HTTP/1.1 500 Oops\r\n\r\n", func(c net.Conn) { repeat(c, "aaaaaaaa") }), heliograph.RefusedStatus, 500, ""},
		"endless chunk":           {answerThen("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7fffffffffffffff\r\n", func(c net.Conn) { repeat(c, "a") }), heliograph.Delivered, 200, ""},
		"impossible chunk":        {answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n"), heliograph.ConnectionBroke, 200, "not HTTP"},
		"garbage":                 {answer("\x00\x01hush\r\n\r\n"), heliograph.ConnectionBroke, 0, "not HTTP"},
		"garbage status":          {answer("HTTP/1.1 hush OK\r\n\r\n"), heliograph.ConnectionBroke, 0, "not HTTP"},
		"closes at once":          {func(net.Conn) {}, heliograph.ConnectionBroke, 0, "closed"},
		"closes within the head":  {answer("HTTP/1.1 200 OK\r\n"), heliograph.ConnectionBroke, 0, "closed"},
		"2xx, then resets": {answerThen("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", func(c net.Conn) {
			if tcp, ok := c.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0)
			}
		}), heliograph.ConnectionBroke, 200, "closed"},
		"switches protocols": {answerThen("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }), heliograph.RefusedStatus, 101, ""},
		"201":                {answer("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"), heliograph.Delivered, 201, ""},
		"304":                {answer("HTTP/1.1 304 Not Modified\r\n\r\n"), heliograph.Redirected, 304, "not followed"},
		"410":                {answer("HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n"), heliograph.RefusedStatus, 410, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			timeout := patient
			if tt.reason == heliograph.TimedOut {
				timeout = impatient
			}
			r := newRaw(t, tt.serve)
			a := post(t, dev(t, outbound.Options{}), "http://"+r.addr+"/?code=hush", timeout)
			if a.Reason != tt.reason || a.Status != tt.status || !strings.Contains(a.Detail, tt.detail) {
				t.Errorf("attempt %+v, want %s %d %q", a, tt.reason, tt.status, tt.detail)
			}
			if strings.Contains(a.Detail, "hush") {
				t.Errorf("the detail %q holds a secret", a.Detail)
			}
			if timeout == impatient && (a.Took < impatient || a.Took > patient/2) {
				t.Errorf("took %v with a time-out of %v", a.Took, timeout)
			}
		})
	}
}

func answer(text string) func(net.Conn) {
	return func(c net.Conn) { _, _ = io.WriteString(c, text) }
}

func answerThen(text string, then func(net.Conn)) func(net.Conn) {
	return func(c net.Conn) {
		if _, err := io.WriteString(c, text); err == nil {
			then(c)
		}
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) { // contract 10.7
	t.Parallel()
	target := newRaw(t, answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
	for _, status := range []string{"301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"} {
		r := newRaw(t, answer("HTTP/1.1 "+status+"\r\nLocation: http://user:hush@"+target.addr+"/admin?token=hush\r\nContent-Length: 0\r\n\r\n"))
		a := post(t, dev(t, outbound.Options{}), "http://"+r.addr, patient)
		if a.Reason != heliograph.Redirected || !strings.HasPrefix(status, strconv.Itoa(a.Status)) || !strings.HasSuffix(a.Detail, "http://"+target.addr+"/admin") {
			t.Errorf("%s: %+v", status, a)
		}
	}
	if n := target.accepted.Load(); n != 0 {
		t.Errorf("the target was called %d times", n)
	}
}

func TestAddressGuard(t *testing.T) {
	t.Parallel()
	refused := []string{
		"127.0.0.1", "127.9.9.9", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
		"192.0.2.1", "198.18.0.1", "224.0.0.1", "255.255.255.255",
	}
	// A name proves nothing: whatever it stands for, the address is what is judged, and nothing is dialed.
	witness := newRaw(t, answer("HTTP/1.1 200 OK\r\n\r\n"))
	_, port, _ := net.SplitHostPort(witness.addr)
	for _, addr := range refused {
		_, resolver := newNames(t, map[string][][]netip.Addr{"hook.example.com.": {{netip.MustParseAddr(addr)}}})
		c := client(t, outbound.Options{Resolver: resolver})
		a := post(t, c, "https://hook.example.com:"+port+"/?code=hush", patient)
		if a.Reason != heliograph.AddressRefused || strings.Contains(a.Detail, addr) || !strings.Contains(a.Detail, "hook.example.com") {
			t.Errorf("%s: %+v", addr, a)
		}
	}
	if n := witness.accepted.Load(); n != 0 {
		t.Errorf("%d connections were made", n)
	}
}

func TestPlainHTTPGoesToLoopbackOnly(t *testing.T) {
	t.Parallel()
	_, resolver := newNames(t, map[string][][]netip.Addr{"app.localhost.": {{netip.MustParseAddr("93.184.216.34")}}})
	a := post(t, dev(t, outbound.Options{Resolver: resolver}), "http://app.localhost:9/", patient)
	if a.Reason != heliograph.AddressRefused {
		t.Errorf("%+v", a)
	}
}

func TestRebinding(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	var conns sync.Map
	addr := secure(t, serverConfig(ca.issue(t, "hook.example.com", now().Add(time.Hour))), func(w http.ResponseWriter, r *http.Request) {
		conns.Store(r.RemoteAddr, true)
		w.Header().Set("Connection", "close")
	})
	_, port, _ := net.SplitHostPort(addr)
	good, bad := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("10.0.0.1")
	asked, resolver := newNames(t, map[string][][]netip.Addr{"hook.example.com.": {{good}, {bad}, {bad, good}, {bad}}})
	c := client(t, outbound.Options{
		Resolver: resolver, RootCAs: ca.pool,
		AllowPrefixes: []netip.Prefix{netip.PrefixFrom(good, 32)}, // what stands for a public address here
	})
	url := "https://hook.example.com:" + port
	for i, want := range []heliograph.Reason{heliograph.Delivered, heliograph.AddressRefused, heliograph.Delivered, heliograph.AddressRefused} {
		if a := post(t, c, url, patient); a.Reason != want {
			t.Errorf("call %d: %+v, want %s", i+1, a, want)
		}
	}
	if n := asked.asked.Load(); n != 4 {
		t.Errorf("the name was looked up %d times, want before each connection", n)
	}
}

func TestConnectFailures(t *testing.T) {
	t.Parallel()
	_, resolver := newNames(t, nil)
	c := dev(t, outbound.Options{Resolver: resolver})
	if a := post(t, c, "https://nowhere.example.com/?code=hush", patient); a.Reason != heliograph.ConnectFailed ||
		a.Detail != "lookup nowhere.example.com: no such host" {
		t.Errorf("unknown name: %+v", a)
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	if a := post(t, c, "http://"+l.Addr().String(), patient); a.Reason != heliograph.ConnectFailed ||
		!strings.Contains(a.Detail, "refused") {
		t.Errorf("closed port: %+v", a)
	}
}

func TestLookupHasATimeLimit(t *testing.T) {
	t.Parallel()
	deaf, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = deaf.Close() })
	var asked []net.Conn
	var mu sync.Mutex
	over := false
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		mu.Lock()
		defer mu.Unlock()
		if over {
			return nil, net.ErrClosed
		}
		conn, err := (&net.Dialer{}).DialContext(ctx, "udp", deaf.LocalAddr().String())
		asked = append(asked, conn)
		return conn, err
	}}
	t.Cleanup(func() { // the resolver asks on in the background: it shares an answer among all who wait for it
		mu.Lock()
		defer mu.Unlock()
		over = true
		for _, c := range asked {
			_ = c.Close()
		}
	})
	c := client(t, outbound.Options{Resolver: resolver, ConnectTimeout: impatient})
	if a := post(t, c, "https://hook.example.com/", patient); a.Reason != heliograph.TimedOut || a.Took > patient/2 {
		t.Errorf("%+v", a)
	}
}

func TestStopped(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	r := newRaw(t, func(c net.Conn) { cancel(); _, _ = io.Copy(io.Discard, c) })
	e, err := dev(t, outbound.Options{}).Prepare(heliograph.Endpoint("http://"+r.addr), 0)
	if err != nil {
		t.Fatal(err)
	}
	if a := e.Post(ctx, nil, nil, patient); a.Reason != heliograph.Stopped {
		t.Errorf("%+v", a)
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		header string
		want   time.Duration
	}{
		"seconds":            {"Retry-After: 120\r\n", 2 * time.Minute},
		"date":               {"Retry-After: Sun, 22 Nov 2026 12:01:00 GMT\r\nDate: Sun, 22 Nov 2026 12:00:30 GMT\r\n", 30 * time.Second},
		"date without Date":  {"Retry-After: Sun, 22 Nov 2026 12:01:00 GMT\r\n", time.Minute},
		"date in the past":   {"Retry-After: Sun, 22 Nov 2026 11:00:00 GMT\r\n", 0},
		"negative":           {"Retry-After: -5\r\n", 0},
		"no number, no date": {"Retry-After: soon\r\n", 0},
		"beyond all bounds":  {"Retry-After: 99999999999999999999\r\n", 0},
		"none":               {"", 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRaw(t, answer("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n"+tt.header+"\r\n"))
			c := dev(t, outbound.Options{Now: func() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) }})
			if a := post(t, c, "http://"+r.addr, patient); a.RetryAfter != tt.want || a.Reason != heliograph.RefusedStatus {
				t.Errorf("%+v, want %v", a, tt.want)
			}
		})
	}
}

func TestConnectionsAreKeptAndBounded(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	open, most, made := 0, 0, 0
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) }))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		mu.Lock()
		defer mu.Unlock()
		switch state {
		case http.StateNew:
			open, made = open+1, made+1
			most = max(most, open)
		case http.StateClosed:
			open--
		case http.StateActive, http.StateIdle, http.StateHijacked:
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	c := dev(t, outbound.Options{MaxConnsPerHost: 3})
	var wg sync.WaitGroup
	for range 30 {
		wg.Go(func() {
			for range 10 {
				if a := post(t, c, s.URL, patient); !a.OK() {
					t.Errorf("%+v", a)
				}
			}
		})
	}
	wg.Wait()
	mu.Lock()
	defer mu.Unlock()
	if most > 3 || made > 3 {
		t.Errorf("%d connections made, %d open at once, for 300 posts; want 3", made, most)
	}
}

func TestIdleConnectionsAreClosed(t *testing.T) {
	t.Parallel()
	closed := make(chan struct{})
	r := newRaw(t, answerThen("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", func(c net.Conn) {
		_, _ = io.Copy(io.Discard, c) // ends when the other side closes
		close(closed)
	}))
	if a := post(t, dev(t, outbound.Options{IdleTimeout: impatient}), "http://"+r.addr, patient); !a.OK() {
		t.Fatalf("%+v", a)
	}
	select {
	case <-closed:
	case <-time.After(patient):
		t.Error("still open")
	}
}

func TestConnectionsInAllAreBounded(t *testing.T) {
	t.Parallel()
	// Long enough for slots to come back on a busy machine: one test waits for it to be over.
	c := dev(t, outbound.Options{MaxConns: 2, ConnectTimeout: 3 * time.Second})
	release := make(chan struct{})
	slow := newRaw(t, func(c net.Conn) {
		<-release
		answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")(c)
	})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if a := post(t, c, "http://"+slow.addr, patient); !a.OK() {
				t.Errorf("%+v", a)
			}
		})
	}
	for slow.accepted.Load() < 2 { // both slots are taken
		_ = post(t, c, "http://"+slow.addr, time.Millisecond)
	}
	quick := newRaw(t, answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
	if a := post(t, c, "http://"+quick.addr, patient); a.Reason != heliograph.TimedOut || quick.accepted.Load() != 0 {
		t.Errorf("a third connection: %+v", a)
	}
	close(release)
	wg.Wait()
	for range 5 { // and slots come back
		if a := post(t, c, "http://"+quick.addr, patient); !a.OK() {
			t.Errorf("%+v", a)
		}
	}
}

// TestBodyIsTheCallersAgain is for the race detector: a receiver that answers before it has read the body.
func TestBodyIsTheCallersAgain(t *testing.T) {
	t.Parallel()
	r := newRaw(t, answer("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"))
	e, err := dev(t, outbound.Options{}).Prepare(heliograph.Endpoint("http://"+r.addr), 0)
	if err != nil {
		t.Fatal(err)
	}
	body := make([]byte, 8<<20)
	for i := range 5 {
		_ = e.Post(t.Context(), body, nil, patient)
		copy(body, bytes.Repeat([]byte{byte(i)}, len(body)))
	}
}
