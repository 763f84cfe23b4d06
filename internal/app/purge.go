package app

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/clock"
	"heliograph.dev/internal/deliveries"
	"heliograph.dev/internal/engine"
	"heliograph.dev/internal/httpapi"
)

// purger forgets tenants and users (docs/adr/0013-purge.md). What lives is removed at once. What the disk still holds, in
// frames, in lists of what waits, in blocks that were overwritten, was sealed before: the store gets a new key, what lives of
// others is sealed with it, and when the log and the backlog have outgrown the older keys these are destroyed.
type purger struct {
	app   *App
	turn  sync.Mutex    // one purge changes the list at a time
	begun chan struct{} // buffered
}

const (
	purgesTenant heliograph.TenantID = "heliograph" // what is of the server and of no tenant
	purgesName                       = "purges"
	mostPurges                       = 100
	purgeEvery                       = 15 * time.Minute // as often as the log is cut back
	// writesEnd is how long, in real time, a write that was sealed before a rotation can be under way: longer than the
	// engine waits for the store.
	writesEnd = 20 * time.Second
)

// storedPurge is a purge as it is kept. It names nobody.
type storedPurge struct {
	httpapi.PurgeReceipt
	// Keys are to be destroyed; Extent is what of the log and the backlog they may have sealed, once that is known.
	Keys   []string       `json:"keys"`
	Extent *engine.Extent `json:"extent,omitempty"`
	Sealed time.Time      `json:"sealed"` // in the machine's time
}

// Purge forgets.
func (p *purger) Purge(ctx context.Context, r httpapi.PurgeRequest) (httpapi.PurgeReceipt, error) {
	p.turn.Lock()
	defer p.turn.Unlock()
	a := p.app
	if a.parts.engine.Clustered() {
		return httpapi.PurgeReceipt{}, heliograph.Errorf(heliograph.Invalid, "purge.cluster",
			"several servers remember, and each has its own copy of the keys: a purge is for a server that stands alone")
	}
	if r.Now {
		if err := p.mayTrim(ctx); err != nil {
			return httpapi.PurgeReceipt{}, err
		}
	}
	receipt := httpapi.PurgeReceipt{ID: heliograph.NewGUID(), Requested: a.clock.Now().UTC()}
	subs := map[heliograph.SubscriptionID]bool{}
	for _, user := range p.names(r) {
		forgotten, err := a.parts.subscriptions.Forget(ctx, r.Tenant, heliograph.ObjectID(user))
		if err != nil {
			return receipt, err
		}
		for _, id := range forgotten.Subscriptions {
			subs[id] = true
		}
		receipt.Reports += forgotten.Reports
		receipt.Handshakes += forgotten.Handshakes
	}
	receipt.Subscriptions = len(subs)
	receipt.Deliveries = a.parts.deliveries.Forget(func(n *deliveries.Notified) bool {
		return subs[n.Subscription] || n.Tenant == r.Tenant && (r.User == "" || p.below(n.Resource, r))
	})
	if a.parts.objects != nil {
		receipt.Objects = a.parts.objects.Drop(r.Tenant, p.userNames(r)...)
	}
	for _, k := range a.parts.vault.Keys() {
		receipt.KeysToDestroy = append(receipt.KeysToDestroy, k.ID)
	}
	if err := a.parts.vault.Rotate(); err != nil {
		return receipt, err
	}
	stored := storedPurge{PurgeReceipt: receipt, Keys: receipt.KeysToDestroy, Sealed: a.real.Now().UTC()}
	if _, err := a.parts.engine.Reseal(ctx); err != nil {
		return receipt, err
	}
	if err := p.keep(ctx, stored); err != nil {
		return receipt, err
	}
	p.signal()
	if r.Now {
		return p.finishNow(ctx, stored)
	}
	return receipt, nil
}

// names are the users to be forgotten, by each name that they have; for a whole tenant, the empty one.
func (p *purger) names(r httpapi.PurgeRequest) []string {
	if r.User == "" {
		return []string{""}
	}
	return p.userNames(r)
}

func (p *purger) userNames(r httpapi.PurgeRequest) []string {
	if r.User == "" {
		return nil
	}
	names := []string{r.User}
	if i := p.app.parts.issuer; i != nil {
		if other := i.OtherName(r.Tenant, r.User); other != "" {
			names = append(names, other)
		}
	}
	return names
}

func (p *purger) below(resource string, r httpapi.PurgeRequest) bool {
	return slices.ContainsFunc(p.userNames(r), func(name string) bool {
		return strings.HasPrefix(strings.ToLower(resource), "users/"+strings.ToLower(name)+"/")
	})
}

// mayTrim reports whether the log can be dropped up to its end without a loss for anybody.
func (p *purger) mayTrim(ctx context.Context) error {
	s, err := p.app.parts.engine.State(ctx)
	if err != nil {
		return err
	}
	if s.Backlog.Messages > 0 || p.app.parts.workshop.busy() || p.app.parts.ingest.Waiting() > 0 {
		return heliograph.Errorf(heliograph.Conflict, "purge.waiting",
			"notifications are under way or wait for ill endpoints, and would be lost: purge without now, or come back later")
	}
	return nil
}

