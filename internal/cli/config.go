package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"heliograph.dev/internal/app"
	"heliograph.dev/internal/config"
)

func (t *tool) config() *cobra.Command {
	c := &cobra.Command{
		Use:   "config [dev|serve]",
		Short: "Print the configuration that a server would run with, and where each value comes from",
		Long: `Print the effective configuration as YAML: flags over environment (HELIOGRAPH_…) over heliograph.yaml over
the defaults of dev or serve. Each value is followed by where it comes from. Secrets are masked.

With --rules, print instead the rules that follow from it: the cloud, the limits of quotas by name, the longest lease
of each resource, and the profile with its time-outs and texts.

It ends with exit code 1, and says what to do, when a server would refuse to start with it.`,
		Args:      cobra.MatchAll(cobra.MaximumNArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{string(config.Dev), string(config.Serve)},
	}
	config.AddFlags(c.Flags(), config.Dev)
	rules := c.Flags().Bool("rules", false, "print the rules that a server would go by")
	c.RunE = func(c *cobra.Command, args []string) error {
		mode := config.Dev
		if len(args) == 1 {
			mode = config.Mode(args[0])
		}
		cfg, err := config.Load(config.Sources{Mode: mode, Flags: c.Flags(), Environ: t.Environ})
		if err != nil {
			return err
		}
		if *rules {
			return app.WriteRules(t.Out, cfg)
		}
		if err := cfg.Print(t.Out); err != nil {
			return err
		}
		err = cfg.Validate()
		if err == nil {
			err = app.WriteRules(io.Discard, cfg)
		}
		if err != nil {
			return fmt.Errorf("a server would not start with this:\n%w", err)
		}
		return nil
	}
	return c
}
