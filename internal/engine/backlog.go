package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"heliograph.dev"
	"heliograph.dev/internal/engine/frame"
)

const (
	backlogPrefix  = "backlog."
	endpointHeader = "Heliograph-Endpoint" // its URL, sealed
	// mostEndpoint leaves room for the URL beside a full list of refs.
	mostEndpoint = 16 << 10
	// What may be on the way while the endpoints are listed: headers only.
	listAhead      = 1024
	listAheadBytes = 8 << 20
	listWait       = 10 * time.Second
)

// backlogPrefixOf is the beginning of the subjects of a partition. The first one's are as they were when there was no
// other.
func backlogPrefixOf(partition int) string {
	if partition == 0 {
		return backlogPrefix
	}
	return backlogPrefix + strconv.Itoa(partition) + "."
}

// subject names an endpoint by a hash, since a URL is no subject. The hash also checks the URL that is read back.
func (h *Hold) subject(endpoint heliograph.Endpoint) string {
	sum := sha256.Sum256([]byte(endpoint))
	return backlogPrefixOf(h.partition) + hex.EncodeToString(sum[:16])
}

// ParkedMessage is one list of refs as it was parked.
type ParkedMessage struct {
	Sequence uint64
	Refs     []heliograph.ParkedRef
	// Err says why the list cannot be read; Refs is empty then. Unpark clears it away like any other.
	Err error
}

// ParkedEndpoint is an endpoint that has a backlog.
type ParkedEndpoint struct {
	Endpoint heliograph.Endpoint
	Messages uint64
}

// Park keeps refs for an endpoint and returns once they are on disk. A list is at most MaxParkedRefs long.
func (h *Hold) Park(ctx context.Context, endpoint heliograph.Endpoint, refs []heliograph.ParkedRef) (uint64, error) {
	msg, err := h.parking(endpoint, refs)
	if err != nil {
		return 0, err
	}
	seq, err := h.park(ctx, []*nats.Msg{msg})
	if err != nil {
		return 0, fmt.Errorf("park: %w", err)
	}
	return seq, nil
}

// Parking is a list of refs for one endpoint.
type Parking struct {
	Endpoint heliograph.Endpoint
	Refs     []heliograph.ParkedRef
}

// ParkAll keeps many lists, in their order, and returns once all are on disk. They share their syncs: what many ill
// endpoints cost together is little more than what one costs. When it fails, any of them may be there.
func (h *Hold) ParkAll(ctx context.Context, lists []Parking) error {
	msgs := make([]*nats.Msg, len(lists))
	for i, list := range lists {
		var err error
		if msgs[i], err = h.parking(list.Endpoint, list.Refs); err != nil {
			return err
		}
	}
	for len(msgs) > 0 {
		n, bytes := 1, len(msgs[0].Data)
		for n < len(msgs) && n < MaxWrites && bytes+len(msgs[n].Data) <= mostGroupBytes {
			bytes += len(msgs[n].Data)
			n++
		}
		if _, err := h.park(ctx, msgs[:n]); err != nil {
			return fmt.Errorf("park: %w", err)
		}
		msgs = msgs[n:]
	}
	return nil
}

// park writes lists that fit into one batch, and returns the sequence of the last.
func (h *Hold) park(ctx context.Context, msgs []*nats.Msg) (seq uint64, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	together := len(msgs) >= fewSingles
	for i, msg := range msgs {
		if i == 0 || !together {
			h.stamp(msg, fenceSubject(h.partition), h.epoch.fence)
		}
	}
	if together {
		err := h.fenced(ctx, func() (err error) {
			seq, err = h.e.write(ctx, h.e.backlog, msgs)
			return err
		})
		return seq, err
	}
	for _, msg := range msgs {
		err := h.fenced(ctx, func() error {
			done, err := h.e.publish(ctx, msg)
			seq = done.seq
			return err
		})
		if err != nil {
			return 0, err
		}
	}
	return seq, nil
}

// parking returns the message of one list.
func (h *Hold) parking(endpoint heliograph.Endpoint, refs []heliograph.ParkedRef) (*nats.Msg, error) {
	if len(refs) == 0 || len(refs) > MaxParkedRefs {
		return nil, fmt.Errorf("park: %d refs; a list has 1 to %d", len(refs), MaxParkedRefs)
	}
	if len(endpoint) > mostEndpoint {
		return nil, heliograph.Errorf(heliograph.Invalid, "engine.endpoint", "an endpoint has at most %d bytes", mostEndpoint)
	}
	subject := h.subject(endpoint)
	name, err := h.e.sealHeader(string(endpoint), subject+endpointLabel)
	if err != nil {
		return nil, fmt.Errorf("park: %w", err)
	}
	data, err := h.e.vault.Seal(nil, frame.AppendRefs(nil, endpoint, refs), subject)
	if err != nil {
		return nil, fmt.Errorf("park: %w", err)
	}
	return &nats.Msg{
		Subject: subject, Header: nats.Header{jetstream.MsgIDHeader: {nuid.Next()}, endpointHeader: {name}}, Data: data,
	}, nil
}

