package listen_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"heliograph.dev/internal/listen"
	"heliograph.dev/internal/seal"
	"heliograph.dev/receiver"
)

// sealed returns a collection with one rich notification, sealed as a server does (contract 13.1).
func sealed(t *testing.T, s *receiver.Subscriber, data string) string {
	t.Helper()
	cert, err := seal.ParseCertificate(s.EncryptionCertificate)
	if err != nil {
		t.Fatal(err)
	}
	content, err := cert.AppendContent(nil, s.EncryptionCertificateID, []byte(data))
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`{"value":[{"subscriptionId":"1","tenantId":"2","changeType":"created","resource":"chats('c')","encryptedContent":%s}]}`, content)
}

func TestEncryptedContentIsOpened(t *testing.T) {
	t.Parallel()
	s, err := receiver.SelfSigned(receiver.SelfSignedOptions{ID: "mine"})
	if err != nil {
		t.Fatal(err)
	}
	var keys receiver.Keys
	if err := keys.AddPEM("mine", s.CertificatePEM, s.KeyPEM); err != nil {
		t.Fatal(err)
	}
	receipts := make(chan *listen.Receipt, 2)
	r := receive(t, listen.Options{Keys: &keys, Received: func(x *listen.Receipt) { receipts <- x }})
	send(t, http.MethodPost, r.URL, sealed(t, s, `{"topic":"secret plans"}`))
	got := []*listen.Receipt{<-receipts}
	s.EncryptionCertificateID = "another"
	send(t, http.MethodPost, r.URL, sealed(t, s, `{"topic":"not for us"}`))
	got = append(got, <-receipts)
	r.Close()
	if string(got[0].Data) != `{"topic":"secret plans"}` || got[0].SealFault != "" {
		t.Fatalf("got %+v", got)
	}
	if got[1].Data != nil || !strings.Contains(got[1].SealFault, "no key for this certificate") {
		t.Errorf("got %s, %q", got[1].Data, got[1].SealFault)
	}
	out := r.output()
	for _, want := range []string{"decrypted:", "secret plans", "no key for this certificate"} {
		if !strings.Contains(out, want) {
			t.Errorf("output lacks %q:\n%s", want, out)
		}
	}
	if !json.Valid(got[0].Raw) {
		t.Error("the item as it came is not kept")
	}
}
