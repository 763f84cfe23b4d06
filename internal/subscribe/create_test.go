package subscribe_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/subscribe"
)

func TestCreate(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	caller := user("Mail.Read")
	r := b.message()
	r.ImmutableIDs, r.NotificationURLAppID, r.LatestSupportedTLSVersion = true, "app", ""
	s, err := b.service.Create(t.Context(), caller, r)
	if err != nil {
		t.Fatal(err)
	}
	if s.ID.IsZero() || s.Tenant != caller.Tenant || s.App != caller.App || s.Creator != caller.Object || !s.Delegated { // contract 1.1, 1.8, 1.9
		t.Errorf("of the caller: %+v", s)
	}
	if s.Resource != r.Resource || s.ChangeTypeText != r.ChangeType || s.NotificationURL != r.NotificationURL || s.ClientState != r.ClientState { // contract 1.26
		t.Errorf("as sent: %+v", s)
	}
	if s.Path != "users/"+string(caller.Object)+"/mailFolders/inbox/messages" || s.Row != "message" || s.ChangeType != heliograph.Created|heliograph.Updated {
		t.Errorf("understood: %+v", s)
	}
	if !s.Created.Equal(start) || !s.Expires.Equal(start.Add(24*time.Hour)) || !s.AuthorizedUntil.Equal(caller.Expires) { // contract 8.10
		t.Errorf("times: %+v", s)
	}
	if s.LatestSupportedTLSVersion != "v1_2" || !s.ImmutableIDs || s.IncludeResourceData != nil { // contract 1.13, 9.2, 1.10
		t.Errorf("the rest: %+v", s)
	}
	if !b.sink.has(s.ID) {
		t.Error("the index does not know it yet")
	}
	got, err := b.service.Get(t.Context(), caller, s.ID)
	if err != nil || got.ID != s.ID || got.ClientState != r.ClientState { // contract 7.3
		t.Errorf("read back: %+v, %v", got, err)
	}
}

