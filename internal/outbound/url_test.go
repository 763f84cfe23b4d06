package outbound_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"heliograph.dev"
	"heliograph.dev/internal/outbound"
)

func TestCheckURL(t *testing.T) { // contract 1.4
	t.Parallel()
	serve := outbound.New(outbound.Options{})
	dev := outbound.New(outbound.Options{AllowLoopback: true, AllowHTTP: true})
	private := outbound.New(outbound.Options{
		AllowPrefixes: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")},
		DenyPrefixes:  []netip.Prefix{netip.MustParsePrefix("10.9.0.0/16"), netip.MustParsePrefix("8.8.8.0/24")},
	})
	tests := []struct {
		client *outbound.Client
		url    string
		rule   string // empty: fine
	}{
		{serve, "https://example.com/hook?code=a&b=%20c", ""},
		{serve, "https://EXAMPLE.com.:8443", ""},
		{serve, "HTTPS://my_app.example.com/", ""},
		{serve, "https://93.184.216.34/", ""},
		{serve, "https://[2606:4700::1111]:443/", ""},
		{serve, "http://example.com/", "url.scheme"},
		{serve, "ftp://example.com/", "url.scheme"},
		{serve, "example.com/hook", "url.scheme"},
		{serve, "", "url.scheme"},
		{serve, "https:example.com", "url.host"},
		{serve, "https:///path", "url.host"},
		{serve, "https://:443/", "url.host"},
		{serve, "https://exa$mple.com/", "url.host"},
		{serve, "https://a..b/", "url.host"},
		{serve, "https://-a.com/", "url.host"},
		{serve, "https://" + strings.Repeat("a.", 127) + "com/", "url.host"},
		{serve, "https://[fe80::1%25eth0]/", "url.host"},
		{serve, "https://user:pass@example.com/", "url.userinfo"},
		{serve, "https://example.com/#top", "url.fragment"},
		{serve, "https://example.com/#", "url.fragment"},
		{serve, "https://example.com:0/", "url.port"},
		{serve, "https://example.com:65536/", "url.port"},
		{serve, "https://example.com:/", "url.port"},
		{serve, "https://example.com:port/", "url.form"},
		{serve, "https://example.com/%zz", "url.form"},
		{serve, "https://example.com/a b", "url.characters"},
		{serve, "https://example.com/a\r\nX: y", "url.characters"},
		{serve, "https://exämple.com/", "url.characters"},
		{serve, "https://example.com/" + strings.Repeat("a", outbound.MaxURL), "url.length"},
		{serve, "https://localhost/", "url.address"},
		{serve, "https://Api.LocalHost./", "url.address"},
		{serve, "https://127.0.0.1/", "url.address"},
		{serve, "https://[::1]/", "url.address"},
		{serve, "https://[::ffff:127.0.0.1]/", "url.address"},
		{serve, "https://10.1.2.3/", "url.address"},
		{serve, "https://169.254.169.254/latest/meta-data", "url.address"},
		{serve, "https://0.0.0.0/", "url.address"},
		{serve, "http://localhost/", "url.address"},
		{dev, "http://localhost:3000/hook", ""},
		{dev, "http://127.0.0.1:3000", ""},
		{dev, "http://[::1]:3000/", ""},
		{dev, "https://localhost:3000/", ""},
		{dev, "https://example.com/", ""},
		{dev, "http://example.com/", "url.scheme"},
		{dev, "http://93.184.216.34/", "url.scheme"},
		{dev, "https://10.1.2.3/", "url.address"},
		{private, "https://10.1.2.3/", ""},
		{private, "https://[fd12::1]/", ""},
		{private, "https://10.9.2.3/", "url.address"},
		{private, "https://8.8.8.8/", "url.address"},
		{private, "https://8.8.4.4/", ""},
		{private, "https://127.0.0.1/", "url.address"},
	}
	for _, tt := range tests {
		err := tt.client.CheckURL(tt.url)
		rule := ""
		if refusal, ok := errors.AsType[*heliograph.Error](err); ok {
			rule = refusal.Rule
			if refusal.Kind != heliograph.Invalid {
				t.Errorf("%q: kind %v", tt.url, refusal.Kind)
			}
		}
		if rule != tt.rule {
			t.Errorf("%q: %v, want rule %q", tt.url, err, tt.rule)
		}
		if _, err := tt.client.Prepare(heliograph.Endpoint(tt.url), 0); (err == nil) != (tt.rule == "") {
			t.Errorf("Prepare(%q): %v, CheckURL says %q", tt.url, err, rule)
		}
	}
}

func FuzzCheckURL(f *testing.F) {
	for _, s := range []string{"https://example.com/a?b=c", "http://localhost:1", "https://[::1]/", "https://a:b@c#d", "https://2130706433/"} {
		f.Add(s)
	}
	serve := outbound.New(outbound.Options{})
	f.Fuzz(func(t *testing.T, raw string) {
		err := serve.CheckURL(raw)
		if err != nil && heliograph.KindOf(err) != heliograph.Invalid {
			t.Errorf("%q: %v is not for the caller", raw, err)
		}
		if err == nil && (len(raw) < 8 || !strings.EqualFold(raw[:8], "https://") || strings.ContainsAny(raw, " \r\n#")) {
			t.Errorf("%q passed", raw)
		}
	})
}
