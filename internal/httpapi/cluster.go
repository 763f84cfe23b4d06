package httpapi

import (
	"context"
	"net/http"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/fresh"
)

// Cluster tells which nodes share the store and who does what, and takes nodes out.
type Cluster interface {
	Cluster(ctx context.Context) (ClusterState, error)
	// Leave lets this node hand over what it works, and takes it out for good. It ends then.
	Leave(ctx context.Context) error
	// Remove takes another node out for good.
	Remove(ctx context.Context, node string) error
}

// ClusterState is the cluster as one node sees it.
type ClusterState struct {
	Node string `json:"node"`
	// InTouch says that the node is in touch with a majority: AsOf is when it was for the last time.
	InTouch    bool               `json:"inTouch"`
	AsOf       string             `json:"asOf"`
	Nodes      []ClusterNode      `json:"nodes"`
	Partitions []ClusterPartition `json:"partitions"`
	Streams    []ClusterStream    `json:"streams"`
}

// ClusterNode is one node. Its state is live, leaving or gone.
type ClusterNode struct {
	Name       string `json:"name"`
	State      string `json:"state"`
	URL        string `json:"url,omitempty"`
	Version    string `json:"version,omitempty"`
	Started    string `json:"started"`
	Seen       string `json:"seen"`
	Partitions []int  `json:"partitions"`
}

// ClusterPartition is a partition, who works it, where its cursor stands and how many changes wait to be read.
type ClusterPartition struct {
	Partition int    `json:"partition"`
	Owner     string `json:"owner,omitempty"`
	Epoch     uint64 `json:"epoch"`
	Cursor    uint64 `json:"cursor"`
	Behind    int64  `json:"behind"`
}

// ClusterStream is a stream of the store and who keeps it.
type ClusterStream struct {
	Stream   string           `json:"stream"`
	Replicas []ClusterReplica `json:"replicas"`
}

// ClusterReplica is a node's copy: whether it is asked, whether it has everything, how many writes it lacks.
type ClusterReplica struct {
	Node    string `json:"node"`
	Leads   bool   `json:"leads"`
	Current bool   `json:"current"`
	Lag     uint64 `json:"lag"`
}

func (a *API) clusterRoutes() []route {
	if a.opts.Cluster == nil {
		return nil
	}
	return []route{
		{control, http.MethodGet, "cluster", operator, unlimited, do(readNothing, a.cluster, shownCluster)},
		{control, http.MethodPost, "cluster/leave", operator, unlimited, do(readNothing, a.leave, began)},
		{control, http.MethodDelete, "cluster/nodes/{node}", operator, unlimited, do(readNode, nothing(a.removeNode), done)},
	}
}

func (a *API) cluster(ctx context.Context, _ *heliograph.Caller, _ none) (ClusterState, error) {
	return a.opts.Cluster.Cluster(ctx)
}

func shownCluster(_ *exchange, s ClusterState) answer { return answer{status: http.StatusOK, body: s} }

func (a *API) leave(ctx context.Context, _ *heliograph.Caller, _ none) (none, error) {
	return none{}, a.opts.Cluster.Leave(ctx)
}

func began(*exchange, none) answer { return answer{status: http.StatusAccepted} }

func readNode(x *exchange) (string, error) { return x.request.PathValue("node"), nil }

func (a *API) removeNode(ctx context.Context, _ *heliograph.Caller, node string) error {
	return a.opts.Cluster.Remove(ctx, node)
}

// reading calls a handler of a GET, which may find out that what it reads is not the newest, and tells the client.
func (a *API) reading(ctx context.Context, x *exchange, to route) (answer, error) {
	if a.opts.Cluster == nil || to.method != http.MethodGet || to.place == top {
		return to.handler(ctx, x)
	}
	ctx, mark := fresh.With(ctx)
	ans, err := to.handler(ctx, x)
	text := "fresh"
	if asOf, stale := mark.Stale(); stale {
		text = "stale; as-of=" + asOf.UTC().Format(time.RFC3339Nano)
	}
	x.writer.Header().Set("Heliograph-Freshness", text)
	return ans, err
}
