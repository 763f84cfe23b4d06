// Package trace makes OpenTelemetry spans of a change's way, from publish to receipt, and posts them to a collector:
//
//	POST /publish   server    the publisher's request, in the trace that it sent along or in one of its own
//	ingest          internal  until the changes are on disk
//	write frame     internal  the write that they shared with others
//	match           internal  until its notifications are queued; heliograph.notifications says how many there are
//	POST            client    one POST to an endpoint; again for each further attempt
//	given up        internal  a notification that will not be delivered, and why
//
// A change keeps its trace context in the log, so its trace goes on after a restart, and after hours in a backlog. A
// POST with one notification is a part of that change's trace, and carries its own context on to the receiver. A POST
// with many is a trace of its own, which the receiver goes on with: it has links to the traces of its changes, and each
// of those gets a span "deliver" with a link back.
//
// What is recorded is decided where a trace begins: by the publisher who sent its context along, else by chance. From
// then on the context says so, and a change that is not recorded costs a look at one byte of it. Spans wait in a queue
// of bounded length; when the collector does not keep up they are dropped, and nothing else is held up.
//
// Spans name tenants, subscriptions and notifications by their ids, and endpoints by their hosts. They hold no data, no
// clientState and no URL.
package trace

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"heliograph.dev"
)

// Options say where spans go, and how many.
type Options struct {
	// Endpoint is the URL that spans are posted to. Without a path it is /v1/traces.
	Endpoint string
	// Ratio is the share that is recorded of the traces that begin here.
	Ratio float64
	// Service and Version name the server.
	Service, Version string
	// Headers are sent along with spans.
	Headers map[string]heliograph.Secret
	// Timeout bounds one POST of spans, with its repetitions. Zero: 10 s.
	Timeout time.Duration
	// Gzip packs what is posted.
	Gzip bool
	// RootCAs are the authorities that the collector's certificate may be of. Nil: the system's.
	RootCAs *x509.CertPool
	// Logger hears when spans cannot be sent, and when they can again.
	Logger *slog.Logger
}

// Tracer makes spans and sends them. Its methods may be called concurrently.
type Tracer struct {
	// begin decides whether a trace is recorded, unless its context says so already; follow goes on with what is.
	begin, follow trace.Tracer
	providers     []*sdk.TracerProvider
	sender        *sender
	ended         atomic.Uint64
}

// Counts are how many spans there were.
type Counts struct {
	Ended        uint64 // all that were recorded
	Sent, Failed uint64 // of those; the rest waits, or was dropped because too many waited
}

// New returns a tracer. It contacts nobody: a server starts while its collector is down.
func New(ctx context.Context, o Options) (*Tracer, error) {
	sender, err := newSender(ctx, &o)
	if err != nil {
		return nil, err
	}
	exporter, err := otlptrace.New(ctx, sender)
	if err != nil {
		return nil, fmt.Errorf("start the exporter of traces: %w", err)
	}
	about, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithFromEnv(), resource.WithAttributes(
		attribute.String("service.name", o.Service), attribute.String("service.version", o.Version)))
	if err != nil { // OTEL_RESOURCE_ATTRIBUTES cannot be read: the rest of it holds
		o.Logger.WarnContext(ctx, "attributes of traces not read", "error", err)
	}
	t := &Tracer{sender: sender}
	queue := counting{sdk.NewBatchSpanProcessor(exporter), &t.ended}
	provide := func(which sdk.Sampler) trace.Tracer {
		p := sdk.NewTracerProvider(sdk.WithSpanProcessor(queue), sdk.WithResource(about), sdk.WithSampler(which))
		t.providers = append(t.providers, p)
		return p.Tracer(scope)
	}
	t.begin = provide(sdk.ParentBased(sdk.TraceIDRatioBased(o.Ratio)))
	t.follow = provide(sdk.AlwaysSample())
	return t, nil
}

// scope names what makes the spans.
const scope = "heliograph.dev"

// Stop sends what waits while ctx allows, and drops the rest. No span may be begun after it.
func (t *Tracer) Stop(ctx context.Context) error {
	var failed error
	for _, p := range t.providers { // they share the queue: the first sends it, the others find it empty
		if err := p.Shutdown(ctx); err != nil && failed == nil {
			failed = fmt.Errorf("send the last spans: %w", err)
		}
	}
	t.sender.end()
	return failed
}

// Counts returns how many spans there were so far.
func (t *Tracer) Counts() Counts {
	return Counts{Ended: t.ended.Load(), Sent: t.sender.sent.Load(), Failed: t.sender.failed.Load()}
}

// counting counts the spans that go into the queue.
type counting struct {
	sdk.SpanProcessor
	ended *atomic.Uint64
}

// OnEnd takes a span that has ended.
func (c counting) OnEnd(s sdk.ReadOnlySpan) {
	c.ended.Add(1)
	c.SpanProcessor.OnEnd(s)
}
