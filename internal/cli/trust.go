package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"heliograph.dev/internal/app"
	"heliograph.dev/internal/config"
	"heliograph.dev/internal/trust"
)

func (t *tool) trust() *cobra.Command {
	o := &trusting{tool: t}
	c := &cobra.Command{
		Use:   "trust",
		Short: "Print or install the certificate of the local authority",
		Long: `Print the certificate that clients need to trust to speak https with heliograph dev, where it is, and how each
kind of program is told. The authority is made when there is none yet; it can speak for localhost and loopback addresses
only.

With --install the system trusts it from then on (Linux: all of the machine, as root; macOS: your login keychain; Windows:
your own certificates), with --uninstall no longer. Each step is printed before it is done; --dry-run prints them only.`,
		Example: `  heliograph trust
  heliograph trust --install --dry-run
  sudo heliograph trust --install --local-ca ~/.config/heliograph/ca`,
		Args: cobra.NoArgs,
	}
	f := c.Flags()
	f.StringVar(&o.folder, "local-ca", "", "the folder of the local authority (default: as for heliograph dev)")
	f.BoolVar(&o.install, "install", false, "have the system trust it")
	f.BoolVar(&o.uninstall, "uninstall", false, "have the system trust it no longer")
	f.BoolVar(&o.dryRun, "dry-run", false, "print what would be done, and do nothing")
	c.RunE = func(c *cobra.Command, _ []string) error { return o.run(c) }
	return c
}

type trusting struct {
	*tool

	folder                     string
	install, uninstall, dryRun bool
}

func (o *trusting) run(c *cobra.Command) error {
	if o.install && o.uninstall {
		return usageError{errors.New("--install and --uninstall are opposites")}
	}
	if o.dryRun && !o.install && !o.uninstall {
		return usageError{errors.New("--dry-run goes with --install or --uninstall")}
	}
	cfg, err := config.Load(config.Sources{Mode: config.Dev, Environ: o.Environ})
	if err != nil {
		return err
	}
	if o.folder != "" {
		cfg.TLS.LocalCA = o.folder
	}
	if cfg.TLS.LocalCA == "" {
		return usageError{errors.New("there is no home folder to keep a local authority in: name one with --local-ca")}
	}
	ca, err := app.LocalAuthority(cfg)
	if err != nil {
		return err
	}
	system := trust.ThisSystem(runtime.GOOS)
	var plan *trust.Plan
	switch {
	case o.install:
		plan, err = trust.Install(system, ca.CertPath(), ca.PEM())
	case o.uninstall:
		plan, err = trust.Uninstall(system, ca.CertPath(), ca.Certificate())
	default:
		return o.show(ca.CertPath(), string(ca.PEM()), ca.Certificate().Subject.CommonName, ca.Certificate().NotAfter)
	}
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(o.Err, "%s, %s: changes %s\n", ca.Certificate().Subject.CommonName, ca.CertPath(), plan.Store)
	if o.dryRun {
		for _, step := range plan.Steps {
			o.printf("%s\n", step)
		}
		return nil
	}
	return plan.Do(c.Context(), func(s trust.Step) { o.printf("%s\n", s) })
}

func (o *trusting) show(path, text, name string, ends time.Time) error {
	hints := trust.Hints(path)
	if o.asJSON() {
		return json.NewEncoder(o.Out).Encode(struct {
			Certificate string       `json:"certificate"`
			Name        string       `json:"name"`
			Ends        time.Time    `json:"ends"`
			PEM         string       `json:"pem"`
			Hints       []trust.Hint `json:"hints"`
		}{path, name, ends, text, hints})
	}
	o.printf("%s, for localhost and loopback addresses only, until %s\n%s\n\n%s\n", name, ends.Format(time.DateOnly), path, text)
	for _, h := range hints {
		o.printf("%s\n  %s\n", h.Program, strings.ReplaceAll(h.How, "\n", "\n  "))
	}
	return nil
}
