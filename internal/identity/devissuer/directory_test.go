package devissuer_test

import (
	"testing"
	"time"

	"heliograph.dev/internal/identity/devissuer"
)

func TestOtherName(t *testing.T) {
	t.Parallel()
	const tenant, object = "84bd8158-6d4d-4958-8b9f-9d6445542f95", "8ee44408-0679-472c-bc2a-692812af3437"
	anybody, err := devissuer.New(devissuer.Options{Now: func() time.Time { return start }, DefaultTenant: tenant})
	if err != nil {
		t.Fatal(err)
	}
	defer anybody.Close()
	some, err := devissuer.New(devissuer.Options{Now: func() time.Time { return start }, DefaultTenant: tenant, Users: []devissuer.User{{Tenant: tenant, UPN: "clerk@example.com", Object: object}}})
	if err != nil {
		t.Fatal(err)
	}
	defer some.Close()
	for _, test := range []struct {
		by         *devissuer.Issuer
		name, want string
	}{
		{anybody, "demo", string(devissuer.UserID(tenant, "demo"))},
		{anybody, object, ""},
		{some, "Clerk@example.com", object},
		{some, object, "clerk@example.com"},
		{some, "stranger", ""},
	} {
		if got := test.by.OtherName(tenant, test.name); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}
