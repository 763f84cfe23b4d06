package catalog

import (
	"maps"
	"slices"
	"strings"

	"heliograph.dev"
)

func holdsAny(caller *heliograph.Caller, permissions []string) bool {
	return slices.ContainsFunc(caller.Permissions(), func(p string) bool { return slices.Contains(permissions, p) })
}

// permitsFilter decides where permissions are for the values of a property that a $filter names: a resource of all
// values takes a permission for all, one of some takes one for each of them.
func (r *Row) permitsFilter(caller *heliograph.Caller, res *Resolved, sufficient []string) (ok bool, needed []string) {
	for _, value := range r.named(res) {
		needed = slices.DeleteFunc(slices.Clone(sufficient), func(p string) bool {
			return r.forOneValue(p) && !slices.Contains(r.byFilter[value], p)
		})
		if !holdsAny(caller, needed) {
			return false, needed
		}
	}
	return true, needed
}

// named returns the values, as the row spells them, that a resource's $filter lets through. One that the row does not
// know, and whatever else a filter could let through, is the empty value.
func (r *Row) named(res *Resolved) []string {
	rule := r.QueryOptions["$filter"]
	s, err := r.Selection(res.Query, "")
	if err != nil || s.Filter == nil || len(rule.Properties) != 1 {
		return []string{""}
	}
	values, ok := s.Filter.Values(rule.Properties[0])
	if !ok {
		return []string{""}
	}
	for i, value := range values {
		values[i] = ""
		for known := range r.byFilter {
			if strings.EqualFold(known, value) {
				values[i] = known
			}
		}
	}
	slices.Sort(values)
	return slices.Compact(values)
}

// forOneValue reports whether a permission suffices for some values only.
func (r *Row) forOneValue(permission string) bool {
	for _, permissions := range r.byFilter {
		if slices.Contains(permissions, permission) {
			return true
		}
	}
	return false
}

// PermitsSome reports whether the caller has a permission that suffices for some resource of this row: its
// subscriptions are listed to him (contract 6.5, 6.6).
func (r *Row) PermitsSome(caller *heliograph.Caller, strict bool) bool {
	g := &r.permissions[kindOf(caller)]
	if strict {
		return holdsAny(caller, g.newest)
	}
	return holdsAny(caller, g.union)
}

// ListedByReadAll reports whether Subscription.Read.All lists the row's subscriptions to a caller of this kind: as
// a rule wherever such a caller could make some (contract 6.9).
func (r *Row) ListedByReadAll(caller *heliograph.Caller) bool {
	kind := kindOf(caller)
	return len(r.permissions[kind].union) > 0 && !slices.Contains(r.unlisted, kind)
}

// special reads who is permitted what in rows that differ from the others.
func (b *rowBuilder) special() {
	for _, value := range slices.Sorted(maps.Keys(b.stored.ByFilter)) {
		for _, p := range b.stored.ByFilter[value] {
			if !slices.Contains(b.row.permissions[application].union, p) {
				b.fail("permissions_by_filter: "+value, "%s is not an application permission of the row", p)
			}
		}
	}
	b.row.byFilter = b.stored.ByFilter
	for _, word := range b.stored.NotListed {
		if kind, ok := kindNamed(word); ok {
			b.row.unlisted = append(b.row.unlisted, kind)
		} else {
			b.fail("not_listed_by_read_all", "%q: delegated_work, delegated_personal and application are known", word)
		}
	}
}

func kindNamed(word string) (callerKind, bool) {
	for kind := range callerKinds {
		if kind.String() == word {
			return kind, true
		}
	}
	return 0, false
}
