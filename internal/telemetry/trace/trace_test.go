package trace_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	pb "go.opentelemetry.io/proto/otlp/trace/v1"

	"heliograph.dev"
	"heliograph.dev/internal/deliver"
	"heliograph.dev/internal/telemetry/trace"
)

const (
	traceID    = "0af7651916cd43dd8448eb211c80319c"
	publisher  = "b7ad6b7169203331"
	recorded   = "00-" + traceID + "-" + publisher + "-01"
	unrecorded = "00-" + traceID + "-" + publisher + "-00"
	endpoint   = heliograph.Endpoint("https://hooks.example:8443/secret-path?key=secret")
)

func options(c *collector) trace.Options {
	return trace.Options{Endpoint: c.URL, Ratio: 1, Service: "heliograph", Version: "v1", Logger: slog.New(slog.DiscardHandler)}
}

// disk is a log that takes everything, or fails.
type disk struct {
	err  error
	kept []heliograph.Change
}

func (d *disk) Append(_ context.Context, _ int, changes []heliograph.Change) (uint64, error) {
	d.kept = append(d.kept, changes...)
	return 7, d.err
}
func (d *disk) PartitionOf(heliograph.TenantID) int { return 0 }
func (d *disk) Room() error                         { return nil }

// way is a change's way as a server wires it: publish, ingest, the write.
func way(t *trace.Tracer, d *disk) http.Handler {
	log := t.Writing(d)
	accept := t.Accepting(func(ctx context.Context, changes []heliograph.Change) error {
		_, err := log.Append(context.WithoutCancel(ctx), 3, changes)
		return err
	})
	return t.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		change := heliograph.Change{ID: heliograph.DeriveGUID("one"), Tenant: "t", Traceparent: r.Header.Get("Traceparent")}
		if err := accept(r.Context(), []heliograph.Change{change}); err != nil {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
}

func publish(t *testing.T, h http.Handler, traceparent string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/publish", http.NoBody)
	if traceparent != "" {
		r.Header.Set("Traceparent", traceparent)
	}
	h.ServeHTTP(httptest.NewRecorder(), r)
}

func notification(c *heliograph.Change) deliver.Notification {
	return deliver.Notification{ID: heliograph.DeriveGUID("n", c.ID.String()), Change: c.ID, Tenant: c.Tenant, Traceparent: c.Traceparent, Attempts: 2}
}

func stop(t *testing.T, tracer *trace.Tracer) {
	t.Helper()
	if err := tracer.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestFromPublishToReceipt: every step is a part of the publisher's trace, and the receiver goes on with it.
func TestFromPublishToReceipt(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	tracer, d := newTracer(t, options(c)), &disk{}
	publish(t, way(tracer, d), recorded)
	if len(d.kept) != 1 {
		t.Fatalf("%d changes were kept", len(d.kept))
	}
	change := d.kept[0]
	began := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	tracer.Matched(&heliograph.Frame{Partition: 3, Sequence: 7, Changes: []heliograph.Change{change}}, began, began.Add(time.Millisecond), []int{1})
	carried, end := tracer.Post(endpoint, []deliver.Notification{notification(&change)})
	end(&heliograph.Attempt{Reason: heliograph.RefusedStatus, Status: 503})
	tracer.GivenUp(endpoint, notification(&change), heliograph.GivenUpWindow)
	stop(t, tracer)

	request := c.named(t, "POST /publish")
	if traceOf(request) != traceID || parentOf(request) != publisher || request.GetKind() != pb.Span_SPAN_KIND_SERVER {
		t.Errorf("the request's span is %v", request)
	}
	if change.Traceparent != "00-"+traceID+"-"+idOf(request)+"-01" {
		t.Errorf("the change's context is %s, and its request's span %s", change.Traceparent, idOf(request))
	}
	post := c.named(t, "POST")
	if carried != "00-"+traceID+"-"+idOf(post)+"-01" || post.GetKind() != pb.Span_SPAN_KIND_CLIENT {
		t.Errorf("the POST carried %s, and its span is %v", carried, post)
	}
	for name, want := range map[string]map[string]any{
		"ingest":      {"heliograph.changes": int64(1)},
		"write frame": {"heliograph.partition": int64(3), "heliograph.sequence": int64(7)},
		"match":       {"heliograph.notifications": int64(1), "heliograph.change": change.ID.String(), "heliograph.tenant": "t"},
		"POST": {
			"http.response.status_code": int64(503), "error.type": "status", "server.address": "hooks.example:8443",
			"heliograph.failed_attempts": int64(2), "heliograph.notification": notification(&change).ID.String(),
		},
		"given up": {"error.type": "window"},
	} {
		span := c.named(t, name)
		if traceOf(span) != traceID || parentOf(span) != idOf(request) {
			t.Errorf("%s is in trace %s below %s", name, traceOf(span), parentOf(span))
		}
		for key, value := range want {
			if have := attribute(span, key); have != value {
				t.Errorf("%s: %s is %v, want %v", name, key, have, value)
			}
		}
	}
	if post.GetStatus().GetCode() != pb.Status_STATUS_CODE_ERROR || request.GetStatus().GetCode() != pb.Status_STATUS_CODE_UNSET {
		t.Errorf("statuses are %v and %v", post.GetStatus(), request.GetStatus())
	}
	if match := c.named(t, "match"); match.GetEndTimeUnixNano()-match.GetStartTimeUnixNano() != 1e6 {
		t.Errorf("the match took %v to %v", match.GetStartTimeUnixNano(), match.GetEndTimeUnixNano())
	}
	if text := fmt.Sprint(c.all("")); strings.Contains(text, "secret") {
		t.Errorf("spans tell of the endpoint's path: %s", text)
	}
	if have := tracer.Counts(); have != (trace.Counts{Ended: 6, Sent: 6}) {
		t.Errorf("%+v", have)
	}
	if c.resource["service.name"] != "heliograph" || c.resource["service.version"] != "v1" || c.requests[0].URL.Path != "/v1/traces" {
		t.Errorf("%v was posted to %s", c.resource, c.requests[0].URL)
	}
}

// TestManyInOnePost: the POST is a trace of its own with links to its changes', each of which has a link back.
func TestManyInOnePost(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	tracer := newTracer(t, options(c))
	const other = "00-11111111111111111111111111111111-2222222222222222-01"
	notifications := []deliver.Notification{{Traceparent: recorded, Attempts: 1}, {}, {Traceparent: unrecorded}, {Traceparent: other}}
	carried, end := tracer.Post(endpoint, notifications)
	clear(notifications) // not to be kept
	end(&heliograph.Attempt{Reason: heliograph.Delivered, Status: 202})
	if carried, end := tracer.Post(endpoint, []deliver.Notification{{}, {Traceparent: unrecorded}}); carried != "" {
		t.Errorf("a POST of which nothing is recorded carries %q", carried)
	} else {
		end(&heliograph.Attempt{})
	}
	stop(t, tracer)

	post := c.named(t, "POST")
	if carried != "00-"+traceOf(post)+"-"+idOf(post)+"-01" || traceOf(post) == traceID || parentOf(post) != "" {
		t.Errorf("the POST carried %s, and its span is %v", carried, post)
	}
	if len(post.GetLinks()) != 2 || attribute(post, "heliograph.notifications") != int64(4) {
		t.Errorf("the POST is %v", post)
	}
	each := c.all("deliver")
	if len(each) != 2 || traceOf(each[0]) != traceID || parentOf(each[0]) != publisher || attribute(each[0], "heliograph.failed_attempts") != int64(1) {
		t.Fatalf("its changes' spans are %v", each)
	}
	for i, span := range each {
		if string(post.GetLinks()[i].GetTraceId()) != string(span.GetTraceId()) {
			t.Errorf("link %d is %v", i, post.GetLinks()[i])
		}
		if links := span.GetLinks(); len(links) != 1 || string(links[0].GetSpanId()) != string(post.GetSpanId()) {
			t.Errorf("span %d has the links %v", i, links)
		}
		if span.GetStartTimeUnixNano() != post.GetStartTimeUnixNano() || span.GetEndTimeUnixNano() != post.GetEndTimeUnixNano() {
			t.Errorf("span %d took another time than the POST", i)
		}
	}
}

// TestWhatIsNotRecorded: a trace that its publisher does not record, or that chance left out, leaves no span anywhere,
// and the context goes on as it came.
func TestWhatIsNotRecorded(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ratio      float64
		came, goes string
	}{
		"the publisher says no":              {1, unrecorded, unrecorded},
		"chance says no":                     {0, "", ""},
		"nobody asks chance for a publisher": {0, recorded, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			collector := newCollector(t)
			o := options(collector)
			o.Ratio = c.ratio
			tracer, d := newTracer(t, o), &disk{}
			publish(t, way(tracer, d), c.came)
			change := d.kept[0]
			if c.came == recorded {
				if !strings.HasPrefix(change.Traceparent, "00-"+traceID) || len(collector.all("")) != 0 {
					t.Errorf("the change has %q", change.Traceparent)
				}
				return
			}
			tracer.Matched(&heliograph.Frame{Changes: d.kept}, time.Time{}, time.Time{}, []int{1})
			carried, end := tracer.Post(endpoint, []deliver.Notification{notification(&change)})
			end(&heliograph.Attempt{Reason: heliograph.Delivered})
			tracer.GivenUp(endpoint, notification(&change), heliograph.GivenUpLost)
			stop(t, tracer)
			if carried != c.goes || change.Traceparent != c.goes {
				t.Errorf("the change has %q and the POST %q, want %q", change.Traceparent, carried, c.goes)
			}
			if spans := collector.all(""); len(spans) != 0 {
				t.Errorf("spans %v", spans)
			}
		})
	}
}

