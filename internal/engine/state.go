package engine

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// State is how much the engine keeps, and how much more it may.
type State struct {
	Log LogState
	// LogLimit is how many bytes the change log may have; 0: any.
	LogLimit uint64
	Backlog  BacklogState
	// Free is what the disk of the data folder has left, Reserve what it must keep: with an existing NATS both are 0.
	Free, Reserve uint64
	// Refusal is what Room answers.
	Refusal error
}

// BacklogState is what waits for ill endpoints.
type BacklogState struct {
	Endpoints, Messages, Bytes uint64
}

// State returns how much the engine keeps. It asks the store about the log and the backlog: that is for a metric now and
// then.
func (e *Engine) State(ctx context.Context) (State, error) {
	log, err := e.LogState(ctx)
	if err != nil {
		return State{}, err
	}
	info, err := e.backlog.Info(ctx)
	if err != nil {
		return State{}, unavailable(fmt.Errorf("state of the backlog: %w", err))
	}
	fences := uint64(0)
	if e.Clustered() {
		only, err := e.backlog.Info(ctx, jetstream.WithSubjectFilter(fenceSubjects))
		if err != nil {
			return State{}, unavailable(fmt.Errorf("state of the backlog: %w", err))
		}
		fences = uint64(len(only.State.Subjects))
	}
	s := State{
		Log: log, LogLimit: uint64(e.o.MaxLogBytes), //nolint:gosec // positive by Options' check
		Backlog: BacklogState{Endpoints: info.State.NumSubjects - fences, Messages: info.State.Msgs - fences, Bytes: info.State.Bytes},
		Refusal: e.Room(),
	}
	if e.folder != nil {
		if s.Free, err = freeBytes(e.o.Dir); err != nil {
			return State{}, fmt.Errorf("room on the disk: %w", err)
		}
		s.Reserve = e.o.MinFreeBytes
	}
	return s, nil
}

// Lag returns how many changes of records there are that have not been applied. It asks the store about each shard.
func (w *Watch) Lag(ctx context.Context) (uint64, error) {
	lag := uint64(0)
	for _, s := range w.e.shards {
		w.mu.Lock()
		applied := w.applied[s.number]
		w.mu.Unlock()
		info, err := s.stream.Info(ctx)
		if err != nil {
			return 0, unavailable(fmt.Errorf("state of the records: %w", err))
		}
		if last := info.State.LastSeq; last > applied {
			lag += last - applied
		}
	}
	return lag, nil
}
