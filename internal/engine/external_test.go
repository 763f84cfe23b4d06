package engine_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"heliograph.dev"
	"heliograph.dev/internal/engine"
	"heliograph.dev/internal/seal/vault"
)

// existing is a NATS server such as an operator runs: Heliograph has an account in it.
type existing struct {
	*server.Server
	dir string
	t   *testing.T
}

const (
	lazy    = "sync_interval: 2m"
	always  = "sync_interval: always"
	telling = `exports: [{service: "$SYS.REQ.SERVER.PING.JSZ", response_type: stream}]`
	hearing = `imports: [{service: {account: SYS, subject: "$SYS.REQ.SERVER.PING.JSZ"}}]`
)

func run(t *testing.T, sync string, tells bool) *existing {
	t.Helper()
	s := &existing{dir: t.TempDir(), t: t}
	export, imp := "", ""
	if tells {
		export, imp = telling, hearing
	}
	config := `
listen: "127.0.0.1:-1"
server_name: n1
jetstream { store_dir: "` + filepath.ToSlash(filepath.Join(s.dir, "store")) + `", ` + sync + ` }
accounts {
  SYS { users: [{user: sys, password: sys}], ` + export + ` }
  APP { jetstream: enabled, users: [{user: app, password: app}], ` + imp + ` }
}
system_account: SYS
`
	if err := os.WriteFile(filepath.Join(s.dir, "nats.conf"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	s.begin()
	t.Cleanup(func() { s.stop() })
	return s
}

// begin starts the server, at an address of its own each time.
func (s *existing) begin() {
	s.t.Helper()
	o, err := server.ProcessConfigFile(filepath.Join(s.dir, "nats.conf"))
	if err != nil {
		s.t.Fatal(err)
	}
	o.NoSigs, o.NoLog = true, true
	if s.Server, err = server.NewServer(o); err != nil {
		s.t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(20 * time.Second) {
		s.t.Fatal("NATS does not start")
	}
}

func (s *existing) stop() {
	s.Shutdown()
	s.WaitForShutdown()
}

func (s *existing) options(t *testing.T) engine.Options {
	t.Helper()
	return engine.Options{
		NATS: strings.Replace(s.ClientURL(), "nats://", "nats://app:app@", 1), Vault: keysIn(s.dir), Logger: quiet(t),
	}
}

// client is another program in the same account.
func (s *existing) client(t *testing.T) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect(s.ClientURL(), nats.UserInfo("app", "app"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func TestExistingNATSMustSyncAlways(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, sync string
		tells      bool
		accept     bool
		rule       string
	}{
		{"syncs", always, true, false, ""},
		{"lazy", lazy, true, false, "nats.lazy_sync"},
		{"lazy, accepted", lazy, true, true, ""},
		{"does not tell", always, false, false, "nats.unknown_sync"},
		{"does not tell, accepted", always, false, true, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			o := run(t, test.sync, test.tells).options(t)
			o.AcceptLazySync = test.accept
			if test.rule == "" {
				e := open(t, o)
				if seq := appendOne(t, e, 1); next(t, openReader(t, e, 0, 1)).Sequence != seq {
					t.Error("read another frame")
				}
				return
			}
			_, err := engine.Open(t.Context(), o)
			var told *heliograph.Error
			if !errors.As(err, &told) || told.Rule != test.rule {
				t.Errorf("err = %v, want %s", err, test.rule)
			}
		})
	}
}

func TestForeignStreamsAreRefused(t *testing.T) {
	t.Parallel()
	s := run(t, always, true)
	js := s.client(t)
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "backlog", Subjects: []string{"tickets.>"}}); err != nil {
		t.Fatal(err)
	}
	_, err := engine.Open(t.Context(), s.options(t))
	var told *heliograph.Error
	if !errors.As(err, &told) || told.Rule != "nats.foreign" || !strings.Contains(told.Message, "backlog") {
		t.Errorf("err = %v", err)
	}
}

func TestStreamsAreMigrated(t *testing.T) {
	t.Parallel()
	s := run(t, always, true)
	o := s.options(t)
	shut(t, open(t, o))
	js := s.client(t)
	stream, err := js.Stream(t.Context(), "KV_subscriptions-0")
	if err != nil {
		t.Fatal(err)
	}
	old := stream.CachedInfo().Config
	old.AllowAtomicPublish, old.Description = false, "an older version's"
	old.Metadata["owner"] = "somebody"
	if _, err := js.UpdateStream(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	o.MaxLogBytes = 1 << 30
	e := open(t, o)
	commit(t, e, put("a", "x", 0), put("b", "x", 0))
	if c := config(t, js, "KV_subscriptions-0"); c.Metadata["owner"] != "somebody" || c.Description == old.Description {
		t.Errorf("migrated to %+v", c)
	}
	if c := config(t, js, "changes"); c.MaxBytes != 1<<30 || c.Discard != jetstream.DiscardNew {
		t.Errorf("limit %d, %v", c.MaxBytes, c.Discard)
	}
	newer := config(t, js, "meta")
	newer.Metadata["heliograph-schema"] = "3"
	if _, err := js.UpdateStream(t.Context(), newer); err != nil {
		t.Fatal(err)
	}
	_, err = engine.Open(t.Context(), o)
	var told *heliograph.Error
	if !errors.As(err, &told) || told.Rule != "nats.newer" {
		t.Errorf("a newer store: %v", err)
	}
}

func config(t *testing.T, js jetstream.JetStream, name string) jetstream.StreamConfig {
	t.Helper()
	stream, err := js.Stream(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return stream.CachedInfo().Config
}

// TestNodesAgree: two nodes that start at once on an empty store settle on the same numbers.
func TestNodesAgree(t *testing.T) {
	t.Parallel()
	s := run(t, always, true)
	opened := make(chan *engine.Engine)
	for range 4 {
		go func() {
			e, err := engine.Open(t.Context(), s.options(t))
			if err != nil {
				t.Error(err)
			}
			opened <- e
		}()
	}
	var all []*engine.Engine
	for range 4 {
		if e := wait(t, "node", opened); e != nil {
			t.Cleanup(func() { shut(t, e) })
			all = append(all, e)
		}
	}
	if t.Failed() {
		return
	}
	v, w := watch(t, all[0])
	rev := commit(t, all[1], put("a", "x", 0))
	if err := w.Wait(t.Context(), tenant, rev); err != nil || len(v.all()) != 1 {
		t.Errorf("one node's record at another: %v, %v", v.all(), err)
	}
	r := openReader(t, all[0], 0, 1)
	for n, e := range all {
		if seq := appendOne(t, e, n); next(t, r).Sequence != seq {
			t.Error("read another frame")
		}
	}
}

// TestForeignMessagesInTheLog: what is no frame is told as such, and the reader goes on.
func TestForeignMessagesInTheLog(t *testing.T) {
	t.Parallel()
	s := run(t, always, true)
	o := s.options(t)
	o.Partitions = 2
	e := open(t, o)
	js := s.client(t)
	first := appendOne(t, e, 1)
	raw, err := rawMessage(t, js, "changes", first)
	if err != nil {
		t.Fatal(err)
	}
	for _, data := range [][]byte{nil, []byte("hello"), append(slices.Clip(raw), 'x')} {
		if _, err := js.Publish(t.Context(), "changes.0", data); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := js.Publish(t.Context(), "changes.1", raw); err != nil { // a good frame in a wrong place
		t.Fatal(err)
	}
	last := appendOne(t, e, 2)
	r := openReader(t, e, 0, 1)
	for seq := first; seq <= last; seq++ {
		if seq == last-1 {
			continue // partition 1
		}
		f, err := r.Next(t.Context())
		var damaged *engine.FrameError
		switch {
		case seq == first || seq == last:
			if err != nil || f.Sequence != seq {
				t.Errorf("frame %d: %d, %v", seq, f.Sequence, err)
			}
		case !errors.As(err, &damaged) || damaged.Sequence != seq:
			t.Errorf("frame %d: %v", seq, err)
		}
		if _, got := e.Frame(t.Context(), seq); (got == nil) != (err == nil) {
			t.Errorf("frame %d: Next says %v, Frame %v", seq, err, got)
		}
	}
	var damaged *engine.FrameError
	if _, err := openReader(t, e, 1, 1).Next(t.Context()); !errors.As(err, &damaged) {
		t.Errorf("a frame of another partition: %v", err)
	}
	if _, err := e.SequenceAt(t.Context(), start); err != nil {
		t.Error(err)
	}
}

func rawMessage(t *testing.T, js jetstream.JetStream, name string, seq uint64) ([]byte, error) {
	t.Helper()
	stream, err := js.Stream(t.Context(), name)
	if err != nil {
		return nil, err
	}
	m, err := stream.GetMsg(t.Context(), seq)
	if err != nil {
		return nil, err
	}
	return m.Data, nil
}

// TestLostFrameIsTold: the reader counts what each producer wrote.
func TestLostFrameIsTold(t *testing.T) {
	t.Parallel()
	s := run(t, always, true)
	e := open(t, s.options(t))
	for n := range 6 {
		appendOne(t, e, n)
	}
	stream, err := s.client(t).Stream(t.Context(), "changes")
	if err != nil {
		t.Fatal(err)
	}
	for _, seq := range []uint64{3, 4} {
		if err := stream.DeleteMsg(t.Context(), seq); err != nil {
			t.Fatal(err)
		}
	}
	r := openReader(t, e, 0, 1)
	next(t, r)
	next(t, r)
	var damaged *engine.FrameError
	if _, err := r.Next(t.Context()); !errors.As(err, &damaged) || damaged.Sequence != 4 || !strings.Contains(err.Error(), "2 frames") {
		t.Errorf("err = %v, want word of two frames up to 4", err)
	}
	if f := next(t, r); f.Sequence != 5 {
		t.Errorf("then read %d", f.Sequence)
	}
}

// TestDeletionMarkersRemoveThemselves: otherwise creating and deleting would fill the store.
func TestDeletionMarkersRemoveThemselves(t *testing.T) {
	t.Parallel()
	s := run(t, always, true)
	e := open(t, s.options(t))
	rev := commit(t, e, put("a", "x", 0), put("b", "x", 0))
	commit(t, e, heliograph.Write{Name: "a", Expect: rev - 1}, heliograph.Write{Name: "b", Expect: rev})
	js := s.client(t)
	stream, err := js.Stream(t.Context(), "KV_subscriptions-0")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "b"} {
		m, err := stream.GetLastMsgForSubject(t.Context(), "$KV.subscriptions-0."+string(tenant)+"."+name)
		if err != nil || m.Header.Get("Nats-TTL") != "1h" || m.Header.Get("KV-Operation") != "DEL" {
			t.Errorf("marker of %s: %+v, %v", name, m, err)
		}
	}
	// A record can be made where a marker was, before and after the marker has gone.
	m, err := stream.GetLastMsgForSubject(t.Context(), "$KV.subscriptions-0."+string(tenant)+".a")
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context(), jetstream.WithPurgeSubject(m.Subject)); err != nil {
		t.Fatal(err)
	}
	commit(t, e, put("a", "y", 0), put("b", "y", 0))
	kv, err := js.KeyValue(t.Context(), "subscriptions-0") // the layout that the nats command knows
	if err != nil {
		t.Fatal(err)
	}
	if entry, err := kv.Get(t.Context(), string(tenant)+".a"); err != nil || len(entry.Value()) != len("y")+vault.Overhead {
		t.Errorf("as a NATS bucket: %v, %v", entry, err)
	}
}

// TestLoadEndsThoughTheLastRecordVanished: a watcher is not kept waiting for a message that was announced.
func TestLoadEndsThoughTheLastRecordVanished(t *testing.T) {
	t.Parallel()
	s := run(t, always, true)
	e := open(t, s.options(t))
	commit(t, e, put("a", "x", 0))
	commit(t, e, put("b", "x", 0))
	stream, err := s.client(t).Stream(t.Context(), "KV_subscriptions-0")
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context(), jetstream.WithPurgeSubject("$KV.subscriptions-0.*.b")); err != nil {
		t.Fatal(err)
	}
	v, w := watch(t, e)
	wait(t, "load", w.Ready())
	if len(v.all()) != 1 {
		t.Errorf("%v", v.all())
	}
}

func TestWrongAddressOrPassword(t *testing.T) {
	t.Parallel()
	s := run(t, always, true)
	for _, address := range []string{
		strings.Replace(s.ClientURL(), "nats://", "nats://app:wrong-secret@", 1),
		"nats://app:wrong-secret@127.0.0.1:1",
	} {
		_, err := engine.Open(t.Context(), engine.Options{NATS: address})
		if err == nil || strings.Contains(err.Error(), "wrong-secret") {
			t.Errorf("err = %v, want one without the password", err)
		}
	}
}
