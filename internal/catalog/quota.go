package catalog

import (
	"maps"
	"slices"
	"strings"

	"heliograph.dev"
)

// Name names a quota for settings and reference pages: its pool and what it is counted for, such as outlook.user,
// teams.tenant, chat.item.app+chat, or directory.app.all where it is counted over all tenants. Quotas of one name
// are one quota.
func (q *Quota) Name() string {
	name := q.Pool + ".tenant"
	if len(q.Per) > 0 {
		name = q.Pool + "." + strings.Join(q.Per, "+")
	}
	if q.AllTenants {
		name += ".all"
	}
	return name
}

// QuotaLimit is what an operator says of quotas: of one by its name, of all of a pool, or of all there are.
type QuotaLimit struct {
	Name  string // a quota's, a pool's, or AllQuotas
	Limit int    // 0: there is none
}

// AllQuotas names all of them in a QuotaLimit.
const AllQuotas = "all"

// Limit returns how many subscriptions may share a quota, 0 when it is not limited.
func (c *Catalog) Limit(q *Quota) int {
	if limit, ok := c.limits[q.Name()]; ok {
		return limit
	}
	return q.Limit
}

// WithQuotas returns the same rows with other limits, the later ones over those before.
func (c *Catalog) WithQuotas(limits ...QuotaLimit) (*Catalog, error) {
	other := *c
	other.limits = maps.Clone(c.limits)
	if other.limits == nil {
		other.limits = make(map[string]int)
	}
	for _, l := range limits {
		found := false
		for _, q := range c.Quotas() {
			if l.Name == AllQuotas || l.Name == q.Pool || l.Name == q.Name() {
				other.limits[q.Name()], found = l.Limit, true
			}
		}
		if !found {
			return nil, heliograph.Errorf(heliograph.Invalid, "config.quota", "there is no quota %q; heliograph config --rules lists them", l.Name)
		}
	}
	return &other, nil
}

// Quotas returns every quota once, in the order of their names, but for those that no subscription of their rows can
// be counted by.
func (c *Catalog) Quotas() []Quota {
	byName := make(map[string]Quota)
	for _, r := range c.rows {
		for _, q := range r.Quotas {
			if r.countedBy(&q) {
				byName[q.Name()] = q
			}
		}
	}
	all := make([]Quota, 0, len(byName))
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		all = append(all, byName[name])
	}
	return all
}

// countedBy reports whether some path of the row has the parameters that a quota is counted for.
func (r *Row) countedBy(q *Quota) bool {
	return slices.ContainsFunc(r.templates, func(t *template) bool {
		return !slices.ContainsFunc(q.Per, func(per string) bool {
			return per != "app" && per != "creator" && per != "path" && !slices.Contains(t.params, per)
		})
	})
}
