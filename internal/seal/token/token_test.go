package token_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"heliograph.dev"
	"heliograph.dev/internal/clock"
	"heliograph.dev/internal/seal/token"
)

const (
	tenant heliograph.TenantID = "84bd8158-6d4d-4958-8b9f-9d6445542f95"
	app    heliograph.AppID    = "8e460676-ae3f-4b1e-8790-ee0fb5d6ba86"
)

func TestClaims(t *testing.T) { // contract 13.13
	t.Parallel()
	start := time.Date(2026, 4, 1, 12, 0, 0, 0, time.UTC)
	issued := start.Add(-5 * time.Minute).Unix()
	for _, c := range []struct {
		name string
		o    token.Options
		want map[string]any
	}{
		{"v2 of Microsoft", token.Options{}, map[string]any{
			"iss": "https://login.microsoftonline.com/" + string(tenant) + "/v2.0", "ver": "2.0",
			"azp": "0bf30f3b-4a52-48df-9a82-234910c4a086", "azpacr": "2",
		}},
		{"v1 of Microsoft", token.Options{Form: token.V1}, map[string]any{
			"iss": "https://sts.windows.net/" + string(tenant) + "/", "ver": "1.0",
			"idp":   "https://sts.windows.net/" + string(tenant) + "/",
			"appid": "0bf30f3b-4a52-48df-9a82-234910c4a086", "appidacr": "2",
		}},
		{"v2 of this server", token.Options{Base: "http://127.0.0.1:8080/", Sender: "sender"}, map[string]any{
			"iss": "http://127.0.0.1:8080/" + string(tenant) + "/v2.0", "ver": "2.0", "azp": "sender", "azpacr": "2",
		}},
		{"v1 of this server", token.Options{Form: token.V1, Base: "https://graph.example"}, map[string]any{
			"iss": "https://graph.example/" + string(tenant) + "/", "idp": "https://graph.example/" + string(tenant) + "/",
			"ver": "1.0", "appid": "0bf30f3b-4a52-48df-9a82-234910c4a086", "appidacr": "2",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			tokens := open(t, clock.NewManual(start), c.o)
			got := verify(t, tokens, mint(t, tokens, tenant, app), "common")
			for _, name := range []string{"aio", "rh", "uti"} {
				if text, ok := got[name].(string); !ok || len(text) < 16 {
					t.Errorf("%s is %v", name, got[name])
				}
				delete(got, name)
			}
			if _, ok := heliograph.ParseGUID(word(got, "oid")); !ok || got["oid"] != got["sub"] {
				t.Errorf("oid %v, sub %v", got["oid"], got["sub"])
			}
			c.want["oid"], c.want["sub"] = got["oid"], got["oid"]
			c.want["aud"], c.want["tid"] = string(app), string(tenant)
			c.want["iat"], c.want["nbf"], c.want["exp"] = float64(issued), float64(issued), float64(issued+86_700)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A token is signed once for its life, whoever asks and how often, and renewed before it ends.
func TestSignedOnce(t *testing.T) {
	t.Parallel()
	manual := clock.NewManual(time.Date(2026, 4, 1, 12, 0, 0, 0, time.UTC))
	tokens := open(t, manual, token.Options{})
	first := mint(t, tokens, tenant, app)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 1000 {
				if got, err := tokens.Token(tenant, app); err != nil || got != first {
					t.Errorf("another token, or %v", err)
				}
			}
		})
	}
	all.Wait()
	if n := tokens.Signed(); n != 1 {
		t.Errorf("signed %d times", n)
	}
	if mint(t, tokens, tenant, "another") == first || mint(t, tokens, "another", app) == first {
		t.Error("the same token for another")
	}

	// At no time is one handed out that ends within the next six hours.
	for range 100 {
		manual.Advance(time.Hour)
		if left := expiry(t, mint(t, tokens, tenant, app)).Sub(manual.Now()); left < 6*time.Hour {
			t.Fatalf("one that ends in %s", left)
		}
	}
	if n := tokens.Signed(); n < 3+100/24 || n > 3+100/10 {
		t.Errorf("signed %d times in 100 hours", n)
	}
}

// Renewals of many do not fall on one moment.
func TestRenewalsAreSpread(t *testing.T) {
	t.Parallel()
	manual := clock.NewManual(time.Date(2026, 4, 1, 12, 0, 0, 0, time.UTC))
	tokens := open(t, manual, token.Options{})
	const many = 64
	apps := make([]heliograph.AppID, many)
	for i := range apps {
		apps[i] = heliograph.AppID(fmt.Sprint("app-", i))
		mint(t, tokens, tenant, apps[i])
	}
	renewed := make([]int, 0, 24)
	for range 24 {
		manual.Advance(time.Hour)
		before := tokens.Signed()
		for _, one := range apps {
			mint(t, tokens, tenant, one)
		}
		renewed = append(renewed, int(tokens.Signed()-before))
	}
	if most := slices.Max(renewed); most > many/2 {
		t.Errorf("renewed by the hour: %v", renewed)
	}
}

// A clock that was moved back does not leave tokens from the future in use.
func TestTheClockMovesBack(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 4, 10, 12, 0, 0, 0, time.UTC)
	var mu sync.Mutex
	tokens, err := token.New(t.Context(), token.Options{Now: func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return now
	}})
	if err != nil {
		t.Fatal(err)
	}
	mint(t, tokens, tenant, app)
	mu.Lock()
	now = now.AddDate(0, 0, -5)
	mu.Unlock()
	if claims := payload(t, mint(t, tokens, tenant, app)); number(claims, "nbf") > now.Unix() {
		t.Error("its nbf is ahead")
	}
}

