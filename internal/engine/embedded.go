package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	readyTimeout = 60 * time.Second // after recovery, which is over by then
	apiTimeout   = 30 * time.Second // where a caller sets none: a slow disk may take its time to make a stream
	// noLimit leaves the disk to Room: NATS' own limit is taken from what is free at the start, and counts
	// against the store what others do with the disk.
	noLimit = 1 << 60
)

// embed starts a NATS server in this process on the data folder, and connects to it through a pipe.
func (e *Engine) embed(ctx context.Context) error {
	var err error
	if e.folder, err = claim(ctx, e.o.Dir, e.o.Cluster.mode(), e.logger); err != nil {
		return err
	}
	o := &server.Options{
		ServerName:         "heliograph",
		DontListen:         true,
		JetStream:          true,
		StoreDir:           e.o.Dir,
		SyncAlways:         true, // without it a power cut takes what was acknowledged, and the streams too
		MaxPayload:         natsPayload,
		MaxPending:         256 << 20,
		JetStreamMaxStore:  noLimit,
		JetStreamMaxMemory: 256 << 20, // consumers only: no stream is kept in memory
		JetStreamLimits:    server.JSLimitOpts{MaxBatchInflightPerStream: 200, MaxBatchInflightTotal: 4000},
		NoSigs:             true,
	}
	if e.o.Cluster != nil {
		if e.password, err = e.o.Cluster.join(o); err != nil {
			return err
		}
	}
	if e.server, err = server.NewServer(o); err != nil {
		return fmt.Errorf("embedded NATS server: %w", err)
	}
	log := &serverLog{logger: e.logger}
	e.server.SetLoggerV2(log, false, false, false)
	e.server.Start()
	if !e.server.ReadyForConnections(readyTimeout) {
		return fmt.Errorf("embedded NATS server did not start: %s", log.lastError())
	}
	// A stream that cannot be read is left out by the server. It must not be made anew, as if it had never been.
	if err := e.broken(); err != nil {
		return fmt.Errorf("data folder %s is damaged: %w", e.o.Dir, err)
	}
	if e.o.Cluster == nil {
		return e.dial("", nats.InProcessServer(e.server))
	}
	if err := e.dial("", nats.InProcessServer(e.server), nats.UserInfo(nodeUser, e.password)); err != nil {
		return err
	}
	return e.awaitMajority(ctx)
}

// broken returns what is wrong with the embedded server: a stream that cannot be read, or to which a write
// failed. It takes a restart, after what caused it is gone.
func (e *Engine) broken() error {
	if e.server == nil {
		return nil
	}
	// A node of a cluster that is not well gets what it lacks from the others.
	return ailment(e.server.Healthz, server.HealthzOptions{Details: true, JSEnabledOnly: e.o.Cluster != nil})
}

// mostAsks bounds how often the server is asked again that only says that it does not accept connections.
const mostAsks = 1000

// ailment returns what a server says is wrong with it. Whether it accepts connections it decides within a millisecond,
// in which a busy machine may not let it look at all: that says nothing, and of its streams it has said nothing then.
func ailment(ask func(*server.HealthzOptions) *server.HealthStatus, about server.HealthzOptions) error {
	var said []string
	for range mostAsks {
		said = said[:0]
		unknown := false
		for _, e := range ask(&about).Errors {
			unknown = unknown || e.Type == server.HealthzErrorConn
			said = append(said, e.Error)
		}
		if !unknown {
			break
		}
	}
	if len(said) > 0 {
		return errors.New(strings.Join(said, "; "))
	}
	return nil
}

// dial connects. The client keeps nothing back while it is cut off: a publish fails then, and is tried again by
// who knows whether that is right.
func (e *Engine) dial(address string, options ...nats.Option) error {
	var err error
	e.conn, err = nats.Connect(address, append(options,
		nats.Name("heliograph"),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(100*time.Millisecond),
		nats.ReconnectBufSize(-1),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			e.logger.WarnContext(e.life, "nats client", "error", err)
		}),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil && e.life.Err() == nil {
				e.logger.WarnContext(e.life, "nats connection lost", "error", err)
			}
			e.interruptTails()
		}),
		nats.ReconnectHandler(func(c *nats.Conn) {
			e.logger.InfoContext(e.life, "nats connection back", "server", c.ConnectedServerName())
		}))...)
	if err != nil {
		return fmt.Errorf("connect to NATS: %w", err)
	}
	timeout := apiTimeout
	if e.o.Cluster != nil {
		timeout = prepareTry // without a leader there is no answer, and who asks again gets one soon
	}
	if e.js, err = jetstream.New(e.conn, jetstream.WithDefaultTimeout(timeout)); err != nil {
		return fmt.Errorf("connect to NATS: %w", err)
	}
	return nil
}
