package cli

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"heliograph.dev/internal/app"
	"heliograph.dev/internal/config"
	"heliograph.dev/internal/localca"
	"heliograph.dev/internal/takeover"
)

// insideVariable tells the same command, started once more in a namespace, what it is there for.
const insideVariable = "HELIOGRAPH_TAKEOVER_INSIDE"

// exitCode is how a command ended that was run for the user.
type exitCode int

// Error says it as a shell's user would.
func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// also adds an error to another; an exit code stays one when there is none to add.
func also(err, more error) error {
	if more == nil {
		return err
	}
	return errors.Join(err, more)
}

func (t *tool) takeover() *cobra.Command {
	o := &taken{tool: t}
	c := &cobra.Command{
		Use:   "takeover [flags] -- COMMAND [ARGUMENTS]",
		Short: "Run a command that meets this server as graph.microsoft.com and login.microsoftonline.com",
		Long: `Run a command for which Microsoft's names lead to a development server: for an application that has
graph.microsoft.com and login.microsoftonline.com written into it. Nothing is changed on the machine.

On Linux the command runs in a namespace of its own, in which the names are on loopback, and trusts the server's authority
by the variables that Node.js, OpenSSL, Python, Java, .NET, Go, curl and git look at. Where there are no namespaces it is
told of a proxy (HTTPS_PROXY) that sends these names to the server; --with chooses.

The server is a development server of its own, on http also where heliograph dev is, so that the other commands find it;
with --server it is one that runs. heliograph takeover ends with the command's exit code.

For what cannot be started like this, a browser or a container, --print-hosts prints what to write.`,
		Example: `  heliograph takeover -- node app.js
  heliograph takeover --with proxy -- dotnet run
  heliograph takeover --server https://localhost:8443 -- python app.py
  heliograph takeover --print-hosts`,
		Args: cobra.ArbitraryArgs,
	}
	config.AddFlags(c.Flags(), config.Dev)
	f := c.Flags()
	f.StringVar(&o.server, "server", "", "the https address of a server that runs; left out: one of its own")
	f.StringVar(&o.with, "with", "auto", "how: auto, namespace or proxy")
	f.StringVar(&o.others, "others", "pass", "what the proxy does with other names: pass or refuse")
	f.BoolVar(&o.print, "print-hosts", false, "print what leads other things to the server, and run nothing")
	c.RunE = func(c *cobra.Command, args []string) error { return o.run(c, args) }
	return c
}

// taken is a takeover.
type taken struct {
	*tool

	server, with, others string
	print                bool

	cfg       *config.Config
	cloud     app.Cloud
	authority *localca.CA
	args      []string // the command
	dir       string   // for what is made
}

func (o *taken) run(c *cobra.Command, args []string) (err error) {
	switch {
	case o.with != "auto" && o.with != "namespace" && o.with != "proxy":
		return usageError{fmt.Errorf("--with is auto, namespace or proxy, not %q", o.with)}
	case o.others != "pass" && o.others != "refuse":
		return usageError{fmt.Errorf("--others is pass or refuse, not %q", o.others)}
	case len(args) == 0 && !o.print && o.getenv(insideVariable) == "":
		return usageError{errors.New("no command: write it after --, as in: heliograph takeover -- node app.js")}
	}
	o.args = args
	if err := o.configure(c); err != nil {
		return err
	}
	if inside := o.getenv(insideVariable); inside != "" {
		return o.inside(c.Context(), inside)
	}
	if o.authority, err = app.TakeoverAuthority(o.cfg); err != nil {
		return err
	}
	if o.print {
		return o.printHosts()
	}
	if o.server != "" {
		if o.server, err = o.running(c.Context()); err != nil {
			return err
		}
	}
	if o.dir, err = os.MkdirTemp("", "heliograph-takeover-"); err != nil {
		return err
	}
	defer func() { err = also(err, os.RemoveAll(o.dir)) }()
	return o.choose(c.Context())
}

// configure reads the settings of the server, as heliograph dev does.
func (o *taken) configure(c *cobra.Command) (err error) {
	if o.cfg, err = config.Load(config.Sources{Mode: config.Dev, Flags: c.Flags(), Environ: o.Environ}); err != nil {
		return err
	}
	if o.cfg.Origin("log.level") == "default" {
		o.cfg.Log.Level = slog.LevelWarn // the command has the terminal
	}
	if o.cloud, err = app.CloudOf(o.cfg); err != nil {
		return err
	}
	// Validation tokens come from whom the application expects.
	o.cfg.Tokens.Issuer = cmp.Or(o.cfg.Tokens.Issuer, o.cloud.Login)
	return o.cfg.Validate()
}

// choose runs the command in the way that there is.
func (o *taken) choose(ctx context.Context) error {
	if o.with != "proxy" {
		way, err := takeover.Find(ctx, os.Args, insideVariable, o.Environ)
		if err == nil && way.OwnNetwork && o.server != "" {
			err = errors.New("nobody but root may listen on port 443 here, and a command with a network of its own does not reach a server outside of it (leave out --server, or: sudo sysctl net.ipv4.ip_unprivileged_port_start=443)")
		}
		if err == nil {
			return o.enter(ctx, way)
		}
		if o.with == "namespace" {
			return err
		}
		o.say("%v\nIt is told of a proxy instead (HTTPS_PROXY), which not every client heeds; --print-hosts shows other ways.", err)
	}
	return o.proxy(ctx)
}

