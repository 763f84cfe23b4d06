package cli

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"heliograph.dev/internal/app"
	"heliograph.dev/internal/config"
)

func (t *tool) serve() *cobra.Command {
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run a server for production",
		Long: `Run a server: https endpoints at public addresses only, tokens of the configured issuers only.

It needs an issuer (--issuer) and a place for its data (--data, or --nats for an existing JetStream), and says
what is missing. It stops on an interrupt, within shutdown_grace: what was accepted is on disk.`,
		Example: `  heliograph serve --data /var/lib/heliograph --issuer 'https://login.microsoftonline.com/{tenantid}/v2.0'
  heliograph serve --data /var/lib/heliograph --cluster prod --node one --peers one:6222,two:6222,three:6222 \
    --cluster-secret-file secret --key-file vault.keys --issuer 'https://login.microsoftonline.com/{tenantid}/v2.0'`,
		Args: cobra.NoArgs,
	}
	config.AddFlags(c.Flags(), config.Serve)
	c.RunE = func(c *cobra.Command, _ []string) error {
		return t.runServer(c, config.Serve, func(a *app.App, took time.Duration) {
			t.printf("heliograph is ready on %s (%d ms)\n", a.URL(), took.Milliseconds())
		})
	}
	return c
}

// runServer runs a server until the command is interrupted. ready is called once it answers.
func (t *tool) runServer(c *cobra.Command, mode config.Mode, ready func(*app.App, time.Duration)) error {
	began := now()
	cfg, err := config.Load(config.Sources{Mode: mode, Flags: c.Flags(), Environ: t.Environ})
	if err != nil {
		return err
	}
	if err := cfg.Validate(); err != nil {
		return err
	}
	format := cfg.Log.Format
	if format == "auto" {
		if format = "json"; isTerminal(t.Err) {
			format = "text"
		}
	}
	logger := t.logger(cfg.Log.Level, format)
	slog.SetDefault(logger) // net/http tells of receivers that answer unasked through the global logger only
	slog.SetLogLoggerLevel(slog.LevelDebug)
	a, err := app.Start(c.Context(), app.Options{Config: cfg, Logger: logger, Version: buildInfo().Version})
	if err != nil {
		return err
	}
	ready(a, now().Sub(began))
	var failed error
	select {
	case failed = <-a.Failed():
	case <-c.Context().Done():
	}
	if err := a.Stop(context.WithoutCancel(c.Context())); err != nil {
		return errors.Join(failed, errors.New("the server did not stop in order"), err)
	}
	return failed
}
