package engine

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

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

	batchHeader       = "Nats-Batch-Id"
	batchNumberHeader = "Nats-Batch-Sequence"
	batchCommitHeader = "Nats-Batch-Commit"

	mostConflicts = 4 // with markers that come and go: each means that another won
)

var (
	tenantPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	namePattern   = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)
)

// shard is one bucket of records.
type shard struct {
	number int
	stream jetstream.Stream
	prefix string        // of its subjects
	slots  chan struct{} // bounds the batches that are open at the server, which has a limit of its own
}

const mostBatches = 32

func newShard(n int, stream jetstream.Stream, prefix string) *shard {
	return &shard{number: n, stream: stream, prefix: prefix, slots: make(chan struct{}, mostBatches)}
}

func (e *Engine) shardOf(tenant heliograph.TenantID) *shard {
	return e.shards[bucket(string(tenant), len(e.shards))]
}

func (s *shard) subject(tenant heliograph.TenantID, name string) string {
	return s.prefix + string(tenant) + "." + name
}

// Get returns one record, or NotFound. In a cluster it may be a moment old: a Commit that expects its revision
// then conflicts, and nothing is lost.
func (e *Engine) Get(ctx context.Context, tenant heliograph.TenantID, name string) (heliograph.Record, error) {
	if err := checkName(tenant, name); err != nil {
		return heliograph.Record{}, err
	}
	s := e.shardOf(tenant)
	m, err := e.message(ctx, s.stream, getRequest{LastFor: s.subject(tenant, name)})
	if errors.Is(err, jetstream.ErrMsgNotFound) || err == nil && isMarker(m.header) {
		return heliograph.Record{}, heliograph.Errorf(heliograph.NotFound, "engine.record", "no record %s", name)
	}
	if err != nil {
		return heliograph.Record{}, fmt.Errorf("get record %s: %w", name, err)
	}
	return heliograph.Record{Tenant: tenant, Name: name, Value: value(m.data), Revision: m.seq}, nil
}

// value makes an empty value differ from none.
func value(data []byte) []byte {
	if data == nil {
		return []byte{}
	}
	return data
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

// Commit makes all writes, on disk, or none, and returns the revision of the last: write i of n has the revision
// rev-n+1+i. It is a Conflict when a record has not the revision that its write expects.
func (e *Engine) Commit(ctx context.Context, tenant heliograph.TenantID, writes []heliograph.Write) (uint64, error) {
	if err := checkWrites(tenant, writes); err != nil {
		return 0, err
	}
	s := e.shardOf(tenant)
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return 0, fmt.Errorf("commit: %w", ctx.Err())
	}
	expect := make([]uint64, len(writes))
	for i, w := range writes {
		expect[i] = w.Expect
	}
	for range mostConflicts {
		rev, err := e.commit(ctx, s, s.batch(tenant, writes, expect))
		if heliograph.KindOf(err) != heliograph.Conflict {
			return rev, err
		}
		// "Must not exist" is true of a record of which a deletion marker is left, but has to be said with the
		// marker's revision.
		again, lookErr := e.expectMarkers(ctx, s, tenant, writes, expect)
		if lookErr != nil {
			return 0, lookErr
		}
		if !again {
			return 0, err
		}
	}
	return 0, conflict(fmt.Errorf("lost %d times in a row", mostConflicts))
}

func checkWrites(tenant heliograph.TenantID, writes []heliograph.Write) error {
	if len(writes) == 0 || len(writes) > MaxWrites {
		return fmt.Errorf("commit: %d writes; there can be 1 to %d", len(writes), MaxWrites)
	}
	names := make(map[string]bool, len(writes))
	for _, w := range writes {
		if err := checkName(tenant, w.Name); err != nil {
			return err
		}
		switch {
		case names[w.Name]:
			return fmt.Errorf("commit: record %s is written twice", w.Name)
		case w.Value == nil && w.Expect == 0:
			return fmt.Errorf("commit: record %s is to be deleted and must not exist", w.Name)
		case len(w.Value) > MaxValue:
			return heliograph.Errorf(heliograph.TooLarge, "engine.value_size", "record %s takes %d bytes; at most %d are kept", w.Name, len(w.Value), MaxValue)
		}
		names[w.Name] = true
	}
	return nil
}

