package devissuer

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"heliograph.dev"
)

const (
	refreshPrefix = "1."
	refreshUse    = "heliograph refresh token" // bound to the sealed text, so that nothing else passes for one
)

// refreshClaims is what a refresh token holds, sealed.
type refreshClaims struct {
	Tenant  heliograph.TenantID `json:"t"`
	App     heliograph.AppID    `json:"a"`
	User    string              `json:"u"` // as named when the user signed in
	Scope   []string            `json:"s"`
	Aud     string              `json:"r,omitempty"` // v1's resource
	Expires int64               `json:"e"`
}

func (i *Issuer) sealRefresh(ctx context.Context, g *grant, wants *wishes) (string, error) {
	keys, err := i.keys.get(ctx)
	if err != nil {
		return "", err
	}
	plain, err := json.Marshal(&refreshClaims{
		Tenant: g.tenant, App: g.app.ID, User: g.user.UPN, Scope: wants.words, Aud: g.audience,
		Expires: i.now().Add(defaultRefreshLifetime).Unix(),
	})
	if err != nil {
		return "", err
	}
	sealed := keys.sealer.Seal(nil, nil, plain, []byte(refreshUse)) //nolint:gosec // G407: this AEAD draws its nonces itself and wants none
	return refreshPrefix + base64.RawURLEncoding.EncodeToString(sealed), nil
}

func (i *Issuer) openRefresh(ctx context.Context, token string) (*refreshClaims, error) {
	keys, err := i.keys.get(ctx)
	if err != nil {
		return nil, err
	}
	malformed := badRequest("invalid_grant", 9002313, "Invalid request. Request is malformed or invalid: the refresh token is not one of this issuer's.")
	sealed, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(token, refreshPrefix))
	if err != nil {
		return nil, malformed
	}
	plain, err := keys.sealer.Open(nil, nil, sealed, []byte(refreshUse))
	if err != nil {
		return nil, malformed
	}
	var c refreshClaims
	if err := json.Unmarshal(plain, &c); err != nil {
		return nil, malformed
	}
	if ended := time.Unix(c.Expires, 0).UTC(); !i.now().Before(ended) {
		return nil, badRequest("invalid_grant", 700082, "The refresh token has expired due to inactivity. It ended on %s.", ended.Format(time.RFC3339))
	}
	return &c, nil
}

// refreshGrant gives a token for a user who signed in before. It may ask for other scopes than then.
func (i *Issuer) refreshGrant(ctx context.Context, q *tokenRequest) (any, error) {
	sealed := q.form.Get("refresh_token")
	if sealed == "" {
		return nil, missing("refresh_token")
	}
	kept, err := i.openRefresh(ctx, sealed)
	if err != nil {
		return nil, err
	}
	if kept.App != q.app.ID {
		return nil, badRequest("invalid_grant", 700005, "The refresh token was issued to another application.")
	}
	if !q.anyTenant && q.tenantID != kept.Tenant {
		return nil, badRequest("invalid_grant", 50020, "The refresh token was issued in the tenant '%s', not in '%s'.", kept.Tenant, q.tenantID)
	}
	if q.form.Get("scope") == "" {
		q.form.Set("scope", strings.Join(kept.Scope, " "))
	}
	if q.v1 && q.form.Get("resource") == "" {
		q.form.Set("resource", kept.Aud)
	}
	wants, err := q.wishes(i.audience)
	if err != nil {
		return nil, err
	}
	// Who could refresh once can go on, whether this request repeats openid and offline_access or not.
	wants.offline = true
	wants.openID = wants.openID || slices.Contains(kept.Scope, "openid")
	user, known := i.user(kept.Tenant, false, kept.User)
	if !known {
		return nil, badRequest("invalid_grant", 50034, "The user account %s does not exist in the %s directory.", cut(kept.User), kept.Tenant)
	}
	return i.userGrant(ctx, q, wants, &user)
}
