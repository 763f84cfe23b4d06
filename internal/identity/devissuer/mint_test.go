package devissuer_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/identity/devissuer"
)

func TestMint(t *testing.T) {
	t.Parallel()
	w := setup(t, func(o *devissuer.Options) {
		o.DefaultTenant = tenantA
		o.Applications = []devissuer.Application{{ID: appID, Roles: []string{"Mail.Read"}}}
		o.Users = []devissuer.User{{UPN: "ada@example.com", DirectoryRoles: []string{heliograph.GlobalAdministrator}}}
	})
	const user = "44444444-dddd-4ddd-8ddd-444444444444"
	all := []string{"Changes.Publish", "Heliograph.Control", "Mail.Read", "User.Read.All"}
	ada := string(devissuer.UserID(tenantA, "ada@example.com"))
	tests := []struct {
		name    string
		request devissuer.MintRequest
		want    map[string]any
	}{
		{"nothing asked", devissuer.MintRequest{}, map[string]any{
			"tid": tenantA, "iss": "http://localhost/" + tenantA + "/v2.0", "aud": graph, "roles": all, "idtyp": "app", "exp": start.Add(time.Hour).Unix(),
		}},
		{"everything of an application", devissuer.MintRequest{
			Base: "https://localhost:8443", Tenant: "contoso.example", App: "other", Roles: []string{"X.Y"}, Audience: "api://x", Lifetime: time.Minute, V1: true,
			DirectoryRoles: []string{"r"},
		}, map[string]any{
			"tid": heliograph.DeriveGUID("tenant", "contoso.example"), "iss": "https://localhost:8443/" + heliograph.DeriveGUID("tenant", "contoso.example").String() + "/",
			"appid": "other", "roles": []string{"X.Y"}, "aud": "api://x", "exp": start.Add(time.Minute).Unix(), "ver": "1.0",
		}},
		{"configured application", devissuer.MintRequest{App: strings.ToUpper(appID)}, map[string]any{"azp": appID, "roles": []string{"Mail.Read"}}},
		{"no roles", devissuer.MintRequest{Roles: []string{}}, map[string]any{"roles": nil}},
		{"user", devissuer.MintRequest{User: "ada@example.com"}, map[string]any{
			"oid": ada, "scp": "Files.Read Mail.Read User.Read", "wids": []string{heliograph.GlobalAdministrator}, "upn": "ada@example.com", "roles": nil,
		}},
		{"user with less", devissuer.MintRequest{User: "ada@example.com", Scopes: []string{"Mail.Read"}, DirectoryRoles: []string{}}, map[string]any{
			"oid": ada, "scp": "Mail.Read", "wids": nil,
		}},
		{"configured user by object id", devissuer.MintRequest{User: ada}, map[string]any{"oid": ada, "upn": "ada@example.com"}},
		{"user who is not configured", devissuer.MintRequest{User: "eve@example.com"}, map[string]any{"oid": devissuer.UserID(tenantA, "EVE@example.com")}},
		{"user by object id", devissuer.MintRequest{User: strings.ToUpper(user)}, map[string]any{"oid": user, "upn": nil, "name": nil, "preferred_username": nil}},
		{"personal account", devissuer.MintRequest{Tenant: "consumers", User: "eve@example.com"}, map[string]any{"tid": heliograph.PersonalTenant}},
		{"ended", devissuer.MintRequest{Lifetime: -time.Minute}, map[string]any{"exp": start.Add(-time.Minute).Unix(), "nbf": start.Add(-61 * time.Minute).Unix()}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			token, expires, err := w.Mint(t.Context(), test.request)
			if err != nil {
				t.Fatal(err)
			}
			claims := w.claims(t, token.Reveal())
			wantClaims(t, claims, test.want)
			wantClaims(t, claims, map[string]any{"exp": expires.Unix()})
			if strings.Contains(fmt.Sprint(token), ".") {
				t.Error("the token shows itself")
			}
		})
	}
}

func TestMintRefusals(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for rule, request := range map[string]devissuer.MintRequest{
		"tenant":      {Tenant: "nowhere"},
		"application": {App: "a b"},
		"user":        {User: "a/b"},
		"scopes":      {Scopes: []string{"Mail.Read"}},
		"roles":       {User: "a", Roles: []string{"Mail.Read"}},
		"permission":  {Roles: []string{"two words"}},
		"lifetime":    {Lifetime: 400 * 24 * time.Hour},
		"personal":    {Tenant: "consumers"},
		"size":        {Roles: strings.Fields(strings.Repeat("Some.Permission.All ", 1000))},
	} {
		token, _, err := w.Mint(t.Context(), request)
		var e *heliograph.Error
		if !errors.As(err, &e) || e.Rule != "token."+rule || !token.IsZero() {
			t.Errorf("%s: %v", rule, err)
		}
	}
}

func TestIDsFollowFromNames(t *testing.T) {
	t.Parallel()
	if devissuer.UserID(tenantA, "Ada@Example.com") != devissuer.UserID(tenantA, "ada@example.com") {
		t.Error("user names differ in case only")
	}
	if devissuer.UserID(tenantA, "ada") == devissuer.UserID("other", "ada") ||
		string(devissuer.UserID(tenantA, "x")) == string(devissuer.ServicePrincipalID(tenantA, "x")) {
		t.Error("two objects share an id")
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	now := func() time.Time { return start }
	for name, o := range map[string]devissuer.Options{
		"no clock":       {},
		"default tenant": {Now: now, DefaultTenant: "contoso.example"},
		"application":    {Now: now, Applications: []devissuer.Application{{}}},
		"user":           {Now: now, Users: []devissuer.User{{UPN: "a b"}}},
		"user's tenant":  {Now: now, Users: []devissuer.User{{UPN: "a", Tenant: "b"}}},
		"key file":       {Now: now, KeyFile: "/dev/null/x"},
	} {
		if _, err := devissuer.New(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
