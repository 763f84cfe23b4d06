package trace_test

import (
	"compress/gzip"
	"context"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	pb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"heliograph.dev/internal/telemetry/trace"
)

// collector is a real OTLP receiver that keeps what it got.
type collector struct {
	*httptest.Server

	mu       sync.Mutex
	answers  []int // before it takes anything
	requests []*http.Request
	resource map[string]string
	spans    []*pb.Span
}

func newCollector(tb testing.TB, answers ...int) *collector {
	tb.Helper()
	c := &collector{answers: answers}
	c.Server = httptest.NewServer(c)
	tb.Cleanup(c.Close)
	return c
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests = append(c.requests, r)
	if len(c.answers) > 0 {
		w.WriteHeader(c.answers[0])
		c.answers = c.answers[1:]
		return
	}
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		var err error
		if body, err = gzip.NewReader(r.Body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	}
	raw, err := io.ReadAll(body)
	var data pb.TracesData
	if err == nil {
		err = proto.Unmarshal(raw, &data)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	for _, of := range data.GetResourceSpans() {
		c.resource = map[string]string{}
		for _, a := range of.GetResource().GetAttributes() {
			c.resource[a.GetKey()] = a.GetValue().GetStringValue()
		}
		for _, scoped := range of.GetScopeSpans() {
			c.spans = append(c.spans, scoped.GetSpans()...)
		}
	}
}

// named returns the only span of that name.
func (c *collector) named(tb testing.TB, name string) *pb.Span {
	tb.Helper()
	all := c.all(name)
	if len(all) != 1 {
		tb.Fatalf("%d spans are called %s, want one", len(all), name)
	}
	return all[0]
}

func (c *collector) all(name string) []*pb.Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(c.spans), func(s *pb.Span) bool { return name != "" && s.GetName() != name })
}

func newTracer(tb testing.TB, o trace.Options) *trace.Tracer {
	tb.Helper()
	t, err := trace.New(tb.Context(), o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = t.Stop(context.Background()) })
	return t
}

func traceOf(s *pb.Span) string  { return hex.EncodeToString(s.GetTraceId()) }
func idOf(s *pb.Span) string     { return hex.EncodeToString(s.GetSpanId()) }
func parentOf(s *pb.Span) string { return hex.EncodeToString(s.GetParentSpanId()) }

// attribute returns what a span says, as text or as a number.
func attribute(s *pb.Span, key string) any {
	for _, a := range s.GetAttributes() {
		if a.GetKey() == key {
			if a.GetValue().GetStringValue() != "" {
				return a.GetValue().GetStringValue()
			}
			return a.GetValue().GetIntValue()
		}
	}
	return nil
}
