package subscribe

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"heliograph.dev"
)

// serverTenant keeps what is of the server and of no tenant.
const serverTenant heliograph.TenantID = "heliograph"

const (
	basisName = "recount.basis"
	// basisVersion changes when subscriptions take other shares of the same quotas than before.
	basisVersion = "1"

	countersInOneCommit = 300
	recountAttempts     = 10
)

// Settle recounts when the counters may not be those of the catalog's quotas: after an update of the program, and
// after an operator has changed quotas or rows. Nothing else makes them wrong: a counter and what it counts are
// written in one commit, so that there is no moment at which a crash leaves one without the other.
func (s *Service) Settle(ctx context.Context) (mended int, err error) {
	l := newLedger(s.options.Store, serverTenant)
	counted, err := l.get(ctx, basisName)
	if err != nil || string(counted) == s.basis() {
		return 0, err
	}
	if mended, err = s.Recount(ctx); err != nil {
		return mended, err
	}
	l.put(basisName, []byte(s.basis()))
	if _, err := l.commit(ctx); heliograph.KindOf(err) != heliograph.Conflict {
		return mended, err
	}
	return mended, nil // another node has settled the same
}

// basis names what subscriptions are counted by.
func (s *Service) basis() string {
	parts := []string{basisVersion}
	for _, row := range s.options.Catalog.Rows() {
		for i := range row.Quotas {
			if q := &row.Quotas[i]; s.options.Catalog.Limit(q) > 0 {
				parts = append(parts, row.ID+" "+q.Name())
			}
		}
	}
	return heliograph.DeriveGUID(parts...).String()
}

// Recount compares every counter with the subscriptions that there are, mends those that differ, and returns how
// many they were. Subscriptions may come and go meanwhile.
func (s *Service) Recount(ctx context.Context) (mended int, err error) {
	kept, err := s.counters(ctx)
	if err != nil {
		return 0, fmt.Errorf("look for counters: %w", err)
	}
	for _, tenant := range s.options.Registry.allTenants() {
		if kept[tenant] == nil {
			kept[tenant] = make(map[string]string)
		}
	}
	for _, tenant := range slices.Sorted(maps.Keys(kept)) {
		for group := range slices.Chunk(differing(kept[tenant], s.countedNow(tenant)), countersInOneCommit) {
			n, err := s.mend(ctx, tenant, group)
			if mended += n; err != nil {
				return mended, fmt.Errorf("recount tenant %s: %w", tenant, err)
			}
		}
	}
	return mended, nil
}

// differing returns the names of the counters that seem to be wrong.
func differing(kept map[string]string, counts map[string]int) []string {
	var names []string
	for name := range kept {
		if _, ok := counts[name]; !ok {
			names = append(names, name)
		}
	}
	for name, n := range counts {
		if kept[name] != strconv.Itoa(n) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// counters returns the counters that are kept, by tenant and name.
func (s *Service) counters(ctx context.Context) (map[heliograph.TenantID]map[string]string, error) {
	kept := make(map[heliograph.TenantID]map[string]string)
	if s.options.Scan == nil {
		return kept, nil
	}
	err := s.options.Scan(ctx, func(r *heliograph.Record) {
		if !r.Deleted && strings.HasPrefix(r.Name, counterPrefix) {
			if kept[r.Tenant] == nil {
				kept[r.Tenant] = make(map[string]string)
			}
			kept[r.Tenant][r.Name] = string(r.Value)
		}
	})
	return kept, err
}

// countedNow counts the subscriptions of a tenant that this node knows.
func (s *Service) countedNow(tenant heliograph.TenantID) map[string]int {
	counts := make(map[string]int)
	s.options.Registry.each(tenant, func(sub *heliograph.Subscription) {
		for _, sh := range s.held(sub) {
			counts[sh.counter]++
		}
	})
	return counts
}

// mend corrects counters of a tenant. It looks at them first and counts then, as of a moment that is not before
// what it looked at: when they have changed since, so has their revision, and the commit conflicts.
func (s *Service) mend(ctx context.Context, tenant heliograph.TenantID, names []string) (int, error) {
	mended := 0
	for range recountAttempts {
		wrong, unsure := 0, false
		err := s.transact(ctx, tenant, func(ctx context.Context, l *ledger) error {
			var err error
			wrong, unsure, err = s.correct(ctx, l, names)
			return err
		})
		if err != nil {
			return mended, err
		}
		if mended += wrong; !unsure {
			return mended, nil
		}
	}
	return mended, s.profile.Refuse("subscription.contended", nil)
}

// correct writes the counters that are wrong. It is unsure of those that an order in the same commit changes.
func (s *Service) correct(ctx context.Context, l *ledger, names []string) (wrong int, unsure bool, err error) {
	latest := uint64(0)
	for _, name := range names {
		if _, err := l.get(ctx, name); err != nil {
			return 0, false, err
		}
		latest = max(latest, l.stored[name].Revision)
	}
	if err := s.options.Index.Wait(ctx, l.tenant, latest); err != nil {
		return 0, false, err
	}
	counts := s.countedNow(l.tenant)
	for _, name := range names {
		if _, changing := l.next[name]; changing {
			unsure = true
			continue
		}
		is := string(l.stored[name].Value)
		if n := counts[name]; n == 0 && is != "" || n > 0 && is != strconv.Itoa(n) {
			l.putCount(name, n)
			wrong++
		}
	}
	return wrong, unsure, nil
}

// allTenants returns the tenants that have subscriptions.
func (r *Registry) allTenants() []heliograph.TenantID {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.Collect(maps.Keys(r.tenants))
}

// each visits the subscriptions of a tenant, expired or not.
func (r *Registry) each(tenant heliograph.TenantID, visit func(*heliograph.Subscription)) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	t := r.tenants[tenant]
	if t == nil {
		return
	}
	for _, l := range t.apps {
		for _, e := range l.entries {
			if !e.gone {
				s := e.subscription()
				visit(&s)
			}
		}
	}
}
