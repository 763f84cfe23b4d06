package httpapi

import (
	"context"
	"net/http"
	"time"

	"heliograph.dev"
)

// TokenRequest asks for an access token. Empty fields are the issuer's to fill.
type TokenRequest struct {
	// Origin is the scheme and host by which the client knows this server.
	Origin string
	Tenant string // GUID or domain
	App    string // client id
	// User, an object id or a principal name, makes it a user's token; else it is the application's own.
	User string
	// Scopes of a user's token, Roles of an application's. Nil: all that there are.
	Scopes, Roles  []string
	DirectoryRoles []string
	Audience       string
	// Lifetime may be below zero, for a token that has ended.
	Lifetime time.Duration
}

// Token is an access token.
type Token struct {
	Text    heliograph.Secret
	Expires time.Time
}

// Minter makes tokens.
type Minter interface {
	// Mint makes a token as asked. caller is who asks.
	Mint(ctx context.Context, caller *heliograph.Caller, r TokenRequest) (Token, error)
}

// tokenForm is a token request on the wire.
type tokenForm struct {
	TokenRequest
	lifetime string
}

func tokenShape() shape[tokenForm] {
	type r = tokenForm
	return shape[r]{
		text("tenant", func(r *r) *string { return &r.Tenant }),
		text("app", func(r *r) *string { return &r.App }),
		text("user", func(r *r) *string { return &r.User }),
		texts("scopes", func(r *r) *[]string { return &r.Scopes }),
		texts("roles", func(r *r) *[]string { return &r.Roles }),
		texts("directoryRoles", func(r *r) *[]string { return &r.DirectoryRoles }),
		text("audience", func(r *r) *string { return &r.Audience }),
		text("lifetime", func(r *r) *string { return &r.lifetime }),
	}
}

func (a *API) readTokenRequest(x *exchange) (TokenRequest, error) {
	body, err := x.jsonBody()
	if err != nil {
		return TokenRequest{}, err
	}
	form, err := tokenShape().decode(body, "The token request cannot be read; the header Heliograph-Detail says why.")
	if err != nil {
		return TokenRequest{}, err
	}
	r := form.TokenRequest
	r.Origin = x.origin.String()
	if form.lifetime != "" {
		r.Lifetime, err = parseDuration(form.lifetime)
	}
	return r, err
}

func minted(x *exchange, t Token) answer {
	return answer{
		status: http.StatusCreated,
		header: http.Header{"Cache-Control": {"no-store"}},
		body: struct {
			AccessToken string `json:"access_token"`
			TokenType   string `json:"token_type"`
			ExpiresIn   int64  `json:"expires_in"`
			Expires     string `json:"expires"`
		}{t.Text.Reveal(), "Bearer", int64(t.Expires.Sub(x.api.opts.Now()) / time.Second), stamp(t.Expires)},
	}
}
