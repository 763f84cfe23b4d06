// Package identity tells who a request comes from: bearer tokens in, [heliograph.Caller] out (contract section 8).
//
// A token is accepted when all of this holds, and is refused with a named rule when not:
//
//   - it is a JWT in compact form, at most 16 KiB, signed with an asymmetric algorithm;
//   - its iss is one of the trusted issuers. An issuer is a URL, or a template with {tenantid} in it, as Entra's
//     multi-tenant issuers are; then iss and tid must name the same tenant;
//   - the key that signed it is published by that issuer, found by OIDC discovery, and may sign for that tenant;
//   - its aud is one of ours, exp is ahead and nbf is not (five minutes of skew are allowed on nbf alone);
//   - its claims make a caller: a tenant that is a GUID, an application, a user or service principal.
//
// Keys are fetched when they are first needed ([Verifier.Ready] fetches ahead), once for all who wait, within a
// time-out, and at most every few seconds however many tokens name unknown keys. They are looked at again after an
// hour, and serve for a day while the issuer is out of reach. An issuer that cannot be reached when its keys are
// needed is an error of kind Unavailable: the caller may come back, its token may be good.
//
// What was verified is remembered under the token's SHA-256, never the token itself, until the token ends, its
// keys change or ten minutes have passed, whichever is first.
//
// Signature and time checks are go-oidc's and go-jose's; this package decides whom to believe and what it means.
// All methods may be called concurrently.
package identity

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"

	"heliograph.dev"
)

// Issuer is one whose tokens are believed.
type Issuer struct {
	// URL is the iss of its tokens, to the letter, or a template: https://login.microsoftonline.com/{tenantid}/v2.0.
	URL string
	// Tenant, when set, is the only tenant that it speaks for, and the tenant of tokens without a tid. When it is
	// empty and the URL names one GUID, that is the tenant. When there is neither, each token names its own.
	Tenant heliograph.TenantID
}

// LocalIssuer is an issuer in this process, asked directly instead of over HTTP.
type LocalIssuer interface {
	// TenantOf returns the tenant that an iss of this issuer speaks for, and whether it is one.
	TenantOf(issuer string) (heliograph.TenantID, bool)
	// PublicKeys returns the keys that it signs with. The set is never changed: another set is another pointer.
	PublicKeys(ctx context.Context) (*jose.JSONWebKeySet, error)
}

// Options says whom to believe.
type Options struct {
	Issuers []Issuer
	// Local is believed besides Issuers. May be nil.
	Local LocalIssuer
	// Audiences are the names that tokens may call this server by. Nil: Graph's (contract 8.1).
	Audiences []string
	// Own is this server's own application, which people sign in to its pages with. Nothing stands between it and its
	// user: what an application needs a permission of Heliograph's own for (heliograph.PermissionControl), that user needs
	// a role of the same name for. Its ID tokens are believed as well as access tokens. Empty: there is none.
	Own heliograph.AppID
	// Now tells the time. Required.
	Now func() time.Time
	// Transport carries discovery requests. Nil: directly, or by the proxy that the environment names.
	Transport http.RoundTripper
	// AllowHTTP permits issuers without TLS that are not on loopback.
	AllowHTTP bool
	// FetchTimeout bounds discovery and the fetch of keys together. Zero: 10 s.
	FetchTimeout time.Duration
	// CachedTokens bounds how many verified tokens are remembered. Zero: 8192.
	CachedTokens int
	// Logger hears of refreshes that failed while older keys still serve. Nil: nobody does.
	Logger *slog.Logger
}

// Stats counts what a verifier did.
type Stats struct {
	Hits, Misses           uint64 // of remembered tokens
	Fetches, FetchFailures uint64 // of issuers' keys
	CachedTokens           int
}

// DefaultAudiences returns the names of Graph as a resource (contract 8.1).
func DefaultAudiences() []string {
	return []string{"https://graph.microsoft.com", "00000003-0000-0000-c000-000000000000"}
}

// Verifier turns tokens into callers.
type Verifier struct {
	trust
	audiences []string
	own       heliograph.AppID
	now       func() time.Time
	cache     *tokenCache
	hits      atomic.Uint64
	misses    atomic.Uint64
}

// New returns a verifier. It contacts nobody: a server starts while its issuer is down.
func New(o Options) (*Verifier, error) {
	v := &Verifier{audiences: o.Audiences, own: heliograph.AppID(lowerGUID(string(o.Own))), now: o.Now, cache: newTokenCache(o.CachedTokens)}
	if v.audiences == nil {
		v.audiences = DefaultAudiences()
	}
	var err error
	v.trust, err = newTrust(o)
	return v, err
}

// Authenticate verifies the token in the value of an Authorization header.
func (v *Verifier) Authenticate(ctx context.Context, authorization string) (*heliograph.Caller, error) {
	token, err := bearerToken(authorization)
	if err != nil {
		return nil, err
	}
	return v.Verify(ctx, token)
}

// Verify returns the caller that the token stands for. Whoever gets it shares it and must not change it.
// Every error is a *heliograph.Error, of kind Unauthenticated or Unavailable.
func (v *Verifier) Verify(ctx context.Context, token string) (*heliograph.Caller, error) {
	if len(token) > maxToken {
		return nil, refuse("too_long", "The token is longer than %d bytes.", maxToken)
	}
	key, now := tokenKey(sha256.Sum256([]byte(token))), v.now()
	if known := v.cache.get(key); known != nil && known.holds(now) {
		v.hits.Add(1)
		return known.caller, nil
	}
	v.misses.Add(1)
	fresh, err := v.check(ctx, token, now)
	if err != nil {
		return nil, err
	}
	v.cache.put(key, fresh)
	return fresh.caller, nil
}

// Ready returns nil once the keys of every issuer are at hand, fetching those that are not. The error names the
// issuers that could not be reached, and may be shown to an operator.
func (v *Verifier) Ready(ctx context.Context) error { return v.ready(ctx) }

// Stats returns the counts so far.
func (v *Verifier) Stats() Stats {
	s := Stats{Hits: v.hits.Load(), Misses: v.misses.Load(), CachedTokens: v.cache.len()}
	for _, t := range v.issuers {
		s.Fetches += t.keys.fetches.Load()
		s.FetchFailures += t.keys.failures.Load()
	}
	return s
}

// Close ends fetches that are under way and waits for them. Remembered tokens and keys keep serving.
func (v *Verifier) Close() { v.close() }
