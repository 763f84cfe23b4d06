package subscribe_test

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/subscribe"
	"heliograph.dev/internal/subscribe/record"
)

// created makes a subscription that is fine.
func (b *bench) created(t *testing.T, c *heliograph.Caller, change ...func(*subscribe.CreateRequest)) *heliograph.Subscription {
	t.Helper()
	r := b.message()
	for _, f := range change {
		f(&r)
	}
	s, err := b.service.Create(t.Context(), c, r)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRenewal(t *testing.T) { // contract 7.7, 7.17
	t.Parallel()
	b, c := newBench(t), user("Mail.Read")
	s := b.created(t, c)
	b.receiver.calls()
	b.clock.Advance(time.Hour)
	c.Expires = b.clock.Now().Add(time.Hour)
	until := in(5 * 24 * time.Hour)
	got, err := b.service.Update(t.Context(), c, s.ID, subscribe.UpdateRequest{ExpirationDateTime: &until})
	if err != nil {
		t.Fatal(err)
	}
	want := *s
	want.Expires, want.AuthorizedUntil, want.Renewed = start.Add(5*24*time.Hour), c.Expires, b.clock.Now()
	if *got != want { // contract 7.6: everything else stays
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if calls := b.receiver.calls(); len(calls) != 0 { // contract 4.12
		t.Errorf("a plain renewal called the endpoint: %v", calls)
	}
	if held, _ := b.registry.Lookup(s.ID); held != want {
		t.Errorf("the registry has %+v", held)
	}
}

func TestUpdateRules(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	text := func(s string) *string { return &s }
	tests := map[string]struct {
		request subscribe.UpdateRequest
		rule    string
		text    string
	}{
		"nothing":                {subscribe.UpdateRequest{}, "update.nothing", "Subscription must contain either the 'expirationDateTime' or 'notificationUrl' property and its value."}, // contract 5.41
		"only a certificate":     {subscribe.UpdateRequest{EncryptionCertificate: &certificate, EncryptionCertificateID: text("b")}, "update.nothing", ""},                                // contract 7.5
		"certificate without id": {subscribe.UpdateRequest{ExpirationDateTime: text(in(time.Hour)), EncryptionCertificate: &certificate}, "update.certificate.pair", ""},
		"id without certificate": {subscribe.UpdateRequest{ExpirationDateTime: text(in(time.Hour)), EncryptionCertificateID: text("b")}, "update.certificate.pair", ""},
		"broken certificate":     {subscribe.UpdateRequest{ExpirationDateTime: text(in(time.Hour)), EncryptionCertificate: text("YQ=="), EncryptionCertificateID: text("b")}, "create.certificate.format", ""},
		"broken date":            {subscribe.UpdateRequest{ExpirationDateTime: text("soon")}, "create.expiration.form", ""},
		"empty date":             {subscribe.UpdateRequest{ExpirationDateTime: text("")}, "create.expiration.form", ""},
		"too long":               {subscribe.UpdateRequest{ExpirationDateTime: text(in(72*time.Hour + time.Minute))}, "create.expiration.maximum.teams", "Operation: Update"},
		"long without lifecycle": {subscribe.UpdateRequest{ExpirationDateTime: text(in(2 * time.Hour))}, "create.lifecycle_url.required", ""}, // contract 7.9
		"broken url":             {subscribe.UpdateRequest{NotificationURL: text("gopher://a")}, "create.url", "notificationUrl"},
		"empty url":              {subscribe.UpdateRequest{NotificationURL: text("")}, "create.url", ""},
		"event hub":              {subscribe.UpdateRequest{NotificationURL: text("EventHub:https://a")}, "create.url.eventhub", ""},
		"silent endpoint":        {subscribe.UpdateRequest{NotificationURL: text("http://127.0.0.1:1/")}, "handshake.connect", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := user("Chat.Read")
			s := b.created(t, c, func(r *subscribe.CreateRequest) { r.Resource, r.ExpirationDateTime = "chats/a/messages", in(time.Hour) })
			_, err := b.service.Update(t.Context(), c, s.ID, tt.request)
			if got := refusal(t, err); got.Rule != tt.rule || !strings.Contains(got.Message, tt.text) {
				t.Errorf("rule %q, message %q; want %q, %q", got.Rule, got.Message, tt.rule, tt.text)
			}
			if got, err := b.service.Get(t.Context(), c, s.ID); err != nil || *got != *s {
				t.Errorf("a refused update changed %+v to %+v, %v", s, got, err)
			}
		})
	}
}

func TestANewURLProvesItself(t *testing.T) { // contract 4.12
	t.Parallel()
	b, c := newBench(t), user("Mail.Read")
	s := b.created(t, c, func(r *subscribe.CreateRequest) { r.LifecycleNotificationURL = b.receiver.URL + "/life" })
	next := newReceiver(t)
	b.receiver.calls()
	url := next.URL + "/next"
	got, err := b.service.Update(t.Context(), c, s.ID, subscribe.UpdateRequest{NotificationURL: &url})
	if err != nil || got.NotificationURL != url || !got.Expires.Equal(s.Expires) || got.LifecycleNotificationURL != s.LifecycleNotificationURL {
		t.Errorf("%+v, %v", got, err)
	}
	if n, old := next.calls(), b.receiver.calls(); len(n) != 1 || len(old) != 0 {
		t.Errorf("asked the new one %v, the old one %v", n, old)
	}
	if _, err := b.service.Update(t.Context(), c, s.ID, subscribe.UpdateRequest{NotificationURL: &url}); err != nil || len(next.calls()) != 0 {
		t.Errorf("the same one again: %v", err)
	}
}

// TestALostRaceIsRunAgain renews while the endpoint of an update is thinking: both count, and the endpoint is
// asked once.
func TestALostRaceIsRunAgain(t *testing.T) {
	t.Parallel()
	b, c := newBench(t), user("Mail.Read")
	s := b.created(t, c)
	until := in(48 * time.Hour)
	next := newReceiver(t)
	next.answers(func(w http.ResponseWriter, r *http.Request) {
		if _, err := b.service.Update(r.Context(), c, s.ID, subscribe.UpdateRequest{ExpirationDateTime: &until}); err != nil {
			t.Error(err)
		}
		echo(w, r)
	})
	got, err := b.service.Update(t.Context(), c, s.ID, subscribe.UpdateRequest{NotificationURL: &next.URL})
	if err != nil || got.NotificationURL != next.URL || !got.Expires.Equal(start.Add(48*time.Hour)) {
		t.Errorf("%+v, %v", got, err)
	}
	if calls := next.calls(); len(calls) != 1 {
		t.Errorf("asked %d times", len(calls))
	}
}

func TestConcurrentUpdatesAllCount(t *testing.T) {
	t.Parallel()
	b, c := newBench(t), user("Mail.Read")
	yes := true
	s := b.created(t, c, rich, func(r *subscribe.CreateRequest) { r.IncludeResourceData = &yes })
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			until, id := in(time.Duration(2+i)*time.Hour), "key-"+strconv.Itoa(i)
			if _, err := b.service.Update(t.Context(), c, s.ID, subscribe.UpdateRequest{ExpirationDateTime: &until, EncryptionCertificate: &certificate, EncryptionCertificateID: &id}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	got, err := b.service.Get(t.Context(), c, s.ID)
	if err != nil {
		t.Fatal(err)
	}
	i, _ := strconv.Atoi(strings.TrimPrefix(got.EncryptionCertificateID, "key-"))
	if want := start.Add(time.Duration(2+i) * time.Hour); !got.Expires.Equal(want) {
		t.Errorf("%s goes with %v, not with %v: one update was torn", got.EncryptionCertificateID, want, got.Expires)
	}
}

func TestReauthorize(t *testing.T) { // contract 7.10, 7.12
	t.Parallel()
	b, c := newBench(t), user("Mail.Read")
	s := b.created(t, c)
	c.Expires = start.Add(2 * time.Hour)
	if _, err := b.service.Reauthorize(t.Context(), c, s.ID); err != nil {
		t.Fatal(err)
	}
	got, err := b.service.Get(t.Context(), c, s.ID)
	if err != nil || !got.AuthorizedUntil.Equal(c.Expires) || !got.Expires.Equal(s.Expires) {
		t.Errorf("%+v, %v", got, err)
	}
	c.Scopes = []string{"User.Read"}
	if _, err := b.service.Reauthorize(t.Context(), c, s.ID); refusal(t, err).Rule != "create.permission" {
		t.Errorf("without access: %v", err)
	}
}

func TestDelete(t *testing.T) { // contract 7.13
	t.Parallel()
	b, c := newBench(t), user("Mail.Read")
	s := b.created(t, c)
	if err := b.service.Delete(t.Context(), c, s.ID); err != nil {
		t.Fatal(err)
	}
	if b.sink.has(s.ID) {
		t.Error("the index still has it")
	}
	b.goneFor(t, c, s.ID)
	if again := b.created(t, c); again.ID == s.ID { // its place is free
		t.Error("an id was used again")
	}
}

// goneFor checks that a subscription is not there for a caller, in the words of contract 5.38.
func (b *bench) goneFor(t *testing.T, c *heliograph.Caller, id heliograph.SubscriptionID) {
	t.Helper()
	until := b.clock.Now().Add(time.Hour).Format(time.RFC3339)
	_, get := b.service.Get(t.Context(), c, id)
	_, update := b.service.Update(t.Context(), c, id, subscribe.UpdateRequest{ExpirationDateTime: &until})
	_, reauthorize := b.service.Reauthorize(t.Context(), c, id)
	for name, err := range map[string]error{
		"get": get, "update": update, "delete": b.service.Delete(t.Context(), c, id), "reauthorize": reauthorize,
	} {
		got := refusal(t, err)
		if got.Kind != heliograph.NotFound || got.Code != "ResourceNotFound" || got.Message != "The object was not found." {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestExpiredIsGone(t *testing.T) { // contract 7.8, 10.15
	t.Parallel()
	b, c := newBench(t), user("Mail.Read")
	s := b.created(t, c)
	b.clock.Set(s.Expires.Add(-1))
	if _, err := b.service.Get(t.Context(), c, s.ID); err != nil {
		t.Errorf("a moment before: %v", err)
	}
	b.clock.Set(s.Expires)
	b.goneFor(t, c, s.ID)
	list, err := b.service.List(t.Context(), c, subscribe.ListRequest{})
	if err != nil || len(list.Subscriptions) != 0 { // contract 6.10
		t.Errorf("listed %+v, %v", list, err)
	}
}

func TestVisibility(t *testing.T) { // contract 6.5 to 6.8, 7.15
	t.Parallel()
	b := newBench(t)
	adele := user("Mail.Read")
	as := func(change func(c *heliograph.Caller)) *heliograph.Caller {
		c := *adele
		change(&c)
		return &c
	}
	daemon := func(c *heliograph.Caller) {
		c.Delegated, c.Object, c.Scopes, c.Roles = false, "service", nil, []string{"Mail.Read"}
	}
	readAll := []string{"Mail.Read", "Subscription.Read.All"}
	bob := as(func(c *heliograph.Caller) { c.Object, c.UPN = heliograph.ObjectID(guid()), "bob@example.com" })
	byApp := as(daemon)
	other := as(func(c *heliograph.Caller) { c.App = heliograph.AppID(guid()) })

	names := map[heliograph.SubscriptionID]string{}
	ids := map[string]heliograph.SubscriptionID{}
	for name, c := range map[string]*heliograph.Caller{"adele's": adele, "bob's": bob, "other's": other} {
		s := b.created(t, c)
		names[s.ID], ids[name] = name, s.ID
	}
	s := b.created(t, byApp, func(r *subscribe.CreateRequest) { r.Resource = "users/" + string(bob.Object) + "/messages" })
	names[s.ID], ids["app's"] = "app's", s.ID

	tests := map[string]struct {
		caller *heliograph.Caller
		lists  string // in the order of names
		gets   string
	}{
		"adele":          {adele, "adele's", "adele's"},
		"bob":            {bob, "bob's", "bob's"},
		"application":    {byApp, "adele's app's bob's", "adele's app's bob's"},
		"adele by other": {other, "other's", "other's"},
		"other application": {as(func(c *heliograph.Caller) {
			daemon(c)
			c.App = other.App
		}), "other's", "other's"},
		"adele who reads all": {as(func(c *heliograph.Caller) { c.Scopes = readAll }), "adele's other's", "adele's"},
		"administrator": {as(func(c *heliograph.Caller) {
			c.Scopes, c.DirectoryRoles = readAll, []string{heliograph.GlobalAdministrator}
		}), "adele's app's bob's other's", "adele's"},
		"administrator of a personal account": {as(func(c *heliograph.Caller) {
			c.Scopes, c.DirectoryRoles, c.Personal = readAll, []string{heliograph.GlobalAdministrator}, true
		}), "adele's other's", "adele's"},
		"administrator without the permission": {as(func(c *heliograph.Caller) { c.DirectoryRoles = []string{heliograph.GlobalAdministrator} }), "adele's", "adele's"},
		"another tenant":                       {as(func(c *heliograph.Caller) { daemon(c); c.Tenant = heliograph.TenantID(guid()) }), "", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			list, err := b.service.List(t.Context(), tt.caller, subscribe.ListRequest{})
			if err != nil {
				t.Fatal(err)
			}
			listed := map[string]bool{}
			for i := range list.Subscriptions {
				listed[names[list.Subscriptions[i].ID]] = true
			}
			for _, of := range []string{"adele's", "app's", "bob's", "other's"} {
				if want := strings.Contains(tt.lists, of); listed[of] != want {
					t.Errorf("lists %s: %v", of, listed[of])
				}
				_, err := b.service.Get(t.Context(), tt.caller, ids[of])
				if want := strings.Contains(tt.gets, of); (err == nil) != want || !want && heliograph.KindOf(err) != heliograph.NotFound {
					t.Errorf("gets %s: %v", of, err)
				}
			}
		})
	}
}

func TestManagingTakesThePermission(t *testing.T) { // contract 7.1
	t.Parallel()
	b, c := newBench(t), user("Mail.Read")
	s := b.created(t, c)
	c.Scopes = []string{"Contacts.Read"}
	until := in(time.Hour)
	_, get := b.service.Get(t.Context(), c, s.ID)
	_, update := b.service.Update(t.Context(), c, s.ID, subscribe.UpdateRequest{ExpirationDateTime: &until})
	for name, err := range map[string]error{"get": get, "update": update, "delete": b.service.Delete(t.Context(), c, s.ID)} {
		if got := refusal(t, err); got.Rule != "create.permission" || got.Kind != heliograph.Denied {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestARowThatIsNoMore(t *testing.T) {
	t.Parallel()
	b, c := newBench(t), user()
	s := heliograph.Subscription{
		ID: heliograph.NewGUID(), Tenant: c.Tenant, App: c.App, Creator: c.Object, Delegated: true, Resource: "gone/a", Path: "gone/a", Row: "gone",
		ChangeTypeText: "created", Created: start, Expires: start.Add(time.Hour),
	}
	if _, err := b.store.Commit(t.Context(), c.Tenant, []heliograph.Write{{Name: record.Name(s.ID), Value: record.Encode(&s)}}); err != nil {
		t.Fatal(err)
	}
	until := in(2 * time.Hour)
	if _, err := b.service.Update(t.Context(), c, s.ID, subscribe.UpdateRequest{ExpirationDateTime: &until}); err == nil {
		t.Error("it was renewed")
	}
	if _, err := b.service.Get(t.Context(), c, s.ID); err != nil {
		t.Error(err)
	}
	if err := b.service.Delete(t.Context(), c, s.ID); err != nil {
		t.Error(err)
	}
	b.goneFor(t, c, s.ID)
}
