package httpapi_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	sdk "github.com/cloudevents/sdk-go/v2"
	"github.com/google/go-cmp/cmp"

	"heliograph.dev"
	"heliograph.dev/internal/catalog"
	"heliograph.dev/internal/httpapi"
)

const (
	message    = "users/6e1f0b9e-0000-4000-8000-000000000001/messages/AAMk"
	traceOne   = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	traceTwo   = "00-11111111111111111111111111111111-2222222222222222-00"
	structured = "application/cloudevents+json"
	batched    = "application/cloudevents-batch+json"
)

// event returns a CloudEvent in the JSON format; more are further members.
func event(id string, more ...string) string {
	return `{"specversion":"1.0","type":"heliograph.change.created","source":"/mail","id":"` + id + `","subject":"` + message + `"` +
		strings.Join(append([]string{""}, more...), ",") + `}`
}

// publish sends a body as publisher.
func (b *bench) publish(contentType, body string, header ...string) reply {
	b.t.Helper()
	return b.send("POST", "/publish", body, append([]string{"Authorization", "Bearer publisher", "Content-Type", contentType}, header...)...)
}

func changeID(source, id string) heliograph.ChangeID {
	return heliograph.DeriveGUID("change", tenant, source, id)
}

func TestPublishWhole(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.publish(structured, event("e-1",
		`"time":"2026-11-22T10:00:00.5+01:00"`, `"tenantid":"`+strings.ToUpper(tenant)+`"`, `"traceparent":"`+traceOne+`"`,
		`"immutableid":"AAkA"`, `"paths":" users/a/mailFolders/inbox/messages/AAMk  Users/a/x/Messages/AAMk "`, `"data":{"subject" : "Hi"}`), "Traceparent", traceTwo)
	b.wants(r, http.StatusAccepted, "Content-Type", "application/json; charset=utf-8")
	id := changeID("/mail", "e-1")
	sameJSON(t, r.body, `{"accepted":1,"ids":["`+id.String()+`"]}`)
	want := []heliograph.Change{{
		ID: id, Tenant: tenant, Type: heliograph.Created, Resource: message, ImmutableID: "AAkA",
		Paths:    []string{"users/a/mailFolders/inbox/messages/AAMk", "users/a/x/messages/AAMk"},
		Time:     time.Date(2026, 11, 22, 9, 0, 0, 500e6, time.UTC),
		Accepted: start(), Data: []byte(`{"subject" : "Hi"}`), Traceparent: traceOne,
	}}
	if diff := cmp.Diff(want, b.intake.taken(), cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) })); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
}

func TestPublishDefaults(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	body := `[` + strings.ReplaceAll(event("1"), "created", "updated") + `,` +
		strings.ReplaceAll(event("1", `"traceparent":"broken"`, `"data":null`), "created", "deleted") + `]`
	b.wants(b.publish(batched, body, "Traceparent", traceTwo), 202)
	var types []string
	for _, c := range b.intake.taken() {
		types = append(types, c.Type.String())
		if c.Tenant != tenant || !c.Time.Equal(start()) || c.Traceparent != traceTwo || c.Data != nil || c.ID != changeID("/mail", "1") {
			t.Errorf("%+v", c)
		}
	}
	if len(b.intake.batches) != 1 || strings.Join(types, " ") != "updated deleted" {
		t.Errorf("%d batches of %v", len(b.intake.batches), types)
	}
	empty := b.publish(batched, `[]`)
	b.wants(empty, 202)
	sameJSON(t, empty.body, `{"accepted":0,"ids":[]}`)
	packed := b.publish(batched, gzipped(`[`+event("z")+`]`), "Content-Encoding", "gzip")
	b.wants(packed, 202)
}

