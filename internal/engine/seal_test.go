package engine_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"heliograph.dev"
	"heliograph.dev/internal/clock"
	"heliograph.dev/internal/engine"
	"heliograph.dev/internal/seal/vault"
)

// private are words that subscribers and publishers said.
var private = map[string]string{
	"resource data": "zebra-finch", "resource": "capybara", "path": "pangolin", "notice's client state": "narwhal",
	"notice's URL": "okapi", "record": "axolotl", "endpoint": "quokka",
}

func TestNothingLiesInTheClear(t *testing.T) {
	t.Parallel()
	o := fresh(t)
	e := open(t, o)
	c := changes(0, 1, 100)[0]
	c.Data = []byte(`{"subject":"` + private["resource data"] + `"}`)
	c.Resource, c.Paths = "users/"+private["resource"], []string{"users/" + private["path"]}
	c.Notice = &heliograph.Notice{
		URL: "https://example.com/?code=" + private["notice's URL"], ClientState: heliograph.NewSecret(private["notice's client state"]),
	}
	if _, err := e.Append(t.Context(), 0, []heliograph.Change{c}); err != nil {
		t.Fatal(err)
	}
	commit(t, e, put("sub.1", private["record"], 0))
	commit(t, e, put("sub.2", private["record"], 0), put("sub.3", private["record"], 0)) // a batch has files of its own
	secretive := heliograph.Endpoint("https://example.com/?code=" + private["endpoint"])
	var many []engine.Parking
	for i := range 50 {
		many = append(many, engine.Parking{Endpoint: secretive + heliograph.Endpoint(fmt.Sprint(i)), Refs: refs(i, 1)})
	}
	if err := hold(e, 0).ParkAll(t.Context(), many); err != nil {
		t.Fatal(err)
	}
	lookFor(t, o.Dir)
	shut(t, e) // writes what it keeps of its state
	lookFor(t, o.Dir)
	open(t, o)
	lookFor(t, o.Dir)
}

// lookFor looks for private words in the names and contents of all files.
func lookFor(t *testing.T, dir string) {
	t.Helper()
	read := 0
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) { // a running server's temporary file
			return nil
		}
		read += len(text)
		for what, word := range private {
			if bytes.Contains(text, []byte(word)) || strings.Contains(name, word) || containsEncoded(text, word) {
				t.Errorf("the %s stands in %s", what, name)
			}
		}
		return err
	})
	if err != nil || read < 5000 {
		t.Errorf("read %d bytes: %v", read, err)
	}
}

// containsEncoded looks for the word in base64, wherever in the encoded text it begins.
func containsEncoded(text []byte, word string) bool {
	for skip := range 3 {
		encoded := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("x", skip) + word))
		if bytes.Contains(text, []byte(encoded[skip*2:len(encoded)-2])) {
			return true
		}
	}
	return false
}

// TestOnlyTheRightKeyOpens: whatever is wrong with the key, the store is refused, stays as it is, and opens again when
// the key is back.
func TestOnlyTheRightKeyOpens(t *testing.T) {
	t.Parallel()
	o := fresh(t)
	e := open(t, o)
	commit(t, e, put("sub.1", "one", 0))
	shut(t, e)
	file := filepath.Join(o.Dir, "vault.keys")
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "vault.keys")
	if _, err := vault.Open(vault.Options{File: other, MayCreate: true, Now: clock.System().Now}); err != nil {
		t.Fatal(err)
	}
	open := func(change func(*engine.Options)) error {
		o := o
		change(&o)
		e, err := engine.Open(t.Context(), o)
		if err == nil {
			shut(t, e)
		}
		return err
	}
	for name, test := range map[string]struct {
		change func(*engine.Options)
		says   string
	}{
		"another key": {func(o *engine.Options) { o.Vault = keysIn(filepath.Dir(other)) }, "it was sealed with key"},
		"no vault":    {func(o *engine.Options) { o.Vault = nil }, "cannot be opened without its key"},
		"no file": {func(o *engine.Options) {
			if err := os.Remove(file); err != nil {
				t.Error(err)
			}
		}, file + " is missing: restore it"},
	} {
		if err := open(test.change); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a new key was made: %v", err)
	}
	if err := os.WriteFile(file, good, 0o600); err != nil {
		t.Fatal(err)
	}
	e, err = engine.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := e.Get(t.Context(), tenant, "sub.1"); err != nil || string(r.Value) != "one" {
		t.Errorf("%q, %v", r.Value, err)
	}
	shut(t, e)
}

