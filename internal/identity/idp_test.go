package identity_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/goleak"

	"heliograph.dev"
	"heliograph.dev/internal/clock"
	"heliograph.dev/internal/identity"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	tenantA = "11111111-aaaa-4aaa-8aaa-111111111111"
	tenantB = "22222222-bbbb-4bbb-8bbb-222222222222"
	appID   = "33333333-cccc-4ccc-8ccc-333333333333"
	userID  = "44444444-dddd-4ddd-8ddd-444444444444"
	graph   = "https://graph.microsoft.com"
)

var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// Making an RSA key takes tens of milliseconds: the tests share a few.
var (
	rsaOne   = sync.OnceValue(func() crypto.Signer { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	rsaTwo   = sync.OnceValue(func() crypto.Signer { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	rsaThree = sync.OnceValue(func() crypto.Signer { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	rsaSmall = sync.OnceValue(func() crypto.Signer { return must(rsa.GenerateKey(rand.Reader, 1024)) })
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// fields are claims or header fields.
type fields map[string]any

// with returns the fields with some replaced; nil removes.
func (f fields) with(more fields) fields {
	f = maps.Clone(f)
	for name, value := range more {
		if value == nil {
			delete(f, name)
		} else {
			f[name] = value
		}
	}
	return f
}

// idp is a small identity provider: discovery and keys over real HTTP, and whatever token a test likes.
type idp struct {
	*httptest.Server

	requests atomic.Int64
	mu       sync.Mutex
	keys     []any
	documents
	status int           // of every answer, when not 0
	hold   chan struct{} // when set, answers wait until it is closed
}

// documents overrides parts of what is served.
type documents struct {
	issuer   string // of every discovery document
	keysAt   string // jwks_uri
	rawKeys  string
	redirect string
}

func newIDP(tb testing.TB) *idp {
	tb.Helper()
	p := &idp{}
	p.publish(key("one", rsaOne()))
	p.Server = httptest.NewServer(p)
	tb.Cleanup(func() {
		p.release()
		p.Close()
	})
	return p
}

// key is a JWK of a key pair, with more fields.
func key(id string, pair crypto.Signer, more ...fields) fields {
	f := fields{}
	text := must(json.Marshal(jose.JSONWebKey{Key: pair.Public(), KeyID: id, Use: "sig"}))
	must(0, json.Unmarshal(text, &f))
	for _, m := range more {
		f = f.with(m)
	}
	return f
}

func (p *idp) publish(keys ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys = keys
}

func (p *idp) set(change func(p *idp)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p)
}

func (p *idp) release() {
	p.set(func(p *idp) {
		if p.hold != nil {
			close(p.hold)
			p.hold = nil
		}
	})
}

func (p *idp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.requests.Add(1)
	p.mu.Lock()
	keys, documents, status, hold := p.keys, p.documents, p.status, p.hold
	p.mu.Unlock()
	if hold != nil {
		<-hold
	}
	if status != 0 {
		http.Error(w, "out of order", status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	switch {
	case documents.redirect != "":
		http.Redirect(w, r, documents.redirect, http.StatusFound)
	case r.URL.Path == "/keys" && documents.rawKeys != "":
		_, _ = w.Write([]byte(documents.rawKeys))
	case r.URL.Path == "/keys":
		_, _ = w.Write(must(json.Marshal(fields{"keys": keys})))
	default: // whatever tenant is asked for, as Entra does; common stands for all
		issuer := map[string]string{
			"/common/v2.0/.well-known/openid-configuration":            p.URL + "/{tenantid}/v2.0",
			"/common/.well-known/openid-configuration":                 p.URL + "/{tenantid}/",
			"/" + tenantA + "/v2.0/.well-known/openid-configuration":   p.v2(tenantA),
			"/realms/groupware/.well-known/openid-configuration":       p.URL + "/realms/groupware",
			"/realms/" + tenantB + "/.well-known/openid-configuration": p.URL + "/realms/" + tenantB,
		}[r.URL.Path]
		if issuer == "" {
			http.NotFound(w, r)
			return
		}
		answer := fields{"issuer": issuer, "jwks_uri": p.URL + "/keys"}
		if documents.issuer != "" {
			answer["issuer"] = documents.issuer
		}
		if documents.keysAt != "" {
			answer["jwks_uri"] = documents.keysAt
		}
		_, _ = w.Write(must(json.Marshal(answer)))
	}
}

func (p *idp) v1(tenant string) string { return p.URL + "/" + tenant + "/" }
func (p *idp) v2(tenant string) string { return p.URL + "/" + tenant + "/v2.0" }

// appClaims are those of an application's v2 token.
func (p *idp) appClaims() fields {
	return fields{
		"iss": p.v2(tenantA), "aud": graph, "tid": tenantA, "azp": appID, "oid": userID, "sub": userID, "idtyp": "app",
		"roles": []string{"Mail.Read"}, "exp": start.Add(time.Hour).Unix(), "nbf": start.Unix(), "iat": start.Unix(), "ver": "2.0",
	}
}

// userClaims are those of a user's v2 token.
func (p *idp) userClaims() fields {
	return p.appClaims().with(fields{
		"idtyp": nil, "roles": nil, "scp": "Mail.Read User.Read", "sub": "pairwise", "preferred_username": "ada@example.com",
	})
}

// token signs claims with the first key.
func (p *idp) token(claims fields) string { return sign("RS256", "one", rsaOne(), claims) }

// sign makes a token. more are header fields.
func sign(algorithm, kid string, pair any, claims fields, more ...fields) string {
	options := (&jose.SignerOptions{}).WithType("JWT")
	if kid != "" {
		options = options.WithHeader("kid", kid)
	}
	for _, m := range more {
		for name, value := range m {
			options = options.WithHeader(jose.HeaderKey(name), value)
		}
	}
	signer := must(jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(algorithm), Key: pair}, options))
	return must(must(signer.Sign(must(json.Marshal(claims)))).CompactSerialize())
}

func ecPair() crypto.Signer { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

func edPair() crypto.Signer {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	return must(private, err)
}

// setup returns a provider and a verifier that trusts both of its families of issuers.
func setup(tb testing.TB, change ...func(*identity.Options)) (*idp, *identity.Verifier, *clock.Manual) {
	tb.Helper()
	p, c := newIDP(tb), clock.NewManual(start)
	o := identity.Options{
		Issuers: []identity.Issuer{{URL: p.v2("{tenantid}")}, {URL: p.v1("{tenantid}")}},
		Now:     c.Now,
	}
	for _, f := range change {
		f(&o)
	}
	return p, newVerifier(tb, o), c
}

func newVerifier(tb testing.TB, o identity.Options) *identity.Verifier {
	tb.Helper()
	v, err := identity.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(v.Close)
	return v
}

// wantRefused fails unless err is a 401 of rule.
func wantRefused(tb testing.TB, err error, rule string) {
	tb.Helper()
	if e := refusal(tb, err); e.Kind != heliograph.Unauthenticated || e.Rule != "authenticate."+rule {
		tb.Fatalf("refused as %v by %s (%v, %v), want by %s", e.Kind, e.Rule, e, e.Err, rule)
	}
}

// wantUnavailable fails unless err says that the issuer cannot be reached.
func wantUnavailable(tb testing.TB, err error) {
	tb.Helper()
	if e := refusal(tb, err); e.Kind != heliograph.Unavailable || e.Rule != "authenticate.issuer_unavailable" || e.RetryAfter <= 0 || e.Err == nil {
		tb.Fatalf("refused as %v by %s (%v, %v), want unavailable", e.Kind, e.Rule, e, e.Err)
	}
}

func refusal(tb testing.TB, err error) *heliograph.Error {
	tb.Helper()
	var e *heliograph.Error
	if !errors.As(err, &e) {
		tb.Fatalf("err = %v, want a heliograph.Error", err)
	}
	return e
}

func wantAccepted(tb testing.TB, v *identity.Verifier, token string) *heliograph.Caller {
	tb.Helper()
	caller, err := v.Verify(tb.Context(), token)
	if err != nil {
		var e *heliograph.Error
		_ = errors.As(err, &e)
		tb.Fatalf("refused: %v (%v)", err, errors.Unwrap(err))
	}
	return caller
}

func base64URL(s string) ([]byte, error) { return base64.RawURLEncoding.DecodeString(s) }
