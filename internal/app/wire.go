package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/catalog"
	"heliograph.dev/internal/deliver"
	"heliograph.dev/internal/deliveries"
	"heliograph.dev/internal/engine"
	"heliograph.dev/internal/fixture"
	"heliograph.dev/internal/httpapi"
	"heliograph.dev/internal/identity"
	"heliograph.dev/internal/identity/devissuer"
	"heliograph.dev/internal/ingest"
	"heliograph.dev/internal/localca"
	"heliograph.dev/internal/match"
	"heliograph.dev/internal/objects"
	"heliograph.dev/internal/outbound"
	"heliograph.dev/internal/pulse"
	"heliograph.dev/internal/retry"
	"heliograph.dev/internal/seal/vault"
	"heliograph.dev/internal/signin"
	"heliograph.dev/internal/subscribe"
	"heliograph.dev/internal/telemetry"
	"heliograph.dev/internal/telemetry/trace"
)

// parts are what a running server is made of.
type parts struct {
	metrics       *telemetry.Metrics
	lines         *telemetry.Lines
	endings       endings
	tracer        *trace.Tracer // nil when nothing is traced
	catalog       *catalog.Catalog
	vault         *vault.Vault
	engine        *engine.Engine
	index         *match.Index
	registry      *subscribe.Registry
	watch         *engine.Watch
	outbound      *outbound.Client
	subscriptions *subscribe.Service
	deliveries    *deliveries.Book
	pulse         *pulse.Book
	workshop      *workshop
	peers         *peers
	ingest        *ingest.Ingest
	sealer        *sealer
	trouble       *trouble // nil in serve
	issuer        *devissuer.Issuer
	verifier      *identity.Verifier
	gate          *signin.Gate // nil where nobody signs in
	api           *httpapi.API
	objects       *objects.Store // nil when nothing can be read
}