// finishNow drops the log up to its end, which is delivered, and destroys the keys.
func (p *purger) finishNow(ctx context.Context, stored storedPurge) (httpapi.PurgeReceipt, error) {
	e := p.app.parts.engine
	extent, err := e.Barrier(ctx)
	if err != nil {
		return stored.PurgeReceipt, err
	}
	if err := p.mayTrim(ctx); err != nil { // what came meanwhile keeps the log: the rest is done in the background
		return stored.PurgeReceipt, nil //nolint:nilerr // the receipt says that it is not complete
	}
	stored.Extent = &extent
	if err := e.Trim(ctx, extent.Log+1); err != nil {
		return stored.PurgeReceipt, err
	}
	return p.destroy(ctx, stored)
}

// destroy ends what was sealed before, for good.
func (p *purger) destroy(ctx context.Context, stored storedPurge) (httpapi.PurgeReceipt, error) {
	a := p.app
	if _, err := a.parts.engine.Reseal(ctx); err != nil { // what was written with an older key while the new one came
		return stored.PurgeReceipt, err
	}
	known := map[string]bool{}
	for _, k := range a.parts.vault.Keys()[1:] {
		known[k.ID] = true
	}
	for _, id := range stored.Keys {
		if known[id] {
			if err := a.parts.vault.Destroy(id); err != nil {
				return stored.PurgeReceipt, err
			}
		}
	}
	stored.KeysDestroyed, stored.KeysToDestroy, stored.Completed = stored.Keys, nil, a.clock.Now().UTC()
	return stored.PurgeReceipt, p.keep(ctx, stored)
}

// run completes purges whose keys have been outgrown. It asks the clock for nothing while there are none.
func (p *purger) run(ctx context.Context) {
	p.signal() // there may be some from before
	for {
		select {
		case <-p.begun:
		case <-ctx.Done():
			return
		}
		until, done := context.WithCancel(ctx)
		_ = clock.Again(until, p.app.clock, p.app.clock.Now(), func(ctx context.Context) time.Time {
			open, err := p.advance(ctx)
			switch {
			case err != nil && ctx.Err() == nil:
				p.app.log.WarnContext(ctx, "purge not completed for now", "error", err)
			case !open:
				done()
			}
			return p.app.clock.Now().Add(purgeEvery)
		})
		done()
	}
}

func (p *purger) signal() {
	select {
	case p.begun <- struct{}{}:
	default:
	}
}

// advance completes what can be, and reports whether anything is open still.
func (p *purger) advance(ctx context.Context) (open bool, err error) {
	p.turn.Lock()
	defer p.turn.Unlock()
	all, _, err := p.list(ctx)
	if err != nil {
		return true, err
	}
	for _, stored := range all {
		if !stored.Completed.IsZero() {
			continue
		}
		completed, err := p.complete(ctx, stored)
		if err != nil {
			return true, err
		}
		open = open || !completed
	}
	return open, nil
}

// complete destroys the keys of a purge if they have been outgrown.
func (p *purger) complete(ctx context.Context, stored storedPurge) (bool, error) {
	a := p.app
	if stored.Extent == nil {
		if a.real.Now().Sub(stored.Sealed) < writesEnd && (a.parts.workshop.busy() || a.parts.ingest.Waiting() > 0) {
			return false, nil
		}
		extent, err := a.parts.engine.Barrier(ctx)
		if err != nil {
			return false, err
		}
		stored.Extent = &extent
		if err := p.keep(ctx, stored); err != nil {
			return false, err
		}
	}
	outgrown, err := a.parts.engine.Outgrown(ctx, *stored.Extent)
	if err != nil || !outgrown {
		return false, err
	}
	if _, err := p.destroy(ctx, stored); err != nil {
		return false, err
	}
	a.log.InfoContext(ctx, "purge completed", "purge", stored.ID, "keys", len(stored.Keys))
	return true, nil
}

// Receipt returns a purge's receipt as it stands.
func (p *purger) Receipt(ctx context.Context, id heliograph.GUID) (httpapi.PurgeReceipt, error) {
	all, _, err := p.list(ctx)
	for i := range all {
		if all[i].ID == id {
			return all[i].PurgeReceipt, nil
		}
	}
	if err == nil {
		err = heliograph.Errorf(heliograph.NotFound, "purge.not_found", "The object was not found.")
	}
	return httpapi.PurgeReceipt{}, err
}

func (p *purger) list(ctx context.Context) (all []storedPurge, revision uint64, err error) {
	rec, err := p.app.parts.engine.Get(ctx, purgesTenant, purgesName)
	if heliograph.KindOf(err) == heliograph.NotFound {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	if err := json.Unmarshal(rec.Value, &all); err != nil {
		return nil, 0, fmt.Errorf("record of purges: %w", err)
	}
	return all, rec.Revision, nil
}

// keep writes a purge down, in the place of what is known of it.
func (p *purger) keep(ctx context.Context, one storedPurge) error {
	all, revision, err := p.list(ctx)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(all, func(s storedPurge) bool { return s.ID == one.ID })
	if at >= 0 {
		all[at] = one
	} else if all = append(all, one); len(all) > mostPurges {
		all = all[len(all)-mostPurges:]
	}
	value, err := json.Marshal(all)
	if err != nil {
		return err
	}
	_, err = p.app.parts.engine.Commit(ctx, purgesTenant, []heliograph.Write{{Name: purgesName, Value: value, Expect: revision}})
	return err
}
