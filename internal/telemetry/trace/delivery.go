package trace

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"heliograph.dev"
	"heliograph.dev/internal/clock"
	"heliograph.dev/internal/deliver"
	"heliograph.dev/internal/telemetry"
)

// in returns a context in which a span becomes a part of a traceparent's trace.
func in(traceparent string) context.Context {
	return trace.ContextWithRemoteSpanContext(context.Background(), parse(traceparent))
}

// Matched makes a span of each recorded change of a frame.
func (t *Tracer) Matched(frame *heliograph.Frame, began, ended time.Time, notifications []int) {
	for i := range frame.Changes {
		change := &frame.Changes[i]
		if !isRecorded(change.Traceparent) {
			continue
		}
		_, span := t.follow.Start(in(change.Traceparent), "match", trace.WithTimestamp(began), trace.WithAttributes(
			attribute.String("heliograph.change", change.ID.String()), attribute.String("heliograph.tenant", string(change.Tenant)),
			attribute.Int("heliograph.partition", frame.Partition), sequenceOf(frame.Sequence),
			attribute.Int("heliograph.notifications", notifications[i])))
		span.End(trace.WithTimestamp(ended))
	}
}

// linksPerPost bounds how many changes of a POST are told of it; it is also what a span may have of links.
const linksPerPost = 128

// Post begins the span of a POST.
func (t *Tracer) Post(endpoint heliograph.Endpoint, notifications []deliver.Notification) (string, func(*heliograph.Attempt)) {
	if len(notifications) == 1 {
		return t.postOne(endpoint, &notifications[0])
	}
	var told []deliver.Notification
	for i := range notifications {
		if isRecorded(notifications[i].Traceparent) && len(told) < linksPerPost {
			told = append(told, notifications[i])
		}
	}
	if len(told) == 0 {
		return "", ignore
	}
	return t.postMany(endpoint, told, len(notifications))
}

func ignore(*heliograph.Attempt) {}

func (t *Tracer) postOne(endpoint heliograph.Endpoint, n *deliver.Notification) (string, func(*heliograph.Attempt)) {
	if !isRecorded(n.Traceparent) {
		return n.Traceparent, ignore
	}
	_, span := t.follow.Start(in(n.Traceparent), "POST", trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(attributesOf(n)...), trace.WithAttributes(posting(endpoint)...))
	return format(span.SpanContext()), func(a *heliograph.Attempt) {
		outcome(span, a)
		span.End()
	}
}

// postMany makes a trace of the POST itself. told are the recorded ones of its notifications.
func (t *Tracer) postMany(endpoint heliograph.Endpoint, told []deliver.Notification, count int) (string, func(*heliograph.Attempt)) {
	links := make([]trace.Link, len(told))
	for i := range told {
		links[i] = trace.Link{SpanContext: parse(told[i].Traceparent), Attributes: []attribute.KeyValue{
			attribute.String("heliograph.notification", told[i].ID.String()),
		}}
	}
	began := clock.System().Now()
	_, post := t.follow.Start(context.Background(), "POST", trace.WithSpanKind(trace.SpanKindClient), trace.WithLinks(links...),
		trace.WithTimestamp(began), trace.WithAttributes(posting(endpoint)...), trace.WithAttributes(attribute.Int("heliograph.notifications", count)))
	return format(post.SpanContext()), func(a *heliograph.Attempt) {
		outcome(post, a)
		ended := clock.System().Now()
		post.End(trace.WithTimestamp(ended))
		for i := range told {
			_, span := t.follow.Start(in(told[i].Traceparent), "deliver", trace.WithTimestamp(began),
				trace.WithLinks(trace.Link{SpanContext: post.SpanContext()}), trace.WithAttributes(attributesOf(&told[i])...))
			outcome(span, a)
			span.End(trace.WithTimestamp(ended))
		}
	}
}

// GivenUp makes a span of a notification that will not be delivered.
func (t *Tracer) GivenUp(endpoint heliograph.Endpoint, n deliver.Notification, why heliograph.Reason) {
	if !isRecorded(n.Traceparent) {
		return
	}
	_, span := t.follow.Start(in(n.Traceparent), "given up", trace.WithAttributes(attributesOf(&n)...), trace.WithAttributes(
		attribute.String("error.type", string(why)), server(endpoint)))
	span.SetStatus(codes.Error, string(why))
	span.End()
}

// attributesOf says which notification it is about.
func attributesOf(n *deliver.Notification) []attribute.KeyValue {
	return []attribute.KeyValue{
		attribute.String("heliograph.notification", n.ID.String()), attribute.String("heliograph.subscription", n.Subscription.String()),
		attribute.String("heliograph.tenant", string(n.Tenant)), attribute.Int("heliograph.failed_attempts", int(n.Attempts)),
	}
}

// posting says what is sent to whom.
func posting(endpoint heliograph.Endpoint) []attribute.KeyValue {
	_, id := telemetry.NameEndpoint(endpoint)
	return []attribute.KeyValue{attribute.String("http.request.method", "POST"), server(endpoint), attribute.String("heliograph.endpoint", id)}
}

func server(endpoint heliograph.Endpoint) attribute.KeyValue {
	host, _ := telemetry.NameEndpoint(endpoint)
	return attribute.String("server.address", host)
}

// outcome says how a POST went.
func outcome(span trace.Span, a *heliograph.Attempt) {
	if a.Status != 0 {
		span.SetAttributes(attribute.Int("http.response.status_code", a.Status))
	}
	if !a.OK() {
		span.SetAttributes(attribute.String("error.type", string(a.Reason)))
		span.SetStatus(codes.Error, string(a.Reason))
	}
}

var _ deliver.Tracer = (*Tracer)(nil)
