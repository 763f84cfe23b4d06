// Package devissuer is an identity provider for development, in Entra's shape.
package devissuer

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/go-jose/go-jose/v4"

	"heliograph.dev"
)

// Options says what the issuer knows. The zero value but for Now is useful: everybody may enter.
type Options struct {
	// DefaultTenant is behind common and organizations. Empty: one that is always the same.
	DefaultTenant heliograph.TenantID
	// Applications, when there are any, are the only ones; else any client id enters with any secret.
	Applications []Application
	// Users, when there are any, are the only ones; else any user name enters with any password.
	Users []User
	// ApplicationPermissions and DelegatedPermissions are what a token carries when nothing narrows it down.
	// Heliograph's own are added to the application's.
	ApplicationPermissions []string
	DelegatedPermissions   []string
	// TrustedProxies may say by X-Forwarded-Proto and X-Forwarded-Host what the client asked for.
	TrustedProxies []netip.Prefix
	// KeyFile keeps the signing keys across restarts. Empty: in memory only.
	KeyFile string
	// TokenLifetime of access tokens. Zero: one hour.
	TokenLifetime time.Duration
	// Now tells the time. Required.
	Now func() time.Time
	// Logger hears of what no caller is told. Nil: nobody does.
	Logger *slog.Logger
}

// Application is a client that is known.
type Application struct {
	ID     heliograph.AppID
	Name   string
	Secret heliograph.Secret
	// Roles are its application permissions. Nil: all.
	Roles []string
}

// User is a person who is known.
type User struct {
	Tenant   heliograph.TenantID // empty: the default tenant
	UPN      string
	Object   heliograph.ObjectID // empty: follows from tenant and UPN
	Name     string
	Password heliograph.Secret // empty: any
	// DirectoryRoles are template ids (contract 8.1).
	DirectoryRoles []string
}

// MintRequest asks for a token without a grant.
type MintRequest struct {
	Base   string // scheme and host of the issuer in the token's iss (BaseOf a request)
	Tenant string // GUID or domain; empty: the default tenant
	App    string // empty: an application that is always the same
	User   string // UPN or object id; empty: an application's token
	// Scopes of a user's token and Roles of an application's. Nil: all.
	Scopes, Roles  []string
	DirectoryRoles []string
	Audience       string // empty: Graph
	// Lifetime is how long it holds. Zero: as the issuer's tokens do; below zero: it ended that long ago.
	Lifetime time.Duration
	V1       bool // Entra's older form
}

// Issuer issues tokens.
type Issuer struct{}

// New returns an issuer whose first key is being made in the background.
func New(Options) (*Issuer, error) { return &Issuer{}, nil }

// Handles reports whether ServeHTTP answers for a path.
func (i *Issuer) Handles(string) bool { return false }

// ServeHTTP answers token, discovery and key requests.
func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }

// BaseOf returns the scheme and host under which r's client knows this server.
func (i *Issuer) BaseOf(*http.Request) string { return "" }

// Mint makes a token and tells when it ends.
func (i *Issuer) Mint(context.Context, MintRequest) (heliograph.Secret, time.Time, error) {
	return heliograph.Secret{}, time.Time{}, errors.ErrUnsupported
}

// Rotate makes a new signing key. Tokens signed with the one before stay valid.
func (i *Issuer) Rotate(context.Context) error { return nil }

// TenantOf returns the tenant that an iss of this issuer speaks for.
func (i *Issuer) TenantOf(string) (heliograph.TenantID, bool) { return "", false }

// PublicKeys returns the keys that tokens are signed with.
func (i *Issuer) PublicKeys(context.Context) (*jose.JSONWebKeySet, error) {
	return nil, errors.ErrUnsupported
}

// Close waits for what runs in the background.
func (i *Issuer) Close() {}
