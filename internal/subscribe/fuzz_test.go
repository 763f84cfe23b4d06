package subscribe_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/catalog"
)

// FuzzCreate: whatever is asked for is refused by a rule that the profile knows, or is there as it was asked for, with
// a lease within the bounds, and leaves nothing behind when it goes.
func FuzzCreate(f *testing.F) {
	h, err := newHistory(catalog.QuotaLimit{Name: catalog.AllQuotas, Limit: 1000})
	if err != nil {
		f.Fatal(err)
	}
	everything := map[bool][]string{}
	for _, row := range h.catalog.Rows() {
		app, delegated := row.Permissions()
		everything[false] = append(everything[false], app...)
		everything[true] = append(everything[true], delegated...)
	}
	for _, seed := range []struct{ resource, types, expires string }{
		{"/me/mailFolders('Inbox')/messages?$filter=isRead eq false&$select=subject,body", "created, Updated", in(time.Hour)},
		{"chats/getAllMessages?model=A", "created,deleted", "2026-11-22T17:30:00.1234567+05:30"},
		{"communications/presences?$filter=id in ('a','b')", "updated", in(50 * time.Minute)},
		{"teams('a')/channels('b''c')/messages?$expand=x($select=a,(b)),y", "deleted", "0001-01-01T00:00:00Z"},
		{"appCatalogs/teamsApps/a/installations?useResourceSpecificConsentBasedAuthorization=true", "created", in(time.Hour)},
		{"users/a@b/drive/root", "updated", in(24 * time.Hour)},
	} {
		f.Add(seed.resource, seed.types, seed.expires, "state", "v1_2", "", true, false)
	}
	f.Fuzz(func(t *testing.T, resource, types, expires, state, tls, options string, delegated, withData bool) {
		c := application(everything[false]...)
		if delegated {
			c = user(everything[true]...)
		}
		r := requestFor(resource, types, start)
		r.ExpirationDateTime, r.ClientState, r.LatestSupportedTLSVersion, r.NotificationQueryOptions = expires, heliograph.NewSecret(state), tls, options
		r.LifecycleNotificationURL = "https://example.com/life"
		if withData {
			r.IncludeResourceData, r.EncryptionCertificate, r.EncryptionCertificateID = &withData, certificate, "one"
		}
		s, err := h.service.Create(context.Background(), c, r)
		if err != nil {
			h.knows(t, err)
			return
		}
		if s.Resource != resource || s.ChangeTypeText != types || s.Expires.Before(start.Add(45*time.Minute)) || s.Expires.After(start.Add(43200*time.Minute)) {
			t.Fatalf("%+v", s)
		}
		if got, err := h.service.Get(context.Background(), c, s.ID); err != nil || got.Path != s.Path {
			t.Fatalf("%+v is %+v, %v", s, got, err)
		}
		if _, err := h.service.Create(context.Background(), c, r); err == nil && s.Row != "list" {
			t.Fatalf("%+v has a twin", s)
		}
		if err := h.service.Delete(context.Background(), c, s.ID); err != nil {
			t.Fatal(err)
		}
		if n := h.store.of(c.Tenant); s.Row != "list" && n != 0 {
			t.Fatalf("%d records are left of %+v", n, s)
		}
	})
}

// knows fails unless an error is a refusal of the profile's.
func (h *history) knows(t *testing.T, err error) {
	t.Helper()
	e, ok := errors.AsType[*heliograph.Error](err)
	if !ok || e.Kind == heliograph.Internal || e.Message == "" || !h.catalog.Profile().Knows(e.Rule) {
		t.Fatalf("%v (%T) is no rule's", err, err)
	}
}

// of returns how many records a tenant has.
func (m *memory) of(tenant heliograph.TenantID) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, r := range m.records {
		if r.Tenant == tenant {
			n++
		}
	}
	return n
}
