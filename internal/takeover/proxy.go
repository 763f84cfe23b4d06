package takeover

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	dialTimeout = 10 * time.Second
	mostTunnels = 512
)

// Proxy is an HTTP proxy on loopback that sends some names to a server, for commands that can be given no hosts file.
type Proxy struct {
	// Names are sent to Server, an address, when they are asked for at port 443.
	Names  []string
	Server string
	// PassOthers connects other names to where they are. Otherwise they are refused.
	PassOthers bool

	tunnels sync.WaitGroup
	slots   chan struct{}
	server  *http.Server
	closing context.CancelFunc
	ctx     context.Context //nolint:containedctx // ends the tunnels
}

// Start begins to answer on a port of its own and returns its address. Close ends it.
func (p *Proxy) Start(ctx context.Context) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	p.slots = make(chan struct{}, mostTunnels)
	p.ctx, p.closing = context.WithCancel(context.WithoutCancel(ctx))
	p.server = &http.Server{Handler: p, ReadHeaderTimeout: dialTimeout, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	p.tunnels.Go(func() { _ = p.server.Serve(l) }) // it ends by Close
	return l.Addr().String(), nil
}

// Close ends the proxy and its tunnels.
func (p *Proxy) Close() error {
	p.closing()
	err := p.server.Close()
	p.tunnels.Wait()
	return err
}

// ServeHTTP opens a tunnel.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect {
		w.Header().Set("Allow", http.MethodConnect)
		http.Error(w, "this proxy opens tunnels only (CONNECT)", http.StatusMethodNotAllowed)
		return
	}
	to, ok := p.route(r.Host)
	if !ok {
		http.Error(w, "heliograph takeover refuses "+r.Host+": it passes Microsoft's names only", http.StatusForbidden)
		return
	}
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	default:
		http.Error(w, "too many tunnels", http.StatusServiceUnavailable)
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(p.ctx, cancel)() //nolint:contextcheck // Close ends tunnels, of which net/http knows nothing any more
	d := net.Dialer{Timeout: dialTimeout}
	there, err := d.DialContext(ctx, "tcp", to)
	if err != nil {
		http.Error(w, "cannot reach "+r.Host+": "+err.Error(), http.StatusBadGateway)
		return
	}
	here, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		_ = there.Close()
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	p.tunnels.Add(1)
	defer p.tunnels.Done()
	if _, err := io.WriteString(here, "HTTP/1.1 200 Connection established\r\n\r\n"); err == nil {
		Join(ctx, halves{here, buffered.Reader}, there)
	}
	_ = here.Close()
	_ = there.Close()
}

// route returns where a host with its port is connected to.
func (p *Proxy) route(host string) (string, bool) {
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		return "", false
	}
	if port == Port && slices.Contains(p.Names, strings.ToLower(strings.TrimSuffix(name, "."))) {
		return p.Server, true
	}
	return host, p.PassOthers
}

// halves is a connection whose first bytes have been read already.
type halves struct {
	net.Conn

	first io.Reader
}

// Read reads what was read already, and then on.
func (h halves) Read(b []byte) (int, error) { return h.first.Read(b) }

// Join copies between two connections until both have come to their end, or ctx is done.
func Join(ctx context.Context, a, b net.Conn) {
	stop := context.AfterFunc(ctx, func() {
		_ = a.Close()
		_ = b.Close()
	})
	defer stop()
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{a, b}, {b, a}} {
		both.Go(func() {
			_, _ = io.Copy(way[0], way[1]) // an error is an end like any other
			if half, ok := way[0].(interface{ CloseWrite() error }); ok {
				_ = half.CloseWrite()
				return
			}
			if h, ok := way[0].(halves); ok {
				if half, ok := h.Conn.(interface{ CloseWrite() error }); ok {
					_ = half.CloseWrite()
				}
			}
		})
	}
	both.Wait()
}

// Forward sends what comes to a listener on to a server, until ctx is done.
func Forward(ctx context.Context, l net.Listener, server string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	var tunnels sync.WaitGroup
	defer tunnels.Wait()
	defer cancel()
	slots := make(chan struct{}, mostTunnels)
	for {
		slots <- struct{}{}
		here, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			return err
		}
		tunnels.Go(func() {
			defer func() { <-slots }()
			defer func() { _ = here.Close() }()
			d := net.Dialer{Timeout: dialTimeout}
			there, err := d.DialContext(ctx, "tcp", server)
			if err != nil {
				return // the client sees its connection end
			}
			defer func() { _ = there.Close() }()
			Join(ctx, here, there)
		})
	}
}

// ProxyEnv returns an environment that tells a command of a proxy for https, at an address.
func ProxyEnv(environ []string, address string) []string {
	host, port, _ := net.SplitHostPort(address)
	for _, name := range []string{"HTTPS_PROXY", "https_proxy"} {
		environ = SetEnv(environ, name, "http://"+address)
	}
	here := "localhost,127.0.0.1,::1"
	for _, name := range []string{"NO_PROXY", "no_proxy"} {
		said := lookUp(environ, name)
		environ = SetEnv(environ, name, strings.Trim(said+","+here, ","))
	}
	environ = SetEnv(environ, "NODE_USE_ENV_PROXY", "1") // Node.js 24 heeds the others with it
	java := lookUp(environ, "JAVA_TOOL_OPTIONS") + " -Dhttps.proxyHost=" + host + " -Dhttps.proxyPort=" + port
	return SetEnv(environ, "JAVA_TOOL_OPTIONS", strings.TrimSpace(java))
}