// TestSourceInThisProcess: a trace begins where changes come from without a request, and the caller's stay as they are.
func TestSourceInThisProcess(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	tracer := newTracer(t, options(c))
	d := &disk{err: &heliograph.Error{Kind: heliograph.Full, Message: "secret"}}
	log := tracer.Writing(d)
	accept := tracer.Accepting(func(ctx context.Context, changes []heliograph.Change) error {
		_, err := log.Append(ctx, 0, changes)
		return err
	})
	mine := []heliograph.Change{{Tenant: "a"}, {Tenant: "b", Traceparent: unrecorded}}
	if err := accept(t.Context(), mine); heliograph.KindOf(err) != heliograph.Full {
		t.Errorf("accept: %v", err)
	}
	stop(t, tracer)
	root, write := c.named(t, "ingest"), c.named(t, "write frame")
	if parentOf(root) != "" || traceOf(write) != traceOf(root) {
		t.Errorf("the spans are %v and %v", root, write)
	}
	if root.GetStatus().GetMessage() != "full" || write.GetStatus().GetMessage() != "full" {
		t.Errorf("their statuses are %v and %v", root.GetStatus(), write.GetStatus())
	}
	if mine[0].Traceparent != "" || d.kept[0].Traceparent != "00-"+traceOf(root)+"-"+idOf(root)+"-01" || d.kept[1].Traceparent != unrecorded {
		t.Errorf("the changes are %+v, kept as %+v", mine, d.kept)
	}
}

