package devissuer

import (
	"context"
	"slices"
	"time"

	"heliograph.dev"
)

const (
	maxLifetime = 366 * 24 * time.Hour
	maxToken    = 16 << 10 // more is refused wherever a token is verified
)

// MintRequest asks for a token without a grant.
type MintRequest struct {
	Base   string // scheme and host in the token's iss, see BaseOf; empty: http://localhost
	Tenant string // GUID or domain name; empty: the default tenant
	App    string // empty: an application that is always the same
	User   string // UPN or object id; empty: an application's token
	// Scopes of a user's token and Roles of an application's. Nil: all.
	Scopes, Roles []string
	// DirectoryRoles are template ids. Nil: those of the user, when configured.
	DirectoryRoles []string
	Audience       string // empty: Graph
	// Lifetime is how long it holds. Zero: as all tokens do; below zero: it ended that long ago, to see what a
	// client makes of that.
	Lifetime time.Duration
	V1       bool // in the form of Entra's v1 endpoint
}

// Mint makes a token, also for applications and users that are not configured, and tells when it ends.
func (i *Issuer) Mint(ctx context.Context, r MintRequest) (heliograph.Secret, time.Time, error) {
	g, err := i.minted(&r)
	if err != nil {
		return heliograph.Secret{}, time.Time{}, err
	}
	token, expires, err := i.access(ctx, g)
	if err == nil && len(token) > maxToken {
		err = heliograph.Errorf(heliograph.TooLarge, "token.size", "The token would have %d bytes; the most is %d.", len(token), maxToken)
	}
	if err != nil {
		return heliograph.Secret{}, time.Time{}, err
	}
	return heliograph.NewSecret(token), expires, nil
}

func (i *Issuer) minted(r *MintRequest) (*grant, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	g := &grant{base: r.Base, v1: r.V1, audience: r.Audience, lifetime: r.Lifetime, proof: "1", tenant: i.tenant}
	if r.Tenant != "" {
		tenant, _, err := i.resolveTenant(r.Tenant)
		if err != nil {
			return nil, heliograph.Errorf(heliograph.Invalid, "token.tenant", "The tenant %q is neither a GUID nor a domain name.", r.Tenant)
		}
		g.tenant = tenant
	}
	if g.base == "" {
		g.base = "http://localhost"
	}
	if g.audience == "" {
		g.audience = i.audience
	}
	if g.lifetime == 0 {
		g.lifetime = i.lifetime
	}
	if r.App == "" {
		r.App = string(defaultApplication())
	}
	g.app, _ = i.application(r.App)
	if r.User == "" {
		return i.mintedApplication(g, r)
	}
	user, _ := i.user(g.tenant, false, r.User)
	if r.DirectoryRoles != nil {
		user.DirectoryRoles = r.DirectoryRoles
	}
	g.user, g.scopes = &user, r.Scopes
	if g.scopes == nil {
		g.scopes = i.scopes
	}
	return g, nil
}

func (i *Issuer) mintedApplication(g *grant, r *MintRequest) (*grant, error) {
	if g.tenant == heliograph.PersonalTenant {
		return nil, heliograph.Errorf(heliograph.Invalid, "token.personal", "Personal accounts have no application tokens: name a user.")
	}
	g.roles = r.Roles
	if g.roles == nil {
		g.roles = i.rolesOf(g.app)
	}
	return g, nil
}

func (d *directory) rolesOf(app Application) []string {
	if app.Roles != nil {
		return app.Roles
	}
	return d.roles
}

func (r *MintRequest) check() error {
	refuse := func(rule, format string, args ...any) error {
		return heliograph.Errorf(heliograph.Invalid, "token."+rule, format, args...)
	}
	switch {
	case r.App != "" && !validName(r.App):
		return refuse("application", "The application %q is not a usable client id.", r.App)
	case r.User != "" && !validName(r.User):
		return refuse("user", "The user %q is not a usable user name or object id.", r.User)
	case r.User == "" && r.Scopes != nil:
		return refuse("scopes", "Scopes are a user's: name a user, or ask for roles.")
	case r.User != "" && r.Roles != nil:
		return refuse("roles", "Roles are an application's: leave out the user, or ask for scopes.")
	case r.Lifetime > maxLifetime || r.Lifetime < -maxLifetime:
		return refuse("lifetime", "A token lives at most %d days.", int(maxLifetime/(24*time.Hour)))
	}
	for _, name := range slices.Concat(r.Scopes, r.Roles, r.DirectoryRoles) {
		if !validScope(name) {
			return refuse("permission", "%q is not the name of a permission.", name)
		}
	}
	return nil
}
