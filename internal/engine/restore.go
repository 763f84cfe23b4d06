package engine

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"heliograph.dev"
	"heliograph.dev/internal/engine/archive"
	"heliograph.dev/internal/engine/frame"
)

const (
	// restoreWrites is how many records or lists go into one batch.
	restoreWrites = 256
	// restoreFrame is how large restored frames get, and restoreSpan what time one spans at most: small ones are put
	// together, since each costs a sync.
	restoreFrame = 512 << 10
	restoreSpan  = time.Minute
)

// Restored is what a restore has done.
type Restored struct {
	Archive           archive.Manifest
	Records, Changes  int
	Parked            int // notifications that wait for ill endpoints
	Unreadable        int // entries that were damaged in the store already
	WithoutTheirFrame int // parked notifications whose change the log no longer had
}

// Restore fills an empty store, which Options.Restoring opened, with a backup. It reads the whole of it before it writes,
// and refuses one that is damaged or sealed with keys that this store does not have. The store may have other numbers of
// partitions and shards than the one that was backed up. When Restore fails after it began to write, or is interrupted,
// the store is not opened any more but by another Restoring, and never filled: begin with an empty one.
//
// What was not delivered when the backup was made is delivered from the restored store; what was delivered afterwards by
// the old one, a second time. The memory it takes grows with the number of parked notifications.
func (e *Engine) Restore(ctx context.Context, backup io.ReadSeeker) (Restored, error) {
	r := &restore{e: e, moved: map[heliograph.Position]place{}, fills: make([]fill, len(e.partitions)), cursors: make([]uint64, len(e.partitions))}
	for _, step := range []func(context.Context, io.ReadSeeker) error{r.check, r.claim, r.writeLog, r.writeBacklog, r.finish} {
		if _, err := backup.Seek(0, io.SeekStart); err != nil {
			return Restored{}, fmt.Errorf("restore: %w", err)
		}
		if err := step(ctx, backup); err != nil {
			return Restored{}, fmt.Errorf("restore: %w", err)
		}
	}
	return r.done, nil
}

// AwaitRestored waits until the store is restored by another node.
func (e *Engine) AwaitRestored(ctx context.Context) error {
	for {
		// From any replica: the node that restored may be gone already, and the majority with it.
		var kept settings
		reply, err := e.ask(ctx, "$JS.API.DIRECT.GET."+metaStream, getRequest{LastFor: settingsSubject})
		if err == nil && reply.Header.Get("Status") == "" && json.Unmarshal(reply.Data, &kept) == nil && !kept.Restoring {
			return nil
		}
		if err := e.pause(ctx, pauseMost); err != nil {
			return err
		}
	}
}

// restore is one run.
type restore struct {
	e     *Engine
	done  Restored
	from  []uint64 // the cursor of each partition of the backup
	moved map[heliograph.Position]place
	fills []fill
	// cursors is where each partition of this store has its first change that was not delivered.
	cursors []uint64
}

// place is where a change is now.
type place struct {
	partition int
	position  heliograph.Position
}

// fill is a frame that is being put together.
type fill struct {
	changes     []heliograph.Change
	were        []heliograph.Position
	size        int
	first, last time.Time
	undelivered bool
}

// open opens what stood under a label in the store that was backed up. It answers false when it was damaged there.
func (r *restore) open(data []byte, label string) ([]byte, bool, error) {
	opened, err := r.e.vault.OpenInPlace(data, label)
	if heliograph.KindOf(err) == heliograph.Unavailable {
		return nil, false, err
	}
	if err != nil {
		r.done.Unreadable++
		return nil, false, nil //nolint:nilerr // it was damaged in the store already, and is counted
	}
	return opened, true, nil
}

// check reads everything, and learns which changes the backlog refers to.
func (r *restore) check(ctx context.Context, backup io.ReadSeeker) error {
	proved := false
	content, err := archive.Read(backup, func(head *archive.Head, entry archive.Entry) error {
		if !proved {
			if err := r.prove(head); err != nil {
				return err
			}
			proved = true
		}
		switch entry.Kind { //nolint:exhaustive // the others are looked at when they are written
		case archive.Cursor:
			r.from = append(r.from, entry.Sequence)
		case archive.Parked:
			_, refs, err := r.refs(entry)
			for _, ref := range refs {
				r.moved[ref.Position] = place{}
			}
			return err
		}
		return ctx.Err()
	})
	if err != nil {
		if errors.Is(err, archive.ErrDamaged) {
			return heliograph.Errorf(heliograph.Invalid, "restore.damaged", "nothing was written: %w", err)
		}
		return err
	}
	r.done.Archive = content.Manifest
	if len(r.from) != content.Head.Partitions {
		return heliograph.Errorf(heliograph.Invalid, "restore.damaged", "a backup of %d partitions has %d cursors", content.Head.Partitions, len(r.from))
	}
	r.done.Unreadable = 0 // counted again while they are written
	return nil
}

