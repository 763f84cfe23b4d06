package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"heliograph.dev"
	"heliograph.dev/internal/clock"
	"heliograph.dev/internal/config"
	"heliograph.dev/internal/engine"
	"heliograph.dev/internal/seal/keyfile"
	"heliograph.dev/internal/seal/vault"
)

// engineOptions are what a configuration says of the engine.
func engineOptions(c *config.Config) (engine.Options, error) {
	opts := engine.Options{
		Dir: c.Data, NATS: c.NATS.URL, Credentials: c.NATS.Credentials,
		Partitions: c.Store.Partitions, Shards: c.Store.Shards, Replicas: c.Store.Replicas,
		MaxLogBytes: int64(c.Store.MaxLogBytes), MinFreeBytes: uint64(c.Store.MinFreeBytes), //nolint:gosec // validated
		AcceptLazySync: c.NATS.AcceptLazyFsync,
	}
	if c.Cluster.Name != "" {
		var err error
		if opts.Cluster, err = nodeOf(&c.Cluster); err != nil {
			return opts, err
		}
	}
	if c.NATS.CA != "" {
		roots, err := certPool(c.NATS.CA)
		if err != nil {
			return opts, err
		}
		opts.TLS = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	return opts, nil
}

// backups are of the running store.
type backups struct {
	engine  *engine.Engine
	program string
}

// Backup writes one.
func (b backups) Backup(ctx context.Context, w io.Writer) error {
	_, err := b.engine.Backup(ctx, w, b.program)
	return err
}

// OpenStore opens the store of a server that does not run: for a backup of it, which finds it there, or to restore one,
// which makes it. Keys are what a restored store is sealed with, as they stand in a key file; nil takes those of
// store.key_file.
func OpenStore(ctx context.Context, c *config.Config, logger *slog.Logger, restoring bool, keys []byte) (*engine.Engine, error) {
	if !restoring && c.NATS.URL == "" {
		if _, err := os.Stat(filepath.Join(c.Data, "heliograph.json")); err != nil {
			return nil, fmt.Errorf("there is no store: %w", err)
		}
	}
	opts, err := engineOptions(c)
	if err != nil {
		return nil, err
	}
	opts.Logger, opts.Now, opts.Restoring = logger, clock.System().Now, restoring
	opts.Vault = func(isNew bool) (engine.Vault, error) {
		if isNew && !restoring {
			return nil, errors.New("there is no store")
		}
		if keys != nil {
			err := keyfile.Create(c.StoreKeys(), keys)
			if errors.Is(err, fs.ErrExist) { // the same ones, or the backup is not opened by them
				err = nil
			}
			if err != nil {
				return nil, fmt.Errorf("write the key file: %w", err)
			}
		}
		return vault.Open(vault.Options{File: c.StoreKeys(), Now: opts.Now})
	}
	store, err := engine.Open(ctx, opts)
	if err != nil && keys == nil && errors.Is(err, fs.ErrNotExist) {
		return nil, heliograph.Errorf(heliograph.Invalid, "restore.keys",
			"the keys that the backup is sealed with are missing: give their file with --keys FILE: %w", err)
	}
	return store, err
}
