package subscribe

import (
	"context"
	"fmt"
	"strings"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/catalog"
	"heliograph.dev/internal/subscribe/record"
)

// Get returns a subscription that the caller may see.
func (s *Service) Get(ctx context.Context, caller *heliograph.Caller, id heliograph.SubscriptionID) (*heliograph.Subscription, error) {
	sub, _, err := s.load(ctx, caller, id)
	if err != nil {
		return nil, err
	}
	if err := s.authorize(caller, sub); err != nil {
		return nil, err
	}
	return sub, nil
}

// Update renews a subscription, or moves it to another URL or certificate, and reauthorizes it (contract 7.7).
// A new URL has to prove itself as at create; where renewals are proved, every URL has to, each time (contract 4.12).
func (s *Service) Update(ctx context.Context, caller *heliograph.Caller, id heliograph.SubscriptionID, r UpdateRequest) (*heliograph.Subscription, error) {
	proved := make(map[endpoint]bool) // what has proved itself on the way
	return s.change(ctx, caller, id, func(d *draft) error {
		stored := d.sub.NotificationURL
		d.put(&r)
		if err := d.judge(updateRules()); err != nil {
			return err
		}
		var unproved []endpoint
		for _, e := range endpointsOf(&d.sub) {
			if !proved[e] && (s.options.ProveRenewals || e.property == "notificationUrl" && e.url != stored) {
				unproved = append(unproved, e)
			}
		}
		if err := s.prove(ctx, d, r.RequestID, unproved); err != nil {
			return err
		}
		for _, e := range unproved {
			proved[e] = true
		}
		d.sub.Renewed = d.now
		return nil
	})
}

// put writes what was sent over what is stored.
func (d *draft) put(r *UpdateRequest) {
	d.update = *r
	for _, p := range []struct {
		to   *string
		from *string
	}{
		{&d.expires, r.ExpirationDateTime},
		{&d.sub.NotificationURL, r.NotificationURL},
		{&d.sub.EncryptionCertificate, r.EncryptionCertificate},
		{&d.sub.EncryptionCertificateID, r.EncryptionCertificateID},
	} {
		if p.from != nil {
			*p.to = *p.from
		}
	}
}

// Reauthorize lets the caller's token stand behind the subscription from now on. Its expiry stays (contract
// 7.10).
func (s *Service) Reauthorize(ctx context.Context, caller *heliograph.Caller, id heliograph.SubscriptionID) (*heliograph.Subscription, error) {
	return s.change(ctx, caller, id, func(d *draft) error {
		if err := d.judge(reauthorizeRules()); err != nil {
			return err
		}
		d.sub.Reauthorized = d.now
		return nil
	})
}

// Delete removes a subscription. Nothing more is sent for it.
func (s *Service) Delete(ctx context.Context, caller *heliograph.Caller, id heliograph.SubscriptionID) error {
	return s.transact(ctx, caller.Tenant, func(ctx context.Context, l *ledger) error {
		sub, err := l.subscription(ctx, id)
		if err != nil {
			return err
		}
		if sub == nil || !visible(caller, sub) || sub.Gone(s.now()) {
			return s.notFound()
		}
		if err := s.authorize(caller, sub); err != nil {
			return err
		}
		return s.remove(ctx, l, sub)
	})
}

// change loads a subscription, lets edit change it, lets the caller's token stand behind it and writes it back,
// again from the start whenever somebody else was faster.
func (s *Service) change(ctx context.Context, caller *heliograph.Caller, id heliograph.SubscriptionID, edit func(*draft) error) (*heliograph.Subscription, error) {
	for try := range changeAttempts {
		sub, revision, err := s.load(ctx, caller, id)
		if err != nil {
			return nil, err
		}
		d := s.draft(operationUpdate, caller)
		d.sub = *sub
		if d.resolved, err = s.resolved(sub); err != nil {
			return nil, err
		}
		if err := edit(d); err != nil {
			return nil, err
		}
		d.sub.AuthorizedUntil = tick(caller.Expires)
		d.sub.Revoked, d.sub.RevokedReason, d.sub.NoticedReason = time.Time{}, "", "" // whoever stands behind it now has access: the rules have asked
		err = s.write(ctx, &d.sub, revision)
		if err == nil {
			s.tellHurry(ctx, d)
			if err := s.stillBarred(ctx, &d.sub); err != nil {
				return nil, err
			}
			return &d.sub, nil
		}
		if heliograph.KindOf(err) != heliograph.Conflict {
			return nil, err
		}
		if err := pause(ctx, jitter(try)); err != nil {
			return nil, err
		}
	}
	return nil, s.profile.Refuse("subscription.busy", nil)
}

