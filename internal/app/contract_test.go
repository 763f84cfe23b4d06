package app_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"heliograph.dev/client"
	"heliograph.dev/internal/app"
	"heliograph.dev/receiver"
)

// Facts of Graph's contract that are seen only from outside, over a whole server: what goes in and out is JSON.

// wire is a server as HTTP shows it.
type wire struct {
	*app.App
	t    *testing.T
	hook *hook
}

func newWire(t *testing.T, change ...func(*app.Options)) *wire {
	t.Helper()
	opts := app.Options{Config: dev(t.TempDir())}
	for _, c := range change {
		c(&opts)
	}
	return &wire{App: start(t, opts), t: t, hook: newHook(t)}
}

// token returns a token with just these permissions, of an application or of a user.
func (w *wire) token(r client.TokenRequest) string {
	w.t.Helper()
	if r.App == "" {
		r.App = richApp
	}
	token, err := connect(w.t, w.App).MintToken(w.t.Context(), r)
	if err != nil {
		w.t.Fatal(err)
	}
	return token.Text
}

func (w *wire) roles(names ...string) string { return w.token(client.TokenRequest{Roles: names}) }

// answer is what came back.
type answer struct {
	status int
	header http.Header
	text   string
	body   map[string]any
}

// error returns the parts of a refusal.
func (a *answer) error() (code, message string, inner map[string]any) {
	e, _ := a.body["error"].(map[string]any)
	code, _ = e["code"].(string)
	message, _ = e["message"].(string)
	inner, _ = e["innerError"].(map[string]any)
	return code, message, inner
}

func (a *answer) string(name string) string {
	s, _ := a.body[name].(string)
	return s
}

// send sends a body, which may be nil.
func (w *wire) send(token, method, path string, body map[string]any) *answer {
	w.t.Helper()
	var text io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			w.t.Fatal(err)
		}
		text = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.URL()+path, text)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	a := &answer{status: resp.StatusCode, header: resp.Header, text: string(b)}
	if len(b) > 0 {
		if err := json.Unmarshal(b, &a.body); err != nil {
			w.t.Fatalf("%s: %v", b, err)
		}
	}
	return a
}

// subscription returns a good create request with some properties changed, or taken out with nil.
func (w *wire) subscription(change map[string]any) map[string]any {
	body := map[string]any{
		"resource": "users/u1/messages", "changeType": "created,updated", "notificationUrl": w.hook.URL,
		"expirationDateTime": time.Now().Add(time.Hour).UTC().Format(time.RFC3339), "clientState": "s3cret",
	}
	maps.Copy(body, change)
	maps.DeleteFunc(body, func(_ string, v any) bool { return v == nil })
	return body
}

// create makes a subscription, or says why not.
func (w *wire) create(token string, change map[string]any) *answer {
	w.t.Helper()
	a := w.send(token, http.MethodPost, "/v1.0/subscriptions", w.subscription(change))
	if a.status != http.StatusCreated {
		w.t.Fatalf("create with %v: %d %s", change, a.status, a.text)
	}
	return a
}

// hook is a receiver that proves itself and keeps the collections that come.
type hook struct {
	*httptest.Server
	got    chan collection
	proved chan string // paths
	before func()      // it answers; may be nil
}

type collection struct {
	uri    string
	header http.Header
	Value  []map[string]any `json:"value"`
	Tokens []string         `json:"validationTokens"`
}

func newHook(t *testing.T) *hook {
	t.Helper()
	h := &hook{got: make(chan collection, 100), proved: make(chan string, 1000)}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if token := r.URL.Query().Get("validationToken"); token != "" {
			h.proved <- r.URL.Path
			w.Header().Set("Content-Type", "text/plain")
			_, _ = io.WriteString(w, token)
			return
		}
		c := collection{uri: r.RequestURI, header: r.Header}
		if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		h.got <- c
		if h.before != nil {
			h.before()
		}
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *hook) take(t *testing.T) collection {
	t.Helper()
	select {
	case c := <-h.got:
		return c
	case <-time.After(time.Minute):
		t.Fatal("nothing was received")
		return collection{}
	}
}

