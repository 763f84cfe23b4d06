package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"heliograph.dev/internal/scenario"
)

func (t *tool) scenario() *cobra.Command {
	var junit string
	c := &cobra.Command{
		Use:   "scenario FILE…",
		Short: "Run a story from a file: let things happen, and expect what the application makes of them",
		Long: `Run scenarios against a development server, one after the other. A scenario is a YAML file with steps: wait for the
application's subscription, trigger changes, move the clock, make things go wrong, expect deliveries, renewals and
lifecycle notifications. The first step that fails ends a scenario; what it made go wrong goes right again at its end.

Exit code 1 says that one failed. docs/guide/scenarios.md describes the steps.`,
		Example: `  heliograph scenario mail.yaml
  heliograph scenario tests/*.yaml --junit report.xml`,
		Args: cobra.MinimumNArgs(1),
	}
	to := t.serverFlags(c)
	c.Flags().StringVar(&junit, "junit", "", "write the results as JUnit's XML into this file too")
	c.RunE = func(c *cobra.Command, args []string) error {
		stories := make([]*scenario.Scenario, len(args))
		for i, name := range args { // all are read before the first runs
			text, err := os.ReadFile(name) //nolint:gosec // the user names it
			if err != nil {
				return err
			}
			if stories[i], err = scenario.Parse(text); err != nil {
				return usageError{fmt.Errorf("%s: %w", name, err)}
			}
			if stories[i].Name == "" {
				stories[i].Name = name
			}
		}
		reports, err := t.runScenarios(c.Context(), to, stories)
		if err != nil {
			return err
		}
		return t.writeJUnit(junit, reports)
	}
	return c
}

func (t *tool) runScenarios(ctx context.Context, to *target, stories []*scenario.Scenario) ([]*scenario.Report, error) {
	api, err := t.connect(to)
	if err != nil {
		return nil, err
	}
	if _, err := api.Clock(ctx); err != nil {
		return nil, explain(err)
	}
	var reports []*scenario.Report
	for _, s := range stories {
		o := scenario.Options{API: api, Now: now}
		if !t.asJSON() {
			t.printf("%s\n", s.Name)
			o.Saw = t.showStep
		}
		r := scenario.Run(ctx, s, o)
		reports = append(reports, r)
		if t.asJSON() {
			if err := json.NewEncoder(t.Out).Encode(r); err != nil {
				return nil, err
			}
		}
	}
	return reports, ctx.Err()
}

func (t *tool) writeJUnit(name string, reports []*scenario.Report) error {
	if name != "" {
		if err := writeFile(name, func(w io.Writer) error { return scenario.WriteJUnit(w, reports) }); err != nil {
			return err
		}
	}
	for _, r := range reports {
		if !r.Passed {
			return errFailed
		}
	}
	return nil
}

// writeFile makes a file, or replaces it, with what write writes.
func writeFile(name string, write func(io.Writer) error) error {
	file, err := os.Create(name) //nolint:gosec // the user names it
	if err != nil {
		return err
	}
	return errors.Join(write(file), file.Close())
}

func (t *tool) showStep(r scenario.Result) {
	mark, colour := "✔", "32"
	switch {
	case r.Left:
		mark, colour = "-", "2"
	case !r.Passed:
		mark, colour = "✘", "31"
	}
	if t.colors() {
		mark = "\x1b[" + colour + "m" + mark + "\x1b[0m"
	}
	t.printf("  %s %-22s %s\n", mark, r.Kind, r.About)
	if r.Why != "" {
		t.printf("    line %d: %s\n", r.Line, r.Why)
	}
}
