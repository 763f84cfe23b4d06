package origin_test

import (
	"crypto/tls"
	"net/http/httptest"
	"net/netip"
	"testing"

	"heliograph.dev/internal/origin"
)

func TestOf(t *testing.T) {
	t.Parallel()
	proxies := origin.Proxies{netip.MustParsePrefix("10.0.0.0/8")}
	tests := []struct {
		name, from, host, proto, forwarded string
		tls                                bool
		want                               string
		local                              bool
	}{
		{"http", "1.2.3.4:5", "127.0.0.1:8080", "", "", false, "http://127.0.0.1:8080", true},
		{"https", "1.2.3.4:5", "LocalHost:8443", "", "", true, "https://localhost:8443", true},
		{"IPv6", "1.2.3.4:5", "[::1]:8080", "", "", false, "http://[::1]:8080", true},
		{"IPv6 without a port", "1.2.3.4:5", "[::1]", "", "", false, "http://[::1]", true},
		{"below localhost", "1.2.3.4:5", "app.localhost", "", "", false, "http://app.localhost", true},
		{"a name", "1.2.3.4:5", "notlocalhost", "", "", false, "http://notlocalhost", false},
		{"trusted proxy", "10.1.2.3:5", "inner:80", "HTTPS", "Graph.example", false, "https://graph.example", false},
		{"trusted proxy, mapped address", "[::ffff:10.1.2.3]:5", "inner:80", "https", "graph.example", false, "https://graph.example", false},
		{"trusted proxy that tells only the scheme", "10.1.2.3:5", "inner:80", "https", "", false, "https://inner:80", false},
		{"several proxies", "10.1.2.3:5", "inner:80", "https, http", "a.example, b.example", false, "https://a.example", false},
		{"proxy that nobody trusts", "11.1.2.3:5", "inner:80", "https", "evil.example", false, "http://inner:80", false},
		{"proxy that says nonsense", "10.1.2.3:5", "inner:80", "gopher", `evil.example/"x`, false, "http://inner:80", false},
		{"a path in the host", "10.1.2.3:5", "inner:80", "", `evil.example/x`, false, "http://inner:80", false},
		{"user in the host", "1.2.3.4:5", "user@evil.example", "", "", false, "http://localhost", true},
		{"no host", "1.2.3.4:5", "", "", "", false, "http://localhost", true},
		{"no address", "@", "inner", "https", "evil.example", false, "http://inner", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
			r.RemoteAddr, r.Host = test.from, test.host
			r.Header.Set("X-Forwarded-Proto", test.proto)
			r.Header.Set("X-Forwarded-Host", test.forwarded)
			if test.tls {
				r.TLS = &tls.ConnectionState{}
			}
			got := proxies.Of(r)
			if got.String() != test.want || got.IsLocal() != test.local {
				t.Errorf("%s, local %v; want %s, %v", got, got.IsLocal(), test.want, test.local)
			}
		})
	}
}
