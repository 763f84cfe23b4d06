package identity_test

import (
	"slices"
	"testing"

	"heliograph.dev"
	"heliograph.dev/internal/identity"
)

// On the server's own pages a user's roles count, those of Heliograph's own; through any other application they do not.
func TestOwnApplication(t *testing.T) {
	t.Parallel()
	p, v, _ := setup(t, func(o *identity.Options) { o.Own = appID })
	roles := []string{heliograph.PermissionControl, "Mail.Read"}
	for _, c := range []struct {
		name   string
		change fields
		want   []string
	}{
		{"the pages' user", fields{"idtyp": nil, "scp": "access", "roles": roles}, []string{heliograph.PermissionControl}},
		{"a user without roles", fields{"idtyp": nil, "scp": "access", "roles": nil}, nil},
		{"another application's user", fields{"idtyp": nil, "scp": "access", "roles": roles, "azp": "other"}, nil},
		{"the pages' user by an ID token", fields{"idtyp": nil, "azp": nil, "aud": appID, "roles": roles}, []string{heliograph.PermissionControl}},
		{"the application itself", fields{"roles": roles}, roles},
	} {
		caller := wantAccepted(t, v, p.token(p.appClaims().with(c.change)))
		if !slices.Equal(caller.Roles, c.want) {
			t.Errorf("%s: roles %v, want %v", c.name, caller.Roles, c.want)
		}
	}
	for name, change := range map[string]fields{
		"another application's ID token": {"aud": "other", "azp": nil}, "an ID token for two": {"aud": []string{appID, "other"}, "azp": nil},
		"another's token for the pages": {"aud": appID, "azp": "other"},
	} {
		if _, err := v.Verify(t.Context(), p.token(p.userClaims().with(change))); err == nil {
			t.Errorf("%s is believed", name)
		}
	}
}
