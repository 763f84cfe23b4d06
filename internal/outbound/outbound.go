// Package outbound is the only way out: every call that Heliograph makes to an address which somebody else
// chose goes through a Client.
//
// # Where calls may go
//
// CheckURL judges a URL by its text: https without userinfo and fragment, http only to loopback and only when
// that is allowed. Text proves nothing about addresses, so the address guard looks at every address that a
// name resolved to at the moment of dialing it, for every connection anew: a name that changes its address
// between check and call (DNS rebinding) gains nothing. Public addresses are open; loopback and further
// prefixes open by Options; a denied prefix is closed whatever else says yes. No proxy is used, not even one
// named by the environment, and redirects are an outcome, never followed.
//
// # What calls may cost
//
// One time-out covers lookup, connection, TLS, request and whole answer. Answers are read up to a bound;
// a longer one costs the receiver its connection. Connections are kept alive (HTTP/1.1: for one small POST at
// a time it is cheaper than HTTP/2), bounded per host and in all, and closed when idle. TLS is 1.2 or newer,
// sessions are resumed.
//
// # What comes back
//
// Every call ends in a heliograph.Attempt that names its outcome by a Reason. Its Detail is for a person: it
// holds no query, no byte that the receiver sent but a redirect's target, and no address behind a name, which
// would tell a stranger about the network that Heliograph runs in.
//
// All types are safe for concurrent use.
package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/netip"
	"time"

	"heliograph.dev/internal/clock"
)

// Options say where calls may go and what they may cost. The zero value is serve's: https to public
// addresses, limits as the constants below.
type Options struct {
	// AllowLoopback opens the loopback addresses beside the public ones, AllowHTTP plain http to them:
	// dev has both, serve neither.
	AllowLoopback, AllowHTTP bool
	// AllowPrefixes opens further addresses, DenyPrefixes closes some; who is in both is closed.
	AllowPrefixes, DenyPrefixes []netip.Prefix
	// RootCAs verify the receivers' certificates; nil means the system's.
	RootCAs *x509.CertPool
	// Resolver looks up names; nil means the system's.
	Resolver *net.Resolver
	// ConnectTimeout bounds lookup, TCP and TLS of one connection.
	ConnectTimeout time.Duration
	// MaxConns bounds the open connections in all, MaxConnsPerHost those to one host and port with the same
	// oldest TLS version.
	MaxConns, MaxConnsPerHost int
	// IdleTimeout closes a connection that nobody used for so long.
	IdleTimeout time.Duration
	// Now tells when an attempt started; nil means the machine's clock. How long it took is measured in
	// real time, whatever Now says.
	Now func() time.Time
}

// Limits that hold where Options leave them open.
const (
	DefaultConnectTimeout  = 10 * time.Second
	DefaultMaxConns        = 4096
	DefaultMaxConnsPerHost = 64
	DefaultIdleTimeout     = 90 * time.Second
)

// Bounds on what a receiver may send. Nothing that an answer to a webhook says needs more.
const (
	maxHeader = 16 << 10 // of the answer's head, 1xx answers before it included
	maxDrain  = 4 << 10  // of a body that only has to end, so that its connection can be used again
	maxKept   = 8 << 10  // of a body that a person will look at
)

// sessions is how many TLS sessions are remembered for resumption; each takes a few KB.
const sessions = 1024

// Client calls endpoints.
type Client struct {
	options Options
	guard   *guard
	slots   chan struct{} // one for each open connection
	// One transport for each oldest TLS version, because a connection pool does not ask which was spoken.
	since12, since13 *http.Transport
	real             clock.Clock
}

// New returns a client.
func New(o Options) *Client {
	o.ConnectTimeout = orDefault(o.ConnectTimeout, DefaultConnectTimeout)
	o.MaxConns = orDefault(o.MaxConns, DefaultMaxConns)
	o.MaxConnsPerHost = orDefault(o.MaxConnsPerHost, DefaultMaxConnsPerHost)
	o.IdleTimeout = orDefault(o.IdleTimeout, DefaultIdleTimeout)
	c := &Client{options: o, guard: newGuard(o), slots: make(chan struct{}, o.MaxConns), real: clock.System()}
	if c.options.Now == nil {
		c.options.Now = c.real.Now
	}
	c.since12 = c.transport(tls.VersionTLS12, o.MaxConns/2)
	c.since13 = c.transport(tls.VersionTLS13, o.MaxConns/4)
	return c
}

func orDefault[T time.Duration | int](v, otherwise T) T {
	if v <= 0 {
		return otherwise
	}
	return v
}

// transport makes a connection pool. maxIdle keeps the idle connections of all pools together below MaxConns:
// what is idle can then never keep a new connection from being made.
func (c *Client) transport(minTLS uint16, maxIdle int) *http.Transport {
	secure := &tls.Config{
		MinVersion:         minTLS,
		RootCAs:            c.options.RootCAs,
		NextProtos:         []string{"http/1.1"},
		ClientSessionCache: tls.NewLRUClientSessionCache(sessions),
		// Certificates are judged by the machine's clock: one that dev has moved would refuse them all.
	}
	return &http.Transport{
		Proxy:                  nil,
		DialContext:            c.dialPlain,
		DialTLSContext:         func(ctx context.Context, _, addr string) (net.Conn, error) { return c.dialTLS(ctx, addr, secure) },
		MaxIdleConns:           max(maxIdle, 1),
		MaxIdleConnsPerHost:    c.options.MaxConnsPerHost,
		MaxConnsPerHost:        c.options.MaxConnsPerHost,
		IdleConnTimeout:        c.options.IdleTimeout,
		MaxResponseHeaderBytes: maxHeader,
		DisableCompression:     true,
	}
}

func (c *Client) transportSince(minTLS uint16) *http.Transport {
	if minTLS >= tls.VersionTLS13 {
		return c.since13
	}
	return c.since12
}

// Close closes the connections that are idle. Calls under way end as they would have.
func (c *Client) Close() {
	c.since12.CloseIdleConnections()
	c.since13.CloseIdleConnections()
}

// MinTLS turns a subscription's latestSupportedTlsVersion into the oldest TLS version to speak with its
// endpoint. The property tells the newest version that the endpoint knows: one that says 1.3 has no reason to
// answer with less, so less would be somebody between us. Below 1.2 nothing is spoken, whatever it says.
func MinTLS(latestSupported string) uint16 {
	if latestSupported == "v1_3" {
		return tls.VersionTLS13
	}
	return tls.VersionTLS12
}
