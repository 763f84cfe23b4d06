package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Cluster is what the node that answers sees of the nodes that share its store.
type Cluster struct {
	Node    string    `json:"node"`
	InTouch bool      `json:"inTouch"` // with a majority
	AsOf    time.Time `json:"asOf"`    // when it was for the last time
	Nodes   []struct {
		Name       string    `json:"name"`
		State      string    `json:"state"` // live, leaving or gone
		URL        string    `json:"url,omitempty"`
		Version    string    `json:"version,omitempty"`
		Started    time.Time `json:"started"`
		Seen       time.Time `json:"seen"`
		Partitions []int     `json:"partitions"`
	} `json:"nodes"`
	Partitions []struct {
		Partition int    `json:"partition"`
		Owner     string `json:"owner,omitempty"`
		Epoch     uint64 `json:"epoch"`
		Cursor    uint64 `json:"cursor"`
		Behind    int64  `json:"behind"`
	} `json:"partitions"`
	Streams []struct {
		Stream   string `json:"stream"`
		Replicas []struct {
			Node    string `json:"node"`
			Leads   bool   `json:"leads"`
			Current bool   `json:"current"`
			Lag     uint64 `json:"lag"`
		} `json:"replicas"`
	} `json:"streams"`
}

// Cluster tells who shares the server's store. It needs Heliograph.Control; a server that is alone answers 404.
func (c *Client) Cluster(ctx context.Context) (*Cluster, error) {
	var s Cluster
	if err := c.do(ctx, call{method: http.MethodGet, path: "/control/v1/cluster"}, &s); err != nil {
		return nil, err
	}
	return &s, nil
}

// LeaveCluster lets the node that answers hand over its work and leave for good.
func (c *Client) LeaveCluster(ctx context.Context) error {
	return c.do(ctx, call{method: http.MethodPost, path: "/control/v1/cluster/leave"}, nil)
}

// RemoveNode takes a node that has gone out of the cluster for good.
func (c *Client) RemoveNode(ctx context.Context, node string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: "/control/v1/cluster/nodes/" + url.PathEscape(node)}, nil)
}
