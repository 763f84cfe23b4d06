package identity_test

import (
	"errors"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"heliograph.dev"
	"heliograph.dev/internal/clock"
	"heliograph.dev/internal/identity"
	"heliograph.dev/internal/identity/devissuer"
)

// newDevIssuer returns a development issuer, and a verifier in its process that asks it directly.
func newDevIssuer(tb testing.TB) (*devissuer.Issuer, *identity.Verifier, *clock.Manual) {
	tb.Helper()
	c := clock.NewManual(start)
	issuer, err := devissuer.New(devissuer.Options{
		Now: c.Now, DefaultTenant: tenantA, ApplicationPermissions: []string{"Mail.Read"}, DelegatedPermissions: []string{"Mail.Read", "User.Read"},
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(issuer.Close)
	return issuer, newVerifier(tb, identity.Options{Local: issuer, Now: c.Now}), c
}

func mint(tb testing.TB, issuer *devissuer.Issuer, r devissuer.MintRequest) string {
	tb.Helper()
	token, _, err := issuer.Mint(tb.Context(), r)
	if err != nil {
		tb.Fatal(err)
	}
	return token.Reveal()
}

func TestDevelopmentIssuerInTheSameProcess(t *testing.T) {
	t.Parallel()
	issuer, v, c := newDevIssuer(t)
	if err := v.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	ends := start.Add(time.Hour)
	app := &heliograph.Caller{
		Tenant: tenantA, App: appID, Object: devissuer.ServicePrincipalID(tenantA, appID), Expires: ends,
		Roles: []string{heliograph.PermissionPublish, heliograph.PermissionControl, "Mail.Read"},
	}
	user := &heliograph.Caller{
		Tenant: tenantA, App: appID, Object: devissuer.UserID(tenantA, "ada@example.com"), UPN: "ada@example.com",
		Delegated: true, Scopes: []string{"Mail.Read", "User.Read"}, Expires: ends,
	}
	for _, base := range []string{"http://127.0.0.1:8080", "https://localhost:8443", "https://login.microsoftonline.com"} {
		for _, v1 := range []bool{false, true} {
			got := wantAccepted(t, v, mint(t, issuer, devissuer.MintRequest{Base: base, App: appID, V1: v1}))
			if diff := cmp.Diff(app, got); diff != "" {
				t.Errorf("%s, v1 %v: %s", base, v1, diff)
			}
			got = wantAccepted(t, v, mint(t, issuer, devissuer.MintRequest{Base: base, App: appID, User: "ada@example.com", V1: v1}))
			if diff := cmp.Diff(user, got); diff != "" {
				t.Errorf("%s, v1 %v: %s", base, v1, diff)
			}
		}
	}
	// Every way to have no permissions leaves the kind of caller as it is.
	if got := wantAccepted(t, v, mint(t, issuer, devissuer.MintRequest{Roles: []string{}})); got.Delegated || got.Roles != nil {
		t.Errorf("%+v", got)
	}
	if got := wantAccepted(t, v, mint(t, issuer, devissuer.MintRequest{User: userID, Scopes: []string{}})); !got.Delegated || got.Scopes != nil {
		t.Errorf("%+v", got)
	}
	_, err := v.Verify(t.Context(), mint(t, issuer, devissuer.MintRequest{Audience: "api://other"}))
	wantRefused(t, err, "audience")
	_, err = v.Verify(t.Context(), mint(t, issuer, devissuer.MintRequest{Lifetime: -time.Second}))
	wantRefused(t, err, "expired")
	token := mint(t, issuer, devissuer.MintRequest{})
	wantAccepted(t, v, token)
	c.Advance(70 * time.Hour) // the life of tokens follows the clock that can be moved
	_, err = v.Verify(t.Context(), token)
	wantRefused(t, err, "expired")
	wantAccepted(t, v, mint(t, issuer, devissuer.MintRequest{}))
}

func TestDevelopmentIssuerRotates(t *testing.T) {
	t.Parallel()
	issuer, v, _ := newDevIssuer(t)
	first := mint(t, issuer, devissuer.MintRequest{})
	wantAccepted(t, v, first)
	for range 2 {
		if err := issuer.Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantAccepted(t, v, mint(t, issuer, devissuer.MintRequest{}))
		wantAccepted(t, v, first)
	}
	other, _, _ := newDevIssuer(t)
	_, err := v.Verify(t.Context(), mint(t, other, devissuer.MintRequest{}))
	wantRefused(t, err, "key")
}

// A production server that trusts an Entra-shaped issuer sees what it sees from Entra: templates, common, rotation.
func TestDevelopmentIssuerOverHTTP(t *testing.T) {
	t.Parallel()
	issuer, _, c := newDevIssuer(t)
	server := httptest.NewServer(issuer)
	defer server.Close()
	v := newVerifier(t, identity.Options{Now: c.Now, Issuers: []identity.Issuer{
		{URL: server.URL + "/{tenantid}/v2.0"}, {URL: server.URL + "/{tenantid}/"},
	}})
	if err := v.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, v1 := range []bool{false, true} {
		wantAccepted(t, v, mint(t, issuer, devissuer.MintRequest{Base: server.URL, Tenant: "contoso.example", V1: v1}))
	}
	if err := issuer.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.Advance(time.Minute)
	for _, v1 := range []bool{false, true} {
		wantAccepted(t, v, mint(t, issuer, devissuer.MintRequest{Base: server.URL, Tenant: tenantB, V1: v1}))
	}
	_, err := v.Verify(t.Context(), mint(t, issuer, devissuer.MintRequest{Base: "http://localhost:1"}))
	wantRefused(t, err, "issuer")

	one := newVerifier(t, identity.Options{Now: c.Now, Issuers: []identity.Issuer{{URL: server.URL + "/" + tenantB + "/v2.0"}}})
	wantAccepted(t, one, mint(t, issuer, devissuer.MintRequest{Base: server.URL, Tenant: tenantB}))
	_, err = one.Verify(t.Context(), mint(t, issuer, devissuer.MintRequest{Base: server.URL, Tenant: tenantA}))
	wantRefused(t, err, "issuer")
}

func TestKeysThatTheLocalIssuerCannotGive(t *testing.T) {
	t.Parallel()
	issuer, _, c := newDevIssuer(t)
	broken, err := devissuer.New(devissuer.Options{Now: c.Now, KeyFile: t.TempDir() + "/missing/keys"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broken.Close)
	v := newVerifier(t, identity.Options{Local: broken, Now: c.Now})
	_, err = v.Verify(t.Context(), mint(t, issuer, devissuer.MintRequest{}))
	wantUnavailable(t, err)
	if errors.Unwrap(err) == nil {
		t.Error("the cause is lost")
	}
}
