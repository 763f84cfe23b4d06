// Package token makes the validationTokens of rich notifications: a JWT for each tenant and application that proves
// to a receiver who sent a notification (contract 13.12 to 13.14).
//
// A token says nothing of the notification, so one serves all of a tenant and application for its life, and is signed
// once: what delivery pays is a look-up. It is renewed ahead of its end, for different pairs at different times, by
// the first who meets it in that time while others go on with the one at hand.
//
// # Keys
//
// Keys change without anybody who verifies being told, so each is published for one period before it signs, signs for
// one period, and stays published until the last token that it signed has ended:
//
//	made ──────► signs ──────► done ────────────────► dropped
//	      a period      a period    a token's life
//
// The very first signs at once. Keys are in a Store that the nodes of a cluster share: whichever finds that a key is
// due makes it, the others take it over at their next Refresh. Everything about a key that is published follows from
// its certificate (Certificates): its kid is the certificate's SHA-1 thumbprint, as Entra has it.
//
// ServeHTTP publishes at the addresses where receivers look. A development server whose issuer answers at the same
// addresses publishes the certificates among its own instead.
//
// A Tokens may be used concurrently.
package token

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"heliograph.dev"
	"heliograph.dev/internal/clock"
	"heliograph.dev/internal/seal/recent"
)

// Form is which of Entra's two generations the tokens look like. Receivers exist that know one only.
type Form uint8

// The forms.
const (
	V2 Form = iota // iss {base}/{tid}/v2.0, the caller in azp
	V1             // iss https://sts.windows.net/{tid}/, the caller in appid
)

// Microsoft is the base of Entra's issuers in the global cloud, for receivers that know no other.
const Microsoft = "https://login.microsoftonline.com"

// Sender is the application that Graph's notifications come from (contract 13.13).
const Sender heliograph.AppID = "0bf30f3b-4a52-48df-9a82-234910c4a086"

const (
	defaultLifetime = 86_700 * time.Second // contract 13.13
	defaultPeriod   = 24 * time.Hour       // contract 13.14
	defaultLimit    = 16 << 10
	// backdated is how far in the past a token says that it was made, for receivers whose clocks are behind.
	backdated = 5 * time.Minute
	// renewShare of a token's life is left at the latest when it is renewed: what is retried for four hours carries
	// one that holds so long.
	renewShare = 4
)

// Options say what the tokens are to look like. The zero value of each but Now is Graph's.
type Options struct {
	Form Form
	// Base is scheme and host of the issuer, such as the address of this server. Empty: Microsoft.
	Base string
	// Sender is the caller that the tokens name. Empty: Graph's.
	Sender heliograph.AppID
	// Lifetime of a token. Zero: 86,700 seconds.
	Lifetime time.Duration
	// Period is how long a key signs. Zero: a day.
	Period time.Duration
	// Limit is how many tokens are kept, at about 1 KB each. Zero: 16,384.
	Limit int
	// Store keeps the keys. Nil: in memory only.
	Store Store
	// Now tells the time. Required.
	Now func() time.Time
}

// Tokens makes tokens.
type Tokens struct {
	form     Form
	base     string
	sender   heliograph.AppID
	lifetime time.Duration
	period   time.Duration
	store    Store
	now      func() time.Time

	keys    atomic.Pointer[ring]
	refresh sync.Mutex
	cached  *recent.Cache[pair, *issued]
	making  singleflight.Group
	seed    maphash.Seed
	signed  atomic.Uint64
}

// pair is whom a token is for.
type pair struct {
	tenant   heliograph.TenantID
	audience heliograph.AppID
}

// issued is a token and how long it serves.
type issued struct {
	token           string
	renews, expires time.Time
	renewing        atomic.Bool // somebody is at it
}

// New returns Tokens with the keys of the store, and makes the first one when there is none.
func New(ctx context.Context, o Options) (*Tokens, error) {
	if o.Now == nil {
		return nil, errors.New("token: Now is required")
	}
	t := &Tokens{
		form: o.Form, base: strings.TrimRight(o.Base, "/"), sender: o.Sender, lifetime: o.Lifetime, period: o.Period,
		store: o.Store, now: o.Now, seed: maphash.MakeSeed(),
	}
	if t.base == "" {
		t.base = Microsoft
	}
	if t.sender == "" {
		t.sender = Sender
	}
	if t.lifetime <= 0 {
		t.lifetime = defaultLifetime
	}
	if t.period <= 0 {
		t.period = defaultPeriod
	}
	if t.store == nil {
		t.store = new(memory)
	}
	if o.Limit <= 0 {
		o.Limit = defaultLimit
	}
	t.cached = recent.New[pair, *issued](o.Limit)
	return t, t.Refresh(ctx)
}

// Token returns a token for the subscriptions of an application in a tenant. audience is the application's id, or
// the notificationUrlAppId where a subscription has one.
func (t *Tokens) Token(tenant heliograph.TenantID, audience heliograph.AppID) (string, error) {
	now := t.now()
	to := pair{tenant, audience}
	have, ok := t.cached.Get(to)
	if ok && have.serves(now, t.lifetime) {
		if now.Before(have.renews) || !have.renewing.CompareAndSwap(false, true) {
			return have.token, nil
		}
		made, err := t.make(to, now)
		if err != nil { // the one at hand still serves, and the next who comes tries again
			have.renewing.Store(false)
			return have.token, nil //nolint:nilerr // see above
		}
		return made.token, nil
	}
	made, err, _ := t.making.Do(string(tenant)+" "+string(audience), func() (any, error) { return t.make(to, now) })
	if err != nil {
		return "", err
	}
	return made.(*issued).token, nil //nolint:errcheck,forcetypeassert // what make returns
}

