package token_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"heliograph.dev"
	"heliograph.dev/internal/clock"
	"heliograph.dev/internal/engine"
	"heliograph.dev/internal/seal/token"
)

func open(t *testing.T, c clock.Clock, o token.Options) *token.Tokens {
	t.Helper()
	o.Now = c.Now
	tokens, err := token.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

// records is an engine of its own.
func records(t *testing.T) *engine.Engine {
	t.Helper()
	e, err := engine.Open(t.Context(), engine.Options{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler), Now: clock.System().Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return e
}

func mint(t *testing.T, tokens *token.Tokens, tenant heliograph.TenantID, app heliograph.AppID) string {
	t.Helper()
	got, err := tokens.Token(tenant, app)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// verify checks a token with go-jose and the keys at both addresses, and returns its claims.
func verify(t *testing.T, tokens *token.Tokens, text, at string) map[string]any {
	t.Helper()
	signed, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	var body []byte
	for _, path := range []string{"/discovery/keys", "/discovery/v2.0/keys"} {
		var set jose.JSONWebKeySet
		get(t, tokens, "/"+at+path, &set)
		found := set.Key(signed.Signatures[0].Header.KeyID)
		if len(found) != 1 {
			t.Fatalf("%d keys of this id", len(found))
		}
		if _, err = signed.Verify(found[0]); err != nil {
			t.Fatal(err)
		}
		if body, err = signed.Verify(found[0].Certificates[0].PublicKey); err != nil {
			t.Fatal(err)
		}
	}
	var claims map[string]any
	if err := json.Unmarshal(body, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

func payload(t *testing.T, text string) map[string]any { t.Helper(); return part(t, text, 1) }
func header(t *testing.T, text string) map[string]any  { t.Helper(); return part(t, text, 0) }

func part(t *testing.T, text string, n int) map[string]any {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(text, ".")[n])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(raw, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

func expiry(t *testing.T, text string) time.Time {
	t.Helper()
	return time.Unix(number(payload(t, text), "exp"), 0)
}

func ids(t *testing.T, tokens *token.Tokens) []string {
	t.Helper()
	var set jose.JSONWebKeySet
	get(t, tokens, "/common/discovery/v2.0/keys", &set)
	var all []string
	for i, k := range set.Keys {
		all = append(all, k.KeyID)
		if !k.Certificates[0].Equal(tokens.Certificates()[i]) {
			t.Errorf("certificate %d is another", i)
		}
	}
	return all
}

func get(t *testing.T, h http.Handler, path string, into any) {
	t.Helper()
	recorder := httptest.NewRecorder()
	h.ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody))
	if recorder.Code != http.StatusOK {
		t.Fatalf("%s: %d", path, recorder.Code)
	}
	if err := json.Unmarshal(recorder.Body.Bytes(), into); err != nil {
		t.Fatal(err)
	}
}

// word returns a claim that is text, or nothing.
func word(claims map[string]any, name string) string {
	text, _ := claims[name].(string)
	return text
}

// number returns a claim that is a number, or zero.
func number(claims map[string]any, name string) int64 {
	n, _ := claims[name].(float64)
	return int64(n)
}

// holding is a store of one process that does not ask for versions.
type holding struct{ text string }

func (h *holding) Load(context.Context) ([]byte, uint64, error) { return []byte(h.text), 1, nil }

func (h *holding) Save(_ context.Context, content []byte, _ uint64) (uint64, error) {
	h.text = string(content)
	return 1, nil
}

// failing is a store that works until it is told to fail.
type failing struct {
	token.Store

	mu  sync.Mutex
	err error
}

func (f *failing) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (f *failing) Load(ctx context.Context) ([]byte, uint64, error) {
	f.mu.Lock()
	err := f.err
	f.mu.Unlock()
	if err != nil {
		return nil, 0, err
	}
	return f.Store.Load(ctx)
}

// announcing is a clock that says when somebody begins to wait.
type announcing struct {
	*clock.Manual

	waits chan struct{}
}

func (a *announcing) At(at time.Time, wake func()) func() bool {
	stop := a.Manual.At(at, wake)
	select {
	case a.waits <- struct{}{}:
	default: // nobody asks any more
		go func() { a.waits <- struct{}{} }()
	}
	return stop
}
