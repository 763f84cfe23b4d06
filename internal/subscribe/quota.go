package subscribe

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"heliograph.dev"
	"heliograph.dev/internal/catalog"
	"heliograph.dev/internal/subscribe/record"
)

// Counters stand under these names: quota.<hash> for what is counted within a tenant, quota.all.<hash> for a
// tenant's part of what is counted over all.
const (
	counterPrefix    = "quota."
	counterAllPrefix = "quota.all."
)

// share is a subscription's place in a quota, and the record that counts those who have one there.
type share struct {
	quota   *catalog.Quota
	counter string
}

// sharesOf returns the places that a subscription takes: one in every quota that is limited and that is for
// subscriptions like it. A quota for chats is not for a subscription that names none, one for creators not for an
// application's own (contract section 16).
func sharesOf(c *catalog.Catalog, sub *heliograph.Subscription, res *catalog.Resolved) []share {
	var shares []share
	for i := range res.Row.Quotas {
		q := &res.Row.Quotas[i]
		if c.Limit(q) == 0 {
			continue
		}
		if values, ok := sharedBy(q, sub, res); ok {
			prefix := counterPrefix
			if q.AllTenants {
				prefix = counterAllPrefix
			}
			name := prefix + heliograph.DeriveGUID(values...).String()
			if !slices.ContainsFunc(shares, func(s share) bool { return s.counter == name }) {
				shares = append(shares, share{q, name})
			}
		}
	}
	return shares
}

// sharedBy returns what the subscriptions that a quota counts together have in common.
func sharedBy(q *catalog.Quota, sub *heliograph.Subscription, res *catalog.Resolved) ([]string, bool) {
	values := []string{q.Pool, strings.Join(q.Per, "+")}
	for _, per := range q.Per {
		var value string
		ok := true
		switch per {
		case "app":
			value = string(sub.App)
		case "creator":
			value, ok = string(sub.Creator), sub.Delegated
		case "path":
			value = sub.Path
		default:
			value, ok = res.Param(per)
		}
		if !ok {
			return nil, false
		}
		values = append(values, value)
	}
	return values, true
}

// room refuses when a quota is full. What has expired and is only not removed yet makes room first.
func (s *Service) room(ctx context.Context, l *ledger, d *draft, shares []share) error {
	cleared := false
	for _, sh := range shares {
		limit := s.options.Catalog.Limit(sh.quota)
		for {
			n, err := s.count(ctx, l, sh)
			if err != nil {
				return err
			}
			if n < limit {
				break
			}
			if cleared {
				return d.full(sh.quota, limit)
			}
			cleared = true
			if err := s.clearExpired(ctx, l); err != nil {
				return err
			}
		}
	}
	return nil
}

// full refuses in the words of the quota's rule (contract 5.32 to 5.37, 16.16, 16.17).
func (d *draft) full(q *catalog.Quota, limit int) error {
	per := "tenant"
	if len(q.Per) > 0 {
		per = strings.Join(q.Per, " and ")
	}
	return d.refuse(q.Rule, "limit", strconv.Itoa(limit), "per", per, "quota", q.Name())
}

// count returns how many hold a share. Over all tenants it is this node's image of the others' counters.
func (s *Service) count(ctx context.Context, l *ledger, sh share) (int, error) {
	n, err := l.count(ctx, sh.counter)
	if err == nil && sh.quota.AllTenants {
		n += s.options.Registry.countedElsewhere(sh.counter, l.tenant)
	}
	return n, err
}

func (l *ledger) count(ctx context.Context, counter string) (int, error) {
	value, err := l.get(ctx, counter)
	if err != nil || value == nil {
		return 0, err
	}
	n, err := strconv.Atoi(string(value))
	if err != nil {
		return 0, fmt.Errorf("record %s: %q is no count", counter, value)
	}
	return n, nil
}

// add counts shares up or down. A counter of nobody is not kept.
func (l *ledger) add(ctx context.Context, shares []share, by int) error {
	for _, sh := range shares {
		n, err := l.count(ctx, sh.counter)
		if err != nil {
			return err
		}
		l.putCount(sh.counter, n+by)
	}
	return nil
}

func (l *ledger) putCount(counter string, n int) {
	if n <= 0 {
		l.put(counter, nil)
		return
	}
	l.put(counter, strconv.AppendInt(nil, int64(n), 10))
}

// clearAtOnce bounds what one create removes of others.
const clearAtOnce = 50

// clearExpired removes subscriptions of the tenant whose time has come.
func (s *Service) clearExpired(ctx context.Context, l *ledger) error {
	for _, id := range s.options.Registry.expired(l.tenant, s.now(), clearAtOnce) {
		if err := s.removeIfExpired(ctx, l, id); err != nil {
			return err
		}
	}
	return nil
}

// subscription returns the subscription of that id, or nil.
func (l *ledger) subscription(ctx context.Context, id heliograph.SubscriptionID) (*heliograph.Subscription, error) {
	name := record.Name(id)
	value, err := l.get(ctx, name)
	if err != nil || value == nil {
		return nil, err
	}
	sub, err := record.Decode(string(value))
	if err != nil {
		return nil, fmt.Errorf("record %s: %w", name, err)
	}
	sub.ID, sub.Tenant = id, l.tenant
	return &sub, nil
}

// putSubscription writes a subscription that was looked at.
func (l *ledger) putSubscription(sub *heliograph.Subscription) {
	l.put(record.Name(sub.ID), record.Encode(sub))
}

// remove takes out a subscription that l has, with everything that it holds. Of a row that an operator has taken
// away nobody can say what that is: Recount finds out.
func (s *Service) remove(ctx context.Context, l *ledger, sub *heliograph.Subscription) error {
	l.put(record.Name(sub.ID), nil)
	place := uniqueName(sub)
	holder, err := l.get(ctx, place)
	if err != nil {
		return err
	}
	if string(holder) == sub.ID.String() {
		l.put(place, nil)
	}
	return l.add(ctx, s.held(sub), -1)
}

// held returns the shares of a stored subscription.
func (s *Service) held(sub *heliograph.Subscription) []share {
	res, err := s.resolved(sub)
	if err != nil {
		return nil
	}
	return sharesOf(s.options.Catalog, sub, &res)
}