// TestCreateRules breaks one thing at a time in a request that is fine, and sees who is told what, before any
// endpoint hears of it (contract 3.1.1, 3.1.2).
func TestCreateRules(t *testing.T) {
	t.Parallel()
	type (
		request = subscribe.CreateRequest
		caller  = heliograph.Caller
	)
	yes := true
	b := newBench(t)
	tests := map[string]struct {
		change func(r *request, c *caller)
		rule   string // empty: it passes
		text   string // of the message, in part
	}{
		"nothing":               {func(*request, *caller) {}, "", ""},
		"no resource":           {func(r *request, _ *caller) { r.Resource = "" }, "create.required", "resource is a required property for subscription creation"},
		"no changeType":         {func(r *request, _ *caller) { r.ChangeType = " " }, "create.required", "changeType is a required property for subscription creation"},
		"no notificationUrl":    {func(r *request, _ *caller) { r.NotificationURL = "" }, "create.required", "notificationUrl is a required property for subscription creation"},
		"no expirationDateTime": {func(r *request, _ *caller) { r.ExpirationDateTime = "" }, "create.required", "expirationDateTime is a required property for subscription creation"}, // contract 5.11
		"url of another scheme": {func(r *request, _ *caller) { r.NotificationURL = "http://example.com/" }, "create.url", "'notificationUrl'"},
		"url with a fragment":   {func(r *request, _ *caller) { r.NotificationURL += "#a" }, "create.url", "fragment"},
		"private address":       {func(r *request, _ *caller) { r.NotificationURL = "https://10.0.0.1/" }, "create.url", "public"},
		"lifecycle url":         {func(r *request, _ *caller) { r.LifecycleNotificationURL = "ftp://a" }, "create.url", "'lifecycleNotificationUrl'"},
		"event hub": {func(r *request, _ *caller) {
			r.NotificationURL = "EventHub:https://a.servicebus.windows.net/eventhubname/b?tenantId=c"
		}, "create.url.eventhub", "event hub"},
		"event grid":               {func(r *request, _ *caller) { r.LifecycleNotificationURL = "EventGrid:?azuresubscriptionid=a" }, "create.url.eventgrid", "event grid"},
		"web push":                 {func(r *request, _ *caller) { r.NotificationURL = "https://fcm.googleapis.com/fcm/send/a" }, "create.url.webpush", "Web Push"},
		"web push of Apple":        {func(r *request, _ *caller) { r.NotificationURL = "https://web.push.apple.com:443/a" }, "create.url.webpush", "Web Push"},
		"web push keys":            {func(r *request, _ *caller) { r.WebPush = true }, "create.webpush", "vapidPublicKey"}, // contract 5.25
		"unknown change type":      {func(r *request, _ *caller) { r.ChangeType = "created,moved" }, "create.change_type", "Invalid 'changeType' attribute: 'created,moved'"},
		"change type of no drive":  {func(r *request, _ *caller) { r.Resource, r.ChangeType = "me/drive/root", "updated,deleted" }, "create.change_type", "Invalid 'changeType' attribute: 'deleted'"},                         // contract 5.13, 3.2.5
		"unknown resource":         {func(r *request, _ *caller) { r.Resource = "me/calendars/a/views" }, "create.resource.unknown", "Operation: Create; Exception: [Status Code: BadRequest; Reason: Unsupported workload.]"}, // contract 5.26
		"me of no user":            {func(_ *request, c *caller) { *c = *application("Mail.Read") }, "create.resource.me", ""},
		"leading slash":            {func(r *request, _ *caller) { r.Resource = "/" + r.Resource }, "", ""}, // contract 18.1
		"no permission":            {func(_ *request, c *caller) { c.Scopes = []string{"User.Read", "Files.Read"} }, "create.permission", "Missing scope permissions on the request. API requires one of '"},
		"what was missing":         {func(_ *request, c *caller) { c.Scopes = []string{"User.Read", "Files.Read"} }, "create.permission", "Mail.ReadBasic,Mail.Read'. Scopes on the request 'User.Read,Files.Read'"},
		"shared permission":        {func(_ *request, c *caller) { c.Scopes = []string{"Mail.Read.Shared"} }, "create.permission", ""}, // contract 3.2.8
		"role in a user's token":   {func(_ *request, c *caller) { c.Scopes, c.Roles = nil, []string{"Mail.Read"} }, "create.permission", ""},
		"kind that is not offered": {func(r *request, _ *caller) { r.Resource, r.ChangeType = "communications/callRecords", "created" }, "create.permission.kind", "delegated"},
		"personal account": {func(r *request, c *caller) {
			r.Resource, c.Personal, c.Tenant, c.Scopes = "chats/a/messages", true, heliograph.PersonalTenant, []string{"Chat.Read"}
		}, "create.permission.kind", "personal"}, // contract 8.4
		"another's mailbox":      {func(r *request, _ *caller) { r.Resource = "users/" + guid() + "/messages" }, "create.mailbox", "Status Code: Forbidden"}, // contract 3.2.8
		"own mailbox by name":    {func(r *request, c *caller) { r.Resource = "users/" + strings.ToUpper(c.UPN) + "/messages" }, "", ""},
		"a date of another kind": {func(r *request, _ *caller) { r.ExpirationDateTime = "tomorrow" }, "create.expiration.form", "Could not process subscription creation payload."}, // contract 5.10
		"a date without offset":  {func(r *request, _ *caller) { r.ExpirationDateTime = "2026-11-23T12:00:00" }, "create.expiration.form", ""},
		"too long":               {func(r *request, _ *caller) { r.ExpirationDateTime = in(10080*time.Minute + time.Second) }, "create.expiration.maximum", "Subscription expiration can only be 10080 minutes in the future."}, // contract 5.15
		"longest":                {func(r *request, _ *caller) { r.ExpirationDateTime = in(10080 * time.Minute) }, "", ""},
		"too long for Teams": {func(r *request, c *caller) {
			r.Resource, r.ExpirationDateTime, c.Scopes = "chats/a/messages", in(143*time.Hour+59*time.Minute+55*time.Second+578257100), []string{"Chat.Read"}
		}, "create.expiration.maximum.teams", "('-5.23:59:55.5782571' from now) is beyond allowed max '3.00:00:00'.]"}, // contract 5.16
		"long without lifecycle url": {func(r *request, c *caller) {
			r.Resource, r.ExpirationDateTime, c.Scopes = "chats/a/messages", in(time.Hour+time.Second), []string{"Chat.Read"}
		}, "create.lifecycle_url.required", "'lifecycleNotificationUrl' is a required property for subscription creation on this resource when the 'expirationDateTime' value is set to greater than 1 hour"}, // contract 5.17
		"long with lifecycle url": {func(r *request, c *caller) {
			r.Resource, r.ExpirationDateTime, c.Scopes = "chats/a/messages", in(72*time.Hour), []string{"Chat.Read"}
			r.LifecycleNotificationURL = r.NotificationURL
		}, "", ""},
		"hour without lifecycle url": {func(r *request, c *caller) {
			r.Resource, r.ExpirationDateTime, c.Scopes = "chats/b/messages", in(time.Hour), []string{"Chat.Read"}
		}, "", ""},
		"client state":          {func(r *request, _ *caller) { r.ClientState = heliograph.NewSecret(strings.Repeat("ä", 128)) }, "", ""}, // contract 1.7
		"client state too long": {func(r *request, _ *caller) { r.ClientState = heliograph.NewSecret(strings.Repeat("a", 129)) }, "create.client_state", "128"},
		"tls version":           {func(r *request, _ *caller) { r.LatestSupportedTLSVersion = "v1_3" }, "", ""},
		"unknown tls version":   {func(r *request, _ *caller) { r.LatestSupportedTLSVersion = "1.2" }, "create.tls_version", "Invalid property value for LatestSupportedTlsVersion"}, // contract 5.14
		"data that there is not": {func(r *request, _ *caller) {
			r.Resource, r.ChangeType, r.IncludeResourceData = "me/drive/root", "updated", &yes
		}, "create.rich.unsupported", "includeResourceData"}, // contract 3.3.6
		"data without $select": {func(r *request, _ *caller) { r.IncludeResourceData = &yes }, "create.rich.select.required", "$select"}, // contract 3.3.2
		"data without certificate": {
			func(r *request, _ *caller) { rich(r); r.EncryptionCertificate = "" }, "create.certificate.missing",
			"'encryptionCertificate' is a required property",
		}, // contract 3.3.1
		"data without certificate id": {func(r *request, _ *caller) { rich(r); r.EncryptionCertificateID = "" }, "create.certificate.missing", "'encryptionCertificateId'"},
		"a certificate that is none":  {func(r *request, _ *caller) { rich(r); r.EncryptionCertificate = "YWJj" }, "create.certificate.format", "Certificate validation error: Cannot find the requested object."}, // contract 5.23
		"long certificate id":         {func(r *request, _ *caller) { rich(r); r.EncryptionCertificateID = strings.Repeat("a", 129) }, "create.certificate.id.length", "128"},                                      // contract 1.12
		"data":                        {func(r *request, _ *caller) { rich(r) }, "", ""},
		"data, too long":              {func(r *request, _ *caller) { rich(r); r.ExpirationDateTime = in(1441 * time.Minute) }, "create.expiration.maximum", "1440 minutes"}, // contract 3.3.8
		"body as data":                {func(r *request, _ *caller) { rich(r); r.Resource = "me/messages?$select=subject,Body" }, "create.query", "$select of Body"},         // contract 3.3.3
		"top":                         {func(r *request, _ *caller) { r.Resource = "me/messages?$top=5" }, "create.query", "$top"},
		"expand":                      {func(r *request, _ *caller) { r.Resource = "me/messages?$expand=attachments($select=id,name)" }, "create.query", "$expand of attachments"},
		"extended properties": {func(r *request, _ *caller) {
			r.Resource = "me/messages?$expand=singleValueExtendedProperties($filter=id%20eq%20'a,b')"
		}, "", ""},
		"teams data with $select": {func(r *request, c *caller) {
			rich(r)
			r.Resource, c.Scopes, r.LifecycleNotificationURL = "chats/a/messages?$select=id", []string{"Chat.Read"}, r.NotificationURL
		}, "create.rich.select.unsupported", ""}, // contract 3.3.4
		"emergency calls without data": {func(r *request, c *caller) {
			*c = *application("CallEvents-Emergency.Read.All")
			r.Resource, r.ChangeType = "communications/calls/getEmergencyEventsByPolicy(policyName='a')", "updated"
		}, "create.rich.only", ""}, // contract 3.3.5
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			caller := user("Mail.Read", "Files.Read.All", "CallRecords.Read.All")
			r := b.message()
			heard := make(chan struct{}, 2)
			receiver := newReceiver(t)
			receiver.answers(func(w http.ResponseWriter, r *http.Request) { heard <- struct{}{}; echo(w, r) })
			r.NotificationURL = receiver.URL
			tt.change(&r, caller)
			s, err := b.service.Create(t.Context(), caller, r)
			got := refusal(t, err)
			if got.Rule != tt.rule || !strings.Contains(got.Message, tt.text) {
				t.Errorf("rule %q, message %q; want %q, %q", got.Rule, got.Message, tt.rule, tt.text)
			}
			if (s != nil) != (tt.rule == "") || (len(heard) > 0) != (tt.rule == "") {
				t.Errorf("subscription %v, %d handshakes", s, len(heard))
			}
		})
	}
}

