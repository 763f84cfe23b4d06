package subscribe

import (
	"context"

	"heliograph.dev"
	"heliograph.dev/internal/subscribe/record"
)

const (
	operationCreate = "Create"
	operationUpdate = "Update"
)

// attempts is how often a write that lost a race is tried again. Each loss means that somebody else won.
const attempts = 10

// Create makes a subscription. Refusals are *heliograph.Error; a failed handshake is a *HandshakeError around
// one.
func (s *Service) Create(ctx context.Context, caller *heliograph.Caller, r CreateRequest) (*heliograph.Subscription, error) {
	d := s.newDraft(caller, &r)
	steps := []func(context.Context, *draft) error{
		func(_ context.Context, d *draft) error { return d.judge(createRules()) },
		s.refuseTwin, // before the endpoint is bothered; keep decides
		func(ctx context.Context, d *draft) error {
			return s.prove(ctx, d, r.RequestID, endpointsOf(&d.sub))
		},
		s.keep,
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
		now:       s.now(),
		caller:    caller,
	}
}

func (s *Service) refuseTwin(ctx context.Context, d *draft) error {
	t, err := s.twinOf(ctx, &d.sub)
	if err == nil && t != nil && t.live {
		err = d.refuse("create.duplicate", "id", t.id.String())
	}
	return err
}

// keep writes the subscription and its uniqueness record, or neither. What an expired twin left behind goes in
// the same commit. Of several equal creates at once one commits, and the others find its record.
func (s *Service) keep(ctx context.Context, d *draft) error {
	name := uniqueName(&d.sub)
	return s.retry(func() error {
		t, err := s.twinOf(ctx, &d.sub)
		if err != nil {
			return err
		}
		place := heliograph.Write{Name: name, Value: []byte(d.sub.ID.String())}
		writes := []heliograph.Write{{Name: record.Name(d.sub.ID), Value: record.Encode(&d.sub)}}
		if t != nil {
			if t.live {
				return notAgain{d.refuse("create.duplicate", "id", t.id.String())}
			}
			place.Expect = t.record.Revision
			if t.revision != 0 {
				writes = append(writes, heliograph.Write{Name: record.Name(t.id), Expect: t.revision})
			}
		}
		return s.commit(ctx, d.sub.Tenant, append(writes, place))
	})
}

// commit writes, and waits until this node's index has what was written.
func (s *Service) commit(ctx context.Context, tenant heliograph.TenantID, writes []heliograph.Write) error {
	revision, err := s.options.Store.Commit(ctx, tenant, writes)
	if err != nil {
		return err
	}
	if err := s.options.Index.Wait(ctx, tenant, revision); err != nil {
		return notAgain{err}
	}
	return nil
}

// notAgain wraps an error that retry must not take for a lost race.
type notAgain struct{ error }

// retry calls write until it does not end in a conflict, a bounded number of times.
func (s *Service) retry(write func() error) error {
	for range attempts {
		err := write()
		if final, ok := err.(notAgain); ok { //nolint:errorlint // never wrapped: write returns it itself
			return final.error
		}
		if heliograph.KindOf(err) != heliograph.Conflict || err == nil {
			return err
		}
	}
	return s.profile.Refuse("subscription.busy", nil)
}
