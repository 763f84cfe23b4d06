package receiver_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"

	"heliograph.dev"
	"heliograph.dev/internal/seal"
	"heliograph.dev/internal/seal/token"
	"heliograph.dev/receiver"
)

// graph is the sender's side: it seals, and publishes the keys of its tokens.
type graph struct {
	*httptest.Server

	tokens *token.Tokens
	fields struct {
		Certificate string `json:"encryptionCertificate"`
		ID          string `json:"encryptionCertificateId"`
	}
}

func newGraph(ctx context.Context) *graph {
	g := new(graph)
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { g.tokens.ServeHTTP(w, r) }))
	g.tokens = must(token.New(ctx, token.Options{Base: g.URL, Now: noon}))
	return g
}

func exampleServer() *graph { return newGraph(context.Background()) }

// verifier believes this sender.
func (g *graph) verifier() *receiver.TokenVerifier {
	return must(receiver.NewTokenVerifier(receiver.TokenOptions{
		AppIDs: []string{appID}, Authorities: []receiver.Authority{receiver.Heliograph(g.URL)}, Now: noon,
	}))
}

// token returns a validation token for a tenant.
func (g *graph) token(tenant string) string {
	return must(g.tokens.Token(heliograph.TenantID(tenant), heliograph.AppID(appID)))
}

// subscribe takes the certificate of a subscription.
func (g *graph) subscribe(fields []byte) {
	if err := json.Unmarshal(fields, &g.fields); err != nil {
		panic(err)
	}
}

// notification returns the body of a request for that subscription.
func (g *graph) notification(resource string) string {
	content := must(must(seal.ParseCertificate(g.fields.Certificate)).AppendContent(nil, g.fields.ID, []byte(resource)))
	item := change("1", "users/1/messages/2")
	item["changeType"], item["clientState"], item["encryptedContent"] = "created", "secret", json.RawMessage(content)
	return string(rich([]string{g.token(tenantID)}, item))
}

// fataler is what a test of any kind has.
type fataler interface {
	Helper()
	Fatal(args ...any)
}

// sealed returns content that Heliograph sealed under a committed certificate, whose name is its id too.
func sealed(t fataler, id string, plaintext []byte) *receiver.EncryptedContent {
	t.Helper()
	text, err := os.ReadFile("testdata/keys/" + id + ".cert.pem")
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	return sealedWith(t, base64.StdEncoding.EncodeToString(block.Bytes), id, plaintext)
}

// sealedWith returns content that Heliograph sealed for a subscription.
func sealedWith(t fataler, certificate, id string, plaintext []byte) *receiver.EncryptedContent {
	t.Helper()
	parsed, err := seal.ParseCertificate(certificate)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := parsed.AppendContent(nil, id, plaintext)
	if err != nil {
		t.Fatal(err)
	}
	content := new(receiver.EncryptedContent)
	if err := json.Unmarshal(raw, content); err != nil {
		t.Fatal(err)
	}
	return content
}
