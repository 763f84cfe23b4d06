package devissuer

import (
	"net/http"
	"slices"
	"strings"

	"heliograph.dev"
	"heliograph.dev/internal/origin"
)

// eachTenant is the tenant in what is said of all tenants, as Entra writes it.
const eachTenant = "{tenantid}"

// LoginService is the identity platform of a cloud, by whose names we are reached in a takeover.
type LoginService struct {
	// Hosts are its names: the one that tokens are from, and then the one that clients' caches prefer.
	Hosts []string
	// V1 is the root of the issuers of v1 tokens.
	V1 string
}

// globalLogin is the global cloud's.
func globalLogin() LoginService {
	return LoginService{
		Hosts: []string{"login.microsoftonline.com", "login.windows.net", "login.microsoft.com", "sts.windows.net"}, V1: "https://sts.windows.net",
	}
}

// is reports whether a base is one of the service's names.
func (s *LoginService) is(base string) bool {
	_, host, _ := strings.Cut(base, "://")
	return slices.Contains(s.Hosts, host)
}

// issuerURL returns the iss of a tenant's tokens.
func (i *Issuer) issuerURL(base, tenant string, v1 bool) string {
	if i.login.is(base) {
		base = "https://" + i.login.Hosts[0]
		if v1 {
			base = i.login.V1
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
	if !origin.ValidHost(host) || version != "" && version != "v2.0" || !strings.HasSuffix(issuer, "/"+version) {
		return "", false
	}
	g, ok := heliograph.ParseGUID(tenant)
	return heliograph.TenantID(g.String()), ok
}

// AuthorizationURI returns where a client that has no token is told to get one. base is scheme and host by which it
// knows the server; where that is one of Graph's own names (a takeover), the login service has another.
func AuthorizationURI(base string) string {
	if login, isGraph := map[string]string{ // contract 20.1 to 20.4
		"https://graph.microsoft.com":             "https://login.microsoftonline.com",
		"https://graph.microsoft.us":              "https://login.microsoftonline.us",
		"https://dod-graph.microsoft.us":          "https://login.microsoftonline.us",
		"https://microsoftgraph.chinacloudapi.cn": "https://login.chinacloudapi.cn",
	}[base]; isGraph {
		base = login
	}
	return base + "/common/oauth2/authorize"
}

// BaseOf returns scheme, host and port by which r's client knows this server.
func (i *Issuer) BaseOf(r *http.Request) string { return i.proxies.Of(r).String() }
