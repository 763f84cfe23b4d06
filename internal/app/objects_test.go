package app_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"heliograph.dev"
	"heliograph.dev/client"
	"heliograph.dev/internal/app"
	"heliograph.dev/receiver"
)

// get reads an address as its client would, and returns the status and the body.
func get(t *testing.T, token, address string) (int, map[string]any) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var body map[string]any
	if err := json.Unmarshal(text, &body); err != nil {
		t.Fatalf("%s: %d %s: %v", address, response.StatusCode, text, err)
	}
	return response.StatusCode, body
}

// TestNotifiedResourcesCanBeRead makes everything happen but deletions, and reads what each notification names, as it
// stands, with the token of who subscribed.
func TestNotifiedResourcesCanBeRead(t *testing.T) {
	t.Parallel()
	cfg := dev(t.TempDir())
	cfg.Identity.Tenant = fixtureTenant
	a := start(t, app.Options{Config: cfg})
	got := make(chan *receiver.Notification, 1000)
	h, err := receiver.New(receiver.Options{
		ClientState: receiver.FixedClientState("s3cret"),
		OnChange: func(_ context.Context, n *receiver.Notification) error {
			got <- n
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	hook := httptest.NewServer(h)
	t.Cleanup(hook.Close)
	all := slices.DeleteFunc(everyPath(t), func(w watched) bool { return w.rich })
	var creating sync.WaitGroup
	for i := range all {
		creating.Go(func() { all[i].subscribe(t, a, hook.URL, "") })
	}
	creating.Wait()
	waiting := map[string]*watched{}
	for i := range all {
		if delete(all[i].want, heliograph.Deleted); len(all[i].want) > 0 {
			waiting[all[i].id] = &all[i]
		}
	}
	api := connect(t, a)
	events, err := api.Triggers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		for _, tenant := range []string{fixtureTenant, string(heliograph.PersonalTenant)} {
			if e.ChangeType == "deleted" {
				continue
			}
			if _, err := api.Trigger(t.Context(), client.TriggerRequest{Event: e.Event, Seed: new(uint64), Tenant: tenant}); err != nil {
				t.Fatal(err)
			}
		}
	}
	late := time.After(time.Minute)
	for len(waiting) > 0 {
		select {
		case n := <-got:
			if w := waiting[n.SubscriptionID]; w != nil {
				delete(waiting, n.SubscriptionID)
				w.reads(t, a, n)
			}
		case <-late:
			t.Fatalf("%d subscriptions were told nothing", len(waiting))
		}
	}
}

// reads asks for what a notification names, and for the collection that was subscribed to.
func (w *watched) reads(t *testing.T, a *app.App, n *receiver.Notification) {
	t.Helper()
	root := a.URL() + "/v1.0/"
	if w.beta {
		root = a.URL() + "/beta/"
	}
	for _, name := range []string{n.Resource, n.ResourceData.ODataID} {
		if name == "" {
			continue
		}
		status, body := get(t, w.token, root+strings.ReplaceAll(name, " ", "%20"))
		_, isList := body["value"].([]any)
		if about, _ := body["@odata.context"].(string); status != http.StatusOK || body["id"] == nil && !isList || !strings.HasPrefix(about, root+"$metadata#") {
			t.Errorf("%s: %s: %d %v", w.row.ID, name, status, body)
		}
	}
	resource, _, _ := strings.Cut(w.resource, "?")
	status, body := get(t, w.token, root+strings.TrimSuffix(resource, "/")+"/delta")
	if list, _ := body["value"].([]any); status != http.StatusOK || len(list) == 0 && !strings.HasSuffix(resource, "}") && body["@odata.deltaLink"] == nil {
		t.Errorf("%s: delta of %s: %d %v", w.row.ID, resource, status, body)
	}
}

// What was published is there after a restart, and tokens of before are good.
func TestReadingAfterARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, err := app.Start(t.Context(), app.Options{Config: dev(dir)})
	if err != nil {
		t.Fatal(err)
	}
	api := connect(t, a)
	token, err := api.MintToken(t.Context(), client.TokenRequest{Roles: []string{"Mail.Read"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []string{"m1", "m2", "m3"} {
		if _, err := api.Trigger(t.Context(), client.TriggerRequest{Event: "message.created", Parameters: map[string]string{"message": m}}); err != nil {
			t.Fatal(err)
		}
	}
	status, page := get(t, token.Text, a.URL()+"/v1.0/users/demo/messages?$top=2")
	next, _ := page["@odata.nextLink"].(string)
	if status != http.StatusOK || !strings.HasPrefix(next, a.URL()+"/v1.0/users/demo/messages?$top=2&$skiptoken=") {
		t.Fatalf("%d %v", status, page)
	}
	if _, rest := get(t, token.Text, next); len(objectsOf(rest)) != 1 {
		t.Errorf("%v", rest)
	}
	_, round := get(t, token.Text, a.URL()+"/v1.0/users/demo/messages/delta")
	link, _ := round["@odata.deltaLink"].(string)
	if len(objectsOf(round)) != 3 || link == "" {
		t.Fatalf("%v", round)
	}
	if err := a.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	before := a.URL()
	a = start(t, app.Options{Config: dev(dir)})
	if _, err := connect(t, a).Trigger(t.Context(), client.TriggerRequest{Event: "message.deleted", Parameters: map[string]string{"message": "m2"}}); err != nil {
		t.Fatal(err)
	}
	_, changed := get(t, token.Text, strings.Replace(link, before, a.URL(), 1))
	if got := objectsOf(changed); len(got) != 1 || got[0]["id"] != "m2" || got[0]["@removed"] == nil {
		t.Errorf("%v", changed)
	}
	if status, m := get(t, token.Text, a.URL()+"/v1.0/Users/demo/Messages/m3"); status != http.StatusOK || m["subject"] == nil {
		t.Errorf("%d %v", status, m)
	}
}

// objectsOf returns the objects of a page.
func objectsOf(page map[string]any) (all []map[string]any) {
	values, _ := page["value"].([]any)
	for _, v := range values {
		o, _ := v.(map[string]any)
		all = append(all, o)
	}
	return all
}

// A server that is not told to keep what was published does not answer for it.
func TestReadingIsASetting(t *testing.T) {
	t.Parallel()
	cfg := dev(t.TempDir())
	cfg.Objects.Read, cfg.Publish.Triggers = false, false
	a := start(t, app.Options{Config: cfg})
	api := connect(t, a)
	token, err := api.MintToken(t.Context(), client.TokenRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if status, _ := get(t, token.Text, a.URL()+"/v1.0/users/demo/messages"); status != http.StatusBadRequest {
		t.Errorf("status %d", status)
	}
	if _, err := api.Trigger(t.Context(), client.TriggerRequest{Event: "message.created"}); !client.IsNotFound(err) {
		t.Errorf("%v", err)
	}
}
