package identity

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"heliograph.dev"
)

const (
	maxToken = 16 << 10
	// skew is how far ahead of ours an issuer's clock may be. go-oidc allows the same.
	skew = 5 * time.Minute
)

// algorithms are those with a public key. With none and with a shared secret anybody who can read our
// configuration could sign.
func algorithms() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{
		jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512,
		jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
	}
}

// bearerToken takes the token out of an Authorization header (RFC 6750, 2.1).
func bearerToken(authorization string) (string, error) {
	if authorization == "" {
		return "", unauthenticated("missing", "Access token is empty.")
	}
	scheme, token, _ := strings.Cut(authorization, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", unauthenticated("scheme", "The Authorization header must be: Bearer, a space, and the access token.")
	}
	token = strings.Trim(token, " ")
	if token == "" {
		return "", unauthenticated("missing", "Access token is empty.")
	}
	return token, nil
}

// check verifies a token that is not remembered.
func (v *Verifier) check(ctx context.Context, token string, now time.Time) (*verified, error) {
	signed, err := parse(token)
	if err != nil {
		return nil, err
	}
	// Not verified yet: this only finds out whose keys to ask for.
	said, err := parseClaims(signed.UnsafePayloadWithoutVerification())
	if err != nil {
		return nil, refuse("claims", "Invalid claims: %v.", err)
	}
	from, ok := v.recognise(said.issuer)
	if !ok {
		return nil, refuse("issuer", "Invalid issuer: %s is not trusted here.", excerpt(said.issuer))
	}
	keys, err := v.checkSignature(ctx, token, signed, from, said)
	if err != nil {
		return nil, err
	}
	if !now.Before(said.expires) || said.expires.IsZero() {
		return nil, unauthenticated("expired", lifetimeText)
	}
	if now.Add(skew).Before(said.notBefore) {
		return nil, unauthenticated("not_yet_valid", lifetimeText)
	}
	if v.isOwn(said) {
		said.app, said.kind = string(v.own), "user"
	} else if !slices.ContainsFunc(said.audiences, func(a string) bool { return slices.Contains(v.audiences, a) }) {
		return nil, refuse("audience", "Invalid audience: the token is for %s, this server is %s.",
			excerpt(strings.Join(said.audiences, " ")), strings.Join(v.audiences, " or "))
	}
	tenant, err := from.tenantOf(said)
	if err != nil {
		return nil, err
	}
	caller, err := said.caller(tenant)
	if err != nil {
		return nil, err
	}
	if caller.Delegated && v.own != "" && caller.App == v.own {
		caller.Roles = ownRoles(said.roles)
	}
	until := now.Add(trustFor)
	if said.expires.Before(until) {
		until = said.expires
	}
	return &verified{caller: caller, until: until, source: from.source, keys: keys}, nil
}

// isOwn reports whether a token is an ID token of this server's own application: the application is then what it is for.
func (v *Verifier) isOwn(said *claims) bool {
	return v.own != "" && len(said.audiences) == 1 && lowerGUID(said.audiences[0]) == string(v.own) && (said.app == "" || lowerGUID(said.app) == string(v.own))
}

// parse reads the compact form, and only that: go-jose by itself also takes white space and the JSON form.
func parse(token string) (*jose.JSONWebSignature, error) {
	if strings.Count(token, ".") != 2 || strings.ContainsAny(token, " \t\r\n{") {
		return nil, refuse("malformed", "The token is not a signed JWT in compact form.")
	}
	signed, err := jose.ParseSignedCompact(token, algorithms())
	var algorithm *jose.ErrUnexpectedSignatureAlgorithm
	switch {
	case errors.As(err, &algorithm):
		return nil, refuse("algorithm", "Invalid signature algorithm: %s.", excerpt(string(algorithm.Got)))
	case err != nil || len(signed.Signatures) != 1:
		return nil, refuse("malformed", "The token is not a signed JWT in compact form.")
	}
	return signed, nil
}

// checkSignature finds the key and lets go-oidc verify, and returns the key set that the key is of.
func (v *Verifier) checkSignature(ctx context.Context, token string, signed *jose.JSONWebSignature, from origin, said *claims) (*keySet, error) {
	header := signed.Signatures[0].Protected
	want := wanted{kid: header.KeyID, algorithm: header.Algorithm, issuer: said.issuer, tenant: from.tenant}
	keys, err := from.source.keys(ctx, want.kid, nil)
	if err != nil {
		return nil, unavailable(err)
	}
	err = v.verifyWith(ctx, token, &signature{signed: signed, keys: keys, want: want})
	if err == nil || want.kid != "" {
		return keys, err
	}
	// Without a kid nothing says that the key is a new one, but that none of the old ones fits.
	newer, fetchErr := from.source.keys(ctx, "", keys)
	if fetchErr != nil || newer == keys {
		return nil, err
	}
	return newer, v.verifyWith(ctx, token, &signature{signed: signed, keys: newer, want: want})
}

// verifyWith has go-oidc check signature, issuer and times, and gives its complaint our names.
func (v *Verifier) verifyWith(ctx context.Context, token string, s *signature) error {
	supported := make([]string, 0, len(algorithms()))
	for _, a := range algorithms() {
		supported = append(supported, string(a))
	}
	config := &oidc.Config{
		SupportedSigningAlgs: supported,
		SkipClientIDCheck:    true, // there may be several audiences: check looks at them
		Now:                  v.now,
	}
	_, err := oidc.NewVerifier(s.want.issuer, s, config).Verify(ctx, token)
	var expired *oidc.TokenExpiredError
	switch {
	case err == nil:
		return nil
	case s.refusal != nil:
		return s.refusal
	case errors.As(err, &expired):
		return unauthenticated("expired", lifetimeText)
	case s.good: // the one check that is left and has no error of its own is nbf
		return unauthenticated("not_yet_valid", lifetimeText)
	}
	return refuse("claims", "Invalid claims.")
}

// wanted is what the key of a token must fit.
type wanted struct {
	kid, algorithm, issuer string
	tenant                 heliograph.TenantID
}

// signature is go-oidc's view of the keys for one token (oidc.KeySet). It keeps why it said no, because go-oidc
// passes on the text alone.
type signature struct {
	signed  *jose.JSONWebSignature
	keys    *keySet
	want    wanted
	good    bool
	refusal error
}

// VerifySignature returns the payload when one of the keys signed it.
func (s *signature) VerifySignature(context.Context, string) ([]byte, error) {
	known := false
	for key := range s.keys.fitting(s.want) {
		known = true
		if payload, err := s.signed.Verify(key); err == nil {
			s.good = true
			return payload, nil
		}
	}
	if known {
		s.refusal = refuse("signature", "Invalid signature.")
	} else {
		s.refusal = refuse("key", "The signing key %s is unknown.", excerpt(s.want.kid))
	}
	return nil, s.refusal
}
