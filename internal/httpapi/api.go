package httpapi

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"heliograph.dev"
	"heliograph.dev/internal/faults"
	"heliograph.dev/internal/health"
	"heliograph.dev/internal/subscribe"
)

// Authenticator tells who sent a request.
type Authenticator interface {
	// Authenticate returns the caller that the value of an Authorization header stands for, or an error of kind
	// Unauthenticated or Unavailable. The caller is shared: nobody changes it.
	Authenticate(ctx context.Context, authorization string) (*heliograph.Caller, error)
}

// Subscriptions are what the Graph API is about. A subscription that the caller may not see is NotFound.
type Subscriptions interface {
	Create(ctx context.Context, caller *heliograph.Caller, r subscribe.CreateRequest) (*heliograph.Subscription, error)
	Get(ctx context.Context, caller *heliograph.Caller, id heliograph.SubscriptionID) (*heliograph.Subscription, error)
	List(ctx context.Context, caller *heliograph.Caller, r subscribe.ListRequest) (subscribe.List, error)
	Update(ctx context.Context, caller *heliograph.Caller, id heliograph.SubscriptionID, r subscribe.UpdateRequest) (*heliograph.Subscription, error)
	Delete(ctx context.Context, caller *heliograph.Caller, id heliograph.SubscriptionID) error
	Reauthorize(ctx context.Context, caller *heliograph.Caller, id heliograph.SubscriptionID) (*heliograph.Subscription, error)
}

// Resources knows what can change.
type Resources interface {
	// CanonicalChange returns the canonical path of a changed instance, or an error when no resource is like it.
	CanonicalChange(path string) (string, error)
}

// Ingest takes changes in.
type Ingest interface {
	// Accept returns when the changes are on disk. It takes all or none.
	Accept(ctx context.Context, changes []heliograph.Change) error
}

// Throttle bounds how often an application calls.
type Throttle interface {
	// Take counts a caller's call of a family (write, reauthorize, get or list: contract 15.1 to 15.4), or returns an
	// error of kind Limited.
	Take(caller *heliograph.Caller, family string) error
}

// Handshakes remembers how endpoints proved themselves, or did not.
type Handshakes interface {
	// Get returns a handshake that the caller may see, List all of them, the latest first.
	Get(caller *heliograph.Caller, id heliograph.GUID) (subscribe.Handshake, bool)
	List(caller *heliograph.Caller) []subscribe.Handshake
}

// Check is one thing that must be well before the server can do its work.
type Check struct {
	Name string
	// Roles are what it is needed for: publish, deliver, api.
	Roles []string
	Err   error // nil: it is well
}

