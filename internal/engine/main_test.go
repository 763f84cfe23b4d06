package engine_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"heliograph.dev"
	"heliograph.dev/internal/clock"
	"heliograph.dev/internal/engine"
	"heliograph.dev/internal/seal/vault"
)

// childFolder makes the test binary a process that writes until it is killed. See TestKillLosesNothing.
const childFolder = "HELIOGRAPH_TEST_CHILD_FOLDER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childFolder); dir != "" {
		writeUntilKilled(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

const (
	tenant heliograph.TenantID = "84bd8158-6d4d-4958-8b9f-9d6445542f95"
	other  heliograph.TenantID = "9188040d-6c67-4c5b-b112-36a304b66dad"
)

// open opens an engine on dir, and closes it with the test.
func open(tb testing.TB, o engine.Options) *engine.Engine {
	tb.Helper()
	e, err := engine.Open(tb.Context(), o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { shut(tb, e) })
	return e
}

func shut(tb testing.TB, e *engine.Engine) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(tb.Context()), time.Minute)
	defer cancel()
	if err := e.Close(ctx); err != nil {
		tb.Error(err)
	}
}

// fresh is a folder of the test's own.
func fresh(tb testing.TB) engine.Options {
	tb.Helper()
	return at(tb, tb.TempDir())
}

// at is a folder with its keys in it.
func at(tb testing.TB, dir string) engine.Options {
	tb.Helper()
	return engine.Options{Dir: dir, Vault: keysIn(dir), Logger: quiet(tb)}
}

// keysIn opens the keys in a folder, and makes them for a new store.
func keysIn(dir string) func(bool) (engine.Vault, error) {
	return func(isNew bool) (engine.Vault, error) {
		return vault.Open(vault.Options{File: filepath.Join(dir, "vault.keys"), MayCreate: isNew, Now: clock.System().Now})
	}
}

// quiet logs errors to the test only: what goes wrong on purpose is a warning.
func quiet(tb testing.TB) *slog.Logger {
	tb.Helper()
	return slog.New(slog.NewTextHandler(tb.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
}

// changes returns n changes with distinct ids that begin at from, and size bytes of data.
func changes(from, n, size int) []heliograph.Change {
	out := make([]heliograph.Change, n)
	data := []byte(`{"x":"` + strings.Repeat("x", max(size-8, 0)) + `"}`)
	for i := range out {
		name := fmt.Sprint(from + i)
		out[i] = heliograph.Change{
			ID: heliograph.DeriveGUID(name), Tenant: tenant, Type: heliograph.Updated,
			Resource: "users/ada/messages/" + name, Time: start, Accepted: start, Data: data,
		}
	}
	return out
}

func appendOne(tb testing.TB, e *engine.Engine, n int) uint64 {
	tb.Helper()
	seq, err := e.Append(tb.Context(), 0, changes(n, 1, 20))
	if err != nil {
		tb.Fatal(err)
	}
	return seq
}

func wantKind(tb testing.TB, err error, kind heliograph.Kind) {
	tb.Helper()
	if err == nil || heliograph.KindOf(err) != kind {
		tb.Errorf("err = %v of kind %v, want %v", err, heliograph.KindOf(err), kind)
	}
}

// wait ends a test that hangs. It is never reached when the code is right.
func wait[T any](tb testing.TB, what string, c <-chan T) T {
	tb.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(time.Minute):
		buf := make([]byte, 1<<20)
		tb.Fatalf("no %s\n%s", what, buf[:runtime.Stack(buf, true)])
		panic("not reached")
	}
}

func openReader(tb testing.TB, e *engine.Engine, partition int, from uint64) *engine.FrameReader {
	tb.Helper()
	r, err := e.Read(tb.Context(), partition, from)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(r.Close)
	return r
}

func next(tb testing.TB, r *engine.FrameReader) heliograph.Frame {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute)
	defer cancel()
	f, err := r.Next(ctx)
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

// wall is for what is measured, not for what is decided.
func wall() time.Time { return clock.System().Now() }

// hold is the writing end of a partition in a store that a test has for itself.
func hold(e *engine.Engine, partition int) *engine.Hold {
	h, err := e.Hold(partition, engine.Epoch{})
	if err != nil {
		panic(err)
	}
	return h
}
