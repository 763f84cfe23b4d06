package trace

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"heliograph.dev"
	"heliograph.dev/internal/clock"
	"heliograph.dev/internal/ingest"
)

// Handler makes a span of each publish request. next finds its context in the request's traceparent, from where the
// changes get it; when the request is not recorded the traceparent stays as it came.
func (t *Tracer) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || !strings.EqualFold(strings.Trim(r.URL.Path, "/"), "publish") {
			next.ServeHTTP(w, r)
			return
		}
		ctx, span := t.begin.Start(trace.ContextWithRemoteSpanContext(r.Context(), parse(r.Header.Get("Traceparent"))),
			"POST /publish", trace.WithSpanKind(trace.SpanKindServer),
			trace.WithAttributes(attribute.String("http.request.method", http.MethodPost), attribute.String("http.route", "/publish")))
		defer span.End()
		r = r.WithContext(ctx)
		if !span.IsRecording() {
			next.ServeHTTP(w, r)
			return
		}
		r.Header = r.Header.Clone()
		r.Header.Set("Traceparent", format(span.SpanContext()))
		noted := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(noted, r)
		span.SetAttributes(attribute.Int("http.response.status_code", noted.status))
		if noted.status >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, http.StatusText(noted.status))
		}
	})
}

// statusWriter remembers the status.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader notes the status and sends it.
func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach what is below.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Accept takes changes in: on disk, or an error.
type Accept func(ctx context.Context, changes []heliograph.Change) error

// Accepting returns accept with a span of each call: a part of the request's trace, or, for a source in this process,
// the beginning of one. Changes that have no context get that of the span.
func (t *Tracer) Accepting(accept Accept) Accept {
	return func(ctx context.Context, changes []heliograph.Change) error {
		if c := trace.SpanContextFromContext(ctx); c.IsValid() && !c.IsSampled() {
			return accept(ctx, changes)
		}
		ctx, span := t.begin.Start(ctx, "ingest", trace.WithAttributes(attribute.Int("heliograph.changes", len(changes))))
		defer span.End()
		if span.IsRecording() {
			changes = adopt(changes, format(span.SpanContext()))
		}
		err := accept(ctx, changes)
		fail(span, err)
		return err
	}
}

// adopt gives changes that have no trace context one. The caller's stay as they are.
func adopt(changes []heliograph.Change, traceparent string) []heliograph.Change {
	isAlone := func(c heliograph.Change) bool { return c.Traceparent == "" }
	if !slices.ContainsFunc(changes, isAlone) {
		return changes
	}
	changes = slices.Clone(changes)
	for i := range changes {
		if isAlone(changes[i]) {
			changes[i].Traceparent = traceparent
		}
	}
	return changes
}

// Writing returns log with spans of the frames that are written: one in each trace that a frame's changes belong to.
func (t *Tracer) Writing(log ingest.Log) ingest.Log { return tracedLog{log, t} }

type tracedLog struct {
	ingest.Log
	tracer *Tracer
}

// tracesPerFrame bounds how many traces are told of one write.
const tracesPerFrame = 64

// Append writes a frame down.
func (l tracedLog) Append(ctx context.Context, partition int, changes []heliograph.Change) (uint64, error) {
	var recorded []string
	for i := range changes {
		if p := changes[i].Traceparent; isRecorded(p) && len(recorded) < tracesPerFrame && !slices.Contains(recorded, p) {
			recorded = append(recorded, p)
		}
	}
	if len(recorded) == 0 {
		return l.Log.Append(ctx, partition, changes)
	}
	began := clock.System().Now()
	sequence, err := l.Log.Append(ctx, partition, changes)
	ended := clock.System().Now()
	for _, p := range recorded {
		_, span := l.tracer.follow.Start(trace.ContextWithRemoteSpanContext(ctx, parse(p)), "write frame",
			trace.WithTimestamp(began), trace.WithAttributes(
				attribute.Int("heliograph.partition", partition), sequenceOf(sequence), attribute.Int("heliograph.changes", len(changes))))
		fail(span, err)
		span.End(trace.WithTimestamp(ended))
	}
	return sequence, err
}

// sequenceOf says which frame of the log it is about.
func sequenceOf(sequence uint64) attribute.KeyValue {
	return attribute.Int64("heliograph.sequence", int64(sequence)) //nolint:gosec // a log of 2⁶³ frames is centuries away
}
