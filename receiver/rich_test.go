package receiver_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"heliograph.dev/internal/seal"
	"heliograph.dev/receiver"
)

// rich returns a body with validation tokens.
func rich(tokens []string, items ...map[string]any) []byte {
	return must(json.Marshal(map[string]any{"value": items, "validationTokens": tokens}))
}

// richChange returns a change with its resource, sealed under a committed certificate.
func richChange(t fataler, id, certificate, data string) map[string]any {
	t.Helper()
	return with(change(id, "chats('1')/messages('2')"), "encryptedContent", sealed(t, certificate, []byte(data)))
}

func TestResourceData(t *testing.T) {
	t.Parallel()
	g := newGraph(t.Context())
	t.Cleanup(g.Close)
	elsewhere := "00000000-0000-0000-0000-000000000005"
	tokens := []string{g.token(tenantID)}
	tampered := sealed(t, "2048", []byte(`{"id":"1"}`))
	tampered.DataSignature = sealed(t, "2048", []byte(`{"id":"1"}`)).DataSignature
	forged := strings.Replace(tokens[0], ".", ".e30", 1)
	item := richChange(t, "1", "2048", `{"id":"1"}`)
	for _, c := range []struct {
		name    string
		tokens  []string
		items   []map[string]any
		status  int
		data    []string
		refused []string
	}{
		{"one", tokens, []map[string]any{item}, 202, []string{`{"id":"1"}`}, nil},
		{
			"of several certificates", tokens,
			[]map[string]any{item, richChange(t, "2", "3072", "2"), richChange(t, "3", "4096", "3")},
			202,
			[]string{`{"id":"1"}`, "2", "3"},
			nil,
		},
		{
			"of two tenants",
			[]string{tokens[0], g.token(elsewhere)},
			[]map[string]any{item, with(richChange(t, "2", "2048", "2"), "tenantId", strings.ToUpper(elsewhere))},
			202,
			[]string{`{"id":"1"}`, "2"},
			nil,
		},
		{"beside one without data", tokens, []map[string]any{change("2", "x"), item}, 202, []string{"", `{"id":"1"}`}, nil},
		{"no token", nil, []map[string]any{item, change("2", "x")}, 202, []string{""}, []string{"validation_token"}},
		{"a token of another tenant", []string{g.token(elsewhere)}, []map[string]any{item}, 202, nil, []string{"validation_token"}},
		{"a forged token beside a good one", []string{tokens[0], forged}, []map[string]any{item}, 202, nil, []string{"validation_token"}},
		{"a wrong client state", tokens, []map[string]any{with(richChange(t, "1", "2048", "1"), "clientState", "x")}, 202, nil, []string{"client_state"}},
		{"tampered data", tokens, []map[string]any{with(change("1", "x"), "encryptedContent", tampered), item}, 202, []string{`{"id":"1"}`}, []string{"decrypt"}},
		{"an unknown certificate", tokens, []map[string]any{
			with(change("2", "x"), "encryptedContent", with(asMap(tampered), "encryptionCertificateId", "next")), item,
		}, 503, []string{`{"id":"1"}`}, []string{"no_key again"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var s seen
			var data []string
			o := s.options()
			o.Keys, o.Tokens = committedKeys(t), g.verifier()
			o.OnChange = func(_ context.Context, n *receiver.Notification) error {
				data = append(data, string(n.Data))
				return nil
			}
			h := handler(t, o)
			wantStatus(t, post(t, h, rich(c.tokens, c.items...)), c.status)
			s.want(t, nil, nil, c.refused)
			if fmt.Sprint(data) != fmt.Sprint(c.data) {
				t.Errorf("data %q, want %q", data, c.data)
			}
		})
	}
}

func asMap(c *receiver.EncryptedContent) map[string]any {
	var m map[string]any
	if err := json.Unmarshal(must(json.Marshal(c)), &m); err != nil {
		panic(err)
	}
	return m
}

// While the issuer's keys cannot be had nothing is refused for good, and what failed to open may come again.
func TestResourceDataLater(t *testing.T) {
	t.Parallel()
	g := newGraph(t.Context())
	t.Cleanup(g.Close)
	text := rich([]string{g.token(tenantID)}, richChange(t, "1", "2048", "1"))
	var s seen
	o := s.options()
	o.Tokens = must(receiver.NewTokenVerifier(receiver.TokenOptions{
		AppIDs: []string{appID}, Now: noon, Authorities: []receiver.Authority{receiver.Heliograph("http://127.0.0.1:1")},
	}))
	o.Keys = committedKeys(t)
	wantStatus(t, post(t, handler(t, o), text), http.StatusServiceUnavailable)
	s.want(t, nil, nil, []string{"token_keys again"})

	o.Keys, o.Tokens = nil, nil
	wantStatus(t, post(t, handler(t, o), text), http.StatusServiceUnavailable)
	s.want(t, nil, nil, []string{"no_key again"})

	keys := new(receiver.Keys)
	o.Keys, o.Unproven = keys, true // and no tokens needed
	h := handler(t, o)
	wantStatus(t, post(t, h, text), http.StatusServiceUnavailable)
	if err := keys.AddPEM("2048", read(t, "testdata/keys/2048.cert.pem"), read(t, "testdata/keys/2048.key.pem")); err != nil {
		t.Fatal(err)
	}
	wantStatus(t, post(t, h, body(richChange(t, "1", "2048", "1"))), http.StatusAccepted)
	s.want(t, []string{"chats('1')/messages('2')"}, nil, []string{"no_key again"})
}

