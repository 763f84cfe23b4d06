package receiver

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"
)

// GraphSender is the application that Graph's notifications come from: what a validation token names as its caller.
const GraphSender = "0bf30f3b-4a52-48df-9a82-234910c4a086"

const (
	maxTokens   = 256      // of one request: there is one for each application and tenant in it
	maxToken    = 16 << 10 // bytes
	minKeyBits  = 2048
	maxKeyBits  = 8192
	defaultSkew = 5 * time.Minute
)

// ErrToken is the error of a validation token that proves nothing. What wraps it says why.
var ErrToken = errors.New("the validation token is not valid")

// errUnknownKey is the error of a token whose key is not in the set: a newer set may have it.
var errUnknownKey = fmt.Errorf("%w: its key is not published", ErrToken)

// TokenRules say which validation tokens prove something.
type TokenRules struct {
	// AppIDs are the ids of your applications (or their notificationUrlAppId): a token must be for one of them.
	AppIDs []string
	// Issuers are whose tokens are believed, with {tenantid} where a tenant's id stands.
	Issuers []string
	// Senders are the applications whose notifications are taken. Nil: GraphSender.
	Senders []string
	// Tenants, when there are any, are the only ones whose notifications are taken.
	Tenants []string
	// Skew is how far the issuer's clock and yours may be apart. Zero: five minutes.
	Skew time.Duration
}

// TokenClaims is what a valid token says.
type TokenClaims struct {
	Audience string // which of your applications it is for
	Issuer   string
	Tenant   string
	Sender   string
	Expires  time.Time
}

// VerifyTokens verifies the tokens of a collection with the issuers' keys. All of them must be valid: an error says
// which one is not, and wraps ErrToken.
//
// A notification with resource data is proven when its TenantID is the Tenant of one of the claims.
func VerifyTokens(tokens []string, keys *KeySet, rules TokenRules, now time.Time) ([]TokenClaims, error) {
	if len(tokens) > maxTokens {
		return nil, fmt.Errorf("%w: more than %d tokens", ErrToken, maxTokens)
	}
	all := make([]TokenClaims, 0, len(tokens))
	for i, token := range tokens {
		claims, err := verifyToken(token, keys, &rules, now)
		if err != nil {
			return nil, fmt.Errorf("validation token %d: %w", i, err)
		}
		all = append(all, *claims)
	}
	return all, nil
}

// KeySet is the keys that an issuer signs tokens with.
type KeySet struct{ keys []signingKey }

type signingKey struct {
	id     string
	public *rsa.PublicKey
	issuer string // whom it signs for, when the set says it
}

// ParseKeySet reads a JWK set, as issuers publish it. Keys of other kinds than RSA are left out.
func ParseKeySet(text []byte) (*KeySet, error) {
	var wire struct {
		Keys []struct {
			Type     string `json:"kty"`
			Use      string `json:"use"`
			ID       string `json:"kid"`
			Modulus  string `json:"n"`
			Exponent string `json:"e"`
			Issuer   string `json:"issuer"`
		} `json:"keys"`
	}
	if err := json.Unmarshal(text, &wire); err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	set := new(KeySet)
	for _, w := range wire.Keys {
		n, errN := base64.RawURLEncoding.DecodeString(w.Modulus)
		e, errE := base64.RawURLEncoding.DecodeString(w.Exponent)
		if w.Type != "RSA" || w.Use != "" && w.Use != "sig" || w.ID == "" || errN != nil || errE != nil || len(e) > 4 {
			continue
		}
		public := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
		if bits := public.N.BitLen(); bits < minKeyBits || bits > maxKeyBits {
			continue
		}
		set.keys = append(set.keys, signingKey{id: w.ID, public: public, issuer: w.Issuer})
	}
	if len(set.keys) == 0 {
		return nil, errors.New("read keys: there is no RSA key")
	}
	return set, nil
}

// join returns the keys of several sets.
func join(sets ...*KeySet) *KeySet {
	all := new(KeySet)
	for _, set := range sets {
		all.keys = append(all.keys, set.keys...)
	}
	return all
}

// tokenHead and tokenBody are what is read of a JWT.
type tokenHead struct {
	Algorithm string          `json:"alg"`
	KeyID     string          `json:"kid"`
	Critical  json.RawMessage `json:"crit"`
}

type tokenBody struct {
	Audience  string   `json:"aud"`
	Issuer    string   `json:"iss"`
	Tenant    string   `json:"tid"`
	AppID     string   `json:"appid"` // the caller, in v1
	AZP       string   `json:"azp"`   // the caller, in v2
	NotBefore *float64 `json:"nbf"`
	Expires   *float64 `json:"exp"`
}

