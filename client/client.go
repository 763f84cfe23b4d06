// Package client speaks with a Heliograph server: it keeps subscriptions, publishes changes and uses the control
// calls that a developer or an operator has.
//
//	tokens := client.ClientCredentials(client.Credentials{
//		TokenURL: "http://127.0.0.1:8080/common/oauth2/v2.0/token", ClientID: "my-app", ClientSecret: "secret",
//	})
//	c, err := client.New("http://127.0.0.1:8080", tokens)
//
// The subscription calls are those of Microsoft Graph, so its own SDKs work as well; this package is for programs
// that want little.
//
// A refusal is an [*Error] with Graph's code and message, and with the rule that refused. Nothing is tried again
// by itself, but for a call with a token that the server no longer takes: Error.RetryAfter says when it may be. Answers are read up to a bound, redirects are not followed,
// and the token goes to the server's own origin only. A Client may be used by any number of goroutines.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxAnswer bounds what is read of an answer: a page of subscriptions, each with a certificate, stays below it.
const maxAnswer = 16 << 20

// Client speaks with one server.
type Client struct {
	base    *url.URL
	tokens  TokenSource
	version string
	http    *http.Client
}

// Option changes how a client works.
type Option func(*Client)

// WithHTTPClient sends by another HTTP client than the client's own, for a CA of one's own or other time-outs.
func WithHTTPClient(h *http.Client) Option { return func(c *Client) { c.http = h } }

// WithBeta uses the beta version of the Graph API instead of v1.0.
func WithBeta() Option { return func(c *Client) { c.version = "beta" } }

// New returns a client of the server at baseURL (http://127.0.0.1:8080). tokens may be nil for calls that need
// no token. It contacts nobody.
func New(baseURL string, tokens TokenSource, options ...Option) (*Client, error) {
	base, err := url.Parse(strings.TrimRight(baseURL, "/"))
	if err != nil {
		return nil, fmt.Errorf("the server's address: %w", err)
	}
	if base.Scheme != "http" && base.Scheme != "https" || base.Host == "" {
		return nil, fmt.Errorf("the server's address %q is not of the form http://host:port or https://host:port", baseURL)
	}
	c := &Client{base: base, tokens: tokens, version: "v1.0"}
	for _, option := range options {
		option(c)
	}
	if c.http == nil {
		c.http = &http.Client{
			Timeout:       time.Minute, // a create waits for two handshakes of up to ten seconds
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	return c, nil
}

// call is one request.
type call struct {
	method, path string
	media        string // of the body; JSON when it is empty
	prefer       string
	body         any // sent as JSON, unless nil
}

// do makes a call and decodes the answer into out, unless that is nil.
func (c *Client) do(ctx context.Context, what call, out any) error {
	response, err := c.send(ctx, what)
	if err != nil {
		return err // says the method, the URL and what went wrong
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return fmt.Errorf("%s %s: read the answer: %w", what.method, what.path, err)
	}
	if len(body) > maxAnswer {
		return fmt.Errorf("%s %s: the answer is larger than %d bytes", what.method, what.path, maxAnswer)
	}
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return errorOf(response, body)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(body, out); err != nil {
		return fmt.Errorf("%s %s: the answer is not what was expected: %w", what.method, what.path, err)
	}
	return nil
}

// send makes the request, once more when the server no longer takes the token and there is another one.
func (c *Client) send(ctx context.Context, what call) (*http.Response, error) {
	request, err := c.request(ctx, what)
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(request)
	if err != nil || response.StatusCode != http.StatusUnauthorized || c.tokens == nil {
		return response, err
	}
	refused := request.Header.Get("Authorization")
	again, err := c.request(withoutToken(ctx, strings.TrimPrefix(refused, "Bearer ")), what)
	if err != nil || again.Header.Get("Authorization") == refused {
		return response, nil //nolint:nilerr // that it was refused is the answer
	}
	_ = response.Body.Close()
	return c.http.Do(again)
}

func (c *Client) request(ctx context.Context, what call) (*http.Request, error) {
	target, err := c.target(what.path)
	if err != nil {
		return nil, err
	}
	var body io.Reader
	if what.body != nil {
		text, err := json.Marshal(what.body)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", what.method, what.path, err)
		}
		body = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, what.method, target, body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", what.method, what.path, err)
	}
	request.Header.Set("Accept", "application/json")
	if what.body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if what.media != "" {
		request.Header.Set("Content-Type", what.media)
	}
	if what.prefer != "" {
		request.Header.Set("Prefer", what.prefer)
	}
	if c.tokens != nil {
		token, err := c.tokens(ctx)
		if err != nil {
			return nil, fmt.Errorf("get a token: %w", err)
		}
		request.Header.Set("Authorization", "Bearer "+token)
	}
	return request, nil
}

// target returns the address of a path, or checks that a whole address, which came from the server, stays there.
func (c *Client) target(path string) (string, error) {
	if strings.HasPrefix(path, "/") {
		return c.base.String() + path, nil
	}
	link, err := url.Parse(path)
	if err != nil {
		return "", fmt.Errorf("the server's link: %w", err)
	}
	if link.Scheme != c.base.Scheme || link.Host != c.base.Host {
		return "", errors.New("the server's link leads to another server: " + link.Redacted())
	}
	return path, nil
}
