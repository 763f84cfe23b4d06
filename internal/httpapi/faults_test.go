package httpapi_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"heliograph.dev"
	"heliograph.dev/internal/faults"
)

// wrong is a book of faults that holds nothing up.
type wrong struct{ faults.Book }

func (w *wrong) Call(_ context.Context, c faults.Call) error {
	_, refusal := w.OnCall(c)
	return refusal
}

// Remove knows every fault but one.
func (w *wrong) Remove(id heliograph.GUID) bool {
	return id.String() != firstID
}

func TestFaults(t *testing.T) {
	t.Parallel()
	b := all(t)
	send := func(method, path, body string) reply {
		return b.send(method, "/control/v1/"+path, body, "Authorization", "Bearer operator")
	}
	r := send("POST", "faults", `{"kind":"throttled","path":"/v1.0/subscriptions","times":1,"retryAfter":"PT7S","seed":3}`)
	if r.StatusCode != http.StatusCreated || !strings.Contains(r.body, `"retryAfter":"PT7S"`) || !strings.Contains(r.body, `"share":1`) {
		t.Fatalf("%d %s", r.StatusCode, r.body)
	}
	refused := b.send("GET", "/v1.0/subscriptions", "", "Authorization", "Bearer operator")
	if refused.StatusCode != http.StatusTooManyRequests || refused.Header.Get("Retry-After") != "7" || refused.Header.Get("Heliograph-Rule") != "fault.throttled" {
		t.Errorf("%d %v %s", refused.StatusCode, refused.Header, refused.body)
	}
	if r := send("GET", "faults", ""); !strings.Contains(r.body, `"hit":1`) {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
	if r := send("DELETE", "faults/"+firstID, ""); r.StatusCode != http.StatusNotFound {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
	if r := send("DELETE", "faults", ""); r.StatusCode != http.StatusNoContent {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
	for _, bad := range []string{
		``, `{}`, `{"kind":"nothing"}`, `{"kind":"drop","share":"half"}`, `{"kind":"drop","share":2}`, `{"kind":"drop","times":-1}`,
		`{"kind":"delay","delay":"2s"}`, `{"kind":"drop","unknown":1}`,
	} {
		if r := send("POST", "faults", bad); r.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %d %s", bad, r.StatusCode, r.body)
		}
	}
	if r := b.send("GET", "/control/v1/faults", "", "Authorization", "Bearer reader"); r.StatusCode == http.StatusOK {
		t.Errorf("anybody lists faults: %d", r.StatusCode)
	}
}