// verifyToken checks what costs little first, so that a forged token costs little.
func verifyToken(token string, keys *KeySet, rules *TokenRules, now time.Time) (*TokenClaims, error) {
	if len(token) > maxToken {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrToken, maxToken)
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, fmt.Errorf("%w: it is no JWT", ErrToken)
	}
	var head tokenHead
	var body tokenBody
	signature, err := base64.RawURLEncoding.Strict().DecodeString(parts[2])
	if err != nil || !readPart(parts[0], &head) || !readPart(parts[1], &body) {
		return nil, fmt.Errorf("%w: it is no JWT", ErrToken)
	}
	if head.Algorithm != "RS256" || head.Critical != nil { // the algorithm is ours to say, never the token's
		return nil, fmt.Errorf("%w: it is not signed with RS256 alone", ErrToken)
	}
	claims, err := body.check(rules, now)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(token[:len(parts[0])+1+len(parts[1])]))
	found := false
	for _, key := range keys.keys {
		if key.id != head.KeyID || !key.signsFor(claims) {
			continue
		}
		if rsa.VerifyPKCS1v15(key.public, crypto.SHA256, sum[:], signature) == nil {
			return claims, nil
		}
		found = true
	}
	if !found {
		return nil, errUnknownKey
	}
	return nil, fmt.Errorf("%w: its signature does not fit", ErrToken)
}

// readPart decodes the JSON of one part of a JWT.
func readPart(part string, into any) bool {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(part)
	return err == nil && json.NewDecoder(bytes.NewReader(raw)).Decode(into) == nil
}

// check holds the claims against the rules.
func (b *tokenBody) check(rules *TokenRules, now time.Time) (*TokenClaims, error) {
	skew := cmp.Or(rules.Skew, defaultSkew)
	senders := rules.Senders
	if senders == nil {
		senders = []string{GraphSender}
	}
	sender := cmp.Or(b.AZP, b.AppID)
	isFold := func(s string) func(string) bool { return func(t string) bool { return strings.EqualFold(s, t) } }
	switch {
	case b.Expires == nil || !now.Before(at(*b.Expires).Add(skew)):
		return nil, fmt.Errorf("%w: it has expired", ErrToken)
	case b.NotBefore != nil && now.Before(at(*b.NotBefore).Add(-skew)):
		return nil, fmt.Errorf("%w: it is not valid yet", ErrToken)
	case b.Audience == "" || !slices.ContainsFunc(rules.AppIDs, isFold(b.Audience)):
		return nil, fmt.Errorf("%w: it is for another application, %q", ErrToken, b.Audience)
	case b.AppID != "" && b.AZP != "" && b.AppID != b.AZP, !slices.ContainsFunc(senders, isFold(sender)):
		return nil, fmt.Errorf("%w: its caller %q does not send notifications", ErrToken, sender)
	case len(rules.Tenants) > 0 && !slices.ContainsFunc(rules.Tenants, isFold(b.Tenant)):
		return nil, fmt.Errorf("%w: its tenant %q is not taken", ErrToken, b.Tenant)
	case !isTenant(b.Tenant) || !slices.ContainsFunc(rules.Issuers, func(template string) bool {
		return strings.ReplaceAll(template, "{tenantid}", b.Tenant) == b.Issuer
	}):
		return nil, fmt.Errorf("%w: its issuer %q is not believed for the tenant %q", ErrToken, b.Issuer, b.Tenant)
	}
	return &TokenClaims{Audience: b.Audience, Issuer: b.Issuer, Tenant: b.Tenant, Sender: sender, Expires: at(*b.Expires)}, nil
}

// isTenant reports whether a tid may be put into an issuer's template: nothing in it can be read as more of a URL.
func isTenant(tid string) bool {
	return tid != "" && !strings.ContainsFunc(tid, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '-'
	})
}

// at returns the time of a claim, which some issuers write with a fraction.
func at(seconds float64) time.Time {
	const most = 1 << 40 // beyond any date: what does not fit an int64 must not become a date in the past or the future
	return time.Unix(int64(min(max(seconds, -most), most)), 0)
}

// signsFor reports whether a key may sign a token. Entra says of each key for whom: one tenant, or all of them. A set
// may serve both forms of issuers, so that the tenant is what must not differ.
func (k *signingKey) signsFor(claims *TokenClaims) bool {
	return k.issuer == "" || strings.Contains(k.issuer, "{tenantid}") ||
		strings.Contains(strings.ToLower(k.issuer), strings.ToLower(claims.Tenant))
}
