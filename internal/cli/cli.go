// Package cli is the command line: one command a file, help text first. Commands that start a server use
// internal/app; the others speak to a running server through the public client, as anybody's program would.
//
// Exit codes: 0 done, 1 failed, 2 the command line is wrong.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"heliograph.dev/internal/clock"
	"heliograph.dev/internal/listen"
	"heliograph.dev/internal/telemetry"
)

// Streams are what a command reads and writes.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
	Environ  []string
}

func (s *Streams) getenv(name string) string {
	for _, entry := range slices.Backward(s.Environ) {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}

// tool is what the commands share.
type tool struct {
	Streams
	output string // --output
}

// usageError is a command line that is wrong.
type usageError struct{ error }

// Run runs the command that args name and returns its exit code.
func Run(ctx context.Context, args []string, streams Streams) int {
	t := &tool{Streams: streams}
	root := t.root() //nolint:contextcheck // cobra hands the context to the command that runs
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var usage usageError
	if code, is := errors.AsType[exitCode](err); is && err == error(code) { //nolint:errorlint // alone: what went wrong besides is told
		return int(code)
	}
	switch {
	case err == nil, errors.Is(err, errQuiet):
		return 0
	case errors.As(err, &usage):
		_, _ = fmt.Fprintf(t.Err, "heliograph: %v\n", err)
		return 2
	case errors.Is(err, errFailed): // told already
		return 1
	}
	_, _ = fmt.Fprintf(t.Err, "heliograph: %v\n", err)
	return 1
}

var (
	errQuiet  = errors.New("done")
	errFailed = errors.New("failed")
)

func (t *tool) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "heliograph",
		Short: "Microsoft Graph's change notifications, as a server that you run yourself",
		Long: `Heliograph is Microsoft Graph's change-notification service as a server that anyone can run: a client
subscribes to a resource, proves that its endpoint is its own, and gets every change of it.

Start with: heliograph demo`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetIn(t.In)
	root.SetOut(t.Out)
	root.SetErr(t.Err)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w\nSee: %s --help", err, c.CommandPath())}
	})
	root.PersistentFlags().StringVarP(&t.output, "output", "o", "text", "how to print: text or json")
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		if t.output != "text" && t.output != "json" {
			return usageError{fmt.Errorf("--output is text or json, not %q", t.output)}
		}
		return nil
	}
	root.AddCommand(
		t.demo(), t.dev(), t.serve(),
		t.subscriptions(), t.publish(), t.trigger(), t.deliveries(), t.listen(), t.clock(), t.lifecycle(), t.purge(), t.token(), t.cert(), t.takeover(),
		t.trust(), t.doctor(), t.faults(), t.scenario(),
		t.ready(), t.backup(), t.restore(), t.cluster(), t.config(), t.keys(), t.version(),
	)
	for _, c := range root.Commands() {
		unknownIsUsage(c)
	}
	return root
}

// unknownIsUsage makes wrong arguments an error of usage, for every command.
func unknownIsUsage(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return usageError{fmt.Errorf("%w\nSee: %s --help", err, c.CommandPath())}
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		unknownIsUsage(sub)
	}
}

func (t *tool) printf(format string, args ...any) { _, _ = fmt.Fprintf(t.Out, format, args...) }

func (t *tool) colors() bool { return listen.Colors(t.Out, t.getenv) }

func (t *tool) logger(level slog.Level, format string) *slog.Logger {
	return telemetry.NewLogger(t.Err, level, format)
}

func (t *tool) asJSON() bool { return t.output == "json" }

// now reads the machine's clock, for what is shown to a person.
func now() time.Time { return clock.System().Now() }

// isTerminal reports whether w is a terminal.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
