package listen_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/listen"
)

func TestHandshake(t *testing.T) {
	t.Parallel()
	r := receive(t, listen.Options{})
	for _, token := range []string{
		"Validation: Testing client application reachability for subscription Request-Id: 5d9b1f64-ee6b-4d0b-9e2f-6c0d7c5c8a10",
		"+ / = % & %20 ;", "<script>alert(1)</script>", "ünï\tcode", "", strings.Repeat("x", 4000),
	} {
		// contract 4.1, 4.4: an & behind an existing query, form encoding; 4.6: the answer
		resp := send(t, http.MethodPost, r.URL+"/hook?tenant=a&validationToken="+url.QueryEscape(token), "")
		if resp.status != http.StatusOK || resp.body != token {
			t.Errorf("%q: answered %d %q", token, resp.status, resp.body)
		}
		if got := resp.header.Get("Content-Type"); token != "" && got != "text/plain; charset=utf-8" {
			t.Errorf("content type %q", got)
		}
		if token != "" && resp.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Error("a browser may take the token for a page")
		}
	}
	if got := r.Counts(); got.Handshakes != 6 || got.Rejected != 0 {
		t.Errorf("counts = %+v", got)
	}
}

func TestCollection(t *testing.T) {
	t.Parallel()
	var got []*listen.Receipt
	r := receive(t, listen.Options{
		ClientState: heliograph.NewSecret("right"),
		Received:    func(one *listen.Receipt) { got = append(got, one) },
	})
	resp := send(t, http.MethodPost, r.URL+"/hook", `{"value":[
		{"subscriptionId":"s1","clientState":"right","changeType":"updated","resource":"users/u/drive/root",
		 "subscriptionExpirationDateTime":"2026-11-22T12:44:00.9097561+00:00","tenantId":"t","id":"n1",
		 "resourceData":{"id":"i","eventTime":"2026-11-22T11:59:58.5Z"},"unheardOf":{"a":1}},
		{"subscriptionId":"s2","changeType":"Created","resource":"x","encryptedContent":{"data":"QUJD","encryptionCertificateId":"c1"}},
		{"subscriptionId":"s3","clientState":"wrong","lifecycleEvent":"missed"}
	],"validationTokens":["a.b.c"]}`)
	if resp.status != http.StatusAccepted || resp.body != "" { // contract 10.6
		t.Errorf("answered %d %q", resp.status, resp.body)
	}
	r.Close() // all handlers have ended
	if len(got) != 3 {
		t.Fatalf("received %d", len(got))
	}
	first := got[0]
	if first.ID != "n1" || first.SubscriptionID != "s1" || first.TenantID != "t" || first.ChangeType != "updated" ||
		first.Resource != "users/u/drive/root" || first.Path != "/hook" || first.Size != 3 || first.Tokens != 1 {
		t.Errorf("first = %+v", first)
	}
	if !first.At.Equal(start) || first.Latency != 1500*time.Millisecond || !first.Expires.Equal(start.Add(44*time.Minute+909756100)) {
		t.Errorf("at %v, latency %v, expires %v", first.At, first.Latency, first.Expires)
	}
	if !json.Valid(first.Raw) || strings.Contains(string(first.Raw), "right") || !strings.Contains(string(first.Raw), `"unheardOf"`) {
		t.Errorf("raw = %s", first.Raw)
	}
	if got[1].Encrypted == nil || got[1].Encrypted.CertificateID != "c1" || got[1].Encrypted.Size != 4 || got[1].Latency != 0 {
		t.Errorf("second = %+v", got[1])
	}
	if first.Forged || !got[1].Forged || !got[2].Forged || got[2].LifecycleEvent != "missed" || got[2].Index != 2 {
		t.Errorf("forged: %t %t %t", first.Forged, got[1].Forged, got[2].Forged)
	}
	want := listen.Counts{Collections: 1, Notifications: 2, Lifecycle: 1, Forged: 2}
	if counts := r.Counts(); counts != want {
		t.Errorf("counts = %+v, want %+v", counts, want)
	}
}

func TestTheCallerKnowsWhenItHappened(t *testing.T) {
	t.Parallel()
	var latency time.Duration
	r := receive(t, listen.Options{
		Happened: func(n *listen.Notification) (time.Time, bool) {
			return start.Add(-40 * time.Millisecond), n.SubscriptionID == "mine"
		},
		Received: func(one *listen.Receipt) { latency = one.Latency },
	})
	send(t, http.MethodPost, r.URL, `{"value":[{"subscriptionId":"mine"}]}`)
	r.Close()
	if latency != 40*time.Millisecond {
		t.Errorf("latency = %v", latency)
	}
}

func TestRejected(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		method, body, encoding string
		status                 int
		says                   string
	}{
		"GET":            {method: http.MethodGet, status: 405, says: "POST them here"},
		"empty":          {status: 400, says: "not a changeNotificationCollection"},
		"not JSON":       {body: "hello", status: 400, says: "not a changeNotificationCollection"},
		"an array":       {body: "[]", status: 400, says: "not a changeNotificationCollection"},
		"no value":       {body: `{"values":[]}`, status: 400, says: `it has no "value"`},
		"value is null":  {body: `{"value":null}`, status: 400, says: `it has no "value"`},
		"item is null":   {body: `{"value":[{},null]}`, status: 400, says: "item 1 of the collection"},
		"item is a word": {body: `{"value":["x"]}`, status: 400, says: "item 0 of the collection"},
		"more behind it": {body: `{"value":[]}{}`, status: 400, says: "not a changeNotificationCollection"},
		"gzip":           {body: "\x1f\x8b", encoding: "gzip", status: 415, says: `content encoding "gzip"`},
		"too large":      {body: strings.Repeat(" ", 16<<20+1), status: 413, says: "larger than 16 MB"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := receive(t, listen.Options{Received: func(*listen.Receipt) { t.Error("received something") }})
			method := test.method
			if method == "" {
				method = http.MethodPost
			}
			resp := send(t, method, r.URL, test.body, "Content-Encoding", test.encoding)
			if resp.status != test.status || !strings.Contains(resp.body, test.says) {
				t.Errorf("answered %d %q, want %d %q", resp.status, resp.body, test.status, test.says)
			}
			r.Close()
			if counts := r.Counts(); counts != (listen.Counts{Rejected: 1}) {
				t.Errorf("counts = %+v", counts)
			}
			if !strings.Contains(r.output(), "rejected") {
				t.Errorf("printed %q", r.output())
			}
		})
	}
}

// The sender is answered before anything is printed: a paused terminal must not cost it its three seconds.
func TestAnsweredBeforePrinted(t *testing.T) {
	t.Parallel()
	paused, resume := io.Pipe()
	r, err := listen.New(listen.Options{Out: resume, Now: func() time.Time { return start }, Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(r)
	defer server.Close()
	defer func() { _ = paused.Close() }()
	for range 3 {
		if resp := send(t, http.MethodPost, server.URL, `{"value":[{"changeType":"created"}]}`); resp.status != http.StatusAccepted {
			t.Errorf("answered %d", resp.status)
		}
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for _, forward := range []string{"localhost:3000", "ftp://localhost", "http://", "http://[", "/notify"} {
		if _, err := listen.New(listen.Options{ForwardTo: forward}); heliograph.KindOf(err) != heliograph.Invalid || err == nil {
			t.Errorf("%s: %v", forward, err)
		}
	}
	if _, err := listen.New(listen.Options{Format: 7}); err == nil {
		t.Error("took an unknown format")
	}
}
