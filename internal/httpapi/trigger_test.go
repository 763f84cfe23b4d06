package httpapi_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"heliograph.dev"
	"heliograph.dev/internal/catalog"
	"heliograph.dev/internal/fixture"
	"heliograph.dev/internal/httpapi"
)

// fixtures are the real ones.
var fixtures = sync.OnceValue(func() *fixture.Catalog {
	rows, err := catalog.Load()
	if err != nil {
		panic(err)
	}
	c, err := fixture.Load(rows)
	if err != nil {
		panic(err)
	}
	return c
})

// tricks is a bench that makes changes up.
func tricks(t *testing.T, change ...func(*httpapi.Options)) *bench {
	t.Helper()
	return newBench(t, append([]func(*httpapi.Options){func(o *httpapi.Options) { o.Triggers = fixtures() }}, change...)...)
}

type triggered struct {
	Seed     uint64
	Accepted int
	Changes  []struct {
		ID, Event, ChangeType, Resource string
		Paths                           []string
		Parameters                      map[string]string
		Data                            map[string]any
	}
}

func (b *bench) trigger(body string) triggered {
	b.t.Helper()
	r := b.send("POST", "/control/v1/trigger", body, "Authorization", "Bearer operator")
	b.wants(r, 202)
	var got triggered
	if err := json.Unmarshal([]byte(r.body), &got); err != nil {
		b.t.Fatal(err)
	}
	return got
}

func TestTrigger(t *testing.T) {
	t.Parallel()
	b := tricks(t, func(o *httpapi.Options) {
		o.OtherName = func(_ heliograph.TenantID, user string) string { return "id-of-" + user }
	})
	got := b.trigger(`{"event":"message.created","user":"u1","parameters":{"message":"m1"},"set":{"subject":"Hi","from.emailAddress.address":"a@b.example"},"seed":7}`)
	if got.Seed != 7 || got.Accepted != 1 || got.Changes[0].Event != "message.created" || got.Changes[0].Resource != "users/u1/messages/m1" || got.Changes[0].Data["subject"] != "Hi" {
		t.Errorf("%+v", got)
	}
	taken := b.intake.taken()
	if len(taken) != 1 {
		t.Fatalf("%d changes", len(taken))
	}
	c := taken[0]
	paths := "users/u1/mailFolders/inbox/messages/m1 users/id-of-u1/messages/m1 users/id-of-u1/mailFolders/inbox/messages/m1"
	if c.Tenant != tenant || c.ID.String() != got.Changes[0].ID || c.Type != heliograph.Created || strings.Join(c.Paths, " ") != paths || !c.Time.Equal(start()) ||
		!strings.Contains(string(c.Data), `"receivedDateTime":"2026-11-22T10:28:00Z"`) {
		t.Errorf("%+v", c)
	}
	again := b.trigger(`{"event":"message.created","seed":7}`)
	if again.Changes[0].ID == got.Changes[0].ID {
		t.Error("a change that was made up again has the same id, and receivers would drop it")
	}
}

func TestTriggerMany(t *testing.T) {
	t.Parallel()
	b := tricks(t, func(o *httpapi.Options) { o.Limits.PublishBytes, o.Limits.Events = 20_000, 7 })
	got := b.trigger(`{"event":"message.created","count":30,"seed":1,"first":10}`)
	if got.Accepted != 30 || len(b.intake.taken()) != 30 || len(b.intake.batches) < 5 {
		t.Errorf("%d in %d batches", got.Accepted, len(b.intake.batches))
	}
	if one := b.trigger(`{"event":"message.created","seed":1,"first":39}`); one.Changes[0].Resource != got.Changes[29].Resource {
		t.Errorf("%s, %s", one.Changes[0].Resource, got.Changes[29].Resource)
	}
	if r := b.send("POST", "/control/v1/trigger", `{"event":"all"}`, "Authorization", "Bearer operator"); r.StatusCode != 400 {
		t.Errorf("a resource that this bench does not know: %d", r.StatusCode)
	}
}

func TestTriggerRefusals(t *testing.T) {
	t.Parallel()
	b := tricks(t)
	for body, rule := range map[string]string{
		`{"event":"x.created"}`:                                        "trigger.event",
		`{"event":"message.created","parameters":{"chat":"c"}}`:        "trigger.parameter",
		`{"event":"message.created","set":{"a..b":1}}`:                 "trigger.set",
		`{"event":"all","set":{"a":1}}`:                                "trigger.all",
		`{"event":"message.created","count":-1}`:                       "request.body",
		`{"event":"message.created","count":1001}`:                     "request.body",
		`{"event":"message.created","seed":1.5}`:                       "request.body",
		`{"event":"message.created","data":[]}`:                        "request.body",
		`{"event":"all","count":1000}`:                                 "trigger.count",
		fmt.Sprintf(`{"event":"message.created","tenant":%q}`, "mine"): "publish.tenant",
	} {
		r := b.send("POST", "/control/v1/trigger", body, "Authorization", "Bearer operator")
		if got := r.Header.Get("Heliograph-Rule"); got != rule {
			t.Errorf("%s: %d %s, want %s: %s", body, r.StatusCode, got, rule, r.body)
		}
	}
	if len(b.intake.taken()) > 0 {
		t.Error("what was refused was published")
	}
	for token, status := range map[string]int{"reader": 403, "publisher": 403, "controller": 403} {
		b.wants(b.send("POST", "/control/v1/trigger", `{"event":"message.created"}`, "Authorization", "Bearer "+token), status)
	}
	if b := newBench(t); b.send("POST", "/control/v1/trigger", `{"event":"message.created"}`, "Authorization", "Bearer operator").StatusCode != 404 {
		t.Error("there is such a route although nothing allows it")
	}
}

func TestTriggers(t *testing.T) {
	t.Parallel()
	b := tricks(t)
	r := b.send("GET", "/control/v1/triggers", "")
	b.wants(r, 200)
	var list struct {
		Value []struct {
			Event, Fixture, ChangeType, Resource string
			Rows                                 []string
			Parameters                           []struct {
				Name, Default string
				Seeded        bool
			}
			Example map[string]any
		}
	}
	if err := json.Unmarshal([]byte(r.body), &list); err != nil || len(list.Value) < 100 {
		t.Fatalf("%d events, %v", len(list.Value), err)
	}
	rows := map[string]bool{}
	for _, e := range list.Value {
		for _, row := range e.Rows {
			rows[row] = true
		}
		if e.Event == "message.created" && (e.Example["subject"] == nil || e.Parameters[0].Default != "demo" || e.Parameters[0].Seeded || !e.Parameters[1].Seeded) {
			t.Errorf("%+v", e)
		}
	}
	if len(rows) != 65 {
		t.Errorf("%d rows", len(rows))
	}
}
