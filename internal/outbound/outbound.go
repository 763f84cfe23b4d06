// Package outbound is the only way out: every call that Heliograph makes to an address that somebody else
// chose goes through a Client.
package outbound

import (
	"context"
	"crypto/x509"
	"net"
	"net/http"
	"net/netip"
	"time"

	"heliograph.dev"
)

// Options say where calls may go and what they may cost.
type Options struct {
	// AllowLoopback opens the loopback addresses, AllowHTTP plain http to them: dev has both, serve neither.
	AllowLoopback, AllowHTTP bool
	// AllowPrefixes opens addresses beside the public ones, DenyPrefixes closes public ones.
	AllowPrefixes, DenyPrefixes []netip.Prefix
	// RootCAs verify the receivers' certificates; nil means the system's.
	RootCAs *x509.CertPool
	// Resolver looks up names; nil means the system's.
	Resolver *net.Resolver
	// ConnectTimeout bounds lookup, TCP and TLS of one connection.
	ConnectTimeout time.Duration
	// MaxConns bounds the open connections in all, MaxConnsPerHost to one host and port.
	MaxConns, MaxConnsPerHost int
	// IdleTimeout closes a connection that nobody used for so long.
	IdleTimeout time.Duration
	Now         func() time.Time
}

// Client calls endpoints.
type Client struct{}

// New returns a client.
func New(o Options) *Client { return &Client{} }

// CheckURL reports, as a *heliograph.Error of kind Invalid, why no call may go to raw, by its text alone.
func (c *Client) CheckURL(raw string) error { return nil }

// Prepare readies an endpoint for many posts.
func (c *Client) Prepare(url heliograph.Endpoint, minTLS uint16) (*Endpoint, error) {
	return &Endpoint{}, nil
}

// Close closes idle connections.
func (c *Client) Close() {}

// MinTLS turns a latestSupportedTlsVersion into the oldest TLS version that is spoken with its endpoint.
func MinTLS(latestSupported string) uint16 { return 0 }

// Endpoint is a receiver's URL made ready for many posts.
type Endpoint struct{}

// Post sends one JSON body and reads the answer. header is sent beside Content-Type; it may be nil.
func (e *Endpoint) Post(ctx context.Context, body []byte, header http.Header, timeout time.Duration) heliograph.Attempt {
	return heliograph.Attempt{}
}

// Request is one call whose exchange is kept.
type Request struct {
	URL     string
	Header  http.Header
	Body    []byte
	Timeout time.Duration
	MinTLS  uint16
}

// Exchange is one call as it went, for a person to see.
type Exchange struct {
	Attempt heliograph.Attempt
	// Sent is the head of the request as it went out.
	Sent string
	// Header and Body are the answer's, the body cut at a bound; Truncated says whether it was longer.
	Header    http.Header
	Body      []byte
	Truncated bool
	// Address is the address that answered, TLS the protocol version spoken ("TLS 1.3").
	Address, TLS string
	// When each step was done, counted from the start; zero for what did not happen.
	Resolved, Connected, Secured, FirstByte time.Duration
}

// Exchange posts a request and keeps what was said.
func (c *Client) Exchange(ctx context.Context, r Request) Exchange { return Exchange{} }