func TestContractOfCreate(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	all := w.token(client.TokenRequest{})
	in := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(time.RFC3339) }
	for name, change := range map[string]map[string]any{
		"any case, contract 1.3":            {"changeType": "Created, UPDATED"},
		"less than an hour, contract 1.5":   {"resource": "chats/c1/messages", "expirationDateTime": in(59 * time.Minute)},
		"the same URL twice, contract 1.5":  {"resource": "chats/c2/messages", "expirationDateTime": in(2 * time.Hour), "lifecycleNotificationUrl": w.hook.URL},
		"echoed, contract 1.14":             {"resource": "users/u2/messages", "notificationContentType": "application/json"},
		"a leftover of beta, contract 1.20": {"resource": "users/u3/messages", "includeProperties": true},
		"users' chats, contract 5.42":       {"resource": "users/u1/chats", "lifecycleNotificationUrl": w.hook.URL},
	} {
		a := w.send(all, http.MethodPost, "/v1.0/subscriptions", w.subscription(change))
		if a.status != http.StatusCreated {
			t.Errorf("%s: %d %s", name, a.status, a.text)
		}
		for property, value := range change {
			if got := a.body[property]; property != "includeProperties" && property != "expirationDateTime" && got != value {
				t.Errorf("%s: %s is %v, want %v", name, property, got, value)
			}
		}
		if _, ok := a.body["includeProperties"]; ok {
			t.Errorf("%s: %s", name, a.text)
		}
	}
}

