package app_test

import (
	"bytes"
	"context"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"heliograph.dev/client"
	"heliograph.dev/internal/app"
	"heliograph.dev/internal/clock"
	"heliograph.dev/internal/seal/vault"
)

// said are words that a subscriber and a publisher say. None may stand on the disk.
var said = []string{"axolotl-state", "axolotl-code", "axolotl-lifecycle", "axolotl-subject", "axolotl-mailbox"}

func TestWhatWasSaidIsSealedOnDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := start(t, app.Options{Config: dev(dir)})
	api := connect(t, a)
	tried := make(chan string, 100)
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if token := r.URL.Query().Get("validationToken"); token != "" {
			w.Header().Set("Content-Type", "text/plain")
			_, _ = w.Write([]byte(token))
			return
		}
		w.WriteHeader(http.StatusServiceUnavailable) // so that it is parked
		tried <- r.URL.RawQuery
	}))
	t.Cleanup(hook.Close)
	if _, err := api.CreateSubscription(t.Context(), client.Subscription{
		Resource: "users/axolotl-mailbox/messages", ChangeType: "created", ClientState: said[0],
		NotificationURL:          hook.URL + "/?code=" + said[1],
		LifecycleNotificationURL: hook.URL + "/?code=" + said[2],
		ExpirationDateTime:       time.Now().Add(time.Hour),
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := api.Publish(t.Context(), client.Event{
		Source: "test", Type: client.Created, Resource: "users/axolotl-mailbox/messages/m1", Data: map[string]string{"subject": said[3]},
	}); err != nil {
		t.Fatal(err)
	}
	take(t, tried)
	lookForWhatWasSaid(t, dir)
	if err := a.Stop(context.Background()); err != nil { // writes what waits to the backlog
		t.Fatal(err)
	}
	lookForWhatWasSaid(t, dir)
	if backlog, err := filepath.Glob(filepath.Join(dir, "jetstream", "*", "streams", "backlog", "msgs", "*.blk")); err != nil || len(backlog) == 0 {
		t.Errorf("nothing was parked: %v", err)
	}
}

func lookForWhatWasSaid(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil //nolint:nilerr // a running server's temporary file
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return nil //nolint:nilerr // likewise
		}
		for _, word := range said {
			if bytes.Contains(text, []byte(word)) {
				t.Errorf("%s stands in %s", word, name)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestRotatedKeyIsTakenUp: a server notices that its key file has a new key, and the old one is soon needed for nothing
// but the change log.
func TestRotatedKeyIsTakenUp(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	log := &lines{wanted: "records sealed anew", found: make(chan string, 10)}
	c := clock.NewManual(time.Now())
	opts := app.Options{Config: dev(dir), Clock: c, Logger: slog.New(slog.NewJSONHandler(log, nil))}
	a := start(t, opts)
	hook, resources := listener(t)
	s := subscribe(t, connect(t, a), "users/u1/messages", hook, c.Now().Add(time.Hour))
	keys, err := vault.Open(vault.Options{File: filepath.Join(dir, "vault.keys"), Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	if err := keys.Rotate(); err != nil {
		t.Fatal(err)
	}
	line := ""
	for line == "" {
		select {
		case line = <-log.found:
		case <-time.After(50 * time.Millisecond): // the next look at the file may have been planned just now
			c.Advance(5 * time.Second)
		}
	}
	if !strings.Contains(line, keys.Keys()[0].ID) {
		t.Error(line)
	}
	publish(t, connect(t, a), "users/u1/messages/m1")
	take(t, resources)
	if err := a.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := keys.Forget(keys.Keys()[1].ID); err != nil {
		t.Fatal(err)
	}
	a = start(t, opts)
	if got, err := connect(t, a).Subscription(t.Context(), s.ID); err != nil || got.NotificationURL != hook {
		t.Errorf("after the old key was forgotten: %+v, %v", got, err)
	}
}

func TestLostKeyIsTold(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, err := app.Start(t.Context(), app.Options{Config: dev(dir)})
	if err == nil {
		err = a.Stop(context.Background())
	}
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := filepath.Join(t.TempDir(), "moved.keys")
	if err := os.Rename(filepath.Join(dir, "vault.keys"), elsewhere); err != nil {
		t.Fatal(err)
	}
	cfg := dev(dir)
	if _, err := app.Start(t.Context(), app.Options{Config: cfg}); err == nil || !strings.Contains(err.Error(), "vault.keys is missing: restore it") {
		t.Errorf("started without its key: %v", err)
	}
	cfg.Store.KeyFile = elsewhere
	start(t, app.Options{Config: cfg})
}

// lines finds log lines.
type lines struct {
	wanted string
	found  chan string
}

func (l *lines) Write(b []byte) (int, error) {
	if strings.Contains(string(b), l.wanted) {
		select {
		case l.found <- string(b):
		default:
		}
	}
	return len(b), nil
}