// wire starts everything, in the order in which things need each other. The log of it is the server's inventory.
func (a *App) wire(ctx context.Context) error {
	for _, s := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"listen", a.listen},
		{"find the data folder", a.dataDir},
		{"set the clock", a.setClock},
		{"set up telemetry", a.setUpTelemetry},
		{"load the catalog", a.loadCatalog},
		{"open the engine", a.openEngine},
		{"build the index", a.buildIndex},
		{"keep the keys", a.keepKeys},
		{"load the local authority", a.loadAuthority},
		{"set up outbound calls", a.setUpOutbound},
		{"set up subscriptions", a.setUpSubscriptions},
		{"set up sealing", a.setUpSealing},
		{"start delivery", a.startDelivery},
		{"start ingest", a.startIngest},
		{"set up identity", a.setUpIdentity},
		{"set up signing in", a.setUpSignIn},
		{"set up the API", a.setUpAPI},
		{"show the levels", a.showLevels},
		{"watch the work", a.watchWork},
		{"start the upkeep", a.startUpkeep},
		{"answer requests", a.answer},
		{"start drives", a.startDrives},
	} {
		if err := s.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

func (a *App) loadCatalog(context.Context) (err error) {
	a.parts.catalog, err = loadRules(&a.cfg.Catalog)
	return err
}

func (a *App) openEngine(ctx context.Context) error {
	opts, err := engineOptions(&a.cfg)
	if err != nil {
		return err
	}
	opts.Vault, opts.Logger, opts.Now = a.openVault, a.log, a.clock.Now
	if a.parts.engine, err = engine.Open(ctx, opts); err != nil {
		return err
	}
	a.life.started("engine", a.parts.engine.Close)
	return nil
}

func (a *App) buildIndex(ctx context.Context) error {
	a.parts.index = match.New(a.parts.catalog)
	a.parts.registry = subscribe.NewRegistry(subscribe.PlanOf(a.parts.catalog), sink{a.parts.catalog, a.parts.index, &a.delivering, a.log}, a.log)
	watch, err := a.parts.engine.Watch(ctx, a.parts.registry.Apply)
	if err != nil {
		return err
	}
	a.parts.watch = watch
	a.life.started("subscription watch", func(context.Context) error {
		watch.Close()
		return nil
	})
	select {
	case <-watch.Ready():
		return nil
	case <-watch.Done():
		return watch.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// loadAuthority loads the local authority, or makes it, where https is answered without a certificate of one's own.
func (a *App) loadAuthority(context.Context) (err error) {
	if a.https == nil || a.cfg.TLS.Certificate != "" {
		return nil
	}
	if a.authority, err = localca.Load(a.cfg.TLS.LocalCA, time.Now()); err == nil {
		a.takeover, err = TakeoverAuthority(&a.cfg)
	}
	return err
}

func (a *App) setUpOutbound(context.Context) error {
	opts := outbound.Options{
		AllowLoopback: a.cfg.Outbound.AllowLoopback, AllowHTTP: a.cfg.Outbound.AllowLoopback,
		AllowPrefixes: a.cfg.Outbound.Allow, DenyPrefixes: a.cfg.Outbound.Deny, HTTP2: a.cfg.Outbound.HTTP2, Now: a.clock.Now, Trace: a.isDev(),
	}
	if a.cfg.Outbound.CA != "" {
		var err error
		if opts.RootCAs, err = certPool(a.cfg.Outbound.CA); err != nil {
			return err
		}
	} else if a.authority != nil { // a receiver on this machine may have a certificate of it
		opts.RootCAs = a.authority.Trusting()
	}
	a.parts.outbound = outbound.New(opts)
	a.life.started("outbound connections", func(context.Context) error {
		a.parts.outbound.Close()
		return nil
	})
	return nil
}

func (a *App) setUpSubscriptions(ctx context.Context) error {
	key, err := subscribe.TokenKey(ctx, a.parts.engine)
	if err != nil {
		return err
	}
	a.parts.subscriptions = subscribe.New(subscribe.Options{
		Catalog: a.parts.catalog, Store: records{a.parts.engine, a}, Index: a.parts.watch, Registry: a.parts.registry,
		Endpoints: endpoints{a.parts.outbound}, Clock: a.clock, Strict: a.cfg.Catalog.StrictPermissions,
		ProveRenewals: a.cfg.Catalog.ProveRenewals, TokenKey: key, Scan: a.scan, Notices: notices{a}, Owns: a.owns, Logger: a.log,
	})
	mended, err := a.parts.subscriptions.Settle(ctx)
	if mended > 0 {
		a.log.InfoContext(ctx, "subscriptions counted anew for their quotas", "counters", mended)
	}
	return err
}

func (a *App) startDelivery(ctx context.Context) error {
	if a.isDev() {
		a.makeTrouble()
	}
	a.parts.endings = newEndings()
	a.life.background(ctx, "ends of missed notices", func(ctx context.Context) { a.parts.endings.run(ctx, a.heard) })
	a.parts.deliveries = deliveries.New(deliveries.DefaultLimits(), a.clock.Now)
	a.parts.pulse = pulse.New(pulse.DefaultLimits(), a.real.Now)
	a.parts.workshop = &workshop{app: a, on: map[int]*deliver.Dispatcher{}}
	a.delivering.Store(a.parts.workshop)
	a.parts.peers = &peers{engine: a.parts.engine, node: a.node()}
	if a.parts.engine.Clustered() {
		return a.joinOthers(ctx)
	}
	a.life.started("delivery", a.parts.workshop.stop)
	for p := range a.parts.engine.Partitions() {
		if err := a.parts.workshop.start(ctx, p, engine.Epoch{}, nil); err != nil {
			return err
		}
	}
	return nil
}

func (a *App) startIngest(context.Context) error {
	a.parts.ingest = ingest.New(ingest.Options{
		Log: a.writing(), Gate: a.parts.workshop, Partitions: a.parts.engine.Partitions(),
		Size: engine.ChangeSize, MaxFrame: engine.MaxFrame - engine.FrameOverhead,
		MaxWaiting: 32 << 20, WriteTimeout: 30 * time.Second,
	})
	a.life.started("ingest", func(context.Context) error {
		a.parts.ingest.Stop()
		return nil
	})
	return nil
}

func (a *App) setUpIdentity(context.Context) error {
	audiences := a.cfg.Identity.Audiences
	if len(audiences) == 0 {
		audiences = a.parts.catalog.Cloud().Audiences()
	}
	opts := identity.Options{
		Audiences: audiences, Own: heliograph.AppID(a.cfg.Pages.ClientID), Now: a.clock.Now, AllowHTTP: a.cfg.Identity.AllowHTTP, Logger: a.log,
	}
	for _, i := range a.cfg.Identity.Issuers {
		opts.Issuers = append(opts.Issuers, identity.Issuer{URL: i.URL, Tenant: i.Tenant})
	}
	if a.isDev() {
		if err := a.makeIssuer(); err != nil {
			return err
		}
		opts.Local = a.parts.issuer
	}
	var err error
	if a.parts.verifier, err = identity.New(opts); err != nil {
		return err
	}
	a.life.started("token verifier", func(context.Context) error {
		a.parts.verifier.Close()
		return nil
	})
	return nil
}

func (a *App) makeIssuer() error {
	application, delegated := a.permissions()
	cloud := a.parts.catalog.Cloud()
	opts := devissuer.Options{
		Audience: cloud.Graph, Login: devissuer.LoginService{Hosts: cloud.LoginHosts, V1: cloud.V1}, DefaultTenant: a.cfg.Identity.Tenant, ApplicationPermissions: application, DelegatedPermissions: delegated,
		TrustedProxies: a.cfg.Listen.TrustedProxies, Now: a.clock.Now, Logger: a.log, OtherKeys: a.parts.sealer.certificates,
	}
	if opts.Keys = a.opts.IssuerKeys; opts.Keys == nil && a.cfg.Data != "" {
		opts.KeyFile = filepath.Join(a.cfg.Data, "issuer-keys.json")
	}
	for _, app := range a.cfg.Identity.Applications {
		opts.Applications = append(opts.Applications, devissuer.Application{ID: app.ID, Name: app.Name, Secret: app.Secret, Roles: app.Roles, RedirectURIs: app.RedirectURIs})
	}
	for _, u := range a.cfg.Identity.Users {
		opts.Users = append(opts.Users, devissuer.User{
			Tenant: u.Tenant, UPN: u.UPN, Object: u.ID, Name: u.Name, Password: u.Password, Roles: u.Roles, DirectoryRoles: u.DirectoryRoles,
		})
	}
	var err error
	if a.parts.issuer, err = devissuer.New(opts); err != nil {
		return err
	}
	a.life.started("development issuer", func(context.Context) error {
		a.parts.issuer.Close()
		return nil
	})
	return nil
}

func (a *App) setUpAPI(ctx context.Context) error {
	looking := a.control()
	opts := httpapi.Options{
		Authenticator: a.parts.verifier, Subscriptions: listing{a.parts.subscriptions, a}, Handshakes: handshakes{a.parts.subscriptions.Handshakes(), a.parts.peers}, Advice: a.advice,
		Deliveries: looking, Follower: looking, Changes: looking, Pulse: a.parts.pulse,
		Backups: backups{a.parts.engine, a.opts.Version}, Endpoints: looking, MayForce: a.isDev(), Outlines: a.parts.subscriptions,
		Resources: a.parts.catalog, Ingest: a.accepting(), Ready: a.ready, Metrics: a.parts.metrics.Registry(), Profiler: telemetry.Profiler(),
		TrustedProxies: a.cfg.Listen.TrustedProxies, Node: a.node(), Version: a.opts.Version,
		Limits: httpapi.Limits{
			PublishBytes: int(a.cfg.Publish.MaxRequestBytes), EventBytes: int(a.cfg.Publish.MaxEventBytes),
			Events: a.cfg.Publish.MaxBatchEvents,
		},
		Now: a.clock.Now, Logger: a.log,
	}
	if a.parts.engine.Clustered() {
		opts.Cluster = looking
	}
	if a.isDev() {
		opts.Faults = a.parts.trouble
		opts.Minter = minter{a.parts.issuer}
		opts.Next, opts.OtherName = a.parts.issuer, a.parts.issuer.OtherName
		opts.AuthorizationURI = devissuer.AuthorizationURI
	} else {
		opts.Next = a.parts.sealer // publishes the keys of validation tokens
	}
	if err := a.setUpPages(&opts); err != nil {
		return err
	}
	if a.cfg.Publish.Triggers {
		own, err := ownFiles(&a.cfg.Catalog)
		if err != nil {
			return err
		}
		if opts.Triggers, err = fixture.Load(a.parts.catalog, own...); err != nil {
			return err
		}
	}
	purges := &purger{app: a, begun: make(chan struct{}, 1)}
	a.life.background(ctx, "purges", purges.run)
	opts.Purger = purges
	opts.Access, opts.Provoker = a.parts.subscriptions, a.parts.subscriptions
	if a.movable != nil {
		opts.Clock = a.movable
	}
	if a.cfg.Objects.Read {
		var err error
		if opts.Objects, err = a.startObjects(ctx); err != nil {
			return err
		}
	}
	if a.cfg.API.Limits {
		opts.Throttle = newThrottle(a.parts.catalog.Profile(), a.real)
	}
	var err error
	a.parts.api, err = httpapi.New(opts)
	return err
}

// answer begins to answer requests: from here on the server is ready.
func (a *App) answer(ctx context.Context) error {
	answers := a.answers()
	a.operate(ctx, answers)
	defer a.life.started("event streams", func(context.Context) error { // before the servers, which wait for them
		a.parts.api.EndStreams()
		return nil
	})
	if a.http != nil {
		a.serve(ctx, "http", a.http, answers)
	}
	if a.https == nil {
		return nil
	}
	certificate, err := a.certificate()
	if err != nil {
		return err
	}
	a.serve(ctx, "https", tls.NewListener(a.https, &tls.Config{
		GetCertificate: certificate, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
	}), answers)
	return nil
}

// certificate is the configured one, or the local authority's.
func (a *App) certificate() (func(*tls.ClientHelloInfo) (*tls.Certificate, error), error) {
	if a.cfg.TLS.Certificate != "" {
		pair, err := tls.LoadX509KeyPair(a.cfg.TLS.Certificate, a.cfg.TLS.Key)
		if err != nil {
			return nil, err
		}
		a.noteCertificate(&pair)
		return func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &pair, nil }, nil
	}
	hosts := a.parts.catalog.Cloud().Hosts()
	return func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		authority := a.authority
		if slices.Contains(hosts, strings.ToLower(hello.ServerName)) {
			authority = a.takeover
		}
		leaf, err := authority.Leaf(time.Now())
		return &leaf, err
	}, nil
}

func certPool(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path) //nolint:gosec // the operator names it
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate in PEM", path)
	}
	return pool, nil
}

func retryPolicy(p *catalog.Profile) retry.Policy {
	return retry.Policy{
		First: p.Backoff.First, Max: p.Backoff.Max, Factor: p.Backoff.Factor, Jitter: p.Backoff.Jitter,
		Window: p.RetryWindow, FirstTimeout: p.FirstTimeout, Timeout: p.RetryTimeout, MaxRetryAfter: p.Backoff.Max,
	}
}
