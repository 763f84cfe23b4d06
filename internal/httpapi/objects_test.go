package httpapi_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"heliograph.dev"
	"heliograph.dev/internal/httpapi"
	"heliograph.dev/internal/objects"
)

// things answers by what is asked for, and tells what that was.
type things struct{ asked chan objects.Request }

func (t things) Read(_ context.Context, r objects.Request) (objects.Answer, error) {
	if t.asked != nil {
		t.asked <- r
	}
	number := 7
	known := objects.Answer{Known: true}
	switch {
	case strings.HasPrefix(r.Path, "thing403"):
		return known, &heliograph.Error{Kind: heliograph.Denied, Rule: "objects.permission", Code: "ErrorAccessDenied", Message: "no"}
	case strings.HasPrefix(r.Path, "thing404"):
		return known, &heliograph.Error{Kind: heliograph.NotFound, Rule: "objects.not_found", Code: "ErrorItemNotFound", Message: "no"}
	case strings.HasPrefix(r.Path, "thing410"):
		return known, &objects.LostError{Code: "syncStateNotFound"}
	case strings.HasPrefix(r.Path, "nothing"):
		return objects.Answer{}, nil
	case strings.HasSuffix(r.Path, "$count"):
		return objects.Answer{Known: true, Number: &number}, nil
	case strings.HasSuffix(r.Path, "delta"):
		return objects.Answer{Known: true, Context: "c", Values: []json.RawMessage{[]byte(`{"id":"<1>"}`)}, Delta: "d+"}, nil
	case strings.HasSuffix(r.Path, "s"):
		return objects.Answer{Known: true, Context: "c", Values: []json.RawMessage{}, Skip: "n", Count: &number}, nil
	}
	return objects.Answer{Known: true, Object: []byte(`{"id":"1"}`)}, nil
}

func (things) Forget(context.Context) error { return nil }

func TestObjects(t *testing.T) {
	t.Parallel()
	asked := make(chan objects.Request, 100)
	b := newBench(t, func(o *httpapi.Options) { o.Objects = things{asked} })
	r := b.send("GET", "/v1.0/users('a')/messages('b%2Fc')?$select=subject", "", "Accept", "application/json;odata.metadata=full")
	b.wants(r, 200, "Content-Type", "application/json;odata.metadata=full;odata.streaming=true;IEEE754Compatible=false;charset=utf-8", "Odata-Version", "4.0")
	sameJSON(t, r.body, `{"id":"1"}`)
	q := <-asked
	if q.Path != "users('a')/messages('b%2Fc')" || q.Beta || q.Root != b.URL+"/v1.0" || q.Options["$select"] != "subject" || q.Metadata != objects.Full || q.Caller.App != app {
		t.Errorf("%+v", q)
	}
	r = b.send("GET", "/beta/users/a/messages?$top=5&$skip=3&$filter=a%20eq%20'%26'", "", "Host", "h.example", "Prefer", "odata.maxpagesize=9")
	sameJSON(t, r.body, `{"@odata.context":"c","@odata.count":7,"@odata.nextLink":"http://h.example/beta/users/a/messages?$filter=a+eq+%27%26%27&$top=5&$skiptoken=n","value":[]}`)
	if q = <-asked; !q.Beta || q.MaxPage != 9 || q.Options["$filter"] != "a eq '&'" || q.Options["$skip"] != "3" {
		t.Errorf("%+v", q)
	}
	r = b.send("GET", "/v1.0/users/a/messages/delta?token=x", "", "Host", "h.example")
	sameJSON(t, r.body, `{"@odata.context":"c","@odata.deltaLink":"http://h.example/v1.0/users/a/messages/delta?$deltatoken=d%2B","value":[{"id":"<1>"}]}`)
	if q = <-asked; q.Options["$deltatoken"] != "x" {
		t.Errorf("%+v", q)
	}
	r = b.send("GET", "/v1.0/users/a/messages/$count", "")
	if r.body != "7" || !strings.HasPrefix(r.Header.Get("Content-Type"), "text/plain") {
		t.Errorf("%s", r.body)
	}
	b.wants(b.send("HEAD", "/v1.0/users/a", ""), 200)
}

func TestObjectRefusals(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *httpapi.Options) { o.Objects = things{} })
	b.refuses(b.send("GET", "/v1.0/thing403/x", ""), 403, "ErrorAccessDenied", "no", "objects.permission")
	b.refuses(b.send("GET", "/v1.0/thing404/x", ""), 404, "ErrorItemNotFound", "no", "objects.not_found")
	b.refuses(b.send("GET", "/v1.0/nothing/x", ""), 400, "BadRequest", "Resource not found for the segment 'nothing'.", "request.path")
	b.refuses(b.send("POST", "/v1.0/users/x", "{}"), 400, "BadRequest", "Resource not found for the segment 'users'.", "request.path")
	r := b.send("GET", "/v1.0/thing410/delta?$deltatoken=x", "", "Host", "h.example")
	b.wants(r, 410, "Location", "http://h.example/v1.0/thing410/delta", "Heliograph-Rule", "objects.sync_state")
	if !strings.Contains(r.body, `"code":"syncStateNotFound"`) {
		t.Error(r.body)
	}
	b.wants(b.send("GET", "/v1.0/users/x", "", "Authorization", ""), 401)
	b.wants(b.send("POST", "/control/v1/objects/forget", "", "Authorization", "Bearer operator"), 204)
	b.wants(b.send("POST", "/control/v1/objects/forget", ""), 403)
	// In a batch like all others.
	r = b.send("POST", "/v1.0/$batch", `{"requests":[{"id":"1","method":"GET","url":"/users/a"},{"id":"2","method":"GET","url":"/thing404/a"}]}`)
	if !strings.Contains(r.body, `"body":{"id":"1"}`) || !strings.Contains(r.body, "ErrorItemNotFound") {
		t.Error(r.body)
	}
	if b := newBench(t); b.send("GET", "/v1.0/users/a", "").StatusCode != 400 {
		t.Error("a server that keeps nothing answers for it")
	}
}
