package app_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"heliograph.dev/client"
	"heliograph.dev/internal/app"
	"heliograph.dev/internal/clock"
)

// told is a receiver that keeps what it was told, each as "deleted Users/u1/Messages/m1".
func told(tb testing.TB) (url string, notifications chan string) {
	tb.Helper()
	notifications = make(chan string, 1000)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if token := r.URL.Query().Get("validationToken"); token != "" {
			w.Header().Set("Content-Type", "text/plain")
			_, _ = io.WriteString(w, token)
			return
		}
		var c struct {
			Value []struct{ ChangeType, Resource string }
		}
		if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		for _, n := range c.Value {
			notifications <- n.ChangeType + " " + n.Resource[strings.LastIndexByte(n.Resource, '/')+1:]
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	tb.Cleanup(s.Close)
	return s.URL, notifications
}

// filtered is a server whose data outlives it, and a subscription with a filter.
type filtered struct {
	tb            testing.TB
	dir           string
	clock         *clock.Manual
	app           *app.App
	api           *client.Client
	notifications chan string
}

func newFiltered(tb testing.TB, filter string) *filtered {
	tb.Helper()
	f := &filtered{tb: tb, dir: tb.TempDir(), clock: clock.NewManual(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC))}
	var hook string
	hook, f.notifications = told(tb)
	f.start()
	_, err := f.api.CreateSubscription(tb.Context(), client.Subscription{
		Resource: "users/u1/messages?$filter=" + filter, ChangeType: "created,updated,deleted", NotificationURL: hook,
		ExpirationDateTime: f.clock.Now().Add(6 * 24 * time.Hour),
	})
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

func (f *filtered) start() {
	f.tb.Helper()
	f.app = start(f.tb, app.Options{Config: dev(f.dir), Clock: f.clock})
	f.api = connect(f.tb, f.app)
}

func (f *filtered) restart() {
	f.tb.Helper()
	if err := f.app.Stop(context.Background()); err != nil {
		f.tb.Fatal(err)
	}
	f.start()
}

// publish returns the change's id.
func (f *filtered) publish(kind client.ChangeType, message, importance string) string {
	f.tb.Helper()
	event := client.Event{Source: "test", Type: kind, Resource: "users/u1/messages/" + message}
	if importance != "" {
		event.Data = json.RawMessage(`{"importance":"` + importance + `"}`)
	}
	receipt, err := f.api.Publish(f.tb.Context(), event)
	if err != nil {
		f.tb.Fatal(err)
	}
	return receipt.IDs[0]
}

// inLog reports whether a change is still in the log.
func (f *filtered) inLog(change string) bool {
	f.tb.Helper()
	f.api = connect(f.tb, f.app) // tokens end while the clock goes on
	_, err := f.api.Explain(f.tb.Context(), change)
	if err != nil && !client.IsNotFound(err) {
		f.tb.Fatal(err)
	}
	return err == nil
}

// expect takes what was told, which is these and nothing else.
func (f *filtered) expect(notifications ...string) {
	f.tb.Helper()
	f.publish(client.Created, "last", "high") // whatever was published before is told before
	for _, want := range append(notifications, "created last") {
		if got := take(f.tb, f.notifications); got != want {
			f.tb.Errorf("told %s, want %s", got, want)
		}
	}
}

// What entered and left a filter is known after a restart too: it is what the log says (contract 18.7).
func TestFilterRemembersThroughARestart(t *testing.T) {
	t.Parallel()
	f := newFiltered(t, "importance eq 'High'")
	f.publish(client.Created, "m1", "normal")
	f.publish(client.Created, "m2", "high")
	f.publish(client.Updated, "m1", "high")
	f.expect("created m2", "created m1")
	f.restart()
	f.publish(client.Updated, "m1", "high")
	f.publish(client.Updated, "m2", "normal")
	f.publish(client.Updated, "m2", "normal")
	f.publish(client.Updated, "m3", "normal")
	f.expect("updated m1", "deleted m2")
	f.restart()
	f.publish(client.Updated, "m2", "normal")
	f.publish(client.Deleted, "m1", "")
	f.publish(client.Deleted, "m2", "")
	f.expect("deleted m1")
}

// What the log no longer has may have been inside: leaving is told, once.
func TestFilterForgetsWithTheLog(t *testing.T) {
	t.Parallel()
	f := newFiltered(t, "importance eq 'High'")
	first := f.publish(client.Created, "m1", "high")
	f.expect("created m1")
	f.clock.Advance(30 * time.Hour)
	f.restart()
	f.publish(client.Created, "m2", "normal")
	f.expect()
	for f.inLog(first) { // the log is trimmed every minute
		f.clock.Advance(time.Minute)
	}
	f.restart()
	f.publish(client.Updated, "m1", "normal")
	f.publish(client.Updated, "m1", "normal")
	f.expect("deleted m1")
}

// A filter that cannot be read is refused at its character (contract 18.6).
func TestFilterIsRefusedAtItsCharacter(t *testing.T) {
	t.Parallel()
	a := start(t, app.Options{Config: dev(t.TempDir())})
	hook, _ := told(t)
	for resource, want := range map[string]string{
		"users/u1/messages?$filter=importance is 'High'":      "Invalid 'resource' attribute: $filter: expected an operator, found i at character 38.",
		"users/u1/messages?$filter=importance%20eq%20later()": "Invalid 'resource' attribute: $filter: the function later is not supported at character 45.",
		"chats/c/messages?$filter=from/user/id eq '1'":        "Invalid 'resource' attribute: $filter: the property from/user/id is not supported on this resource at character 26.",
		"users?$filter=displayName eq 'x'":                    "Invalid 'resource' attribute: $filter: not supported on this resource at character 15.",
	} {
		_, err := connect(t, a).CreateSubscription(t.Context(), client.Subscription{
			Resource: resource, ChangeType: "updated", NotificationURL: hook, ExpirationDateTime: time.Now().Add(time.Hour),
		})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", resource, err)
		}
	}
}
