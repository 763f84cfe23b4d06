package identity

import (
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"iter"
	"strings"
	"sync/atomic"

	"github.com/go-jose/go-jose/v4"
)

const (
	maxKeys    = 256
	minRSABits = 2048
)

// keySource has the keys of one issuer.
type keySource interface {
	// keys returns a set with a key named kid, asking the issuer when that may help. A set without such a key
	// means that the issuer has none. A set that the caller has already tried is not worth returning again.
	keys(ctx context.Context, kid string, tried *keySet) (*keySet, error)
	// current returns the newest set, or nil. It never blocks.
	current() *keySet
}

// keySet is the keys of an issuer at one time. It is never changed.
type keySet struct {
	keys   []signingKey
	digest [sha256.Size]byte
}

type signingKey struct {
	jose.JSONWebKey

	// issuer, when the issuer says it (Entra does), is the only issuer or family of issuers that the key signs for.
	issuer string
}

// parseKeys reads a JWK set. Keys of a kind that cannot sign for us are left out (RFC 7517, section 5).
func parseKeys(body []byte) (*keySet, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, errors.New("the key set is not JSON")
	}
	if len(set.Keys) > maxKeys {
		return nil, errors.New("the key set is too large")
	}
	parsed := &keySet{digest: sha256.Sum256(body)}
	for _, raw := range set.Keys {
		var key signingKey
		var more struct {
			Issuer string `json:"issuer"`
		}
		if json.Unmarshal(raw, &key.JSONWebKey) != nil || json.Unmarshal(raw, &more) != nil || !usable(&key.JSONWebKey) {
			continue
		}
		key.issuer = more.Issuer
		parsed.keys = append(parsed.keys, key)
	}
	if len(parsed.keys) == 0 {
		return nil, errors.New("the key set has no usable key")
	}
	return parsed, nil
}

// usable reports whether a key can prove anything: public, whole, for signatures, and not too small.
func usable(key *jose.JSONWebKey) bool {
	if !key.IsPublic() || !key.Valid() || key.Use != "" && key.Use != "sig" {
		return false
	}
	if public, ok := key.Key.(*rsa.PublicKey); ok {
		return public.N.BitLen() >= minRSABits
	}
	return true
}

// has reports whether a token that names kid may be verified with the set; one that names none may be with any.
func (s *keySet) has(kid string) bool {
	if kid == "" {
		return len(s.keys) > 0
	}
	for i := range s.keys {
		if s.keys[i].KeyID == kid {
			return true
		}
	}
	return false
}

// fitting yields the keys that may have signed a token.
func (s *keySet) fitting(w wanted) iter.Seq[*jose.JSONWebKey] {
	return func(yield func(*jose.JSONWebKey) bool) {
		for i := range s.keys {
			if s.keys[i].fits(w) && !yield(&s.keys[i].JSONWebKey) {
				return
			}
		}
	}
}

func (k *signingKey) fits(w wanted) bool {
	switch {
	case w.kid != "" && k.KeyID != w.kid, k.Algorithm != "" && k.Algorithm != w.algorithm:
		return false
	case k.issuer == "", k.issuer == w.issuer, strings.Contains(k.issuer, placeholder):
		return true
	}
	// One key set may serve several issuers of a family (v1 and v2): the tenant is what must not differ.
	return w.tenant != "" && strings.Contains(strings.ToLower(k.issuer), string(w.tenant))
}

// localKeys are the keys of an issuer in this process.
type localKeys struct {
	issuer LocalIssuer
	last   atomic.Pointer[localSet]
}

type localSet struct {
	of     *jose.JSONWebKeySet
	parsed *keySet
}

func (l *localKeys) keys(ctx context.Context, _ string, _ *keySet) (*keySet, error) {
	published, err := l.issuer.PublicKeys(ctx)
	if err != nil {
		return nil, err
	}
	last := l.last.Load()
	if last == nil || last.of != published {
		last = &localSet{of: published, parsed: &keySet{}}
		for _, key := range published.Keys {
			last.parsed.keys = append(last.parsed.keys, signingKey{JSONWebKey: key})
		}
		l.last.Store(last)
	}
	return last.parsed, nil
}

func (l *localKeys) current() *keySet {
	if last := l.last.Load(); last != nil {
		return last.parsed
	}
	return nil
}
