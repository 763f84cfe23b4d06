package identity_test

import (
	"sync"
	"testing"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/identity"
)

func TestRememberedTokensEnd(t *testing.T) {
	t.Parallel()
	p, v, c := setup(t)
	token := p.token(p.appClaims().with(fields{"exp": start.Add(5 * time.Minute).Unix()}))
	wantAccepted(t, v, token)
	c.Advance(5*time.Minute - time.Second)
	wantAccepted(t, v, token)
	if s := v.Stats(); s.Hits != 1 || s.Misses != 1 || s.CachedTokens != 1 {
		t.Errorf("%+v", s)
	}
	c.Advance(time.Second)
	_, err := v.Verify(t.Context(), token)
	wantRefused(t, err, "expired")
}

func TestRememberedTokensAreVerifiedAgain(t *testing.T) {
	t.Parallel()
	p, v, c := setup(t)
	token := p.token(p.appClaims())
	wantAccepted(t, v, token)
	c.Advance(10 * time.Minute)
	wantAccepted(t, v, token)
	if s := v.Stats(); s.Hits != 0 || s.Misses != 2 || s.Fetches != 1 {
		t.Errorf("%+v", s)
	}
}

func TestRefusedTokensAreNotRemembered(t *testing.T) {
	t.Parallel()
	p, v, _ := setup(t)
	for range 2 {
		_, err := v.Verify(t.Context(), p.token(p.appClaims().with(fields{"aud": "x"})))
		wantRefused(t, err, "audience")
	}
	if s := v.Stats(); s.CachedTokens != 0 {
		t.Errorf("%+v", s)
	}
}

func TestCacheIsBoundedAndKeepsWhatIsUsed(t *testing.T) {
	t.Parallel()
	const size = 20
	p, v, _ := setup(t, func(o *identity.Options) { o.CachedTokens = size })
	used := p.token(p.appClaims())
	wantAccepted(t, v, used)
	for n := range 5 * size {
		wantAccepted(t, v, p.token(p.appClaims().with(fields{"uti": n})))
		wantAccepted(t, v, used)
		if got := v.Stats().CachedTokens; got > size {
			t.Fatalf("%d tokens remembered, want at most %d", got, size)
		}
	}
	if s := v.Stats(); s.Hits != 5*size {
		t.Errorf("the token in use was forgotten: %+v", s)
	}
}

func TestTokensAreCountedOnce(t *testing.T) {
	t.Parallel()
	p, v, _ := setup(t, func(o *identity.Options) { o.CachedTokens = 4 })
	for _, n := range []int{1, 2, 3, 1} {
		wantAccepted(t, v, p.token(p.appClaims().with(fields{"uti": n})))
	}
	if s := v.Stats(); s.CachedTokens != 3 || s.Hits != 1 {
		t.Errorf("%+v", s)
	}
}

func TestCacheIsShared(t *testing.T) {
	t.Parallel()
	p, v, _ := setup(t, func(o *identity.Options) { o.CachedTokens = 4 })
	tokens := make([]string, 8)
	for n := range tokens {
		tokens[n] = p.token(p.appClaims().with(fields{"sub": string(rune('a' + n)), "oid": nil}))
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for n := range 200 {
				want := heliograph.ObjectID(string(rune('a' + n%8)))
				if caller, err := v.Verify(t.Context(), tokens[n%8]); err != nil || caller.Object != want {
					t.Errorf("%v, %v, want %s", caller, err, want)
				}
			}
		})
	}
	wg.Wait()
}
