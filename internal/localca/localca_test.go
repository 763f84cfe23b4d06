package localca_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"heliograph.dev/internal/localca"
)

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func load(t *testing.T, dir string, at time.Time) *localca.CA {
	t.Helper()
	ca, err := localca.Load(dir, at)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func leaf(t *testing.T, ca *localca.CA, at time.Time) tls.Certificate {
	t.Helper()
	cert, err := ca.Leaf(at)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func trust(t *testing.T, ca *localca.CA) *x509.CertPool {
	t.Helper()
	data, err := os.ReadFile(ca.CertPath())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		t.Fatalf("%s holds no certificate", ca.CertPath())
	}
	return pool
}

func TestClientsThatTrustTheFileAcceptTheServer(t *testing.T) {
	t.Parallel()
	today := time.Now() //nolint:forbidigo // both ends of a TLS connection read the machine's clock
	ca := load(t, filepath.Join(t.TempDir(), "ca"), today)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			cert, err := ca.Leaf(today)
			return &cert, err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{
		Handler:  http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }),
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	defer func() {
		_ = server.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	}()

	url := "https://" + listener.Addr().String()
	if body, err := get(t, url, trust(t, ca)); err != nil || body != "hello" {
		t.Errorf("%q, %v", body, err)
	}
	if _, err := get(t, url, x509.NewCertPool()); err == nil {
		t.Error("a client that does not trust the file accepted the server")
	}
}

func TestLeafNames(t *testing.T) {
	t.Parallel()
	ca := load(t, filepath.Join(t.TempDir(), "ca"), now)
	cert := leaf(t, ca, now)
	pool := trust(t, ca)
	for name, want := range map[string]bool{
		"localhost": true, "graph.localhost": true, "127.0.0.1": true, "[::1]": true,
		"a.b.localhost": false, "example.com": false, "127.0.0.2": false, "192.0.2.1": false,
	} {
		_, err := cert.Leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: pool, CurrentTime: now})
		if (err == nil) != want {
			t.Errorf("%s: err = %v, want accepted = %t", name, err, want)
		}
	}
}

// A stolen key must be good for nothing but this machine.
func TestConstraints(t *testing.T) {
	t.Parallel()
	ca := load(t, filepath.Join(t.TempDir(), "ca"), now)
	for _, name := range []string{"graph.microsoft.com", "localhost.example.com", "192.0.2.1", "::2"} {
		forged := forge(t, ca, name)
		_, err := forged.Verify(x509.VerifyOptions{DNSName: bracket(name), Roots: trust(t, ca), CurrentTime: now})
		if err == nil || !strings.Contains(err.Error(), "not permitted") {
			t.Errorf("%s: err = %v, want a violated constraint", name, err)
		}
	}
	block, _ := pem.Decode(read(t, ca.CertPath()))
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if !cert.PermittedDNSDomainsCritical || !cert.MaxPathLenZero || cert.KeyUsage != x509.KeyUsageCertSign {
		t.Errorf("constraints critical %t, path length zero %t, key usage %v", cert.PermittedDNSDomainsCritical, cert.MaxPathLenZero, cert.KeyUsage)
	}
	if life := cert.NotAfter.Sub(now); life != 10*365*24*time.Hour {
		t.Errorf("life = %v", life)
	}
}

func TestLeafIsRenewedInTime(t *testing.T) {
	t.Parallel()
	ca := load(t, filepath.Join(t.TempDir(), "ca"), now)
	first := leaf(t, ca, now)
	at := func(days int) time.Time { return now.Add(time.Duration(days) * 24 * time.Hour) }
	if again := leaf(t, ca, at(59)); !again.Leaf.Equal(first.Leaf) {
		t.Error("made anew before two thirds of its life")
	}
	second := leaf(t, ca, at(60))
	if second.Leaf.Equal(first.Leaf) || second.Leaf.NotAfter.Sub(at(60)) != 90*24*time.Hour {
		t.Errorf("not renewed: ends %v", second.Leaf.NotAfter)
	}
	if back := leaf(t, ca, now.Add(-24*time.Hour)); now.Add(-24 * time.Hour).Before(back.Leaf.NotBefore) {
		t.Error("after the clock was put back, the certificate is not valid yet")
	}

	lastDay := at(3650 - 1)
	if last := leaf(t, ca, lastDay); last.Leaf.NotAfter.After(at(3650)) {
		t.Errorf("outlives its authority: %v", last.Leaf.NotAfter)
	}
	if _, err := ca.Leaf(at(3651)); err == nil {
		t.Error("made by an authority that has ended")
	}
}

func TestLoadedAgainItIsTheSame(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "deep", "ca")
	first := load(t, dir, now)
	before := read(t, first.CertPath())
	second := load(t, dir, now.Add(time.Hour))
	if !bytes.Equal(before, read(t, second.CertPath())) {
		t.Error("made anew")
	}
	cert := leaf(t, second, now)
	if _, err := cert.Leaf.Verify(x509.VerifyOptions{DNSName: "localhost", Roots: trust(t, first), CurrentTime: now}); err != nil {
		t.Error(err)
	}
	entries, err := os.ReadDir(filepath.Dir(dir))
	if err != nil || len(entries) != 1 {
		t.Errorf("left beside it: %v, %v", entries, err)
	}
	if info, err := os.Stat(filepath.Join(dir, "ca-key.pem")); runtime.GOOS != "windows" && (err != nil || info.Mode().Perm() != 0o600) {
		t.Errorf("key: %v, %v", info.Mode(), err)
	}
}

