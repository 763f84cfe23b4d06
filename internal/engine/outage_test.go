package engine_test

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"heliograph.dev"
	"heliograph.dev/internal/engine"
)

// TestReadersOutliveTheirConsumers: an operator deletes them all.
func TestReadersOutliveTheirConsumers(t *testing.T) {
	t.Parallel()
	s := run(t, always, true)
	o := s.options(t)
	e := open(t, o)
	js := s.client(t)
	r := openReader(t, e, 0, 1)
	v, w := watch(t, e)
	for n := range 5 {
		seq := appendOne(t, e, n)
		if f := next(t, r); f.Sequence != seq {
			t.Errorf("round %d: read %d, want %d", n, f.Sequence, seq)
		}
		rev := commit(t, e, put("a."+string(rune('a'+n)), "x", 0))
		if err := w.Wait(t.Context(), tenant, rev); err != nil {
			t.Error(err)
		}
		deleteConsumers(t, js)
	}
	if _, back := v.state(); len(v.all()) != 5 || back {
		t.Errorf("%d records, back %v", len(v.all()), back)
	}
}

func deleteConsumers(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	for _, name := range []string{"changes", "KV_subscriptions-0"} {
		stream, err := js.Stream(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		names := stream.ConsumerNames(t.Context())
		n := 0
		for consumer := range names.Name() {
			if err := stream.DeleteConsumer(t.Context(), consumer); err != nil {
				t.Error(err)
			}
			n++
		}
		if names.Err() != nil || n == 0 {
			t.Errorf("%d consumers of %s, %v", n, name, names.Err())
		}
	}
}

// TestRidesOutARestart: the server goes and comes back; writers, readers and watchers go on.
func TestRidesOutARestart(t *testing.T) {
	t.Parallel()
	s := run(t, always, true)
	way := newProxy(t, s.Addr().String())
	o := s.options(t)
	o.NATS, o.Logger = "nats://app:app@"+way.Addr().String(), nil
	e := open(t, o)
	r := openReader(t, e, 0, 1)
	_, w := watch(t, e)
	wait(t, "load", w.Ready())
	appendOne(t, e, 0)
	next(t, r)
	s.stop()
	if e.Check(t.Context()) == nil {
		t.Error("ready without its server")
	}
	written := make(chan error)
	var seq, rev uint64
	go func() {
		var err error
		seq, err = e.Append(t.Context(), 0, changes(1, 1, 10))
		written <- err
	}()
	committed := make(chan error)
	go func() {
		var err error
		rev, err = e.Commit(t.Context(), tenant, []heliograph.Write{put("a", "x", 0), put("b", "x", 0)})
		committed <- err
	}()
	s.begin()
	address := s.Addr().String()
	way.to.Store(&address)
	if err := wait(t, "append", written); err != nil {
		t.Fatal(err)
	}
	if err := wait(t, "commit", committed); err != nil {
		t.Fatal(err)
	}
	if f := next(t, r); f.Sequence != seq {
		t.Errorf("read %d, want %d", f.Sequence, seq)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := w.Wait(ctx, tenant, rev); err != nil {
		t.Error(err)
	}
	if err := e.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestWatchCutOffForTooLong: deletion markers may have come and gone, so the watch must not go on.
func TestWatchCutOffForTooLong(t *testing.T) {
	t.Parallel()
	s := run(t, always, true)
	o := s.options(t)
	o.Logger = nil
	e := open(t, o)
	w, err := e.WatchAway(t.Context(), 100*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	wait(t, "load", w.Ready())
	s.stop()
	wait(t, "end of the watch", w.Done())
	if err := w.Err(); !errors.Is(err, engine.ErrLostTrack) {
		t.Errorf("err = %v", err)
	}
}

// proxy is an address that stays, whatever happens to the server behind it.
type proxy struct {
	net.Listener
	to atomic.Pointer[string]
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{Listener: l}
	p.to.Store(&to)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := new(net.Dialer).DialContext(t.Context(), "tcp", *p.to.Load())
			if err != nil {
				_ = near.Close()
				continue
			}
			for _, c := range [][2]net.Conn{{near, far}, {far, near}} {
				go func() {
					_, _ = io.Copy(c[0], c[1])
					_ = c[0].Close()
					_ = c[1].Close()
				}()
			}
		}
	}()
	return p
}
