package httpapi

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"heliograph.dev"
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

type handler func(context.Context, *exchange) (answer, error)

type route struct {
	place   place
	method  string
	path    string
	right   right
	handler handler
}

// routes is the whole surface.
func (a *API) routes() []route {
	subs := a.opts.Subscriptions
	table := []route{
		{graph, http.MethodPost, "subscriptions", signedIn, do(a.readCreate, subs.Create, created)},
		{graph, http.MethodGet, "subscriptions", signedIn, do(readList, subs.List, listed)},
		{graph, http.MethodGet, "subscriptions/{id}", signedIn, do(readID, subs.Get, shown)},
		{graph, http.MethodPatch, "subscriptions/{id}", signedIn, do(a.readUpdate, a.update, shown)},
		{graph, http.MethodDelete, "subscriptions/{id}", signedIn, do(readID, nothing(subs.Delete), done)},
		{graph, http.MethodPost, "subscriptions/{id}/reauthorize", signedIn, do(readID, nothing(subs.Reauthorize), done)},

		{top, http.MethodPost, "publish", publisher, do(a.readEvents, a.publish, accepted)},

		{top, http.MethodGet, "", anyone, do(readNothing, a.describe, described)},
		{top, http.MethodGet, "healthz", anyone, do(readNothing, a.health, healthy)},
		{top, http.MethodGet, "readyz", anyone, do(readNothing, a.ready, readiness)},
		{top, http.MethodGet, "metrics", anyone, serve(promhttp.HandlerFor(a.opts.Metrics, promhttp.HandlerOpts{}))},
	}
	if a.opts.Minter != nil {
		table = append(table,
			route{control, http.MethodPost, "tokens", operator, do(a.readTokenRequest, a.opts.Minter.Mint, minted)})
	}
	if a.opts.Handshakes != nil {
		table = append(table, // a caller sees his own application's; the book knows whose they are
			route{control, http.MethodGet, "handshakes", signedIn, do(readNothing, a.handshakes, listedHandshakes)},
			route{control, http.MethodGet, "handshakes/{id}", signedIn, do(readID, a.handshake, shownHandshake)})
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

// serve lets another package's handler answer.
func serve(h http.Handler) handler {
	return func(_ context.Context, x *exchange) (answer, error) {
		h.ServeHTTP(x.writer, x.request)
		return answer{}, nil
	}
}

// stop is a path of the table with the routes that share it.
type stop struct {
	label    string // as logs and metrics name it
	version  string // of the Graph API, or empty
	segments []string
	methods  map[string]route
	allow    string // the methods, for the Allow header
}

// router finds the stop of a path. There are few stops: it looks at each.
type router struct{ stops []*stop }

func newRouter(table []route) router {
	var r router
	for _, to := range table {
		for _, prefix := range to.place.prefixes() {
			at := r.stop(strings.Trim(prefix+"/"+to.path, "/"))
			at.methods[to.method] = to
			if to.method == http.MethodGet {
				at.methods[http.MethodHead] = to // net/http sends the headers alone
			}
			if to.place == graph {
				at.version = prefix
			}
		}
	}
	for _, at := range r.stops {
		var methods []string
		for method := range at.methods {
			methods = append(methods, method)
		}
		slices.Sort(methods)
		at.allow = strings.Join(methods, ", ")
	}
	return r
}

// stop returns the stop at path, making it when it is new.
func (r *router) stop(path string) *stop {
	for _, at := range r.stops {
		if at.label == "/"+path {
			return at
		}
	}
	at := &stop{label: "/" + path, segments: segmentsOf(path), methods: make(map[string]route)}
	r.stops = append(r.stops, at)
	return at
}

// find returns the stop that the request's path leads to, with the path's values set on the request. Without a
// stop, ours says whether some route begins like the path.
func (r *router) find(request *http.Request) (at *stop, ours bool) {
	segments := segmentsOf(strings.TrimPrefix(request.URL.Path, "/"))
	for _, at := range r.stops {
		if at.matches(segments) {
			for i, segment := range at.segments {
				if name, isValue := valueName(segment); isValue {
					request.SetPathValue(name, segments[i])
				}
			}
			return at, true
		}
		ours = ours || len(segments) > 0 && len(at.segments) > 0 && strings.EqualFold(segments[0], at.segments[0])
	}
	return nil, ours
}

func (s *stop) matches(segments []string) bool {
	if len(segments) != len(s.segments) {
		return false
	}
	for i, segment := range s.segments {
		_, isValue := valueName(segment)
		if !isValue && !strings.EqualFold(segment, segments[i]) || segments[i] == "" {
			return false
		}
	}
	return true
}

func valueName(segment string) (string, bool) {
	if strings.HasPrefix(segment, "{") {
		return segment[1 : len(segment)-1], true
	}
	return "", false
}

// segmentsOf splits a path. A trailing slash does not count, and a key in parentheses is a segment of its own.
func segmentsOf(path string) []string {
	path = strings.TrimSuffix(path, "/")
	if path == "" {
		return nil
	}
	var segments []string
	for segment := range strings.SplitSeq(path, "/") {
		if name, key, found := strings.Cut(segment, "("); found && strings.HasSuffix(key, ")") {
			key = strings.TrimSuffix(key, ")")
			if len(key) >= 2 && key[0] == '\'' && key[len(key)-1] == '\'' {
				key = strings.ReplaceAll(key[1:len(key)-1], "''", "'")
			}
			segments = append(segments, name, key)
			continue
		}
		segments = append(segments, segment)
	}
	return segments
}