func TestAnEmptyFolderIsFilled(t *testing.T) {
	t.Parallel()
	leaf(t, load(t, t.TempDir(), now), now)
}

func TestManyAtOnceAgreeOnOne(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "ca")
	certs := make([][]byte, 16)
	var all sync.WaitGroup
	for i := range certs {
		all.Go(func() {
			ca, err := localca.Load(dir, now)
			if err != nil {
				t.Error(err)
				return
			}
			certs[i], _ = os.ReadFile(ca.CertPath())
		})
	}
	all.Wait()
	for _, cert := range certs {
		if len(cert) == 0 || !bytes.Equal(cert, certs[0]) {
			t.Fatal("two authorities in one folder")
		}
	}
}

func TestWhatIsWrongIsSaidAndNothingIsReplaced(t *testing.T) {
	t.Parallel()
	other := filepath.Join(t.TempDir(), "other")
	load(t, other, now)
	type test struct {
		spoil func(t *testing.T, dir string)
		at    time.Time
		want  string
	}
	nothing := func(*testing.T, string) {}
	tests := map[string]test{
		"certificate is garbage":   {writes("ca.pem", "garbage"), now, "ca.pem is not one PEM block"},
		"certificate and more":     {writes("ca.pem", block("CERTIFICATE")+"more"), now, "ca.pem is not one PEM block"},
		"certificate is cut":       {cuts("ca.pem"), now, "ca.pem is not one PEM block"},
		"certificate's content":    {writes("ca.pem", block("CERTIFICATE")), now, "read ca.pem"},
		"key is empty":             {writes("ca-key.pem", ""), now, "ca-key.pem is not one PEM block"},
		"key is cut":               {cuts("ca-key.pem"), now, "ca-key.pem is not one PEM block"},
		"key's content":            {writes("ca-key.pem", block("PRIVATE KEY")), now, "read ca-key.pem"},
		"key is missing":           {removes("ca-key.pem"), now, "ca-key.pem"},
		"certificate is missing":   {removes("ca.pem"), now, "ca.pem"},
		"key of another authority": {takes("ca-key.pem", other), now, "is not the key of"},
		"a server's certificate":   {putLeaf, now, "is no authority's certificate"},
		"it has ended":             {nothing, now.Add(11 * 365 * 24 * time.Hour), "ended on 2036-11-19"},
		"it has not begun":         {nothing, now.Add(-48 * time.Hour), "begins only on 2026-11-22"},
		"another folder":           {putNotes, now, "ca.pem"},
	}
	if runtime.GOOS != "windows" {
		tests["key that others may read"] = test{shows("ca-key.pem"), now, "others may read ca-key.pem (mode 0644, want 0600)"}
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "ca")
			load(t, dir, now)
			test.spoil(t, dir)
			before := contents(t, dir)
			_, err := localca.Load(dir, test.at)
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), dir) {
				t.Errorf("err = %v, want it to name %s and say %q", err, dir, test.want)
			}
			if after := contents(t, dir); after != before {
				t.Errorf("replaced: %s, was %s", after, before)
			}
		})
	}
}

func TestANameThatIsNoFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "file", "x")
	if _, err := localca.Load(filepath.Join(dir, "file"), now); err == nil {
		t.Error("took a file for a folder")
	}
	if _, err := localca.Load(filepath.Join(dir, "file", "ca"), now); err == nil {
		t.Error("made a folder below a file")
	}
}

func BenchmarkFirstLoadAndLeaf(b *testing.B) {
	for b.Loop() {
		ca, err := localca.Load(filepath.Join(b.TempDir(), "ca"), now)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := ca.Leaf(now); err != nil {
			b.Fatal(err)
		}
	}
}

// An authority for further names speaks for them and for localhost, and for nobody else.
func TestFurtherNames(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "ca")
	ca, err := localca.Load(dir, now, "graph.example", "login.example")
	if err != nil {
		t.Fatal(err)
	}
	roots := trust(t, ca)
	for name, want := range map[string]bool{"localhost": true, "graph.example": true, "login.example": true, "other.example": false} {
		_, err := leaf(t, ca, now).Leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots, CurrentTime: now})
		_, forged := forge(t, ca, name).Verify(x509.VerifyOptions{DNSName: name, Roots: roots, CurrentTime: now})
		if (err == nil) != want || (forged == nil) != want {
			t.Errorf("%s: %v, forged %v", name, err, forged)
		}
	}
	if !bytes.Equal(ca.PEM(), read(t, ca.CertPath())) || !strings.Contains(ca.Certificate().Subject.CommonName, "takeover") {
		t.Errorf("%s is not what %s holds", ca.PEM(), ca.CertPath())
	}
	if _, err := localca.Load(dir, now, "graph.example"); err != nil {
		t.Error(err)
	}
	if _, err := localca.Load(dir, now, "graph.example", "new.example"); err == nil || !strings.Contains(err.Error(), "not for new.example") {
		t.Errorf("%v", err)
	}
}
