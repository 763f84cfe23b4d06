package app_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"heliograph.dev/client"
	"heliograph.dev/internal/app"
	"heliograph.dev/receiver"
)

// troubledReceiver proves itself and keeps the bodies that come, as they come.
func troubledReceiver(tb testing.TB) (url string, bodies chan string) {
	tb.Helper()
	bodies = make(chan string, 100)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if token := r.URL.Query().Get("validationToken"); token != "" {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			_, _ = io.WriteString(w, token)
			return
		}
		body, _ := io.ReadAll(r.Body)
		bodies <- string(body)
		w.WriteHeader(http.StatusAccepted)
	}))
	tb.Cleanup(s.Close)
	return s.URL, bodies
}

func TestFaultsOfDelivery(t *testing.T) {
	t.Parallel()
	a := start(t, app.Options{Config: dev(t.TempDir())})
	api := connect(t, a)
	for name, tt := range map[string]struct {
		fault client.Fault
		want  []string // a part of each body that comes, of the changes 1 and 2, published one after the other
	}{
		"drop":         {client.Fault{Kind: "drop", Times: 1}, []string{"Messages/2"}},
		"delay":        {client.Fault{Kind: "delay", Delay: time.Millisecond}, []string{"Messages/1", "Messages/2"}},
		"duplicate":    {client.Fault{Kind: "duplicate", Times: 1}, []string{"Messages/1", "Messages/1", "Messages/2"}},
		"reorder":      {client.Fault{Kind: "reorder", Times: 1}, []string{"Messages/2", "Messages/1"}},
		"client_state": {client.Fault{Kind: "client_state", Times: 1}, []string{"forged by fault", `"clientState":"right"`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, bodies := troubledReceiver(t)
			sub, err := api.CreateSubscription(t.Context(), client.Subscription{
				Resource: "users/" + name + "/messages", ChangeType: "created", NotificationURL: url,
				ClientState: "right", ExpirationDateTime: time.Now().Add(time.Hour),
			})
			if err != nil {
				t.Fatal(err)
			}
			tt.fault.Endpoint = url
			if _, err := api.AddFault(t.Context(), tt.fault); err != nil {
				t.Fatal(err)
			}
			publish(t, api, "users/"+name+"/messages/1")
			first := awaitDelivery(t, api, sub.ID, 1)
			if !strings.Contains(first.Detail, "fault: "+tt.fault.Kind) {
				t.Errorf("the record says %q", first.Detail)
			}
			publish(t, api, "users/"+name+"/messages/2")
			for i, part := range tt.want {
				select {
				case body := <-bodies:
					if !strings.Contains(body, part) {
						t.Errorf("body %d is %s, want %s in it", i, body, part)
					}
				case <-time.After(time.Minute):
					t.Fatalf("body %d did not come", i)
				}
			}
		})
	}
}

// awaitDelivery waits until a subscription has had so many deliveries, and returns the latest.
func awaitDelivery(tb testing.TB, api *client.Client, sub string, count int) client.Delivery {
	tb.Helper()
	late := time.After(time.Minute)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		list, err := api.Deliveries(tb.Context(), client.DeliveryQuery{Subscription: sub})
		if err != nil {
			tb.Fatal(err)
		}
		if len(list) >= count {
			return list[0]
		}
		select {
		case <-tick.C:
		case <-late:
			tb.Fatalf("%d deliveries, not %d", len(list), count)
		}
	}
}

// What cannot be read or be reached is a failure to the server: the endpoint is tried again, and the fault is told.
func TestFaultsThatFail(t *testing.T) {
	t.Parallel()
	a := start(t, app.Options{Config: dev(t.TempDir())})
	api := connect(t, a)
	url, bodies := troubledReceiver(t)
	sub := subscribe(t, api, "users/u/messages", url, time.Now().Add(time.Hour))
	if _, err := api.AddFault(t.Context(), client.Fault{Kind: "outage", Endpoint: url}); err != nil {
		t.Fatal(err)
	}
	publish(t, api, "users/u/messages/1")
	if d := awaitDelivery(t, api, sub.ID, 1); d.Reason != "connect" || d.Detail != "fault: outage" {
		t.Errorf("recorded %+v", d)
	}
	if len(bodies) != 0 {
		t.Errorf("%d bodies came through an outage", len(bodies))
	}
	list, err := api.Faults(t.Context())
	if err != nil || len(list) != 1 || list[0].Hit == 0 {
		t.Errorf("faults %+v, %v", list, err)
	}
}

