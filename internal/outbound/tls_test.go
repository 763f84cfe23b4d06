package outbound_test

import (
	"crypto/tls"
	"crypto/x509"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/outbound"
)

func serverConfig(cert tls.Certificate) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{cert}}
}

func TestTLS(t *testing.T) { // contract 1.13, 4.14
	t.Parallel()
	ca := newAuthority(t)
	soon := now().Add(time.Hour)
	good := ca.issue(t, "127.0.0.1", soon)
	versions := func(oldest, newest uint16) *tls.Config {
		c := serverConfig(good)
		c.MinVersion, c.MaxVersion = oldest, newest
		return c
	}
	tests := map[string]struct {
		server *tls.Config
		roots  *x509.CertPool
		says   string // latestSupportedTlsVersion
		reason heliograph.Reason
		detail string
	}{
		"good":                     {serverConfig(good), ca.pool, "", heliograph.Delivered, ""},
		"unknown authority":        {serverConfig(good), x509.NewCertPool(), "", heliograph.TLSFailed, "unknown authority"},
		"another name":             {serverConfig(ca.issue(t, "other.example.com", soon)), ca.pool, "", heliograph.TLSFailed, "not for this host"},
		"expired":                  {serverConfig(ca.issue(t, "127.0.0.1", now().Add(-time.Hour))), ca.pool, "", heliograph.TLSFailed, "expired"},
		"1.1 only":                 {versions(tls.VersionTLS10, tls.VersionTLS11), ca.pool, "v1_1", heliograph.TLSFailed, "protocol version"},
		"1.2 only":                 {versions(tls.VersionTLS12, tls.VersionTLS12), ca.pool, "v1_2", heliograph.Delivered, ""},
		"1.2 where 1.3 was stated": {versions(tls.VersionTLS12, tls.VersionTLS12), ca.pool, "v1_3", heliograph.TLSFailed, "protocol version"},
		"1.3 where 1.3 was stated": {versions(tls.VersionTLS12, tls.VersionTLS13), ca.pool, "v1_3", heliograph.Delivered, ""},
		"1.3 where 1.2 was stated": {versions(tls.VersionTLS13, tls.VersionTLS13), ca.pool, "v1_2", heliograph.Delivered, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := secure(t, tt.server, nil)
			c := client(t, outbound.Options{AllowLoopback: true, RootCAs: tt.roots})
			e, err := c.Prepare(heliograph.Endpoint("https://"+addr+"/?code=hush"), outbound.MinTLS(tt.says))
			if err != nil {
				t.Fatal(err)
			}
			a := e.Post(t.Context(), nil, nil, patient)
			if a.Reason != tt.reason || !strings.Contains(a.Detail, tt.detail) || strings.Contains(a.Detail, "hush") {
				t.Errorf("%+v, want %s %q", a, tt.reason, tt.detail)
			}
		})
	}
}

func TestNotTLS(t *testing.T) {
	t.Parallel()
	r := newRaw(t, answer("HTTP/1.1 400 Bad Request\r\n\r\n"))
	a := post(t, client(t, outbound.Options{AllowLoopback: true}), "https://"+r.addr, impatient)
	// The receiver waits for a line of text that never comes, so either side may give up first.
	if a.Reason != heliograph.TLSFailed && a.Reason != heliograph.TimedOut {
		t.Errorf("%+v", a)
	}
}

func TestSessionsAreResumed(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	var resumed atomic.Int64
	config := serverConfig(ca.issue(t, "127.0.0.1", now().Add(time.Hour)))
	config.VerifyConnection = func(s tls.ConnectionState) error {
		if s.DidResume {
			resumed.Add(1)
		}
		return nil
	}
	addr := secure(t, config, nil)
	c := client(t, outbound.Options{AllowLoopback: true, RootCAs: ca.pool})
	for range 3 {
		if a := post(t, c, "https://"+addr, patient); !a.OK() {
			t.Fatalf("%+v", a)
		}
		c.Close() // the connection, not the session
	}
	if resumed.Load() != 2 {
		t.Errorf("%d of 3 connections resumed a session, want 2", resumed.Load())
	}
}