func TestOtherRequestsAreLeftAlone(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	tracer := newTracer(t, options(c))
	h := tracer.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Traceparent"); got != recorded {
			t.Errorf("%s %s has %q", r.Method, r.URL, got)
		}
	}))
	for _, request := range []string{"GET /publish", "POST /v1.0/subscriptions"} {
		method, path, _ := strings.Cut(request, " ")
		r := httptest.NewRequestWithContext(t.Context(), method, path, http.NoBody)
		r.Header.Set("Traceparent", recorded)
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	stop(t, tracer)
	if spans := c.all(""); len(spans) != 0 {
		t.Errorf("spans %v", spans)
	}
}

// TestCollectorInTrouble: spans are posted again when the collector asks for it, given up when it does not, and the log
// has one line when it begins to fail and one when it is over.
func TestCollectorInTrouble(t *testing.T) {
	t.Parallel()
	c := newCollector(t, http.StatusServiceUnavailable)
	tracer := newTracer(t, options(c))
	tracer.GivenUp(endpoint, deliver.Notification{Traceparent: recorded}, heliograph.GivenUpLost)
	stop(t, tracer)
	if len(c.requests) != 2 || len(c.all("given up")) != 1 {
		t.Errorf("%d requests, spans %v", len(c.requests), c.all(""))
	}

	var log bytes.Buffer
	refusing := newCollector(t, http.StatusBadRequest)
	o := options(refusing)
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	o.Headers = map[string]heliograph.Secret{"api-key": heliograph.NewSecret("hush")}
	tracer = newTracer(t, o)
	tracer.GivenUp(endpoint, deliver.Notification{Traceparent: recorded}, heliograph.GivenUpLost)
	stop(t, tracer)
	if have := tracer.Counts(); have != (trace.Counts{Ended: 1, Failed: 1}) || len(refusing.requests) != 1 {
		t.Errorf("%+v after %d requests", have, len(refusing.requests))
	}
	if !strings.Contains(log.String(), "400 Bad Request") || strings.Contains(log.String(), "hush") {
		t.Errorf("the log says %s", &log)
	}
	if got := refusing.requests[0].Header.Get("Api-Key"); got != "hush" {
		t.Errorf("the key sent along is %q", got)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	elsewhere := newCollector(t)
	c := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	t.Cleanup(c.Close)
	o := options(elsewhere)
	o.Endpoint = c.URL
	tracer := newTracer(t, o)
	tracer.GivenUp(endpoint, deliver.Notification{Traceparent: recorded}, heliograph.GivenUpLost)
	stop(t, tracer)
	if len(elsewhere.requests) != 0 || tracer.Counts().Failed != 1 {
		t.Errorf("%d requests went elsewhere; %+v", len(elsewhere.requests), tracer.Counts())
	}
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	read := func(variables ...string) (trace.Options, error) {
		var o trace.Options
		err := o.FromEnvironment(func(name string) string {
			for _, v := range variables {
				if value, ok := strings.CutPrefix(v, name+"="); ok {
					return value
				}
			}
			return ""
		})
		return o, err
	}
	o, err := read("OTEL_EXPORTER_OTLP_HEADERS=a=1", "OTEL_EXPORTER_OTLP_TRACES_HEADERS= api-key = hu%20sh ,b=2=3",
		"OTEL_EXPORTER_OTLP_TIMEOUT=2500", "OTEL_EXPORTER_OTLP_COMPRESSION=gzip")
	if err != nil || o.Timeout != 2500*time.Millisecond || !o.Gzip || len(o.Headers) != 2 ||
		o.Headers["api-key"].Reveal() != "hu sh" || o.Headers["b"].Reveal() != "2=3" {
		t.Errorf("%+v, %v", o, err)
	}
	for _, wrong := range []string{
		"OTEL_EXPORTER_OTLP_HEADERS==hush", "OTEL_EXPORTER_OTLP_HEADERS=a=hush%2", "OTEL_EXPORTER_OTLP_TIMEOUT=1s",
		"OTEL_EXPORTER_OTLP_COMPRESSION=zstd",
	} {
		if _, err := read(wrong); err == nil || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v", wrong, err)
		}
	}
	c := newCollector(t)
	o.Endpoint, o.Service, o.Logger = c.URL+"/elsewhere", "s", slog.New(slog.DiscardHandler)
	tracer := newTracer(t, o)
	tracer.GivenUp(endpoint, deliver.Notification{Traceparent: recorded}, heliograph.GivenUpLost)
	stop(t, tracer)
	if len(c.all("given up")) != 1 || c.requests[0].URL.Path != "/elsewhere" || c.requests[0].Header.Get("Api-Key") != "hu sh" {
		t.Errorf("%v were posted by %v", c.all(""), c.requests)
	}
}

