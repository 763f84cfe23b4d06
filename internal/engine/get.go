package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// getRequest asks a stream for messages by place or subject.
type getRequest struct {
	Seq      uint64 `json:"seq,omitempty"`
	LastFor  string `json:"last_by_subj,omitempty"`
	NextFor  string `json:"next_by_subj,omitempty"`
	Batch    int    `json:"batch,omitempty"`
	MaxBytes int    `json:"max_bytes,omitempty"`
}

// stored is a message as it stands in a stream.
type stored struct {
	seq     uint64
	subject string
	header  nats.Header
	data    []byte
	time    time.Time
}

const (
	getTimeout   = 10 * time.Second
	mostGetBytes = 8 << 20 // in one answer, so that a long backlog is read in bites
)

func nameOf(stream jetstream.Stream) string { return stream.CachedInfo().Config.Name }

// message returns one message. Any replica may answer; when it has none, the leader is asked, because a replica
// may lag and "not there" is acted upon.
func (e *Engine) message(ctx context.Context, stream jetstream.Stream, request getRequest) (stored, error) {
	name := nameOf(stream)
	reply, err := e.ask(ctx, "$JS.API.DIRECT.GET."+name, request)
	if err != nil {
		return stored{}, err
	}
	if status := reply.Header.Get("Status"); status == "" {
		return direct(reply)
	} else if status != "404" {
		return stored{}, fmt.Errorf("get from %s: %s %s", name, status, reply.Header.Get("Description"))
	}
	return e.messageOfLeader(ctx, name, request)
}

func (e *Engine) messageOfLeader(ctx context.Context, name string, request getRequest) (stored, error) {
	reply, err := e.ask(ctx, "$JS.API.STREAM.MSG.GET."+name, request)
	if err != nil {
		return stored{}, err
	}
	var answer struct {
		Error   *jetstream.APIError `json:"error"`
		Message struct {
			Subject string    `json:"subject"`
			Seq     uint64    `json:"seq"`
			Header  []byte    `json:"hdrs"`
			Data    []byte    `json:"data"`
			Time    time.Time `json:"time"`
		} `json:"message"`
	}
	if err := json.Unmarshal(reply.Data, &answer); err != nil {
		return stored{}, fmt.Errorf("get from %s: %w", name, err)
	}
	if answer.Error != nil {
		if answer.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound {
			return stored{}, jetstream.ErrMsgNotFound
		}
		return stored{}, fmt.Errorf("get from %s: %w", name, answer.Error)
	}
	m := stored{seq: answer.Message.Seq, subject: answer.Message.Subject, data: answer.Message.Data, time: answer.Message.Time}
	if len(answer.Message.Header) > 0 {
		if m.header, err = nats.DecodeHeadersMsg(answer.Message.Header); err != nil {
			return stored{}, fmt.Errorf("get from %s: %w", name, err)
		}
	}
	return m, nil
}

// ask asks once, or again and again in a cluster: what is said to a stream that has no leader gets no answer, also when it
// has one again.
func (e *Engine) ask(ctx context.Context, subject string, request getRequest) (*nats.Msg, error) {
	text, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, getTimeout)
	defer cancel()
	most := getTimeout
	if e.o.Cluster != nil {
		most = clusterAttempt
	}
	for {
		attempt, end := context.WithTimeout(ctx, most)
		reply, err := e.conn.RequestWithContext(attempt, subject, text)
		end()
		if err == nil {
			return reply, nil
		}
		if e.o.Cluster == nil || e.pause(ctx, pauseFirst) != nil {
			return nil, unavailable(fmt.Errorf("%s: %w", subject, err))
		}
	}
}

// direct reads the answer to a direct get.
func direct(reply *nats.Msg) (stored, error) {
	seq, err := strconv.ParseUint(reply.Header.Get(jetstream.SequenceHeader), 10, 64)
	if err != nil {
		return stored{}, fmt.Errorf("answer without a sequence: %w", err)
	}
	at, err := time.Parse(time.RFC3339Nano, reply.Header.Get(jetstream.TimeStampHeaer))
	if err != nil {
		return stored{}, fmt.Errorf("answer without a time: %w", err)
	}
	return stored{seq, reply.Header.Get(jetstream.SubjectHeader), reply.Header, reply.Data, at}, nil
}

// latest returns one message as the leader has it, where somebody else may have written it a moment ago.
func (e *Engine) latest(ctx context.Context, stream jetstream.Stream, request getRequest) (stored, error) {
	if e.Clustered() {
		return e.messageOfLeader(ctx, nameOf(stream), request)
	}
	return e.message(ctx, stream, request)
}

// messages returns several messages of one subject in order: all that there are, or the first as far as
// request's bounds let them.
func (e *Engine) messages(ctx context.Context, stream jetstream.Stream, request getRequest) ([]stored, error) {
	name := nameOf(stream)
	if request.Batch == 1 && e.Clustered() { // a replica may still have what was cleared away
		return e.firstOfLeader(ctx, name, request)
	}
	request.MaxBytes = mostGetBytes
	text, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	all, err := e.several(ctx, name, text)
	if err == nil && len(all) == 0 {
		return e.firstOfLeader(ctx, name, request)
	}
	return all, err
}

// several reads the messages of one answer of a replica.
func (e *Engine) several(ctx context.Context, name string, request []byte) ([]stored, error) {
	inbox := e.conn.NewInbox()
	sub, err := e.conn.SubscribeSync(inbox)
	if err != nil {
		return nil, unavailable(err)
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only when the connection is gone, and the subscription with it
	if err := e.conn.PublishRequest("$JS.API.DIRECT.GET."+name, inbox, request); err != nil {
		return nil, unavailable(err)
	}
	ctx, cancel := context.WithTimeout(ctx, getTimeout)
	defer cancel()
	var all []stored
	for {
		reply, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return nil, unavailable(fmt.Errorf("get from %s: %w", name, err))
		}
		switch status := reply.Header.Get("Status"); status {
		case "":
			m, err := direct(reply)
			if err != nil {
				return nil, fmt.Errorf("get from %s: %w", name, err)
			}
			all = append(all, m)
		case "204", "404": // end of the batch, or nothing
			return all, nil
		default:
			return nil, fmt.Errorf("get from %s: %s %s", name, status, reply.Header.Get("Description"))
		}
	}
}

// firstOfLeader makes sure that there is nothing, where a replica said so.
func (e *Engine) firstOfLeader(ctx context.Context, name string, request getRequest) ([]stored, error) {
	request.Batch, request.MaxBytes = 0, 0
	m, err := e.messageOfLeader(ctx, name, request)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return []stored{m}, nil
}