// What the CloudEvents SDK's own client sends, in every mode.
func TestPublishBySDK(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	e := sdk.NewEvent()
	e.SetID("e-1")
	e.SetSource("/mail")
	e.SetType("heliograph.change.updated")
	e.SetSubject(message)
	e.SetTime(start())
	e.SetExtension("tenantid", tenant)
	e.SetExtension("unknown", 7)
	if err := e.SetData(sdk.ApplicationJSON, map[string]string{"subject": "Hi & bye"}); err != nil {
		t.Fatal(err)
	}
	client, err := sdk.NewClientHTTP(sdk.WithTarget(b.URL+"/publish"), sdk.WithHeader("Authorization", "Bearer publisher"))
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Send(sdk.WithEncodingBinary(t.Context()), e); !sdk.IsACK(err) {
		t.Errorf("binary: %v", err)
	}
	if err := client.Send(sdk.WithEncodingStructured(t.Context()), e); !sdk.IsACK(err) {
		t.Errorf("structured: %v", err)
	}
	request, err := sdk.NewHTTPRequestFromEvents(t.Context(), b.URL+"/publish", []sdk.Event{e, e})
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer publisher")
	response, err := b.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	taken := b.intake.taken()
	if len(taken) != 4 {
		t.Fatalf("%d changes", len(taken))
	}
	for _, c := range taken {
		if diff := cmp.Diff(taken[0], c); diff != "" || c.Type != heliograph.Updated || c.Resource != message {
			t.Errorf("%+v: %s", c, diff)
		}
	}
}

func TestPublishRefusals(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *httpapi.Options) {
		o.Limits.Events, o.Limits.EventBytes, o.Limits.PublishBytes = 3, 1000, 4000
	})
	for name, test := range publishRefusals() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b.refuses(b.publish(test.contentType, test.body), test.status, test.code, test.message, test.rule)
		})
	}
	t.Cleanup(func() {
		if n := len(b.intake.taken()); n != 0 {
			t.Errorf("%d changes of refused requests were taken", n)
		}
	})
}

// publishRefusal is a body and how it is refused.
type publishRefusal struct {
	contentType, body string
	status            int
	code, message     string
	rule              string
}

func publishRefusals() map[string]publishRefusal {
	big := `"data":{"a":"` + strings.Repeat("x", 1000) + `"}`
	return map[string]publishRefusal{
		"no events": {
			"application/json", `{}`, 415, "UnsupportedMediaType",
			"no CloudEvents: send Content-Type application/cloudevents+json, application/cloudevents-batch+json, or the attributes as Ce- headers", "publish.content_type",
		},
		"attribute": {structured, `{}`, 400, "InvalidRequest", `the attribute "specversion" is required`, "publish.event.required"},
		"json":      {batched, `[` + event("1") + `,`, 400, "InvalidRequest", "event 1: the JSON cannot be read: expected a value, found the end of the text at byte 153", "publish.event.json"},
		"type": {
			structured, strings.ReplaceAll(event("1"), ".created", ".renamed"), 400, "InvalidRequest",
			`the type "heliograph.change.renamed" is not one of heliograph.change.created, heliograph.change.updated and heliograph.change.deleted`, "publish.type",
		},
		"type's case": {
			structured, strings.ReplaceAll(event("1"), ".created", ".Created"), 400, "InvalidRequest",
			`the type "heliograph.change.Created" is not one of heliograph.change.created, heliograph.change.updated and heliograph.change.deleted`, "publish.type",
		},
		"two types": {
			structured, strings.ReplaceAll(event("1"), ".created", ".created,updated"), 400, "InvalidRequest",
			`the type "heliograph.change.created,updated" is not one of heliograph.change.created, heliograph.change.updated and heliograph.change.deleted`, "publish.type",
		},
		"other type": {
			structured, strings.ReplaceAll(event("1"), "heliograph.change.created", "created"), 400, "InvalidRequest",
			`the type "created" is not one of heliograph.change.created, heliograph.change.updated and heliograph.change.deleted`, "publish.type",
		},
		"subject": {
			structured, strings.ReplaceAll(event("1"), "subject", "object"), 400, "InvalidRequest",
			`the attribute "subject" is required: the path of what changed, such as users/{id}/messages/{id}`, "publish.subject",
		},
		"resource": {
			batched, `[` + event("1") + `,` + strings.ReplaceAll(event("2"), message, "planets/mars") + `]`, 400, "InvalidRequest",
			`event 1: subject: no resource is like "planets/mars"`, "publish.resource",
		},
		"paths":  {structured, event("1", `"paths":"`+message+` moons/io"`), 400, "InvalidRequest", `paths: no resource is like "moons/io"`, "publish.resource"},
		"tenant": {structured, event("1", `"tenantid":"contoso"`), 400, "InvalidRequest", `the attribute "tenantid" is "contoso"; it must be a GUID`, "publish.tenant"},
		"other tenant": {
			batched, `[` + event("1", `"tenantid":"`+otherTenant+`"`) + `]`, 403, "Forbidden",
			"event 0: the event is of tenant " + otherTenant + " and the token of tenant " + tenant + "; publishing for another tenant needs the application permission Heliograph.Control besides", "publish.other_tenant",
		},
		"data":        {structured, event("1", `"data":["a"]`), 400, "InvalidRequest", "the data must be a JSON object: the resource as it is now", "publish.data"},
		"event size":  {batched, `[` + event("1", big) + `]`, 413, "RequestEntityTooLarge", "event 0: the event takes 1167 bytes; at most 1000 are taken", "publish.event.size"},
		"batch count": {batched, `[` + strings.Repeat(event("1")+`,`, 3) + event("1") + `]`, 413, "RequestEntityTooLarge", "a batch holds at most 3 events", "publish.batch.events"},
		"total":       {batched, `[` + strings.Repeat(" ", 4000) + `]`, 413, "RequestEntityTooLarge", "The request's body is larger than 4000 bytes.", "request.body.size"},
		"depth":       {structured, event("1", `"data":{"a":`+strings.Repeat("[", 100)+strings.Repeat("]", 100)+`}`), 400, "InvalidRequest", "the JSON cannot be read: nested too deeply at byte 261", "publish.event.json"},
	}
}

