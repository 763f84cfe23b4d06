package cli

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"heliograph.dev/client"
)

func (t *tool) faults() *cobra.Command {
	c := &cobra.Command{
		Use:   "faults",
		Short: "Make things go wrong on purpose, on a development server",
		Args:  cobra.NoArgs,
	}
	to := t.serverFlags(c)
	c.AddCommand(t.faultAdd(to), t.faultList(to), t.faultClear(to))
	return c
}

func (t *tool) faultAdd(to *target) *cobra.Command {
	var f client.Fault
	c := &cobra.Command{
		Use:   "add KIND",
		Short: "Put a fault in force",
		Long: `Put a fault in force, until it is cleared or has hit as often as it should.

Of calls of the Graph API, chosen with --app, --method and --path:
  unauthorized forbidden conflict   401, 403, 409
  throttled unavailable             429, 503, with --retry-after
  latency                           answered after --delay

Of deliveries, chosen with --endpoint:
  drop             told as delivered, and never sent
  delay            sent after --delay
  duplicate        sent twice
  reorder          the last notification of a POST first; a POST with one comes behind the next
  truncate         the body ends in the middle
  client_state     another clientState
  signature        a dataSignature that does not fit
  certificate      an encryptionCertificateId that nobody has
  issuer           validation tokens of the other form of issuer
  outage           the endpoint cannot be reached; what waits too long ends in missed

Which calls and deliveries are hit follows from --seed and their order: a run that failed can be repeated.
A slow or dropping endpoint is made by heliograph deliveries state.`,
		Example: `  heliograph faults add throttled --method POST --path /v1.0/subscriptions --times 2 --retry-after 5s
  heliograph faults add drop --endpoint http://127.0.0.1:9090/ --share 0.3 --seed 7`,
		Args: cobra.ExactArgs(1),
	}
	flags := c.Flags()
	flags.StringVar(&f.App, "app", "", "only calls of this application id")
	flags.StringVar(&f.Method, "method", "", "only calls with this method")
	flags.StringVar(&f.Path, "path", "", "only calls below this path, such as /v1.0/subscriptions")
	flags.StringVar(&f.Endpoint, "endpoint", "", "only deliveries to URLs that begin so")
	flags.IntVar(&f.Skip, "skip", 0, "leave the first so many alone")
	flags.IntVar(&f.Times, "times", 0, "hit so many, then none (default: without end)")
	flags.Float64Var(&f.Share, "share", 1, "hit this part of them, 0 to 1")
	flags.Uint64Var(&f.Seed, "seed", 0, "what decides which")
	flags.DurationVar(&f.Delay, "delay", 0, "how long latency and delay hold up")
	flags.DurationVar(&f.RetryAfter, "retry-after", 0, "what throttled and unavailable say (default 10s)")
	c.RunE = func(c *cobra.Command, args []string) error {
		api, err := t.connect(to)
		if err != nil {
			return err
		}
		f.Kind = args[0]
		made, err := api.AddFault(c.Context(), f)
		if err != nil {
			return explain(err)
		}
		if t.asJSON() {
			return json.NewEncoder(t.Out).Encode(map[string]string{"id": made.ID, "kind": made.Kind})
		}
		t.printf("%s is in force: %s\n", made.Kind, made.ID)
		return nil
	}
	return c
}

func (t *tool) faultList(to *target) *cobra.Command {
	c := &cobra.Command{Use: "list", Short: "List the faults in force, and what they hit", Args: cobra.NoArgs}
	c.RunE = func(c *cobra.Command, _ []string) error {
		api, err := t.connect(to)
		if err != nil {
			return err
		}
		list, err := api.Faults(c.Context())
		if err != nil {
			return explain(err)
		}
		encoder := json.NewEncoder(t.Out)
		w := tabwriter.NewWriter(t.Out, 0, 8, 2, ' ', 0)
		for i := range list {
			f := &list[i]
			if t.asJSON() {
				if err := encoder.Encode(map[string]any{"id": f.ID, "kind": f.Kind, "seen": f.Seen, "hit": f.Hit}); err != nil {
					return err
				}
				continue
			}
			_, _ = fmt.Fprintf(w, "%s\t%s\thit %d of %d\t%s%s%s%s\n", f.ID, f.Kind, f.Hit, f.Seen, f.Endpoint, f.App, f.Method, f.Path)
		}
		return w.Flush()
	}
	return c
}

func (t *tool) faultClear(to *target) *cobra.Command {
	c := &cobra.Command{Use: "clear [ID…]", Short: "Take faults out of force: these, or all"}
	c.RunE = func(c *cobra.Command, args []string) error {
		api, err := t.connect(to)
		if err != nil {
			return err
		}
		if len(args) == 0 {
			return explainAny(api.ClearFaults(c.Context()))
		}
		for _, id := range args {
			if err := api.RemoveFault(c.Context(), id); err != nil {
				return explain(err)
			}
		}
		return nil
	}
	return c
}

func explainAny(err error) error {
	if err == nil {
		return nil
	}
	return explain(err)
}
