package deliver_test

import (
	"context"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/deliver"
)

// choosy is a backlog that refuses to keep anything for one endpoint, and what is written together with that.
type choosy struct {
	deliver.Backlog
	refuses  heliograph.Endpoint
	refusals atomic.Int32
}

func (b *choosy) ParkAll(ctx context.Context, lists []deliver.Parking) error {
	if slices.ContainsFunc(lists, func(p deliver.Parking) bool { return p.Endpoint == b.refuses }) {
		b.refusals.Add(1)
		return heliograph.Errorf(heliograph.Internal, "engine.refused", "the store refused")
	}
	return b.Backlog.ParkAll(ctx, lists)
}

// One endpoint's list that the store refuses for ever holds up neither the others' nor the cursor.
func TestRefusedListIsIsolated(t *testing.T) {
	t.Parallel()
	b, refused, other := newBench(t), newSink(t), newSink(t)
	for _, s := range []*sink{refused, other} {
		b.subscribe("u1", s.URL)
		s.answers(refuse(http.StatusForbidden))
	}
	backlog := &choosy{refuses: heliograph.Endpoint(refused.URL)}
	b.startWith(func(o *deliver.Options) { backlog.Backlog, o.Backlog = o.Backlog, backlog })
	defer b.stop()
	b.publish("u1", 3)
	b.awaitParked(t) // the other's list is there
	for n := int32(1); b.heard.count(b.heard.givenUp, heliograph.GivenUpUnparked) == 0 && n < 1000; n++ {
		b.publish("u1", 1) // the store takes what is not refused
		b.poll(t, func() bool {
			return backlog.refusals.Load() >= n || b.heard.count(b.heard.givenUp, heliograph.GivenUpUnparked) > 0
		})
	}
	if n := backlog.refusals.Load(); n < 10 {
		t.Errorf("given up after %d refusals", n)
	}
	other.answers(nil)
	refused.answers(nil)
	b.step(t, time.Minute)
	if got := messages(other.take(t, 4)); !slices.Equal(got, []string{"m1", "m2", "m3", "m4"}) {
		t.Errorf("got %v", got)
	}
	b.awaitCursor(t)
}

// away is a store that does not answer.
type away struct {
	deliver.Backlog
	deliver.Log
	asked chan struct{}
}

func (a *away) ParkAll(ctx context.Context, _ []deliver.Parking) error {
	select {
	case a.asked <- struct{}{}:
	default:
	}
	<-ctx.Done()
	return ctx.Err()
}

func (a *away) SaveCursor(ctx context.Context, _ int, _ uint64) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestStopIsBoundedWhileTheStoreIsAway(t *testing.T) {
	t.Parallel()
	b, s := newBench(t), newSink(t)
	b.subscribe("u1", s.URL)
	s.answers(refuse(http.StatusInternalServerError))
	store := &away{asked: make(chan struct{}, 1)}
	b.startWith(func(o *deliver.Options) {
		store.Log = o.Log
		o.Log, o.Backlog = store, store
	})
	b.publish("u1", 3)
	<-store.asked
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	stopped := make(chan error)
	go func() { stopped <- b.d.Stop(ctx) }()
	select {
	case err := <-stopped:
		if err == nil {
			t.Error("nothing was written, and nobody says so")
		}
	case <-time.After(time.Minute):
		t.Fatal("still stopping")
	}
}