func TestImmutableIDIsBounded(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	id := strings.Repeat("x", 1024)
	b.wants(b.publish(structured, event("1", `"immutableid":"`+id+`"`)), 202)
	b.refuses(b.publish(structured, event("1", `"immutableid":"`+id+`x"`)), 400, "InvalidRequest",
		`the attribute "immutableid" takes 1025 bytes; at most 1024 are taken`, "publish.immutable_id")
}

func TestPublishNeedsItsPermission(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.publish(structured, event("1"), "Authorization", "Bearer reader")
	b.refuses(r, 403, "Forbidden", "This call needs the application permission Changes.Publish.", "request.permission")
	r = b.publish(structured, event("1"), "Authorization", "")
	b.refuses(r, 401, "InvalidAuthenticationToken", "Access token is empty.", "token.unknown")
}

// An operator may publish for every tenant.
func TestPublishForAnotherTenant(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.wants(b.publish(structured, event("1", `"tenantid":"`+otherTenant+`"`), "Authorization", "Bearer operator"), 202)
	if c := b.intake.taken()[0]; c.Tenant != otherTenant || c.ID != heliograph.DeriveGUID("change", otherTenant, "/mail", "1") {
		t.Errorf("%+v", c)
	}
}

func TestPublishIsAnsweredWhenTheIngestHas(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, test := range []struct {
		err    error
		status int
		after  string
	}{
		{&heliograph.Error{Kind: heliograph.Limited, Rule: "publish.behind", Message: "m", RetryAfter: 3 * time.Second}, 429, "3"},
		{&heliograph.Error{Kind: heliograph.Unavailable, Rule: "publish.behind", Message: "m", RetryAfter: time.Second}, 503, "1"},
		{&heliograph.Error{Kind: heliograph.Full, Rule: "publish.behind", Message: "m"}, 507, "60"},
		{errors.New("append: broken"), 500, ""},
	} {
		b.intake.fail = test.err
		r := b.publish(structured, event("1"))
		b.wants(r, test.status, "Retry-After", test.after)
		if strings.Contains(r.body, "broken") {
			t.Error(r.body)
		}
	}
}

func TestTraceparent(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for trace, good := range map[string]bool{
		traceOne: true, traceTwo: true,
		"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-the-future-will-be-like": true,
		"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01":                              false,
		"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01":                              false,
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01":                              false,
		"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01":                              false,
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x":                             false,
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-":                                false,
	} {
		b.publish(structured, event("1", fmt.Sprintf(`"traceparent":%q`, trace)))
		taken := b.intake.taken()
		if got := taken[len(taken)-1].Traceparent == trace; got != good {
			t.Errorf("%s: %v", trace, got)
		}
	}
}