// serves reports whether the token is valid at a time. One from the future was made before the clock was moved back.
func (i *issued) serves(now time.Time, lifetime time.Duration) bool {
	return now.Before(i.expires) && !now.Before(i.expires.Add(-lifetime))
}

// Signed returns how many tokens were signed so far, for a metric: it should not grow with the notifications.
func (t *Tokens) Signed() uint64 { return t.signed.Load() }

// make signs a token and remembers it.
func (t *Tokens) make(to pair, now time.Time) (*issued, error) {
	body, err := json.Marshal(t.claims(to, now))
	if err != nil {
		return nil, fmt.Errorf("write claims: %w", err)
	}
	signer := t.keys.Load().signer(now, t.period)
	token, err := signer.sign(t.form, body)
	if err != nil {
		return nil, fmt.Errorf("sign validation token: %w", err)
	}
	t.signed.Add(1)
	made := &issued{token: token, expires: t.issuedAt(now).Add(t.lifetime)}
	last := t.lifetime / renewShare
	spread := maphash.Comparable(t.seed, to) % uint64(last)       //nolint:gosec // a lifetime is positive
	made.renews = made.expires.Add(-last - time.Duration(spread)) //nolint:gosec // less than last
	t.cached.Put(to, made)
	return made, nil
}

// issuedAt returns the iat of a token that is made now, in whole seconds as claims have it.
func (t *Tokens) issuedAt(now time.Time) time.Time {
	return now.Add(-min(backdated, t.lifetime/2)).Truncate(time.Second)
}

// claims is a token's payload (contract 13.13).
type claims struct {
	Audience heliograph.AppID    `json:"aud"`
	Issuer   string              `json:"iss"`
	IssuedAt int64               `json:"iat"`
	Begins   int64               `json:"nbf"`
	Expires  int64               `json:"exp"`
	AIO      string              `json:"aio"`
	AppID    heliograph.AppID    `json:"appid,omitempty"`    // v1
	AppIDACR string              `json:"appidacr,omitempty"` // v1
	AZP      heliograph.AppID    `json:"azp,omitempty"`      // v2
	AZPACR   string              `json:"azpacr,omitempty"`   // v2
	IDP      string              `json:"idp,omitempty"`      // v1
	Object   string              `json:"oid"`
	RH       string              `json:"rh"`
	Subject  string              `json:"sub"`
	Tenant   heliograph.TenantID `json:"tid"`
	UTI      string              `json:"uti"`
	Version  string              `json:"ver"`
}

// byCertificate is how the sender proved itself to the issuer.
const byCertificate = "2"

func (t *Tokens) claims(to pair, now time.Time) *claims {
	at := t.issuedAt(now)
	// The sender's service principal in a tenant has an id that follows from both, as every other here.
	object := heliograph.DeriveGUID("servicePrincipal", string(to.tenant), strings.ToLower(string(t.sender))).String()
	c := &claims{
		Audience: to.audience, Issuer: issuer(t.base, string(to.tenant), t.form), Tenant: to.tenant,
		IssuedAt: at.Unix(), Begins: at.Unix(), Expires: at.Add(t.lifetime).Unix(),
		AIO: opaque(36), RH: "1." + opaque(36) + ".", UTI: opaque(16), Object: object, Subject: object,
	}
	if t.form == V1 {
		c.Version, c.AppID, c.AppIDACR, c.IDP = "1.0", t.sender, byCertificate, c.Issuer
	} else {
		c.Version, c.AZP, c.AZPACR = "2.0", t.sender, byCertificate
	}
	return c
}

// issuer returns the iss of a tenant's tokens. In Microsoft's cloud the older form has a host of its own.
func issuer(base, tenant string, form Form) string {
	if form == V1 {
		if base == Microsoft {
			base = "https://sts.windows.net"
		}
		return base + "/" + tenant + "/"
	}
	return base + "/" + tenant + "/v2.0"
}

// opaque returns n random bytes as text: Entra's tokens carry such, and nobody may read them.
func opaque(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: crypto/rand ends the program instead
	return base64.RawURLEncoding.EncodeToString(b)
}

// sign returns the JWS of a payload (RFC 7515, compact, RS256).
func (k *key) sign(form Form, payload []byte) (string, error) {
	head := `{"typ":"JWT","alg":"RS256","kid":"` + k.id + `"}`
	if form == V1 {
		head = `{"typ":"JWT","alg":"RS256","x5t":"` + k.id + `","kid":"` + k.id + `"}`
	}
	text := base64.RawURLEncoding.AppendEncode(nil, []byte(head))
	text = base64.RawURLEncoding.AppendEncode(append(text, '.'), payload)
	sum := sha256.Sum256(text)
	signature, err := rsa.SignPKCS1v15(nil, k.private, crypto.SHA256, sum[:])
	if err != nil {
		return "", err
	}
	return string(base64.RawURLEncoding.AppendEncode(append(text, '.'), signature)), nil
}

// Run refreshes the keys until ctx is done: often enough that each is published a period before it signs, and that a
// node learns of another's in time. failed hears of a refresh that failed; the keys at hand go on.
func (t *Tokens) Run(ctx context.Context, c clock.Clock, failed func(error)) {
	const often = 24 // times in a period
	_ = clock.Every(ctx, c, t.period/often, func(ctx context.Context) {
		if err := t.Refresh(ctx); err != nil && ctx.Err() == nil {
			failed(err)
		}
	})
}
