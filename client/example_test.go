package client_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"heliograph.dev/client"
)

// A subscription to a user's mail, with the exchange shown when the endpoint does not prove itself.
func Example() {
	ctx := context.Background()
	c, err := client.New("http://127.0.0.1:8080", client.ClientCredentials(client.Credentials{
		TokenURL: "http://127.0.0.1:8080/common/oauth2/v2.0/token", ClientID: "my-app", ClientSecret: "any",
	}))
	if err != nil {
		fmt.Println(err)
		return
	}
	s, err := c.CreateSubscription(ctx, client.Subscription{
		Resource:           "users/8ee44408-0679-472c-bc2a-692812af3437/messages",
		ChangeType:         "created,updated",
		NotificationURL:    "http://127.0.0.1:9000/hook",
		ExpirationDateTime: time.Date(2026, 11, 24, 10, 30, 0, 0, time.UTC),
		ClientState:        "only I know this",
	})
	if refused, ok := errors.AsType[*client.Error](err); ok && refused.Handshake != "" {
		if h, err := c.Handshake(ctx, refused.Handshake); err == nil {
			fmt.Printf("%s answered %+v\nafter %.0f ms; it had to give back %q\n", h.URL, h.Answer, h.Took, h.Expected)
		}
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(s.ID, "until", s.ExpirationDateTime)
}

func ExampleClient_Publish() {
	c, err := client.New("http://127.0.0.1:8080", client.StaticToken("a token with Changes.Publish"))
	if err != nil {
		fmt.Println(err)
		return
	}
	receipt, err := c.Publish(context.Background(), client.Event{
		Source: "/groupware/mail", ID: "4711", // the same again, if the answer is lost
		Type:     client.Created,
		Resource: "users/8ee44408-0679-472c-bc2a-692812af3437/messages/AAMkAGI2",
		Paths:    []string{"users/8ee44408-0679-472c-bc2a-692812af3437/mailFolders/inbox/messages/AAMkAGI2"},
		Data:     map[string]any{"subject": "Lunch?", "importance": "high"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("on disk as", receipt.IDs)
}

func ExampleClient_Subscriptions() {
	c, err := client.New("http://127.0.0.1:8080", client.StaticToken("a token"))
	if err != nil {
		fmt.Println(err)
		return
	}
	for s, err := range c.Subscriptions(context.Background()) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(s.ID, s.Resource)
	}
}
