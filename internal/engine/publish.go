package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// publishPatience is how long a write waits through a fail-over, which takes a cluster 4 to 8 seconds.
	publishPatience = 15 * time.Second
	publishAttempt  = 5 * time.Second
	// clusterAttempt is shorter: what is said to a stream that has no leader gets no answer, also when it has one again.
	clusterAttempt = time.Second
	pauseFirst     = 20 * time.Millisecond
	pauseMost      = time.Second
)

// ack is what is known of a write that is on disk.
type ack struct {
	seq   uint64
	tries int
}

// publish writes one message and returns once it is on disk. It tries again while nobody answers: msg must
// carry a Nats-Msg-Id, by which the server knows what it has already.
func (e *Engine) publish(ctx context.Context, msg *nats.Msg) (ack, error) {
	return e.persist(ctx, func(ctx context.Context) (*jetstream.PubAck, error) {
		return e.js.PublishMsg(ctx, msg, jetstream.WithRetryAttempts(0))
	})
}

// persist does what publish says for any way of writing.
func (e *Engine) persist(ctx context.Context, write func(context.Context) (*jetstream.PubAck, error)) (ack, error) {
	patience, cancel := context.WithTimeout(ctx, publishPatience)
	defer cancel()
	defer context.AfterFunc(e.life, cancel)() //nolint:contextcheck // two contexts end it
	most := publishAttempt
	if e.o.Cluster != nil {
		most = clusterAttempt
	}
	for tries, wait := 1, pauseFirst; ; tries, wait = tries+1, min(2*wait, pauseMost) {
		attempt, end := context.WithTimeout(patience, most)
		done, err := write(attempt)
		end()
		if err == nil {
			return ack{done.Sequence, tries}, nil
		}
		if ctx.Err() != nil {
			return ack{tries: tries}, fmt.Errorf("write to the store: %w", ctx.Err())
		}
		told, verdict := judge(err)
		if verdict == rejected {
			return ack{tries: tries}, told
		}
		if err := e.broken(); err != nil { // NATS does not answer when a write failed, and never writes again
			return ack{tries: tries}, failedWrite(err)
		}
		if e.pause(patience, wait) != nil {
			return ack{tries: tries}, told
		}
	}
}
