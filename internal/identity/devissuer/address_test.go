package devissuer_test

import (
	"crypto/tls"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"heliograph.dev"
	"heliograph.dev/internal/identity/devissuer"
)

func TestBaseOf(t *testing.T) {
	t.Parallel()
	w := setup(t, func(o *devissuer.Options) { o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} })
	tests := []struct {
		name, from, host, proto, forwarded string
		tls                                bool
		want                               string
	}{
		{"http", "1.2.3.4:5", "127.0.0.1:8080", "", "", false, "http://127.0.0.1:8080"},
		{"https", "1.2.3.4:5", "LocalHost:8443", "", "", true, "https://localhost:8443"},
		{"IPv6", "1.2.3.4:5", "[::1]:8080", "", "", false, "http://[::1]:8080"},
		{"trusted proxy", "10.1.2.3:5", "inner:80", "https", "graph.example", false, "https://graph.example"},
		{"trusted proxy, mapped address", "[::ffff:10.1.2.3]:5", "inner:80", "https", "graph.example", false, "https://graph.example"},
		{"several proxies", "10.1.2.3:5", "inner:80", "https, http", "a.example, b.example", false, "https://a.example"},
		{"proxy that nobody trusts", "11.1.2.3:5", "inner:80", "https", "evil.example", false, "http://inner:80"},
		{"proxy that says nonsense", "10.1.2.3:5", "inner:80", "gopher", `evil.example/"x`, false, "http://inner:80"},
		{"user in the host", "1.2.3.4:5", "user@evil.example", "", "", false, "http://localhost"},
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
			if got := w.BaseOf(r); got != test.want {
				t.Errorf("base %s, want %s", got, test.want)
			}
		})
	}
}

// In a takeover the server is reached by Microsoft's names, and its tokens are from whom the client expects.
func TestTakeoverIssuers(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for base, want := range map[string][2]string{
		"https://login.microsoftonline.com": {"https://login.microsoftonline.com/" + tenantA + "/v2.0", "https://sts.windows.net/" + tenantA + "/"},
		"https://login.windows.net":         {"https://login.microsoftonline.com/" + tenantA + "/v2.0", "https://sts.windows.net/" + tenantA + "/"},
		"https://localhost:8443":            {"https://localhost:8443/" + tenantA + "/v2.0", "https://localhost:8443/" + tenantA + "/"},
	} {
		for n, iss := range want {
			token, _, err := w.Mint(t.Context(), devissuer.MintRequest{Base: base, Tenant: tenantA, V1: n == 1})
			if err != nil {
				t.Fatal(err)
			}
			wantClaims(t, w.claims(t, token.Reveal()), map[string]any{"iss": iss})
		}
	}
	r := newRequest(t, "GET", w.http.URL+"/common/discovery/instance", "")
	r.Host = "login.microsoftonline.com"
	if a := w.do(t, r); !strings.Contains(asJSON(t, a.body), "login.windows.net") {
		t.Errorf("%v", a.body)
	}
}

func TestTakeoverOfAnotherCloud(t *testing.T) {
	t.Parallel()
	w := setup(t, func(o *devissuer.Options) {
		o.Login = devissuer.LoginService{Hosts: []string{"login.chinacloudapi.cn", "login.partner.microsoftonline.cn"}, V1: "https://sts.chinacloudapi.cn"}
	})
	for base, want := range map[string]string{
		"https://login.partner.microsoftonline.cn": "https://login.chinacloudapi.cn/" + tenantA + "/v2.0",
		"https://login.microsoftonline.com":        "https://login.microsoftonline.com/" + tenantA + "/v2.0",
	} {
		token, _, err := w.Mint(t.Context(), devissuer.MintRequest{Base: base, Tenant: tenantA})
		if err != nil {
			t.Fatal(err)
		}
		wantClaims(t, w.claims(t, token.Reveal()), map[string]any{"iss": want})
	}
	token, _, err := w.Mint(t.Context(), devissuer.MintRequest{Base: "https://login.chinacloudapi.cn", Tenant: tenantA, V1: true})
	if err != nil {
		t.Fatal(err)
	}
	wantClaims(t, w.claims(t, token.Reveal()), map[string]any{"iss": "https://sts.chinacloudapi.cn/" + tenantA + "/"})
}

// Whoever knows the server as Graph is sent to the login service, everybody else to the server itself.
func TestAuthorizationURI(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for base, want := range map[string]string{
		"http://127.0.0.1:8080":                   "http://127.0.0.1:8080/common/oauth2/authorize",
		"https://graph.microsoft.com":             "https://login.microsoftonline.com/common/oauth2/authorize",
		"https://dod-graph.microsoft.us":          "https://login.microsoftonline.us/common/oauth2/authorize",
		"https://microsoftgraph.chinacloudapi.cn": "https://login.chinacloudapi.cn/common/oauth2/authorize",
	} {
		if got := devissuer.AuthorizationURI(base); got != want {
			t.Errorf("%s: %s, want %s", base, got, want)
		}
		if !w.Handles("/common/oauth2/authorize") {
			t.Error("nobody answers there")
		}
	}
}

func TestTenantOf(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for _, iss := range []string{
		"http://127.0.0.1:8080/" + tenantA + "/v2.0", "https://localhost:8443/" + tenantA + "/", "https://sts.windows.net/" + strings.ToUpper(tenantA) + "/",
	} {
		if tenant, ok := w.TenantOf(iss); !ok || tenant != tenantA {
			t.Errorf("%s is of %q, %v", iss, tenant, ok)
		}
	}
	for _, iss := range []string{
		"", "x", tenantA, "https://", "https:///" + tenantA + "/", "ftp://h/" + tenantA + "/", "https://h/" + tenantA, "https://h/" + tenantA + "/v2.0/",
		"https://h/" + tenantA + "/v3.0", "https://h/common/v2.0", "https://h/x/" + tenantA + "/", "https://u@h/" + tenantA + "/", "https://h/{tenantid}/v2.0",
	} {
		if tenant, ok := w.TenantOf(iss); ok {
			t.Errorf("%s is of %q", iss, tenant)
		}
	}
}

// FuzzAddress: whatever is asked for, something answers or nothing does, and no tenant comes out that is not one.
func FuzzAddress(f *testing.F) {
	w := setup(f)
	for _, seed := range []string{"/", "/common/oauth2/token", "//discovery/keys", "/common/userrealm/%00", "https://h/" + tenantA + "/v2.0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		w.Handles(s)
		if tenant, ok := w.TenantOf(s); ok {
			if g, isGUID := heliograph.ParseGUID(string(tenant)); !isGUID || g.String() != string(tenant) {
				t.Errorf("%q is of %q", s, tenant)
			}
		}
	})
}
