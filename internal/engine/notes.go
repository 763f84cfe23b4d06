package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"heliograph.dev"
)

// Note is what the nodes of a cluster tell each other durably: who is there, who owns what. It is not sealed.
type Note struct {
	Name     string
	Value    []byte
	Revision uint64
}

const (
	notePrefix  = "meta."
	ownerPrefix = "meta.owner."
	nodePrefix  = "meta.node."
	mostNotes   = 1000 // in one answer
)

// OwnerNote names the note of a partition's owner.
func OwnerNote(partition int) string { return "owner." + strconv.Itoa(partition) }

// NodeNote names the note of a node.
func NodeNote(node string) string { return "node." + node }

// Notes returns the notes of all nodes and owners as some server has them: it may lag a little behind what others have
// just written, and then a SetNote that rests on it conflicts.
func (e *Engine) Notes(ctx context.Context) ([]Note, error) {
	text, err := json.Marshal(struct {
		Subjects []string `json:"multi_last"`
		Batch    int      `json:"batch"`
	}{[]string{nodePrefix + "*", ownerPrefix + "*"}, mostNotes})
	if err != nil {
		return nil, err
	}
	found, err := e.several(ctx, nameOf(e.meta), text)
	if err != nil {
		return nil, fmt.Errorf("read notes: %w", err)
	}
	notes := make([]Note, len(found))
	for i, m := range found {
		notes[i] = Note{Name: strings.TrimPrefix(m.subject, notePrefix), Value: m.data, Revision: m.seq}
	}
	return notes, nil
}

// SetNote writes a note in the place of the one with that revision (0: of none), and returns the new revision. It is a
// Conflict when another has written it since. A nil value leaves a note without a value.
func (e *Engine) SetNote(ctx context.Context, name string, value []byte, revision uint64) (uint64, error) {
	msg := &nats.Msg{Subject: notePrefix + name, Data: value, Header: nats.Header{
		jetstream.MsgIDHeader:               {nuid.Next()},
		jetstream.ExpectedLastSubjSeqHeader: {strconv.FormatUint(revision, 10)},
	}}
	done, err := e.publish(ctx, msg)
	if heliograph.KindOf(err) == heliograph.Conflict { // with an earlier try of ours, of which nobody heard?
		return e.written(ctx, e.meta, msg, err)
	}
	if err != nil {
		return 0, fmt.Errorf("write note %s: %w", name, err)
	}
	return done.seq, nil
}

// Note returns a note as the leader has it; one without a revision is not there.
func (e *Engine) Note(ctx context.Context, name string) (Note, error) {
	m, err := e.messageOfLeader(ctx, metaStream, getRequest{LastFor: notePrefix + name})
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return Note{Name: name}, nil
	}
	if err != nil {
		return Note{}, fmt.Errorf("read note %s: %w", name, err)
	}
	return Note{Name: name, Value: m.data, Revision: m.seq}, nil
}

// RemoveNote removes a note, unless it has been written since that revision.
func (e *Engine) RemoveNote(ctx context.Context, name string, revision uint64) error {
	err := e.meta.Purge(ctx, jetstream.WithPurgeSubject(notePrefix+name), jetstream.WithPurgeSequence(revision+1))
	if err != nil {
		return unavailable(fmt.Errorf("remove note %s: %w", name, err))
	}
	return nil
}