// prove refuses a backup that was sealed with other keys.
func (r *restore) prove(head *archive.Head) error {
	if (head.Witness == nil) != (r.e.o.Vault == nil) {
		return heliograph.Errorf(heliograph.Invalid, "restore.unsealed", "a store that is sealed and one that is not cannot be restored into each other")
	}
	if head.Witness == nil {
		return nil
	}
	if _, err := r.e.vault.OpenInPlace(slices.Clone(head.Witness), settingsSubject); err != nil {
		return heliograph.Errorf(heliograph.Invalid, "restore.key", "the key is not the one that the backup is sealed with: %w", err)
	}
	return nil
}

// refs reads a parked list.
func (r *restore) refs(entry archive.Entry) (heliograph.Endpoint, []heliograph.ParkedRef, error) {
	name, err := base64.RawStdEncoding.DecodeString(entry.Header)
	if err != nil {
		r.done.Unreadable++
		return "", nil, nil //nolint:nilerr // it was damaged in the store already, and is counted
	}
	endpoint, ok, err := r.open(name, entry.Subject+endpointLabel)
	if !ok {
		return "", nil, err
	}
	data, ok, err := r.open(entry.Data, entry.Subject)
	if !ok {
		return "", nil, err
	}
	refs, err := frame.DecodeRefs(data, heliograph.Endpoint(endpoint))
	if err != nil {
		r.done.Unreadable++
		return "", nil, nil //nolint:nilerr // it was damaged in the store, and is counted
	}
	return heliograph.Endpoint(endpoint), refs, nil
}

// claim refuses a store in which something is, and marks it.
func (r *restore) claim(ctx context.Context, _ io.ReadSeeker) error {
	e := r.e
	for _, s := range e.streams() {
		if s == e.meta {
			continue
		}
		info, err := s.Info(ctx)
		if err != nil {
			return unavailable(fmt.Errorf("state of %s: %w", nameOf(s), err))
		}
		if info.State.LastSeq > 0 {
			return heliograph.Errorf(heliograph.Conflict, "restore.not_empty",
				"the store is not empty: there is something in its stream %s; begin with an empty one", nameOf(s))
		}
	}
	return e.markRestoring(ctx, true)
}

func (r *restore) finish(ctx context.Context, _ io.ReadSeeker) error {
	log, err := r.e.LogState(ctx)
	if err != nil {
		return err
	}
	for p, next := range r.cursors {
		if next == 0 {
			next = log.Last + 1
		}
		h, err := r.e.Hold(p, Epoch{})
		if err == nil {
			err = h.SaveCursor(ctx, next)
		}
		if err != nil {
			return err
		}
	}
	return r.e.markRestoring(ctx, false)
}

func (e *Engine) markRestoring(ctx context.Context, on bool) error {
	kept, revision, err := e.settings(ctx)
	if err == nil {
		kept.Restoring = on
		err = e.keep(ctx, kept, revision)
	}
	return err
}

// writeLog writes the records and the log.
func (r *restore) writeLog(ctx context.Context, backup io.ReadSeeker) error {
	records := &recordWriter{r: r}
	_, err := archive.Read(backup, func(_ *archive.Head, entry archive.Entry) error {
		switch entry.Kind { //nolint:exhaustive // cursors are known, and the backlog comes later
		case archive.Record, archive.Deletion:
			return records.add(ctx, entry)
		case archive.Frame:
			return r.addFrame(ctx, entry)
		}
		return nil
	})
	if err == nil {
		err = records.flush(ctx)
	}
	if err == nil {
		err = r.flushAll(ctx)
	}
	return err
}

// recordWriter groups the records of one shard.
type recordWriter struct {
	r     *restore
	shard *shard
	msgs  []*nats.Msg
	bytes int
}

func (w *recordWriter) add(ctx context.Context, entry archive.Entry) error {
	tenant, name, ok := strings.Cut(entry.Subject, ".")
	if !ok || checkName(heliograph.TenantID(tenant), name) != nil {
		w.r.done.Unreadable++
		return nil //nolint:nilerr // it was damaged in the store already, and is counted
	}
	s := w.r.e.shardOf(heliograph.TenantID(tenant))
	msg := &nats.Msg{Subject: s.subject(heliograph.TenantID(tenant), name), Header: nats.Header{}}
	if entry.Kind == archive.Deletion {
		msg.Header[operationHeader], msg.Header[jetstream.MsgTTLHeader] = []string{operationDelete}, []string{markerLife}
	} else {
		value, ok, err := w.r.open(entry.Data, entry.Header+entry.Subject)
		if !ok {
			return err
		}
		if msg.Data, err = w.r.e.vault.Seal([]byte{}, value, msg.Subject); err != nil {
			return err
		}
		w.r.done.Records++
	}
	same := func(m *nats.Msg) bool { return m.Subject == msg.Subject }
	if w.shard != s || len(w.msgs) == restoreWrites || w.bytes > resealBytes || slices.ContainsFunc(w.msgs, same) {
		if err := w.flush(ctx); err != nil {
			return err
		}
	}
	w.shard, w.msgs, w.bytes = s, append(w.msgs, msg), w.bytes+len(msg.Data)
	return nil
}

