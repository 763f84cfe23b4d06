package heliographtest_test

import (
	"net/http"
	"testing"

	"heliograph.dev/client"
	"heliograph.dev/heliographtest"
)

// TestMailbox is how a test of an application looks.
func TestMailbox(t *testing.T) {
	t.Parallel()
	graph := heliographtest.New(t)

	// The application under test gets the server's address and a token in place of Graph's, and subscribes.
	endpoint := newInbox(t)
	subscribe(t, graph, "users/demo/messages", endpoint.URL)
	graph.WaitForSubscription("users/demo/messages")

	// A realistic message comes; the application's endpoint has taken it.
	for _, change := range graph.Trigger(client.TriggerRequest{Event: "message.created", User: "demo"}) {
		for _, delivery := range graph.ExpectDelivered(change) {
			if delivery.Status != http.StatusAccepted {
				t.Errorf("the application answered %d", delivery.Status)
			}
		}
	}

	// Nobody subscribed to this.
	graph.ExpectNotDelivered(graph.Publish(client.Event{Resource: "users/demo/events/1"}))
}
