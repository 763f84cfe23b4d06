package trace

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	pb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"heliograph.dev/internal/clock"
)

const (
	defaultTimeout = 10 * time.Second
	firstPause     = 500 * time.Millisecond // before the first repetition; each further one waits twice as long
	maxAnswer      = 64 << 10
)

// sender posts spans to a collector (OTLP/HTTP 1.x, in binary). It is otlptrace's client.
//
// It never returns an error: that would go to a logger that all programs of a process share. It tells ours, when spans
// can no longer be sent and when they can again.
type sender struct {
	url     string
	header  http.Header
	client  *http.Client
	timeout time.Duration
	gzip    bool
	logger  *slog.Logger

	life context.Context //nolint:containedctx // ends what the queue began: the queue's own contexts outlive a Stop that ran out of time
	end  context.CancelFunc

	sent, failed atomic.Uint64
	failing      atomic.Bool
}

func newSender(ctx context.Context, o *Options) (*sender, error) {
	u, err := url.Parse(o.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("the collector's URL: %w", err)
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/v1/traces"
	}
	s := &sender{
		url: u.String(), header: http.Header{}, timeout: o.Timeout, gzip: o.Gzip, logger: o.Logger,
		client: &http.Client{
			Transport: &http.Transport{
				Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, IdleConnTimeout: time.Minute,
				TLSClientConfig: &tls.Config{RootCAs: o.RootCAs, MinVersion: tls.VersionTLS12},
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // keys go nowhere else
		},
	}
	s.life, s.end = context.WithCancel(context.WithoutCancel(ctx))
	if s.timeout <= 0 {
		s.timeout = defaultTimeout
	}
	for name, value := range o.Headers {
		s.header.Set(name, value.Reveal())
	}
	s.header.Set("Content-Type", "application/x-protobuf")
	if s.gzip {
		s.header.Set("Content-Encoding", "gzip")
	}
	return s, nil
}

// Start has nothing to do: the first spans connect.
func (s *sender) Start(context.Context) error { return nil }

// Stop closes the connections.
func (s *sender) Stop(context.Context) error {
	s.client.CloseIdleConnections()
	return nil
}

// UploadTraces posts spans, and repeats it while the collector asks for that and there is time.
func (s *sender) UploadTraces(ctx context.Context, spans []*pb.ResourceSpans) error {
	count := uint64(0)
	for _, r := range spans {
		for _, scoped := range r.GetScopeSpans() {
			count += uint64(len(scoped.GetSpans()))
		}
	}
	err := s.upload(ctx, spans)
	if err != nil {
		s.failed.Add(count)
		if s.failing.CompareAndSwap(false, true) {
			s.logger.WarnContext(ctx, "traces not sent", "error", err, "spans", count)
		}
		return nil // and not the error: see above
	}
	s.sent.Add(count)
	if s.failing.CompareAndSwap(true, false) {
		s.logger.InfoContext(ctx, "traces sent again", "failed_so_far", s.failed.Load())
	}
	return nil
}

func (s *sender) upload(ctx context.Context, spans []*pb.ResourceSpans) error {
	body, err := s.encode(spans)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	defer context.AfterFunc(s.life, cancel)() //nolint:contextcheck // two contexts end it
	for pause := firstPause; ; pause *= 2 {
		again, err := s.post(ctx, body)
		if err == nil || again < 0 {
			return err
		}
		if clock.Sleep(ctx, clock.System(), max(pause, again)) != nil {
			return err
		}
	}
}

// encode writes an ExportTraceServiceRequest, whose only field is the one that TracesData has under the same number:
// its own package would bring gRPC along.
func (s *sender) encode(spans []*pb.ResourceSpans) ([]byte, error) {
	body, err := proto.Marshal(&pb.TracesData{ResourceSpans: spans})
	if err != nil || !s.gzip {
		return body, err
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write(body); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return packed.Bytes(), nil
}

// post posts once. When it fails, again tells after how long to repeat it at the earliest; below zero there is no use.
func (s *sender) post(ctx context.Context, body []byte) (again time.Duration, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(body))
	if err != nil {
		return -1, err
	}
	r.Header = s.header.Clone()
	answer, err := s.client.Do(r)
	if err != nil {
		return 0, err
	}
	defer func() { _ = answer.Body.Close() }()
	_, _ = io.CopyN(io.Discard, answer.Body, maxAnswer) // what it says besides is for nobody; read, the connection is kept
	if answer.StatusCode/100 == 2 {
		return 0, nil
	}
	err = fmt.Errorf("the collector answered %s", answer.Status)
	switch answer.StatusCode { // those that OTLP says to repeat
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return retryAfter(answer.Header), err
	}
	return -1, err
}

func retryAfter(header http.Header) time.Duration {
	seconds, err := strconv.Atoi(strings.TrimSpace(header.Get("Retry-After")))
	if err != nil || seconds < 0 {
		return 0
	}
	return time.Duration(seconds) * time.Second
}