// Options say what an API works with and how generous it is.
type Options struct {
	Authenticator Authenticator
	Subscriptions Subscriptions
	Resources     Resources
	Ingest        Ingest
	// Handshakes is the book behind GET /control/v1/handshakes. Nil: there are no such routes.
	Handshakes Handshakes
	// Clock is the time that the server lives in, where it can be moved. Nil: it is the machine's.
	Clock Clock
	// Faults are what operators may make go wrong on purpose. Nil: there are no such routes.
	Faults Faults
	// Access hears of lost and restored access, Provoker sends lifecycle notifications at will. Nil: there are no such
	// routes.
	Access   Access
	Provoker Provoker
	// Purger forgets tenants and users. Nil: there are no such routes.
	Purger Purger
	// Throttle bounds the calls of the Graph API. Nil: there is no bound.
	Throttle Throttle
	// Minter makes tokens for POST /control/v1/tokens. Nil: there is no such route.
	Minter Minter
	// Objects are what was published. Nil: it cannot be read.
	Objects Objects
	// Triggers makes changes up for POST /control/v1/trigger. Nil: there is no such route.
	Triggers Triggers
	// OtherName returns the object id of a user that is named by a principal name, and the other way round, or nothing.
	// May be nil.
	OtherName func(tenant heliograph.TenantID, user string) string
	// Deliveries is behind GET /control/v1/deliveries and its kin, Endpoints behind /control/v1/endpoints. Nil: there
	// are no such routes.
	Deliveries Deliveries
	Endpoints  Endpoints
	// Outlines is behind GET /control/v1/subscriptions. Nil: there are no such routes.
	Outlines Outlines
	// Follower is behind GET /control/v1/events, Changes behind /control/v1/changes, Pulse behind /control/v1/pulse and
	// /control/v1/endpoints/history. Nil: there are no such routes.
	Follower Follower
	Changes  Changes
	Pulse    Pulse
	// Health are the rules by which endpoints are judged.
	Health health.Rules
	// Backups is behind GET /control/v1/backup. Nil: there is no such route.
	Backups Backups
	// Pages is what a browser is shown at /. Nil: a list of addresses.
	Pages http.Handler
	// MayForce lets operators force the state of an endpoint.
	MayForce bool
	// Advice says what the owner of a subscription should know, in sentences for the Heliograph-Advice header. May be nil.
	Advice func(s *heliograph.Subscription) []string
	// Ready runs the checks behind /readyz, within the context's time. Nil: always ready.
	Ready func(ctx context.Context) []Check
	// Cluster is behind /control/v1/cluster. Nil: the server is alone, there are no such routes, and everything is fresh.
	Cluster Cluster
	// Metrics is what /metrics shows and where the API registers its own. Nil: one of its own.
	Metrics *prometheus.Registry
	// Profiler answers /debug/pprof/ and below, for operators. Nil: there is none.
	Profiler http.Handler
	// Next answers for paths that no route begins like (the development issuer, pages). Nil: 404.
	Next http.Handler
	// TrustedProxies are believed about X-Forwarded-Proto and X-Forwarded-Host.
	TrustedProxies []netip.Prefix
	// AuthorizationURI tells where a client without a token, which knows this server by an address such as
	// https://graph.example, is sent (the WWW-Authenticate header). Nil: nowhere.
	AuthorizationURI func(base string) string
	// Node names this server in answers, Version its build.
	Node, Version string
	Limits        Limits
	// Now tells the time. Required.
	Now    func() time.Time
	Logger *slog.Logger
}

// Limits bound what one request may bring. Zero values stand for the defaults.
type Limits struct {
	RequestBytes int // of a subscription or control request, unpacked: 128 KiB
	PublishBytes int // of a publish request, unpacked: 900,000, so that it fits one frame of the log
	EventBytes   int // of one event: 262,144
	Events       int // of a batch: 1000
	ReadyTimeout time.Duration
}

func (l Limits) withDefaults() Limits {
	or := func(n, standard int) int {
		if n == 0 {
			return standard
		}
		return n
	}
	l.RequestBytes = or(l.RequestBytes, 128<<10)
	l.PublishBytes = or(l.PublishBytes, 900_000)
	l.EventBytes = or(l.EventBytes, 256<<10)
	l.Events = or(l.Events, 1000)
	if l.ReadyTimeout == 0 {
		l.ReadyTimeout = 5 * time.Second
	}
	return l
}

// API is the HTTP surface. It is an http.Handler.
type API struct {
	opts       Options
	limits     Limits
	router     router
	create     shape[subscribe.CreateRequest]
	updates    shape[renewal]
	metrics    *metrics
	diagnostic string
	streams    *streams
	backingUp  chan struct{} // holds one while a backup is made
	controls   []string
	openAPI    func() (json.RawMessage, error)
	properties []string
}

