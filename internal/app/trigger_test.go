package app_test

import (
	"bytes"
	"context"
	"encoding/json"
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
	"heliograph.dev/internal/catalog"
	"heliograph.dev/internal/fixture"
	"heliograph.dev/internal/identity/devissuer"
	"heliograph.dev/receiver"
)

const fixtureTenant = "84bd8158-6d4d-4958-8b9f-9d6445542f95"

// watched is a subscription to one path of one row, and what must come of it.
type watched struct {
	row      *catalog.Row
	resource string // as a client writes it
	beta     bool
	rich     bool
	id       string
	token    string
	want     map[heliograph.ChangeType]bool // that have not come
}

// TestEveryFixtureNotifies subscribes to every row in each form of its path, basic and with resource data, triggers
// every event, and waits until each subscription was told each change type that its path has.
func TestEveryFixtureNotifies(t *testing.T) {
	t.Parallel()
	cfg := dev(t.TempDir())
	cfg.Identity.Tenant = fixtureTenant
	a := start(t, app.Options{Config: cfg})
	key, err := receiver.SelfSigned(receiver.SelfSignedOptions{ID: "one"})
	if err != nil {
		t.Fatal(err)
	}
	keys := &receiver.Keys{}
	if err := keys.AddPEM("one", key.CertificatePEM, key.KeyPEM); err != nil {
		t.Fatal(err)
	}
	got := make(chan *receiver.Notification, 1000)
	h, err := receiver.New(receiver.Options{
		ClientState: receiver.FixedClientState("s3cret"), Keys: keys, Unproven: true,
		OnChange: func(_ context.Context, n *receiver.Notification) error {
			got <- n
			return nil
		},
		OnRefused: func(_ context.Context, r *receiver.Refusal) { t.Errorf("refused: %v", r) },
	})
	if err != nil {
		t.Fatal(err)
	}
	hook := httptest.NewServer(h)
	t.Cleanup(hook.Close)
	all := everyPath(t)
	var creating sync.WaitGroup
	for i := range all {
		creating.Go(func() { all[i].subscribe(t, a, hook.URL, key.EncryptionCertificate) })
	}
	creating.Wait()
	if t.Failed() {
		return
	}
	byID, missing := map[string]*watched{}, 0
	for i := range all {
		byID[all[i].id] = &all[i]
		missing += len(all[i].want)
	}
	for _, tenant := range []string{fixtureTenant, string(heliograph.PersonalTenant)} {
		made, err := connect(t, a).Trigger(t.Context(), client.TriggerRequest{Event: "all", Seed: new(uint64), Tenant: tenant})
		if err != nil || made.Accepted != len(made.Changes) || made.Accepted < 100 {
			t.Fatalf("%d changes, %v", made.Accepted, err)
		}
	}
	late := time.After(time.Minute)
	for missing > 0 {
		select {
		case n := <-got:
			missing -= byID[n.SubscriptionID].receive(t, n)
			continue
		case <-late:
		}
		for i := range all {
			if len(all[i].want) > 0 {
				t.Errorf("%s: %s (rich: %v) was not told of %v", all[i].row.ID, all[i].resource, all[i].rich, all[i].want)
			}
		}
		return
	}
}