// enter starts this program once more, in a namespace.
func (o *taken) enter(ctx context.Context, way takeover.Way) error {
	var files []*os.File
	spec := inside{Dir: o.dir, Server: o.server, Way: way}
	if way.OwnNetwork && o.server == "" && o.cfg.Listen.HTTP != "" {
		// What is opened here stays here: the other commands reach the server by it.
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", string(o.cfg.Listen.HTTP))
		if err != nil {
			return fmt.Errorf("listen.http: %w (another server may be running there; --http off or another port avoids it)", err)
		}
		tcp, ok := l.(*net.TCPListener)
		if !ok {
			return errors.New("listen.http: no TCP")
		}
		file, err := tcp.File()
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }()
		spec.Listening, files = l.Addr().String(), append(files, file)
		if err := l.Close(); err != nil {
			return err
		}
	}
	code, err := way.Enter(ctx, &takeover.Command{
		Args: os.Args, Environ: takeover.SetEnv(o.Environ, insideVariable, spec.text()), In: o.In, Out: o.Out, Err: o.Err,
	}, files...)
	if err == nil && code != 0 {
		err = exitCode(code)
	}
	return err
}

// proxy runs the command with a proxy.
func (o *taken) proxy(ctx context.Context) (err error) {
	to, base := o.server, ""
	if to == "" {
		if o.cfg.Origin("listen.https") == "default" {
			o.cfg.Listen.HTTPS = "127.0.0.1:0"
		}
		server, err := o.start(ctx, nil)
		if err != nil {
			return err
		}
		defer func() { err = also(err, server.Stop(context.WithoutCancel(ctx))) }()
		to, base = server.SecureAddress(), server.URL()
	}
	p := &takeover.Proxy{Names: o.cloud.Hosts, Server: takeover.Loopback(to), PassOthers: o.others == "pass"}
	address, err := p.Start(ctx)
	if err != nil {
		return err
	}
	defer func() { err = also(err, p.Close()) }()
	environ, err := takeover.Trust(o.dir, o.authority.PEM(), takeover.ProxyEnv(o.Environ, address), now())
	if err != nil {
		return err
	}
	o.ready("by the proxy "+address, base)
	return o.command(ctx, environ, base)
}

// start starts a development server.
func (o *taken) start(ctx context.Context, listen func(context.Context, string) (net.Listener, error)) (*app.App, error) {
	format := o.cfg.Log.Format
	if format == "auto" {
		format = "text"
	}
	logger := o.logger(o.cfg.Log.Level, format)
	slog.SetLogLoggerLevel(slog.LevelDebug)
	return app.Start(ctx, app.Options{Config: o.cfg, Logger: logger, Version: buildInfo().Version, Listen: listen})
}

// command runs the command until it ends, or until ctx does, and returns its exit code as an error.
func (o *taken) command(ctx context.Context, environ []string, base string) error {
	if base != "" {
		environ = takeover.SetEnv(environ, "HELIOGRAPH_SERVER", base)
	}
	code, err := takeover.Run(ctx, &takeover.Command{Args: o.args, Environ: environ, In: o.In, Out: o.Out, Err: o.Err})
	if err == nil && code != 0 {
		err = exitCode(code)
	}
	return err
}

// ready tells what holds now, where the command's own output is not.
func (o *taken) ready(how, base string) {
	o.say("%s and %s lead to this server, %s", strings.TrimPrefix(o.cloud.Graph, "https://"), strings.TrimPrefix(o.cloud.Login, "https://"), how)
	if base != "" && base != defaultServer {
		o.say("other commands reach it with: export HELIOGRAPH_SERVER=%s", base)
	}
}

func (o *taken) say(format string, args ...any) {
	_, _ = fmt.Fprintf(o.Err, "heliograph: "+format+"\n", args...)
}

// running checks that a server answers by the cloud's names, and returns its address.
func (o *taken) running(ctx context.Context) (string, error) {
	u, err := url.Parse(o.server)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return "", usageError{fmt.Errorf("--server is the https address of a development server, such as https://localhost:8443, not %q", o.server)}
	}
	address := net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), takeover.Port))
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	name := o.cloud.Hosts[0]
	d := tls.Dialer{Config: &tls.Config{ServerName: name, RootCAs: o.authority.Trusting(), MinVersion: tls.VersionTLS12}}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return "", fmt.Errorf("the server at %s does not answer as %s with a certificate of %s: %w\nIs it a heliograph dev with the same --local-ca and --cloud?",
			address, name, o.authority.CertPath(), err)
	}
	return address, conn.Close()
}

// printHosts prints what leads other things to a server.
func (o *taken) printHosts() error {
	https := takeover.Loopback(string(o.cfg.Listen.HTTPS))
	if o.server != "" {
		u, err := url.Parse(o.server)
		if err != nil || u.Host == "" {
			return usageError{fmt.Errorf("%q is no address", o.server)}
		}
		https = u.Host
	}
	run, compose := takeover.ContainerLines(o.cloud.Hosts, o.authority.CertPath())
	profile := filepath.Join(os.TempDir(), "heliograph-browser")
	o.printf(`# Run heliograph dev first. Its certificate for these names is of this authority, which is for processes that you tell of
# it, never for a whole machine:
#   %s

# A browser of Chromium's family, in a profile of its own (no hosts file, no root):
%s

# Where port %s of the host leads to the server (heliograph dev --https :443, as root), for /etc/hosts:
%s
# for a container:
%s

# and for a service of a Compose file:
%s`, o.authority.CertPath(), takeover.BrowserLine(o.cloud.Hosts, https, profile, o.authority.Certificate()), takeover.Port,
		takeover.HostsLines("127.0.0.1", o.cloud.Hosts), run, compose)
	return nil
}
