// Package origin tells under which scheme and host a client knows this server: links, issuers and token
// addresses must be of the origin that the client used, not of the one behind a proxy.
package origin

import (
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// Origin is where a client finds the server.
type Origin struct {
	Scheme string // http or https
	Host   string // in lower case, with the port if there is one
}

// String returns the origin as a URL without a path.
func (o Origin) String() string { return o.Scheme + "://" + o.Host }

// IsLocal reports whether the host names the client's own machine.
func (o Origin) IsLocal() bool {
	name := (&url.URL{Host: o.Host}).Hostname()
	if ip, err := netip.ParseAddr(name); err == nil {
		return ip.IsLoopback()
	}
	return name == "localhost" || strings.HasSuffix(name, ".localhost")
}

// Proxies are the addresses that are believed about X-Forwarded-Proto and X-Forwarded-Host.
type Proxies []netip.Prefix

// Of returns the origin that r was sent to. Where several proxies have written, the first value counts: the one
// that the client's own name for the server is in. A host that is none becomes localhost.
func (p Proxies) Of(r *http.Request) Origin {
	o := Origin{Scheme: "http", Host: r.Host}
	if r.TLS != nil {
		o.Scheme = "https"
	}
	if p.trust(r.RemoteAddr) {
		if scheme := strings.ToLower(first(r.Header.Get("X-Forwarded-Proto"))); scheme == "http" || scheme == "https" {
			o.Scheme = scheme
		}
		if host := first(r.Header.Get("X-Forwarded-Host")); ValidHost(host) {
			o.Host = host
		}
	}
	if !ValidHost(o.Host) {
		o.Host = "localhost"
	}
	o.Host = strings.ToLower(o.Host)
	return o
}

func (p Proxies) trust(remote string) bool {
	if len(p) == 0 {
		return false
	}
	peer, err := netip.ParseAddrPort(remote)
	return err == nil && slices.ContainsFunc(p, func(prefix netip.Prefix) bool { return prefix.Contains(peer.Addr().Unmap()) })
}

func first(list string) string {
	value, _, _ := strings.Cut(list, ",")
	return strings.TrimSpace(value)
}

// ValidHost reports whether s is a host with or without a port, and nothing else.
func ValidHost(s string) bool {
	u, err := url.Parse("http://" + s)
	return err == nil && s != "" && u.Host == s && u.Hostname() != "" && u.User == nil && !strings.ContainsAny(s, `{}<>"'\`)
}
