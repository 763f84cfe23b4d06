package httpapi_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/deliver"
	"heliograph.dev/internal/deliveries"
	"heliograph.dev/internal/health"
	"heliograph.dev/internal/httpapi"
	"heliograph.dev/internal/lifecycle"
	"heliograph.dev/internal/subscribe"
)

// sentID and the ids below are of the only delivery, of its change and of the subscription that it was for.
func sentID() heliograph.GUID     { return heliograph.DeriveGUID("delivery") }
func sentChange() heliograph.GUID { return heliograph.DeriveGUID("change") }

// sent remembers one delivery, which failed, and what it was asked to do.
type sent struct {
	asked    deliveries.Query
	changes  httpapi.ChangesQuery
	replayed httpapi.Span
	forced   map[heliograph.Endpoint]health.State
}

func (s *sent) one() deliveries.Delivery {
	return deliveries.Delivery{
		ID: sentID(), Count: 2, Body: []byte(`{"value":[]}`),
		Attempt: heliograph.Attempt{
			Endpoint: "https://hook.example/", Started: start(), Took: 1500 * time.Microsecond, Reason: heliograph.RefusedStatus, Status: 503,
			Said: &heliograph.Said{
				Sent: "POST / HTTP/1.1", Header: map[string][]string{"Server": {"x"}}, Body: []byte("later"), Address: "192.0.2.1:443", Kept: true, FirstByte: time.Millisecond,
			},
		},
		Notifications: []deliveries.Notified{
			{ID: heliograph.DeriveGUID("n1"), Subscription: heliograph.DeriveGUID("s"), Change: sentChange(), Accepted: start(), Attempts: 1},
			{ID: heliograph.DeriveGUID("n2"), Subscription: heliograph.DeriveGUID("s"), Change: sentChange(), Accepted: start(), Lifecycle: heliograph.Missed},
		},
	}
}

func (s *sent) Find(_ *heliograph.Caller, q deliveries.Query) []deliveries.Delivery {
	s.asked = q
	return []deliveries.Delivery{s.one()}
}

func (s *sent) Skipped() uint64 { return 12 }

func (s *sent) Get(_ *heliograph.Caller, id deliveries.ID) (deliveries.Delivery, bool) {
	return s.one(), id == sentID()
}

func (s *sent) Resend(_ context.Context, _ *heliograph.Caller, id deliveries.ID) (int, error) {
	if id != sentID() {
		return 0, heliograph.Errorf(heliograph.NotFound, "delivery.not_found", "The object was not found.")
	}
	return 2, nil
}

func (s *sent) Replay(_ context.Context, _ *heliograph.Caller, sub heliograph.SubscriptionID, when httpapi.Span) (int, error) {
	if sub.String() == firstID {
		return 0, heliograph.Errorf(heliograph.NotFound, "subscription.not_found", "The object was not found.")
	}
	s.replayed = when
	return 7, nil
}

func (s *sent) Explain(_ context.Context, _ *heliograph.Caller, id heliograph.ChangeID) (*deliver.Explained, error) {
	if id != sentChange() {
		return nil, heliograph.Errorf(heliograph.NotFound, "explain.change", "no such change")
	}
	return &deliver.Explained{
		Change: heliograph.Change{ID: id, Type: heliograph.Created, Resource: "users/u/messages/m", Accepted: start()},
		Fates: []deliver.Fate{
			{Subscription: heliograph.DeriveGUID("s"), URL: "https://hook.example/"},
			{Subscription: heliograph.DeriveGUID("t"), URL: "https://hook.example/", Withheld: heliograph.WithheldType},
		},
	}, nil
}

func (s *sent) Latest(heliograph.SubscriptionID) []*deliveries.Delivery {
	failed, well := s.one(), s.one()
	failed.Notifications[0].Tenant = tenant
	well.Attempt.Reason = heliograph.Delivered
	return []*deliveries.Delivery{&failed, &well}
}

func (s *sent) outline() subscribe.Outline {
	paused := lifecycle.Standing{State: lifecycle.Paused, Why: lifecycle.AccessRevoked, Since: start(), Detail: "consent_revoked"}
	next := lifecycle.Step{At: start().Add(time.Hour), Do: lifecycle.Tell, Event: heliograph.ReauthorizationRequired, Why: lifecycle.AccessRevoked}
	sub := heliograph.Subscription{
		ID: heliograph.DeriveGUID("s"), ClientState: heliograph.NewSecret("hush"), Created: start(), Expires: start().Add(2 * time.Hour),
	}
	return subscribe.Outline{Subscription: sub, Standing: paused, Next: next}
}

func (s *sent) Outlines(_ context.Context, _ *heliograph.Caller, page string) (subscribe.Outlines, error) {
	if page != "" {
		return subscribe.Outlines{}, heliograph.Errorf(heliograph.Invalid, "list.skiptoken", "no such page")
	}
	return subscribe.Outlines{Outlines: []subscribe.Outline{s.outline()}, Next: "more"}, nil
}

func (s *sent) Outline(_ context.Context, _ *heliograph.Caller, id heliograph.SubscriptionID) (subscribe.Outline, error) {
	if id.String() == firstID {
		return subscribe.Outline{}, heliograph.Errorf(heliograph.NotFound, "subscription.not_found", "The object was not found.")
	}
	return s.outline(), nil
}

