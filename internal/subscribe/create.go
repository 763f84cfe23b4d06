package subscribe

import (
	"context"
	"slices"

	"heliograph.dev"
	"heliograph.dev/internal/subscribe/record"
)

const (
	operationCreate = "Create"
	operationUpdate = "Update"
)

// Create makes a subscription. Refusals are *heliograph.Error; a failed handshake is a *HandshakeError around
// one.
func (s *Service) Create(ctx context.Context, caller *heliograph.Caller, r CreateRequest) (*heliograph.Subscription, error) {
	d := s.newDraft(caller, &r)
	steps := []func(context.Context, *draft) error{
		func(_ context.Context, d *draft) error { return d.judge(createRules()) },
		s.rehearse, // before the endpoint is bothered; keep decides
		func(ctx context.Context, d *draft) error {
			return s.prove(ctx, d, r.RequestID, endpointsOf(&d.sub))
		},
		s.keep,
		func(ctx context.Context, d *draft) error { return s.stillBarred(ctx, &d.sub) },
	}
	for _, step := range steps {
		if err := step(ctx, d); err != nil {
			return nil, err
		}
	}
	return &d.sub, nil
}

func (s *Service) newDraft(caller *heliograph.Caller, r *CreateRequest) *draft {
	d := s.draft(operationCreate, caller)
	d.beta, d.webPush, d.expires = r.Beta, r.WebPush, r.ExpirationDateTime
	d.sub = heliograph.Subscription{
		ID:                        heliograph.NewGUID(),
		Tenant:                    caller.Tenant,
		App:                       caller.App,
		Creator:                   caller.Object,
		Delegated:                 caller.Delegated,
		Resource:                  r.Resource,
		ChangeTypeText:            r.ChangeType,
		NotificationURL:           r.NotificationURL,
		LifecycleNotificationURL:  r.LifecycleNotificationURL,
		ClientState:               r.ClientState,
		Created:                   d.now,
		AuthorizedUntil:           tick(caller.Expires),
		IncludeResourceData:       r.IncludeResourceData,
		EncryptionCertificate:     r.EncryptionCertificate,
		EncryptionCertificateID:   r.EncryptionCertificateID,
		LatestSupportedTLSVersion: r.LatestSupportedTLSVersion,
		NotificationContentType:   r.NotificationContentType,
		NotificationQueryOptions:  r.NotificationQueryOptions,
		NotificationURLAppID:      r.NotificationURLAppID,
		ImmutableIDs:              r.ImmutableIDs,
		IncludeUnknownEnumMembers: r.IncludeUnknownEnumMembers,
		IncludeSecurityWebhooks:   r.IncludeSecurityWebhooks,
	}
	return d
}

func (s *Service) draft(operation string, caller *heliograph.Caller) *draft {
	return &draft{
		operation: operation,
		profile:   s.profile,
		catalog:   s.options.Catalog,
		strict:    s.options.Strict,
		checkURL:  s.options.Endpoints.CheckURL,
		bars:      s.options.Registry.bars,
		now:       s.now(),
		caller:    caller,
	}
}

// rehearse asks whether there is room and no twin, as it looks now.
func (s *Service) rehearse(ctx context.Context, d *draft) error {
	return s.enter(d)(ctx, newLedger(s.options.Store, d.sub.Tenant))
}

// keep enters the subscription. Of several equal creates at once one does, and the others find it; of many creates
// at a quota's limit as many do as there is room for.
func (s *Service) keep(ctx context.Context, d *draft) error {
	// No commit spans tenants: for a quota over all of them, creates come one after the other on this node, and each
	// waits until the count has it. Several nodes at once may exceed such a quota by what is on its way.
	var spanning []string
	for _, sh := range sharesOf(s.options.Catalog, &d.sub, &d.resolved) {
		if sh.quota.AllTenants {
			spanning = append(spanning, sh.counter)
		}
	}
	slices.Sort(spanning) // the same order for everybody: nobody waits for one who waits for him
	for _, counter := range spanning {
		release, err := s.turns.take(ctx, counter)
		if err != nil {
			return err
		}
		defer release()
	}
	return s.transact(ctx, d.sub.Tenant, s.enter(d))
}

// enter writes the subscription with its place and its counts. A quota that is told as a conflict refuses in its
// own words; before any other, a twin is told (contract 5.35 to 5.37): it takes no more room.
func (s *Service) enter(d *draft) plan {
	var exclusive, counted []share
	for _, sh := range sharesOf(s.options.Catalog, &d.sub, &d.resolved) {
		if d.profile.Refuse(sh.quota.Rule, nil).Kind == heliograph.Conflict {
			exclusive = append(exclusive, sh)
		} else {
			counted = append(counted, sh)
		}
	}
	return func(ctx context.Context, l *ledger) error {
		steps := []func() error{
			func() error { return s.room(ctx, l, d, exclusive) },
			func() error { return s.claim(ctx, l, d) },
			func() error { return s.room(ctx, l, d, counted) },
			func() error { return l.add(ctx, exclusive, 1) },
			func() error { return l.add(ctx, counted, 1) },
		}
		for _, step := range steps {
			if err := step(); err != nil {
				return err
			}
		}
		l.put(record.Name(d.sub.ID), record.Encode(&d.sub))
		return nil
	}
}