// Every hour for two weeks: what is signed can be verified with the keys that a receiver fetched at any time in the
// day before, and until it ends with those that are published then; and old keys go.
func TestRotation(t *testing.T) { // contract 13.14
	t.Parallel()
	manual := clock.NewManual(time.Date(2026, 4, 1, 12, 0, 0, 0, time.UTC))
	tokens := open(t, manual, token.Options{})
	type given struct {
		token string
		at    time.Time
	}
	var all []given
	published := [][]string{ids(t, tokens)}
	used := map[string]bool{}
	for hour := range 14 * 24 {
		one := given{mint(t, tokens, tenant, heliograph.AppID(fmt.Sprint(hour))), manual.Now()}
		all = append(all, one)
		kid := word(header(t, one.token), "kid")
		used[kid] = true
		for ago, known := range published[max(0, len(published)-24):] {
			if !slices.Contains(known, kid) {
				t.Fatalf("hour %d: the key was not published in hour %d of the day before", hour, ago)
			}
		}
		now := ids(t, tokens)
		for _, g := range all {
			if manual.Now().Before(expiry(t, g.token)) && !slices.Contains(now, word(header(t, g.token), "kid")) {
				t.Fatalf("hour %d: the key of a token of %s is gone", hour, g.at)
			}
		}
		manual.Advance(time.Hour)
		if err := tokens.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		published = append(published, ids(t, tokens))
		if n := len(ids(t, tokens)); n > 4 {
			t.Fatalf("hour %d: %d keys are published", hour, n)
		}
	}
	if len(used) < 12 {
		t.Errorf("%d keys signed in 14 days", len(used))
	}
}

