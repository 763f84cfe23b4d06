// Package app puts a server together: it is the only package that knows all the others. Start wires and starts
// everything in one straight line (wire.go reads top to bottom as the server's inventory); Stop undoes it in
// the opposite order, within a bound.
//
// A program may run several servers: nothing here is global. heliograph dev and serve run one each, demo runs
// one inside its story, and tests run many.
package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"heliograph.dev/internal/clock"
	"heliograph.dev/internal/config"
	"heliograph.dev/internal/httpapi"
	"heliograph.dev/internal/identity/devissuer"
	"heliograph.dev/internal/localca"
	"heliograph.dev/internal/subscribe"
)

// Options says what a server is to be.
type Options struct {
	Config *config.Config
	Logger *slog.Logger
	// Clock is every timer's clock; nil means the machine's, or in development one that can be moved.
	Clock clock.Clock
	// IssuerKeys are what a development server signs its tokens with, made by devissuer.MakeKeys. Nil: it has its own.
	IssuerKeys []byte
	// Version names the build.
	Version string
	// Listen opens an address (host:port). Nil: as TCP.
	Listen func(ctx context.Context, address string) (net.Listener, error)
}

// App is a running server.
type App struct {
	opts  Options
	cfg   config.Config
	log   *slog.Logger
	clock clock.Clock
	// real goes on when clock is moved or stands still: it is for what happens to files and for the pace of callers.
	real    clock.Clock
	movable *clock.Movable // clock, where it can be moved; else nil
	life    lifecycle

	parts parts  // what wire.go put together
	name  string // among those that share the store; node() says it
	// delivering is the workshop once there is one: the subscriptions are watched before.
	delivering atomic.Pointer[workshop]

	http, https net.Listener
	operations  net.Listener              // nil when there is no such address
	tlsEnds     atomic.Pointer[time.Time] // when the certificate of https ends, if it is not our own authority's
	authority   *localca.CA               // nil when it is not needed
	takeover    *localca.CA               // for Microsoft's names; nil when authority is
	failed      chan error                // buffered: the first reason why the server cannot go on
}

// Start starts a server and returns when it answers. When it fails, nothing of it is left.
func Start(ctx context.Context, opts Options) (*App, error) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	own := cmp.Or(opts.Clock, clock.System())
	a := &App{opts: opts, cfg: *opts.Config, log: opts.Logger, clock: own, real: own, failed: make(chan error, 1)}
	if err := a.wire(ctx); err != nil {
		return nil, errors.Join(err, a.Stop(context.WithoutCancel(ctx)))
	}
	return a, nil
}

// Failed gets the reason when a running server cannot go on: it is to be stopped then, and may be started again.
func (a *App) Failed() <-chan error { return a.failed }

// fail tells that the server cannot go on.
func (a *App) fail(err error) {
	select {
	case a.failed <- err:
	default: // one reason is enough
	}
}

// Stop ends the server within the configured grace: requests and POSTs under way come to their end, the rest is
// on disk. It may be called more than once.
func (a *App) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, a.cfg.ShutdownGrace)
	defer cancel()
	return a.life.stop(ctx)
}

// URL returns the server's base URL over http, or over https when it does not answer on http.
func (a *App) URL() string {
	if a.http != nil {
		return "http://" + a.http.Addr().String()
	}
	return a.SecureURL()
}

// SecureURL returns the base URL over https, or "" when there is none.
func (a *App) SecureURL() string {
	if a.https == nil {
		return ""
	}
	_, port, err := net.SplitHostPort(a.https.Addr().String())
	if err != nil {
		return ""
	}
	return "https://localhost:" + port
}

// SecureAddress returns where https is answered, or "".
func (a *App) SecureAddress() string {
	if a.https == nil {
		return ""
	}
	return a.https.Addr().String()
}

// OperationsURL returns the base URL of the operators' address, or "" when there is none.
func (a *App) OperationsURL() string {
	if a.operations == nil {
		return ""
	}
	return "http://" + a.operations.Addr().String()
}

// CACertificate returns the path of the local authority's certificate, or "" when there is none.
func (a *App) CACertificate() string {
	if a.authority == nil {
		return ""
	}
	return a.authority.CertPath()
}

// DataDir returns the folder that keeps everything, or "" with an engine elsewhere.
func (a *App) DataDir() string { return a.cfg.Data }

// Issuer returns the development issuer, or nil.
func (a *App) Issuer() *devissuer.Issuer { return a.parts.issuer }

// Subscriptions returns the service behind the Graph API.
func (a *App) Subscriptions() *subscribe.Service { return a.parts.subscriptions }

// dataDir sees to a folder for the data: dev without one uses a temporary one and removes it at the end.
func (a *App) dataDir(context.Context) error {
	if a.cfg.Data != "" {
		return os.MkdirAll(a.cfg.Data, 0o700)
	}
	if a.cfg.NATS.URL != "" && !a.isDev() && len(a.cfg.Drives) == 0 {
		return nil
	}
	dir, err := os.MkdirTemp("", "heliograph-")
	if err != nil {
		return fmt.Errorf("make a temporary data folder: %w", err)
	}
	a.cfg.Data = dir
	a.life.started("temporary data folder", func(context.Context) error { return os.RemoveAll(dir) })
	return nil
}

// listen opens the addresses before anything expensive begins, so that a taken port is told at once.
func (a *App) listen(ctx context.Context) error {
	for _, l := range []struct {
		to      *net.Listener
		address config.Address
		key     string
	}{{&a.http, a.cfg.Listen.HTTP, "listen.http"}, {&a.https, a.cfg.Listen.HTTPS, "listen.https"}, {&a.operations, a.cfg.Listen.Operations, "listen.operations"}} {
		if l.address == "" {
			continue
		}
		opened, err := a.open(ctx, string(l.address))
		if err != nil {
			return fmt.Errorf("%s: %w (another server may be running there; %s=off or another port avoids it)", l.key, err, l.key)
		}
		*l.to = opened
		a.life.started(l.key, func(context.Context) error {
			if err := opened.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
				return err
			}
			return nil
		})
	}
	return nil
}

func (a *App) open(ctx context.Context, address string) (net.Listener, error) {
	if a.opts.Listen != nil {
		return a.opts.Listen(ctx, address)
	}
	return new(net.ListenConfig).Listen(ctx, "tcp", address)
}

// serve answers requests on a listener until the server stops.
func (a *App) serve(ctx context.Context, name string, l net.Listener, handler http.Handler) {
	server := httpapi.NewServer(handler, a.log)
	a.life.background(ctx, name, func(ctx context.Context) {
		if err := httpapi.Serve(ctx, server, l, a.cfg.ShutdownGrace); err != nil {
			a.fail(fmt.Errorf("answer on %s: %w", name, err))
		}
	})
}
