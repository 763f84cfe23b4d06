package devissuer

import (
	"context"
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
	Origin  string              `json:"o,omitempty"` // of the script that redeemed the code, and alone may go on
	Expires int64               `json:"e"`
}

func (i *Issuer) sealRefresh(ctx context.Context, g *grant, wants *wishes) (string, error) {
	lifetime := defaultRefreshLifetime
	if g.origin != "" {
		lifetime = scriptRefreshLifetime
	}
	sealed, err := i.seal(ctx, refreshUse, &refreshClaims{
		Tenant: g.tenant, App: g.app.ID, User: g.user.UPN, Scope: wants.words, Aud: g.audience, Origin: g.origin,
		Expires: i.now().Add(lifetime).Unix(),
	})
	return refreshPrefix + sealed, err
}

func (i *Issuer) openRefresh(ctx context.Context, token string) (*refreshClaims, error) {
	var c refreshClaims
	if ok, err := i.unseal(ctx, refreshUse, strings.TrimPrefix(token, refreshPrefix), &c); err != nil {
		return nil, err
	} else if !ok {
		return nil, badRequest("invalid_grant", 9002313, "Invalid request. Request is malformed or invalid: the refresh token is not one of this issuer's.")
	}
	if ended := time.Unix(c.Expires, 0).UTC(); !i.now().Before(ended) {
		number := 700082
		if c.Origin != "" {
			number = 700084
		}
		return nil, badRequest("invalid_grant", number, "The refresh token has expired due to inactivity. It ended on %s.", ended.Format(time.RFC3339))
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
	if q.origin != kept.Origin {
		return nil, foreignScript(q.origin)
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
