package devissuer

import (
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"heliograph.dev"
)

// template is the tenant in what is said of all tenants, as Entra writes it.
const template = "{tenantid}"

// microsoftHosts are the names that the login service has. In a takeover we are reached by them.
func microsoftHosts() []string {
	return []string{"login.microsoftonline.com", "login.windows.net", "login.microsoft.com", "sts.windows.net"}
}

// issuerURL returns the iss of a tenant's tokens.
func issuerURL(base, tenant string, v1 bool) string {
	host := strings.TrimPrefix(base, "https://")
	if slices.Contains(microsoftHosts(), host) {
		base = "https://login.microsoftonline.com"
		if v1 {
			base = "https://sts.windows.net"
		}
	}
	if v1 {
		return base + "/" + tenant + "/"
	}
	return base + "/" + tenant + "/v2.0"
}

// TenantOf returns the tenant that an iss of this issuer speaks for, and whether it is one. The host does not
// matter: the server may be known by any name, and only this issuer has the keys.
func (i *Issuer) TenantOf(issuer string) (heliograph.TenantID, bool) {
	rest, ok := strings.CutPrefix(issuer, "https://")
	if !ok {
		if rest, ok = strings.CutPrefix(issuer, "http://"); !ok {
			return "", false
		}
	}
	host, path, _ := strings.Cut(rest, "/")
	tenant, version, _ := strings.Cut(path, "/")
	if !validHost(host) || version != "" && version != "v2.0" || !strings.HasSuffix(issuer, "/"+version) {
		return "", false
	}
	g, ok := heliograph.ParseGUID(tenant)
	return heliograph.TenantID(g.String()), ok
}

// BaseOf returns scheme, host and port by which r's client knows this server.
func (i *Issuer) BaseOf(r *http.Request) string {
	scheme, host := "http", r.Host
	if r.TLS != nil {
		scheme = "https"
	}
	if i.trusts(r.RemoteAddr) {
		if s := first(r.Header.Get("X-Forwarded-Proto")); s == "http" || s == "https" {
			scheme = s
		}
		if h := first(r.Header.Get("X-Forwarded-Host")); validHost(h) {
			host = h
		}
	}
	if !validHost(host) {
		host = "localhost"
	}
	return scheme + "://" + strings.ToLower(host)
}

// first returns the value that the first of several proxies wrote.
func first(list string) string {
	value, _, _ := strings.Cut(list, ",")
	return strings.TrimSpace(value)
}

func (i *Issuer) trusts(remote string) bool {
	from, err := netip.ParseAddrPort(remote)
	return err == nil && slices.ContainsFunc(i.proxies, func(p netip.Prefix) bool {
		return p.Contains(from.Addr().Unmap())
	})
}

// validHost reports whether s is a host with or without a port, and nothing else.
func validHost(s string) bool {
	u, err := url.Parse("http://" + s)
	return err == nil && s != "" && u.Host == s && u.Hostname() != "" && u.User == nil && !strings.ContainsAny(s, `{}<>"'\`)
}
