package httpapi_test

import (
	"net/http"
	"testing"

	"heliograph.dev"
)

// contract 2.12: headers that a request may have change what a subscription is. contract 9.4: one that is a leftover of
// a preview does not.
func TestContractOfHeaders(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.wants(b.send("POST", "/v1.0/subscriptions", plainCreate), http.StatusCreated)
	b.wants(b.send("POST", "/v1.0/subscriptions", plainCreate, "X-Ms-Enable-Features", "EventGrid"), http.StatusCreated)
	b.wants(b.send("POST", "/v1.0/subscriptions", plainCreate, "Prefer", `IdType="ImmutableId"`), http.StatusCreated)
	plain, leftover, preferred := b.shelf.created[0], b.shelf.created[1], b.shelf.created[2]
	for _, r := range b.shelf.created {
		if r.RequestID.IsZero() {
			t.Error("a request without an id")
		}
	}
	leftover.RequestID, preferred.RequestID = plain.RequestID, plain.RequestID
	if leftover != plain || preferred == plain || !preferred.ImmutableIDs {
		t.Errorf("%+v\n%+v\n%+v", plain, leftover, preferred)
	}
}

// contract 5.50: which statuses there are, by what went wrong.
func TestContractOfStatuses(t *testing.T) {
	t.Parallel()
	for kind, status := range map[heliograph.Kind]int{
		heliograph.Invalid: 400, heliograph.Unauthenticated: 401, heliograph.Denied: 403, heliograph.NotFound: 404,
		heliograph.Conflict: 409, heliograph.TooLarge: 413, heliograph.Unsupported: 415, heliograph.Limited: 429,
		heliograph.Internal: 500, heliograph.Unavailable: 503, heliograph.Full: 507,
	} {
		b := newBench(t)
		b.shelf.fail = heliograph.Errorf(kind, "test", "for the test")
		b.wants(b.send("GET", "/v1.0/subscriptions", ""), status)
	}
	b := newBench(t)
	for path, status := range map[string]int{
		"/v1.0/subscriptions/getVapidPublicKey":           501, // contract 2.7, 12.3.5
		"/v1.0/me/drive/root/subscriptions/socketIo":      501, // contract 2.8, 12.4.1
		"/v1.0/subscriptions/" + firstID + "/reauthorize": 405,
	} {
		b.wants(b.send("GET", path, ""), status)
	}
}
