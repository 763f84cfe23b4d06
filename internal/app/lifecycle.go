package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// lifecycle stops what was started: last started, first stopped, each step named, once.
type lifecycle struct {
	mu    sync.Mutex
	steps []step
}

type step struct {
	name string
	stop func(context.Context) error
}

// started notes how to stop what has just been started.
func (l *lifecycle) started(name string, stop func(context.Context) error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.steps = append(l.steps, step{name, stop})
}

// background runs a loop until the lifecycle stops it: longer than ctx, whose values it keeps.
func (l *lifecycle) background(ctx context.Context, name string, loop func(context.Context)) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		loop(ctx)
	}()
	l.started(name, func(context.Context) error {
		cancel()
		<-done
		return nil
	})
}

// stop undoes every step. It goes on past a step that fails and tells of all of them.
func (l *lifecycle) stop(ctx context.Context) error {
	l.mu.Lock()
	steps := l.steps
	l.steps = nil
	l.mu.Unlock()
	var errs []error
	for _, s := range slices.Backward(steps) {
		if err := s.stop(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", s.name, err))
		}
	}
	return errors.Join(errs...)
}