// TestCreateRulesInOrder breaks everything and mends one thing at a time: what is told first is what contract
// 3.1.4 has first.
func TestCreateRulesInOrder(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	yes := true
	c := user("Contacts.Read")
	c.UPN = ""
	gone := newReceiver(t)
	gone.Close()
	b.created(t, user("Mail.Read")) // somebody else's is nobody's twin
	r := subscribe.CreateRequest{
		NotificationURL: "gopher://a", LifecycleNotificationURL: "gopher://b", WebPush: true, ChangeType: "moved", ExpirationDateTime: "soon",
		ClientState: heliograph.NewSecret(strings.Repeat("a", 200)), IncludeResourceData: &yes, LatestSupportedTLSVersion: "v9",
	}
	for _, step := range []struct {
		rule string
		mend func()
	}{
		{"create.required", func() { r.Resource = "users/" + guid() + "/nonsense" }},
		{"create.url", func() { r.NotificationURL = gone.URL }},
		{"create.url", func() { r.LifecycleNotificationURL = "" }},
		{"create.change_type", func() { r.ChangeType = "created" }},
		{"create.resource.unknown", func() { r.Resource = "users/" + guid() + "/messages?$top=1" }},
		{"create.permission", func() { c.Scopes = append(c.Scopes, "Mail.Read") }},
		{"create.mailbox", func() { r.Resource = "me/messages?$top=1" }},
		{"create.expiration.form", func() { r.ExpirationDateTime = in(100 * 24 * time.Hour) }},
		{"create.expiration.maximum", func() { r.ExpirationDateTime = in(time.Hour) }},
		{"create.client_state", func() { r.ClientState = heliograph.NewSecret("a") }},
		{"create.tls_version", func() { r.LatestSupportedTLSVersion = "v1_2" }},
		{"create.rich.select.required", func() { r.Resource += "&$select=id" }},
		{"create.query", func() { r.Resource = "me/messages?$select=id" }},
		{"create.certificate.missing", func() { r.EncryptionCertificate, r.EncryptionCertificateID = certificate, "a" }},
		{"create.webpush", func() { r.WebPush = false }},
		{"handshake.connect", func() { r.NotificationURL = b.receiver.URL }},
	} {
		_, err := b.service.Create(t.Context(), c, r)
		if got := refusal(t, err); got.Rule != step.rule {
			t.Fatalf("%v (%s), want %s", err, got.Rule, step.rule)
		}
		step.mend()
	}
	b.created(t, c, func(mended *subscribe.CreateRequest) { *mended = r })
	b.receiver.answers(func(http.ResponseWriter, *http.Request) { t.Error("a twin's endpoint was called") })
	if _, err := b.service.Create(t.Context(), c, r); refusal(t, err).Rule != "create.duplicate" {
		t.Errorf("%v", err)
	}
}