func (w *recordWriter) flush(ctx context.Context) error {
	if len(w.msgs) == 0 {
		return nil
	}
	_, err := w.r.e.write(ctx, w.shard.stream, w.msgs)
	w.msgs, w.bytes = nil, 0
	return err
}

// addFrame hands the changes of a frame to the partitions that their tenants have here.
func (r *restore) addFrame(ctx context.Context, entry archive.Entry) error {
	f, _, err := r.e.decode(entry.Sequence, entry.Subject, entry.Data)
	if heliograph.KindOf(err) == heliograph.Unavailable {
		return err
	}
	source, convErr := strconv.Atoi(strings.TrimPrefix(entry.Subject, changesPrefix))
	if err != nil || convErr != nil || source < 0 || source >= len(r.from) {
		r.done.Unreadable++
		return nil //nolint:nilerr // it was damaged in the store already, and is counted
	}
	for p := range r.fills { // what was written earlier stands ahead, whichever partition it is of
		if f.Written.Sub(r.fills[p].first) > restoreSpan {
			if err := r.flush(ctx, p); err != nil {
				return err
			}
		}
	}
	for i := range f.Changes {
		c := &f.Changes[i]
		p, size := r.e.PartitionOf(c.Tenant), ChangeSize(c)
		b := &r.fills[p]
		undelivered := f.Sequence >= r.from[source]
		if b.undelivered != undelivered || FrameOverhead+b.size+size > restoreFrame {
			if err := r.flush(ctx, p); err != nil {
				return err
			}
		}
		if len(b.changes) == 0 {
			b.undelivered, b.first = undelivered, f.Written
		}
		b.changes, b.size, b.last = append(b.changes, *c), b.size+size, f.Written
		b.were = append(b.were, heliograph.Position{Sequence: f.Sequence, Index: uint32(i)})
	}
	return nil
}

func (r *restore) flushAll(ctx context.Context) error {
	for p := range r.fills {
		if err := r.flush(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

func (r *restore) flush(ctx context.Context, p int) error {
	b := &r.fills[p]
	if len(b.changes) == 0 {
		return nil
	}
	seq, err := r.e.appendFrame(ctx, r.e.partitions[p], b.last, b.changes)
	if err != nil {
		return err
	}
	if b.undelivered && r.cursors[p] == 0 {
		r.cursors[p] = seq
	}
	for i, was := range b.were {
		if _, wanted := r.moved[was]; wanted {
			r.moved[was] = place{p, heliograph.Position{Sequence: seq, Index: uint32(i)}}
		}
	}
	r.done.Changes += len(b.changes)
	clear(b.changes) // lets go of the data
	*b = fill{changes: b.changes[:0], were: b.were[:0]}
	return nil
}

// writeBacklog writes the parked lists, which refer to where the changes are now.
func (r *restore) writeBacklog(ctx context.Context, backup io.ReadSeeker) error {
	lists := make([][]Parking, len(r.e.partitions))
	write := func(p int) error {
		h, err := r.e.Hold(p, Epoch{})
		if err == nil {
			err = h.ParkAll(ctx, lists[p])
		}
		lists[p] = nil
		return err
	}
	_, err := archive.Read(backup, func(_ *archive.Head, entry archive.Entry) error {
		if entry.Kind != archive.Parked {
			if entry.Kind == archive.Cursor {
				return nil
			}
			return io.EOF // the backlog stands ahead of all others
		}
		endpoint, refs, err := r.refs(entry)
		if err != nil {
			return err
		}
		for p, own := range r.divide(refs) {
			if lists[p] = append(lists[p], Parking{endpoint, own}); len(lists[p]) == restoreWrites {
				if err := write(p); err != nil {
					return err
				}
			}
		}
		return nil
	})
	for p := 0; p < len(lists) && err == nil; p++ {
		if len(lists[p]) > 0 {
			err = write(p)
		}
	}
	return err
}

// divide gives refs to the partitions that their changes are in.
func (r *restore) divide(refs []heliograph.ParkedRef) map[int][]heliograph.ParkedRef {
	own := map[int][]heliograph.ParkedRef{}
	for _, ref := range refs {
		to := r.moved[ref.Position]
		if to.position == (heliograph.Position{}) {
			r.done.WithoutTheirFrame++
			continue
		}
		ref.Position = to.position
		own[to.partition] = append(own[to.partition], ref)
		r.done.Parked++
	}
	return own
}
