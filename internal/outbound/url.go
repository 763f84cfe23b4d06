package outbound

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"heliograph.dev"
)

// MaxURL is the most bytes that an endpoint's URL may have. Graph states no limit; this is what proxies and
// servers on the way commonly take.
const MaxURL = 2048

// CheckURL reports, as a *heliograph.Error of kind Invalid, why no call may go to raw, by its text alone. The
// messages name no part of the URL but its scheme, host and port.
func (c *Client) CheckURL(raw string) error {
	_, err := c.parse(raw)
	return err
}

func (c *Client) parse(raw string) (*url.URL, error) {
	if len(raw) > MaxURL {
		return nil, invalid("url.length", "the URL has %d bytes, more than %d", len(raw), MaxURL)
	}
	if strings.ContainsFunc(raw, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return nil, invalid("url.characters", "the URL holds a space, a control character or one beyond ASCII: percent-encode it, and write the host in its ASCII form")
	}
	u, err := url.Parse(raw)
	if err != nil { // its text would repeat the URL, with whatever secret stands in the query
		return nil, invalid("url.form", "the URL cannot be read")
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, invalid("url.scheme", "the URL must start with https://")
	case u.Opaque != "" || u.Hostname() == "":
		return nil, invalid("url.host", "the URL names no host")
	case u.User != nil:
		return nil, invalid("url.userinfo", "the URL must not hold a user name or password")
	case strings.Contains(raw, "#"):
		return nil, invalid("url.fragment", "the URL must not hold a fragment (#)")
	}
	if err := checkPort(u); err != nil {
		return nil, err
	}
	return u, c.checkHost(u)
}

func checkPort(u *url.URL) error {
	port := u.Port()
	if port == "" {
		if strings.HasSuffix(u.Host, ":") {
			return invalid("url.port", "the URL has a colon but no port")
		}
		return nil
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return invalid("url.port", "the URL's port %s is not between 1 and 65535", port)
	}
	return nil
}

// checkHost refuses what the guard would refuse at every dial, so that the caller hears of it at once.
func (c *Client) checkHost(u *url.URL) error {
	host := u.Hostname()
	ip, err := netip.ParseAddr(host)
	literal := err == nil
	switch {
	case literal && ip.Zone() != "":
		return invalid("url.host", "the URL's address must not name a zone")
	case !literal && !isName(host):
		return invalid("url.host", "the URL's host %q is not a host name", host)
	case literal && u.Scheme == "https" && !c.guard.https(ip),
		!literal && isLoopbackName(host) && !c.options.AllowLoopback:
		return invalid("url.address", "the URL's host %s is not allowed: it must be a public address", host)
	case u.Scheme == "http" && !c.guard.loopback:
		return invalid("url.scheme", "the URL must start with https://")
	case u.Scheme == "http" && literal && !c.guard.http(ip),
		u.Scheme == "http" && !literal && !isLoopbackName(host):
		return invalid("url.scheme", "the URL must start with https://: http is for localhost, 127.0.0.1 and [::1] only")
	}
	return nil
}

// isLoopbackName reports whether the name means this machine by RFC 6761.
func isLoopbackName(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// isName reports whether host could be looked up. Underscores are no host name's, and common.
func isName(host string) bool {
	host = strings.TrimSuffix(host, ".")
	if host == "" || len(host) > 253 {
		return false
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
				return false
			}
		}
	}
	return true
}

func invalid(rule, format string, args ...any) error {
	return heliograph.Errorf(heliograph.Invalid, rule, format, args...)
}
