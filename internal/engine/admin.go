package engine

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"heliograph.dev"
)

// Replica is a node's copy of a stream.
type Replica struct {
	Node string
	// Leads says that it is asked; Current that it has everything; Lag how many writes it lacks.
	Leads, Current bool
	Lag            uint64
}

// Placed is a stream and who keeps it.
type Placed struct {
	Stream   string
	Replicas []Replica
}

// Placement tells who keeps which stream.
func (e *Engine) Placement(ctx context.Context) ([]Placed, error) {
	var all []Placed
	for _, s := range e.streams() {
		var info *jetstream.StreamInfo
		err := e.trying(ctx, func(ctx context.Context) (err error) {
			info, err = s.Info(ctx)
			return err
		})
		if err != nil {
			return nil, unavailable(fmt.Errorf("who keeps stream %s: %w", nameOf(s), err))
		}
		placed := Placed{Stream: info.Config.Name}
		if c := info.Cluster; c != nil {
			if c.Leader != "" {
				placed.Replicas = append(placed.Replicas, Replica{Node: c.Leader, Leads: true, Current: true})
			}
			for _, r := range c.Replicas {
				placed.Replicas = append(placed.Replicas, Replica{Node: r.Name, Current: r.Current && !r.Offline, Lag: r.Lag})
			}
		}
		all = append(all, placed)
	}
	return all, nil
}

// Copies returns how many nodes keep each stream.
func (e *Engine) Copies() int { return max(e.o.Replicas, 1) }

// RemoveNode takes a node out of the embedded cluster for good: it counts for no majority any more, and what it kept is
// copied to others. It may be this one.
func (e *Engine) RemoveNode(ctx context.Context, node string) error {
	if e.o.Cluster == nil {
		return heliograph.Errorf(heliograph.Invalid, "cluster.none", "this server is no node of an embedded cluster")
	}
	conn, err := nats.Connect("", nats.InProcessServer(e.server), nats.UserInfo(systemUser, e.password))
	if err != nil {
		return fmt.Errorf("remove node %s: %w", node, err)
	}
	defer conn.Close()
	request, err := json.Marshal(struct {
		Server string `json:"peer"`
	}{node})
	if err != nil {
		return fmt.Errorf("remove node %s: %w", node, err)
	}
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	reply, err := conn.RequestWithContext(ctx, "$JS.API.SERVER.REMOVE", request)
	if err != nil {
		return unavailable(fmt.Errorf("remove node %s: %w", node, err))
	}
	var answer struct {
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(reply.Data, &answer); err != nil {
		return fmt.Errorf("remove node %s: %w", node, err)
	}
	if answer.Error != nil {
		return &heliograph.Error{Kind: heliograph.Conflict, Rule: "cluster.remove", Message: "the cluster does not remove " + node + ": " + answer.Error.Description, Err: answer.Error}
	}
	return nil
}
