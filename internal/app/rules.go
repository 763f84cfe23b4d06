package app

import (
	"context"
	"io"
	"os"
	"sync"

	"heliograph.dev"
	"heliograph.dev/internal/catalog"
	"heliograph.dev/internal/config"
)

// WriteRules writes the rules that a server with this configuration would go by, as YAML.
func WriteRules(w io.Writer, cfg *config.Config) error {
	c, err := loadRules(&cfg.Catalog)
	if err != nil {
		return err
	}
	return c.WriteRules(w)
}

// loadRules reads what can be subscribed to, in the configured profile and cloud.
func loadRules(cfg *config.Catalog) (*catalog.Catalog, error) {
	extra, err := ownFiles(cfg)
	if err != nil {
		return nil, err
	}
	c, err := catalog.Load(extra...)
	if err != nil {
		return nil, err
	}
	limits := make([]catalog.QuotaLimit, len(cfg.Quotas))
	for i, q := range cfg.Quotas {
		limits[i] = catalog.QuotaLimit(q)
	}
	for _, with := range []func() (*catalog.Catalog, error){
		func() (*catalog.Catalog, error) { return c.WithProfile(cfg.Profile) },
		func() (*catalog.Catalog, error) { return c.WithCloud(cfg.Cloud) },
		func() (*catalog.Catalog, error) { return c.WithQuotas(limits...) },
	} {
		if c, err = with(); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// ownFiles reads the operator's files of resources.
func ownFiles(cfg *config.Catalog) ([]catalog.File, error) {
	var files []catalog.File
	for _, path := range cfg.Resources {
		text, err := os.ReadFile(path) //nolint:gosec // the operator names it
		if err != nil {
			return nil, err
		}
		files = append(files, catalog.File{Name: path, Data: text})
	}
	return files, nil
}

// scan visits every record that there is.
func (a *App) scan(ctx context.Context, visit func(*heliograph.Record)) error {
	var one sync.Mutex // the records of several tenants may come at once
	watch, err := a.parts.engine.Watch(ctx, func(records []heliograph.Record) {
		one.Lock()
		defer one.Unlock()
		for i := range records {
			visit(&records[i])
		}
	})
	if err != nil {
		return err
	}
	defer watch.Close()
	select {
	case <-watch.Ready():
		return nil
	case <-watch.Done():
		return watch.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}