func TestContractOfRefusals(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	all, none := w.token(client.TokenRequest{}), w.roles("User.Read.All")
	user := w.token(client.TokenRequest{User: "adele@example.com", Scopes: []string{"Mail.Read"}})
	own, err := receiver.SelfSigned(receiver.SelfSignedOptions{})
	if err != nil {
		t.Fatal(err)
	}
	certificate := own.EncryptionCertificate
	const workload = "Operation: Create; Exception: [Status Code: "
	pem := base64.StdEncoding.EncodeToString([]byte("-----BEGIN PRIVATE KEY-----\nMA==\n-----END PRIVATE KEY-----\n"))
	for name, tt := range map[string]struct {
		token         string
		change        map[string]any
		status        int
		code, message string // what the message begins with
		rule          string
	}{
		"no such type, contract 1.3":                  {all, map[string]any{"changeType": "created,moved"}, 400, "InvalidRequest", "Invalid 'changeType' attribute: 'created,moved'.", "create.change_type"},
		"a private key, contract 1.11":                {all, map[string]any{"encryptionCertificate": pem}, 400, "ValidationError", "Certificate validation error: Cannot find the requested object.", "create.certificate.private_key"},
		"no date, contract 5.10":                      {all, map[string]any{"expirationDateTime": "2026-11-22"}, 400, "InvalidRequest", "Could not process subscription creation payload.", "create.expiration.form"},
		"too long, contract 3.2.11":                   {all, map[string]any{"expirationDateTime": time.Now().Add(200 * time.Hour)}, 400, "ExtensionError", "Subscription expiration can only be 10080 minutes in the future.", "create.expiration.maximum"},
		"an Event Hub, contract 5.24, 12.1.4":         {all, map[string]any{"notificationUrl": "eVENThub:https://a.vault.azure.net/secrets/b?tenantId=c"}, 400, "InvalidRequest", "Invalid event hub notification url='eVENThub:https://a.vault.azure.net/secrets/b?tenantId=c'.", "create.url.eventhub"},
		"another Event Hub, contract 12.1.1, 12.1.8":  {all, map[string]any{"lifecycleNotificationUrl": "EventHub:https://a.servicebus.windows.net/eventhubname/b?tenantId=c"}, 400, "InvalidRequest", "Invalid event hub notification url=", "create.url.eventhub"},
		"an Event Grid, contract 12.1.4 and 12.2.1":   {all, map[string]any{"notificationUrl": "EventGrid:?azuresubscriptionid=a&resourcegroup=b"}, 400, "InvalidRequest", "Invalid event grid notification url=", "create.url.eventgrid"},
		"a browser, contract 12.3.1":                  {all, map[string]any{"notificationUrl": "https://fcm.googleapis.com/fcm/send/x"}, 400, "InvalidRequest", "Invalid 'notificationUrl' attribute: ", "create.url.webpush"},
		"a browser's keys, contract 1.17":             {all, map[string]any{"vapidPublicKey": "x"}, 400, "InvalidRequest", "vapidPublicKey, ", "create.webpush"},
		"no such workload, contract 5.4, 5.51":        {all, map[string]any{"resource": "planets/mars"}, 400, "ExtensionError", workload + "BadRequest; Reason: Unsupported workload.]", "create.resource.unknown"},
		"a group's calendar, contract 5.4":            {all, map[string]any{"resource": "groups/g/events"}, 400, "ExtensionError", workload + "BadRequest; Reason: The specified object", "create.resource.store"},
		"no permission, contract 5.30":                {none, nil, 403, "Forbidden", "Missing role permissions on the request. API requires one of 'Mail.Read,Mail.ReadBasic'.", "create.permission"},
		"another's mailbox, contract 5.31":            {user, map[string]any{"resource": "users/megan@example.com/messages"}, 403, "ExtensionError", workload + "Forbidden; Reason: Caller does not have access", "create.mailbox"},
		"a URL of 2 KB and a byte, contract 22.6":     {all, map[string]any{"notificationUrl": "https://example.com/" + strings.Repeat("x", 2029)}, 400, "InvalidRequest", "Invalid 'notificationUrl' attribute: the URL has 2049 bytes", "create.url"},
		"a resource of 80 KB and more, contract 22.6": {all, map[string]any{"resource": "users/u1/messages?$filter=" + strings.Repeat("x", 80<<10)}, 400, "InvalidRequest", "Invalid 'resource' attribute: ", "create.resource.syntax"},
		"presence without an id, contract 21.9": {w.token(client.TokenRequest{User: "adele@example.com", Scopes: []string{"Presence.Read.All"}}), map[string]any{
			"resource": "communications/presences/u1", "changeType": "updated", "includeResourceData": true, "encryptionCertificate": certificate,
		}, 400, "InvalidRequest", "'encryptionCertificateId' is a required property", "create.certificate.missing"},
		"a picked certificate id, contract 1.12": {all, map[string]any{"encryptionCertificateId": strings.Repeat("x", 129)}, 400, "InvalidRequest", "Invalid 'encryptionCertificateId' attribute", "create.certificate.id.length"},
	} {
		a := w.send(tt.token, http.MethodPost, "/v1.0/subscriptions", w.subscription(tt.change))
		code, message, inner := a.error()
		if a.status != tt.status || code != tt.code || !strings.HasPrefix(message, tt.message) {
			t.Errorf("%s: %d %s", name, a.status, a.text)
		}
		// contract 5.1 to 5.3: the rule is beside what Graph says, not in its place.
		if a.header.Get("Heliograph-Rule") != tt.rule || inner["request-id"] != a.header.Get("Request-Id") || inner["date"] == nil || inner["client-request-id"] == nil {
			t.Errorf("%s: %v, %v", name, a.header, inner)
		}
		if detail := a.header.Get("Heliograph-Detail"); tt.rule == "create.expiration.form" && !strings.Contains(detail, "RFC 3339") {
			t.Errorf("%s: %q does not say how a date is written", name, detail)
		}
	}
	select {
	case c := <-w.hook.got:
		t.Errorf("the endpoint heard of it: %v", c)
	default:
	}
}

