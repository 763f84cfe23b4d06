// Command heliograph runs Microsoft Graph's change-notification service, and speaks to one that runs. See
// heliograph help.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"heliograph.dev/internal/cli"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second interrupt ends the process at once
	return cli.Run(ctx, os.Args[1:], cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Environ: os.Environ()})
}