// MaxParkedRefs is how many refs one Park takes.
const MaxParkedRefs = frame.MaxRefs

// Parked returns an endpoint's messages from a sequence on, in order: at most limit, and fewer when they are
// large. Only when it returns none is there none.
func (h *Hold) Parked(ctx context.Context, endpoint heliograph.Endpoint, from uint64, limit int) ([]ParkedMessage, error) {
	request := getRequest{Seq: max(from, 1), NextFor: h.subject(endpoint), Batch: max(limit, 1)}
	found, err := h.e.messages(ctx, h.e.backlog, request)
	if err != nil {
		return nil, fmt.Errorf("read backlog: %w", err)
	}
	parked := make([]ParkedMessage, len(found))
	for i, m := range found {
		data, err := h.e.vault.OpenInPlace(m.data, request.NextFor)
		if heliograph.KindOf(err) == heliograph.Unavailable {
			return nil, fmt.Errorf("read backlog: %w", err)
		}
		if parked[i].Sequence = m.seq; err == nil {
			parked[i].Refs, err = frame.DecodeRefs(data, endpoint)
		}
		parked[i].Err = err
	}
	return parked, nil
}

// Unpark drops an endpoint's messages up to and including a sequence. No epoch guards it: what it drops was delivered.
func (h *Hold) Unpark(ctx context.Context, endpoint heliograph.Endpoint, through uint64) error {
	err := h.e.trying(ctx, func(ctx context.Context) error {
		return h.e.backlog.Purge(ctx, jetstream.WithPurgeSubject(h.subject(endpoint)), jetstream.WithPurgeSequence(through+1))
	})
	if err != nil {
		return unavailable(fmt.Errorf("unpark through %d: %w", through, err))
	}
	return nil
}

// ParkedEndpoints lists the endpoints of the partition that have a backlog. It reads one header of each: it is for the start.
func (h *Hold) ParkedEndpoints(ctx context.Context) ([]ParkedEndpoint, error) {
	e, subjects := h.e, backlogPrefixOf(h.partition)+"*"
	var info *jetstream.StreamInfo
	err := e.trying(ctx, func(ctx context.Context) (err error) {
		info, err = e.backlog.Info(ctx, jetstream.WithSubjectFilter(subjects)) // page by page
		return err
	})
	if err != nil {
		return nil, unavailable(fmt.Errorf("list backlog: %w", err))
	}
	waiting := info.State.Subjects
	if len(waiting) == 0 {
		return nil, nil
	}
	config := jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverLastPerSubjectPolicy, FilterSubject: subjects, HeadersOnly: true,
	}
	t := e.newTail(e.backlog, config, 0, listAhead, listAheadBytes)
	defer t.close() //nolint:contextcheck // cleans up whether or not ctx is over
	_, left, err := t.open(ctx)
	if err != nil {
		return nil, unavailable(fmt.Errorf("list backlog: %w", err))
	}
	endpoints := make([]ParkedEndpoint, 0, len(waiting))
	add := func(subject, header string) error {
		messages := waiting[subject]
		delete(waiting, subject)
		name, err := e.openHeader(header, subject+endpointLabel)
		if heliograph.KindOf(err) == heliograph.Unavailable {
			return fmt.Errorf("list backlog: %w", err)
		}
		endpoint := heliograph.Endpoint(name)
		if err != nil || h.subject(endpoint) != subject {
			e.logger.ErrorContext(ctx, "backlog without its endpoint", "subject", subject, "messages", messages, "error", err)
			return nil
		}
		endpoints = append(endpoints, ParkedEndpoint{endpoint, max(messages, 1)})
		return nil
	}
	for left > 0 {
		msg, meta, err := t.next(ctx, listWait)
		if err != nil {
			return nil, fmt.Errorf("list backlog: %w", err)
		}
		left = meta.NumPending
		if err := add(msg.Subject(), msg.Headers().Get(endpointHeader)); err != nil {
			return nil, err
		}
	}
	return endpoints, h.unlisted(ctx, waiting, add)
}

// unlisted adds the endpoints that the leader has and the replica that listed them does not have yet: one that was
// forgotten would be sent what is younger first.
func (h *Hold) unlisted(ctx context.Context, waiting map[string]uint64, add func(subject, header string) error) error {
	if !h.e.Clustered() {
		return nil
	}
	for subject := range maps.Clone(waiting) {
		m, err := h.e.messageOfLeader(ctx, nameOf(h.e.backlog), getRequest{LastFor: subject})
		if errors.Is(err, jetstream.ErrMsgNotFound) { // drained since
			continue
		}
		if err == nil {
			err = add(subject, m.header.Get(endpointHeader))
		}
		if err != nil {
			return fmt.Errorf("list backlog: %w", err)
		}
	}
	return nil
}
