package receiver_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"heliograph.dev/receiver"
)

func TestParseCollection(t *testing.T) {
	t.Parallel()
	got, err := receiver.ParseCollection([]byte(`{"value":[
		{"id":"n1","subscriptionId":"s1","subscriptionExpirationDateTime":"2026-01-02T10:30:34.9097561+05:30","tenantId":"t1",
		 "clientState":"secret","changeType":"created","resource":"Users/1/Messages/2",
		 "resourceData":{"@odata.type":"#Microsoft.Graph.Message","@odata.id":"Users/1/Messages/2","@odata.etag":"W/\"x\"","id":"2","extra":1}},
		{"subscriptionId":"s2","subscriptionExpirationDateTime":"2026-01-02T10:30:34Z","tenantId":"t1","changeType":"Created",
		 "resource":"chats('1')","organizationId":"t1","unknown":{"a":[]},
		 "EncryptedContent":{"data":"ZA==","dataSignature":"cw==","dataKey":"aw==","encryptionCertificateId":"c","encryptionCertificateThumbprint":"T"}},
		{"subscriptionId":"s3","tenantId":"t1","lifecycleEvent":"reauthorizationRequired"},
		{"subscriptionId":"s4","tenantId":"t1","lifecycleEvent":"somethingNew","subscriptionExpirationDateTime":"soon","resourceData":null}
	],"validationTokens":["a.b.c"]}`))
	if err != nil {
		t.Fatal(err)
	}
	data := got.Notifications[0].ResourceData.JSON
	want := &receiver.Collection{
		ValidationTokens: []string{"a.b.c"},
		Notifications: []receiver.Notification{
			{ // contract 11.1 to 11.9
				ID: "n1", SubscriptionID: "s1", TenantID: "t1", ClientState: "secret", ChangeType: receiver.Created,
				SubscriptionExpires: time.Date(2026, 1, 2, 5, 0, 34, 909756100, time.UTC), Resource: "Users/1/Messages/2",
				ResourceData: receiver.ResourceData{
					ID: "2", ODataType: "#Microsoft.Graph.Message", ODataID: "Users/1/Messages/2", ODataETag: `W/"x"`, JSON: data,
				},
			},
			{ // contract 11.19: spellings that occur in the documentation
				SubscriptionID: "s2", TenantID: "t1", ChangeType: receiver.Created, Resource: "chats('1')",
				SubscriptionExpires: time.Date(2026, 1, 2, 10, 30, 34, 0, time.UTC),
				EncryptedContent: &receiver.EncryptedContent{
					Data: "ZA==", DataSignature: "cw==", DataKey: "aw==", EncryptionCertificateID: "c", EncryptionCertificateThumbprint: "T",
				},
			},
			{SubscriptionID: "s3", TenantID: "t1", Lifecycle: receiver.ReauthorizationRequired}, // contract 14.1
			{SubscriptionID: "s4", TenantID: "t1", Lifecycle: "somethingNew"},                   // contract 14.11
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	var more struct{ Extra int }
	if err := got.Notifications[0].Decode(&more); err != nil || more.Extra != 1 {
		t.Errorf("%+v, %v", more, err)
	}
	if err := got.Notifications[1].Decode(&more); err == nil {
		t.Error("decoded what it does not bring")
	}
}

func TestParseCollectionRefuses(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"nothing":            "",
		"words":              "words",
		"an array":           "[]",
		"no value":           `{}`,
		"null":               `{"value":null}`,
		"a value of text":    `{"value":"x"}`,
		"an item of text":    `{"value":["x"]}`,
		"half of it":         `{"value":[{"subscriptionId":"s"}`,
		"two":                `{"value":[]}{"value":[]}`,
		"an id of numbers":   `{"value":[{"id":1}]}`,
		"too many":           `{"value":[` + strings.Repeat("{},", 10_000) + `{}]}`,
		"too many tokens":    `{"value":[],"validationTokens":[` + strings.Repeat(`"",`, 10_000) + `""]}`,
		"nested without end": `{"value":` + strings.Repeat("[", 1_000_000),
	} {
		if got, err := receiver.ParseCollection([]byte(body)); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got, err := receiver.ParseCollection([]byte(`{"value":[]}`)); err != nil || len(got.Notifications) != 0 {
		t.Errorf("none: %+v, %v", got, err)
	}
}

// What is printed or logged on the way holds no secret and no data.
func TestPrintedNotification(t *testing.T) {
	t.Parallel()
	n := &receiver.Notification{
		ID: "n1", SubscriptionID: "s1", ClientState: "SECRET", ChangeType: receiver.Updated, Resource: "users/1",
		Data: []byte(`{"body":"SECRET"}`),
	}
	l := &receiver.Notification{SubscriptionID: "s1", ClientState: "SECRET", Lifecycle: receiver.Missed}
	r := &receiver.Refusal{Reason: receiver.WrongClientState, Notification: n, Err: errTest}
	var log bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&log, nil))
	logger.InfoContext(t.Context(), "seen", "change", n, "event", l, "refusal", r)
	printed := fmt.Sprintf("%v %+v %#v %v %v", n, n, n, l, r) + log.String()
	if strings.Contains(printed, "SECRET") {
		t.Error(printed)
	}
	for _, part := range []string{"updated users/1 for subscription s1", "missed of subscription s1", `"change_type":"updated"`, `"lifecycle_event":"missed"`, `"reason":"client_state"`} {
		if !strings.Contains(printed, part) {
			t.Errorf("no %s in %s", part, printed)
		}
	}
}

func FuzzParseCollection(f *testing.F) {
	f.Add([]byte(`{"value":[{"id":"n1","subscriptionId":"s1","changeType":"created","resourceData":{"id":"2"}}],"validationTokens":["a.b.c"]}`))
	f.Add([]byte(`{"value":[{"lifecycleEvent":"missed","subscriptionExpirationDateTime":"2026-01-02T10:30:34.9Z"}]}`))
	f.Add([]byte(`{"value":[],"value":[{}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		before := bytes.Clone(body)
		got, err := receiver.ParseCollection(body)
		if err != nil {
			return
		}
		if !json.Valid(body) {
			t.Fatal("read what is not JSON")
		}
		again, err := receiver.ParseCollection(before)
		for i := range body { // what was read does not share memory with the body
			body[i] = 'x'
		}
		if err != nil || !reflect.DeepEqual(got, again) {
			t.Errorf("%+v, then %+v, %v", got, again, err)
		}
		for _, n := range got.Notifications {
			if len(n.ResourceData.JSON) > 0 && !json.Valid(n.ResourceData.JSON) {
				t.Errorf("resource data that is not JSON: %s", n.ResourceData.JSON)
			}
		}
	})
}
