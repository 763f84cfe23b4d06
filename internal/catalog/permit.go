package catalog

import (
	"maps"
	"net/url"
	"slices"
	"strings"

	"heliograph.dev"
)

func holdsAny(caller *heliograph.Caller, permissions []string) bool {
	return slices.ContainsFunc(caller.Permissions(), func(p string) bool { return slices.Contains(permissions, p) })
}

// permitsFilter decides where permissions are for the values that a $filter names: a resource of all values takes
// a permission for all, one of some takes one for each of them.
func (r *Row) permitsFilter(caller *heliograph.Caller, res *Resolved, sufficient []string) (ok bool, needed []string) {
	text := ""
	if filter, given := res.Query.Get("$filter"); given {
		text = strings.ToLower(filter.Value)
		if plain, err := url.QueryUnescape(text); err == nil {
			text = plain
		}
	}
	one := func(value string) []string {
		return slices.DeleteFunc(slices.Clone(sufficient), func(p string) bool {
			return r.forOneValue(p) && !slices.Contains(r.byFilter[value], p)
		})
	}
	named := false
	for _, value := range slices.Sorted(maps.Keys(r.byFilter)) {
		if !strings.Contains(text, "'"+strings.ToLower(value)+"'") {
			continue
		}
		named = true
		if needed = one(value); !holdsAny(caller, needed) {
			return false, needed
		}
	}
	if named {
		return true, needed
	}
	needed = one("")
	return holdsAny(caller, needed), needed
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
