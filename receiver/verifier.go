package receiver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	keysFreshFor = 12 * time.Hour // then they are fetched again, though issuers keep a key for longer
	keysServeFor = 72 * time.Hour // while the issuer cannot be reached
	keysPause    = time.Minute    // between fetches, however many tokens name unknown keys
	keysRetry    = 5 * time.Second
	keysTimeout  = 10 * time.Second
	maxKeySet    = 1 << 20 // bytes
)

// ErrKeysUnavailable means that the issuer's keys are needed and cannot be fetched: it may be better later.
var ErrKeysUnavailable = errors.New("the issuer's keys are not available")

// Authority is an issuer of validation tokens, and where its keys are.
type Authority struct {
	// Issuers are the values of iss that it uses, with {tenantid} where a tenant's id stands.
	Issuers []string
	// Keys are the addresses of its JWK sets.
	Keys []string
}

// Microsoft returns the authority of Graph in the global cloud, whose tokens come in two forms.
func Microsoft() Authority {
	const login = "https://login.microsoftonline.com"
	return Authority{
		Issuers: []string{login + "/{tenantid}/v2.0", "https://sts.windows.net/{tenantid}/"},
		Keys:    []string{login + "/common/discovery/v2.0/keys", login + "/common/discovery/keys"},
	}
}

// Heliograph returns the authority of a Heliograph server at an address such as http://127.0.0.1:8080.
func Heliograph(base string) Authority {
	base = strings.TrimRight(base, "/")
	return Authority{
		Issuers: []string{base + "/{tenantid}/v2.0", base + "/{tenantid}/"},
		Keys:    []string{base + "/common/discovery/v2.0/keys"},
	}
}

// TokenOptions say which validation tokens a TokenVerifier believes.
type TokenOptions struct {
	// AppIDs are the ids of your applications (or their notificationUrlAppId). Required.
	AppIDs []string
	// Authorities are whose tokens are believed. Nil: Microsoft.
	Authorities []Authority
	// Senders are the applications whose notifications are taken. Nil: GraphSender.
	Senders []string
	// Tenants, when there are any, are the only ones whose notifications are taken.
	Tenants []string
	// Skew is how far the issuer's clock and yours may be apart. Zero: five minutes.
	Skew time.Duration
	// Client fetches keys. Nil: one with a time-out of ten seconds.
	Client *http.Client
	// Now tells the time. Nil: time.Now.
	Now func() time.Time
}

// TokenVerifier verifies validation tokens with keys that it fetches and keeps. Keys are fetched when they are first
// needed, twice a day, and when a token names one that is not known, but not more than once a minute.
type TokenVerifier struct {
	rules     TokenRules
	addresses []string
	client    *http.Client
	now       func() time.Time

	mu      sync.Mutex
	sets    map[string]*KeySet // the last good one of each address
	keys    *KeySet            // all of them, or nil
	fetched time.Time          // when keys were
	tried   time.Time          // when the last fetch began
	err     error              // what went wrong in it
	running chan struct{}      // closed when the one under way ends; nil when there is none
}

// NewTokenVerifier returns a verifier. It fetches nothing yet: see Ready.
func NewTokenVerifier(o TokenOptions) (*TokenVerifier, error) {
	if len(o.AppIDs) == 0 || slices.Contains(o.AppIDs, "") {
		return nil, errors.New("receiver: AppIDs are required: without them anybody's token would do")
	}
	if o.Authorities == nil {
		o.Authorities = []Authority{Microsoft()}
	}
	v := &TokenVerifier{
		rules:  TokenRules{AppIDs: o.AppIDs, Senders: o.Senders, Tenants: o.Tenants, Skew: o.Skew},
		client: o.Client, now: o.Now, sets: map[string]*KeySet{},
	}
	for _, a := range o.Authorities {
		v.rules.Issuers = append(v.rules.Issuers, a.Issuers...)
		v.addresses = append(v.addresses, a.Keys...)
	}
	if len(v.rules.Issuers) == 0 || len(v.addresses) == 0 {
		return nil, errors.New("receiver: Authorities need Issuers and Keys")
	}
	if v.client == nil {
		v.client = &http.Client{Timeout: keysTimeout}
	}
	if v.now == nil {
		v.now = time.Now //nolint:forbidigo // the clock of a program that has no other
	}
	return v, nil
}