func TestUnsealedStoreIsNotSealed(t *testing.T) {
	t.Parallel()
	o := fresh(t)
	with := o.Vault
	o.Vault = nil
	e := open(t, o)
	commit(t, e, put("sub.1", "one", 0))
	shut(t, e)
	o.Vault = with
	_, err := engine.Open(t.Context(), o)
	var told *heliograph.Error
	if !errors.As(err, &told) || told.Rule != "store.unsealed" {
		t.Errorf("sealed: %v", err)
	}
	o.Vault = nil
	if r, err := open(t, o).Get(t.Context(), tenant, "sub.1"); err != nil || string(r.Value) != "one" {
		t.Errorf("%q, %v", r.Value, err)
	}
}

// TestRotation rotates the key while records are written, seals the old ones anew and forgets the old key.
func TestRotation(t *testing.T) {
	t.Parallel()
	o := fresh(t)
	o.Shards = 2
	var keys *vault.Vault
	inner := o.Vault
	o.Vault = func(isNew bool) (engine.Vault, error) {
		v, err := inner(isNew)
		keys, _ = v.(*vault.Vault)
		return v, err
	}
	e := open(t, o)
	const records = 1500 // several commits' worth
	for from := 0; from < records; from += 500 {
		writes := make([]heliograph.Write, 500)
		for i := range writes {
			writes[i] = put(fmt.Sprintf("sub.%d", from+i), fmt.Sprint("old", from+i), 0)
		}
		commit(t, e, writes...)
	}
	seq := appendOne(t, e, 1)
	if _, err := hold(e, 0).Park(t.Context(), endpoint, refs(0, 1)); err != nil {
		t.Fatal(err)
	}
	old := keys.Keys()[0].ID
	if e.Stale() {
		t.Error("stale before the rotation")
	}
	shut(t, e)

	e = open(t, o)
	_, loaded := watch(t, e)
	wait(t, "load", loaded.Ready())
	if err := keys.Rotate(); err != nil {
		t.Fatal(err)
	}
	changed := make(chan error)
	go func() { // others change records meanwhile, and lose no change by it
		for i := 0; i < records; i += 10 {
			name := fmt.Sprintf("sub.%d", i)
			for {
				r, err := e.Get(t.Context(), tenant, name)
				if err == nil {
					_, err = e.Commit(t.Context(), tenant, []heliograph.Write{put(name, fmt.Sprint("new", i), r.Revision)})
				}
				if err == nil {
					break
				}
				if heliograph.KindOf(err) != heliograph.Conflict {
					changed <- err
					return
				}
			}
		}
		changed <- nil
	}()
	n, err := e.Reseal(t.Context())
	if err != nil || n < records-records/10 || n > records {
		t.Errorf("sealed %d of %d anew: %v", n, records, err)
	}
	if err := wait(t, "end of changes", changed); err != nil {
		t.Fatal(err)
	}
	if n, err := e.Reseal(t.Context()); err != nil || n != 0 {
		t.Errorf("and again %d: %v", n, err)
	}
	if f, err := e.Frame(t.Context(), seq); err != nil || len(f.Changes) != 1 {
		t.Errorf("a frame of the old key: %v", err)
	}
	if got := parked(t, e, endpoint, 0, 10); len(got) != 1 || got[0].Err != nil {
		t.Errorf("a list of the old key: %v", got)
	}

	// What the old key has sealed goes with time.
	if err := e.Trim(t.Context(), seq+1); err != nil {
		t.Fatal(err)
	}
	if err := hold(e, 0).Unpark(t.Context(), endpoint, 1); err != nil {
		t.Fatal(err)
	}
	if err := keys.Forget(old); err != nil {
		t.Fatal(err)
	}
	loaded.Close()
	shut(t, e)
	e = open(t, o)
	v, w := watch(t, e)
	wait(t, "load with the new key alone", w.Ready())
	all := v.all()
	if len(all) != records || e.Stale() {
		t.Errorf("%d records, stale %v", len(all), e.Stale())
	}
	for i := range records {
		want := fmt.Sprint("old", i)
		if i%10 == 0 {
			want = fmt.Sprint("new", i)
		}
		if got := string(all[string(tenant)+"/"+fmt.Sprintf("sub.%d", i)].Value); got != want {
			t.Errorf("record %d is %q, want %q", i, got, want)
		}
	}
}

