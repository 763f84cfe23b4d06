package httpapi_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/httpapi"
)

// meter counts calls by family, and refuses those over its limit.
type meter struct {
	mu      sync.Mutex
	counted map[string]int
	limit   int
}

func (m *meter) Take(caller *heliograph.Caller, family string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counted[family+" "+string(caller.App)]++
	if m.counted[family+" "+string(caller.App)] > m.limit {
		return &heliograph.Error{Kind: heliograph.Limited, Rule: "request.throttled", Message: "Please retry again later.", RetryAfter: 12300 * time.Millisecond}
	}
	return nil
}

// contract 15.1 to 15.4: which call counts as what. contract 5.43, 15.6: what is over the limit.
func TestThrottle(t *testing.T) {
	t.Parallel()
	m := &meter{counted: make(map[string]int), limit: 2}
	b := all(t, func(o *httpapi.Options) { o.Throttle = m })
	id := "/beta/subscriptions/" + firstID
	for _, call := range []struct{ method, path, family string }{
		{"POST", "/v1.0/subscriptions", "write"},
		{"PATCH", id, "write"},
		{"DELETE", id, "write"},
		{"POST", id + "/reauthorize", "reauthorize"},
		{"GET", id, "get"},
		{"HEAD", id, "get"},
		{"GET", "/v1.0/subscriptions/", "list"},
		{"POST", "/v1.0/$batch", ""},
		{"GET", "/v1.0/$metadata", ""},
		{"GET", "/v1.0", ""},
		{"GET", "/v1.0/subscriptions/getVapidPublicKey", ""},
		{"GET", "/v1.0/nowhere", ""},
		{"PUT", "/v1.0/subscriptions", ""},
		{"OPTIONS", "/v1.0/subscriptions", ""},
		{"POST", "/publish", ""},
		{"GET", "/control/v1/handshakes", ""},
		{"GET", "/healthz", ""},
	} {
		clear(m.counted)
		b.send(call.method, call.path, "")
		want := 1
		if call.family == "" {
			want = 0
		}
		if len(m.counted) != want || m.counted[call.family+" "+app] != want {
			t.Errorf("%s %s counts as %v, want %q", call.method, call.path, m.counted, call.family)
		}
	}
	clear(m.counted)
	b.send("GET", "/v1.0/subscriptions", "", "Authorization", "Bearer nobody")
	if len(m.counted) != 0 {
		t.Errorf("nobody's call counts: %v", m.counted)
	}
	for range 2 {
		b.wants(b.send("GET", "/v1.0/subscriptions", ""), 200)
	}
	r := b.send("GET", "/v1.0/subscriptions", "")
	b.refuses(r, 429, "TooManyRequests", "Please retry again later.", "request.throttled")
	b.wants(r, 429, "Retry-After", "13") // a second too many rather than too few
}

// contract 2.7, 2.8, 12.4: what Graph has and this server has not says so.
func TestAbsent(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.refuses(b.send("GET", "/v1.0/subscriptions/getVapidPublicKey", ""), 501, "NotImplemented",
		"Web Push is not offered by this server, so it has no key for it. Create a subscription with an https notificationUrl.", "webpush.absent")
	b.refuses(b.send("GET", "/beta/Subscriptions/microsoft.graph.getVapidPublicKey()", ""), 501, "NotImplemented",
		"Web Push is not offered by this server, so it has no key for it. Create a subscription with an https notificationUrl.", "webpush.absent")
	for path := range strings.FieldsSeq("me/drive/root drives/d/root drives('d')/list groups/g/drive/root sites/s/lists/l/drive/root sites('s')/lists/l") {
		for _, version := range []string{"/v1.0/", "/beta/"} {
			b.refuses(b.send("GET", version+path+"/subscriptions/socketIo", ""), 501, "NotImplemented",
				"Notifications over a socket are not offered by this server. Create a subscription with an https notificationUrl.", "socket.absent")
		}
	}
	b.wants(b.send("GET", "/v1.0/me/drive/root/subscriptions/socketIo", "", "Authorization", ""), 401)
}
