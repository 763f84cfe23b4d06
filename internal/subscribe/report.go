package subscribe

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/access"
)

// Affected is what a report did to the subscriptions that it speaks of.
type Affected struct {
	// Challenged are asked to reauthorize, Removed are gone, Resumed go on.
	Challenged, Removed, Resumed int
}

// Report takes what an identity system says of a tenant. When it returns, the report is on disk, and so is
// what it means for each subscription. One that failed on the way may be said again: what was done stays done.
func (s *Service) Report(ctx context.Context, tenant heliograph.TenantID, report access.Report) (Affected, error) {
	report, err := report.Normal()
	if err != nil {
		return Affected{}, err
	}
	if report.Kind == access.Restored {
		return s.restore(ctx, tenant, report.Undone())
	}
	value, err := json.Marshal(report)
	if err != nil {
		return Affected{}, err
	}
	err = s.transact(ctx, tenant, func(ctx context.Context, l *ledger) error {
		before, err := l.get(ctx, reportName(report))
		if err == nil && before == nil {
			l.put(reportName(report), value)
		}
		return err
	})
	if err != nil {
		return Affected{}, err
	}
	reason, did := string(report.Kind.Reason()), Affected{}
	ids := s.options.Registry.concerned(tenant, report)
	if report.Kind.Removes() {
		did.Removed, err = s.alterAll(ctx, tenant, ids, func(sub *heliograph.Subscription, now time.Time) bool {
			sub.Removed, sub.RemovedReason = now, reason
			return true
		})
		return did, err
	}
	did.Challenged, err = s.alterAll(ctx, tenant, ids, func(sub *heliograph.Subscription, now time.Time) bool {
		if !sub.Revoked.IsZero() {
			return false
		}
		sub.Revoked, sub.RevokedReason = now, reason
		return true
	})
	return did, err
}

// restore ends reports, and what was revoked for them, unless something else keeps it so.
func (s *Service) restore(ctx context.Context, tenant heliograph.TenantID, undone []access.Report) (why Affected, err error) {
	err = s.transact(ctx, tenant, func(ctx context.Context, l *ledger) error {
		for _, r := range undone {
			before, err := l.get(ctx, reportName(r))
			if err != nil {
				return err
			}
			if before != nil {
				l.put(reportName(r), nil)
			}
		}
		return nil
	})
	for _, r := range undone {
		if err != nil {
			return why, err
		}
		var n int
		n, err = s.alterAll(ctx, tenant, s.options.Registry.concerned(tenant, r), func(sub *heliograph.Subscription, _ time.Time) bool {
			if sub.RevokedReason != string(r.Kind.Reason()) || s.options.Registry.bars(behind(sub), sub.Path) != "" {
				return false
			}
			sub.Revoked, sub.RevokedReason = time.Time{}, ""
			return true
		})
		why.Resumed += n
	}
	return why, err
}

// behind is who stands behind a subscription, as far as reports are about.
func behind(sub *heliograph.Subscription) *heliograph.Caller {
	return &heliograph.Caller{Tenant: sub.Tenant, App: sub.App, Object: sub.Creator, Delegated: sub.Delegated}
}

// alterAll changes those subscriptions of a tenant that are not gone and that change has something to change of, and
// returns how many there were.
func (s *Service) alterAll(
	ctx context.Context, tenant heliograph.TenantID, ids []heliograph.SubscriptionID, change func(*heliograph.Subscription, time.Time) bool,
) (altered int, err error) {
	for group := range slices.Chunk(ids, tendInOneCommit) {
		n := 0
		err := s.transact(ctx, tenant, func(ctx context.Context, l *ledger) error {
			n = 0 // it may be carried out more than once
			now := s.now()
			for _, id := range group {
				sub, err := l.subscription(ctx, id)
				if err != nil {
					return err
				}
				if sub != nil && !sub.Gone(now) && change(sub, now) {
					l.putSubscription(sub)
					n++
				}
			}
			return nil
		})
		if err != nil {
			return altered, err
		}
		altered += n
	}
	return altered, nil
}

// notBarred refuses whom a report that stands keeps from the subscription: also at a renewal, whatever the token says.
func notBarred(d *draft) error {
	if reason := d.bars(d.caller, d.sub.Path); reason != "" {
		return barred(reason)
	}
	return nil
}

func barred(reason heliograph.Reason) error {
	return heliograph.Errorf(heliograph.Denied, "access."+string(reason), "The access to the resource was revoked (%s).", reason)
}

// stillBarred asks once more when the index has what was written, and so every report from before: one that came
// between the rules and the write has not seen the subscription.
func (s *Service) stillBarred(ctx context.Context, sub *heliograph.Subscription) error {
	reason := s.options.Registry.bars(behind(sub), sub.Path)
	if reason == "" {
		return nil
	}
	if err := s.Challenge(ctx, sub.ID, reason); ignoreNotFound(err) != nil {
		return err
	}
	return barred(reason)
}
