package catalog_test

import (
	"strings"
	"testing"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/catalog"
)

func TestEveryProfileLoads(t *testing.T) {
	t.Parallel()
	c := load(t)
	names, err := catalog.Profiles()
	if err != nil || len(names) == 0 {
		t.Fatalf("%q, %v", names, err)
	}
	for _, name := range names {
		other, err := c.WithProfile(name)
		if err != nil || other.Profile().Name != name || len(other.Rows()) != len(c.Rows()) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if same, err := c.WithProfile(""); err != nil || same.Profile().Name != catalog.DefaultProfile {
		t.Errorf("no name: %v", err)
	}
	if _, err := c.WithProfile("1999-01"); heliograph.KindOf(err) != heliograph.Invalid || !strings.Contains(err.Error(), catalog.DefaultProfile) {
		t.Errorf("unknown: %v", err)
	}
}

// The numbers of April 2026.
func TestDefaultProfile(t *testing.T) {
	t.Parallel()
	p := load(t).Profile()
	for _, tt := range []struct {
		fact string
		ok   bool
	}{
		{"17.14", p.ExpirationFloor == 45*time.Minute},
		{"3.2.11", p.ExpirationCap == catalog.CapRefuse},
		{"4.6", p.HandshakeTimeout == 10*time.Second},
		{"10.4", p.FirstTimeout == 3*time.Second},
		{"10.5", p.RetryTimeout == 10*time.Second && p.RetryWindow == 4*time.Hour},
		{"10.8", p.Endpoint.SlowShare == 0.10 && p.Endpoint.SlowOver == 3*time.Second && p.Endpoint.SlowDelay == 10*time.Minute},
		{"10.9", p.Endpoint.DropShare == 0.15 && p.Endpoint.DropOver == 10*time.Second && p.Endpoint.DropFor == 10*time.Minute},
		{"1.7", p.ClientStateMax == 128},
		{"1.12", p.CertificateIDMax == 128},
		{"22.2", p.Backoff.First > 0 && p.Backoff.Max > p.Backoff.First && p.Backoff.Factor > 1 && p.Backoff.Jitter > 0},
	} {
		if !tt.ok {
			t.Errorf("contract %s: %+v", tt.fact, p)
		}
	}
}

// The literal texts of contract section 5.
func TestRefusals(t *testing.T) {
	t.Parallel()
	p := load(t).Profile()
	for _, tt := range []struct {
		rule string
		args map[string]string
		kind heliograph.Kind
		code string
		text string
	}{
		{"create.required", map[string]string{"property": "expirationDateTime"}, heliograph.Invalid, "InvalidRequest", "expirationDateTime is a required property for subscription creation"},
		{"create.change_type", map[string]string{"change_type": "created"}, heliograph.Invalid, "InvalidRequest", "Invalid 'changeType' attribute: 'created'."},
		{"create.expiration.maximum", map[string]string{"minutes": "4230"}, heliograph.Invalid, "ExtensionError", "Subscription expiration can only be 4230 minutes in the future."},
		{
			"create.expiration.maximum.teams",
			map[string]string{"operation": "Create", "expiration": "2024-01-01T00:00:00Z", "ahead": "-5.23:59:55.5782571", "maximum": "3.00:00:00"},
			heliograph.Invalid, "ExtensionError",
			"Operation: Create; Exception: [Status Code: BadRequest; Reason: Expiration time '2024-01-01T00:00:00Z' ('-5.23:59:55.5782571' from now) is beyond allowed max '3.00:00:00'.]",
		},
		{
			"handshake.status",
			map[string]string{"status": "Forbidden"},
			heliograph.Invalid, "ValidationError",
			"Subscription validation request failed. HTTP status code is 'Forbidden'. Notification endpoint must respond with 200 OK to validation request.",
		},
		{"handshake.timeout", nil, heliograph.Invalid, "ValidationError", "Subscription validation request timed out."},
		{"create.permission", map[string]string{"what": "scope", "whats": "Scopes", "required": "A,B", "present": "{required}"}, heliograph.Denied, "Forbidden", "Missing scope permissions on the request. API requires one of 'A,B'. Scopes on the request '{required}'"},
		{"create.duplicate", map[string]string{"id": "x"}, heliograph.Conflict, "ObjectIdentifierInUse", "Subscription Id x already exists for the requested combination"},
		{"subscription.not_found", nil, heliograph.NotFound, "ResourceNotFound", "The object was not found."},
		{"update.nothing", nil, heliograph.Invalid, "InvalidRequest", "Subscription must contain either the 'expirationDateTime' or 'notificationUrl' property and its value."},
		{"nothing.of.the.kind", nil, heliograph.Internal, "", `profile 2026-04 has no rule "nothing.of.the.kind"`},
	} {
		e := p.Refuse(tt.rule, tt.args)
		if e.Rule != tt.rule || e.Kind != tt.kind || e.Code != tt.code || e.Message != tt.text {
			t.Errorf("%s: %+v", tt.rule, e)
		}
	}
}

func TestRefusalsAreListed(t *testing.T) {
	t.Parallel()
	p := load(t).Profile()
	list := p.Refusals()
	for i, r := range list {
		if i > 0 && list[i-1].Rule >= r.Rule || !p.Knows(r.Rule) || r.Fact == "" || r.Text == "" || r.Code == "" || r.Basis == "" {
			t.Errorf("%+v", r)
		}
		if text := p.Refuse(r.Rule, nil).Message; strings.ContainsAny(text, "{}") {
			t.Errorf("%s: %s", r.Rule, text)
		}
	}
	if len(list) < 40 {
		t.Errorf("%d rules", len(list))
	}
}