func TestStrict(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *subscribe.Options) { o.Strict = true })
	c := user("Tasks.ReadWrite")
	r := b.message()
	r.Resource = "me/tasks/lists/a/tasks" // documented for beta only
	if _, err := b.service.Create(t.Context(), c, r); refusal(t, err).Rule != "create.resource.unknown" {
		t.Errorf("by v1.0: %v", err)
	}
	r.Beta = true
	if _, err := b.service.Create(t.Context(), c, r); err != nil {
		t.Errorf("by beta: %v", err)
	}
}

// rich turns a request for messages into one with resource data.
func rich(r *subscribe.CreateRequest) {
	yes := true
	r.Resource, r.IncludeResourceData = "me/messages?$select=subject", &yes
	r.EncryptionCertificate, r.EncryptionCertificateID = certificate, "key-1"
}

func TestExpiration(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	tests := map[string]struct {
		sent string
		want time.Time
	}{
		"no decimals":         {"2026-11-23T12:00:00Z", start.Add(24 * time.Hour)}, // contract 1.27
		"seven decimals":      {"2026-11-23T12:00:00.1234567Z", start.Add(24*time.Hour + 123456700)},
		"nine decimals":       {"2026-11-23T12:00:00.123456789Z", start.Add(24*time.Hour + 123456700)},
		"an offset":           {"2026-11-23T17:30:00.5+05:30", start.Add(24*time.Hour + 500*time.Millisecond)},
		"too near":            {in(44 * time.Minute), start.Add(45 * time.Minute)}, // contract 1.6, 17.14
		"just not too near":   {in(45*time.Minute + time.Second), start.Add(45*time.Minute + time.Second)},
		"in the past":         {"2020-01-01T00:00:00Z", start.Add(45 * time.Minute)},
		"in the distant past": {"0001-01-01T00:00:00Z", start.Add(45 * time.Minute)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := b.message()
			r.ExpirationDateTime = tt.sent
			s, err := b.service.Create(t.Context(), user("Mail.Read"), r)
			if err != nil || !s.Expires.Equal(tt.want) || s.Expires.Location() != time.UTC {
				t.Errorf("%+v, %v; want %v", s, err, tt.want)
			}
		})
	}
}

