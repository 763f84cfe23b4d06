package httpapi

import (
	"context"
	"time"

	"heliograph.dev"
)

// Purger forgets tenants and users, for good.
type Purger interface {
	// Purge returns when nothing that lives knows of whom it is about any more, and when it is on disk that the rest is to
	// be destroyed.
	Purge(ctx context.Context, r PurgeRequest) (PurgeReceipt, error)
	// Receipt returns the receipt of a purge as it stands, or NotFound.
	Receipt(ctx context.Context, id heliograph.GUID) (PurgeReceipt, error)
}

// PurgeRequest says who is to be forgotten.
type PurgeRequest struct {
	Tenant heliograph.TenantID
	User   string // of the tenant; empty: the whole tenant
	// Now drops the change log at once, instead of when it is outgrown.
	Now bool
}

// PurgeReceipt says what was removed, and when the rest of it could not be read any more. It names nobody.
type PurgeReceipt struct {
	ID        heliograph.GUID `json:"id"`
	Requested time.Time       `json:"requested"`
	// What was removed at once.
	Subscriptions int `json:"subscriptions"`
	Reports       int `json:"reports"`
	Handshakes    int `json:"handshakes"`
	Deliveries    int `json:"deliveries"`
	Objects       int `json:"objects"`
	// Completed is when the keys were destroyed that everything from before was sealed with. Until then KeysToDestroy are
	// still needed for what the log has of others, from then on they are KeysDestroyed.
	Completed     time.Time `json:"completed,omitzero"`
	KeysToDestroy []string  `json:"keysToDestroy,omitempty"`
	KeysDestroyed []string  `json:"keysDestroyed,omitempty"`
}

// purgeForm is a request on the wire.
type purgeForm struct {
	tenant, user string
	now          *bool
}

func (a *API) readPurge(x *exchange) (purgeForm, error) {
	body, err := x.jsonBody()
	if err != nil {
		return purgeForm{}, err
	}
	x.takeTime(purgeMost)
	return shape[purgeForm]{
		text("tenant", func(f *purgeForm) *string { return &f.tenant }),
		text("user", func(f *purgeForm) *string { return &f.user }),
		boolean("now", func(f *purgeForm) **bool { return &f.now }),
	}.decode(body, unreadable)
}

// purgeMost is how long a purge may take, since it seals all records anew.
const purgeMost = 10 * time.Minute

func (a *API) purge(ctx context.Context, _ *heliograph.Caller, f purgeForm) (PurgeReceipt, error) {
	guid, ok := heliograph.ParseGUID(f.tenant)
	if !ok { // not the caller's by default: a forgotten word must not cost a tenant
		return PurgeReceipt{}, heliograph.Errorf(heliograph.Invalid, "purge.tenant", "say the tenant, a GUID; it is %.60q", f.tenant)
	}
	if len(f.user) > 1024 {
		return PurgeReceipt{}, heliograph.Errorf(heliograph.Invalid, "purge.user", "the user is longer than 1024 bytes")
	}
	return a.opts.Purger.Purge(ctx, PurgeRequest{Tenant: heliograph.TenantID(guid.String()), User: f.user, Now: f.now != nil && *f.now})
}

func (a *API) purgeReceipt(ctx context.Context, _ *heliograph.Caller, id heliograph.GUID) (PurgeReceipt, error) {
	return a.opts.Purger.Receipt(ctx, id)
}

func purged(status int) func(*exchange, PurgeReceipt) answer {
	return func(_ *exchange, r PurgeReceipt) answer { return answer{status: status, body: r} }
}
