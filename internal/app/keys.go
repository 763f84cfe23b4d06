package app

import (
	"context"
	"time"

	"heliograph.dev/internal/clock"
	"heliograph.dev/internal/engine"
	"heliograph.dev/internal/seal/vault"
)

// keysEvery is how often the key file is looked at: a rotation by the command line or by a person takes that long.
const keysEvery = 5 * time.Second

// openVault opens the keys that everything stored is sealed with. They are made together with the store, and never in
// place of lost ones.
func (a *App) openVault(isNew bool) (engine.Vault, error) {
	keys, err := vault.Open(vault.Options{File: a.cfg.StoreKeys(), MayCreate: isNew && a.cfg.Cluster.Name == "", Now: a.clock.Now})
	if err != nil {
		return nil, err
	}
	if isNew {
		a.log.Info("new store, sealed", "key_file", a.cfg.StoreKeys())
	}
	a.parts.vault = keys
	return keys, nil
}

// keepKeys takes up new keys from the file, and seals anew what older ones have sealed.
func (a *App) keepKeys(ctx context.Context) error {
	a.life.background(ctx, "keys of the store", func(ctx context.Context) {
		newest, stale, readable := a.parts.vault.Keys()[0].ID, a.parts.engine.Stale(), true
		for ctx.Err() == nil {
			if stale {
				stale = a.reseal(ctx) != nil
			}
			if clock.Sleep(ctx, a.real, keysEvery) != nil {
				return
			}
			err := a.parts.vault.Reload()
			if err != nil && readable {
				a.log.ErrorContext(ctx, "keys of the store not read again: those at hand stay", "error", err)
			}
			readable = err == nil
			if first := a.parts.vault.Keys()[0].ID; first != newest {
				newest, stale = first, true
			}
		}
	})
	return nil
}

func (a *App) reseal(ctx context.Context) error {
	began := a.real.Now()
	n, err := a.parts.engine.Reseal(ctx)
	if err == nil {
		a.log.InfoContext(ctx, "records sealed anew", "records", n, "key", a.parts.vault.Keys()[0].ID, "took", a.real.Now().Sub(began))
	} else if ctx.Err() == nil {
		a.log.WarnContext(ctx, "records not sealed anew", "records", n, "error", err)
	}
	return err
}
