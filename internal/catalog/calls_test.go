package catalog_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"heliograph.dev/internal/catalog"
)

// contract 15.1 to 15.4.
func TestCallLimits(t *testing.T) {
	t.Parallel()
	want := catalog.Calls{Window: 20 * time.Second, Limits: map[string]catalog.CallLimit{
		"write":       {App: 2000, Tenant: 500},
		"reauthorize": {App: 4000, Tenant: 1000},
		"get":         {App: 2000, Tenant: 500},
		"list":        {App: 40, Tenant: 25},
	}}
	if diff := cmp.Diff(want, load(t).Profile().Calls); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
}
