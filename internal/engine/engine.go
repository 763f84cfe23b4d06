package engine

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"heliograph.dev"
)

// Engine is the open store. Open makes it.
type Engine struct {
	o      Options
	logger *slog.Logger

	folder   *folder        // nil with an existing NATS
	server   *server.Server // likewise
	password string         // of the users of its own server, in a cluster
	conn     *nats.Conn
	js       jetstream.JetStream

	vault Vault
	stale atomic.Bool // something was met that an older key has sealed

	changes, backlog, meta jetstream.Stream
	partitions             []*partition
	shards                 []*shard

	refusal atomic.Pointer[heliograph.Error] // what Room answers

	life   context.Context // ends when Close begins
	end    context.CancelFunc
	mu     sync.Mutex     // guards tails, and the start of work against the end of life
	tails  map[*tail]bool // those that have a consumer
	work   sync.WaitGroup // goroutines that life ends
	close  sync.Once
	closed chan struct{} // closed when everything is down
}

// Open opens the engine, making and migrating what it needs. On an empty folder that takes some ten
// milliseconds. ctx bounds it, but for the reading of a large store.
func Open(ctx context.Context, o Options) (*Engine, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	e := &Engine{o: o, logger: o.Logger, closed: make(chan struct{}), tails: map[*tail]bool{}}
	e.life, e.end = context.WithCancel(context.WithoutCancel(ctx))
	if o.NATS == "" {
		err = e.embed(ctx)
	} else {
		err = e.connect(ctx)
	}
	if err == nil {
		err = e.preparing(ctx)
	}
	if err == nil {
		err = e.watchRoom(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open engine: %w", err), e.Close(context.WithoutCancel(ctx)))
	}
	return e, nil
}

// Close ends what is running, then the connection, then the embedded server, and gives the folder free. It
// waits for that until ctx is done and may be called again, to wait on. Whoever appends, reads or watches is to
// be stopped before: calls that are under way fail.
func (e *Engine) Close(ctx context.Context) error {
	e.close.Do(func() {
		e.mu.Lock()
		e.end()
		e.mu.Unlock()
		go e.shutdown()
	})
	select {
	case <-e.closed:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("close engine: still stopping: %w", ctx.Err())
	}
}

func (e *Engine) shutdown() {
	defer close(e.closed)
	e.work.Wait()
	if e.conn != nil {
		e.conn.Close()
	}
	if e.server != nil {
		e.server.Shutdown()
		e.server.WaitForShutdown()
	}
	if e.folder != nil {
		e.folder.release()
	}
}

// start runs f, which ends with e.life, unless that is over.
func (e *Engine) start(f func()) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.life.Err() != nil {
		return false
	}
	e.work.Go(f)
	return true
}

// checkTimeout is what an orchestrator's probe waits at most.
const checkTimeout = 2 * time.Second

// Check reports whether the engine works: connected, every stream has a leader, and no write has failed for
// good.
func (e *Engine) Check(ctx context.Context) error {
	if e.life.Err() != nil {
		return errClosed
	}
	if err := e.broken(); err != nil {
		return fmt.Errorf("check engine: %w", err)
	}
	if status := e.conn.Status(); status != nats.CONNECTED {
		return fmt.Errorf("check engine: NATS connection is %v", status)
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	for _, s := range e.streams() {
		info, err := s.Info(ctx)
		if err != nil {
			return fmt.Errorf("check engine: stream %s: %w", nameOf(s), err)
		}
		if info.Cluster != nil && info.Cluster.Leader == "" {
			return fmt.Errorf("check engine: stream %s has no leader", info.Config.Name)
		}
	}
	return nil
}

func (e *Engine) streams() []jetstream.Stream {
	all := []jetstream.Stream{e.changes, e.backlog, e.meta}
	for _, s := range e.shards {
		all = append(all, s.stream)
	}
	return all
}

// Partitions returns how many partitions the change log has.
func (e *Engine) Partitions() int { return len(e.partitions) }

// PartitionOf returns the partition of a tenant: the same for the life of the store.
func (e *Engine) PartitionOf(tenant heliograph.TenantID) int {
	return bucket(string(tenant), len(e.partitions))
}

// bucket spreads names over n. What it answers stands on disk: it must never change.
func bucket(name string, n int) int {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	return int(h.Sum64() % uint64(n)) //nolint:gosec // below n
}

// pause waits for d, or less when ctx or the engine ends.
func (e *Engine) pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-e.life.Done():
		return errClosed
	}
}