func TestFaultsOfCalls(t *testing.T) {
	t.Parallel()
	a := start(t, app.Options{Config: dev(t.TempDir())})
	api := connect(t, a)
	for _, tt := range []struct {
		kind          string
		status, times int
	}{
		{"unauthorized", 401, 2}, // the client tries once more with a new token
		{"forbidden", 403, 1},
		{"conflict", 409, 1},
		{"throttled", 429, 1},
		{"unavailable", 503, 1},
	} {
		f, err := api.AddFault(t.Context(), client.Fault{Kind: tt.kind, Path: "/v1.0/subscriptions", Times: tt.times, RetryAfter: 7 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		_, err = api.Subscription(t.Context(), f.ID)
		var refused *client.Error
		if !errors.As(err, &refused) || refused.Status != tt.status || refused.Rule != "fault."+tt.kind {
			t.Errorf("%s: %v", tt.kind, err)
		}
		if _, err = api.Subscription(t.Context(), f.ID); !client.IsNotFound(err) {
			t.Errorf("%s: the call after the one: %v", tt.kind, err)
		}
		if err := api.RemoveFault(t.Context(), f.ID); err != nil {
			t.Error(err)
		}
	}
	if err := api.RemoveFault(t.Context(), "00000000-0000-0000-0000-000000000001"); !client.IsNotFound(err) {
		t.Errorf("a fault that is not there: %v", err)
	}
	if err := api.ClearFaults(t.Context()); err != nil {
		t.Error(err)
	}
}

// A rich notification is spoiled where the fault says, and nowhere else (contract 13.6, 13.7).
func TestFaultsOfRichNotifications(t *testing.T) {
	t.Parallel()
	a := start(t, app.Options{Config: dev(t.TempDir())})
	api := connect(t, a)
	url, bodies := troubledReceiver(t)
	id, certificate := "c1", richCertificate(t, "c1")
	yes := true
	if _, err := api.CreateSubscription(t.Context(), client.Subscription{
		Resource: "users/u/messages?$select=subject", ChangeType: "created", NotificationURL: url, ExpirationDateTime: time.Now().Add(time.Hour),
		IncludeResourceData: &yes, EncryptionCertificate: certificate, EncryptionCertificateID: id,
	}); err != nil {
		t.Fatal(err)
	}
	type sent struct {
		Value []struct {
			EncryptedContent struct{ DataSignature, EncryptionCertificateID string }
		}
		ValidationTokens []string
	}
	one := func(kind string) (s sent) {
		t.Helper()
		if kind != "" {
			f, err := api.AddFault(t.Context(), client.Fault{Kind: kind})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = api.RemoveFault(t.Context(), f.ID) }()
		}
		if _, err := api.Publish(t.Context(), client.Event{Source: "t", Type: client.Created, Resource: "users/u/messages/1", Data: map[string]string{"subject": "x"}}); err != nil {
			t.Fatal(err)
		}
		select {
		case body := <-bodies:
			if err := json.Unmarshal([]byte(body), &s); err != nil || len(s.Value) != 1 || len(s.ValidationTokens) != 1 {
				t.Fatalf("%s: %v in %s", kind, err, body)
			}
		case <-time.After(time.Minute):
			t.Fatalf("%s: nothing came", kind)
		}
		return s
	}
	well := one("")
	if well.Value[0].EncryptedContent.EncryptionCertificateID != id {
		t.Fatalf("without a fault %+v", well)
	}
	if s := one("signature"); !strings.HasPrefix(s.Value[0].EncryptedContent.DataSignature, "AAAA") {
		t.Errorf("signature: %+v", s)
	}
	if s := one("certificate"); !strings.HasPrefix(s.Value[0].EncryptedContent.EncryptionCertificateID, "fault-") {
		t.Errorf("certificate: %+v", s)
	}
	if s := one("issuer"); !strings.Contains(claimsOf(t, s.ValidationTokens[0]), `"ver":"1.0"`) || !strings.Contains(claimsOf(t, well.ValidationTokens[0]), `"ver":"2.0"`) {
		t.Errorf("issuer: %s, without a fault %s", claimsOf(t, s.ValidationTokens[0]), claimsOf(t, well.ValidationTokens[0]))
	}
}

func richCertificate(tb testing.TB, id string) string {
	tb.Helper()
	me, err := receiver.SelfSigned(receiver.SelfSignedOptions{ID: id})
	if err != nil {
		tb.Fatal(err)
	}
	return me.EncryptionCertificate
}

func claimsOf(tb testing.TB, token string) string {
	tb.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		tb.Fatalf("no token: %s", token)
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}
