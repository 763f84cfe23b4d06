package receiver_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"heliograph.dev"
	"heliograph.dev/internal/seal/token"
	"heliograph.dev/receiver"
)

const (
	tenantID = "84bd8158-6d4d-4958-8b9f-9d6445542f95"
	appID    = "8e460676-ae3f-4b1e-8790-ee0fb5d6ba86"
)

func noon() time.Time { return time.Date(2026, 4, 1, 12, 0, 0, 0, time.UTC) }

// authority is an issuer that the test holds the key of.
type authority struct {
	*httptest.Server

	key     *rsa.PrivateKey
	kid     atomic.Value
	fetches atomic.Int64
	broken  atomic.Bool
	keyFor  string // issuer in the JWK
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{key: committedKey(t, "2048"), keyFor: "https://login.microsoftonline.com/{tenantid}/v2.0"}
	a.kid.Store("first")
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.fetches.Add(1)
		if a.broken.Load() {
			http.Error(w, "broken", http.StatusBadGateway)
			return
		}
		key := must(json.Marshal(jose.JSONWebKey{Key: &a.key.PublicKey, KeyID: a.id(), Use: "sig"}))
		key = append(key[:len(key)-1], `,"issuer":"`+a.keyFor+`"}`...)
		_, _ = fmt.Fprintf(w, `{"keys":[{"kty":"EC","kid":"other"},%s]}`, key)
	}))
	t.Cleanup(a.Close)
	return a
}

func (a *authority) id() string { s, _ := a.kid.Load().(string); return s }

// claims are those of a good token of Graph in v2.
func claims() map[string]any {
	return map[string]any{
		"aud": appID, "iss": "https://login.microsoftonline.com/" + tenantID + "/v2.0", "tid": tenantID,
		"azp": receiver.GraphSender, "nbf": noon().Unix() - 300, "exp": noon().Unix() + 3600,
	}
}

// sign returns the token that says this.
func (a *authority) sign(claims map[string]any) string {
	return sign(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: a.key, KeyID: a.id()}}, claims)
}

func sign(key jose.SigningKey, claims map[string]any) string {
	signer := must(jose.NewSigner(key, nil))
	return must(must(signer.Sign(must(json.Marshal(claims)))).CompactSerialize())
}

// critical returns a good token but for a header that must be understood (RFC 7515, 4.1.11).
func critical(key *rsa.PrivateKey, claims map[string]any) string {
	options := (&jose.SignerOptions{}).WithCritical("b64").WithHeader("b64", true)
	signer := must(jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: key, KeyID: "first"}}, options))
	return must(must(signer.Sign(must(json.Marshal(claims)))).CompactSerialize())
}