func TestUniqueness(t *testing.T) { // contract 3.2.3, 3.2.4
	t.Parallel()
	b := newBench(t)
	type (
		request = subscribe.CreateRequest
		caller  = heliograph.Caller
	)
	tests := map[string]struct {
		change func(r *request, c *caller)
		twins  bool
	}{
		"the same":               {func(*request, *caller) {}, true},
		"another url and expiry": {func(r *request, _ *caller) { r.NotificationURL += "&b"; r.ExpirationDateTime = in(2 * time.Hour) }, true},
		"types in another order": {func(r *request, _ *caller) { r.ChangeType = "updated,created,updated" }, true},
		"resource spelled apart": {func(r *request, _ *caller) { r.Resource = "/Me/mailfolders/INBOX/messages?$filter=isRead%20eq%20false" }, true},
		"by the user's id": {func(r *request, c *caller) {
			r.Resource = strings.Replace(r.Resource, "me/", "users/"+string(c.Object)+"/", 1)
		}, true},
		"another type":        {func(r *request, _ *caller) { r.ChangeType = "created" }, false},
		"another folder":      {func(r *request, _ *caller) { r.Resource = "me/messages" }, false},
		"another query":       {func(r *request, _ *caller) { r.Resource = "me/mailFolders('Inbox')/messages" }, false},
		"another application": {func(_ *request, c *caller) { c.App = "another" }, false},
		"another tenant":      {func(_ *request, c *caller) { c.Tenant = heliograph.TenantID(guid()) }, false},
		"application beside a user": {func(r *request, c *caller) {
			r.Resource = strings.Replace(r.Resource, "me/", "users/"+string(c.Object)+"/", 1)
			c.Delegated, c.Roles = false, []string{"Mail.Read"}
		}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := user("Mail.Read")
			r := b.message()
			r.Resource = "me/mailFolders('Inbox')/messages?$filter=isRead%20eq%20false"
			first, err := b.service.Create(t.Context(), c, r)
			if err != nil {
				t.Fatal(err)
			}
			tt.change(&r, c)
			_, err = b.service.Create(t.Context(), c, r)
			got := refusal(t, err)
			want := "Subscription Id " + first.ID.String() + " already exists for the requested combination" // contract 5.35
			if tt.twins && (got.Kind != heliograph.Conflict || got.Message != want) || !tt.twins && err != nil {
				t.Errorf("%v; want twins: %v", err, tt.twins)
			}
		})
	}
}