// A hundred rotations of the certificate under load: every item names the certificate that sealed it, and none is lost
// or unreadable, though items sealed for the certificate before are still on their way when the next one is in use.
func TestRotationUnderLoad(t *testing.T) {
	t.Parallel()
	const rotations, workers = 100, 4
	g := newGraph(t.Context())
	t.Cleanup(g.Close)
	keys := new(receiver.Keys)
	var s seen
	opened := map[string]int{}
	o := s.options()
	o.Keys, o.Tokens = keys, g.verifier()
	o.OnChange = func(_ context.Context, n *receiver.Notification) error {
		var m struct{ ID string }
		if err := n.Decode(&m); err != nil {
			return err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		opened[m.ID]++
		return nil
	}
	h := handler(t, o)

	// The subscription as the server has it: which certificate seals now. Committed keys under a new id each time,
	// since making a hundred keys would take a minute and prove nothing more.
	type using struct{ id, certificate string }
	var mu sync.Mutex
	var now using
	rotate := func(n int) {
		file := []string{"2048", "3072"}[n%2]
		cert, key := read(t, "testdata/keys/"+file+".cert.pem"), read(t, "testdata/keys/"+file+".key.pem")
		id := fmt.Sprintf("certificate-%d", n)
		if err := keys.AddPEM(id, cert, key); err != nil { // first the key, then the PATCH
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		now = using{id, string(cert)}
		keys.Remove(fmt.Sprintf("certificate-%d", n-20)) // long after the last item that it sealed
	}
	rotate(0)
	sent := make([]int, workers)
	stop := make(chan struct{})
	turns := make(chan struct{}, workers)
	cache := seal.NewCertificates(4)
	var all sync.WaitGroup
	for worker := range workers {
		all.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				case turns <- struct{}{}:
				}
				mu.Lock()
				with1 := now
				mu.Unlock()
				id := fmt.Sprintf("%d-%d", worker, n)
				raw := must(must(cache.Parse(pemBody(with1.certificate))).AppendContent(nil, with1.id, []byte(`{"id":"`+id+`"}`)))
				text := rich([]string{g.token(tenantID)}, with(change(id, "x"), "encryptedContent", json.RawMessage(raw)))
				if status := post(t, h, text); status != http.StatusAccepted {
					t.Errorf("%s, sealed for %s: %d", id, with1.id, status)
				}
				sent[worker]++
			}
		})
	}
	for n := 1; n <= rotations; n++ {
		rotate(n)
		for range 2 * workers { // each worker sends about two items between rotations
			<-turns
		}
	}
	close(stop)
	all.Wait()
	total := 0
	for _, n := range sent {
		total += n
	}
	s.want(t, nil, nil, nil)
	if len(opened) != total || total < 2*workers*rotations {
		t.Errorf("%d of %d arrived", len(opened), total)
	}
	t.Logf("%d notifications over %d rotations: 0 lost, 0 unreadable", total, rotations)
}

// pemBody is an encryptionCertificate: the lines between BEGIN and END.
func pemBody(text string) string {
	_, text, _ = strings.Cut(text, "-----BEGIN CERTIFICATE-----")
	text, _, _ = strings.Cut(text, "-----END CERTIFICATE-----")
	return text
}

func TestSelfSigned(t *testing.T) {
	t.Parallel()
	for _, o := range []receiver.SelfSignedOptions{{Now: noon}, {ID: "mine", Bits: 3072, CommonName: "a bot", Validity: 48 * 3600e9, Now: noon}, {}} {
		s, err := receiver.SelfSigned(o)
		if err != nil {
			t.Fatal(err)
		}
		certificate, err := seal.ParseCertificate(s.EncryptionCertificate) // what a server thinks of it
		if err != nil {
			t.Fatal(err)
		}
		if certificate.Bits() != max(o.Bits, 2048) {
			t.Errorf("%d bits", certificate.Bits())
		}
		var fields struct {
			Certificate string `json:"encryptionCertificate"`
			ID          string `json:"encryptionCertificateId"`
		}
		if err := json.Unmarshal(s.Fields(), &fields); err != nil || fields.Certificate != s.EncryptionCertificate || fields.ID != s.EncryptionCertificateID {
			t.Errorf("%s, %v", s.Fields(), err)
		}
		if want := o.ID; s.EncryptionCertificateID != want && (want != "" || s.EncryptionCertificateID != certificate.Thumbprint()) {
			t.Errorf("the id is %q", s.EncryptionCertificateID)
		}
		keys := new(receiver.Keys)
		if err := keys.AddPEM(s.EncryptionCertificateID, s.CertificatePEM, s.KeyPEM); err != nil {
			t.Fatal(err)
		}
		opened, err := keys.Decrypt(sealedWith(t, s.EncryptionCertificate, s.EncryptionCertificateID, []byte("{}")))
		if err != nil || string(opened) != "{}" {
			t.Errorf("%q, %v", opened, err)
		}
		if _, to := certificate.Validity(); !to.Equal(s.NotAfter) || o.Now != nil && len(certificate.Warnings(noon())) > 0 && o.Validity == 0 {
			t.Errorf("valid until %s: %v", to, certificate.Warnings(noon()))
		}
		if shown := fmt.Sprintf("%v %+v %#v", s, s, s); strings.Contains(shown, "PRIVATE") || !strings.Contains(shown, s.EncryptionCertificateID) {
			t.Error(shown)
		}
	}
	for name, o := range map[string]receiver.SelfSignedOptions{
		"too small": {Bits: 1024}, "too large": {Bits: 8192}, "odd": {Bits: 2049},
		"a long id": {ID: strings.Repeat("x", 129)}, "no time": {Validity: -1},
	} {
		if _, err := receiver.SelfSigned(o); err == nil {
			t.Errorf("%s: made", name)
		}
	}
}