func TestContractOfManaging(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	mail, drive := w.roles("Mail.Read"), w.roles("Files.ReadWrite.All")
	mailbox := w.create(mail, map[string]any{"resource": "/users/U1/messages?$select=subject&$filter=isRead eq false"})
	folder := w.create(drive, map[string]any{"resource": "users/u1/drive/root", "changeType": "updated"})
	path := func(a *answer) string { return "/v1.0/subscriptions/" + a.string("id") }

	// contract 7.14: what creating took. contract 7.15, 22.5: nothing helps another application.
	other := w.token(client.TokenRequest{App: "22222222-0000-0000-0000-000000000002"})
	renewal := map[string]any{"expirationDateTime": time.Now().Add(2 * time.Hour)}
	for _, method := range []string{http.MethodGet, http.MethodPatch, http.MethodDelete} {
		for _, tt := range []struct {
			token  string
			of     *answer
			status int
		}{{mail, folder, 403}, {drive, mailbox, 403}, {other, mailbox, 404}, {other, folder, 404}} {
			body := renewal
			if method != http.MethodPatch {
				body = nil
			}
			if a := w.send(tt.token, method, path(tt.of), body); a.status != tt.status {
				t.Errorf("%s: %d %s, want %d", method, a.status, a.text, tt.status)
			}
		}
	}

	// contract 7.4: one of two properties. contract 3.2.12, 7.9, 19.5: what else is sent stays as it was.
	renewed := w.send(mail, http.MethodPatch, path(mailbox), map[string]any{
		"expirationDateTime": time.Now().Add(3 * time.Hour).UTC().Format(time.RFC3339), "resource": "users/u1/messages?model=B",
		"changeType": "deleted", "clientState": "x", "lifecycleNotificationUrl": w.hook.URL,
	})
	want := maps.Clone(mailbox.body)
	want["expirationDateTime"] = renewed.body["expirationDateTime"]
	if renewed.status != http.StatusOK || !maps.Equal(renewed.body, want) || renewed.body["expirationDateTime"] == mailbox.body["expirationDateTime"] {
		t.Errorf("%d %v\nwant %v", renewed.status, renewed.body, want)
	}
	if a := w.send(mail, http.MethodPatch, path(mailbox), map[string]any{"notificationUrl": w.hook.URL + "/2"}); a.status != http.StatusOK || a.string("notificationUrl") != w.hook.URL+"/2" {
		t.Errorf("moved: %d %s", a.status, a.text)
	}
	if a := w.send(mail, http.MethodPatch, path(mailbox), map[string]any{"clientState": "x"}); a.status != http.StatusBadRequest {
		t.Errorf("neither: %d %s", a.status, a.text)
	}

	// contract 17.14: what is less than 45 minutes away is raised to that, at a PATCH too.
	soon := w.send(mail, http.MethodPatch, path(mailbox), map[string]any{"expirationDateTime": time.Now().Add(time.Minute)})
	until, err := time.Parse(time.RFC3339, soon.string("expirationDateTime"))
	if left := time.Until(until); err != nil || left < 44*time.Minute || left > 45*time.Minute {
		t.Errorf("renewed for a minute: %s", soon.text)
	}

	// contract 7.16: the same id, in any spelling of the path.
	id := mailbox.string("id")
	for _, path := range []string{"/v1.0/subscriptions/" + id + "/reauthorize", "/beta/subscriptions('" + strings.ToUpper(id) + "')/reauthorize"} {
		if a := w.send(mail, http.MethodPost, path, nil); a.status != http.StatusNoContent {
			t.Errorf("%s: %d %s", path, a.status, a.text)
		}
	}
}

// contract 22.4: notificationUrl first; a renewal asks nobody, another URL has to prove itself. contract 4.13: every create
// asks, whatever was proved before.
func TestContractOfHandshakes(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	token := w.token(client.TokenRequest{})
	urls := map[string]any{"notificationUrl": w.hook.URL + "/a", "lifecycleNotificationUrl": w.hook.URL + "/b"}
	path := "/v1.0/subscriptions/" + w.create(token, urls).string("id")
	urls["resource"] = "users/u2/messages"
	w.create(token, urls)
	for _, change := range []map[string]any{
		{"expirationDateTime": time.Now().Add(2 * time.Hour)}, {"notificationUrl": w.hook.URL + "/a"}, {"notificationUrl": w.hook.URL + "/c"},
	} {
		if a := w.send(token, http.MethodPatch, path, change); a.status != http.StatusOK {
			t.Errorf("%v: %d %s", change, a.status, a.text)
		}
	}
	close(w.hook.proved)
	var proved []string
	for p := range w.hook.proved {
		proved = append(proved, p)
	}
	if !slices.Equal(proved, []string{"/a", "/b", "/a", "/b", "/c"}) {
		t.Errorf("asked: %v", proved)
	}
}

