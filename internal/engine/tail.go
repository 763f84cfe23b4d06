package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// tail reads a stream in order from a place on, waits at its end for more, and goes on where it was when the
// consumer behind it is lost. One goroutine reads; any may close it.
type tail struct {
	e      *Engine
	stream jetstream.Stream
	config jetstream.ConsumerConfig
	limits jetstream.PullMessagesOpt

	mostAway time.Duration // how long the reader may be cut off and still go on

	last      uint64 // sequence that was read last
	end       uint64 // of the stream, when the consumer was made
	delivered uint64 // by the consumer at hand

	mu       sync.Mutex
	closed   bool
	messages jetstream.MessagesContext // nil while there is no consumer
	consumer string
}

const (
	tailHeartbeat = 2 * time.Second // two of them missing and a consumer is taken for lost
	// clusterHeartbeat is shorter: a consumer is lost with its node, and what asks a new one for the first messages may
	// be faster than the news of it between the nodes.
	clusterHeartbeat = 500 * time.Millisecond
	tailExpiry       = 30 * time.Second
	tailForgotten    = 5 * time.Minute // after which the server drops a consumer whose reader has vanished
	deleteTimeout    = 2 * time.Second
	forever          = 10 * 365 * 24 * time.Hour
)

// newTail returns a tail whose first message is the one at from, or the first behind it that config's filter
// wants. most and mostBytes bound what is on the way to the reader.
func (e *Engine) newTail(stream jetstream.Stream, config jetstream.ConsumerConfig, from uint64, most, mostBytes int) *tail {
	config.AckPolicy = jetstream.AckNonePolicy
	config.MemoryStorage = true
	config.Replicas = 1
	config.InactiveThreshold = tailForgotten
	return &tail{
		e: e, stream: stream, config: config, last: max(from, 1) - 1,
		mostAway: forever, limits: jetstream.PullMaxMessagesWithBytesLimit(most, mostBytes),
	}
}

