package outbound

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"sync"
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
		transport: c.transportSince(minTLS),
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

	p := &payload{data: body}
	defer p.release()
	resp, err := e.transport.RoundTrip(e.request(within, p, header))
	if err == nil {
		noteAnswer(&a, resp)
		err = drain(resp)
	}
	if err != nil {
		noteFailure(ctx, within, &a, err, e.url)
	}
	a.Took = e.client.real.Now().Sub(began)
	return a
}

func (e *Endpoint) request(ctx context.Context, p *payload, extra http.Header) *http.Request {
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
		Body:          p.reader(),
		ContentLength: int64(len(p.data)),
		// Lets the transport start again on a fresh connection when the kept one was closed before anything
		// had been written to it.
		GetBody: func() (io.ReadCloser, error) { return p.reader(), nil },
	}
	return r.WithContext(ctx)
}

// drain reads what is left of the answer, so that the connection can be used again, unless it is too much.
func drain(resp *http.Response) error {
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode == http.StatusSwitchingProtocols { // the body is the bare connection
		return nil
	}
	if _, err := io.CopyN(io.Discard, resp.Body, maxDrain+1); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// payload is the body of one post. The transport may still be reading it in the background after it returned
// an answer or an error; release takes the bytes away from it.
type payload struct {
	mu   sync.Mutex
	data []byte
}

func (p *payload) release() {
	p.mu.Lock()
	p.data = nil
	p.mu.Unlock()
}

func (p *payload) reader() io.ReadCloser { return &payloadReader{payload: p} }

type payloadReader struct {
	payload *payload
	offset  int
}

// Read copies from the payload while it is there.
func (r *payloadReader) Read(b []byte) (int, error) {
	r.payload.mu.Lock()
	defer r.payload.mu.Unlock()
	if r.offset >= len(r.payload.data) {
		return 0, io.EOF
	}
	n := copy(b, r.payload.data[r.offset:])
	r.offset += n
	return n, nil
}

// Close has nothing to free.
func (r *payloadReader) Close() error { return nil }