// everyPath returns a subscription for each path of each row, with the ids that fixtures have when nobody chooses.
func everyPath(t *testing.T) []watched {
	t.Helper()
	rows, err := catalog.Load()
	if err != nil {
		t.Fatal(err)
	}
	fixtures, err := fixture.Load(rows)
	if err != nil {
		t.Fatal(err)
	}
	reached := map[string]fixture.Told{} // by row and template
	for _, trigger := range fixtures.Triggers() {
		change, err := fixtures.Make(fixture.Request{Event: trigger.Event, Tenant: fixtureTenant, Now: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		told, err := fixture.Reach(rows, &change)
		if err != nil {
			t.Fatal(err)
		}
		for _, to := range told {
			reached[to.Row+" "+to.Template] = to
		}
	}
	var all []watched
	seen := map[string]bool{}
	for _, row := range rows.Rows() {
		for _, path := range row.Paths {
			found, err := rows.Resolve(strings.NewReplacer("{", "x", "}", "x").Replace(path), catalog.Me{})
			if err != nil {
				t.Fatal(err)
			}
			at := slices.IndexFunc(found, func(r catalog.Resolved) bool { return r.Row == row })
			to, ok := reached[row.ID+" "+found[at].Template]
			if !ok {
				t.Errorf("%s: nothing reaches %s", row.ID, path)
				continue
			}
			types := found[at].ChangeTypes
			if row.ID == "group" && strings.Contains(path, "}/") {
				types = heliograph.Updated // members come and go, and the group changes
			}
			seen[row.ID] = true
			forms := []string{filled(t, rows, path, to)}
			if _, delegated := row.Permissions(); len(delegated) > 0 && strings.HasPrefix(path, "users/{user}/") {
				forms = append(forms, strings.Replace(forms[0], "users/demo/", "me/", 1))
			}
			for _, resource := range forms {
				all = append(all, variants(row, resource, types)...)
			}
		}
	}
	if len(seen) != 65 {
		t.Errorf("%d rows are subscribed to, want 65", len(seen))
	}
	return all
}

// variants returns the basic subscription and the one with resource data, where a row has them.
func variants(row *catalog.Row, resource string, types heliograph.ChangeType) (all []watched) {
	for _, rich := range []bool{false, true} {
		endpoints := row.APIVersions
		if rich {
			endpoints = row.Rich.Endpoints
		}
		if rich && !row.Rich.Supported || !rich && row.Rich.Only {
			continue
		}
		w := watched{row: row, resource: resource, rich: rich, beta: !slices.Contains(endpoints, "v1.0"), want: map[heliograph.ChangeType]bool{}}
		for _, one := range []heliograph.ChangeType{heliograph.Created, heliograph.Updated, heliograph.Deleted} {
			if types.Has(one) {
				w.want[one] = true
			}
		}
		all = append(all, w)
	}
	return all
}

// filled puts the values of a concrete path into the path as the catalog has it.
func filled(t *testing.T, rows *catalog.Catalog, path string, to fixture.Told) string {
	t.Helper()
	found, err := rows.Resolve(to.Path, catalog.Me{})
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(found, func(r catalog.Resolved) bool { return r.Row.ID == to.Row })
	for _, p := range found[at].Params {
		value := strings.NewReplacer("%", "%25", "/", "%2F").Replace(p.Values[0])
		path = strings.ReplaceAll(path, "{"+p.Name+"}", value)
	}
	if _, option, ok := strings.Cut(to.Path, "?"); ok {
		path += "?" + option
	}
	return path
}

// subscribe makes the subscription, as an application of its own or as the user.
func (w *watched) subscribe(t *testing.T, a *app.App, url, certificate string) {
	t.Helper()
	mint := devissuer.MintRequest{Base: a.URL(), Tenant: fixtureTenant, App: heliograph.NewGUID().String()}
	application, delegated := w.row.Permissions()
	// me is somebody; a personal row that shares its path with another is for users; communications/adhocCalls/{call} too
	byUser := strings.HasPrefix(w.resource, "me/") || len(application) == 0 || strings.HasPrefix(w.resource, "communications/adhocCalls/7c")
	version := "v1.0"
	if w.beta {
		version = "beta"
	}
	if w.row.ID == "driveItem.personal" {
		mint.Tenant = string(heliograph.PersonalTenant)
	}
	mint.Roles = application
	if byUser {
		mint.Roles, mint.User, mint.Scopes = nil, "demo", delegated
	}
	resource := w.resource
	if w.rich && w.row.QueryOptions["$select"].Rule == "required_when_rich" {
		resource += "?$select=id"
	}
	token, _, err := a.Issuer().Mint(t.Context(), mint)
	if err != nil {
		t.Error(err)
		return
	}
	w.token = token.Reveal()
	types := make([]string, 0, 3)
	for one := range w.want {
		types = append(types, one.String())
	}
	body := map[string]any{
		"resource": resource, "changeType": strings.Join(types, ","), "notificationUrl": url, "clientState": "s3cret",
		"expirationDateTime": time.Now().Add(50 * time.Minute).UTC(),
	}
	if w.rich {
		body["includeResourceData"], body["encryptionCertificate"], body["encryptionCertificateId"] = true, certificate, "one"
	}
	text, err := json.Marshal(body)
	if err != nil {
		t.Error(err)
		return
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, a.URL()+"/"+version+"/subscriptions", bytes.NewReader(text))
	if err != nil {
		t.Error(err)
		return
	}
	r.Header = http.Header{"Authorization": {"Bearer " + w.token}, "Content-Type": {"application/json"}}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = response.Body.Close() }()
	var answer map[string]any
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || response.StatusCode != http.StatusCreated {
		t.Errorf("%s: %s: %d %v %v %v", w.row.ID, resource, response.StatusCode, response.Header.Get("Heliograph-Rule"), answer["error"], err)
		return
	}
	w.id, _ = answer["id"].(string)
}

// receive checks a notification and returns 1 when it is the first of its change type.
func (w *watched) receive(t *testing.T, n *receiver.Notification) int {
	t.Helper()
	what, _ := heliograph.ParseChangeType(string(n.ChangeType))
	var content map[string]any
	switch {
	case n.TenantID != fixtureTenant && n.TenantID != string(heliograph.PersonalTenant) || n.Resource == "" || n.SubscriptionExpires.IsZero():
		t.Errorf("%s: %+v", w.row.ID, n)
	case w.row.ODataType != "" && len(n.ResourceData.JSON) > 0 && !strings.HasPrefix(w.row.ID, "virtualEvent") && !strings.EqualFold(n.ResourceData.ODataType, w.row.ODataType):
		t.Errorf("%s: type %q, want %q", w.row.ID, n.ResourceData.ODataType, w.row.ODataType)
	case w.rich && (json.Unmarshal(n.Data, &content) != nil || len(content) < 2):
		t.Errorf("%s: resource data %s", w.row.ID, n.Data)
	}
	if !w.want[what] {
		return 0
	}
	delete(w.want, what)
	return 1
}