// TestStaleIsNoticed: a server that finds records of an older key when it starts knows that it has to seal them anew.
func TestStaleIsNoticed(t *testing.T) {
	t.Parallel()
	o := fresh(t)
	e := open(t, o)
	commit(t, e, put("sub.1", "one", 0))
	shut(t, e)
	keys, err := vault.Open(vault.Options{File: filepath.Join(o.Dir, "vault.keys"), Now: clock.System().Now})
	if err == nil {
		err = keys.Rotate()
	}
	if err != nil {
		t.Fatal(err)
	}
	e = open(t, o)
	_, w := watch(t, e)
	wait(t, "load", w.Ready())
	if !e.Stale() {
		t.Error("not noticed")
	}
	if n, err := e.Reseal(t.Context()); err != nil || n != 1 {
		t.Errorf("sealed %d anew: %v", n, err)
	}
}

// twoNodes are two nodes of one store, of which the second has not heard of the first's newest key.
func twoNodes(t *testing.T) (first, second *engine.Engine, bring func()) {
	t.Helper()
	s := run(t, always, true)
	o := s.options(t)
	first = open(t, o)
	file, copied := filepath.Join(s.dir, "vault.keys"), filepath.Join(t.TempDir(), "vault.keys")
	bring = func() {
		text, err := os.ReadFile(file)
		if err == nil {
			err = os.WriteFile(copied, text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	bring()
	o.Vault = keysIn(filepath.Dir(copied))
	o.Logger = slog.New(slog.DiscardHandler) // it complains
	second = open(t, o)
	keys, err := vault.Open(vault.Options{File: file, Now: clock.System().Now})
	if err == nil {
		err = keys.Rotate()
	}
	if err != nil {
		t.Fatal(err)
	}
	shut(t, first)
	o.Vault = keysIn(s.dir)
	return open(t, o), second, bring
}

// TestKeyThatIsNotHereYet: what another node has sealed with a key that has not come yet is waited for, never passed
// over.
func TestKeyThatIsNotHereYet(t *testing.T) {
	t.Parallel()
	first, second, bring := twoNodes(t)
	v, w := watch(t, second)
	wait(t, "load", w.Ready())
	r := openReader(t, second, 0, 1)
	seq := appendOne(t, first, 1)
	rev := commit(t, first, put("sub.1", "one", 0))
	if _, err := hold(first, 0).Park(t.Context(), endpoint, refs(0, 1)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		_, err := r.Next(t.Context())
		wantKind(t, err, heliograph.Unavailable)
	}
	_, err := second.Frame(t.Context(), seq)
	wantKind(t, err, heliograph.Unavailable)
	_, err = second.Get(t.Context(), tenant, "sub.1")
	wantKind(t, err, heliograph.Unavailable)
	_, err = hold(second, 0).Parked(t.Context(), endpoint, 0, 1)
	wantKind(t, err, heliograph.Unavailable)
	_, err = hold(second, 0).ParkedEndpoints(t.Context())
	wantKind(t, err, heliograph.Unavailable)
	early, err := second.Watch(t.Context(), func([]heliograph.Record) {})
	if err != nil {
		t.Fatal(err)
	}
	wait(t, "end of a watch that cannot load", early.Done())
	wantKind(t, early.Err(), heliograph.Unavailable)

	bring()
	if f := next(t, r); f.Sequence != seq {
		t.Errorf("read frame %d, want %d", f.Sequence, seq)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := w.Wait(ctx, tenant, rev); err != nil || string(v.all()[string(tenant)+"/sub.1"].Value) != "one" {
		t.Errorf("%v, %v", v.all(), err)
	}
	if got := listed(t, second); got[endpoint] != 1 {
		t.Errorf("listed %v", got)
	}
}

// TestClosingDoesNotWaitForAKey: a watch that waits for a key can be closed.
func TestClosingDoesNotWaitForAKey(t *testing.T) {
	t.Parallel()
	first, second, _ := twoNodes(t)
	_, w := watch(t, second)
	wait(t, "load", w.Ready())
	commit(t, first, put("sub.1", "one", 0))
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		w.Close()
	}()
	wait(t, "end of Close", closed)
}

// TestNothingCanBePutElsewhere: who can write to the store, but has no key, cannot give one thing the place of
// another.
func TestNothingCanBePutElsewhere(t *testing.T) {
	t.Parallel()
	s := run(t, always, true)
	o := s.options(t)
	o.Logger = slog.New(slog.DiscardHandler) // it complains
	e := open(t, o)
	commit(t, e, put("sub.1", "one", 0))
	if _, err := hold(e, 0).Park(t.Context(), endpoint, refs(0, 1)); err != nil {
		t.Fatal(err)
	}
	js := s.client(t)
	move := func(stream, from, to string) {
		t.Helper()
		st, err := js.Stream(t.Context(), stream)
		if err != nil {
			t.Fatal(err)
		}
		m, err := st.GetLastMsgForSubject(t.Context(), from)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := js.PublishMsg(t.Context(), &nats.Msg{
			Subject: to, Data: m.Data, Header: nats.Header{"Heliograph-Endpoint": m.Header["Heliograph-Endpoint"]},
		}); err != nil {
			t.Fatal(err)
		}
	}
	prefix := "$KV.subscriptions-0." + string(tenant) + "."
	move("KV_subscriptions-0", prefix+"sub.1", prefix+"sub.2")
	if r, err := e.Get(t.Context(), tenant, "sub.2"); err == nil {
		t.Errorf("record 1 is also record 2: %q", r.Value)
	}
	v, w := watch(t, e)
	wait(t, "load", w.Ready())
	if len(v.all()) != 1 {
		t.Errorf("watched %v", v.all())
	}
	if _, err := hold(e, 0).Park(t.Context(), "https://other.example.com", refs(7, 1)); err != nil {
		t.Fatal(err)
	}
	subject := subjectOf(t, js, 1)
	other := subjectOf(t, js, 2)
	move("backlog", subject, other)
	if got := parked(t, e, "https://other.example.com", 0, 10); len(got) != 2 || got[1].Err == nil {
		t.Errorf("read %v", got)
	}
	if got := listed(t, e); len(got) != 1 {
		t.Errorf("listed %v", got)
	}
}

// subjectOf returns the subject of a message of the backlog.
func subjectOf(t *testing.T, js jetstream.JetStream, seq uint64) string {
	t.Helper()
	st, err := js.Stream(t.Context(), "backlog")
	if err != nil {
		t.Fatal(err)
	}
	m, err := st.GetMsg(t.Context(), seq)
	if err != nil {
		t.Fatal(err)
	}
	return m.Subject
}