// contract 1.21: what v1.0 tells, beta tells, and no more.
func TestContractOfVersions(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	token := w.token(client.TokenRequest{})
	id := w.create(token, nil).string("id")
	var names [2][]string
	for i, version := range []string{"v1.0", "beta"} {
		a := w.send(token, http.MethodGet, "/"+version+"/subscriptions/"+id, nil)
		if a.string("@odata.context") != w.URL()+"/"+version+"/$metadata#subscriptions/$entity" {
			t.Errorf("%s", a.text)
		}
		names[i] = slices.Sorted(maps.Keys(a.body))
	}
	if len(names[0]) < 17 || !slices.Equal(names[0], names[1]) {
		t.Errorf("v1.0 has %v, beta %v", names[0], names[1])
	}
}

// contract 6.4, 22.1: a hundred on a page, the oldest first.
func TestContractOfLists(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	token := w.token(client.TokenRequest{})
	var want, got []string
	for i := range 101 {
		want = append(want, w.create(token, map[string]any{"resource": fmt.Sprintf("users/u%d/messages", i)}).string("id"))
	}
	var pages []int
	for path := "/v1.0/subscriptions"; path != ""; {
		a := w.send(token, http.MethodGet, path, nil)
		value, _ := a.body["value"].([]any)
		for _, v := range value {
			id, _ := v.(map[string]any)["id"].(string)
			got = append(got, id)
		}
		pages = append(pages, len(value))
		path = strings.TrimPrefix(a.string("@odata.nextLink"), w.URL())
	}
	if !slices.Equal(got, want) || !slices.Equal(pages, []int{100, 1}) {
		t.Errorf("pages %v, %d ids", pages, len(got))
	}
}

