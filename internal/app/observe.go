package app

import (
	"context"
	"crypto/tls"
	"net/http"
	"os"
	"time"

	"heliograph.dev/internal/clock"
	"heliograph.dev/internal/deliver"
	"heliograph.dev/internal/ingest"
	"heliograph.dev/internal/telemetry"
	"heliograph.dev/internal/telemetry/trace"
)

// setUpTelemetry makes what watches the rest: the metrics, the lines about deliveries and, where it is configured, the
// tracer.
func (a *App) setUpTelemetry(ctx context.Context) (err error) {
	if a.parts.metrics, err = telemetry.NewMetrics(a.opts.Version); err != nil {
		return err
	}
	a.parts.lines = telemetry.NewLines(a.log, clock.System().Now)
	a.life.background(ctx, "lines about deliveries", func(ctx context.Context) { a.parts.lines.Run(ctx, clock.System()) })
	if a.cfg.Tracing.Endpoint == "" {
		return nil
	}
	return a.setUpTraces(ctx)
}

// lastSpans is how long a stop waits for the collector.
const lastSpans = 2 * time.Second

func (a *App) setUpTraces(ctx context.Context) error {
	o := trace.Options{
		Endpoint: a.cfg.Tracing.Endpoint, Ratio: float64(a.cfg.Tracing.SampleRatio), Service: a.cfg.Tracing.Service,
		Version: a.opts.Version, Logger: a.log,
	}
	err := o.FromEnvironment(os.Getenv)
	if err != nil {
		return err
	}
	for _, variable := range []string{"OTEL_EXPORTER_OTLP_CERTIFICATE", "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE"} {
		if file := os.Getenv(variable); file != "" {
			if o.RootCAs, err = certPool(file); err != nil {
				return err
			}
		}
	}
	tracer, err := trace.New(ctx, o)
	if err != nil {
		return err
	}
	a.parts.tracer = tracer
	a.life.started("traces", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, lastSpans)
		defer cancel()
		if err := tracer.Stop(ctx); err != nil { // no reason to call it a bad end
			a.log.WarnContext(ctx, "last traces not sent", "error", err)
		}
		return nil
	})
	return a.parts.metrics.WatchSpans(func() telemetry.Spans {
		c := tracer.Counts()
		return telemetry.Spans{Recorded: c.Ended, Sent: c.Sent, Failed: c.Failed}
	})
}

// observer hears of deliveries.
func (a *App) observer() deliver.Observer {
	return telemetry.Observers{a.parts.metrics, a.parts.lines, a.parts.pulse, a.parts.endings}
}

// tracer is delivery's tracer, or nil.
func (a *App) tracer() deliver.Tracer {
	if a.parts.tracer == nil {
		return nil // and not an interface that holds nil
	}
	return a.parts.tracer
}

// writing is the engine's log as ingest writes it: counted, timed and traced.
func (a *App) writing() ingest.Log {
	log := ingest.Log(a.parts.engine)
	if a.parts.tracer != nil {
		log = a.parts.tracer.Writing(log)
	}
	return a.parts.metrics.Writing(log, clock.System().Now)
}

// accepting takes changes in, from publishers and from drives: counted and traced.
func (a *App) accepting() telemetry.Accept {
	accept := a.parts.ingest.Accept
	if a.parts.tracer != nil {
		accept = a.parts.tracer.Accepting(accept)
	}
	return a.parts.metrics.Accepting(accept)
}

// showLevels lets the metrics look at the parts at each scrape.
func (a *App) showLevels(context.Context) error {
	if err := a.parts.metrics.Watch(a.levels); err != nil {
		return err
	}
	if err := a.parts.metrics.WatchWork(func() telemetry.Work {
		return telemetry.Work{Levels: a.parts.workshop.Levels(), Waiting: a.parts.ingest.Waiting(), Unrecorded: a.parts.deliveries.Skipped()}
	}); err != nil {
		return err
	}
	return a.parts.metrics.WatchTrust(a.trust)
}

func (a *App) levels(ctx context.Context) (telemetry.Levels, error) {
	s, err := a.parts.engine.State(ctx)
	if err != nil {
		return telemetry.Levels{}, err
	}
	lag, err := a.parts.watch.Lag(ctx)
	return telemetry.Levels{
		Subscriptions: a.parts.index.Len(), LogFirst: s.Log.First, LogLast: s.Log.Last, LogBytes: s.Log.Bytes, LogLimit: s.LogLimit,
		Room: s.Refusal == nil, ParkedEndpoints: s.Backlog.Endpoints, ParkedMessages: s.Backlog.Messages, ParkedBytes: s.Backlog.Bytes,
		DiskFree: s.Free, DiskReserve: s.Reserve, WatchLag: lag,
	}, err
}

func (a *App) trust() telemetry.Trust {
	s := a.parts.verifier.Stats()
	t := telemetry.Trust{
		TokensRemembered: s.Hits, TokensChecked: s.Misses, TokensKept: s.CachedTokens,
		KeyFetches: s.Fetches, KeyFetchFailures: s.FetchFailures,
		Certificates: a.parts.sealer.certs.Len(), ValidationTokens: a.parts.sealer.signed(),
	}
	if ends := a.tlsEnds.Load(); ends != nil {
		t.TLSExpires = *ends
	}
	return t
}

// noteCertificate lets the metrics tell when the certificate ends that https is answered with.
func (a *App) noteCertificate(pair *tls.Certificate) {
	if pair.Leaf != nil {
		a.tlsEnds.Store(&pair.Leaf.NotAfter)
	}
}

// answers is what answers requests on every address.
func (a *App) answers() http.Handler {
	api := a.behindGate(a.parts.api)
	if a.parts.tracer == nil {
		return api
	}
	return a.parts.tracer.Handler(api)
}

// operate answers on the operators' address what the others answer.
func (a *App) operate(ctx context.Context, answers http.Handler) {
	if a.operations != nil {
		a.log.InfoContext(ctx, "operators' address answers", "url", a.OperationsURL())
		a.serve(ctx, "operations", a.operations, answers)
	}
}
