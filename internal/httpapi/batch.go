package httpapi

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/batch"
)

// batchPath is where batches are sent.
const batchPath = "$batch"

// batchTime is how long a batch may take: each request may wait for the one before it, and be a create that makes two
// handshakes of ten seconds.
const batchTime = (batch.Most + 1) * 20 * time.Second

// inBatch is a batch and the exchange that brought it: its requests are exchanges of their own, which go the same way
// as every request, but as the batch's caller.
type inBatch struct {
	outer    *exchange
	requests []batch.Request
}

func (a *API) readBatch(x *exchange) (inBatch, error) {
	body, err := x.jsonBodyOf(batch.Most * a.limits.RequestBytes)
	if err != nil {
		return inBatch{}, err
	}
	requests, err := batch.Read(body)
	x.takeTime(batchTime)
	return inBatch{outer: x, requests: requests}, err
}

// batchAnswer is the answer to one request of a batch.
type batchAnswer struct {
	ID      string            `json:"id"`
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers,omitempty"`
	Body    json.RawMessage   `json:"body,omitempty"`
}

func (a *API) runBatch(ctx context.Context, _ *heliograph.Caller, b inBatch) ([]batchAnswer, error) {
	return batch.Run(b.requests, func(r *batch.Request, failed string) (batchAnswer, bool) {
		answered := a.runOne(ctx, b.outer, r, failed)
		return answered, answered.Status < http.StatusBadRequest
	}), nil
}

// ranBatch answers 200 whatever became of the requests.
func ranBatch(_ *exchange, answers []batchAnswer) answer {
	return answer{status: http.StatusOK, body: map[string]any{"responses": answers}}
}

// runOne takes one request of a batch from its beginning to its end, log line included.
func (a *API) runOne(ctx context.Context, outer *exchange, r *batch.Request, failed string) batchAnswer {
	w := &recorder{header: make(http.Header)}
	request, err := requestOf(ctx, outer, r)
	if err == nil && failed != "" {
		err = &dependencyError{id: failed}
	}
	x := a.begin(w, request)
	x.origin, x.caller, x.batch = outer.origin, outer.caller, outer.id
	if request.Header.Get("Client-Request-Id") == "" {
		x.clientID = outer.clientID
		w.header.Set("Client-Request-Id", x.clientID)
	}
	a.finish(ctx, x, err)
	if request.Method == http.MethodHead {
		w.body.Reset()
	}
	return batchAnswer{ID: r.ID, Status: x.writer.status, Headers: w.headers(), Body: w.body.Bytes()}
}

// requestOf makes a batch's request one like any other. When it cannot be one, it comes with the error, and leads
// nowhere.
func requestOf(ctx context.Context, outer *exchange, r *batch.Request) (*http.Request, error) {
	target, err := targetOf(outer, r.URL)
	request := (&http.Request{
		Method: headerText(strings.ToUpper(r.Method)), URL: cmp.Or(target, &url.URL{Path: "/"}), Host: outer.request.Host,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: make(http.Header),
		Body: http.NoBody, ContentLength: int64(len(r.Body)), RemoteAddr: outer.request.RemoteAddr,
	}).WithContext(ctx)
	if len(r.Body) > 0 {
		request.Body = readCloser{bytes.NewReader(r.Body)}
	}
	for name, value := range r.Header {
		request.Header.Set(name, value)
	}
	request.Header.Del("Content-Encoding") // the body is plain JSON in the batch
	return request, err
}

// targetOf returns the address of a batch's request: below the batch's version, with or without a slash in front, or
// a whole one of this server.
func targetOf(outer *exchange, address string) (*url.URL, error) {
	below := "/" + outer.version + "/" + strings.TrimPrefix(address, "/")
	if scheme, _, found := strings.Cut(address, "://"); found && (strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https")) {
		below = address
	}
	target, err := url.Parse(below)
	if err != nil || target.Host != "" && !strings.EqualFold(target.Scheme+"://"+target.Host, outer.origin.String()) {
		return nil, &heliograph.Error{
			Kind: heliograph.Invalid, Rule: "batch.url", Code: "BadRequest",
			Message: fmt.Sprintf("The url '%.200s' is neither relative nor one of this server.", address),
		}
	}
	return target, nil
}

// dependencyError is a request that was not sent because one that it depends on did not go well.
type dependencyError struct{ id string }

// Error names the other request.
func (e *dependencyError) Error() string {
	return fmt.Sprintf("The request depends on request '%.100s', which failed.", e.id)
}

type readCloser struct{ *bytes.Reader }

// Close does nothing: the bytes are the batch's.
func (readCloser) Close() error { return nil }

// recorder is an http.ResponseWriter that keeps an answer.
type recorder struct {
	header http.Header
	body   bytes.Buffer
}

// Header returns the answer's headers.
func (r *recorder) Header() http.Header { return r.header }

// WriteHeader does nothing: the exchange knows its status.
func (r *recorder) WriteHeader(int) {}

// Write keeps a part of the body.
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }

// headers returns the headers that are about the request, and not about the connection that the batch's own speak of.
func (r *recorder) headers() map[string]string {
	headers := make(map[string]string)
	for name, values := range r.header {
		switch name {
		case "Content-Length", "Strict-Transport-Security", "X-Content-Type-Options", "X-Ms-Ags-Diagnostic":
		default:
			headers[name] = values[0]
		}
	}
	return headers
}
