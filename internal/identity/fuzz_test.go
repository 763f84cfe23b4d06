package identity_test

import (
	"errors"
	"strings"
	"testing"

	"heliograph.dev"
)

// FuzzAuthenticate: whatever comes in the header, the answer is a caller or a 401, and the only token that is
// accepted is the one that was signed.
func FuzzAuthenticate(f *testing.F) {
	p, v, _ := setup(f)
	good := p.token(p.appClaims())
	parts := strings.Split(good, ".")
	for _, seed := range []string{
		"", "Bearer", "Bearer ", "Bearer ..", "Basic x", "Bearer " + good, "bearer  " + good + " ", "Bearer " + parts[0] + "." + parts[1] + ".",
		"Bearer eyJhbGciOiJub25lIn0." + parts[1] + ".", "Bearer " + parts[0] + ".." + parts[2], "Bearer {}", "Bearer \x00.\x00.\x00",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		caller, err := v.Authenticate(t.Context(), header)
		if err == nil {
			if !strings.HasSuffix(strings.TrimRight(header, " "), " "+good) || caller.App != appID {
				t.Fatalf("accepted %q as %+v", header, caller)
			}
			return
		}
		var e *heliograph.Error
		if caller != nil || !errors.As(err, &e) || e.Kind != heliograph.Unauthenticated || e.Code != "InvalidAuthenticationToken" {
			t.Fatalf("%+v, %#v", caller, err)
		}
	})
}

// FuzzClaims: whatever an issuer signs, what comes out of it is a caller that the rest of the server can rely on.
func FuzzClaims(f *testing.F) {
	p, v, _ := setup(f)
	for _, claims := range []fields{
		p.appClaims(), p.userClaims(), p.appClaims().with(fields{"tid": 7}), p.appClaims().with(fields{"exp": 1e300}),
		p.appClaims().with(fields{"roles": "x"}), p.userClaims().with(fields{"scp": []string{"a b", ""}}),
		{},
	} {
		parts := strings.Split(p.token(claims), ".")
		f.Add(strings.ReplaceAll(string(must(base64URL(parts[1]))), p.URL, "IDP"))
	}
	// The provider's port differs from run to run: the corpus names it by a word.
	f.Fuzz(func(t *testing.T, payload string) {
		payload = strings.ReplaceAll(payload, "IDP", p.URL)
		caller, err := v.Verify(t.Context(), signText(t, payload))
		if err != nil {
			if heliograph.KindOf(err) != heliograph.Unauthenticated {
				t.Fatalf("%v", err)
			}
			return
		}
		tenant, ok := heliograph.ParseGUID(string(caller.Tenant))
		switch {
		case !ok || tenant.String() != string(caller.Tenant):
			t.Fatalf("tenant %q", caller.Tenant)
		case caller.App == "" || caller.Object == "" || strings.ContainsAny(string(caller.App)+string(caller.Object), "/ '\\"):
			t.Fatalf("application %q, object %q", caller.App, caller.Object)
		case caller.Delegated && caller.Roles != nil, !caller.Delegated && caller.Scopes != nil:
			t.Fatalf("permissions of both kinds: %+v", caller)
		case !caller.Expires.After(start):
			t.Fatalf("ended at %v", caller.Expires)
		}
	})
}
