package app

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/clock"
	"heliograph.dev/internal/config"
	"heliograph.dev/internal/engine"
	"heliograph.dev/internal/fresh"
	"heliograph.dev/internal/httpapi"
	"heliograph.dev/internal/owner"
)

// nodeOf reads what an engine needs to be a node of a cluster.
func nodeOf(c *config.Cluster) (*engine.Cluster, error) {
	node := &engine.Cluster{
		Name: c.Name, Node: c.Node, Listen: string(c.Listen), Advertise: c.Advertise, Peers: c.Addresses(),
	}
	if c.SecretFile != "" {
		text, err := os.ReadFile(c.SecretFile)
		if err != nil {
			return nil, fmt.Errorf("cluster.secret_file: %w", err)
		}
		if node.Secret = heliograph.NewSecret(strings.TrimSpace(string(text))); node.Secret.IsZero() {
			return nil, heliograph.Errorf(heliograph.Invalid, "cluster.secret", "the file %s holds no secret", c.SecretFile)
		}
	}
	if c.Certificate == "" {
		return node, nil
	}
	pair, err := tls.LoadX509KeyPair(c.Certificate, c.Key)
	if err != nil {
		return nil, fmt.Errorf("cluster.certificate: %w", err)
	}
	authorities, err := certPool(c.CA)
	if err != nil {
		return nil, fmt.Errorf("cluster.ca: %w", err)
	}
	node.TLS = &tls.Config{
		Certificates: []tls.Certificate{pair}, RootCAs: authorities, ClientCAs: authorities,
		ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS13,
	}
	return node, nil
}

// node is this server's name among those that share its store.
func (a *App) node() string {
	if !a.parts.engine.Clustered() {
		return "standalone"
	}
	if a.name == "" {
		if a.name = a.cfg.Cluster.Node; a.name == "" { // processes on one machine are told apart by chance
			host, _ := os.Hostname()
			host, _, _ = strings.Cut(host, ".")
			if !engine.ValidNode(host) {
				host = "node"
			}
			a.name = host[:min(len(host), 48)] + "-" + strings.ToLower(rand.Text()[:8])
		}
	}
	return a.name
}

// joinOthers makes this server one of those that share the store: partitions come to it from now on.
func (a *App) joinOthers(ctx context.Context) error {
	keeper := owner.New(owner.Options{
		Node: a.node(), Sure: a.cfg.Cluster.Name != "", Partitions: a.parts.engine.Partitions(),
		Store: notes{a.parts.engine}, Work: a.parts.workshop, Facts: a.parts.workshop.facts, Nudge: a.parts.engine.Nudge,
		Times: owner.DefaultTimes(), Clock: clock.System(), Name: rand.Text, Logger: a.log,
	})
	a.parts.workshop.keeper, a.parts.peers.keeper = keeper, keeper
	if err := a.parts.engine.Nudged(keeper.Wake); err != nil {
		return err
	}
	if err := a.parts.engine.Answer(a.node(), a.answerPeer); err != nil { //nolint:contextcheck // what a peer asks has a time of its own
		return err
	}
	if err := keeper.Start(ctx); err != nil {
		return err
	}
	a.life.started("delivery", a.parts.workshop.stop)
	return nil
}

// owns reports whether this node looks after the subscriptions of a tenant.
func (a *App) owns(tenant heliograph.TenantID) bool {
	return a.parts.workshop.owns(a.parts.engine.PartitionOf(tenant))
}

// control is what owners and operators may look at and do again.
func (a *App) control() control {
	return control{
		book: a.parts.deliveries, workshop: a.parts.workshop, engine: a.parts.engine, registry: a.parts.registry, peers: a.parts.peers,
	}
}

// address is where this node's API answers, as the others are told.
func (a *App) address() string { return cmp.Or(a.cfg.PublicURL, a.URL()) }

// majority says why the node can neither take changes nor deliver, if it cannot.
func (a *App) majority() error {
	if k := a.parts.workshop.keeper; k != nil && !k.Status().Leads {
		return heliograph.Errorf(heliograph.Unavailable, "cluster.majority", "the node is out of touch with the majority of its cluster")
	}
	return nil
}

