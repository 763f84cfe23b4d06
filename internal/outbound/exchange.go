package outbound

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"time"

	"heliograph.dev"
)

// Request is one POST whose exchange is kept.
type Request struct {
	URL    string
	Header http.Header // nothing is added but Host and Content-Length
	Body   []byte
	// Timeout covers the whole exchange.
	Timeout time.Duration
	// MinTLS is the oldest TLS version to speak (see the function MinTLS).
	MinTLS uint16
}

// Exchange is one POST as it went, for a person to see.
type Exchange struct {
	Attempt heliograph.Attempt
	// Sent is the head of the request as it went out, or empty when it did not come to that.
	Sent string
	// Header and Body are the answer's, the body cut at a bound; Truncated says that it was longer.
	Header    http.Header
	Body      []byte
	Truncated bool
	// Address is the address and port that answered, TLS the version spoken ("TLS 1.3").
	Address, TLS string
	// When each step was done, counted from the start; zero for a step that there was not, which on a kept
	// connection are the first three.
	Resolved, Connected, Secured, FirstByte time.Duration
}

// Exchange posts a request and keeps what was said.
func (c *Client) Exchange(ctx context.Context, r Request) Exchange {
	x := Exchange{Attempt: heliograph.Attempt{Endpoint: heliograph.Endpoint(r.URL), Started: c.options.Now()}}
	u, err := c.parse(r.URL)
	if err != nil { // the guard's no, only earlier
		x.Attempt.Reason, x.Attempt.Detail = heliograph.AddressRefused, err.Error()
		return x
	}
	began := c.real.Now()
	within, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()

	header := r.Header.Clone()
	if header == nil {
		header = http.Header{}
	}
	if _, ok := header["User-Agent"]; !ok {
		header["User-Agent"] = []string{""} // none is sent
	}
	e := &Endpoint{client: c, url: u, header: header}
	t := &tracer{elapsed: func() time.Duration { return c.real.Now().Sub(began) }}
	req := e.request(httptrace.WithClientTrace(within, t.hooks()), r.Body, nil)
	if len(r.Body) == 0 {
		req.Body, req.GetBody = http.NoBody, nil
	}
	resp, err := c.calls.since(r.MinTLS).RoundTrip(req)
	if err == nil {
		noteAnswer(&x.Attempt, resp)
		err = keep(&x, resp)
		_ = resp.Body.Close()
	}
	if err != nil {
		noteFailure(ctx, within, &x.Attempt, err, u)
	}
	x.Attempt.Took = t.elapsed()
	t.fill(&x, req)
	return x
}

// keep reads the answer's body up to the bound.
func keep(x *Exchange, resp *http.Response) error {
	x.Header = resp.Header
	if resp.TLS != nil {
		x.TLS = tls.VersionName(resp.TLS.Version)
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxKept+1))
	if x.Truncated = len(body) > maxKept; x.Truncated {
		body = body[:maxKept]
	}
	x.Body = body
	return err
}

// tracer writes down what the transport does. Its hooks may run in the background, and on after the call: a
// connection that comes too late is kept for the next.
type tracer struct {
	elapsed func() time.Duration

	mu     sync.Mutex
	x      Exchange // the fields that are traced
	fields strings.Builder
	kept   bool
}

func (t *tracer) hooks() *httptrace.ClientTrace {
	step := func(at *time.Duration) {
		t.mu.Lock()
		*at = t.elapsed()
		t.mu.Unlock()
	}
	return &httptrace.ClientTrace{
		DNSDone:     func(httptrace.DNSDoneInfo) { step(&t.x.Resolved) },
		ConnectDone: func(_, _ string, err error) { t.connected(err) },
		GotConn: func(info httptrace.GotConnInfo) {
			t.mu.Lock()
			t.x.Address, t.kept = info.Conn.RemoteAddr().String(), info.Reused
			t.mu.Unlock()
		},
		GotFirstResponseByte: func() { step(&t.x.FirstByte) },
		WroteHeaderField: func(key string, values []string) {
			t.mu.Lock()
			for _, v := range values {
				t.fields.WriteString(key + ": " + v + "\r\n")
			}
			t.mu.Unlock()
		},
		TLSHandshakeDone: func(_ tls.ConnectionState, err error) {
			if err == nil {
				step(&t.x.Secured)
			}
		},
	}
}

// tell adds to an attempt what was traced of it.
func (t *tracer) tell(a *heliograph.Attempt, req *http.Request) {
	var x Exchange
	t.fill(&x, req)
	if a.Said == nil {
		a.Said = new(heliograph.Said)
	}
	s := a.Said
	s.Sent, s.Address, s.Resolved, s.Connected, s.Secured = x.Sent, x.Address, x.Resolved, x.Connected, x.Secured
	if x.FirstByte > 0 {
		s.FirstByte = x.FirstByte
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	s.Kept = t.kept
}

func (t *tracer) connected(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil && t.x.Connected == 0 {
		t.x.Connected = t.elapsed()
	}
}

func (t *tracer) fill(x *Exchange, req *http.Request) {
	t.mu.Lock()
	defer t.mu.Unlock()
	x.Resolved, x.Connected, x.Secured, x.FirstByte = t.x.Resolved, t.x.Connected, t.x.Secured, t.x.FirstByte
	x.Address = t.x.Address
	if t.fields.Len() > 0 {
		x.Sent = req.Method + " " + req.URL.RequestURI() + " HTTP/1.1\r\n" + t.fields.String()
	}
}
