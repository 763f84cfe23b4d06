package takeover_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"heliograph.dev/internal/localca"
	"heliograph.dev/internal/takeover"
)

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func TestHosts(t *testing.T) {
	t.Parallel()
	const old = "127.0.0.1 localhost # here\n\n10.0.0.1\tmine Graph.Example other # all\n10.0.0.2 login.example\n# login.example is a comment\n::1 localhost"
	want := "127.0.0.1 localhost # here\n\n10.0.0.1 mine other # all\n# login.example is a comment\n::1 localhost\n" +
		"\n# heliograph takeover\n127.84.71.1 graph.example\n127.84.71.1 login.example\n"
	if got := takeover.Hosts(old, "127.84.71.1", []string{"graph.example", "login.example"}); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestNameService(t *testing.T) {
	t.Parallel()
	for old, want := range map[string]string{
		"passwd: files\nhosts:  mymachines resolve [!UNAVAIL=return] files myhostname dns\nnetworks: files\n": "passwd: files\nhosts: files dns\nnetworks: files\n",
		"passwd: files\n": "passwd: files\n\nhosts: files dns\n",
	} {
		if got := takeover.NameService(old); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func authority(t *testing.T) *localca.CA {
	t.Helper()
	ca, err := localca.Load(filepath.Join(t.TempDir(), "ca"), now, "graph.example")
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func value(environ []string, name string) string {
	for _, entry := range environ {
		if v, ok := strings.CutPrefix(entry, name+"="); ok {
			return v
		}
	}
	return ""
}

// What the command trusts already it goes on to trust.
func TestTrust(t *testing.T) {
	t.Parallel()
	dir, ca, systems, users := t.TempDir(), authority(t), authority(t), authority(t)
	environ, err := takeover.Trust(dir, ca.PEM(), []string{
		"SSL_CERT_FILE=" + systems.CertPath(), "NODE_EXTRA_CA_CERTS=" + users.CertPath(), "JAVA_TOOL_OPTIONS=-Xmx1g", "OTHER=x",
	}, now)
	if err != nil {
		t.Fatal(err)
	}
	subjects := func(name string) (found []string) {
		rest, err := os.ReadFile(value(environ, name))
		if err != nil {
			t.Fatal(name, err)
		}
		for block, more := pem.Decode(rest); block != nil; block, more = pem.Decode(more) {
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, c.Subject.CommonName)
		}
		return found
	}
	name := func(ca *localca.CA) string { return ca.Certificate().Subject.CommonName }
	for variable, want := range map[string][]string{
		"NODE_EXTRA_CA_CERTS": {name(ca), name(users)}, "DENO_CERT": {name(ca), name(users)},
		"SSL_CERT_FILE": {name(ca), name(users), name(systems)}, "CURL_CA_BUNDLE": {name(ca), name(users), name(systems)},
		"REQUESTS_CA_BUNDLE": {name(ca), name(users), name(systems)}, "GIT_SSL_CAINFO": {name(ca), name(users), name(systems)},
	} {
		if got := subjects(variable); !slices.Equal(got, want) {
			t.Errorf("%s holds %v, want %v", variable, got, want)
		}
	}
	java := value(environ, "JAVA_TOOL_OPTIONS")
	if !strings.HasPrefix(java, "-Xmx1g -Djavax.net.ssl.trustStore="+dir) || value(environ, "OTHER") != "x" {
		t.Errorf("%v", environ)
	}
	store, err := os.ReadFile(filepath.Join(dir, "truststore.jks"))
	if err != nil || !bytes.HasPrefix(store, []byte{0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2, 0, 0, 0, 3}) || !bytes.Contains(store, ca.Certificate().Raw) {
		t.Errorf("%v: %x", err, store[:min(len(store), 16)])
	}
	keytool, err := exec.LookPath("keytool")
	if err != nil {
		t.Log("no keytool: Java has not read the store")
		return
	}
	out, err := exec.CommandContext(t.Context(), keytool, "-list", "-keystore", filepath.Join(dir, "truststore.jks"), "-storepass", "changeit").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "3 entries") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestLines(t *testing.T) {
	t.Parallel()
	ca := authority(t)
	run, compose := takeover.ContainerLines([]string{"graph.example", "login.example"}, "/x/ca.pem")
	for _, part := range []string{"--add-host graph.example:host-gateway --add-host login.example:host-gateway", "-v /x/ca.pem:/heliograph-ca.pem:ro"} {
		if !strings.Contains(run, part) {
			t.Errorf("no %q in %s", part, run)
		}
	}
	if !strings.Contains(compose, "extra_hosts:\n      - \"graph.example:host-gateway\"\n") {
		t.Error(compose)
	}
	browser := takeover.BrowserLine([]string{"graph.example"}, "127.0.0.1:8443", "/tmp/p", ca.Certificate())
	if !strings.Contains(browser, `"MAP graph.example:443 127.0.0.1:8443"`) {
		t.Error(browser)
	}
	for address, want := range map[string]string{":8443": "127.0.0.1:8443", "0.0.0.0:1": "127.0.0.1:1", "[::]:1": "127.0.0.1:1", "10.0.0.1:2": "10.0.0.1:2", "localhost:3": "localhost:3"} {
		if got := takeover.Loopback(address); got != want {
			t.Errorf("%s is reached at %s, want %s", address, got, want)
		}
	}
}

// connect asks a proxy for a tunnel, and through it for a page.
func connect(t *testing.T, proxy, host string) (status int, body string) {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", proxy)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, _ = fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: %[1]s\r\n\r\n", host)
	r := bufio.NewReader(conn)
	answer, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect})
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return answer.StatusCode, ""
	}
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	answer, err = http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

