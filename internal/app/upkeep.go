package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/clock"
	"heliograph.dev/internal/httpapi"
	"heliograph.dev/internal/source/drive"
	"heliograph.dev/internal/telemetry"
)

// The change log is cut back to its retention so many times in it, and not more often than trimEvery.
const (
	trims     = 100
	trimEvery = time.Minute
)

// cachesExpire is when the store has let go of what it read at the start.
const cachesExpire = 15 * time.Second

// startUpkeep runs what a server does beside requests: subscriptions end at their moment, the change log is
// kept to its retention.
func (a *App) startUpkeep(ctx context.Context) error {
	a.life.background(ctx, "subscriptions' steps", func(ctx context.Context) {
		if err := a.parts.subscriptions.Tend(ctx); ctx.Err() == nil {
			a.fail(fmt.Errorf("tend subscriptions: %w", err))
		}
	})
	a.life.background(ctx, "return of the start's memory", func(ctx context.Context) {
		// What a start reads leaves garbage behind as large as what is kept of it, and the store's caches. An idle server
		// would hold on to it for minutes.
		for _, later := range []time.Duration{0, cachesExpire} {
			if clock.Sleep(ctx, a.real, later) == nil {
				debug.FreeOSMemory()
			}
		}
	})
	a.life.background(ctx, "subscription watch's end", func(ctx context.Context) {
		select {
		case <-a.parts.watch.Done():
			a.fail(fmt.Errorf("watch subscriptions: %w", a.parts.watch.Err()))
		case <-ctx.Done():
		}
	})
	a.life.background(ctx, "pulse", func(ctx context.Context) {
		each, _ := a.parts.pulse.StepLength()
		for clock.Sleep(ctx, a.real, each) == nil {
			a.parts.pulse.Sample(a.control().endpointsHere())
		}
	})
	a.life.background(ctx, "change log upkeep", func(ctx context.Context) {
		_ = clock.Again(ctx, a.clock, a.clock.Now(), func(ctx context.Context) time.Time {
			if !a.parts.workshop.owns(0) { // another node does it
				return a.clock.Now().Add(trimEvery)
			}
			oldest, err := a.trim(ctx)
			if err != nil && ctx.Err() == nil {
				a.log.WarnContext(ctx, "change log not trimmed", "error", err)
			}
			return later(oldest.Add(a.cfg.Store.Retention), a.clock.Now().Add(max(trimEvery, a.cfg.Store.Retention/trims)))
		})
	})
	return nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// trim drops the frames that are older than the retention, and never one that a cursor has not passed: what
// waits in the backlog is younger, because the retention is longer than the retry window. It returns when the oldest
// frame that is left was written, as far as it knows.
func (a *App) trim(ctx context.Context) (oldest time.Time, err error) {
	now := a.clock.Now()
	before, err := a.parts.engine.SequenceAt(ctx, now.Add(-a.cfg.Store.Retention))
	if err != nil {
		return oldest, err
	}
	for p := range a.parts.engine.Partitions() {
		next, err := a.parts.engine.Cursor(ctx, p)
		if err != nil {
			return oldest, err
		}
		before = min(before, next)
	}
	if err := a.parts.engine.Trim(ctx, before); err != nil {
		return oldest, err
	}
	log, err := a.parts.engine.LogState(ctx)
	if err != nil || log.First > log.Last {
		return now, err
	}
	first, err := a.parts.engine.Frame(ctx, log.First)
	if err != nil { // one that cannot be read is no reason to look seldom
		return oldest, nil //nolint:nilerr // it is told of when it is to be delivered
	}
	return first.Written, nil
}

// ready runs the checks behind /readyz.
func (a *App) ready(ctx context.Context) []httpapi.Check {
	return []httpapi.Check{
		{Name: "subscriptions", Roles: []string{"deliver", "api"}, Err: a.parts.watch.Err()},
		{Name: "engine", Roles: []string{"publish", "deliver"}, Err: a.parts.engine.Check(ctx)},
		{Name: "majority", Roles: []string{"publish", "deliver"}, Err: a.majority()},
		{Name: "room", Roles: []string{"publish"}, Err: a.parts.engine.Room()},
		{Name: "identity", Roles: []string{"publish", "api"}, Err: a.parts.verifier.Ready(ctx)},
	}
}

// startDrives makes the configured folders drives, and waits until each notices what happens in it.
func (a *App) startDrives(ctx context.Context) error {
	for _, d := range a.cfg.Drives {
		if err := a.addDrive(ctx, d.User, d.Dir); err != nil {
			return err
		}
	}
	return nil
}

func (a *App) addDrive(ctx context.Context, user, dir string) error {
	state, err := a.driveState(user)
	if err != nil {
		return err
	}
	source, err := drive.New(drive.Options{
		User: heliograph.ObjectID(user), Tenant: a.tenant(), Dir: dir, State: state,
		Publish: a.stamped(a.accepting()), Clock: a.real, Logger: a.log,
	})
	if err != nil {
		return errors.Join(err, state.Close())
	}
	failed := make(chan error, 1)
	a.life.started("drive state of "+user, func(context.Context) error { return state.Close() })
	a.life.background(ctx, "drive of "+user, func(ctx context.Context) {
		if err := source.Run(ctx); err != nil {
			a.log.ErrorContext(ctx, "drive ended", "user", user, "folder", dir, "error", err)
			failed <- err
		}
	})
	select {
	case <-source.Ready():
		return nil
	case err := <-failed:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// stamped gives changes the moment at which they were taken: a drive knows that of its files.
func (a *App) stamped(accept telemetry.Accept) telemetry.Accept {
	return func(ctx context.Context, changes []heliograph.Change) error {
		changes = slices.Clone(changes) // they are the drive's
		for i := range changes {
			changes[i].Accepted = a.clock.Now()
		}
		return accept(ctx, changes)
	}
}

// driveState is where a drive remembers what it has published.
func (a *App) driveState(user string) (*drive.FileState, error) {
	dir := filepath.Join(a.cfg.Data, "drives")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return drive.NewFileState(filepath.Join(dir, heliograph.DeriveGUID("drive", user).String())), nil
}

// tenant is whose drives the configured folders are.
func (a *App) tenant() heliograph.TenantID {
	if a.parts.issuer != nil {
		return a.parts.issuer.DefaultTenant()
	}
	return a.cfg.Identity.Tenant
}
