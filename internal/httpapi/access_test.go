package httpapi_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"heliograph.dev"
	"heliograph.dev/internal/access"
	"heliograph.dev/internal/httpapi"
	"heliograph.dev/internal/subscribe"
)

// office takes reports and provocations down.
type office struct {
	tenants  []heliograph.TenantID
	reports  []access.Report
	provoked []subscribe.Provocation
	purged   []httpapi.PurgeRequest
}

func (o *office) Report(_ context.Context, tenant heliograph.TenantID, r access.Report) (subscribe.Affected, error) {
	r, err := r.Normal()
	if err != nil {
		return subscribe.Affected{}, err
	}
	o.tenants, o.reports = append(o.tenants, tenant), append(o.reports, r)
	return subscribe.Affected{Challenged: 3, Removed: 1}, nil
}

func (o *office) Provoke(_ context.Context, _ *heliograph.Caller, p subscribe.Provocation) (heliograph.ChangeID, error) {
	if p.Subscription.String() == firstID {
		return heliograph.ChangeID{}, heliograph.Errorf(heliograph.NotFound, "subscription.not_found", "The object was not found.")
	}
	if p.Keep && p.Event == heliograph.Missed {
		return heliograph.ChangeID{}, heliograph.Errorf(heliograph.Conflict, "lifecycle.nobody", "nobody")
	}
	o.provoked = append(o.provoked, p)
	return sentChange(), nil
}

func (o *office) Purge(_ context.Context, r httpapi.PurgeRequest) (httpapi.PurgeReceipt, error) {
	if r.Now {
		return httpapi.PurgeReceipt{}, heliograph.Errorf(heliograph.Conflict, "purge.waiting", "wait")
	}
	o.purged = append(o.purged, r)
	return httpapi.PurgeReceipt{ID: sentID(), Requested: start(), Subscriptions: 2, KeysToDestroy: []string{"0a"}}, nil
}

func (o *office) Receipt(_ context.Context, id heliograph.GUID) (httpapi.PurgeReceipt, error) {
	if id.String() == firstID {
		return httpapi.PurgeReceipt{}, heliograph.Errorf(heliograph.NotFound, "purge.not_found", "The object was not found.")
	}
	return httpapi.PurgeReceipt{ID: id, Requested: start(), Completed: start(), KeysDestroyed: []string{"0a"}}, nil
}

func TestPurge(t *testing.T) {
	t.Parallel()
	o := &office{}
	b := newBench(t, func(opts *httpapi.Options) { opts.Purger = o })
	operator := []string{"Authorization", "Bearer operator"}
	const of = "84bd8158-6d4d-4958-8b9f-9d6445542f95"
	r := b.send("POST", "/control/v1/purge", `{"tenant":"84BD8158-6d4d-4958-8b9f-9d6445542f95","user":"u"}`, operator...)
	b.wants(r, 202)
	sameJSON(t, r.body, `{"id":"`+sentID().String()+`","requested":"2026-11-22T10:30:00Z","subscriptions":2,"reports":0,"handshakes":0,"deliveries":0,"objects":0,"keysToDestroy":["0a"]}`)
	if diff := cmp.Diff([]httpapi.PurgeRequest{{Tenant: of, User: "u"}}, o.purged); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
	r = b.send("GET", "/control/v1/purge/"+sentID().String(), "", operator...)
	b.wants(r, 200)
	for body, rule := range map[string]string{`{}`: "purge.tenant", `{"user":"u"}`: "purge.tenant", `{"tenant":"all"}`: "purge.tenant", `{"tenant":"` + of + `","later":true}`: "request.body"} {
		if r := b.send("POST", "/control/v1/purge", body, operator...); r.StatusCode != 400 || r.Header.Get("Heliograph-Rule") != rule {
			t.Errorf("%s: %d by %s", body, r.StatusCode, r.Header.Get("Heliograph-Rule"))
		}
	}
	b.wants(b.send("POST", "/control/v1/purge", `{"tenant":"`+of+`"}`), 403)
}