func server(t *testing.T, says string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, says) }))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func TestProxy(t *testing.T) {
	t.Parallel()
	ours, other := server(t, "ours"), server(t, "other")
	for _, pass := range []bool{true, false} {
		p := &takeover.Proxy{Names: []string{"graph.example"}, Server: ours, PassOthers: pass}
		at, err := p.Start(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, host := range []string{"graph.example:443", "GRAPH.example.:443"} {
			if status, body := connect(t, at, host); status != http.StatusOK || body != "ours" {
				t.Errorf("%s: %d %q", host, status, body)
			}
		}
		want, says := http.StatusForbidden, ""
		if pass {
			want, says = http.StatusOK, "other"
		}
		if status, body := connect(t, at, other); status != want || body != says {
			t.Errorf("another, pass %v: %d %q", pass, status, body)
		}
		if !pass {
			if status, _ := connect(t, at, "graph.example:80"); status != http.StatusForbidden {
				t.Errorf("another port: %d", status)
			}
		}
		if status, _ := connect(t, at, "127.0.0.1:1"); pass && status != http.StatusBadGateway {
			t.Errorf("nobody there: %d", status)
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+at+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("no tunnel: %d", answer.StatusCode)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
	environ := takeover.ProxyEnv([]string{"NO_PROXY=a", "HTTPS_PROXY=old"}, "127.0.0.1:5")
	if value(environ, "HTTPS_PROXY") != "http://127.0.0.1:5" || value(environ, "NO_PROXY") != "a,localhost,127.0.0.1,::1" || !strings.Contains(value(environ, "JAVA_TOOL_OPTIONS"), "-Dhttps.proxyPort=5") {
		t.Errorf("%v", environ)
	}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestForwardAndMerge(t *testing.T) {
	t.Parallel()
	one, two := listen(t), listen(t)
	merged := takeover.Merge(one, two)
	if merged.Addr().String() != one.Addr().String() {
		t.Errorf("merged at %s", merged.Addr())
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- takeover.Forward(ctx, merged, server(t, "behind")) }()
	for _, l := range []net.Listener{one, two} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+l.Addr().String()+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Close = true
		answer, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if err != nil || string(text) != "behind" {
			t.Errorf("%q, %v", text, err)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := merged.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v", err)
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no shell")
	}
	var out bytes.Buffer
	for script, want := range map[string]int{"exit 0": 0, "exit 7": 7, "kill -9 $$": 137} {
		if code, err := takeover.Run(t.Context(), &takeover.Command{Args: []string{shell, "-c", script}, Out: &out, Err: &out}); err != nil || code != want {
			t.Errorf("%s: %d, %v, want %d", script, code, err, want)
		}
	}
	if _, err := takeover.Run(t.Context(), &takeover.Command{Args: []string{"no-such-command-anywhere"}}); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("%v", err)
	}
	// A signal reaches the command, and the command's answer to it the caller.
	for cause, want := range map[string]string{"interrupt signal received": "INT", "terminated signal received": "TERM"} {
		said, to := io.Pipe()
		ctx, cancel := context.WithCancelCause(t.Context())
		code := make(chan int, 1)
		go func() {
			n, err := takeover.Run(ctx, &takeover.Command{
				Args: []string{shell, "-c", `trap 'echo INT; exit 3' INT; trap 'echo TERM; exit 4' TERM; echo ready; while :; do sleep 0.05; done`}, Out: to,
			})
			if err != nil {
				t.Error(err)
			}
			_ = to.Close()
			code <- n
		}()
		lines := bufio.NewScanner(said)
		if !lines.Scan() || lines.Text() != "ready" {
			t.Fatalf("%q, %v", lines.Text(), lines.Err())
		}
		cancel(errors.New(cause))
		if !lines.Scan() || lines.Text() != want {
			t.Errorf("got %q, want %s", lines.Text(), want)
		}
		if n := <-code; n != 3 && n != 4 {
			t.Errorf("code %d", n)
		}
	}
}