func TestStopGivesUp(t *testing.T) {
	t.Parallel()
	stuck := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // from here on the server notices that the client goes away
		<-r.Context().Done()
	}))
	t.Cleanup(stuck.Close)
	tracer, err := trace.New(t.Context(), trace.Options{Endpoint: stuck.URL, Service: "s", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	tracer.GivenUp(endpoint, deliver.Notification{Traceparent: recorded}, heliograph.GivenUpLost)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := tracer.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("stopped with %v", err)
	}
}

// BenchmarkPost is what delivery pays for a POST's span, by how many of its 128 notifications are recorded.
func BenchmarkPost(b *testing.B) {
	c := newCollector(b)
	tracer := newTracer(b, options(c))
	for _, traced := range []int{0, 1, 128} {
		b.Run(fmt.Sprintf("recorded=%d", traced), func(b *testing.B) {
			notifications := make([]deliver.Notification, 128)
			for i := range notifications {
				notifications[i].Traceparent = unrecorded
				if i < traced {
					notifications[i].Traceparent = recorded
				}
			}
			attempt := &heliograph.Attempt{Reason: heliograph.Delivered, Status: 202}
			b.ReportAllocs()
			for b.Loop() {
				_, end := tracer.Post(endpoint, notifications)
				end(attempt)
			}
		})
	}
}
