package outbound_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"heliograph.dev"
	"heliograph.dev/internal/clock"
	"heliograph.dev/internal/outbound"
)

func now() time.Time { return clock.System().Now() }

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// dev is a client as dev has it, closed at the end of the test.
func dev(t *testing.T, o outbound.Options) *outbound.Client {
	t.Helper()
	o.AllowLoopback, o.AllowHTTP = true, true
	return client(t, o)
}

func client(t *testing.T, o outbound.Options) *outbound.Client {
	t.Helper()
	c := outbound.New(o)
	t.Cleanup(c.Close)
	return c
}

// post sends one small body to a URL.
func post(t *testing.T, c *outbound.Client, url string, timeout time.Duration) heliograph.Attempt {
	t.Helper()
	e, err := c.Prepare(heliograph.Endpoint(url), tls.VersionTLS12)
	if err != nil {
		t.Fatal(err)
	}
	return e.Post(t.Context(), []byte(`{"value":[]}`), nil, timeout)
}

// raw is a receiver that does with each connection what serve does, after the head of the first request has
// been read. It counts the connections that it accepted.
type raw struct {
	addr     string
	accepted atomic.Int64
}

func newRaw(t *testing.T, serve func(c net.Conn)) *raw {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &raw{addr: l.Addr().String()}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			r.accepted.Add(1)
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
			wg.Go(func() {
				defer func() { _ = c.Close() }()
				b := bufio.NewReader(c)
				for {
					line, err := b.ReadString('\n')
					if err != nil {
						return
					}
					if line == "\r\n" {
						break
					}
				}
				serve(c)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for _, c := range conns {
			_ = c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return r
}

// repeat writes text until the other side has gone.
func repeat(c net.Conn, text string) {
	for {
		if _, err := io.WriteString(c, text); err != nil {
			return
		}
	}
}

// trickle writes a byte at a time until the other side has gone.
func trickle(c net.Conn, text string) {
	pace := time.NewTicker(20 * time.Millisecond)
	defer pace.Stop()
	for i := 0; ; i = (i + 1) % len(text) {
		if _, err := c.Write([]byte{text[i]}); err != nil {
			return
		}
		<-pace.C
	}
}

// names is a DNS server over UDP that gives each name's answers in turn, the last of them for ever.
type names struct {
	mu      sync.Mutex
	answers map[string][][]netip.Addr
	asked   atomic.Int64
}

func newNames(t *testing.T, answers map[string][][]netip.Addr) (*names, *net.Resolver) {
	t.Helper()
	conn, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &names{answers: answers}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 1500)
		for {
			size, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			if reply := n.reply(b[:size]); reply != nil {
				_, _ = conn.WriteTo(reply, from)
			}
		}
	}()
	t.Cleanup(func() { _ = conn.Close(); <-done })
	return n, &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

// reply answers one question of type A; to AAAA it answers that there is none.
func (n *names) reply(q []byte) []byte {
	const header, typeA = 12, 1
	name, i := "", header
	for q[i] != 0 {
		name += string(q[i+1:i+1+int(q[i])]) + "."
		i += 1 + int(q[i])
	}
	question := q[header : i+5]
	var addrs []netip.Addr
	n.mu.Lock()
	if list := n.answers[name]; len(list) > 0 && binary.BigEndian.Uint16(q[i+1:]) == typeA {
		n.asked.Add(1)
		addrs = list[0]
		if len(list) > 1 {
			n.answers[name] = list[1:]
		}
	}
	known := n.answers[name] != nil
	n.mu.Unlock()
	flags := uint16(0x8180)
	if !known {
		flags |= 3 // no such name
	}
	r := append([]byte{}, q[:2]...)
	for _, v := range []uint16{flags, 1, uint16(len(addrs)), 0, 0} {
		r = binary.BigEndian.AppendUint16(r, v)
	}
	r = append(r, question...)
	for _, a := range addrs {
		r = append(r, 0xc0, header, 0, typeA, 0, 1, 0, 0, 0, 0, 0, 4)
		r = append(r, a.AsSlice()...)
	}
	return r
}

// authority is a CA for one test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: now().Add(-time.Hour), NotAfter: now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{cert, key, x509.NewCertPool()}
	a.pool.AddCert(cert)
	return a
}

// issue returns a server certificate for a name or address.
func (a *authority) issue(t *testing.T, name string, until time.Time) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: now().Add(-2 * time.Hour), NotAfter: until,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip := net.ParseIP(name); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{name}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// secure is a receiver over TLS that accepts everything, and closes the connection after each answer when told
// so. It returns its address.
func secure(t *testing.T, config *tls.Config, handler http.HandlerFunc) string {
	t.Helper()
	config.NextProtos = []string{"http/1.1"}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if handler == nil {
		handler = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) }
	}
	s := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(tls.NewListener(l, config)) }()
	t.Cleanup(func() { _ = s.Close(); <-done })
	return l.Addr().String()
}