// New returns an API, or an error when its metrics cannot be registered.
func New(opts Options) (*API, error) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Metrics == nil {
		opts.Metrics = prometheus.NewRegistry()
	}
	a := &API{opts: opts, limits: opts.Limits.withDefaults(), create: createShape(), updates: updateShape(), diagnostic: diagnosticOf(opts.Node), streams: newStreams(), backingUp: make(chan struct{}, 1)}
	a.properties, a.openAPI = propertyNames(), sync.OnceValues(openAPIAsJSON)
	var err error
	if a.metrics, err = newMetrics(opts.Metrics); err != nil {
		return nil, err
	}
	table := a.routes()
	a.router, a.controls = newRouter(table), controlsOf(table)
	return a, nil
}

// ServeHTTP answers one request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.finish(r.Context(), a.begin(w, r), nil)
}

// finish takes an exchange that has begun to its end. One that comes with an error is refused.
func (a *API) finish(ctx context.Context, x *exchange, err error) {
	defer a.end(ctx, x)
	var ans answer
	if err == nil {
		ans, err = a.answer(ctx, x)
	}
	if err != nil {
		ans = a.refuse(ctx, x, err)
	}
	x.write(ans)
}

// answer finds the route, lets the caller in and hands the exchange to the handler. A panic on the way comes
// back as an error: it costs this request and no other.
func (a *API) answer(ctx context.Context, x *exchange) (ans answer, err error) {
	defer func() {
		switch p := recover(); p {
		case nil:
		case http.ErrAbortHandler: // net/http's own way to cut a connection
			if x.batch.IsZero() {
				panic(p)
			}
			fallthrough
		default:
			err = newPanicError(p)
		}
	}()
	segments := segmentsOf(x.request.URL.Path)
	at, depth := a.router.find(segments)
	if at == nil {
		at = a.ofObjects(x.request.Method, segments)
	}
	if at == nil {
		lost := strayed(segments, depth)
		if depth == 0 && lost.Kind == heliograph.NotFound && a.opts.Next != nil && x.batch.IsZero() {
			x.route = routeNext
			return serve(a.opts.Next)(ctx, x)
		}
		return answer{}, lost
	}
	at.setValues(x.request, segments)
	x.route, x.version = at.label, at.version
	if at.version != "" {
		x.writer.Header().Set("Odata-Version", "4.0")
	}
	if x.request.Method == http.MethodOptions {
		return answer{status: http.StatusNoContent, header: http.Header{"Allow": {at.allow}}}, nil
	}
	to, found := at.methods[x.request.Method]
	if !found {
		return answer{}, &methodError{method: x.request.Method, allow: at.allow}
	}
	if !x.batch.IsZero() && !to.canBeInBatch() {
		return answer{}, strayed(segments, len(segments)-1)
	}
	if err := a.admit(ctx, x, to); err != nil {
		return answer{}, err
	}
	return a.reading(ctx, x, to)
}

// admit authenticates the caller, where a route wants to know him, asks for the right that it needs, and counts the
// call. What comes in a batch is authenticated with it.
func (a *API) admit(ctx context.Context, x *exchange, to route) error {
	if to.right == anyone {
		return nil
	}
	if x.caller == nil {
		if len(x.request.Header["Authorization"]) > 1 { // what stands before this server may have looked at another than we would
			return heliograph.Errorf(heliograph.Unauthenticated, "authenticate.several", "The Authorization header must come once.")
		}
		caller, err := a.opts.Authenticator.Authenticate(ctx, x.request.Header.Get("Authorization"))
		if err != nil {
			return err
		}
		x.caller = caller
	}
	if to.right != signedIn && !x.caller.HasRole(string(to.right)) {
		return heliograph.Errorf(heliograph.Denied, "request.permission", "This call needs the application permission %s.", to.right)
	}
	if to.place == graph && a.opts.Faults != nil {
		if err := a.opts.Faults.Call(ctx, faults.Call{App: x.caller.App, Method: x.request.Method, Path: x.request.URL.Path}); err != nil {
			return err
		}
	}
	if to.family == unlimited || a.opts.Throttle == nil {
		return nil
	}
	return a.opts.Throttle.Take(x.caller, string(to.family))
}
