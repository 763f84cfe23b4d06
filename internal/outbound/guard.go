package outbound

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http/httptrace"
	"net/netip"
	"slices"
	"sync"
	"syscall"

	"code.dny.dev/ssrf"
)

// errAddress is the guard's no.
var errAddress = errors.New("the address is not allowed")

// guard decides which addresses may be dialed.
type guard struct {
	loopback bool // plain http may go there
	deny     []netip.Prefix
	public   *ssrf.Guardian // and what Options opened
}

func newGuard(o Options) *guard {
	allow := slices.Clone(o.AllowPrefixes)
	if o.AllowLoopback {
		allow = append(allow, netip.PrefixFrom(netip.AddrFrom4([4]byte{127}), 8), netip.PrefixFrom(netip.IPv6Loopback(), 128))
	}
	var v4, v6 []netip.Prefix
	for _, p := range allow {
		if p.Addr().Is4() {
			v4 = append(v4, p)
		} else {
			v6 = append(v6, p)
		}
	}
	return &guard{
		loopback: o.AllowLoopback && o.AllowHTTP,
		deny:     slices.Clone(o.DenyPrefixes),
		public:   ssrf.New(ssrf.WithAnyPort(), ssrf.WithAllowedV4Prefixes(v4...), ssrf.WithAllowedV6Prefixes(v6...)),
	}
}

// https reports whether TLS may be spoken with the address.
func (g *guard) https(ip netip.Addr) bool {
	return !g.denied(ip) && g.public.SafeAddr(ip) == nil
}

// http reports whether plain http may be spoken with the address.
func (g *guard) http(ip netip.Addr) bool {
	return g.loopback && ip.IsLoopback() && g.https(ip)
}

func (g *guard) denied(ip netip.Addr) bool {
	return slices.ContainsFunc(g.deny, func(p netip.Prefix) bool { return p.Contains(ip) || p.Contains(ip.Unmap()) })
}

// control is the hook that the dialer calls with each address before it connects to it.
func control(allowed func(netip.Addr) bool) func(network, address string, _ syscall.RawConn) error {
	return func(_, address string, _ syscall.RawConn) error {
		ip, err := netip.ParseAddrPort(address)
		if err != nil || !allowed(ip.Addr()) {
			return errAddress
		}
		return nil
	}
}

func (c *Client) dialPlain(ctx context.Context, network, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.options.ConnectTimeout)
	defer cancel()
	return c.dial(ctx, addr, c.guard.http)
}

func (c *Client) dialTLS(ctx context.Context, addr string, config *tls.Config) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.options.ConnectTimeout)
	defer cancel()
	raw, err := c.dial(ctx, addr, c.guard.https)
	if err != nil {
		return nil, err
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		host = addr
	}
	config = config.Clone()
	config.ServerName = host
	conn := tls.Client(raw, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, &tlsError{err}
	}
	if trace := httptrace.ContextClientTrace(ctx); trace != nil && trace.TLSHandshakeDone != nil {
		trace.TLSHandshakeDone(conn.ConnectionState(), nil) // the transport tells only of handshakes of its own
	}
	return conn, nil
}

// dial connects to one of addr's addresses that the guard allows, once fewer than MaxConns are open.
func (c *Client) dial(ctx context.Context, addr string, allowed func(netip.Addr) bool) (net.Conn, error) {
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for one of %d connections: %w", c.options.MaxConns, ctx.Err())
	}
	d := net.Dialer{Resolver: c.options.Resolver, Control: control(allowed)}
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		<-c.slots
		return nil, err
	}
	return &countedConn{Conn: conn, release: sync.OnceFunc(func() { <-c.slots })}, nil
}

// countedConn gives its slot back when it is closed.
type countedConn struct {
	net.Conn
	release func()
}

// Close closes the connection.
func (c *countedConn) Close() error {
	err := c.Conn.Close()
	c.release()
	return err
}

// tlsError marks what went wrong between TCP and HTTP.
type tlsError struct{ err error }

// Error returns the cause's text.
func (e *tlsError) Error() string { return e.err.Error() }

// Unwrap returns the cause.
func (e *tlsError) Unwrap() error { return e.err }
