package outbound

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"time"

	"heliograph.dev"
)

// Endpoint is a receiver's URL made ready for many posts: what is the same in all of them is made once.
type Endpoint struct {
	client    *Client
	transport *http.Transport
	raw       heliograph.Endpoint
	url       *url.URL
	header    http.Header
}

// Prepare readies an endpoint for many posts. minTLS is the oldest TLS version to speak (see MinTLS). The
// error is CheckURL's.
func (c *Client) Prepare(endpoint heliograph.Endpoint, minTLS uint16) (*Endpoint, error) {
	u, err := c.parse(string(endpoint))
	if err != nil {
		return nil, err
	}
	return &Endpoint{
		client:    c,
		transport: c.posts.since(minTLS),
		raw:       endpoint,
		url:       u,
		header: http.Header{
			"Content-Type": {"application/json; charset=utf-8"},
			"User-Agent":   {""}, // none is sent
		},
	}, nil
}

// Post sends one JSON body and reads the answer, all within timeout. header, which may be nil, is sent beside
// Content-Type. body and header are the caller's again when Post returns.
//
// The outcome is Delivered when the whole answer came in time with a 2xx status. An answer longer than a few
// KB counts as whole at that bound: its status is known, and nobody needs the rest.
func (e *Endpoint) Post(ctx context.Context, body []byte, header http.Header, timeout time.Duration) heliograph.Attempt {
	a := heliograph.Attempt{Endpoint: e.raw, Started: e.client.options.Now()}
	began := e.client.real.Now()
	within, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()

	var t *tracer
	traced := within
	if e.client.options.Trace {
		t = &tracer{elapsed: func() time.Duration { return e.client.real.Now().Sub(began) }}
		traced = httptrace.WithClientTrace(within, t.hooks())
	}
	req := e.request(traced, body, header)
	resp, err := e.transport.RoundTrip(req)
	if err == nil {
		a.Said = &heliograph.Said{Header: resp.Header, FirstByte: e.client.real.Now().Sub(began)}
		noteAnswer(&a, resp)
		err = hear(a.Said, resp)
		_ = resp.Body.Close()
	}
	if err != nil {
		noteFailure(ctx, within, &a, err, e.url)
	}
	a.Took = e.client.real.Now().Sub(began)
	if t != nil {
		t.tell(&a, req)
	}
	return a
}

// maxSaid is how much of an answer's body is kept.
const maxSaid = 2 << 10

// hear keeps the beginning of the answer's body, and reads the rest.
func hear(said *heliograph.Said, resp *http.Response) (err error) {
	if resp.TLS != nil {
		said.TLS = tls.VersionName(resp.TLS.Version)
	}
	if resp.ContentLength == 0 || resp.StatusCode == http.StatusSwitchingProtocols { // the body is the bare connection
		return drain(resp)
	}
	if said.Body, err = io.ReadAll(io.LimitReader(resp.Body, maxSaid+1)); err != nil {
		return err
	}
	if said.Truncated = len(said.Body) > maxSaid; said.Truncated {
		said.Body = said.Body[:maxSaid]
		return drain(resp)
	}
	return nil
}

// request makes the request of one post. The transport may go on reading the body in the background after it
// returned an error or an early answer, so it gets a copy: one copy costs less than finding out. A bytes.Reader
// goes out together with the head; in front of any other reader, the transport sends the head alone.
func (e *Endpoint) request(ctx context.Context, body []byte, extra http.Header) *http.Request {
	body = bytes.Clone(body)
	header := e.header
	if len(extra) > 0 {
		header = maps.Clone(header)
		maps.Copy(header, extra)
	}
	r := &http.Request{
		Method:        http.MethodPost,
		URL:           e.url,
		Host:          e.url.Host,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        header,
		Body:          io.NopCloser(bytes.NewReader(body)),
		ContentLength: int64(len(body)),
		// Lets the transport start again on a fresh connection when the kept one was closed before anything
		// had been written to it.
		GetBody: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil },
	}
	return r.WithContext(ctx)
}

// drain reads what is left of the answer, so that the connection can be used again, unless it is too much.
func drain(resp *http.Response) error {
	if resp.StatusCode == http.StatusSwitchingProtocols { // the body is the bare connection
		return nil
	}
	if _, err := io.CopyN(io.Discard, resp.Body, maxDrain+1); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}
