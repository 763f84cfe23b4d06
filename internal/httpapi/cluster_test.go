package httpapi_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"heliograph.dev/internal/fresh"
	"heliograph.dev/internal/httpapi"
)

// together is a cluster of one, which fails as the shelf does.
type together struct {
	shelf *shelf
	asOf  time.Time // since when it is out of touch, if it is
}

func (c *together) Cluster(ctx context.Context) (httpapi.ClusterState, error) {
	if !c.asOf.IsZero() {
		fresh.Stale(ctx, c.asOf)
	}
	const at = "2026-11-22T10:30:00Z"
	return httpapi.ClusterState{
		Node: "n1", InTouch: true, AsOf: at,
		Nodes:      []httpapi.ClusterNode{{Name: "n1", State: "live", Started: at, Seen: at, Partitions: []int{0}}},
		Partitions: []httpapi.ClusterPartition{{Owner: "n1", Epoch: 7}},
		Streams:    []httpapi.ClusterStream{{Stream: "changes", Replicas: []httpapi.ClusterReplica{{Node: "n1", Leads: true, Current: true}}}},
	}, c.shelf.fail
}

func (c *together) Leave(context.Context) error { return c.shelf.fail }

func (c *together) Remove(context.Context, string) error { return c.shelf.fail }

// What is read says how fresh it is, where that can be in doubt.
func TestFreshness(t *testing.T) {
	t.Parallel()
	nodes := &together{}
	b := newBench(t, func(o *httpapi.Options) { o.Cluster = nodes })
	nodes.shelf = b.shelf
	for _, tt := range []struct {
		asOf       time.Time
		path, want string
	}{
		{path: "/control/v1/cluster", want: "fresh"},
		{path: "/v1.0/subscriptions", want: "fresh"},
		{path: "/healthz", want: ""},
		{asOf: time.Unix(1, 5e8), path: "/control/v1/cluster", want: "stale; as-of=1970-01-01T00:00:01.5Z"},
	} {
		nodes.asOf = tt.asOf
		r := b.send("GET", tt.path, "", "Authorization", "Bearer operator")
		if got := r.Header.Get("Heliograph-Freshness"); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.path, got, tt.want)
		}
	}
}

// A role is ready when what it needs is well.
func TestReadyByRole(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *httpapi.Options) {
		o.Ready = func(context.Context) []httpapi.Check {
			return []httpapi.Check{{Name: "majority", Roles: []string{"publish", "deliver"}, Err: context.Canceled}, {Name: "identity", Roles: []string{"api"}}}
		}
	})
	for query, want := range map[string]int{
		"": http.StatusServiceUnavailable, "?role=publish": http.StatusServiceUnavailable, "?role=api": http.StatusOK, "?role=cook": http.StatusBadRequest,
	} {
		r := b.send("GET", "/readyz"+query, "")
		if r.StatusCode != want {
			t.Errorf("%q: %d, want %d", query, r.StatusCode, want)
		}
		if query == "?role=api" && strings.Contains(r.body, "majority") {
			t.Errorf("%q tells of what it does not need: %s", query, r.body)
		}
	}
}
