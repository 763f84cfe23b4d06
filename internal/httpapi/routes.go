package httpapi

import (
	"context"
	"net/http"
	"slices"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"heliograph.dev"
	"heliograph.dev/docs/reference"
)

// place is where a route stands.
type place uint8

const (
	top     place = iota // at its path
	graph                // below each version of the Graph API
	control              // below /control/v1
)

func (p place) prefixes() []string {
	switch p {
	case graph:
		return []string{"v1.0", "beta"}
	case control:
		return []string{"control/v1"}
	case top:
	}
	return []string{""}
}

// right is what a caller needs: nothing, any good token, or an application permission.
type right string

const (
	anyone    right = "anyone"
	signedIn  right = "signed in"
	publisher right = heliograph.PermissionPublish
	operator  right = heliograph.PermissionControl
)

// family is a group of calls that have a limit in common (contract 15.1 to 15.4).
type family string

const (
	unlimited family = ""
	writes    family = "write"
	renewals  family = "reauthorize"
	gets      family = "get"
	lists     family = "list"
)

type handler func(context.Context, *exchange) (answer, error)

type route struct {
	place   place
	method  string
	path    string
	right   right
	family  family
	handler handler
}

// canBeInBatch reports whether a batch may hold requests for the route.
func (r route) canBeInBatch() bool {
	return r.place == graph && r.right == signedIn && r.path != batchPath
}

// routes is the whole surface.
func (a *API) routes() []route {
	subs := a.opts.Subscriptions
	table := []route{
		{graph, http.MethodPost, "subscriptions", signedIn, writes, do(a.readCreate, subs.Create, created)},
		{graph, http.MethodGet, "subscriptions", signedIn, lists, do(readList, subs.List, listed)},
		{graph, http.MethodGet, "subscriptions/getVapidPublicKey", signedIn, unlimited, absent("webpush.absent", noWebPush)},
		{graph, http.MethodGet, "subscriptions/{id}", signedIn, gets, do(readOne, subs.Get, shown)},
		{graph, http.MethodPatch, "subscriptions/{id}", signedIn, writes, do(a.readUpdate, a.update, shown)},
		{graph, http.MethodDelete, "subscriptions/{id}", signedIn, writes, do(readID, nothing(subs.Delete), done)},
		{graph, http.MethodPost, "subscriptions/{id}/reauthorize", signedIn, renewals, do(readID, subs.Reauthorize, reauthorized)},
		{graph, http.MethodPost, batchPath, signedIn, unlimited, do(a.readBatch, a.runBatch, ranBatch)},
		{graph, http.MethodGet, "", anyone, unlimited, do(readNothing, a.describeService, describedService)},
		{graph, http.MethodGet, "$metadata", anyone, unlimited, fixed("application/xml; charset=utf-8", reference.Metadata())},

		{top, http.MethodPost, "publish", publisher, unlimited, do(a.readEvents, a.publish, accepted)},

		{top, http.MethodGet, "", anyone, unlimited, do(readNothing, a.describe, described)},
		{top, http.MethodGet, "healthz", anyone, unlimited, do(readNothing, a.health, healthy)},
		{top, http.MethodGet, "readyz", anyone, unlimited, do(readRole, a.ready, readiness)},
		{top, http.MethodGet, "metrics", anyone, unlimited, serve(promhttp.HandlerFor(a.opts.Metrics, promhttp.HandlerOpts{}))},
		{top, http.MethodGet, "openapi.yaml", anyone, unlimited, fixed("application/yaml; charset=utf-8", reference.OpenAPI())},
		{top, http.MethodGet, "openapi.json", anyone, unlimited, do(readNothing, a.describeAPI, describedAPI)},
	}
	for _, path := range socketPaths() {
		table = append(table, route{graph, http.MethodGet, path, signedIn, unlimited, absent("socket.absent", noSocket)})
	}
	if a.opts.Minter != nil {
		table = append(table,
			route{control, http.MethodPost, "tokens", operator, unlimited, do(a.readTokenRequest, a.opts.Minter.Mint, minted)})
	}
	table = append(table,
		route{control, http.MethodGet, "clock", operator, unlimited, do(readNothing, a.clock, shownClock)},
		route{control, http.MethodPost, "clock", operator, unlimited, do(a.readClockRequest, a.setClock, shownClock)})
	if a.opts.Handshakes != nil {
		table = append(table, // a caller sees his own application's; the book knows whose they are
			route{control, http.MethodGet, "handshakes", signedIn, unlimited, do(readNothing, a.handshakes, listedHandshakes)},
			route{control, http.MethodGet, "handshakes/{id}", signedIn, unlimited, do(readID, a.handshake, shownHandshake)})
	}
	if a.opts.Triggers != nil {
		table = append(table,
			route{control, http.MethodPost, "trigger", operator, unlimited, do(a.readTrigger, a.trigger, didTrigger)},
			route{control, http.MethodGet, "triggers", signedIn, unlimited, do(readNothing, a.listTriggers, listedTriggers)})
	}
	if a.opts.Objects != nil {
		table = append(table,
			route{graph, http.MethodGet, objectPath, signedIn, unlimited, a.object}, // all paths that are nothing else
			route{control, http.MethodPost, "objects/forget", operator, unlimited, do(readNothing, nothing(a.forgetSync), done)})
	}
	if a.opts.Backups != nil {
		table = append(table, route{control, http.MethodGet, "backup", operator, unlimited, a.backup})
	}
	return slices.Concat(table, a.deliveryRoutes(), a.lifeRoutes(), a.watchRoutes(), a.faultRoutes(), a.clusterRoutes())
}

