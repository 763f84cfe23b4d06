package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"heliograph.dev"
)

const (
	watchAhead      = 4096 // messages on the way to a watcher that does not keep up, of each shard
	watchAheadBytes = 16 << 20
	watchBatch      = 1024 // records in one call of apply
	// watchLinger is how long a batch waits for a message that the server has announced.
	watchLinger = 50 * time.Millisecond
	// mostAway is how long a watcher may be cut off: with some to spare, less than deletion markers live.
	mostAway = 30 * time.Minute
)

// ErrLostTrack is why a watch ended that was cut off so long that it may have missed deletions. Its owner
// forgets what it has and watches anew.
var ErrLostTrack = errors.New("cut off from the store for too long: deletions may have been missed")

// Watch is a running watch over all records.
type Watch struct {
	e     *Engine
	apply func([]heliograph.Record)
	life  context.Context
	end   context.CancelFunc
	ready chan struct{}
	done  chan struct{}

	mu      sync.Mutex
	err     error
	loading int           // shards that are not loaded yet
	applied []uint64      // newest revision applied, of each shard
	moved   chan struct{} // closed when applied moves, and made anew by who waits
}

// Watch tells apply of every record that there is, then of every change, until it is closed. Shards are
// independent: the records of one tenant come in order and one call after the other, those of two tenants may
// come at the same time. apply must not keep the slice. A record's newest value is told; values that it had
// meanwhile may be left out. A deletion may be told of a record that was never told of. A record whose key is not at
// hand ends a watch that is not ready yet; later it is waited for, and the shard's other changes behind it.
func (e *Engine) Watch(ctx context.Context, apply func([]heliograph.Record)) (*Watch, error) {
	return e.watch(ctx, apply, mostAway)
}

func (e *Engine) watch(ctx context.Context, apply func([]heliograph.Record), away time.Duration) (*Watch, error) {
	w := &Watch{
		e: e, apply: apply, ready: make(chan struct{}), done: make(chan struct{}),
		loading: len(e.shards), applied: make([]uint64, len(e.shards)),
	}
	w.life, w.end = context.WithCancel(e.life)
	var tails []*tail
	for _, s := range e.shards {
		// No filter: nothing else is in the stream, and with a million subjects a filter costs most of the time.
		t := e.newTail(s.stream, jetstream.ConsumerConfig{}, 0, watchAhead, watchAheadBytes)
		t.mostAway = away
		tails = append(tails, t)
		if _, _, err := t.open(ctx); err != nil {
			w.end()
			for _, t := range tails {
				t.close() //nolint:contextcheck // cleans up whether or not ctx is over
			}
			return nil, fmt.Errorf("watch records: %w", err)
		}
	}
	if !e.start(func() { w.run(tails) }) { //nolint:contextcheck // ctx bounds the start only
		w.end()
		return nil, unavailable(errClosed)
	}
	return w, nil
}

func (w *Watch) run(tails []*tail) {
	defer close(w.done)
	var all sync.WaitGroup
	for i, s := range w.e.shards {
		all.Go(func() {
			defer tails[i].close()
			w.fail(w.follow(s, tails[i]))
		})
	}
	all.Wait()
}

// Ready is closed once every record that was there at the start has been applied.
func (w *Watch) Ready() <-chan struct{} { return w.ready }

// Done is closed when the watch has ended, by Close, with the engine, or because it lost track.
func (w *Watch) Done() <-chan struct{} { return w.done }

// Err returns why the watch ended by itself, or nil.
func (w *Watch) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// Wait waits until a revision of a tenant, as Commit returned it, has been applied here: what is looked up
// afterwards is at least that new.
func (w *Watch) Wait(ctx context.Context, tenant heliograph.TenantID, rev uint64) error {
	shard := w.e.shardOf(tenant).number
	for {
		w.mu.Lock()
		reached, moved := w.applied[shard] >= rev, w.moved
		if moved == nil {
			moved = make(chan struct{})
			w.moved = moved
		}
		w.mu.Unlock()
		if reached {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return fmt.Errorf("wait for revision %d: %w", rev, ctx.Err())
		case <-w.done:
			return unavailable(fmt.Errorf("wait for revision %d: watch has ended", rev))
		}
	}
}

