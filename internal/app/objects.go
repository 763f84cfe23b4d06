package app

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/clock"
	"heliograph.dev/internal/engine"
	"heliograph.dev/internal/httpapi"
	"heliograph.dev/internal/objects"
	"heliograph.dev/internal/subscribe"
)

const (
	foldEvery = time.Second     // how often the log is folded when nobody asks
	foldWait  = 5 * time.Second // how long who asks waits for it
)

// startObjects keeps what was published readable.
func (a *App) startObjects(ctx context.Context) (httpapi.Objects, error) {
	key, err := subscribe.TokenKey(ctx, a.parts.engine)
	if err != nil {
		return nil, err
	}
	own := sha256.Sum256(append([]byte("objects "), key...))
	o := objects.Options{
		Catalog: a.parts.catalog, MaxObjects: a.cfg.Objects.MaxCount, MaxBytes: int(a.cfg.Objects.MaxBytes), Key: own[:], Strict: a.cfg.Catalog.StrictPermissions,
	}
	if a.isDev() {
		o.OtherName = a.parts.issuer.OtherName
	}
	a.parts.objects = objects.New(o)
	r := &readable{store: a.parts.objects, log: a.parts.engine, turn: make(chan struct{}, 1)}
	a.life.background(ctx, "readable objects", func(ctx context.Context) {
		for {
			if err := r.fold(ctx); err != nil && ctx.Err() == nil {
				a.log.WarnContext(ctx, "change log not read for its objects", "error", err)
			}
			if clock.Sleep(ctx, a.real, foldEvery) != nil {
				return
			}
		}
	})
	return r, nil
}

// readable are the objects of the log as it is when somebody asks: whoever was notified finds what it was about.
type readable struct {
	store *objects.Store
	log   *engine.Engine
	turn  chan struct{} // one folds at a time
}

// Read answers for a path.
func (r *readable) Read(ctx context.Context, q objects.Request) (objects.Answer, error) {
	if err := r.await(ctx); err != nil {
		return objects.Answer{}, err
	}
	return r.store.Read(q)
}

// Forget loses every sync state.
func (r *readable) Forget(ctx context.Context) error {
	if err := r.await(ctx); err != nil {
		return err
	}
	r.store.Forget()
	return nil
}

func (r *readable) await(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, foldWait)
	defer cancel()
	err := r.fold(bounded)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return &heliograph.Error{Kind: heliograph.Unavailable, Rule: "objects.behind", Message: "The change log is still being read.", Err: err}
	}
	return err
}

// fold folds what is new in the log. A frame that cannot be read is passed over: what it told is forgotten.
func (r *readable) fold(ctx context.Context) error {
	select {
	case r.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-r.turn }()
	log, err := r.log.LogState(ctx)
	if err != nil {
		return err
	}
	r.store.Pass(log.First - 1)
	for sequence := r.store.Head() + 1; sequence <= log.Last; sequence++ {
		f, err := r.log.Frame(ctx, sequence)
		_, unreadable := errors.AsType[*engine.FrameError](err)
		switch {
		case err == nil:
			r.store.Apply(&f)
		case unreadable, heliograph.KindOf(err) == heliograph.NotFound:
			r.store.Pass(sequence)
		default:
			return fmt.Errorf("fold the change log: %w", err)
		}
	}
	return nil
}
