package trace

import (
	"encoding/hex"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"heliograph.dev"
)

// A traceparent is version-trace-span-flags in hexadecimal, 55 bytes; what follows them in a later version may be left
// out (W3C Trace Context, 3.2).
const (
	traceAt, spanAt, flagsAt = 3, 36, 53
	traceparentSize          = 55
)

// isRecorded reports whether somebody decided that the trace of a traceparent is recorded. It is asked for every change.
func isRecorded(traceparent string) bool {
	if len(traceparent) < traceparentSize {
		return false
	}
	switch traceparent[flagsAt+1] { // the last bit of the flags
	case '1', '3', '5', '7', '9', 'b', 'd', 'f':
		return true
	}
	return false
}

// parse reads a traceparent. What is none is an invalid context.
func parse(traceparent string) trace.SpanContext {
	if len(traceparent) < traceparentSize {
		return trace.SpanContext{}
	}
	var (
		traceID trace.TraceID
		spanID  trace.SpanID
		flags   [1]byte
	)
	for _, part := range []struct {
		into []byte
		text string
	}{
		{traceID[:], traceparent[traceAt : spanAt-1]},
		{spanID[:], traceparent[spanAt : flagsAt-1]},
		{flags[:], traceparent[flagsAt:traceparentSize]},
	} {
		if _, err := hex.Decode(part.into, []byte(part.text)); err != nil {
			return trace.SpanContext{}
		}
	}
	return trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: traceID, SpanID: spanID, TraceFlags: trace.TraceFlags(flags[0]), Remote: true,
	})
}

// format writes a traceparent.
func format(c trace.SpanContext) string {
	return "00-" + c.TraceID().String() + "-" + c.SpanID().String() + "-" + c.TraceFlags().String()
}

// fail marks a span whose work failed, with the kind of the error: its text may name what no span holds.
func fail(span trace.Span, err error) {
	if err != nil {
		span.SetStatus(codes.Error, heliograph.KindOf(err).String())
	}
}
