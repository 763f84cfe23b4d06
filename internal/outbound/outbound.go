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
// a longer one costs the receiver its connection. Connections are kept alive, bounded per host and in all, and
// closed when idle. TLS is 1.2 or newer, sessions are resumed. Posts may speak HTTP/2 with who offers it
// (Options.HTTP2); an Exchange speaks HTTP/1.1, whose bytes a person can read.
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
	// HTTP2 lets posts speak HTTP/2 with endpoints that offer it in the TLS handshake. It takes more processor time for
	// a POST and far fewer connections.
	HTTP2 bool
	// MaxConns bounds the open connections in all, MaxConnsPerHost those to one host and port with the same
	// oldest TLS version.
	MaxConns, MaxConnsPerHost int
	// IdleTimeout closes a connection that nobody used for so long.
	IdleTimeout time.Duration
	// Trace keeps of each post the head as it went out, the address and the time of each step, for a person to see: a
	// few microseconds and kilobytes each. The answer is kept without.
	Trace bool
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

// A connection with HTTP/2 is pinged when nothing came of it for pingAfter, and closed when pingTimeout later there is no
// answer. Of answers, so much may be on the way: nobody reads more.
const (
	pingAfter   = 5 * time.Second
	pingTimeout = 5 * time.Second
	maxBuffered = 64 << 10
)

// sessions is how many TLS sessions are remembered for resumption; each takes a few KB.
const sessions = 1024

// Client calls endpoints.
type Client struct {
	options Options
	guard   *guard
	slots   chan struct{} // one for each open connection
	// calls are for exchanges, posts for posts: the same ones, unless these speak HTTP/2.
	calls, posts transports
	real         clock.Clock
}

// transports are one connection pool for each oldest TLS version, because a pool does not ask which was spoken.
type transports struct{ since12, since13 *http.Transport }

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
	// What is idle in all pools together stays below MaxConns: it can never keep a new connection from being made.
	c.posts = transports{c.transport(tls.VersionTLS12, o.MaxConns/2, o.HTTP2), c.transport(tls.VersionTLS13, o.MaxConns/4, o.HTTP2)}
	c.calls = c.posts
	if o.HTTP2 {
		c.calls = transports{c.transport(tls.VersionTLS12, o.MaxConns/16, false), c.transport(tls.VersionTLS13, o.MaxConns/16, false)}
	}
	return c
}

func orDefault[T time.Duration | int](v, otherwise T) T {
	if v <= 0 {
		return otherwise
	}
	return v
}

// transport makes a connection pool that keeps so many connections when they are idle.
func (c *Client) transport(minTLS uint16, maxIdle int, http2 bool) *http.Transport {
	secure := &tls.Config{
		MinVersion:         minTLS,
		RootCAs:            c.options.RootCAs,
		NextProtos:         []string{"http/1.1"},
		ClientSessionCache: tls.NewLRUClientSessionCache(sessions),
		// Certificates are judged by the machine's clock: one that dev has moved would refuse them all.
	}
	t := &http.Transport{
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
	if http2 {
		secure.NextProtos = []string{"h2", "http/1.1"}
		t.Protocols = new(http.Protocols)
		t.Protocols.SetHTTP1(true)
		t.Protocols.SetHTTP2(true)
		// Posts to one host share a connection: when it hangs, they all do until somebody notices.
		t.HTTP2 = &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout, MaxReceiveBufferPerStream: maxBuffered, MaxReceiveBufferPerConnection: maxBuffered}
	}
	return t
}

func (t transports) since(minTLS uint16) *http.Transport {
	if minTLS >= tls.VersionTLS13 {
		return t.since13
	}
	return t.since12
}

// Close closes the connections that are idle. Calls under way end as they would have.
func (c *Client) Close() {
	for _, t := range []transports{c.calls, c.posts} {
		t.since12.CloseIdleConnections()
		t.since13.CloseIdleConnections()
	}
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
