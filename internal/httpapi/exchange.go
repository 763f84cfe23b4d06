package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/clock"
	"heliograph.dev/internal/origin"
)

const jsonMedia = "application/json; charset=utf-8"

// What logs and metrics call a path that no route is for: nobody's, or the next handler's.
const (
	routeNone = "none"
	routeNext = "next"
)

// exchange is one request on its way to its answer, and what the log line will say about it.
type exchange struct {
	request *http.Request
	writer  *statusWriter
	api     *API
	began   time.Time // in real time: how long it took is nothing to move a clock for

	id       heliograph.GUID // request-id
	clientID string          // client-request-id
	origin   origin.Origin
	caller   *heliograph.Caller
	version  string // of the Graph API, or empty
	// batch is the request-id of the batch that the request came in, or zero.
	batch heliograph.GUID
	// chosen are the properties that $select names. Nil: all.
	chosen []string
	// ignored are properties of an update that are not looked at.
	ignored []string

	route string
	rule  string
	err   error
}

// answer is what a handler gives.
type answer struct {
	status int // 0: another package's handler has answered
	header http.Header
	media  string // jsonMedia when it is empty
	body   any    // sent as JSON; nil: no body. A text is sent as it is
}

// begin gives the exchange its ids and the answer the headers that every answer has (contract 5.2).
func (a *API) begin(w http.ResponseWriter, r *http.Request) *exchange {
	x := &exchange{request: r, writer: &statusWriter{ResponseWriter: w}, api: a, began: clock.System().Now(), origin: origin.Proxies(a.opts.TrustedProxies).Of(r), id: heliograph.NewGUID(), route: routeNone}
	if x.clientID = r.Header.Get("Client-Request-Id"); x.clientID == "" || len(x.clientID) > 128 || headerText(x.clientID) != x.clientID {
		x.clientID = x.id.String()
	}
	h := w.Header()
	h.Set("Request-Id", x.id.String())
	h.Set("Client-Request-Id", x.clientID)
	h.Set("X-Ms-Ags-Diagnostic", a.diagnostic)
	h.Set("Cache-Control", "private")
	h.Set("X-Content-Type-Options", "nosniff")
	// A browser that was told to use https for localhost would do so for every other server there.
	if x.origin.Scheme == "https" && !x.origin.IsLocal() {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
	return x
}

// diagnosticOf returns the x-ms-ags-diagnostic header, in Graph's form.
func diagnosticOf(node string) string {
	text, err := json.Marshal(map[string]any{"ServerInfo": map[string]string{
		"DataCenter": "Heliograph", "Slice": "E", "Ring": "1", "ScaleUnit": "000", "RoleInstance": node,
	}})
	if err != nil {
		return "" // strings always marshal
	}
	return headerText(string(text))
}

// takeTime gives the exchange longer than the server allows by itself.
func (x *exchange) takeTime(d time.Duration) {
	until := clock.System().Now().Add(d)
	connection := http.NewResponseController(x.writer)
	_ = connection.SetReadDeadline(until) // a connection without deadlines needs none
	_ = connection.SetWriteDeadline(until)
}

// root returns where the Graph API's version is for the client.
func (x *exchange) root() string { return x.origin.String() + "/" + x.version }

// write sends the answer, unless another package's handler has.
func (x *exchange) write(ans answer) {
	if x.writer.status != 0 || ans.status == 0 {
		return
	}
	if ans.status == statusClientGone {
		x.writer.status = statusClientGone
		return
	}
	header := x.writer.Header()
	maps.Copy(header, ans.header)
	if ans.body == nil {
		x.writer.WriteHeader(ans.status)
		return
	}
	body, err := encode(ans.body)
	if err != nil {
		x.err, ans.status, body = err, http.StatusInternalServerError, nil
	}
	if ans.media == "" {
		ans.media = jsonMedia
	}
	header.Set("Content-Type", ans.media)
	header.Set("Content-Length", strconv.Itoa(len(body)))
	x.writer.WriteHeader(ans.status)
	if _, err := x.writer.Write(body); err != nil && x.err == nil {
		x.err = err // the client is gone; the log line says so
	}
}

// encode returns a body's bytes. Characters that HTML knows are left alone: clients compare URLs as text.
func encode(body any) ([]byte, error) {
	if text, isText := body.(string); isText {
		return []byte(text), nil
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(body); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// end writes the exchange's log line and counts it.
func (a *API) end(ctx context.Context, x *exchange) {
	took := clock.System().Now().Sub(x.began)
	status := x.writer.status
	if status == 0 {
		status = http.StatusOK // what net/http sends for a handler that said nothing
	}
	a.metrics.observe(x, status, took)
	attrs := []slog.Attr{
		slog.String("method", x.request.Method),
		slog.String("route", x.route),
		slog.Int("status", status),
		slog.Duration("took", took),
		slog.String("request_id", x.id.String()),
	}
	if x.route == routeNext || x.route == routeNone {
		attrs = append(attrs, slog.String("path", headerText(x.request.URL.Path)))
	}
	if !x.batch.IsZero() {
		attrs = append(attrs, slog.String("batch", x.batch.String()))
	}
	if x.caller != nil {
		attrs = append(attrs, slog.String("tenant", string(x.caller.Tenant)), slog.String("app", string(x.caller.App)))
	}
	if x.rule != "" {
		attrs = append(attrs, slog.String("rule", x.rule))
	}
	level := slog.LevelInfo
	if isProbe(x.route) || x.isPageLooking(status) {
		level = slog.LevelDebug
	}
	if x.err != nil {
		attrs = append(attrs, slog.String("error", causes(x.err)))
	}
	if status == http.StatusInternalServerError {
		level = slog.LevelError
	}
	if stopped, found := errors.AsType[*panicError](x.err); found {
		attrs = append(attrs, slog.String("stack", string(stopped.stack)))
	}
	a.opts.Logger.LogAttrs(ctx, level, "request", attrs...)
}

func isProbe(route string) bool {
	return route == "/healthz" || route == "/readyz" || route == "/metrics"
}

// isPageLooking reports whether a page of this server's own has looked at something, as it does again and again.
func (x *exchange) isPageLooking(status int) bool {
	return x.request.Header.Get("Sec-Fetch-Site") == "same-origin" && x.request.Method == http.MethodGet && status < http.StatusBadRequest
}

// causes returns what the log says of an error: what the client was told, and what stands behind it.
func causes(err error) string {
	text := err.Error()
	if e, found := errors.AsType[*heliograph.Error](err); found && e.Err != nil && !strings.Contains(text, e.Err.Error()) {
		text += ": " + e.Err.Error()
	}
	return text
}

// statusWriter remembers the status.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader notes the status and sends it.
func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write sends a part of the body.
func (w *statusWriter) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach what is below.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
