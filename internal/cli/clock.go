package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"heliograph.dev/client"
)

func (t *tool) clock() *cobra.Command {
	c := &cobra.Command{
		Use:   "clock",
		Short: "Show and move the time that a development server lives in",
		Long: `A server that runs as heliograph dev has a clock of its own. It can be moved forward, stand still, and run faster:
every timer of the server obeys, such as expiries, lifecycle notifications, retries and the life of the tokens that it
issues. What waits for a moment on the way happens at its moment, in order, before a move ends.

The clock never goes back, and is remembered with --data. A server in production (serve) lives in the machine's time.`,
		Example: `  heliograph clock
  heliograph clock advance 70h
  heliograph clock advance 3d --pause 200ms
  heliograph clock set 2027-01-01T00:00:00Z
  heliograph clock run --speed 60`,
		Args: cobra.NoArgs,
	}
	to := t.serverFlags(c)
	c.RunE = t.clockCommand(to, func(ctx context.Context, api *client.Client, _ []string) (client.Clock, error) { return api.Clock(ctx) })
	c.AddCommand(t.clockAdvance(to), t.clockSet(to), t.clockFreeze(to), t.clockRun(to))
	return c
}

// clockCommand does something with the server's clock and shows it.
func (t *tool) clockCommand(to *target, do func(context.Context, *client.Client, []string) (client.Clock, error)) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		api, err := t.connect(to)
		if err != nil {
			return err
		}
		now, err := do(c.Context(), api, args)
		if usage, isUsage := err.(usageError); isUsage { //nolint:errorlint // made by do, never wrapped
			return usage
		}
		if err != nil {
			return explain(err)
		}
		return t.showClock(&now)
	}
}

const pauseUsage = "how long, in real time, a moment lasts at which a receiver was told something: it can answer then"

func (t *tool) clockAdvance(to *target) *cobra.Command {
	var pause time.Duration
	c := &cobra.Command{
		Use:   "advance SPAN",
		Short: "Move the clock forward by a time span (70h, 3d)",
		Args:  cobra.ExactArgs(1),
		RunE: t.clockCommand(to, func(ctx context.Context, api *client.Client, args []string) (client.Clock, error) {
			by, err := span(args[0])
			if err != nil {
				return client.Clock{}, err
			}
			return api.AdvanceClock(ctx, by, pause)
		}),
	}
	c.Flags().DurationVar(&pause, "pause", 0, pauseUsage)
	return c
}

func (t *tool) clockSet(to *target) *cobra.Command {
	var pause time.Duration
	c := &cobra.Command{
		Use:   "set TIME",
		Short: "Move the clock forward to a moment (2027-01-01T00:00:00Z)",
		Args:  cobra.ExactArgs(1),
		RunE: t.clockCommand(to, func(ctx context.Context, api *client.Client, args []string) (client.Clock, error) {
			moment, err := time.Parse(time.RFC3339, args[0])
			if err != nil {
				return client.Clock{}, usageError{fmt.Errorf("%q is no moment such as 2027-01-01T00:00:00Z", args[0])}
			}
			return api.SetClock(ctx, moment, pause)
		}),
	}
	c.Flags().DurationVar(&pause, "pause", 0, pauseUsage)
	return c
}

func (t *tool) clockFreeze(to *target) *cobra.Command {
	return &cobra.Command{
		Use:   "freeze",
		Short: "Let the clock stand still",
		Args:  cobra.NoArgs,
		RunE: t.clockCommand(to, func(ctx context.Context, api *client.Client, _ []string) (client.Clock, error) {
			return api.FreezeClock(ctx)
		}),
	}
}

func (t *tool) clockRun(to *target) *cobra.Command {
	var speed float64
	c := &cobra.Command{
		Use:   "run",
		Short: "Let the clock run, from where it stands",
		Args:  cobra.NoArgs,
		RunE: t.clockCommand(to, func(ctx context.Context, api *client.Client, _ []string) (client.Clock, error) {
			return api.RunClock(ctx, speed)
		}),
	}
	c.Flags().Float64Var(&speed, "speed", 1, "how fast: 1 is the machine's, 60 is an hour a minute")
	return c
}

func (t *tool) showClock(c *client.Clock) error {
	if t.asJSON() {
		return json.NewEncoder(t.Out).Encode(c)
	}
	w := tabwriter.NewWriter(t.Out, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintf(w, "now\t%s\n", c.Now.Format(time.RFC3339))
	_, _ = fmt.Fprintf(w, "ahead\t%s\n", c.Offset)
	switch {
	case !c.Movable:
		_, _ = fmt.Fprintf(w, "speed\tthe machine's\n")
	case c.Frozen:
		_, _ = fmt.Fprintf(w, "speed\tit stands still\n")
	default:
		_, _ = fmt.Fprintf(w, "speed\t%v\n", c.Speed)
	}
	if !c.Next.IsZero() {
		_, _ = fmt.Fprintf(w, "next\t%s\n", c.Next.Format(time.RFC3339))
	}
	if c.Hasty > 0 {
		_, _ = fmt.Fprintf(w, "hasty\t%d times it went on before all was done\n", c.Hasty)
	}
	return w.Flush()
}
