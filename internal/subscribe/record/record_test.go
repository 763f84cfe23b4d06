package record_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"heliograph.dev"
	"heliograph.dev/internal/subscribe/record"
)

// drawn is any subscription, but for its id and tenant, which are not in the value.
func drawn(t *rapid.T) heliograph.Subscription {
	text := func(name string) string { return rapid.StringN(0, 40, 400).Draw(t, name) }
	moment := func(name string) time.Time {
		if rapid.Bool().Draw(t, name+" is unset") {
			return time.Time{}
		}
		return time.Unix(0, rapid.Int64().Draw(t, name)).UTC()
	}
	s := heliograph.Subscription{
		App: heliograph.AppID(text("app")), Creator: heliograph.ObjectID(text("creator")), Delegated: rapid.Bool().Draw(t, "delegated"),
		Resource: text("resource"), Path: text("path"), Row: text("row"),
		ChangeTypeText:  rapid.SampledFrom([]string{"created", "Updated, deleted", "created,updated,deleted"}).Draw(t, "types"),
		NotificationURL: text("url"), LifecycleNotificationURL: text("lifecycle url"), ClientState: heliograph.NewSecret(text("state")),
		Created: moment("created"), Expires: moment("expires"), AuthorizedUntil: moment("authorized"),
		Renewed: moment("renewed"), Reauthorized: moment("reauthorized"), Hurried: moment("hurried"), Noticed: moment("noticed"),
		Revoked: moment("revoked"), RevokedReason: text("why revoked"), Removed: moment("removed"), RemovedReason: text("why removed"),
		Missed: moment("missed"), MissedReason: text("why missed"), MissedTold: moment("missed told"),
		NoticedReason: text("why noticed"), Notices: rapid.Uint32().Draw(t, "notices"),
		EncryptionCertificate: text("certificate"), EncryptionCertificateID: text("certificate id"),
		LatestSupportedTLSVersion: text("tls"), NotificationContentType: text("type"), NotificationQueryOptions: text("options"),
		NotificationURLAppID: text("url app"), ImmutableIDs: rapid.Bool().Draw(t, "immutable"),
		IncludeUnknownEnumMembers: rapid.Bool().Draw(t, "unknown"), IncludeSecurityWebhooks: rapid.Bool().Draw(t, "security"),
	}
	s.ChangeType, _ = heliograph.ParseChangeType(s.ChangeTypeText)
	if rapid.Bool().Draw(t, "said") {
		rich := rapid.Bool().Draw(t, "rich")
		s.IncludeResourceData = &rich
	}
	return s
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := drawn(t)
		got, err := record.Decode(string(record.Encode(&want)))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b heliograph.Secret) bool { return a == b })); diff != "" {
			t.Fatalf("not what was written (-want +got):\n%s", diff)
		}
	})
}

func TestUnknownTagsAreSkipped(t *testing.T) {
	t.Parallel()
	s := heliograph.Subscription{Path: "users", ChangeTypeText: "updated", ChangeType: heliograph.Updated}
	value := string(record.Encode(&s)) + "\xfe\x03new"
	got, err := record.Decode(value)
	if err != nil || got.Path != "users" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestDamageIsAnError(t *testing.T) {
	t.Parallel()
	whole := string(record.Encode(&heliograph.Subscription{Path: "users", Created: time.Unix(1, 0)}))
	for name, value := range map[string]string{
		"empty":             "",
		"another version":   "\x02" + whole[1:],
		"cut off":           whole[:len(whole)-1],
		"no length":         whole + "\x04",
		"length beyond end": whole + "\x04\x7f",
		"endless length":    whole + "\x04\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
		"huge length":       whole + "\x04\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01a",
		"short time":        whole + "\x0b\x07abcdefg",
		"short count":       whole + "\x20\x03abc",
		"no flags":          whole + "\x03\x00",
	} {
		if s, err := record.Decode(value); err == nil {
			t.Errorf("%s: read as %+v", name, s)
		}
	}
}

func TestName(t *testing.T) {
	t.Parallel()
	id := heliograph.NewGUID()
	if got, ok := record.ParseName(record.Name(id)); !ok || got != id {
		t.Errorf("got %v, %v", got, ok)
	}
	for _, name := range []string{"", "sub.", "sub.1", "uniq." + id.String(), id.String(), record.Name(id) + "a"} {
		if got, ok := record.ParseName(name); ok {
			t.Errorf("%q names %v", name, got)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("\x01"))
	f.Add(record.Encode(&heliograph.Subscription{App: "a", Resource: "me/messages", ChangeTypeText: "created", Created: time.Unix(1, 2), Delegated: true}))
	f.Fuzz(func(t *testing.T, value []byte) {
		s, err := record.Decode(string(value))
		if err != nil {
			return
		}
		again, err := record.Decode(string(record.Encode(&s)))
		if err != nil {
			t.Fatalf("%+v cannot be read again: %v", s, err)
		}
		if diff := cmp.Diff(s, again, cmp.Comparer(func(a, b heliograph.Secret) bool { return a == b })); diff != "" {
			t.Fatalf("read again differently:\n%s", diff)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	value := string(record.Encode(&heliograph.Subscription{
		App: "11111111-1111-1111-1111-111111111111", Creator: "22222222-2222-2222-2222-222222222222", Delegated: true,
		Resource: "me/mailFolders('Inbox')/messages", Path: "users/22222222-2222-2222-2222-222222222222/mailFolders/inbox/messages",
		Row: "message", ChangeTypeText: "created,updated", NotificationURL: "https://app.example.com/api/notifications",
		ClientState: heliograph.NewSecret("0123456789abcdef"), LatestSupportedTLSVersion: "v1_2",
		Created: time.Unix(1, 0), Expires: time.Unix(2, 0), AuthorizedUntil: time.Unix(3, 0),
	}))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := record.Decode(value); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(value)), "B/record")
}
