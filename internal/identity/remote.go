package identity

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

const (
	refreshAfter = time.Hour        // keys are looked at again, while those at hand still serve
	staleAfter   = 24 * time.Hour   // keys that could not be refreshed for so long serve no more
	refetchPause = 15 * time.Second // between fetches, whatever tokens say
	outagePause  = 2 * time.Second  // between attempts while the issuer does not answer

	defaultFetchTimeout = 10 * time.Second
	maxDocument         = 1 << 20
	maxRedirects        = 3
)

var errClosed = errors.New("the server is stopping")

// remoteKeys are the keys of an issuer that is reached over HTTP.
type remoteKeys struct {
	issuer    string
	client    *http.Client
	now       func() time.Time
	timeout   time.Duration
	allowHTTP bool
	logger    *slog.Logger

	fetches, failures atomic.Uint64

	set    atomic.Pointer[keySet] // the last good one
	ctx    context.Context        //nolint:containedctx // the fetches' own: they outlive whoever asks first
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	fetched time.Time // when set was last found to be the issuer's
	tried   time.Time // when the last fetch began
	failure error     // how it ended
	running *fetch
	closed  bool
}

// fetch is one under way: whoever needs it waits for done.
type fetch struct{ done chan struct{} }

func newRemoteKeys(issuer string, client *http.Client, o Options) *remoteKeys {
	r := &remoteKeys{
		issuer: issuer, client: client, now: o.Now, timeout: o.FetchTimeout, allowHTTP: o.AllowHTTP, logger: o.Logger,
	}
	if r.timeout <= 0 {
		r.timeout = defaultFetchTimeout
	}
	if r.logger == nil {
		r.logger = slog.New(slog.DiscardHandler)
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

func (r *remoteKeys) current() *keySet { return r.set.Load() }

// keys returns a set in which kid may be looked up, and waits for a fetch only when there is none at hand.
func (r *remoteKeys) keys(ctx context.Context, kid string, tried *keySet) (*keySet, error) {
	set, under, err := r.plan(kid, tried) //nolint:contextcheck // a fetch has its own context, see begin
	if under == nil {
		return set, err
	}
	select {
	case <-under.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failure != nil {
		return nil, r.failure
	}
	return r.set.Load(), nil
}

// plan decides whether what is at hand will do, begins a fetch when one is due, and returns the fetch to wait for.
func (r *remoteKeys) plan(kid string, tried *keySet) (*keySet, *fetch, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	set, age := r.set.Load(), now.Sub(r.fetched)
	serves := set != nil && age < staleAfter
	known := serves && set != tried && set.has(kid)
	if (!known || age >= refreshAfter) && r.running == nil && r.mayFetch(now) {
		r.begin(now, serves)
	}
	switch {
	case known:
		return set, nil, nil
	case r.running != nil:
		return nil, r.running, nil
	case r.closed:
		return nil, nil, errClosed
	case r.failure != nil:
		return nil, nil, r.failure
	}
	return set, nil, nil // fetched a moment ago: there is no such key
}

// mayFetch keeps a flood of tokens with made-up keys from becoming a flood of requests to the issuer.
func (r *remoteKeys) mayFetch(now time.Time) bool {
	pause := refetchPause
	if r.failure != nil {
		pause = outagePause
	}
	since := now.Sub(r.tried)
	return !r.closed && (r.tried.IsZero() || since >= pause || since < 0)
}

// begin fetches in the background. The fetch has its own context: that the first of many who wait gave up must not
// fail the others.
func (r *remoteKeys) begin(now time.Time, serves bool) {
	under := &fetch{done: make(chan struct{})}
	r.running, r.tried = under, now
	r.fetches.Add(1)
	r.wg.Go(func() {
		ctx, cancel := context.WithTimeout(r.ctx, r.timeout)
		defer cancel()
		set, err := r.fetch(ctx)
		r.mu.Lock()
		defer r.mu.Unlock()
		defer close(under.done)
		r.running, r.failure = nil, err
		if err != nil {
			r.failures.Add(1)
			if serves && !r.closed {
				r.logger.LogAttrs(ctx, slog.LevelWarn, "issuer keys not refreshed, older ones serve",
					slog.String("issuer", r.issuer), slog.Any("error", err))
			}
			return
		}
		r.fetched = now
		if old := r.set.Load(); old == nil || old.digest != set.digest {
			r.set.Store(set)
		}
	})
}

// fetch asks the issuer's discovery document where its keys are, and gets them.
func (r *remoteKeys) fetch(ctx context.Context) (*keySet, error) {
	ctx = oidc.ClientContext(ctx, r.client)
	template := strings.Contains(r.issuer, placeholder)
	base := r.issuer
	if template {
		// Entra describes what all tenants share under the name common, with the template itself as the issuer.
		base = strings.Replace(base, placeholder, "common", 1)
		ctx = oidc.InsecureIssuerURLContext(ctx, r.issuer)
	}
	provider, err := oidc.NewProvider(ctx, base)
	if err != nil {
		return nil, fmt.Errorf("discover: %s", short(err))
	}
	var document struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if err := provider.Claims(&document); err != nil {
		return nil, fmt.Errorf("discover: %w", err)
	}
	if template && !strings.EqualFold(document.Issuer, r.issuer) {
		return nil, fmt.Errorf("discover: the document is of the issuer %s", excerpt(document.Issuer))
	}
	if err := checkURL(document.Keys, r.allowHTTP); err != nil {
		return nil, fmt.Errorf("discover: jwks_uri %s: %w", excerpt(document.Keys), err)
	}
	body, err := r.get(ctx, document.Keys)
	if err != nil {
		return nil, fmt.Errorf("fetch keys: %s", short(err))
	}
	set, err := parseKeys(body)
	if err != nil {
		return nil, fmt.Errorf("fetch keys: %w", err)
	}
	return set, nil
}

func (r *remoteKeys) get(ctx context.Context, address string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	response, err := r.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, errors.New(response.Status)
	}
	return io.ReadAll(response.Body)
}

func (r *remoteKeys) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.cancel()
	r.wg.Wait()
	r.client.CloseIdleConnections()
}

// short keeps an error that quotes a whole answer from filling the log.
func short(err error) string {
	const most = 300
	text := err.Error()
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

// Client returns the client that issuers are asked with: bounded answers, few redirects, never from TLS to none. A nil
// transport is one that goes directly, or by the proxy that the environment names.
func Client(transport http.RoundTripper) *http.Client {
	if transport == nil {
		transport = &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2:      true,
			MaxIdleConnsPerHost:    1,
			IdleConnTimeout:        30 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
		}
	}
	return &http.Client{
		Transport: boundedTransport{transport},
		CheckRedirect: func(request *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects {
				return errors.New("too many redirects")
			}
			if via[0].URL.Scheme == "https" && request.URL.Scheme != "https" {
				return errors.New("redirect away from https")
			}
			return nil
		},
	}
}

// boundedTransport bounds the bodies of answers, also of those that go-oidc reads whole.
type boundedTransport struct{ http.RoundTripper }

// RoundTrip does the request and bounds the answer's body.
func (b boundedTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := b.RoundTripper.RoundTrip(request)
	if err == nil {
		response.Body = http.MaxBytesReader(nil, response.Body, maxDocument)
	}
	return response, err
}

// CloseIdleConnections hands the wish on: http.Client looks for it here.
func (b boundedTransport) CloseIdleConnections() {
	if c, ok := b.RoundTripper.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}
