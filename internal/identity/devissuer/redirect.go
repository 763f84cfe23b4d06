package devissuer

import (
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// redirectOf reads where a person is to be sent back to, and refuses what is not the application's.
func (i *Issuer) redirectOf(app *Application, raw string) (*url.URL, *fault) {
	if raw == "" {
		return nil, missing("redirect_uri")
	}
	u, err := url.Parse(raw)
	if err != nil || u.Scheme == "" || u.Fragment != "" || u.User != nil || strings.ContainsAny(raw, "\r\n \"<>\\") {
		return nil, badRequest("invalid_request", 90102, "'redirect_uri' value must be a valid absolute URI.")
	}
	if app.RedirectURIs != nil {
		if slices.ContainsFunc(app.RedirectURIs, func(known string) bool { return sameRedirect(known, raw) }) {
			return u, nil
		}
		return nil, badRequest("invalid_request", 50011, "The redirect URI '%s' specified in the request does not match the redirect URIs configured for the application '%s' (identity.applications).", cut(raw), app.ID)
	}
	if !i.staysHere(u) {
		return nil, badRequest("invalid_request", 50011, "The redirect URI '%s' is not on this machine. List it in the application's redirect_uris (identity.applications) to allow it.", cut(raw))
	}
	return u, nil
}

// sameRedirect compares to the letter, but for the port of a loopback address, which a native application chooses anew
// each time (RFC 8252, 7.3).
func sameRedirect(known, asked string) bool {
	if known == asked {
		return true
	}
	k, err := url.Parse(known)
	a, err2 := url.Parse(asked)
	if err != nil || err2 != nil || k.Scheme != "http" || !isLoopback(k.Hostname()) {
		return false
	}
	k.Host, a.Host = k.Hostname()+":0", a.Hostname()+":0"
	return k.String() == a.String()
}

// staysHere reports whether a redirect cannot leave the machine: to a web server on it, to an application that has a
// scheme of its own, or to a page of this issuer.
func (i *Issuer) staysHere(u *url.URL) bool {
	switch u.Scheme {
	case "http", "https":
		host := strings.ToLower(u.Hostname())
		native := slices.Contains(i.login.Hosts, host) && strings.HasSuffix(u.Path, "/oauth2/nativeclient")
		return native || isLoopback(host) || strings.HasSuffix(host, ".localhost") || strings.HasSuffix(host, ".test") // RFC 6761
	case "javascript", "data", "vbscript", "file", "blob", "about", "ftp", "ws", "wss", "mailto":
		return false
	}
	return true
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && addr.IsLoopback()
}

// originOf returns the origin that a script behind a redirect has, or "".
func originOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return ""
	}
	return u.Scheme + "://" + strings.ToLower(u.Host)
}

// allowScript lets a script of another origin read the answer to a token request: which scripts get a token at all is
// for the grants to say. It answers a preflight, and reports whether it did.
func allowScript(w http.ResponseWriter, r *http.Request) bool {
	from := r.Header.Get("Origin")
	w.Header().Add("Vary", "Origin")
	if from == "" || r.Method == http.MethodPost && !isScriptGrant(r) {
		return false
	}
	w.Header().Set("Access-Control-Allow-Origin", from)
	if r.Method != http.MethodOptions {
		return false
	}
	w.Header().Set("Access-Control-Allow-Methods", http.MethodPost)
	w.Header().Set("Access-Control-Allow-Headers", "content-type, client-request-id, return-client-request-id")
	w.WriteHeader(http.StatusNoContent)
	return true
}

// isScriptGrant reports whether a grant is one that scripts use. The others hand a token to whoever asks, which is
// nothing for the pages of any site.
func isScriptGrant(r *http.Request) bool {
	r.Body = http.MaxBytesReader(nil, r.Body, maxForm)
	if r.ParseForm() != nil {
		return false
	}
	return slices.Contains([]string{grantCode, grantRefresh}, r.PostForm.Get("grant_type"))
}

func foreignScript(from string) *fault {
	if from == "" {
		return badRequest("invalid_request", 9002327, "Tokens issued for the 'Single-Page Application' client-type may only be redeemed via cross-origin requests.")
	}
	return badRequest("invalid_request", 9002326, "Cross-origin token redemption is permitted only for the 'Single-Page Application' client-type. Request origin: '%s'.", cut(from))
}
