package engine

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"heliograph.dev"
)

const (
	// MaxValue is how long a record's value may be.
	MaxValue = 900_000
	// MaxWrites is how many records one Commit may change.
	MaxWrites = 1000

	operationHeader = "KV-Operation" // as NATS' key-value buckets have it
	operationDelete = "DEL"
	markerLife      = "1h" // how long a deletion can be heard of

)

var (
	tenantPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	namePattern   = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)
)

// shard is one bucket of records.
type shard struct {
	number int
	stream jetstream.Stream
	prefix string // of its subjects
	queue  commitQueue
}

func (e *Engine) shardOf(tenant heliograph.TenantID) *shard {
	return e.shards[bucket(string(tenant), len(e.shards))]
}

func (s *shard) subject(tenant heliograph.TenantID, name string) string {
	return s.prefix + string(tenant) + "." + name
}

// Get returns one record, or NotFound. In a cluster the leader is asked: what any node has written before is there.
func (e *Engine) Get(ctx context.Context, tenant heliograph.TenantID, name string) (heliograph.Record, error) {
	if err := checkName(tenant, name); err != nil {
		return heliograph.Record{}, err
	}
	s := e.shardOf(tenant)
	m, err := e.latest(ctx, s.stream, getRequest{LastFor: s.subject(tenant, name)})
	if errors.Is(err, jetstream.ErrMsgNotFound) || err == nil && isMarker(m.header) {
		return heliograph.Record{}, heliograph.Errorf(heliograph.NotFound, "engine.record", "no record %s", name)
	}
	if err != nil {
		return heliograph.Record{}, fmt.Errorf("get record %s: %w", name, err)
	}
	value, err := e.opened(m.subject, m.data)
	if err != nil {
		return heliograph.Record{}, fmt.Errorf("get record: %w", err)
	}
	return heliograph.Record{Tenant: tenant, Name: name, Value: value, Revision: m.seq}, nil
}

func isMarker(h nats.Header) bool {
	return h.Get(operationHeader) != "" || h.Get(jetstream.MarkerReasonHeader) != ""
}

func checkName(tenant heliograph.TenantID, name string) error {
	if !tenantPattern.MatchString(string(tenant)) || !namePattern.MatchString(name) || len(name) > 256 {
		return heliograph.Errorf(heliograph.Invalid, "engine.name", "%q of tenant %q cannot name a record", name, tenant)
	}
	return nil
}
