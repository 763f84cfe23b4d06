package app_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"heliograph.dev/client"
	"heliograph.dev/internal/app"
	"heliograph.dev/internal/clock"
	"heliograph.dev/internal/config"
)

// dev returns the configuration of a development server on a free port that keeps its data in dir.
func dev(dir string) *config.Config {
	cfg := config.Default(config.Dev)
	cfg.Listen.HTTP, cfg.Listen.HTTPS = "127.0.0.1:0", ""
	cfg.Data = dir
	return cfg
}

func start(tb testing.TB, opts app.Options) *app.App {
	tb.Helper()
	a, err := app.Start(tb.Context(), opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := a.Stop(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	return a
}

func connect(tb testing.TB, a *app.App) *client.Client {
	tb.Helper()
	api, err := client.New(a.URL(), client.ClientCredentials(client.Credentials{
		TokenURL: a.URL() + "/common/oauth2/v2.0/token", ClientID: "11111111-0000-0000-0000-000000000001", ClientSecret: "any",
	}))
	if err != nil {
		tb.Fatal(err)
	}
	return api
}

// listener proves itself and keeps the resources that it is told of.
func listener(tb testing.TB) (url string, resources chan string) {
	tb.Helper()
	resources = make(chan string, 1000)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if token := r.URL.Query().Get("validationToken"); token != "" {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			_, _ = io.WriteString(w, token)
			return
		}
		var c struct{ Value []struct{ Resource string } }
		if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		for _, n := range c.Value {
			resources <- n.Resource
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	tb.Cleanup(s.Close)
	return s.URL, resources
}

func take(tb testing.TB, resources chan string) string {
	tb.Helper()
	select {
	case r := <-resources:
		return r
	case <-time.After(time.Minute):
		tb.Fatal("nothing was received")
		return ""
	}
}

func subscribe(tb testing.TB, api *client.Client, resource, url string, until time.Time) *client.Subscription {
	tb.Helper()
	s, err := api.CreateSubscription(tb.Context(), client.Subscription{
		Resource: resource, ChangeType: "created,updated", NotificationURL: url, ExpirationDateTime: until,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func publish(tb testing.TB, api *client.Client, resource string) {
	tb.Helper()
	if _, err := api.Publish(tb.Context(), client.Event{Source: "test", Type: client.Created, Resource: resource}); err != nil {
		tb.Fatal(err)
	}
}

func TestMainJob(t *testing.T) {
	t.Parallel()
	a := start(t, app.Options{Config: dev(t.TempDir())})
	api := connect(t, a)
	hook, resources := listener(t)
	s := subscribe(t, api, "/users/u1/messages", hook, time.Now().Add(time.Hour))
	publish(t, api, "users/u1/messages/m1")
	if got := take(t, resources); got != "Users/u1/Messages/m1" {
		t.Errorf("received %s", got)
	}
	renewed, err := api.UpdateSubscription(t.Context(), s.ID, client.Update{ExpirationDateTime: time.Now().Add(24 * time.Hour)})
	if err != nil || !renewed.ExpirationDateTime.After(s.ExpirationDateTime) {
		t.Errorf("renewed to %+v, %v", renewed, err)
	}
	if err := api.ReauthorizeSubscription(t.Context(), s.ID); err != nil {
		t.Error(err)
	}
	if err := api.DeleteSubscription(t.Context(), s.ID); err != nil {
		t.Error(err)
	}
	if _, err := api.Subscription(t.Context(), s.ID); !client.IsNotFound(err) {
		t.Errorf("a deleted subscription: %v", err)
	}
	other := subscribe(t, api, "users/u2/messages", hook, time.Now().Add(time.Hour))
	publish(t, api, "users/u1/messages/m2")
	publish(t, api, "users/u2/messages/m3")
	if got := take(t, resources); got != "Users/u2/Messages/m3" {
		t.Errorf("after the delete came %s (subscription %s)", got, other.ID)
	}
}

func TestEverythingSurvivesARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	hook, resources := listener(t)
	a, err := app.Start(t.Context(), app.Options{Config: dev(dir)})
	if err != nil {
		t.Fatal(err)
	}
	api := connect(t, a)
	s := subscribe(t, api, "users/u1/messages", hook, time.Now().Add(time.Hour))
	token, err := api.MintToken(t.Context(), client.TokenRequest{App: "11111111-0000-0000-0000-000000000001"})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	a = start(t, app.Options{Config: dev(dir)})
	old, err := client.New(a.URL(), client.StaticToken(token.Text)) // its keys are kept too
	if err != nil {
		t.Fatal(err)
	}
	if got, err := old.Subscription(t.Context(), s.ID); err != nil || got.Resource != s.Resource {
		t.Errorf("after the restart: %+v, %v", got, err)
	}
	publish(t, connect(t, a), "users/u1/messages/m1")
	take(t, resources)
}

func TestSubscriptionEndsAtItsMoment(t *testing.T) { // contract 10.15
	t.Parallel()
	c := clock.NewManual(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC))
	a := start(t, app.Options{Config: dev(t.TempDir()), Clock: c})
	api := connect(t, a)
	hook, resources := listener(t)
	s := subscribe(t, api, "users/u1/messages", hook, c.Now().Add(time.Hour))
	subscribe(t, api, "users/u2/messages", hook, c.Now().Add(2*time.Hour))
	c.Advance(time.Hour - time.Second)
	if _, err := api.Subscription(t.Context(), s.ID); err != nil {
		t.Errorf("a second before its end: %v", err)
	}
	c.Advance(time.Second)
	fresh := connect(t, a)
	if _, err := fresh.Subscription(t.Context(), s.ID); !client.IsNotFound(err) {
		t.Errorf("at its end: %v", err)
	}
	publish(t, fresh, "users/u1/messages/m1")
	publish(t, fresh, "users/u2/messages/m2")
	if got := take(t, resources); got != "Users/u2/Messages/m2" {
		t.Errorf("after its end came %s", got)
	}
}

func TestSecondServerOnOneFolderIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	start(t, app.Options{Config: dev(dir)})
	if _, err := app.Start(t.Context(), app.Options{Config: dev(dir)}); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("err = %v", err)
	}
}

func TestTakenPortIsToldAtOnce(t *testing.T) {
	t.Parallel()
	a := start(t, app.Options{Config: dev(t.TempDir())})
	cfg := dev(t.TempDir())
	cfg.Listen.HTTP = config.Address(strings.TrimPrefix(a.URL(), "http://"))
	if _, err := app.Start(t.Context(), app.Options{Config: cfg}); err == nil || !strings.Contains(err.Error(), "listen.http") {
		t.Errorf("err = %v", err)
	}
}

func TestSecureListenerServesALocalAuthoritysCertificate(t *testing.T) {
	t.Parallel()
	cfg := dev(t.TempDir())
	cfg.Listen.HTTPS, cfg.TLS.LocalCA = "127.0.0.1:0", filepath.Join(t.TempDir(), "ca")
	a := start(t, app.Options{Config: cfg})
	pem, err := os.ReadFile(a.CACertificate())
	if err != nil {
		t.Fatal(err)
	}
	resp, err := trusting(t, pem).Get(a.SecureURL() + "/healthz") //nolint:noctx // the client has a time-out
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("status %d", resp.StatusCode)
	}
}

// TestStopLeavesNothing is not parallel: it counts what the whole process has.
func TestStopLeavesNothing(t *testing.T) { //nolint:paralleltest // see above
	before := goleak.IgnoreCurrent()
	files := openFiles(t)
	for range 3 {
		cfg := dev("")
		dir := t.TempDir()
		cfg.Drives = []config.Drive{{User: "demo", Dir: dir}}
		a, err := app.Start(t.Context(), app.Options{Config: cfg})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "a"), []byte("a"), 0o600); err != nil {
			t.Fatal(err)
		}
		data := a.DataDir()
		if err := a.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		if err := a.Stop(context.Background()); err != nil {
			t.Errorf("stopped again: %v", err)
		}
		if _, err := os.Stat(data); !os.IsNotExist(err) {
			t.Errorf("temporary folder %s: %v", data, err)
		}
	}
	if err := goleak.Find(before); err != nil {
		t.Error(err)
	}
	if now := openFiles(t); now > files {
		t.Errorf("%d files open, %d before", now, files)
	}
}

// openFiles counts the process's open files, where the system tells.
func openFiles(t *testing.T) int {
	t.Helper()
	if runtime.GOOS != "linux" {
		return 0
	}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// BenchmarkStart measures a development server from nothing to its first answer, on an empty folder.
func BenchmarkStart(b *testing.B) {
	for range b.N {
		a, err := app.Start(b.Context(), app.Options{Config: dev(b.TempDir())})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		_ = a.Stop(context.Background())
		b.StartTimer()
	}
}
