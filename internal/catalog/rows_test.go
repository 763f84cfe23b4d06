package catalog_test

import (
	"slices"
	"strings"
	"testing"

	"heliograph.dev"
	"heliograph.dev/internal/catalog"
)

// TestEveryRow goes over all rows: its resource resolves to it in each documented form, a change reaches the
// subscription and is named as documented, and the permission decides.
func TestEveryRow(t *testing.T) {
	t.Parallel()
	c := load(t)
	if n := len(c.Rows()); n != 65 {
		t.Fatalf("%d rows, want 65", n)
	}
	for _, row := range c.Rows() {
		t.Run(row.ID, func(t *testing.T) {
			t.Parallel()
			if c.Row(row.ID) != row {
				t.Error("not found by its id")
			}
			for _, path := range row.Paths {
				res := resolves(t, c, row, quoted(example(path)))
				reached(t, c, row, res)
				permitted(t, row, res)
			}
			for _, alias := range row.Aliases {
				resolves(t, c, row, quoted(example(alias)))
			}
			named(t, c, row)
		})
	}
}

// resolves checks that every form of a resource is the same resource.
func resolves(t *testing.T, c *catalog.Catalog, row *catalog.Row, resource string) *catalog.Resolved {
	t.Helper()
	var first *catalog.Resolved
	for _, form := range forms(resource) {
		found, err := c.Resolve(form, user())
		res := of(found, row)
		if err != nil || res == nil {
			t.Fatalf("%s: %v, %v", form, found, err)
		}
		if first == nil {
			first = res
		}
		if res.Path != first.Path || !slices.Equal(res.Watch, first.Watch) || res.Template != first.Template {
			t.Errorf("%s: %+v, want %+v", form, res, first)
		}
		if res.ChangeTypes == 0 || !row.ChangeTypes.Has(res.ChangeTypes) {
			t.Errorf("%s: change types %s of %s", form, res.ChangeTypes, row.ChangeTypes)
		}
	}
	again, err := c.Resolve(first.Path, catalog.Me{})
	if res := of(again, row); err != nil || res == nil || res.Path != first.Path || !slices.Equal(res.Watch, first.Watch) {
		t.Errorf("canonical %s: %+v, %v", first.Path, again, err)
	}
	stored, err := row.WatchPaths(&heliograph.Subscription{Path: first.Path, Resource: resource, Row: row.ID})
	if err != nil || !slices.Equal(stored, first.Watch) {
		t.Errorf("stored %s: %q, %v", first.Path, stored, err)
	}
	return first
}

// reached checks that a change of an instance reaches a subscription, as a type that it can want.
func reached(t *testing.T, c *catalog.Catalog, row *catalog.Row, res *catalog.Resolved) {
	t.Helper()
	for _, template := range row.Changes {
		change, err := c.CanonicalChange("/" + quoted(example(template)))
		if err != nil {
			t.Fatalf("%s: %v", template, err)
		}
		paths, instance := watchers(c, row, change)
		if !slices.Contains(paths, res.Watch[0]) {
			continue
		}
		for _, changed := range []heliograph.ChangeType{heliograph.Created, heliograph.Updated, heliograph.Deleted} {
			told := instance.Type(changed, res.ChangeTypes)
			if told != 0 && !res.ChangeTypes.Has(told) {
				t.Errorf("%s: %s told as %s", change, changed, told)
			}
			if told != 0 {
				return
			}
		}
	}
	t.Errorf("no change reaches %s", res.Path)
}

// named checks how a notification names an instance against the documentation's example (contract 11.13).
func named(t *testing.T, c *catalog.Catalog, row *catalog.Row) {
	t.Helper()
	const subscribed = "/As('sent')"
	change, err := c.CanonicalChange(quoted(example(row.Changes[0])))
	if err != nil {
		t.Fatal(err)
	}
	_, instance := watchers(c, row, change)
	for _, rich := range []bool{false, true} {
		resource := instance.Resource(subscribed, rich)
		if resource == "" || strings.ContainsAny(resource, "{}") {
			t.Errorf("resource %q", resource)
		}
		if got := string(instance.AppendResource([]byte("x"), subscribed, rich)); got != "x"+resource {
			t.Errorf("appended %q", got)
		}
		if got := string(instance.AppendODataID(nil, subscribed, rich)); got != instance.ODataID(subscribed, rich) {
			t.Errorf("appended %q", got)
		}
	}
	if row.ODataType != "" && !strings.EqualFold(instance.ODataType(false), row.ODataType) {
		t.Errorf("@odata.type %q", instance.ODataType(false))
	}
	want, _, _ := strings.Cut(row.Example, " ")
	want, _, _ = strings.Cut(want, ";")
	resource := instance.Resource(subscribed, false)
	if row.Example == "" || resource == subscribed || row.Family == "virtualEvent" {
		return // no example, or the subscription's own resource
	}
	shape := braces.ReplaceAllString(want, "*")
	for _, p := range slices.Concat(braces.FindAllString(row.Changes[0], -1), braces.FindAllString(want, -1)) {
		resource = strings.ReplaceAll(resource, example(p), "*")
	}
	if resource != shape {
		t.Errorf("resource %s, documented is %s", resource, shape)
	}
}

// permitted checks that each permission of the tables suffices alone, and that another does not (contract 3.2.1).
func permitted(t *testing.T, row *catalog.Row, res *catalog.Resolved) {
	t.Helper()
	some := false
	for _, caller := range []heliograph.Caller{
		{Tenant: tenant, Delegated: true}, {Tenant: heliograph.PersonalTenant, Delegated: true, Personal: true}, {Tenant: tenant},
	} {
		ok, sufficient := row.Permits(with(caller, "Nothing.Read.All"), res, false)
		if ok {
			t.Errorf("%+v needs no permission", caller)
		}
		_, strict := row.Permits(&caller, res, true)
		for _, p := range sufficient {
			some = true
			if ok, _ := row.Permits(with(caller, "Nothing.Read.All", p), res, false); !ok {
				t.Errorf("%s does not suffice", p)
			}
			if ok, _ := row.Permits(with(caller, p), res, true); ok != slices.Contains(strict, p) {
				t.Errorf("strict: %s suffices: %t", p, ok)
			}
			other := caller
			other.Delegated = !caller.Delegated
			if ok, list := row.Permits(with(other, p), res, false); ok && !slices.Contains(list, p) {
				t.Errorf("%s suffices in the other kind of token", p)
			}
		}
	}
	if !some {
		t.Errorf("nobody can subscribe to %s", res.Template)
	}
}

// with returns the caller with permissions of its kind.
func with(c heliograph.Caller, permissions ...string) *heliograph.Caller {
	if c.Delegated {
		c.Scopes = permissions
	} else {
		c.Roles = permissions
	}
	return &c
}