func TestAccessIsReported(t *testing.T) {
	t.Parallel()
	o := &office{}
	b := newBench(t, func(opts *httpapi.Options) {
		opts.Access = o
		opts.OtherName = func(_ heliograph.TenantID, user string) string {
			return map[string]string{"ada@example.org": "8c9eb5bf-d39e-4f1e-a8b6-6f4b7f4a9c0a"}[user]
		}
	})
	operator := []string{"Authorization", "Bearer operator"}
	const elsewhere = "33333333-3333-3333-3333-333333333333"
	r := b.send("POST", "/control/v1/access", `{"change":"userDeleted","user":"ada@example.org","tenant":"`+elsewhere+`"}`, operator...)
	b.wants(r, 202)
	sameJSON(t, r.body, `{"challenged":6,"removed":2,"resumed":0}`) // both names
	b.wants(b.send("POST", "/control/v1/access", `{"change":"membershipLost","user":"u","resource":"/Teams/1"}`, operator...), 202)
	want := []access.Report{
		{Kind: access.UserDeleted, User: "ada@example.org"},
		{Kind: access.UserDeleted, User: "8c9eb5bf-d39e-4f1e-a8b6-6f4b7f4a9c0a"},
		{Kind: access.MembershipLost, User: "u", Resource: "teams/1"},
	}
	if diff := cmp.Diff(want, o.reports); diff != "" || o.tenants[0] != elsewhere || o.tenants[2] != tenant {
		t.Errorf("of %v, want -, got +:\n%s", o.tenants, diff)
	}
	for body, rule := range map[string]string{
		`{}`: "access.kind", `{"change":"expelled"}`: "access.kind", `{"change":"userDeleted"}`: "access.user",
		`{"change":"tenantDeleted","tenant":"x"}`: "access.tenant", `{"change":7}`: "request.body",
	} {
		if r := b.send("POST", "/control/v1/access", body, operator...); r.StatusCode != 400 || r.Header.Get("Heliograph-Rule") != rule {
			t.Errorf("%s: %d by %s, want %s", body, r.StatusCode, r.Header.Get("Heliograph-Rule"), rule)
		}
	}
}

func TestAccessIsPublished(t *testing.T) {
	t.Parallel()
	o := &office{}
	b := newBench(t, func(opts *httpapi.Options) { opts.Access = o })
	send := func(body, who string) reply {
		return b.send("POST", "/publish", body, "Authorization", "Bearer "+who, "Content-Type", "application/cloudevents-batch+json")
	}
	event := func(kind, data string) string {
		return `{"specversion":"1.0","id":"1","source":"/entra","type":"heliograph.` + kind + `"` + data + `}`
	}
	const disabled = `,"data":{"user":"u"}`
	all := "[" + event("access.userDisabled", disabled) + "," + event("access.restored", disabled) + "]"
	b.wants(send(all, "operator"), 202)
	want := []access.Report{{Kind: access.UserDisabled, User: "u"}, {Kind: access.Restored, User: "u"}}
	if diff := cmp.Diff(want, o.reports); diff != "" || len(b.intake.batches) != 0 {
		t.Errorf("want -, got +:\n%s", diff)
	}
	for _, tt := range []struct {
		name, body, who, rule string
		status                int
	}{
		{"a publisher", all, "publisher", "publish.access", 403},
		{"both at once", "[" + event("access.tenantDeleted", "") + "," + event("change.created", `,"subject":"users/u/messages/1"`) + "]", "operator", "publish.mixed", 400},
		{"the other way round", "[" + event("change.created", `,"subject":"users/u/messages/1"`) + "," + event("access.tenantDeleted", "") + "]", "operator", "publish.type", 400},
		{"an unknown one", "[" + event("access.expelled", "") + "]", "operator", "access.kind", 400},
		{"the change twice", "[" + event("access.userDeleted", `,"data":{"user":"u","change":"x"}`) + "]", "operator", "publish.data", 400},
		{"no data", "[" + event("access.userDeleted", "") + "]", "operator", "access.user", 400},
		{"other data", "[" + event("access.userDeleted", `,"data":{"upn":"u"}`) + "]", "operator", "request.body", 400},
	} {
		if r := send(tt.body, tt.who); r.StatusCode != tt.status || r.Header.Get("Heliograph-Rule") != tt.rule {
			t.Errorf("%s: %d by %s, want %d by %s", tt.name, r.StatusCode, r.Header.Get("Heliograph-Rule"), tt.status, tt.rule)
		}
	}
	if len(o.reports) != 2 {
		t.Errorf("a refused batch was taken: %+v", o.reports)
	}
}

func TestLifecycleIsProvoked(t *testing.T) {
	t.Parallel()
	o := &office{}
	b := newBench(t, func(opts *httpapi.Options) { opts.Provoker = o })
	operator := []string{"Authorization", "Bearer operator"}
	path := "/control/v1/subscriptions/" + sentID().String() + "/lifecycle"
	r := b.send("POST", path, `{"event":"subscriptionRemoved","keep":true}`, operator...)
	b.wants(r, 202)
	sameJSON(t, r.body, `{"id":"`+sentChange().String()+`"}`)
	b.wants(b.send("POST", path, `{"event":"MISSED"}`, operator...), 202)
	want := []subscribe.Provocation{{Subscription: sentID(), Event: heliograph.SubscriptionRemoved, Keep: true}, {Subscription: sentID(), Event: heliograph.Missed}}
	if diff := cmp.Diff(want, o.provoked); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
	b.refuses(b.send("POST", path, `{"event":"lost"}`, operator...), 400, "InvalidRequest", `"lost" is none of missed, subscriptionRemoved and reauthorizationRequired`, "lifecycle.event")
	b.wants(b.send("POST", path, `{"event":"missed"}`), 403)
}
