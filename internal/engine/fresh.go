package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"heliograph.dev"
)

// syncTry is how long a sync waits for a message before it looks whether that is still there: a deletion marker may have
// removed itself.
const syncTry = time.Second

// Sync waits until everything has been applied here that was written for these tenants before, by whichever node. It asks
// the leader of each of their shards.
func (w *Watch) Sync(ctx context.Context, tenants ...heliograph.TenantID) error {
	asked := map[int]bool{}
	for _, tenant := range tenants {
		s := w.e.shardOf(tenant)
		if asked[s.number] {
			continue
		}
		asked[s.number] = true
		if err := w.sync(ctx, s, tenant); err != nil {
			return err
		}
	}
	return nil
}

func (w *Watch) sync(ctx context.Context, s *shard, tenant heliograph.TenantID) error {
	for {
		m, err := w.e.messageOfLeader(ctx, nameOf(s.stream), getRequest{LastFor: ">"})
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("last record: %w", err)
		}
		try, cancel := context.WithTimeout(ctx, syncTry)
		err = w.Wait(try, tenant, m.seq)
		late := try.Err() != nil
		cancel()
		if err == nil || ctx.Err() != nil || !late {
			return err
		}
	}
}

// GetHere returns one record as this node's server has it, however old that is.
func (e *Engine) GetHere(ctx context.Context, tenant heliograph.TenantID, name string) (heliograph.Record, error) {
	s := e.shardOf(tenant)
	reply, err := e.ask(ctx, "$JS.API.DIRECT.GET."+nameOf(s.stream), getRequest{LastFor: s.subject(tenant, name)})
	if err != nil {
		return heliograph.Record{}, err
	}
	if reply.Header.Get("Status") != "" || isMarker(reply.Header) {
		return heliograph.Record{}, heliograph.Errorf(heliograph.NotFound, "engine.record", "no record %s", name)
	}
	m, err := direct(reply)
	if err != nil {
		return heliograph.Record{}, err
	}
	value, err := e.opened(m.subject, m.data)
	return heliograph.Record{Tenant: tenant, Name: name, Value: value, Revision: m.seq}, err
}
