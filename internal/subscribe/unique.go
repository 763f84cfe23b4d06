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

// twin is the subscription that holds the place which a new one wants.
type twin struct {
	record   heliograph.Record // the uniqueness record
	id       heliograph.SubscriptionID
	live     bool
	revision uint64 // of the subscription's record, 0 when it has none
}

// twinOf looks up who holds the place, or returns nil. A holder that has expired or gone holds nothing.
func (s *Service) twinOf(ctx context.Context, sub *heliograph.Subscription) (*twin, error) {
	held, err := s.options.Store.Get(ctx, sub.Tenant, uniqueName(sub))
	if err != nil {
		return nil, ignoreNotFound(err)
	}
	t := &twin{record: held}
	t.id, _ = heliograph.ParseGUID(string(held.Value)) // what is no id finds no subscription
	holder, revision, err := s.stored(ctx, sub.Tenant, t.id)
	if err != nil {
		return t, ignoreNotFound(err)
	}
	t.revision, t.live = revision, !holder.Expired(s.now())
	return t, nil
}

func ignoreNotFound(err error) error {
	if heliograph.KindOf(err) == heliograph.NotFound {
		return nil
	}
	return err
}
