package receiver_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"

	"heliograph.dev/receiver"
)

// A webhook that prints what changed. In your program the handler goes into your server's mux, and Graph does what
// send does here.
func Example() {
	h, err := receiver.New(receiver.Options{
		ClientState: receiver.FixedClientState("what you sent as clientState"),
		OnChange: func(_ context.Context, n *receiver.Notification) error {
			fmt.Println(n.ChangeType, n.Resource)
			return nil
		},
		OnLifecycle: func(_ context.Context, n *receiver.Notification) error {
			switch n.Lifecycle {
			case receiver.ReauthorizationRequired:
				fmt.Println("renew subscription", n.SubscriptionID)
			case receiver.SubscriptionRemoved:
				fmt.Println("create the subscription again, and read what changed meanwhile")
			case receiver.Missed:
				fmt.Println("read what changed meanwhile")
			}
			return nil
		},
		OnRefused: func(_ context.Context, r *receiver.Refusal) {
			fmt.Println("refused:", r.Reason)
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	fmt.Println(send(h, "/?validationToken="+url.QueryEscape("Validation: are you there?"), ""))
	fmt.Println(send(h, "/", `{"value":[{
		"subscriptionId":"7f105c7d-2dc5-4530-97cd-4e7ae6534c07", "tenantId":"84bd8158-6d4d-4958-8b9f-9d6445542f95",
		"clientState":"what you sent as clientState", "changeType":"created", "resource":"Users/1/Messages/2"}]}`))
	fmt.Println(send(h, "/", `{"value":[{
		"subscriptionId":"7f105c7d-2dc5-4530-97cd-4e7ae6534c07", "tenantId":"84bd8158-6d4d-4958-8b9f-9d6445542f95",
		"clientState":"what you sent as clientState", "lifecycleEvent":"reauthorizationRequired"}]}`))
	fmt.Println(send(h, "/", `{"value":[{
		"subscriptionId":"7f105c7d-2dc5-4530-97cd-4e7ae6534c07", "tenantId":"84bd8158-6d4d-4958-8b9f-9d6445542f95",
		"clientState":"a guess", "changeType":"created", "resource":"Users/1/Messages/3"}]}`))

	// Output:
	// answered 200 "Validation: are you there?"
	// created Users/1/Messages/2
	// answered 202 ""
	// renew subscription 7f105c7d-2dc5-4530-97cd-4e7ae6534c07
	// answered 202 ""
	// refused: client_state
	// answered 202 ""
}

func send(h http.Handler, target, body string) string {
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, httptest.NewRequestWithContext(context.Background(), http.MethodPost, target, strings.NewReader(body)))
	return fmt.Sprintf("answered %d %q", answer.Code, answer.Body)
}

// A webhook that gets the changed resource along, decrypted and proven. The options of TokenVerifier are those for a
// Heliograph server; leave Authorities out for Graph.
func Example_resourceData() {
	server := exampleServer()
	defer server.Close()

	// Once, and kept: the certificate goes into the subscription, the key stays here.
	me, err := receiver.SelfSigned(receiver.SelfSignedOptions{ID: "spring 2026"})
	if err != nil {
		fmt.Println(err)
		return
	}
	server.subscribe(me.Fields())

	keys := new(receiver.Keys)
	if err := keys.AddPEM(me.EncryptionCertificateID, me.CertificatePEM, me.KeyPEM); err != nil {
		fmt.Println(err)
		return
	}
	tokens, err := receiver.NewTokenVerifier(receiver.TokenOptions{
		AppIDs:      []string{"8e460676-ae3f-4b1e-8790-ee0fb5d6ba86"},
		Authorities: []receiver.Authority{receiver.Heliograph(server.URL)},
		Now:         noon, // in your program, leave it out
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	h, err := receiver.New(receiver.Options{
		ClientState: receiver.FixedClientState("secret"),
		Keys:        keys,
		Tokens:      tokens,
		OnChange: func(_ context.Context, n *receiver.Notification) error {
			var message struct{ Subject string }
			if err := n.Decode(&message); err != nil {
				return err
			}
			fmt.Println(n.ChangeType, n.Resource, "about", message.Subject)
			return nil
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	fmt.Println(send(h, "/", server.notification(`{"id":"2","subject":"lunch"}`)))

	// Output:
	// created users/1/messages/2 about lunch
	// answered 202 ""
}

// Without a Handler, for a queue reader or a function that gets the body from elsewhere.
func ExampleDecrypt() {
	server := exampleServer()
	defer server.Close()
	me := must(receiver.SelfSigned(receiver.SelfSignedOptions{ID: "spring 2026"}))
	server.subscribe(me.Fields())
	keys := new(receiver.Keys)
	if err := keys.AddPEM(me.EncryptionCertificateID, me.CertificatePEM, me.KeyPEM); err != nil {
		fmt.Println(err)
		return
	}

	body := []byte(server.notification(`{"id":"2","subject":"lunch"}`))
	collection, err := receiver.ParseCollection(body)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, n := range collection.Notifications {
		if n.EncryptedContent == nil {
			continue
		}
		data, err := keys.Decrypt(n.EncryptedContent) // or receiver.Decrypt with a key of your own
		fmt.Println(string(data), err)
	}

	// Output:
	// {"id":"2","subject":"lunch"} <nil>
}

// The two properties to paste into the body of the create request.
func ExampleSelfSigned() {
	me, err := receiver.SelfSigned(receiver.SelfSignedOptions{ID: "spring 2026", Bits: 3072})
	if err != nil {
		fmt.Println(err)
		return
	}
	var create map[string]string
	if err := json.Unmarshal(me.Fields(), &create); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(create["encryptionCertificateId"])
	fmt.Println(create["encryptionCertificate"] == me.EncryptionCertificate)

	// Output:
	// spring 2026
	// true
}

func ExampleParseCollection() {
	collection, err := receiver.ParseCollection([]byte(`{"value":[
		{"subscriptionId":"7f105c7d-2dc5-4530-97cd-4e7ae6534c07","changeType":"updated","resource":"users/1"},
		{"subscriptionId":"7f105c7d-2dc5-4530-97cd-4e7ae6534c07","lifecycleEvent":"missed"}]}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, n := range collection.Notifications {
		fmt.Println(n.IsLifecycle(), n)
	}

	// Output:
	// false updated users/1 for subscription 7f105c7d-2dc5-4530-97cd-4e7ae6534c07
	// true missed of subscription 7f105c7d-2dc5-4530-97cd-4e7ae6534c07
}
