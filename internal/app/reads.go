package app

import (
	"context"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/clock"
	"heliograph.dev/internal/engine"
	"heliograph.dev/internal/fresh"
	"heliograph.dev/internal/subscribe"
)

const (
	// inTouch is how long after a beat that a majority has a leader of the store cannot have been replaced without
	// knowing it: the shortest election takes four seconds.
	inTouch = 3 * time.Second
	// readWait is what a request that may be told something old waits for the newest.
	readWait = 2 * time.Second
)

// records are the engine's, read so that what any node has written before is there. Who asked for a page and not for
// certainty gets what this node has while it is out of touch with the others, and a note how old that may be.
type records struct {
	*engine.Engine
	app *App
}

// Get returns a record.
func (r records) Get(ctx context.Context, tenant heliograph.TenantID, name string) (heliograph.Record, error) {
	if !r.Clustered() || !fresh.Asked(ctx) {
		return r.Engine.Get(ctx, tenant, name)
	}
	asOf, sure := r.app.touch()
	if sure {
		try, cancel := context.WithTimeout(ctx, readWait)
		defer cancel()
		rec, err := r.Engine.Get(try, tenant, name)
		if heliograph.KindOf(err) != heliograph.Unavailable {
			return rec, err
		}
		asOf, _ = r.app.touch()
	}
	fresh.Stale(ctx, asOf)
	try, cancel := context.WithTimeout(ctx, readWait)
	defer cancel()
	return r.GetHere(try, tenant, name)
}

// touch returns the moment from which on this node may lack what others have written, and whether that is so recent that
// it lacks nothing.
func (a *App) touch() (asOf time.Time, sure bool) {
	if a.parts.workshop == nil || a.parts.workshop.keeper == nil {
		return a.real.Now(), true
	}
	asOf = a.parts.workshop.keeper.Reached()
	return asOf, clock.System().Now().Sub(asOf) < inTouch
}

// catchUp waits until this node's image of a tenant's subscriptions has what was written before, or notes how old it is.
func (a *App) catchUp(ctx context.Context, tenant heliograph.TenantID) {
	if !a.parts.engine.Clustered() {
		return
	}
	asOf, sure := a.touch()
	if sure {
		try, cancel := context.WithTimeout(ctx, readWait)
		defer cancel()
		if a.parts.watch.Sync(try, tenant) == nil {
			return
		}
	}
	fresh.Stale(ctx, asOf)
}

// listing are subscriptions whose lists have what any node has written before.
type listing struct {
	*subscribe.Service
	app *App
}

// List returns a page.
func (l listing) List(ctx context.Context, caller *heliograph.Caller, r subscribe.ListRequest) (subscribe.List, error) {
	l.app.catchUp(ctx, caller.Tenant)
	return l.Service.List(ctx, caller, r)
}