// Cluster tells who shares the store, and who works which partition.
func (c control) Cluster(ctx context.Context) (httpapi.ClusterState, error) {
	s := c.peers.keeper.Status()
	state := httpapi.ClusterState{
		Node: s.Node, InTouch: s.Leads, AsOf: s.Reached.UTC().Format(time.RFC3339Nano),
		Nodes: []httpapi.ClusterNode{}, Partitions: []httpapi.ClusterPartition{}, Streams: []httpapi.ClusterStream{},
	}
	if !s.Leads {
		fresh.Stale(ctx, s.Reached)
	}
	for i := range s.Nodes {
		state.Nodes = append(state.Nodes, nodeView(&s.Nodes[i], s.Owners))
	}
	try, cancel := context.WithTimeout(ctx, readWait)
	defer cancel()
	for p, holder := range s.Owners {
		cursor, _ := c.engine.Cursor(try, p) // 0 while nobody can say
		state.Partitions = append(state.Partitions, httpapi.ClusterPartition{
			Partition: p, Owner: holder, Epoch: s.Epochs[p], Cursor: cursor, Behind: c.peers.keeper.Behind(p),
		})
	}
	placed, _ := c.engine.Placement(try) // none while nobody can say
	for _, stream := range placed {
		view := httpapi.ClusterStream{Stream: stream.Stream, Replicas: []httpapi.ClusterReplica{}}
		for _, r := range stream.Replicas {
			view.Replicas = append(view.Replicas, httpapi.ClusterReplica(r))
		}
		state.Streams = append(state.Streams, view)
	}
	return state, nil
}

func nodeView(n *owner.Node, owners []string) httpapi.ClusterNode {
	node := httpapi.ClusterNode{
		Name: n.Name, State: "gone", URL: n.Facts.URL, Version: n.Facts.Version, Partitions: []int{},
		Started: n.Started.UTC().Format(time.RFC3339Nano), Seen: n.Seen.UTC().Format(time.RFC3339Nano),
	}
	switch {
	case n.Live && n.Leaving:
		node.State = "leaving"
	case n.Live:
		node.State = "live"
	}
	for p, holder := range owners {
		if holder == n.Name {
			node.Partitions = append(node.Partitions, p)
		}
	}
	return node
}

// spare refuses to take a node out that the copies need.
func (c control) spare(without string) error {
	live := 0
	for _, n := range c.peers.keeper.Status().Nodes {
		if n.Live && n.Name != without {
			live++
		}
	}
	if copies := c.engine.Copies(); live < copies {
		return heliograph.Errorf(heliograph.Conflict, "cluster.too_few",
			"everything is kept on %d nodes, and without %s there would be %d: start another node first", copies, without, live)
	}
	return nil
}

// Leave hands over what this node works and takes it out of the cluster. The process ends then.
func (c control) Leave(ctx context.Context) error {
	if err := c.spare(c.peers.node); err != nil {
		return err
	}
	c.peers.keeper.Leave()
	app := c.workshop.app
	app.life.background(ctx, "leaving", func(ctx context.Context) {
		for len(c.workshop.all()) > 0 && clock.Sleep(ctx, clock.System(), 50*time.Millisecond) == nil {
		}
		err := c.engine.RemoveNode(ctx, c.peers.node)
		app.fail(errors.Join(ErrLeft, err))
	})
	return nil
}

// ErrLeft is why a node ends that was told to leave.
var ErrLeft = errors.New("the node has left its cluster")

// Remove takes another node out.
func (c control) Remove(ctx context.Context, node string) error {
	status := c.peers.keeper.Status()
	at := slices.IndexFunc(status.Nodes, func(n owner.Node) bool { return n.Name == node })
	switch {
	case node == c.peers.node:
		return heliograph.Errorf(heliograph.Conflict, "cluster.self", "this is the node %s itself: let it leave", node)
	case at < 0:
		return heliograph.Errorf(heliograph.NotFound, "cluster.node", "there is no node %q", node)
	case status.Nodes[at].Live:
		return heliograph.Errorf(heliograph.Conflict, "cluster.live", "the node %s is there: stop it first, or let it leave", node)
	}
	if err := c.spare(node); err != nil {
		return err
	}
	return c.engine.RemoveNode(ctx, node)
}
