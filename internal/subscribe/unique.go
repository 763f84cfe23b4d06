package subscribe

import (
	"context"
	"slices"
	"strings"

	"heliograph.dev"
	"heliograph.dev/internal/odata"
)

// uniqueName names the record that holds a subscription's place: there is one subscription for an application,
// a user where one is signed in, a set of change types and a resource with its query (contract 3.2.3, 3.2.4).
// The record's value is the id of the subscription that holds it.
func uniqueName(s *heliograph.Subscription) string {
	creator := ""
	if s.Delegated {
		creator = string(s.Creator)
	}
	return "uniq." + heliograph.DeriveGUID(string(s.App), creator, s.ChangeType.String(), s.Path, canonicalQuery(s.Resource)).String()
}

// canonicalQuery writes a resource's query options in one order, their names in lower case.
func canonicalQuery(resource string) string {
	parsed, err := odata.ParseResource(resource)
	if err != nil { // it was parsed when the subscription was made: only the grammar can have changed since
		_, query, _ := strings.Cut(resource, "?")
		return query
	}
	options := make([]string, 0, len(parsed.Query))
	for _, o := range parsed.Query {
		options = append(options, strings.ToLower(o.Name)+"="+o.Value)
	}
	slices.Sort(options)
	return strings.Join(options, "&")
}

// claim takes the place of a new subscription, where its row has places. A holder that has expired or gone holds
// nothing.
func (s *Service) claim(ctx context.Context, l *ledger, d *draft) error {
	if d.resolved.Row.Duplicates {
		return nil
	}
	place := uniqueName(&d.sub)
	value, err := l.get(ctx, place)
	if err != nil {
		return err
	}
	if value != nil {
		if err := s.evict(ctx, l, d, string(value)); err != nil {
			return err
		}
	}
	l.put(place, []byte(d.sub.ID.String()))
	return nil
}

// evict removes who holds a place, unless it is alive.
func (s *Service) evict(ctx context.Context, l *ledger, d *draft, id string) error {
	guid, _ := heliograph.ParseGUID(id) // what is no id finds no subscription
	holder, err := l.subscription(ctx, guid)
	switch {
	case err != nil || holder == nil:
		return err
	case !holder.Removed.IsZero(): // that is being told: its place is free at once
		return s.profile.Refuse("subscription.busy", nil)
	case !holder.Expired(d.now):
		return d.refuse("create.duplicate", "id", id)
	}
	return s.remove(ctx, l, holder)
}
