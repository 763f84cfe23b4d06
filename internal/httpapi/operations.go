package httpapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"html"
	"net/http"
	"slices"
	"strings"
	"time"

	"heliograph.dev"
)

// health says that the process answers. It asks nothing of anybody.
func (a *API) health(context.Context, *heliograph.Caller, none) (none, error) { return none{}, nil }

func healthy(*exchange, none) answer {
	return answer{status: http.StatusOK, body: map[string]string{"status": "ok"}}
}

// state is what /readyz tells.
type state struct {
	Status string       `json:"status"`
	Checks []checkState `json:"checks"`
}

type checkState struct {
	Name   string `json:"name"`
	Ready  bool   `json:"ready"`
	Detail string `json:"detail,omitempty"`
}

// readRole reads which of the server's roles is asked about: publish, deliver or api; empty: all.
func readRole(x *exchange) (string, error) {
	role := x.request.URL.Query().Get("role")
	if role != "" && !slices.Contains([]string{"publish", "deliver", "api"}, role) {
		return "", heliograph.Errorf(heliograph.Invalid, "readyz.role", "role is publish, deliver or api, not %q", role)
	}
	return role, nil
}

// ready runs the checks of a role. What is wrong is told in full to the log only.
func (a *API) ready(ctx context.Context, _ *heliograph.Caller, role string) (readyResult, error) {
	result := readyResult{state: state{Status: "ready", Checks: []checkState{}}}
	if a.opts.Ready == nil {
		return result, nil
	}
	ctx, cancel := context.WithTimeout(ctx, a.limits.ReadyTimeout)
	defer cancel()
	for _, check := range a.opts.Ready(ctx) {
		if role != "" && !slices.Contains(check.Roles, role) {
			continue
		}
		c := checkState{Name: check.Name, Ready: check.Err == nil}
		if check.Err != nil {
			result.state.Status = "not ready"
			result.err = errors.Join(result.err, fmt.Errorf("%s: %w", check.Name, check.Err))
			if known, found := errors.AsType[*heliograph.Error](check.Err); found {
				c.Detail = known.Message
			}
			c.Detail = cmp.Or(c.Detail, "see the server's log")
		}
		result.state.Checks = append(result.state.Checks, c)
	}
	return result, nil
}

type readyResult struct {
	state state
	err   error
}

func readiness(x *exchange, r readyResult) answer {
	ans := answer{status: http.StatusOK, body: r.state}
	if r.err != nil {
		x.err, ans.status = r.err, http.StatusServiceUnavailable
	}
	return ans
}

// description is what / says of this server.
type description struct {
	Name      string            `json:"name"`
	What      string            `json:"what"`
	Version   string            `json:"version,omitempty"`
	Addresses map[string]string `json:"addresses"`
	// Control are the calls below /control/v1 that this server has, such as "GET deliveries/{id}": what a page offers.
	Control []string `json:"control"`
}

func (a *API) describe(context.Context, *heliograph.Caller, none) (description, error) {
	return description{
		Name:    "Heliograph",
		What:    "Microsoft Graph's change notifications, self-hosted: subscribe to a resource, and every change of it reaches your endpoint.",
		Version: a.opts.Version,
		Control: a.controls,
	}, nil
}

// controlsOf lists the calls of a table that are below /control/v1.
func controlsOf(table []route) []string {
	calls := []string{}
	for _, to := range table {
		if to.place == control {
			calls = append(calls, to.method+" "+to.path)
		}
	}
	return calls
}

// described answers with JSON, or with the pages for a browser.
func described(x *exchange, d description) answer {
	x.writer.Header().Set("Vary", "Accept")
	forBrowser := strings.Contains(x.request.Header.Get("Accept"), "text/html")
	if forBrowser && x.api.opts.Pages != nil {
		x.api.opts.Pages.ServeHTTP(x.writer, x.request)
		return answer{}
	}
	origin := x.origin.String()
	addresses := [][2]string{
		{"subscriptions", origin + "/v1.0/subscriptions"},
		{"publish", origin + "/publish"},
		{"control", origin + "/control/v1"},
		{"health", origin + "/healthz"},
		{"readiness", origin + "/readyz"},
		{"metrics", origin + "/metrics"},
		{"description", origin + "/openapi.json"},
	}
	d.Addresses = make(map[string]string)
	for _, at := range addresses {
		d.Addresses[at[0]] = at[1]
	}
	if !forBrowser {
		return answer{status: http.StatusOK, body: d}
	}
	var page strings.Builder
	fmt.Fprintf(&page, "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>%s</title>\n<h1>%s</h1>\n<p>%s</p>\n<dl>\n",
		d.Name, d.Name, html.EscapeString(d.What))
	for _, at := range addresses {
		fmt.Fprintf(&page, "<dt>%s</dt><dd><a href=%q>%s</a></dd>\n", at[0], html.EscapeString(at[1]), html.EscapeString(at[1]))
	}
	page.WriteString("</dl>\n")
	return answer{
		status: http.StatusOK, media: "text/html; charset=utf-8", body: page.String(),
		header: http.Header{"Content-Security-Policy": {"default-src 'none'"}},
	}
}

// profileTime is how long a profile may take to be gathered.
const profileTime = 2 * time.Minute

// profile lets the profiler answer.
func profile(profiler http.Handler) handler {
	answers := serve(profiler)
	return func(ctx context.Context, x *exchange) (answer, error) {
		x.takeTime(profileTime)
		return answers(ctx, x)
	}
}
