package devissuer

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"slices"
	"strings"
	"sync"
	"time"

	"heliograph.dev"
)

const (
	codePrefix   = "1."
	codeUse      = "heliograph authorization code"
	codeLifetime = 10 * time.Minute
	// mostRedeemed bounds how many redeemed codes are remembered. Beyond it the oldest might be redeemed twice.
	mostRedeemed = 10_000
)

// codeClaims is what an authorization code holds, sealed.
type codeClaims struct {
	Tenant    heliograph.TenantID `json:"t"`
	App       heliograph.AppID    `json:"a"`
	User      string              `json:"u"`
	Scope     string              `json:"s,omitempty"`
	Resource  string              `json:"r,omitempty"` // v1's
	Redirect  string              `json:"d"`
	Challenge string              `json:"c,omitempty"` // PKCE's
	Method    string              `json:"m,omitempty"`
	Nonce     string              `json:"n,omitempty"`
	Expires   int64               `json:"e"`
}

// redeemed remembers codes that were redeemed, until they end.
type redeemed struct {
	mu    sync.Mutex
	codes map[[sha256.Size]byte]int64
	order [][sha256.Size]byte
}

// take notes a code and reports whether it is the first time.
func (r *redeemed) take(code string, ends int64, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.codes == nil {
		r.codes = map[[sha256.Size]byte]int64{}
	}
	key := sha256.Sum256([]byte(code))
	if _, again := r.codes[key]; again {
		return false
	}
	for len(r.order) > 0 && (len(r.order) >= mostRedeemed || r.codes[r.order[0]] <= now.Unix()) {
		delete(r.codes, r.order[0])
		r.order = r.order[1:]
	}
	r.codes[key], r.order = ends, append(r.order, key)
	return true
}

// codeGrant gives a token for a user who has signed in on a page.
func (i *Issuer) codeGrant(ctx context.Context, q *tokenRequest) (any, error) {
	code := q.form.Get("code")
	if code == "" {
		return nil, missing("code")
	}
	var c codeClaims
	if ok, err := i.unseal(ctx, codeUse, strings.TrimPrefix(code, codePrefix), &c); err != nil {
		return nil, err
	} else if !ok {
		return nil, badRequest("invalid_grant", 9002313, "Invalid request. Request is malformed or invalid: the code is not one of this issuer's.")
	}
	if f := c.judge(q, i.now()); f != nil {
		return nil, f
	}
	if !i.redeemed.take(code, c.Expires, i.now()) {
		return nil, badRequest("invalid_grant", 54005, "OAuth2 Authorization code was already redeemed, please retry with a new valid code or use an existing refresh token.")
	}
	if q.form.Get("scope") == "" {
		q.form.Set("scope", c.Scope)
	}
	if q.v1 && q.form.Get("resource") == "" {
		q.form.Set("resource", c.Resource)
	}
	wants, err := q.wishes(i.audience)
	if err != nil {
		return nil, err
	}
	// Who asked for an ID token or a refresh token when the user signed in gets them, whether this request says so or not.
	said := strings.Fields(c.Scope)
	wants.openID = wants.openID || slices.Contains(said, "openid")
	wants.offline = wants.offline || slices.Contains(said, "offline_access")
	user, known := i.user(c.Tenant, false, c.User)
	if !known {
		return nil, badRequest("invalid_grant", 50034, "The user account %s does not exist in the %s directory.", cut(c.User), c.Tenant)
	}
	q.nonce = c.Nonce
	return i.userGrant(ctx, q, wants, &user)
}

// judge says why a code may not be redeemed with a request, or nil.
func (c *codeClaims) judge(q *tokenRequest, now time.Time) *fault {
	verifier := q.form.Get("code_verifier")
	switch {
	case now.Unix() >= c.Expires:
		return badRequest("invalid_grant", 70008, "The provided authorization code or refresh token has expired due to inactivity. Send a new interactive authorization request for this user and resource.")
	case c.App != q.app.ID:
		return badRequest("invalid_grant", 700005, "The provided authorization code was issued to another application.")
	case !q.anyTenant && q.tenantID != c.Tenant:
		return badRequest("invalid_grant", 50020, "The code was issued in the tenant '%s', not in '%s'.", c.Tenant, q.tenantID)
	case q.form.Get("redirect_uri") != c.Redirect:
		return badRequest("invalid_grant", 500112, "The reply address '%s' does not match the reply address '%s' provided when requesting Authorization code.", cut(q.form.Get("redirect_uri")), cut(c.Redirect))
	case c.Challenge == "" && verifier != "":
		return badRequest("invalid_grant", 501481, "The Code_Verifier does not match the code_challenge supplied in the authorization request: there was none.")
	case c.Challenge != "" && verifier == "":
		return badRequest("invalid_grant", 50148, "The code_verifier does not match the code_challenge supplied in the authorization request for PKCE: it is missing.")
	case c.Challenge != "" && !c.provenBy(verifier):
		return badRequest("invalid_grant", 501481, "The Code_Verifier does not match the code_challenge supplied in the authorization request.")
	case q.origin != "" && c.Challenge == "":
		return badRequest("invalid_request", 9002325, "Proof Key for Code Exchange is required for cross-origin authorization code redemption.")
	case q.origin != "" && q.origin != originOf(c.Redirect):
		return foreignScript(q.origin)
	}
	return nil
}

// provenBy reports whether a verifier fits the challenge (RFC 7636, 4.6).
func (c *codeClaims) provenBy(verifier string) bool {
	if c.Method == methodS256 {
		sum := sha256.Sum256([]byte(verifier))
		verifier = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	return subtle.ConstantTimeCompare([]byte(verifier), []byte(c.Challenge)) == 1
}
