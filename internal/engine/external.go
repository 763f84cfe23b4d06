package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"heliograph.dev"
)

const (
	// natsPayload is the server's default limit, and what this package needs: MaxSize of a frame and headers.
	natsPayload = 1 << 20
	// oldestVersion is the first in which atomic batches are synced as one, and in which several holes in
	// "sync always" are closed.
	oldestVersion = "2.15.2"

	syncSubject = "$SYS.REQ.SERVER.PING.JSZ"
	syncWait    = 2 * time.Second        // for the first server's answer
	syncQuiet   = 300 * time.Millisecond // for the other servers'
)

// connect uses the NATS that the operator named, if it keeps what it acknowledges.
func (e *Engine) connect(ctx context.Context) error {
	var options []nats.Option
	if e.o.Credentials != "" {
		options = append(options, nats.UserCredentials(e.o.Credentials))
	}
	if e.o.TLS != nil {
		options = append(options, nats.Secure(e.o.TLS))
	}
	if err := e.dial(e.o.NATS, options...); err != nil {
		return err
	}
	version := e.conn.ConnectedServerVersion()
	if !recent(version) {
		return heliograph.Errorf(heliograph.Invalid, "nats.version",
			"NATS server %s is too old: version %s or newer is needed", version, oldestVersion)
	}
	if limit := e.conn.MaxPayload(); limit < natsPayload {
		return heliograph.Errorf(heliograph.Invalid, "nats.payload",
			"NATS server takes messages of %d bytes; set its max_payload to %d or more", limit, natsPayload)
	}
	if e.o.AcceptLazySync {
		return nil
	}
	return e.refuseLazySync(ctx)
}

func recent(version string) bool {
	var have, need [3]int
	_, err := fmt.Sscanf(version, "%d.%d.%d", &have[0], &have[1], &have[2]) // a pre-release counts as its release
	_, _ = fmt.Sscanf(oldestVersion, "%d.%d.%d", &need[0], &need[1], &need[2])
	return err == nil && slices.Compare(have[:], need[:]) >= 0
}

// refuseLazySync asks every server whether it syncs before it answers. See the package comment for why no
// answer is a no.
func (e *Engine) refuseLazySync(ctx context.Context) error {
	answers, err := e.askServers(ctx)
	if err != nil {
		return fmt.Errorf("ask for the sync mode of NATS: %w", err)
	}
	known := false
	for _, answer := range answers {
		switch {
		case answer.Data.Disabled: // a server that keeps nothing
		case !answer.Data.Config.SyncAlways:
			return heliograph.Errorf(heliograph.Invalid, "nats.lazy_sync",
				"NATS server %s syncs later than it answers: a power cut would take acknowledged changes; "+
					"set sync_interval: always, or accept it (accept lazy sync)", answer.Server.Name)
		default:
			known = true
		}
	}
	if !known {
		return heliograph.Errorf(heliograph.Invalid, "nats.unknown_sync",
			"NATS does not say whether it syncs before it answers: let its system account export the service %s to this account, "+
				"or, knowing that sync_interval is always, say so (accept lazy sync)", syncSubject)
	}
	return nil
}

// syncAnswer is the part of a server's JSZ answer that says how it syncs.
type syncAnswer struct {
	Server struct {
		Name string `json:"name"`
	} `json:"server"`
	Data struct {
		Disabled bool `json:"disabled"`
		Config   struct {
			SyncAlways bool `json:"sync_always"`
		} `json:"config"`
	} `json:"data"`
}

// askServers collects the answers of all servers: nobody knows how many there are, so it ends when they have
// been silent for a while.
func (e *Engine) askServers(ctx context.Context) ([]syncAnswer, error) {
	inbox := e.conn.NewInbox()
	sub, err := e.conn.SubscribeSync(inbox)
	if err != nil {
		return nil, err
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only when the connection is gone, and the subscription with it
	if err := e.conn.PublishRequest(syncSubject, inbox, nil); err != nil {
		return nil, err
	}
	var answers []syncAnswer
	for wait := syncWait; ; wait = syncQuiet {
		waiting, cancel := context.WithTimeout(ctx, wait)
		msg, err := sub.NextMsgWithContext(waiting)
		cancel()
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrNoResponders), errors.Is(err, nats.ErrPermissionViolation):
			return answers, nil
		case err != nil:
			return nil, err
		}
		var answer syncAnswer
		if err := json.Unmarshal(msg.Data, &answer); err != nil {
			return nil, fmt.Errorf("answer of a server: %w", err)
		}
		answers = append(answers, answer)
	}
}