// FuzzPublish throws bodies at the whole way in: what is answered 202 is what the ingest has, each with a type,
// a tenant, a path and data that is an object or absent; everything else is a refusal with a rule.
func FuzzPublish(f *testing.F) {
	f.Add(structured, event("1", `"data":{"a":1}`))
	f.Add(batched, `[`+event("1")+`,`+event("2", `"paths":"users/a/messages/b"`)+`]`)
	f.Add("application/json", `{}`)
	f.Fuzz(func(t *testing.T, contentType, body string) {
		intake := &intake{}
		api, err := httpapi.New(httpapi.Options{
			Authenticator: tokens(callers()), Subscriptions: &shelf{}, Resources: mail{}, Ingest: intake, Now: start,
		})
		if err != nil {
			t.Fatal(err)
		}
		status, answer := post(t, api, "/publish", contentType, body)
		taken := intake.taken()
		if status != 202 {
			if status < 400 || status > 499 || len(taken) != 0 {
				t.Fatalf("%d: %s, %d changes", status, answer, len(taken))
			}
			return
		}
		var r struct{ Accepted int }
		decode(t, answer, &r)
		if r.Accepted != len(taken) {
			t.Fatalf("%s, but %d changes", answer, len(taken))
		}
		for _, c := range taken {
			if c.Type.String() == "" || c.Tenant != tenant || c.Resource == "" || len(c.Data) > 0 && (c.Data[0] != '{' || !json.Valid(c.Data)) {
				t.Fatalf("%+v", c)
			}
		}
	})
}

// FuzzCreate does the same with subscription requests: whatever comes, the answer is 201, 400 or 415.
func FuzzCreate(f *testing.F) {
	f.Add("application/json", plainCreate)
	f.Add("application/json; charset=utf-8", fullCreate)
	f.Add("", `{"resource":"\ud800"}`)
	f.Fuzz(func(t *testing.T, contentType, body string) {
		shelf := &shelf{}
		api, err := httpapi.New(httpapi.Options{
			Authenticator: tokens(callers()), Subscriptions: shelf, Resources: mail{}, Ingest: &intake{}, Now: start,
		})
		if err != nil {
			t.Fatal(err)
		}
		status, answer := post(t, api, "/v1.0/subscriptions", contentType, body)
		switch status {
		case 201:
			var s struct{ Resource string }
			decode(t, answer, &s)
			if s.Resource != shelf.created[0].Resource {
				t.Fatalf("%s, but %q", answer, shelf.created[0].Resource)
			}
			var loose map[string]any
			if err := json.Unmarshal([]byte(body), &loose); err != nil {
				t.Fatalf("took %q: %v", body, err)
			}
		case 400, 415:
		default:
			t.Fatalf("%d: %s", status, answer)
		}
	})
}

// BenchmarkPublish measures the way from a body to the ingest: everything but the network and the disk.
func BenchmarkPublish(b *testing.B) {
	resources, err := catalog.Load()
	if err != nil {
		b.Fatal(err)
	}
	api, err := httpapi.New(httpapi.Options{
		Authenticator: tokens(callers()), Subscriptions: &shelf{}, Resources: resources, Ingest: nowhere{}, Now: start,
	})
	if err != nil {
		b.Fatal(err)
	}
	one := event("e-1", `"tenantid":"`+tenant+`"`, `"data":{"id":"AAMk","body":{"content":"`+strings.Repeat("lorem ipsum ", 60)+`"}}`)
	for _, n := range []int{1, 100, 800} {
		b.Run(fmt.Sprintf("batch=%d", n), func(b *testing.B) {
			body := `[` + strings.Repeat(one+`,`, n-1) + one + `]`
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if status, answer := post(b, api, "/publish", batched, body); status != 202 {
					b.Fatalf("%d: %s", status, answer)
				}
			}
			b.ReportMetric(float64(b.N)*float64(n)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