// faultRoutes are about what goes wrong on purpose.
func (a *API) faultRoutes() []route {
	if a.opts.Faults == nil {
		return nil
	}
	return []route{
		{control, http.MethodGet, "faults", operator, unlimited, do(readNothing, a.faults, listedFaults)},
		{control, http.MethodPost, "faults", operator, unlimited, do(readFault, a.addFault, addedFault)},
		{control, http.MethodDelete, "faults", operator, unlimited, do(readNothing, nothing(a.clearFaults), done)},
		{control, http.MethodDelete, "faults/{id}", operator, unlimited, do(readID, nothing(a.removeFault), done)},
	}
}

// lifeRoutes are about what becomes of subscriptions without their owners.
func (a *API) lifeRoutes() (table []route) {
	if a.opts.Access != nil {
		table = append(table, route{control, http.MethodPost, "access", operator, unlimited, do(a.readReport, a.report, reported)})
	}
	if a.opts.Provoker != nil {
		table = append(table,
			route{control, http.MethodPost, "subscriptions/{id}/lifecycle", operator, unlimited, do(a.readProvoke, a.opts.Provoker.Provoke, provoked)})
	}
	if a.opts.Purger != nil {
		table = append(table,
			route{control, http.MethodPost, "purge", operator, unlimited, do(a.readPurge, a.purge, purged(http.StatusAccepted))},
			route{control, http.MethodGet, "purge/{id}", operator, unlimited, do(readID, a.purgeReceipt, purged(http.StatusOK))})
	}
	return table
}

// watchRoutes are for who looks on: the pages, and operators.
func (a *API) watchRoutes() (table []route) {
	if a.opts.Follower != nil {
		table = append(table, route{control, http.MethodGet, "events", signedIn, unlimited, a.events})
	}
	if a.opts.Changes != nil {
		table = append(table,
			route{control, http.MethodGet, "changes", operator, unlimited, do(readChanges, a.recentChanges, listedChanges)})
	}
	if a.opts.Pulse != nil {
		table = append(table,
			route{control, http.MethodGet, "pulse", operator, unlimited, do(readNothing, a.pulse, shownPulse)},
			route{control, http.MethodGet, "endpoints/history", operator, unlimited, do(readNothing, a.histories, listedHistories)})
	}
	if a.opts.Profiler != nil {
		table = append(table,
			route{top, http.MethodGet, "debug/pprof", operator, unlimited, profile(a.opts.Profiler)},
			route{top, http.MethodGet, "debug/pprof/{profile}", operator, unlimited, profile(a.opts.Profiler)})
	}
	return table
}

// deliveryRoutes are about what was sent. A caller sees his own application's; control decides whose it is.
func (a *API) deliveryRoutes() (table []route) {
	if a.opts.Deliveries != nil {
		table = append(table,
			route{control, http.MethodGet, "deliveries", signedIn, unlimited, do(readDeliveries, a.findDeliveries, listedDeliveries)},
			route{control, http.MethodGet, "deliveries/{id}", signedIn, unlimited, do(readID, a.delivery, shownDelivery)},
			route{control, http.MethodPost, "deliveries/{id}/resend", signedIn, unlimited, do(readID, a.resend, queued)},
			route{control, http.MethodPost, "subscriptions/{id}/replay", signedIn, unlimited, do(a.readReplay, a.replay, queued)},
			route{control, http.MethodGet, "changes/{id}", signedIn, unlimited, do(readID, a.explain, explained)})
	}
	if a.opts.Outlines != nil {
		table = append(table,
			route{control, http.MethodGet, "subscriptions", signedIn, unlimited, do(readPage, a.opts.Outlines.Outlines, a.listedOutlines)},
			route{control, http.MethodGet, "subscriptions/{id}", signedIn, unlimited, do(readID, a.opts.Outlines.Outline, a.shownOutline)})
	}
	if a.opts.Endpoints != nil {
		table = append(table,
			route{control, http.MethodGet, "endpoints", operator, unlimited, do(readNothing, a.endpoints, listedEndpoints)})
	}
	if a.opts.Endpoints != nil && a.opts.MayForce {
		table = append(table,
			route{control, http.MethodPost, "endpoints/state", operator, unlimited, do(a.readForce, nothing(a.force), done)})
	}
	return table
}

// do is every handler: decode the request, call the step, encode what it gives.
func do[In, Out any](
	decode func(*exchange) (In, error),
	call func(context.Context, *heliograph.Caller, In) (Out, error),
	encode func(*exchange, Out) answer,
) handler {
	return func(ctx context.Context, x *exchange) (answer, error) {
		in, err := decode(x)
		if err != nil {
			return answer{}, err
		}
		out, err := call(ctx, x.caller, in)
		if err != nil {
			return answer{}, err
		}
		return encode(x, out), nil
	}
}

// none is what a call without arguments takes and one without a result gives.
type none struct{}

func nothing[In any](call func(context.Context, *heliograph.Caller, In) error) func(context.Context, *heliograph.Caller, In) (none, error) {
	return func(ctx context.Context, caller *heliograph.Caller, in In) (none, error) {
		return none{}, call(ctx, caller, in)
	}
}

func readNothing(*exchange) (none, error) { return none{}, nil }

func done(*exchange, none) answer { return answer{status: http.StatusNoContent} }

// fixed answers with a text that is always the same.
func fixed(media, text string) handler {
	return func(context.Context, *exchange) (answer, error) {
		return answer{status: http.StatusOK, media: media, body: text}, nil
	}
}

// serve lets another package's handler answer.
func serve(h http.Handler) handler {
	return func(_ context.Context, x *exchange) (answer, error) {
		h.ServeHTTP(x.writer, x.request)
		return answer{}, nil
	}
}
