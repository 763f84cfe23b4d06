package app

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"os"
	"strings"

	"heliograph.dev"
	"heliograph.dev/internal/clock"
	"heliograph.dev/internal/config"
	"heliograph.dev/internal/engine"
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
	if err := a.parts.engine.Answer(a.node(), a.answerPeer); err != nil {
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