// Ready fetches the keys if there are none: call it at the start, so that the first notification need not wait.
func (v *TokenVerifier) Ready(ctx context.Context) error {
	_, err := v.get(ctx, nil)
	return err
}

// Verify verifies the tokens of a collection. All of them must be valid: else the error wraps ErrToken, or
// ErrKeysUnavailable when nothing can be said without keys.
func (v *TokenVerifier) Verify(ctx context.Context, tokens []string) ([]TokenClaims, error) {
	if len(tokens) == 0 {
		return nil, nil
	}
	keys, err := v.get(ctx, nil)
	if err != nil {
		return nil, err
	}
	claims, err := VerifyTokens(tokens, keys, v.rules, v.now())
	if !errors.Is(err, errUnknownKey) {
		return claims, err
	}
	newer, fetchErr := v.get(ctx, keys)
	switch {
	case fetchErr != nil:
		return nil, fetchErr
	case newer == keys:
		return nil, err
	}
	return VerifyTokens(tokens, newer, v.rules, v.now())
}

// get returns keys, newer ones than those that were tried if it may fetch.
func (v *TokenVerifier) get(ctx context.Context, tried *KeySet) (*KeySet, error) {
	v.mu.Lock()
	now := v.now()
	age := now.Sub(v.fetched)
	serves := v.keys != nil && age < keysServeFor
	wanted := !serves || age >= keysFreshFor || v.keys == tried
	if !wanted {
		defer v.mu.Unlock()
		return v.keys, nil
	}
	if v.running == nil && v.mayFetch(now) {
		v.begin(ctx, now)
	}
	running := v.running
	v.mu.Unlock()

	if running != nil {
		select {
		case <-running:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", ErrKeysUnavailable, ctx.Err())
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.keys != nil && now.Sub(v.fetched) < keysServeFor && (tried == nil || v.err == nil) {
		return v.keys, nil
	}
	return nil, fmt.Errorf("%w: %w", ErrKeysUnavailable, v.err)
}

// mayFetch keeps a flood of forged tokens from becoming one of requests to the issuer.
func (v *TokenVerifier) mayFetch(now time.Time) bool {
	pause := keysPause
	if v.err != nil {
		pause = keysRetry
	}
	since := now.Sub(v.tried)
	return v.tried.IsZero() || since >= pause || since < 0
}

// begin fetches in the background: that the first of many who wait gave up must not fail the others.
func (v *TokenVerifier) begin(ctx context.Context, now time.Time) {
	v.tried, v.running = now, make(chan struct{})
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keysTimeout)
		defer cancel()
		sets, err := v.fetch(ctx)
		v.mu.Lock()
		defer v.mu.Unlock()
		v.err = err
		if len(sets) > 0 {
			maps.Copy(v.sets, sets)
			v.keys, v.fetched = join(slices.Collect(maps.Values(v.sets))...), now
		}
		close(v.running)
		v.running = nil
	}()
}

// fetch gets the keys of all addresses, and an error for those that do not answer: theirs stay as they were, for an
// authority that is down must not take the others along.
func (v *TokenVerifier) fetch(ctx context.Context) (map[string]*KeySet, error) {
	sets := map[string]*KeySet{}
	var errs []error
	for _, address := range v.addresses {
		set, err := v.fetchOne(ctx, address)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", address, err))
			continue
		}
		sets[address] = set
	}
	return sets, errors.Join(errs...)
}

func (v *TokenVerifier) fetchOne(ctx context.Context, address string) (*KeySet, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := v.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, errors.New(response.Status)
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, maxKeySet))
	if err != nil {
		return nil, err
	}
	return ParseKeySet(text)
}
