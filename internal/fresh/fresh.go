// Package fresh lets whoever answers a request know how old what was read for it may be. A reader that could not be sure
// to have the newest notes it in the request's context; who made the context tells the client.
//
// All of it may be used by any number of goroutines.
package fresh

import (
	"context"
	"sync"
	"time"
)

// Mark is what was noted about one request.
type Mark struct {
	mu    sync.Mutex
	stale bool
	asOf  time.Time
}

type key struct{}

// With returns a context in which readers may note how old what they have is.
func With(ctx context.Context) (context.Context, *Mark) {
	m := &Mark{}
	return context.WithValue(ctx, key{}, m), m
}

// Asked reports whether whoever asks takes what is not the newest, and says so.
func Asked(ctx context.Context) bool { return ctx.Value(key{}) != nil }

// Stale notes that what was read may lack what was written after a moment. The oldest moment counts.
func Stale(ctx context.Context, asOf time.Time) {
	m, ok := ctx.Value(key{}).(*Mark)
	if !ok {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.stale || asOf.Before(m.asOf) {
		m.stale, m.asOf = true, asOf
	}
}

// Stale returns the moment after which something may be lacking, if there is one.
func (m *Mark) Stale() (asOf time.Time, stale bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.asOf, m.stale
}
