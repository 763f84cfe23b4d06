// Package devissuer is an identity provider for development in the shape of Microsoft Entra: it hands a token to
// whoever asks, so that a client's own sign-in code runs unchanged against it. It is never part of a production
// server.
//
// Below /{tenant}/ it answers, in any case of letters:
//
//	POST oauth2/v2.0/token                       client_credentials, password, refresh_token, authorization_code, device_code
//	POST oauth2/token                            the same in the v1 form (resource= instead of scope=)
//	GET  oauth2/v2.0/authorize                   and oauth2/authorize: a page to sign in on
//	POST oauth2/v2.0/devicecode                  and oauth2/devicecode; oauth2/deviceauth is the page for it
//	GET  oauth2/v2.0/logout                      and oauth2/logout
//	GET  v2.0/.well-known/openid-configuration   and .well-known/openid-configuration (v1)
//	GET  discovery/v2.0/keys                     and discovery/keys (v1)
//	GET  discovery/instance, userrealm/{user}    what MSAL asks before it signs in
//
// {tenant} is a GUID, a domain name (which stands for a GUID that follows from it), common or organizations (the
// default tenant), or consumers (the tenant of personal accounts). The issuer of a token is the address that the
// client used: its scheme, host and port, whichever the server answers on.
//
// Unless applications or users are configured, any client id enters with any secret and any user name with any
// password; their object ids follow from tenant and name, so that they are the same after every restart. An
// application's token carries every application permission, a user's every delegated one, or those asked for.
//
// Tokens are signed with RS256. The first key is made in the background when no file has one: only the first token
// waits for it. With a key file, tokens stay valid across restarts. The file is PEM: for each key, newest first, a
// PRIVATE KEY (PKCS #8) and its CERTIFICATE, then the key that seals refresh tokens.
//
// Tokens are stateless: nothing is kept per token or per user. What is kept, in memory and bounded, are the codes that
// were redeemed, until they end, and the sign-ins of devices that are under way.
//
// Who signs in on a page is not asked for proof unless the user has a password. What keeps a page of another site from
// signing in in a developer's name: a person is sent back only to this machine, or to where a configured application
// says; a form is taken from this issuer's own page only; and a script may redeem a code only from the origin that the
// code was sent to.
//
// All methods may be called concurrently.
package devissuer

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"github.com/go-jose/go-jose/v4"

	"heliograph.dev"
	"heliograph.dev/internal/origin"
)

// Audience is what tokens are for when nobody says: Graph in the global cloud (contract 8.1).
const Audience = "https://graph.microsoft.com"

// graphID is Graph's name as an application (contract 8.1).
const graphID = "00000003-0000-0000-c000-000000000000"

const (
	defaultTokenLifetime   = time.Hour
	defaultRefreshLifetime = 90 * 24 * time.Hour
	scriptRefreshLifetime  = 24 * time.Hour // of a refresh token in a browser
)

// Options says what the issuer knows. The zero value but for Now is useful: everybody may enter.
type Options struct {
	// Audience is Graph's root in the cloud that is played, which tokens are for when the client does not say. Empty:
	// the global one's.
	Audience string
	// Login is the identity platform of that cloud. Empty: the global one's.
	Login LoginService
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
	// KeyFile keeps the keys across restarts. Its folder must exist. Empty: in memory only.
	KeyFile string
	// Keys are what MakeKeys made, in place of a KeyFile: for a program that runs many servers, because to make keys takes
	// longer than all else that a server does to start.
	Keys []byte
	// TokenLifetime of access tokens. Zero: one hour.
	TokenLifetime time.Duration
	// OtherKeys are certificates of keys that are published beside the issuer's own: those that validation tokens
	// are signed with. May be nil.
	OtherKeys func() ([]*x509.Certificate, error)
	// Now tells the time. Required.
	Now func() time.Time
	// Logger hears of inner errors that a client is only told the existence of. Nil: nobody does.
	Logger *slog.Logger
}

// Issuer issues tokens.
type Issuer struct {
	directory

	keys     *keyring
	others   func() ([]*x509.Certificate, error)
	proxies  origin.Proxies
	login    LoginService
	lifetime time.Duration
	audience string
	now      func() time.Time
	logger   *slog.Logger
	redeemed redeemed
	devices  devices
}

// New returns an issuer. When no key file has a key, one is being made in the background.
func New(o Options) (*Issuer, error) {
	if o.Now == nil {
		return nil, errors.New("devissuer: Now is required")
	}
	known, err := newDirectory(o)
	if err != nil {
		return nil, err
	}
	keys, err := openKeyring(&o)
	if err != nil {
		return nil, err
	}
	i := &Issuer{
		directory: known, keys: keys, others: o.OtherKeys, proxies: o.TrustedProxies, lifetime: o.TokenLifetime, now: o.Now, logger: o.Logger,
	}
	if i.audience = o.Audience; i.audience == "" {
		i.audience = Audience
	}
	if i.login = o.Login; len(i.login.Hosts) == 0 {
		i.login = globalLogin()
	}
	if i.lifetime <= 0 {
		i.lifetime = defaultTokenLifetime
	}
	if i.logger == nil {
		i.logger = slog.New(slog.DiscardHandler)
	}
	return i, nil
}

// PublicKeys returns the keys that tokens are signed with, newest first, waiting for the first one to be made. The
// set is never changed: after a rotation there is another.
func (i *Issuer) PublicKeys(ctx context.Context) (*jose.JSONWebKeySet, error) {
	ring, err := i.keys.get(ctx)
	if err != nil {
		return nil, err
	}
	return ring.public, nil
}

// DefaultTenant returns the tenant behind common and organizations.
func (i *Issuer) DefaultTenant() heliograph.TenantID { return i.tenant }

// Rotate makes a new signing key. The two before it stay published, so that tokens signed with them stay valid.
func (i *Issuer) Rotate(ctx context.Context) error { return i.keys.rotate(ctx) }

// Close waits for a key that is still being made.
func (i *Issuer) Close() { i.keys.wg.Wait() }
