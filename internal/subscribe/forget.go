package subscribe

import (
	"context"
	"maps"
	"slices"

	"heliograph.dev"
	"heliograph.dev/internal/access"
)

// Forgotten is what was removed of a tenant or a user.
type Forgotten struct {
	Subscriptions []heliograph.SubscriptionID
	Reports       int // of lost access
	Handshakes    int
}

// Forget removes what there is of a user in a tenant or, for no user, of the tenant: subscriptions with all that they
// hold, reports of lost access, and handshakes. Nobody is told: who is to be told is removed by a report first.
func (s *Service) Forget(ctx context.Context, tenant heliograph.TenantID, user heliograph.ObjectID) (Forgotten, error) {
	about := access.Report{Kind: access.TenantDeleted}
	if user != "" {
		about = access.Report{Kind: access.UserDeleted, User: user}
	}
	var f Forgotten
	ids := s.options.Registry.concerned(tenant, about)
	for group := range slices.Chunk(ids, tendInOneCommit) {
		err := s.transact(ctx, tenant, func(ctx context.Context, l *ledger) error {
			for _, id := range group {
				sub, err := l.subscription(ctx, id)
				if err != nil {
					return err
				}
				if sub == nil {
					continue
				}
				if err := s.remove(ctx, l, sub); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return f, err
		}
		f.Subscriptions = append(f.Subscriptions, group...)
	}
	names := s.options.Registry.reportsOf(tenant, user)
	for group := range slices.Chunk(names, tendInOneCommit) {
		err := s.transact(ctx, tenant, func(ctx context.Context, l *ledger) error {
			for _, name := range group {
				before, err := l.get(ctx, name)
				if err != nil {
					return err
				}
				if before != nil {
					l.put(name, nil)
				}
			}
			return nil
		})
		if err != nil {
			return f, err
		}
		f.Reports += len(group)
	}
	f.Handshakes = s.book.forget(tenant)
	return f, nil
}

// reportsOf returns the names of the records of a tenant's reports, or of those that name a user.
func (r *Registry) reportsOf(tenant heliograph.TenantID, user heliograph.ObjectID) (names []string) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	s := r.standing[tenant]
	if s == nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(s.names)) {
		if user == "" || s.names[name].User == user {
			names = append(names, name)
		}
	}
	return names
}
