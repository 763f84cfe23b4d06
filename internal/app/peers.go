package app

import (
	"bytes"
	"context"
	"encoding/gob"
	"sync"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/deliver"
	"heliograph.dev/internal/deliveries"
	"heliograph.dev/internal/engine"
	"heliograph.dev/internal/health"
	"heliograph.dev/internal/owner"
	"heliograph.dev/internal/subscribe"
)

// peers are the other nodes, which have what this one has not: what they have sent, how their endpoints are. A node that
// does not answer in time is left out.
type peers struct {
	engine *engine.Engine
	keeper *owner.Keeper // nil when the node is alone
	node   string
}

// peerWait is what a person waits for a node that does not answer.
const peerWait = 2 * time.Second

// What nodes ask each other.
const (
	askFind       = "find"
	askGet        = "get"
	askLatest     = "latest"
	askResend     = "resend"
	askReplay     = "replay"
	askEndpoints  = "endpoints"
	askForce      = "force"
	askHandshakes = "handshakes"
)

type resendRequest struct {
	Subscription heliograph.SubscriptionID
	Position     heliograph.Position
	Partition    int
}

type replayRequest struct {
	Subscription heliograph.SubscriptionID
	Partition    int
	Part         deliver.Range
}

type forceRequest struct {
	Endpoint heliograph.Endpoint
	State    health.State
}

// others names the nodes but this one.
func (p *peers) others() []string {
	if p.keeper == nil {
		return nil
	}
	var names []string
	for _, n := range p.keeper.Status().Nodes {
		if n.Live && n.Name != p.node {
			names = append(names, n.Name)
		}
	}
	return names
}

// gather asks all other nodes and returns what those answered that did.
func gather[Out any](p *peers, method string, in any) []Out {
	ctx, cancel := context.WithTimeout(context.Background(), peerWait)
	defer cancel()
	var (
		mu   sync.Mutex
		all  sync.WaitGroup
		outs []Out
	)
	for _, node := range p.others() {
		all.Go(func() {
			var out Out
			if p.call(ctx, node, method, in, &out) != nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			outs = append(outs, out)
		})
	}
	all.Wait()
	return outs
}

// call asks one node.
func (p *peers) call(ctx context.Context, node, method string, in, out any) error {
	var request bytes.Buffer
	if err := gob.NewEncoder(&request).Encode(in); err != nil {
		return err
	}
	reply, err := p.engine.Call(ctx, node, method, request.Bytes())
	if err != nil {
		return err
	}
	return gob.NewDecoder(bytes.NewReader(reply)).Decode(out)
}

// answerPeer answers another node. What a caller may see was decided there.
func (a *App) answerPeer(ctx context.Context, method string, request []byte) ([]byte, error) {
	in := gob.NewDecoder(bytes.NewReader(request))
	c := a.control()
	switch method {
	case askFind:
		return answered(in, func(q deliveries.Query) ([]deliveries.Delivery, error) {
			found := c.book.Find(q)
			for i := range found {
				found[i].Body = nil // a list does not show it
			}
			return found, nil
		})
	case askGet:
		return answered(in, func(id deliveries.ID) (deliveries.Delivery, error) {
			if d, found := c.book.Get(id); found {
				return *d, nil
			}
			return deliveries.Delivery{}, heliograph.Errorf(heliograph.NotFound, "delivery.not_found", "The object was not found.")
		})
	case askLatest:
		return answered(in, func(sub heliograph.SubscriptionID) ([]*deliveries.Delivery, error) { return c.book.Latest(sub), nil })
	case askResend:
		return answered(in, func(r resendRequest) (int, error) { return 1, c.resendHere(ctx, r) })
	case askReplay:
		return answered(in, func(r replayRequest) (int, error) { return c.replayHere(ctx, r) })
	case askEndpoints:
		return answered(in, func(bool) ([]deliver.Endpoint, error) { return c.endpointsHere(), nil })
	case askForce:
		return answered(in, func(r forceRequest) (bool, error) {
			c.forceHere(r.Endpoint, r.State)
			return true, nil
		})
	case askHandshakes:
		return answered(in, func(caller heliograph.Caller) ([]subscribe.Handshake, error) {
			return a.parts.subscriptions.Handshakes().List(&caller), nil
		})
	}
	return nil, heliograph.Errorf(heliograph.Invalid, "peers.method", "this node does not know %q: is it older?", method)
}

// answered decodes what is asked, and encodes the answer.
func answered[In, Out any](in *gob.Decoder, do func(In) (Out, error)) ([]byte, error) {
	var asked In
	if err := in.Decode(&asked); err != nil {
		return nil, err
	}
	out, err := do(asked)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = gob.NewEncoder(&b).Encode(out)
	return b.Bytes(), err
}

// handshakes are those of all nodes: each remembers its own.
type handshakes struct {
	*subscribe.Handshakes
	peers *peers
}

// List returns the handshakes that the caller may see.
func (h handshakes) List(caller *heliograph.Caller) []subscribe.Handshake {
	list := h.Handshakes.List(caller)
	for _, more := range gather[[]subscribe.Handshake](h.peers, askHandshakes, *caller) {
		list = append(list, more...)
	}
	return latestFirst(list, func(s *subscribe.Handshake) time.Time { return s.Exchange.Attempt.Started })
}

// Get returns one of them.
func (h handshakes) Get(caller *heliograph.Caller, id heliograph.GUID) (subscribe.Handshake, bool) {
	if found, ok := h.Handshakes.Get(caller, id); ok {
		return found, true
	}
	for _, s := range h.List(caller) {
		if s.ID == id {
			return s, true
		}
	}
	return subscribe.Handshake{}, false
}
