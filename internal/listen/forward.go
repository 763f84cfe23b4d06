package listen

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"
)

// defaultForwardTimeout is how long Graph waits at most (contract 4.6, 10.5): what takes longer has failed in
// any case.
const defaultForwardTimeout = 10 * time.Second

// passage is how forwarding one request went.
type passage struct {
	url    string // without the query: it may hold a token
	status int    // of the target's answer, 0 when there was none
	took   time.Duration
	fault  string // what went wrong, for a person
}

func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DisableCompression:  true, // the sender's Accept-Encoding is the target's business
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: 32,
		IdleConnTimeout:     time.Minute,
	}
}

// forward passes the request on and the target's answer back: redirects and errors too, the sender shall see
// what it would see without us. A token makes it a handshake, whose answer is looked at.
func (r *Receiver) forward(w http.ResponseWriter, req *http.Request, in *incoming, token *string) {
	ctx, cancel := context.WithTimeout(req.Context(), r.opts.ForwardTimeout)
	defer cancel()
	went := passage{}
	defer func() { // also when the answer broke off, which ends in a panic that net/http knows
		went.took = r.opts.Now().Sub(in.at)
		r.print(r.view.forwarded(in, &went))
	}()
	proxy := httputil.ReverseProxy{
		Transport: r.client,
		ErrorLog:  slog.NewLogLogger(r.opts.Logger.Handler(), slog.LevelDebug),
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.RawQuery = p.In.URL.RawQuery // as it came, with what net/url cannot read
			p.SetURL(r.target)
			p.SetXForwarded()
			went.url = (&url.URL{Scheme: p.Out.URL.Scheme, Host: p.Out.URL.Host, Path: p.Out.URL.Path}).String()
		},
		ModifyResponse: func(resp *http.Response) error {
			went.status = resp.StatusCode
			if token != nil {
				went.fault = checkEcho(resp, *token)
			}
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			went.fault = err.Error()
			status := http.StatusBadGateway
			if errors.Is(err, context.DeadlineExceeded) {
				status = http.StatusGatewayTimeout
				went.fault = fmt.Sprintf("no answer in %s", r.opts.ForwardTimeout)
			}
			http.Error(w, "the target did not answer", status)
		},
	}
	out := req.Clone(ctx)
	out.Body = io.NopCloser(bytes.NewReader(in.body))
	out.ContentLength = int64(len(in.body))
	proxy.ServeHTTP(w, out)
}

// checkEcho says what Graph would not accept about a target's answer to the handshake (contract 4.6, 4.8), or
// "". It leaves the answer as it was.
func checkEcho(resp *http.Response, token string) string {
	start, err := io.ReadAll(io.LimitReader(resp.Body, int64(3*len(token))+1)) // room for one that is still encoded
	if err != nil {
		return "the answer to the handshake broke off: " + err.Error()
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(start), resp.Body), resp.Body}

	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")) // unreadable: not text/plain
	switch decoded, err := url.QueryUnescape(string(start)); {
	case resp.StatusCode != http.StatusOK:
		return "the handshake wants status 200"
	case string(start) == token && media == "text/plain":
		return ""
	case string(start) == token:
		return fmt.Sprintf("the handshake wants content type text/plain, not %q", media)
	case err == nil && decoded == token:
		return "the handshake wants the token URL-decoded, this one is still encoded"
	}
	return "the handshake wants the token as body, exactly"
}
