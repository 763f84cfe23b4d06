package app_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"heliograph.dev/client"
	"heliograph.dev/internal/app"
	"heliograph.dev/internal/config"
	"heliograph.dev/internal/seal/token"
	"heliograph.dev/receiver"
)

const richApp = "11111111-0000-0000-0000-000000000001" // connect's application

// richReceiver is a receiver made with the public package: it checks, verifies and decrypts everything.
type richReceiver struct {
	url  string
	keys *receiver.Keys

	mu      sync.Mutex
	changed chan struct{}
	got     map[string]json.RawMessage // resource data by resource
	sealed  map[string]int             // how many each certificate sealed
	refused []string
}

func newRichReceiver(t *testing.T, a *app.App) *richReceiver {
	t.Helper()
	tokens, err := receiver.NewTokenVerifier(receiver.TokenOptions{
		AppIDs: []string{richApp}, Authorities: []receiver.Authority{receiver.Heliograph(a.URL())},
	})
	if err != nil {
		t.Fatal(err)
	}
	r := &richReceiver{
		keys: &receiver.Keys{}, changed: make(chan struct{}), got: map[string]json.RawMessage{}, sealed: map[string]int{},
	}
	h, err := receiver.New(receiver.Options{
		ClientState: receiver.FixedClientState("s3cret"), Keys: r.keys, Tokens: tokens,
		OnChange: func(_ context.Context, n *receiver.Notification) error {
			r.note(func() {
				r.got[n.Resource] = n.Data
				r.sealed[n.EncryptedContent.EncryptionCertificateID]++
			})
			return nil
		},
		OnRefused: func(_ context.Context, refusal *receiver.Refusal) {
			r.note(func() { r.refused = append(r.refused, fmt.Sprint(refusal)) })
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	t.Cleanup(func() { _ = h.Close(context.Background()) })
	r.url = server.URL
	return r
}

func (r *richReceiver) note(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
	close(r.changed)
	r.changed = make(chan struct{})
}

// await waits for n different resources.
func (r *richReceiver) await(t *testing.T, n int) {
	t.Helper()
	deadline := time.After(time.Minute)
	for {
		r.mu.Lock()
		have, changed := len(r.got), r.changed
		r.mu.Unlock()
		if have >= n {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("%d of %d arrived; refused: %v", have, n, r.refused)
		}
	}
}

func certificate(t *testing.T, keys *receiver.Keys, id string) *receiver.Subscriber {
	t.Helper()
	s, err := receiver.SelfSigned(receiver.SelfSignedOptions{ID: id})
	if err != nil {
		t.Fatal(err)
	}
	if err := keys.AddPEM(id, s.CertificatePEM, s.KeyPEM); err != nil {
		t.Fatal(err)
	}
	return s
}

func subscribeRich(t *testing.T, api *client.Client, r *richReceiver, cert *receiver.Subscriber, resource string) *client.Subscription {
	t.Helper()
	s, err := api.CreateSubscription(t.Context(), client.Subscription{
		Resource: resource, ChangeType: "created", NotificationURL: r.url, ClientState: "s3cret",
		ExpirationDateTime: time.Now().Add(time.Hour), IncludeResourceData: new(true),
		EncryptionCertificate: cert.EncryptionCertificate, EncryptionCertificateID: cert.EncryptionCertificateID,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A receiver made with the public package verifies and opens what a server seals: contract 13.1 to 13.14, 13.17.
func TestRichNotification(t *testing.T) {
	t.Parallel()
	for _, form := range []string{"v1", "v2"} {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			cfg := dev(t.TempDir())
			cfg.Tokens.Form = form
			a := start(t, app.Options{Config: cfg})
			api, r := connect(t, a), newRichReceiver(t, a)
			subscribeRich(t, api, r, certificate(t, r.keys, "first"), "users/u1/messages?$select=subject,isRead")
			if _, err := api.Publish(t.Context(), client.Event{
				Source: "test", Type: client.Created, Resource: "users/u1/messages/m1",
				Data: json.RawMessage(`{"id":"m1","subject":"Hi","isRead":false,"body":{"content":"not selected"}}`),
			}); err != nil {
				t.Fatal(err)
			}
			r.await(t, 1)
			want := `{"@odata.type":"#microsoft.graph.message","@odata.id":"Users('u1')/messages('m1')","id":"m1","subject":"Hi","isRead@odata.type":"#Boolean","isRead":false}`
			if got := string(r.got["Users('u1')/messages('m1')"]); got != want {
				t.Errorf("got %v\nwant %s", r.got, want)
			}
			if len(r.refused) > 0 {
				t.Errorf("refused: %v", r.refused)
			}
		})
	}
}

// Who asked for immutable ids is told those that the publisher gives, in the item and in what is encrypted; who did not is
// told the ids in the path, and so is everybody where there is no other (contract 9.2).
func TestImmutableIDs(t *testing.T) {
	t.Parallel()
	a := start(t, app.Options{Config: dev(t.TempDir())})
	api := connect(t, a)
	asks, does := newRichReceiver(t, a), newRichReceiver(t, a)
	subscribeRich(t, api, does, certificate(t, does.keys, "plain"), "users/u1/messages?$select=subject")
	cert := certificate(t, asks.keys, "immutable")
	if _, err := api.CreateSubscription(t.Context(), client.Subscription{
		Resource: "users/u1/mailFolders('inbox')/messages?$select=subject", ChangeType: "created", NotificationURL: asks.url, ClientState: "s3cret",
		ExpirationDateTime: time.Now().Add(time.Hour), IncludeResourceData: new(true),
		EncryptionCertificate: cert.EncryptionCertificate, EncryptionCertificateID: cert.EncryptionCertificateID,
		Prefer: `IdType="ImmutableId", include-unknown-enum-members`,
	}); err != nil {
		t.Fatal(err)
	}
	events := []client.Event{
		{Source: "test", Type: client.Created, Resource: "users/u1/messages/m1", ImmutableID: "it's/=1"},
		{Source: "test", Type: client.Created, Resource: "users/u1/messages/m2"},
	}
	for i := range events {
		events[i].Paths = []string{strings.Replace(events[i].Resource, "u1/", "u1/mailFolders/inbox/", 1)}
		events[i].Data = json.RawMessage(`{"id":"in the data","subject":"Hi"}`)
	}
	if _, err := api.Publish(t.Context(), events...); err != nil {
		t.Fatal(err)
	}
	for r, want := range map[*richReceiver]map[string]string{
		asks: {
			"Users('u1')/messages('it''s/=1')": `{"@odata.type":"#microsoft.graph.message","@odata.id":"Users('u1')/messages('it''s/=1')","subject":"Hi","id":"it's/=1"}`,
			"Users('u1')/messages('m2')":       `{"@odata.type":"#microsoft.graph.message","@odata.id":"Users('u1')/messages('m2')","id":"in the data","subject":"Hi"}`,
		},
		does: {
			"Users('u1')/messages('m1')": `{"@odata.type":"#microsoft.graph.message","@odata.id":"Users('u1')/messages('m1')","id":"in the data","subject":"Hi"}`,
			"Users('u1')/messages('m2')": `{"@odata.type":"#microsoft.graph.message","@odata.id":"Users('u1')/messages('m2')","id":"in the data","subject":"Hi"}`,
		},
	} {
		r.await(t, 2)
		for resource, text := range want {
			if got := string(r.got[resource]); got != text {
				t.Errorf("%s:\ngot  %s\nwant %s", resource, got, text)
			}
		}
	}
}

// oldKeys is where versions before this one kept the keys of validation tokens.
type oldKeys struct{ path string }

func (o oldKeys) Load(context.Context) ([]byte, uint64, error) { return nil, 0, nil }

func (o oldKeys) Save(_ context.Context, content []byte, _ uint64) (uint64, error) {
	return 1, os.WriteFile(o.path, content, 0o600)
}

// The keys of validation tokens are sealed records of the engine, those too that were in a file before.
func TestValidationKeysAreKept(t *testing.T) {
	t.Parallel()
	cfg := usedBefore(t)
	file := filepath.Join(cfg.Data, "validation-keys.pem")
	old, err := token.New(t.Context(), token.Options{Store: oldKeys{file}, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	want := base64.StdEncoding.EncodeToString(old.Certificates()[0].Raw)
	for _, again := range []string{"from the file", "from the engine"} {
		a, err := app.Start(t.Context(), app.Options{Config: cfg})
		if err != nil {
			t.Fatal(err)
		}
		for _, address := range []string{"/common/discovery/keys", "/common/discovery/v2.0/keys"} {
			if keys := fetch(t, a.URL()+address); !strings.Contains(keys, want) {
				t.Errorf("%s: not at %s: %s", again, address, keys)
			}
		}
		if err := a.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: the file is still there: %v", again, err)
		}
	}
	_ = filepath.WalkDir(filepath.Join(cfg.Data, "jetstream"), func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if text, err := os.ReadFile(name); err != nil || strings.Contains(string(text), "PRIVATE KEY") {
				t.Errorf("a key stands in %s, %v", name, err)
			}
		}
		return err
	})
}

// A file that holds no keys is told, not passed over: somebody's receivers may know what was in it.
func TestDamagedValidationKeysAreTold(t *testing.T) {
	t.Parallel()
	cfg := usedBefore(t)
	if err := os.WriteFile(filepath.Join(cfg.Data, "validation-keys.pem"), []byte("noise"), 0o600); err != nil {
		t.Fatal(err)
	}
	log := &lines{wanted: "validation-keys.pem", found: make(chan string, 10)}
	a := start(t, app.Options{Config: cfg, Logger: slog.New(slog.NewJSONHandler(log, nil))})
	_ = fetch(t, a.URL()+"/common/discovery/keys")
	select {
	case <-log.found:
	case <-time.After(time.Minute):
		t.Error("not told")
	}
}

// usedBefore is a server that has been there.
func usedBefore(t *testing.T) *config.Config {
	t.Helper()
	cfg := dev(t.TempDir())
	a, err := app.Start(t.Context(), app.Options{Config: cfg})
	if err == nil {
		err = a.Stop(context.Background())
	}
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func fetch(t *testing.T, address string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A hundred rotations while notifications flow: each says which certificate sealed it, none is unreadable, none
// is lost (contract 13.10).
func TestRotationUnderLoad(t *testing.T) {
	t.Parallel()
	const rotations, each = 100, 20
	a := start(t, app.Options{Config: dev(t.TempDir())})
	api, r := connect(t, a), newRichReceiver(t, a)
	certs := []*receiver.Subscriber{certificate(t, r.keys, "a"), certificate(t, r.keys, "b"), certificate(t, r.keys, "c")}
	s := subscribeRich(t, api, r, certs[0], "chats/c1/messages")
	for i := range rotations {
		published := make(chan error, 1)
		go func() {
			events := make([]client.Event, each)
			for k := range events {
				events[k] = client.Event{
					Source: "test", Type: client.Created, Resource: fmt.Sprintf("chats/c1/messages/m%d", i*each+k),
					Data: json.RawMessage(`{"body":{"content":"secret"}}`),
				}
			}
			_, err := api.Publish(t.Context(), events...)
			published <- err
		}()
		next := certs[(i+1)%len(certs)]
		if _, err := api.UpdateSubscription(t.Context(), s.ID, client.Update{
			ExpirationDateTime: time.Now().Add(time.Hour), EncryptionCertificate: next.EncryptionCertificate,
			EncryptionCertificateID: next.EncryptionCertificateID,
		}); err != nil {
			t.Fatal(err)
		}
		if err := <-published; err != nil {
			t.Fatal(err)
		}
		r.await(t, (i+1)*each)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.sealed) < 2 { // whichever of the old one and the new one seals what comes meanwhile
		t.Errorf("by certificate: %v", r.sealed)
	}
	if len(r.refused) > 0 {
		t.Errorf("%d refused: %v", len(r.refused), r.refused[0])
	}
	t.Logf("%d rotations, %d notifications, by certificate: %v", rotations, len(r.got), r.sealed)
}

// An expired certificate is taken, and its owner is told at every look (contract 13.8).
func TestExpiredCertificateIsTold(t *testing.T) {
	t.Parallel()
	a := start(t, app.Options{Config: dev(t.TempDir())})
	api, r := connect(t, a), newRichReceiver(t, a)
	old, err := receiver.SelfSigned(receiver.SelfSignedOptions{
		ID: "old", Validity: time.Hour, Now: func() time.Time { return time.Now().AddDate(-1, 0, 0) },
	})
	if err != nil {
		t.Fatal(err)
	}
	s := subscribeRich(t, api, r, old, "chats/c1/messages")
	access, err := api.MintToken(t.Context(), client.TokenRequest{App: richApp})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.URL()+"/v1.0/subscriptions/"+s.ID, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+access.Text)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if got := resp.Header.Get("Heliograph-Advice"); !strings.Contains(got, "The encryption certificate expired on") {
		t.Errorf("advice %q", got)
	}
}