// Close ends the watch. apply is not called after it returned; it must not be called from apply.
func (w *Watch) Close() {
	w.end()
	<-w.done
}

// follow applies what a shard's tail reads, until it fails.
func (w *Watch) follow(s *shard, t *tail) error {
	if err := w.load(s, t); err != nil {
		return err
	}
	for {
		if _, err := w.step(s, t, 0); err != nil {
			return err
		}
	}
}

// load applies what was there when the watch began.
func (w *Watch) load(s *shard, t *tail) error {
	end, quiet := t.end, time.Duration(0)
	for t.last < end {
		n, err := w.step(s, t, watchLinger)
		if err != nil {
			return err
		}
		if n > 0 {
			quiet = 0
			continue
		}
		if over, err := t.caughtUp(w.life); over && err == nil {
			break
		}
		// A wait that is so short does not notice that the consumer is lost.
		if quiet += watchLinger; quiet >= 2*t.heartbeat() {
			quiet = 0
			t.drop()
		}
	}
	w.advance(s.number, max(t.last, end))
	w.loaded()
	return nil
}

// step applies one batch and returns how many records it had.
func (w *Watch) step(s *shard, t *tail, wait time.Duration) (int, error) {
	records, err := w.collect(s, t, wait)
	if len(records) > 0 {
		w.apply(records)
		w.advance(s.number, t.last)
	}
	return len(records), err
}

// collect reads a batch: what there is, without waiting for more once there is something. With a wait it may be
// empty.
func (w *Watch) collect(s *shard, t *tail, wait time.Duration) ([]heliograph.Record, error) {
	var records []heliograph.Record
	for len(records) < watchBatch {
		msg, meta, err := t.next(w.life, wait)
		if errors.Is(err, errNothing) {
			return records, nil
		}
		if err != nil {
			return records, err
		}
		r, ok, err := w.record(s, msg, meta.Sequence.Stream)
		if err != nil {
			return records, err
		}
		if ok {
			records = append(records, r)
		}
		if meta.NumPending == 0 {
			return records, nil
		}
		wait = watchLinger
	}
	return records, nil
}

// record reads a message of the shard. It passes over what is not a record: an operator may have put something into
// the bucket, or a disk may have damaged it.
func (w *Watch) record(s *shard, msg jetstream.Msg, revision uint64) (heliograph.Record, bool, error) {
	tenant, name, ok := strings.Cut(strings.TrimPrefix(msg.Subject(), s.prefix), ".")
	r := heliograph.Record{Tenant: heliograph.TenantID(tenant), Name: name, Revision: revision}
	if !ok || isMarker(msg.Headers()) {
		r.Deleted = true
		return r, ok, nil
	}
	var err error
	for told := false; ; told = true {
		r.Value, err = w.e.opened(msg.Subject(), msg.Data())
		switch {
		case err == nil:
			return r, true, nil
		case heliograph.KindOf(err) != heliograph.Unavailable:
			w.e.logger.ErrorContext(w.life, "record cannot be read", "subject", msg.Subject(), "revision", revision, "error", err)
			return r, false, nil
		case !w.isReady():
			return r, false, err
		case !told:
			w.e.logger.ErrorContext(w.life, "waiting for the key of a record", "subject", msg.Subject(), "error", err)
		}
		if err := w.e.pause(w.life, pauseMost); err != nil {
			return r, false, err
		}
	}
}

func (w *Watch) isReady() bool {
	select {
	case <-w.ready:
		return true
	default:
		return false
	}
}

func (w *Watch) advance(shard int, revision uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.applied[shard] = revision
	if w.moved != nil {
		close(w.moved)
		w.moved = nil
	}
}

func (w *Watch) loaded() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.loading--; w.loading == 0 {
		close(w.ready)
	}
}

// fail ends the watch. An end that was asked for is no failure.
func (w *Watch) fail(err error) {
	if w.life.Err() == nil {
		w.mu.Lock()
		w.err = err
		w.mu.Unlock()
	}
	w.end()
}