// After a stop of weeks the key that was known last signs until the next has been published for its day.
func TestRotationAfterAStop(t *testing.T) {
	t.Parallel()
	manual := clock.NewManual(time.Date(2026, 4, 1, 12, 0, 0, 0, time.UTC))
	store := token.In(records(t))
	known := ids(t, open(t, manual, token.Options{Store: store}))
	manual.Advance(30 * 24 * time.Hour)
	again := open(t, manual, token.Options{Store: store})
	if kid := word(header(t, mint(t, again, tenant, app)), "kid"); !slices.Contains(known, kid) {
		t.Error("a key that nobody knows signs")
	}
	if n := len(ids(t, again)); n != 2 {
		t.Errorf("%d keys", n)
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	manual := clock.NewManual(time.Date(2026, 4, 1, 12, 0, 0, 0, time.UTC))
	store := &failing{Store: token.In(records(t))}
	tokens := open(t, manual, token.Options{Store: store})
	heard := make(chan error)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	waiting := &announcing{Manual: manual, waits: make(chan struct{})}
	go func() {
		defer close(done)
		tokens.Run(ctx, waiting, func(err error) { heard <- err })
	}()
	for range 25 {
		<-waiting.waits
		manual.Advance(time.Hour)
	}
	<-waiting.waits // the refreshes are done
	if n := len(ids(t, tokens)); n != 2 {
		t.Errorf("%d keys after a day", n)
	}
	store.fail(errors.New("the disk is gone"))
	manual.Advance(time.Hour)
	if err := <-heard; !strings.Contains(err.Error(), "the disk is gone") {
		t.Error(err)
	}
	mint(t, tokens, tenant, "works on")
	cancel()
	<-done
}

// Nodes that share a store have the same keys, whichever makes them and however they start.
func TestNodesShareKeys(t *testing.T) {
	t.Parallel()
	manual := clock.NewManual(time.Date(2026, 4, 1, 12, 0, 0, 0, time.UTC))
	store := token.In(records(t))
	nodes := make([]*token.Tokens, 4)
	each := func(do func(i int) error) {
		t.Helper()
		var all sync.WaitGroup
		for i := range nodes {
			all.Go(func() {
				if err := do(i); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	each(func(i int) (err error) {
		nodes[i], err = token.New(t.Context(), token.Options{Store: store, Now: manual.Now})
		return err
	})
	for day := range 5 {
		for _, node := range nodes[1:] {
			if diff := cmp.Diff(ids(t, nodes[0]), ids(t, node)); diff != "" {
				t.Fatalf("day %d: %s", day, diff)
			}
		}
		manual.Advance(24 * time.Hour)
		each(func(i int) error { return nodes[i].Refresh(t.Context()) })
		each(func(i int) error { return nodes[i].Refresh(t.Context()) }) // who came first hears of who came last
	}
}

func TestStoredKeysThatAreDamaged(t *testing.T) {
	t.Parallel()
	manual := clock.NewManual(time.Date(2026, 4, 1, 12, 0, 0, 0, time.UTC))
	texts := make([]string, 2)
	for i := range texts {
		store := &holding{}
		open(t, manual, token.Options{Store: store})
		texts[i] = store.text
	}
	good, other := texts[0], texts[1]
	aKey, _, _ := strings.Cut(good, "-----BEGIN CERT")
	_, otherCert, _ := strings.Cut(other, "-----BEGIN CERT")
	for name, text := range map[string]string{
		"noise":                 "noise",
		"a key alone":           aKey,
		"another's certificate": aKey + "-----BEGIN CERT" + otherCert,
		"no time":               strings.Replace(good, "Created: 2026", "Created: when", 1),
		"a broken key":          strings.Replace(good, "\n\nMII", "\n\nMIJ", 1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := token.New(t.Context(), token.Options{Store: &holding{text: text}, Now: manual.Now})
			if err == nil {
				t.Fatal("taken")
			}
			if token.Adopt(t.Context(), &holding{}, []byte(text)) == nil {
				t.Error("adopted")
			}
			for _, line := range strings.Split(good, "\n")[3:20] {
				if strings.Contains(err.Error(), line) {
					t.Errorf("the key is in %v", err)
				}
			}
		})
	}
}

// Keys from elsewhere go on being used, unless the store has some.
func TestAdopt(t *testing.T) {
	t.Parallel()
	manual := clock.NewManual(time.Date(2026, 4, 1, 12, 0, 0, 0, time.UTC))
	old := token.In(records(t))
	known := ids(t, open(t, manual, token.Options{Store: old}))
	content, _, err := old.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	store := token.In(records(t))
	if err := token.Adopt(t.Context(), store, nil); err != nil {
		t.Errorf("no keys: %v", err)
	}
	if err := token.Adopt(t.Context(), store, content); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(known, ids(t, open(t, manual, token.Options{Store: store}))); diff != "" {
		t.Error(diff)
	}
	used := token.In(records(t))
	known = ids(t, open(t, manual, token.Options{Store: used}))
	if err := token.Adopt(t.Context(), used, content); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(known, ids(t, open(t, manual, token.Options{Store: used}))); diff != "" {
		t.Error(diff)
	}
}

func TestPublishedAddresses(t *testing.T) { // contract 13.14
	t.Parallel()
	tokens := open(t, clock.NewManual(time.Date(2026, 4, 1, 12, 0, 0, 0, time.UTC)), token.Options{Base: "http://server"})
	id := string(tenant)
	for path, want := range map[string]struct{ issuer, keys string }{
		"/common/discovery/keys":                            {"http://server/{tenantid}/", ""},
		"/common/discovery/v2.0/keys":                       {"http://server/{tenantid}/v2.0", ""},
		"/organizations/discovery/v2.0/keys":                {"http://server/{tenantid}/v2.0", ""},
		"/" + id + "/discovery/keys":                        {"http://server/" + id + "/", ""},
		"/" + id + "/discovery/v2.0/keys":                   {"http://server/" + id + "/v2.0", ""},
		"/common/.well-known/openid-configuration":          {"http://server/{tenantid}/", "http://server/common/discovery/keys"},
		"/common/v2.0/.well-known/openid-configuration":     {"http://server/{tenantid}/v2.0", "http://server/common/discovery/v2.0/keys"},
		"/Common/V2.0/.well-known/OpenID-configuration/":    {"http://server/{tenantid}/v2.0", "http://server/common/discovery/v2.0/keys"},
		"/" + id + "/.well-known/openid-configuration":      {"http://server/" + id + "/", "http://server/" + id + "/discovery/keys"},
		"/" + id + "/v2.0/.well-known/openid-configuration": {"http://server/" + id + "/v2.0", "http://server/" + id + "/discovery/v2.0/keys"},
	} {
		if !tokens.Handles(path) {
			t.Errorf("%s is not handled", path)
		}
		var document struct {
			Issuer string `json:"issuer"`
			Keys   any    `json:"jwks_uri"`
			Set    []struct {
				Issuer string   `json:"issuer"`
				X5C    []string `json:"x5c"`
				X5T    string   `json:"x5t"`
				Kid    string   `json:"kid"`
			} `json:"keys"`
		}
		get(t, tokens, path, &document)
		if want.keys != "" {
			if document.Issuer != want.issuer || document.Keys != want.keys {
				t.Errorf("%s: issuer %q, keys %q", path, document.Issuer, document.Keys)
			}
			continue
		}
		if len(document.Set) != 1 {
			t.Fatalf("%s: %d keys", path, len(document.Set))
		}
		if k := document.Set[0]; k.Issuer != want.issuer || len(k.X5C) != 1 || k.X5T == "" || k.Kid != k.X5T {
			t.Errorf("%s: %+v", path, k)
		}
	}
}

func TestOtherAddresses(t *testing.T) {
	t.Parallel()
	tokens := open(t, clock.NewManual(time.Date(2026, 4, 1, 12, 0, 0, 0, time.UTC)), token.Options{})
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{http.MethodGet, "/", http.StatusNotFound},
		{http.MethodGet, "/common", http.StatusNotFound},
		{http.MethodGet, "/common/oauth2/v2.0/token", http.StatusNotFound},
		{http.MethodGet, "/someone/discovery/keys", http.StatusNotFound},
		{http.MethodHead, "/common/discovery/keys", http.StatusOK},
		{http.MethodPost, "/common/discovery/keys", http.StatusMethodNotAllowed},
	} {
		recorder := httptest.NewRecorder()
		tokens.ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), c.method, c.path, http.NoBody))
		if recorder.Code != c.status {
			t.Errorf("%s %s: %d, want %d", c.method, c.path, recorder.Code, c.status)
		}
		if tokens.Handles(c.path) != (c.status != http.StatusNotFound) {
			t.Errorf("%s: handled is %v", c.path, tokens.Handles(c.path))
		}
	}
}

func TestNowIsRequired(t *testing.T) {
	t.Parallel()
	if _, err := token.New(t.Context(), token.Options{}); err == nil {
		t.Error("made without a clock")
	}
}

func BenchmarkToken(b *testing.B) {
	tokens, err := token.New(b.Context(), token.Options{Now: clock.System().Now})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("kept", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := tokens.Token(tenant, app); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("signed", func(b *testing.B) {
		b.ReportAllocs()
		for n := 0; b.Loop(); n++ {
			if _, err := tokens.Token(tenant, heliograph.AppID(fmt.Sprint(n))); err != nil {
				b.Fatal(err)
			}
		}
	})
}