func (a *authority) verifier(t *testing.T, change func(*receiver.TokenOptions)) *receiver.TokenVerifier {
	t.Helper()
	microsoft := receiver.Microsoft()
	microsoft.Keys = []string{a.URL}
	o := receiver.TokenOptions{AppIDs: []string{"another", appID}, Authorities: []receiver.Authority{microsoft}, Now: noon}
	if change != nil {
		change(&o)
	}
	v, err := receiver.NewTokenVerifier(o)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestVerify(t *testing.T) { // contract 13.13
	t.Parallel()
	a := newAuthority(t)
	v := a.verifier(t, nil)
	v1 := map[string]any{"iss": "https://sts.windows.net/" + tenantID + "/", "appid": receiver.GraphSender, "azp": nil}
	for name, c := range map[string]struct {
		change map[string]any
		says   string // empty: it is good
	}{
		"v2":                             {nil, ""},
		"v1":                             {v1, ""},
		"in upper case":                  {map[string]any{"aud": strings.ToUpper(appID)}, ""},
		"within the skew of its end":     {map[string]any{"exp": noon().Unix() - 299}, ""},
		"within the skew of its begin":   {map[string]any{"nbf": noon().Unix() + 300}, ""},
		"without nbf":                    {map[string]any{"nbf": nil}, ""},
		"with a fraction":                {map[string]any{"exp": float64(noon().Unix()) + 0.5}, ""},
		"expired":                        {map[string]any{"exp": noon().Unix() - 300}, "expired"},
		"without an end":                 {map[string]any{"exp": nil}, "expired"},
		"with an end beyond all numbers": {map[string]any{"exp": 1e300}, ""},
		"not yet valid":                  {map[string]any{"nbf": noon().Unix() + 301}, "not valid yet"},
		"for another application":        {map[string]any{"aud": "someone else"}, "another application"},
		"for nobody":                     {map[string]any{"aud": nil}, "another application"},
		"from another caller":            {map[string]any{"azp": appID}, "does not send"},
		"from nobody":                    {map[string]any{"azp": nil}, "does not send"},
		"from two callers":               {map[string]any{"appid": appID}, "does not send"},
		"of another issuer":              {map[string]any{"iss": "https://evil.example/" + tenantID + "/v2.0"}, "not believed"},
		"of an issuer without a tenant":  {map[string]any{"iss": "https://login.microsoftonline.com/{tenantid}/v2.0", "tid": "{tenantid}"}, "not believed"},
		"of another tenant's issuer":     {map[string]any{"tid": "00000000-0000-0000-0000-000000000001"}, "not believed"},
		"of no tenant":                   {map[string]any{"tid": nil}, "not believed"},
		"of a tenant that is a path":     {map[string]any{"tid": "a/b", "iss": "https://login.microsoftonline.com/a/b/v2.0"}, "not believed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			said := claims()
			maps.Copy(said, c.change)
			maps.DeleteFunc(said, func(_ string, v any) bool { return v == nil })
			got, err := v.Verify(t.Context(), []string{a.sign(said)})
			if c.says != "" {
				if !errors.Is(err, receiver.ErrToken) || !strings.Contains(err.Error(), c.says) {
					t.Fatalf("got %v, want one that says %q", err, c.says)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != 1 || got[0].Tenant != tenantID || got[0].Sender != receiver.GraphSender || got[0].Issuer != said["iss"] {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestForgedTokens(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	v := a.verifier(t, nil)
	good := a.sign(claims())
	parts := strings.Split(good, ".")
	head := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	mine := must(rsa.GenerateKey(rand.Reader, 2048))
	public := must(json.Marshal(jose.JSONWebKey{Key: &a.key.PublicKey, KeyID: "first"}))
	other := claims()
	other["tid"] = "00000000-0000-0000-0000-000000000002"
	otherParts := strings.Split(a.sign(other), ".")
	for name, forged := range map[string]string{
		"nothing":                      "",
		"words":                        "words",
		"two parts":                    parts[0] + "." + parts[1],
		"four parts":                   good + ".x",
		"no algorithm":                 head(`{"alg":"none","kid":"first"}`) + "." + parts[1] + ".",
		"no algorithm, signed":         head(`{"alg":"none","kid":"first"}`) + "." + parts[1] + "." + parts[2],
		"HMAC with the public key":     sign(jose.SigningKey{Algorithm: jose.HS256, Key: jose.JSONWebKey{Key: public, KeyID: "first"}}, claims()),
		"RSA-PSS":                      sign(jose.SigningKey{Algorithm: jose.PS256, Key: jose.JSONWebKey{Key: a.key, KeyID: "first"}}, claims()),
		"another's key":                sign(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: mine, KeyID: "first"}}, claims()),
		"an unknown key":               sign(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: mine, KeyID: "second"}}, claims()),
		"no key id":                    sign(jose.SigningKey{Algorithm: jose.RS256, Key: a.key}, claims()),
		"its key along":                head(`{"alg":"RS256","kid":"first","jwk":`+string(public)+`,"crit":["jwk"]}`) + "." + parts[1] + "." + parts[2],
		"a demand that we do not know": critical(a.key, claims()),
		"another's payload":            parts[0] + "." + otherParts[1] + "." + parts[2],
		"another's signature":          parts[0] + "." + parts[1] + "." + otherParts[2],
		"no signature":                 parts[0] + "." + parts[1] + ".",
		"padding":                      good + "=",
		"too long":                     good + strings.Repeat("A", 16<<10),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, err := v.Verify(t.Context(), []string{forged}); !errors.Is(err, receiver.ErrToken) {
				t.Errorf("%v, %v", got, err)
			}
			// One bad token spoils all, wherever it stands.
			if got, err := v.Verify(t.Context(), []string{good, forged}); !errors.Is(err, receiver.ErrToken) || got != nil {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
	for bit := range 8 * len(good) {
		flipped := []byte(good)
		flipped[bit/8] ^= 1 << (bit % 8)
		if got, err := v.Verify(t.Context(), []string{string(flipped)}); err == nil {
			t.Fatalf("bit %d may change: %+v", bit, got)
		}
	}
	if _, err := v.Verify(t.Context(), make([]string, 1000)); !errors.Is(err, receiver.ErrToken) {
		t.Error(err)
	}
	if got, err := v.Verify(t.Context(), nil); err != nil || len(got) != 0 {
		t.Errorf("of none: %v, %v", got, err)
	}
}

// A key that says for whom it signs does not sign for another tenant.
func TestKeyOfOneTenant(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	a.keyFor = "https://login.microsoftonline.com/00000000-0000-0000-0000-000000000003/v2.0"
	if _, err := a.verifier(t, nil).Verify(t.Context(), []string{a.sign(claims())}); !errors.Is(err, receiver.ErrToken) {
		t.Error(err)
	}
	a.keyFor = "https://login.microsoftonline.com/" + strings.ToUpper(tenantID) + "/v2.0"
	if _, err := a.verifier(t, nil).Verify(t.Context(), []string{a.sign(claims())}); err != nil {
		t.Error(err)
	}
}

func TestTenantsAndSenders(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	tokens := []string{a.sign(claims())}
	for name, c := range map[string]struct {
		change func(*receiver.TokenOptions)
		ok     bool
	}{
		"its tenant":     {func(o *receiver.TokenOptions) { o.Tenants = []string{strings.ToUpper(tenantID)} }, true},
		"another tenant": {func(o *receiver.TokenOptions) { o.Tenants = []string{"x"} }, false},
		"its sender":     {func(o *receiver.TokenOptions) { o.Senders = []string{"x", receiver.GraphSender} }, true},
		"another sender": {func(o *receiver.TokenOptions) { o.Senders = []string{"x"} }, false},
		"a clock far off": {func(o *receiver.TokenOptions) {
			o.Now, o.Skew = func() time.Time { return noon().Add(90 * time.Minute) }, time.Hour
		}, true},
	} {
		if _, err := a.verifier(t, c.change).Verify(t.Context(), tokens); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, o := range map[string]receiver.TokenOptions{
		"no application":         {},
		"an empty application":   {AppIDs: []string{""}},
		"an authority of nobody": {AppIDs: []string{"x"}, Authorities: []receiver.Authority{{}}},
		"no authorities":         {AppIDs: []string{"x"}, Authorities: []receiver.Authority{}},
	} {
		if _, err := receiver.NewTokenVerifier(o); err == nil {
			t.Errorf("%s: made", name)
		}
	}
}

// Keys are fetched once for all who wait, and again when a token names another key, but not for each forged one.
func TestKeysAreFetchedSeldom(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	var offset atomic.Int64
	v := a.verifier(t, func(o *receiver.TokenOptions) {
		o.Now = func() time.Time { return noon().Add(time.Duration(offset.Load())) }
	})
	verify := func(text string) error {
		_, err := v.Verify(t.Context(), []string{text})
		return err
	}
	if err := v.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	first := a.sign(claims())
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			if err := verify(first); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := a.fetches.Load(); n != 1 {
		t.Errorf("%d fetches for one key", n)
	}
	a.kid.Store("second") // the issuer has rotated
	second := a.sign(claims())
	if err := verify(second); !errors.Is(err, receiver.ErrToken) { // a moment ago there was no such key
		t.Error(err)
	}
	offset.Store(int64(time.Minute))
	if err := verify(second); err != nil {
		t.Error(err)
	}
	for range 100 {
		if err := verify(first); !errors.Is(err, receiver.ErrToken) {
			t.Error(err)
		}
	}
	if n := a.fetches.Load(); n != 2 {
		t.Errorf("%d fetches for two keys", n)
	}
	offset.Store(int64(13 * time.Hour)) // and twice a day, so that a key that was withdrawn goes
	if err := v.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	if n := a.fetches.Load(); n != 3 {
		t.Errorf("%d fetches after half a day", n)
	}
}

func TestKeysThatCannotBeFetched(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	var offset atomic.Int64
	v := a.verifier(t, func(o *receiver.TokenOptions) {
		o.Now = func() time.Time { return noon().Add(time.Duration(offset.Load())) }
	})
	lasting := claims()
	lasting["exp"] = noon().AddDate(1, 0, 0).Unix()
	good := a.sign(lasting)
	verify := func() error {
		_, err := v.Verify(t.Context(), []string{good})
		return err
	}
	a.broken.Store(true)
	for range 3 {
		if err := verify(); !errors.Is(err, receiver.ErrKeysUnavailable) {
			t.Fatal(err)
		}
	}
	if n := a.fetches.Load(); n != 1 {
		t.Errorf("%d fetches in a moment", n)
	}
	a.broken.Store(false)
	offset.Store(int64(5 * time.Second))
	if err := verify(); err != nil {
		t.Fatal(err)
	}
	a.broken.Store(true)
	offset.Store(int64(71 * time.Hour))
	if err := verify(); err != nil {
		t.Error("keys of yesterday do not serve:", err)
	}
	unknown := sign(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: a.key, KeyID: "new"}}, lasting)
	if _, err := v.Verify(t.Context(), []string{unknown}); !errors.Is(err, receiver.ErrKeysUnavailable) {
		t.Error("a key that cannot be asked for is taken as unknown:", err)
	}
	offset.Store(int64(73 * time.Hour))
	if err := verify(); !errors.Is(err, receiver.ErrKeysUnavailable) {
		t.Error("keys serve for ever:", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.verifier(t, nil).Verify(ctx, []string{good}); !errors.Is(err, receiver.ErrKeysUnavailable) {
		t.Error(err)
	}
}

// An authority that is down takes no other along, and keeps its own keys.
func TestTwoAuthorities(t *testing.T) {
	t.Parallel()
	a, b := newAuthority(t), newAuthority(t)
	b.kid.Store("of b")
	var offset atomic.Int64
	v := a.verifier(t, func(o *receiver.TokenOptions) {
		o.Authorities[0].Keys = append(o.Authorities[0].Keys, b.URL)
		o.Now = func() time.Time { return noon().Add(time.Duration(offset.Load())) }
	})
	lasting := claims()
	lasting["exp"] = noon().AddDate(1, 0, 0).Unix()
	ofA, ofB := a.sign(lasting), b.sign(lasting)
	both := func() {
		t.Helper()
		if _, err := v.Verify(t.Context(), []string{ofA, ofB}); err != nil {
			t.Error(err)
		}
	}
	both()
	b.broken.Store(true)
	offset.Store(int64(13 * time.Hour))
	both()
	b.kid.Store("of b, later")
	if _, err := v.Verify(t.Context(), []string{b.sign(lasting)}); !errors.Is(err, receiver.ErrKeysUnavailable) {
		t.Error(err)
	}
}

func TestParseKeySet(t *testing.T) {
	t.Parallel()
	small := must(json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &must(rsa.GenerateKey(rand.Reader, 1024)).PublicKey, KeyID: "x"}}}))
	for name, text := range map[string]string{
		"nothing": "", "no keys": `{}`, "none": `{"keys":[]}`, "a small one": string(small),
		"not for signatures": `{"keys":[{"kty":"RSA","use":"enc","kid":"x","n":"AQAB","e":"AQAB"}]}`,
	} {
		if _, err := receiver.ParseKeySet([]byte(text)); err == nil {
			t.Errorf("%s: read", name)
		}
	}
}

// Heliograph's tokens in both forms, at its own address, with keys from there.
func TestHeliographsTokens(t *testing.T) {
	t.Parallel()
	for _, form := range []token.Form{token.V1, token.V2} {
		var tokens *token.Tokens
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { tokens.ServeHTTP(w, r) }))
		t.Cleanup(server.Close)
		tokens = must(token.New(t.Context(), token.Options{Form: form, Base: server.URL, Now: noon}))
		v := must(receiver.NewTokenVerifier(receiver.TokenOptions{
			AppIDs: []string{appID}, Authorities: []receiver.Authority{receiver.Heliograph(server.URL + "/")}, Now: noon,
		}))
		got, err := v.Verify(t.Context(), []string{must(tokens.Token(heliograph.TenantID(tenantID), heliograph.AppID(appID)))})
		if err != nil || len(got) != 1 || got[0].Tenant != tenantID {
			t.Errorf("form %d: %+v, %v", form, got, err)
		}
	}
}

func FuzzVerifyTokens(f *testing.F) {
	key := committedKey(f, "2048")
	set := must(receiver.ParseKeySet(must(json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &key.PublicKey, KeyID: "first"}}}))))
	good := sign(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: key, KeyID: "first"}}, claims())
	rules := receiver.TokenRules{AppIDs: []string{appID}, Issuers: receiver.Microsoft().Issuers}
	f.Add(good)
	f.Add("..")
	f.Add("e30.e30.e30")
	f.Fuzz(func(t *testing.T, text string) {
		_, err := receiver.VerifyTokens([]string{text}, set, rules, noon())
		if (text == good) != (err == nil) {
			t.Error(err)
		}
	})
}