func TestOutlinesAreShown(t *testing.T) {
	t.Parallel()
	b := all(t)
	r := b.send("GET", "/control/v1/subscriptions", "")
	b.wants(r, http.StatusOK)
	for _, want := range []string{
		`"state":"paused"`, `"reason":"access_revoked"`, `"detail":"consent_revoked"`, `"lifecycleEvent":"reauthorizationRequired"`,
		`"lastDelivery":{`, `"lastError":{`, `"next":"/control/v1/subscriptions?page=more"`,
	} {
		if !strings.Contains(r.body, want) {
			t.Errorf("%s lacks %s", r.body, want)
		}
	}
	r = b.send("GET", "/control/v1/subscriptions/"+heliograph.DeriveGUID("s").String(), "")
	b.wants(r, http.StatusOK)
	if strings.Contains(r.body, "hush") {
		t.Error("a secret is shown")
	}
}

func (s *sent) Endpoints() []deliver.Endpoint {
	return []deliver.Endpoint{{
		URL: "https://hook.example/", State: health.Slow, Since: start(), Shares: health.Shares{Answers: 20, Late: 0.5},
		Parked: true, Why: heliograph.ParkedSlow, Resumes: start().Add(10 * time.Minute), Failures: 3,
	}}
}

func (s *sent) Force(endpoint heliograph.Endpoint, state health.State) {
	if s.forced == nil {
		s.forced = map[heliograph.Endpoint]health.State{}
	}
	s.forced[endpoint] = state
}

func TestDeliveriesAreShown(t *testing.T) {
	t.Parallel()
	b := all(t)
	r := b.send("GET", "/control/v1/deliveries?failed=true&top=5&change="+sentChange().String(), "")
	b.wants(r, http.StatusOK)
	if q := b.sent.asked; !q.FailedOnly || q.Most != 5 || q.Change != sentChange() {
		t.Errorf("asked for %+v", q)
	}
	var list struct {
		Value []struct {
			Reason        string
			Status, Count int
			TookMs        float64
			Request       json.RawMessage
			Notifications []struct{ LifecycleEvent string }
		}
	}
	if err := json.Unmarshal([]byte(r.body), &list); err != nil {
		t.Fatal(err)
	}
	if d := list.Value[0]; d.Reason != "status" || d.Status != 503 || d.TookMs != 1.5 || d.Request != nil || d.Notifications[1].LifecycleEvent != "missed" {
		t.Errorf("shown %+v", d)
	}
	if r := b.send("GET", "/control/v1/deliveries/"+sentID().String(), ""); !strings.Contains(r.body, `"request":{"value":[]},"sent":"POST / HTTP/1.1","answer":{"header":{"Server":["x"]},"body":"later","truncated":false},"address":"192.0.2.1:443","reused":true,"timingMs":{"firstByte":1}`) {
		t.Errorf("shown %s", r.body)
	}
	for _, bad := range []string{"?subscription=x", "?change=1", "?top=0", "?top=1001", "?top=many"} {
		if r := b.send("GET", "/control/v1/deliveries"+bad, ""); r.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %d", bad, r.StatusCode)
		}
	}
}

func TestChangeIsExplained(t *testing.T) {
	t.Parallel()
	b := all(t)
	r := b.send("GET", "/control/v1/changes/"+sentChange().String(), "")
	b.wants(r, http.StatusOK)
	for _, want := range []string{`"withheld":"change_type"`, `"reason":"status"`, `"changeType":"created"`} {
		if !strings.Contains(r.body, want) {
			t.Errorf("%s lacks %s", r.body, want)
		}
	}
}

func TestReplayReadsItsMoment(t *testing.T) {
	t.Parallel()
	b := all(t)
	path := "/control/v1/subscriptions/" + heliograph.DeriveGUID("s").String() + "/replay"
	r := b.send("POST", path, `{"since":"2026-11-22T10:00:00+01:00"}`)
	b.wants(r, http.StatusAccepted)
	nine := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	if !b.sent.replayed.Since.Equal(nine) || !b.sent.replayed.Until.IsZero() || !strings.Contains(r.body, `"notifications":7`) {
		t.Errorf("replayed %v: %s", b.sent.replayed, r.body)
	}
	b.wants(b.send("POST", path, `{"since":"2026-11-22T09:00:00Z","until":"2026-11-22T09:30:00Z"}`), http.StatusAccepted)
	if !b.sent.replayed.Until.Equal(nine.Add(30 * time.Minute)) {
		t.Errorf("replayed %v", b.sent.replayed)
	}
	for _, bad := range []string{
		`{}`, `{"since":"yesterday"}`, `{"until":"2026-11-22T10:00:00Z"}`, `{"since":"2026-11-22T10:00:00Z","until":"tomorrow"}`,
		`{"since":"2026-11-22T10:00:00Z","until":"2026-11-22T10:00:00Z"}`,
	} {
		if r := b.send("POST", path, bad); r.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %d", bad, r.StatusCode)
		}
	}
}

func TestEndpointIsForced(t *testing.T) {
	t.Parallel()
	b := all(t)
	r := b.send("POST", "/control/v1/endpoints/state", `{"endpoint":"https://hook.example/","state":"dropping"}`, "Authorization", "Bearer operator")
	b.wants(r, http.StatusNoContent)
	if b.sent.forced["https://hook.example/"] != health.Dropping {
		t.Errorf("forced %v", b.sent.forced)
	}
	for _, bad := range []string{`{}`, `{"endpoint":"https://hook.example/","state":"ill"}`, `{"state":"slow"}`} {
		if r := b.send("POST", "/control/v1/endpoints/state", bad, "Authorization", "Bearer operator"); r.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %d", bad, r.StatusCode)
		}
	}
}