// open makes the consumer when there is none, and returns how many messages wait for the reader. It returns
// the iterator in use.
func (t *tail) open(ctx context.Context) (jetstream.MessagesContext, uint64, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, 0, ErrReaderClosed
	}
	if t.messages != nil {
		return t.messages, 0, nil
	}
	var info *jetstream.StreamInfo
	err := t.e.trying(ctx, func(ctx context.Context) (err error) {
		info, err = t.stream.Info(ctx)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	if t.end = info.State.LastSeq; t.last > t.end {
		// A consumer would wait for the sequence it was given and pass over what is written until then.
		t.e.logger.ErrorContext(ctx, "stream ends before the place of its reader",
			"stream", info.Config.Name, "last_read", t.last, "last_stored", t.end)
		t.last = t.end
	}
	config := t.config
	if config.DeliverPolicy != jetstream.DeliverLastPerSubjectPolicy {
		config.DeliverPolicy, config.OptStartSeq = jetstream.DeliverByStartSequencePolicy, t.last+1
	}
	var consumer jetstream.Consumer
	err = t.e.trying(ctx, func(ctx context.Context) (err error) {
		consumer, err = t.stream.CreateConsumer(ctx, config)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	t.consumer, t.delivered = consumer.CachedInfo().Name, 0
	t.e.track(t, true)
	t.messages, err = consumer.Messages(t.limits, jetstream.PullExpiry(tailExpiry),
		jetstream.PullHeartbeat(t.heartbeat()), jetstream.WithMessagesErrOnMissingHeartbeat(true))
	return t.messages, consumer.CachedInfo().NumPending, err
}

func (t *tail) heartbeat() time.Duration {
	if t.e.o.Cluster != nil {
		return clusterHeartbeat
	}
	return tailHeartbeat
}

// next returns the next message. It waits for it until ctx is done; when wait is not zero, also no longer
// than that, and then answers errNothing.
func (t *tail) next(ctx context.Context, wait time.Duration) (jetstream.Msg, *jetstream.MsgMetadata, error) {
	if ctx.Err() != nil { // a wait does not look at it
		return nil, nil, ctx.Err()
	}
	msg, meta, err := t.read(ctx, wait)
	if err == nil {
		return msg, meta, nil
	}
	away, cancel := context.WithTimeout(ctx, t.mostAway)
	defer cancel()
	told := false
	for pause := pauseFirst; ; pause = min(2*pause, pauseMost) {
		switch {
		case ctx.Err() != nil, errors.Is(err, errNothing):
			return nil, nil, err
		case t.e.life.Err() != nil:
			return nil, nil, errClosed
		case t.isClosed():
			return nil, nil, ErrReaderClosed
		case away.Err() != nil:
			return nil, nil, ErrLostTrack
		}
		if !told {
			told = true
			t.e.logger.WarnContext(ctx, "reading a stream from a new consumer",
				"stream", nameOf(t.stream), "after", t.last, "error", err)
		}
		t.drop() //nolint:contextcheck // cleans up whether or not ctx is over
		if err := t.e.pause(ctx, pause); err != nil {
			return nil, nil, err
		}
		if msg, meta, err = t.read(ctx, wait); err == nil {
			return msg, meta, nil
		}
	}
}

// caughtUp reports whether nothing is left between the reader and the end of the stream, by asking the server:
// a message that was announced may have removed itself meanwhile.
func (t *tail) caughtUp(ctx context.Context) (bool, error) {
	t.mu.Lock()
	name := t.consumer
	t.mu.Unlock()
	consumer, err := t.stream.Consumer(ctx, name)
	if err != nil {
		return false, err
	}
	info := consumer.CachedInfo()
	return info.NumPending == 0 && info.Delivered.Consumer == t.delivered, nil
}

func (t *tail) isClosed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.closed
}

var (
	errNothing = errors.New("nothing to read for now")
	errSkipped = errors.New("consumer skipped a message")
)

func (t *tail) read(ctx context.Context, wait time.Duration) (jetstream.Msg, *jetstream.MsgMetadata, error) {
	messages, _, err := t.open(ctx)
	if err != nil {
		return nil, nil, err
	}
	limit := jetstream.NextOpt(jetstream.NextContext(ctx))
	if wait > 0 {
		limit = jetstream.NextMaxWait(wait)
	}
	for {
		msg, err := messages.Next(limit)
		if err != nil {
			if wait > 0 && errors.Is(err, nats.ErrTimeout) {
				return nil, nil, errNothing
			}
			return nil, nil, err
		}
		meta, err := msg.Metadata()
		if err != nil {
			return nil, nil, fmt.Errorf("message without its place: %w", err)
		}
		if t.delivered++; meta.Sequence.Consumer != t.delivered {
			return nil, nil, errSkipped
		}
		if meta.Sequence.Stream > t.last { // else it was read before the consumer was made anew
			t.last = meta.Sequence.Stream
			return msg, meta, nil
		}
	}
}

// drop forgets the consumer at hand, so that the next read makes a new one.
func (t *tail) drop() {
	t.mu.Lock()
	messages, consumer := t.messages, t.consumer
	t.messages = nil
	t.mu.Unlock()
	if messages == nil {
		return
	}
	messages.Stop()
	// The server forgets it by itself, if later: what goes wrong here does not matter. The reader's context may
	// have ended long ago.
	ctx, cancel := context.WithTimeout(t.e.life, deleteTimeout)
	defer cancel()
	_ = t.stream.DeleteConsumer(ctx, consumer)
}

// close ends a read that is under way, and all later ones.
func (t *tail) close() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.drop()
	t.e.track(t, false)
}

// track remembers the tails that have a consumer.
func (e *Engine) track(t *tail, on bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if on {
		e.tails[t] = true
	} else {
		delete(e.tails, t)
	}
}

// interruptTails makes all readers look for their consumers again. It is for a lost connection: consumers are
// likely gone with it, and a lost one shows only by its silence.
func (e *Engine) interruptTails() {
	e.mu.Lock()
	tails := slices.Collect(maps.Keys(e.tails))
	e.mu.Unlock()
	for _, t := range tails {
		t.interrupt()
	}
}

// interrupt makes the reader look for its consumer again.
func (t *tail) interrupt() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.messages != nil {
		t.messages.Stop()
	}
}