// changeAttempts is how often a change that lost a race is tried again. Each loss means that somebody else won.
const changeAttempts = 10

// write puts a changed subscription in the place of the one with that revision, and waits until this node's index
// has it.
func (s *Service) write(ctx context.Context, sub *heliograph.Subscription, revision uint64) error {
	written, err := s.options.Store.Commit(ctx, sub.Tenant, []heliograph.Write{
		{Name: record.Name(sub.ID), Value: record.Encode(sub), Expect: revision},
	})
	if err != nil {
		return err
	}
	return s.options.Index.Wait(ctx, sub.Tenant, written)
}

// load returns a subscription that the caller may see, and its revision.
func (s *Service) load(ctx context.Context, caller *heliograph.Caller, id heliograph.SubscriptionID) (*heliograph.Subscription, uint64, error) {
	sub, revision, err := s.stored(ctx, caller.Tenant, id)
	if err != nil {
		if heliograph.KindOf(err) == heliograph.NotFound {
			err = s.notFound()
		}
		return nil, 0, err
	}
	if !visible(caller, &sub) || sub.Gone(s.now()) {
		return nil, 0, s.notFound()
	}
	return &sub, revision, nil
}

// stored returns a subscription as its record has it.
func (s *Service) stored(ctx context.Context, tenant heliograph.TenantID, id heliograph.SubscriptionID) (heliograph.Subscription, uint64, error) {
	rec, err := s.options.Store.Get(ctx, tenant, record.Name(id))
	if err != nil {
		return heliograph.Subscription{}, 0, err
	}
	sub, err := record.Decode(string(rec.Value))
	if err != nil {
		return heliograph.Subscription{}, 0, fmt.Errorf("record %s: %w", rec.Name, err)
	}
	sub.ID, sub.Tenant = id, tenant
	return sub, rec.Revision, nil
}

// visible reports whether a subscription of the caller's tenant is there for the caller (contract 7.15).
func visible(caller *heliograph.Caller, sub *heliograph.Subscription) bool {
	return sub.App == caller.App && (!caller.Delegated || sub.Delegated && sub.Creator == caller.Object)
}

// authorize asks for what create asked for (contract 7.1). Where an operator has taken the row away, nobody can
// say what that was: who made the subscription may still look at it and remove it.
func (s *Service) authorize(caller *heliograph.Caller, sub *heliograph.Subscription) error {
	if s.options.Catalog.Row(sub.Row) == nil {
		return nil
	}
	d := s.draft(operationUpdate, caller)
	d.sub = *sub
	var err error
	if d.resolved, err = s.resolved(sub); err != nil {
		return err
	}
	return permission(d)
}

// resolved finds the row of a stored subscription again. The canonical path means the same to every caller.
func (s *Service) resolved(sub *heliograph.Subscription) (catalog.Resolved, error) {
	resource := sub.Path
	if _, query, ok := strings.Cut(sub.Resource, "?"); ok {
		resource += "?" + query
	}
	found, err := s.options.Catalog.Resolve(resource, catalog.Me{})
	if err != nil {
		return catalog.Resolved{}, err
	}
	for i := range found {
		if found[i].Row.ID == sub.Row {
			return found[i], nil
		}
	}
	return catalog.Resolved{}, heliograph.Errorf(heliograph.Internal, "subscription.row", "the catalog has no row %q for %s any more", sub.Row, sub.Path)
}