// batch returns the messages of a commit. The last one carries the id by which a commit that is tried again is
// known.
func (s *shard) batch(tenant heliograph.TenantID, writes []heliograph.Write, expect []uint64) []*nats.Msg {
	msgs := make([]*nats.Msg, len(writes))
	id := nuid.Next()
	for i, w := range writes {
		h := nats.Header{jetstream.ExpectedLastSubjSeqHeader: {strconv.FormatUint(expect[i], 10)}}
		if w.Value == nil {
			h[operationHeader] = []string{operationDelete}
			h[jetstream.MsgTTLHeader] = []string{markerLife}
		}
		if len(writes) > 1 {
			h[batchNumberHeader] = []string{strconv.Itoa(i + 1)}
		}
		msgs[i] = &nats.Msg{Subject: s.subject(tenant, w.Name), Header: h, Data: w.Value}
	}
	last := msgs[len(msgs)-1].Header
	last[jetstream.MsgIDHeader] = []string{id}
	if len(msgs) > 1 {
		last[batchCommitHeader] = []string{"1"}
	}
	return msgs
}

func (e *Engine) commit(ctx context.Context, s *shard, msgs []*nats.Msg) (uint64, error) {
	last := msgs[len(msgs)-1]
	done, err := e.persist(ctx, func(ctx context.Context) (*jetstream.PubAck, error) {
		if len(msgs) > 1 { // each try is a batch of its own: the server may still hold half of the one before
			batch := nuid.Next()
			for _, m := range msgs {
				m.Header[batchHeader] = []string{batch}
			}
			for _, m := range msgs[:len(msgs)-1] { // unanswered: what is wrong with one fails the last
				if err := e.conn.PublishMsg(m); err != nil {
					return nil, err
				}
			}
		}
		return e.js.PublishMsg(ctx, last, jetstream.WithRetryAttempts(0))
	})
	if err != nil && done.tries > 1 && heliograph.KindOf(err) == heliograph.Conflict {
		return e.committed(ctx, s, last, err)
	}
	if err != nil {
		return 0, fmt.Errorf("commit: %w", err)
	}
	return done.seq, nil
}

// committed finds out whether a conflict is with this very commit, of which an earlier try was stored though
// its answer was lost.
func (e *Engine) committed(ctx context.Context, s *shard, last *nats.Msg, cause error) (uint64, error) {
	m, err := e.messageOfLeader(ctx, s.stream.CachedInfo().Config.Name, getRequest{LastFor: last.Subject})
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, cause
	}
	if err != nil {
		return 0, fmt.Errorf("commit: %w", err)
	}
	if m.header.Get(jetstream.MsgIDHeader) != last.Header.Get(jetstream.MsgIDHeader) {
		return 0, cause
	}
	return m.seq, nil
}

// expectMarkers looks at the records that must not exist, and lets those expect their deletion marker that have
// one. It reports whether that changed anything, so that trying again makes sense.
func (e *Engine) expectMarkers(ctx context.Context, s *shard, tenant heliograph.TenantID, writes []heliograph.Write, expect []uint64) (bool, error) {
	changed := false
	for i, w := range writes {
		if w.Expect != 0 {
			continue
		}
		var revision uint64
		m, err := e.messageOfLeader(ctx, s.stream.CachedInfo().Config.Name, getRequest{LastFor: s.subject(tenant, w.Name)})
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound): // never there, or the marker is gone by now
		case err != nil:
			return false, fmt.Errorf("commit: %w", err)
		case !isMarker(m.header):
			return false, nil // it exists
		default:
			revision = m.seq
		}
		changed = changed || revision != expect[i]
		expect[i] = revision
	}
	return changed, nil
}