// A notification without resource data, and one with: who is told what, and who vouches for it.
func TestContractOfNotifications(t *testing.T) {
	t.Parallel()
	const sender, audience = "33333333-0000-0000-0000-000000000003", "44444444-0000-0000-0000-000000000004"
	w := newWire(t, func(o *app.Options) { o.Config.Tokens.Sender = sender })
	token := w.token(client.TokenRequest{})
	s, err := receiver.SelfSigned(receiver.SelfSignedOptions{ID: "c1"})
	if err != nil {
		t.Fatal(err)
	}
	const query = "/n?code=a%2Fb&x&y=1+2"
	w.create(token, map[string]any{"notificationUrl": w.hook.URL + query})
	w.create(token, map[string]any{
		"resource": "users/u2/messages?$select=subject", "clientState": "other", "notificationUrlAppId": audience,
		"includeResourceData": true, "encryptionCertificate": s.EncryptionCertificate, "encryptionCertificateId": s.EncryptionCertificateID,
	})
	api := connect(t, w.App)
	publish(t, api, "users/u1/messages/m1")
	basic := w.hook.take(t)
	publish(t, api, "users/u2/messages/m2")
	rich := w.hook.take(t)

	// contract 1.4, 10.1: the URL as it was given.
	if basic.uri != query {
		t.Errorf("posted to %s", basic.uri)
	}
	// contract 10.12: clientState in each.
	if basic.Value[0]["clientState"] != "s3cret" || rich.Value[0]["clientState"] != "other" {
		t.Errorf("%v\n%v", basic.Value, rich.Value)
	}
	// contract 11.10, 13.16, 22.9: content and tokens only where there is resource data.
	if basic.Value[0]["encryptedContent"] != nil || len(basic.Tokens) != 0 || rich.Value[0]["encryptedContent"] == nil || len(rich.Tokens) != 1 {
		t.Fatalf("%v\n%v", basic, rich)
	}
	// contract 1.16, 20.9: the audience that was asked for, the sender that the operator says.
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(rich.Tokens[0], ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(text, &claims); err != nil {
		t.Fatal(err)
	}
	if claims["aud"] != audience || claims["azp"] != sender {
		t.Errorf("claims %v", claims)
	}
	// contract 22.2: nothing says what sent it.
	if _, ok := basic.header["User-Agent"]; ok || basic.header.Get("Content-Type") != "application/json; charset=utf-8" {
		t.Errorf("headers %v", basic.header)
	}
}

// contract 18.7: a filter of Outlook's is a set that messages come into and go out of.
func TestContractOfFilters(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	w.create(w.token(client.TokenRequest{}), map[string]any{"resource": "users/u1/messages?$filter=isRead eq false", "changeType": "created,updated,deleted"})
	api := connect(t, w.App)
	for _, tt := range []struct {
		message string
		is      client.ChangeType
		isRead  bool
		told    any // nil: nothing
	}{
		{"m1", client.Created, true, nil},
		{"m1", client.Updated, false, "created"},
		{"m1", client.Updated, false, "updated"},
		{"m1", client.Updated, true, "deleted"},
		{"m1", client.Updated, true, nil},
		{"m2", client.Created, false, "created"},
		{"m2", client.Deleted, false, "deleted"},
	} {
		if _, err := api.Publish(t.Context(), client.Event{
			Source: "test", Type: tt.is, Resource: "users/u1/messages/" + tt.message, Data: map[string]any{"isRead": tt.isRead},
		}); err != nil {
			t.Fatal(err)
		}
		if tt.told == nil {
			continue // what comes next is the next one's
		}
		if n := w.hook.take(t).Value; len(n) != 1 || n[0]["changeType"] != tt.told || !strings.HasSuffix(fmt.Sprint(n[0]["resource"]), tt.message) {
			t.Errorf("%+v: told %v", tt, n)
		}
	}
}

// contract 13.12: in one POST, one token for each application and tenant.
func TestContractOfTokens(t *testing.T) {
	t.Parallel()
	w := newWire(t, func(o *app.Options) { o.Config.Delivery.LaneFlights = 1 })
	s, err := receiver.SelfSigned(receiver.SelfSignedOptions{ID: "c1"})
	if err != nil {
		t.Fatal(err)
	}
	gate, first := make(chan struct{}), make(chan struct{}, 1)
	w.hook.before = func() {
		select {
		case first <- struct{}{}:
			<-gate // what comes meanwhile shares the next POST
		default:
		}
	}
	apps := []string{richApp, "22222222-0000-0000-0000-000000000002"}
	appOf := map[any]string{}
	for _, id := range apps {
		for _, mailbox := range []string{"u1", "u2"} {
			made := w.create(w.token(client.TokenRequest{App: id}), map[string]any{
				"resource": "users/" + mailbox + "/messages?$select=subject", "includeResourceData": true,
				"encryptionCertificate": s.EncryptionCertificate, "encryptionCertificateId": s.EncryptionCertificateID,
			})
			appOf[made.string("id")] = id
		}
	}
	w.create(w.token(client.TokenRequest{}), map[string]any{"resource": "users/u3/messages"})
	api := connect(t, w.App)
	publish(t, api, "users/u3/messages/m")
	if c := w.hook.take(t); len(c.Tokens) != 0 {
		t.Errorf("tokens without resource data: %v", c.Tokens)
	}
	publish(t, api, "users/u1/messages/m")
	publish(t, api, "users/u2/messages/m")
	close(gate)
	for items := 0; items < 4; {
		c := w.hook.take(t)
		told := map[string]bool{}
		for _, v := range c.Value {
			told[appOf[v["subscriptionId"]]] = true
		}
		items += len(c.Value)
		if len(c.Tokens) != len(told) {
			t.Errorf("%d tokens for %v", len(c.Tokens), c.Value)
		}
	}
}