func TestOfManyEqualCreatesOneWins(t *testing.T) {
	t.Parallel()
	b, c := newBench(t), user("Mail.Read")
	r := b.message()
	gate := make(chan struct{}) // every one of them is past the first look for a twin
	var waiting sync.WaitGroup
	waiting.Add(8)
	b.receiver.answers(func(w http.ResponseWriter, r *http.Request) { waiting.Done(); <-gate; echo(w, r) })
	go func() { waiting.Wait(); close(gate) }()
	var (
		wg        sync.WaitGroup
		mu        sync.Mutex
		made      []heliograph.SubscriptionID
		conflicts int
	)
	for range 8 {
		wg.Go(func() {
			s, err := b.service.Create(t.Context(), c, r)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				made = append(made, s.ID)
			case heliograph.KindOf(err) == heliograph.Conflict:
				conflicts++
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(made) != 1 || conflicts != 7 {
		t.Fatalf("%d made, %d conflicts; want 1 and 7", len(made), conflicts)
	}
	list, err := b.service.List(t.Context(), c, subscribe.ListRequest{})
	if err != nil || len(list.Subscriptions) != 1 || list.Subscriptions[0].ID != made[0] {
		t.Errorf("listed %+v, %v", list, err)
	}
}

func TestAnExpiredTwinIsReplaced(t *testing.T) {
	t.Parallel()
	b, store := newMemoryBench(t)
	c := user("Mail.Read")
	old, err := b.service.Create(t.Context(), c, b.message())
	if err != nil {
		t.Fatal(err)
	}
	b.clock.Set(old.Expires) // to the moment: it is gone, though nobody has removed its record
	r := b.message()
	r.ExpirationDateTime = in(48 * time.Hour)
	renewed, err := b.service.Create(t.Context(), c, r)
	if err != nil || renewed.ID == old.ID {
		t.Fatalf("%+v, %v", renewed, err)
	}
	if store.len() != 3 || b.registry.Len() != 1 || b.sink.has(old.ID) {
		t.Errorf("%d records, %d subscriptions, old one indexed: %v", store.len(), b.registry.Len(), b.sink.has(old.ID))
	}
}

func TestStoreFailuresAreTold(t *testing.T) {
	t.Parallel()
	b, store := newMemoryBench(t)
	down := errors.New("store is down")
	store.fail(down)
	if _, err := b.service.Create(t.Context(), user("Mail.Read"), b.message()); !errors.Is(err, down) {
		t.Errorf("%v", err)
	}
	store.fail(heliograph.Errorf(heliograph.Conflict, "store", "lost again"))
	_, err := b.service.Create(t.Context(), user("Mail.Read"), b.message())
	if got := refusal(t, err); got.Rule != "subscription.contended" || got.Kind != heliograph.Unavailable {
		t.Errorf("a race that is never won: %v", err)
	}
}

// certificate is one to seal with.
var certificate = makeCertificate()

func makeCertificate() string {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: start, NotAfter: start.Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	return base64.StdEncoding.EncodeToString(der)
}
