package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/clock"
	"heliograph.dev/internal/httpapi"
)

// answersByID is what a batch answers, by the requests' ids.
type answersByID map[string]struct {
	ID      string
	Status  int
	Headers map[string]string
	Body    json.RawMessage
}

// run sends a batch and returns its answers.
func (b *bench) run(version, requests string, header ...string) answersByID {
	b.t.Helper()
	r := b.send("POST", "/"+version+"/$batch", `{"requests":[`+requests+`]}`, header...)
	b.wants(r, 200, "Content-Type", "application/json; charset=utf-8")
	answers := make(answersByID)
	var body struct {
		Responses []struct {
			ID      string
			Status  int
			Headers map[string]string
			Body    json.RawMessage
		}
	}
	decode(b.t, r.body, &body)
	for _, answer := range body.Responses {
		answers[answer.ID] = answer
	}
	return answers
}

// message returns the code and message of a refusal, and its rule.
func (a answersByID) message(t *testing.T, id string) string {
	t.Helper()
	var body struct {
		Error struct{ Code, Message string }
	}
	decode(t, string(a[id].Body), &body)
	return fmt.Sprintf("%d %s %s: %s", a[id].Status, a[id].Headers["Heliograph-Rule"], body.Error.Code, body.Error.Message)
}

// The life of a subscription in batches: each request is answered as by itself.
func TestBatch(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	host := []string{"Host", "graph.example"}
	made := b.run("beta", `{"id":"a","method":"post","url":"/subscriptions","headers":{"content-type":"application/json","Prefer":"IdType=\"ImmutableId\""},"body":`+plainCreate+`}`, host...)
	id := b.shelf.list[0].ID.String()
	if at := made["a"]; at.Status != 201 || at.Headers["Location"] != "http://graph.example/beta/subscriptions/"+id ||
		at.Headers["Content-Type"] != mediaOf("minimal", "false") || at.Headers["Odata-Version"] != "4.0" {
		t.Errorf("%+v", at)
	}
	if r := b.shelf.created[0]; !r.Beta || !r.ImmutableIDs || b.shelf.callers[0].App != app {
		t.Errorf("%+v", r)
	}
	alone := b.send("GET", "/beta/subscriptions/"+id, "", host...)
	sameJSON(t, string(made["a"].Body), alone.body)

	all := b.run("v1.0", strings.Join([]string{
		`{"id":"1","method":"GET","url":"/subscriptions"}`,
		`{"id":"2","method":"GET","url":"subscriptions/` + id + `?$select=id","headers":{"Accept":"application/json;odata.metadata=none"}}`,
		`{"id":"3","method":"GET","url":"HTTP://Graph.example/beta/subscriptions('` + id + `')"}`,
		`{"id":"4","method":"PATCH","url":"/subscriptions/` + id + `","headers":{"Content-Type":"application/json"},"body":{"expirationDateTime":"2026-11-25T10:30:00Z"},"dependsOn":["1","3"]}`,
		`{"id":"5","method":"POST","url":"/subscriptions/` + id + `/reauthorize","dependsOn":["4"]}`,
		`{"id":"6","method":"HEAD","url":"/subscriptions/` + id + `","dependsOn":["5"]}`,
		`{"id":"7","method":"DELETE","url":"/subscriptions/` + id + `/","dependsOn":["2","6"]}`,
		`{"id":"8","method":"DELETE","url":"/subscriptions/` + id + `","dependsOn":["7"]}`,
		`{"id":"9","method":"GET","url":"/subscriptions","dependsOn":["8"]}`,
		`{"id":"10","method":"GET","url":"/subscriptions","dependsOn":["9","7"]}`,
		`{"id":"11","method":"GET","url":"/subscriptions","dependsOn":["7"]}`,
	}, ","), host...)
	for id, want := range map[string]int{"1": 200, "2": 200, "3": 200, "4": 200, "5": 204, "6": 200, "7": 204, "8": 404, "9": 424, "10": 424, "11": 200} {
		if all[id].Status != want {
			t.Errorf("request %s: %d, want %d: %s", id, all[id].Status, want, all[id].Body)
		}
	}
	sameJSON(t, string(all["2"].Body), `{"id":"`+id+`"}`)
	for _, id := range []string{"5", "6", "7"} {
		if all[id].Body != nil || all[id].Headers["Content-Length"] != "" {
			t.Errorf("%+v", all[id])
		}
	}
	if got := all.message(t, "8"); got != "404 subscription.not_found ResourceNotFound: The object was not found." {
		t.Error(got)
	}
	if got := all.message(t, "9"); got != "424 batch.failed_dependency FailedDependency: The request depends on request '8', which failed." {
		t.Error(got)
	}
	sameJSON(t, string(all["11"].Body), `{"@odata.context":"http://graph.example/v1.0/$metadata#subscriptions","value":[]}`)
}

// What is wrong with one request is told to that one.
func TestBatchRefusesOneByOne(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.shelf.panicky = true
	asJSON := `"headers":{"Content-Type":"application/json"},`
	for request, want := range map[string]string{
		`"method":"GET","url":"/users"`:                                                            "400 request.path BadRequest: Resource not found for the segment 'users'.",
		`"method":"GET","url":"/me/messages?$top=1"`:                                               "400 request.path BadRequest: Resource not found for the segment 'messages'.",
		`"method":"GET","url":"/v1.0/subscriptions"`:                                               "400 request.path BadRequest: Resource not found for the segment 'v1.0'.",
		`"method":"GET","url":"../publish"`:                                                        "400 request.path BadRequest: Resource not found for the segment '..'.",
		`"method":"GET","url":"//evil.example/subscriptions"`:                                      "400 request.path BadRequest: Resource not found for the segment ''.",
		`"method":"POST","url":"/$batch",` + asJSON + `"body":{}`:                                  "400 request.path BadRequest: Resource not found for the segment '$batch'.",
		`"method":"GET","url":"/$metadata"`:                                                        "400 request.path BadRequest: Resource not found for the segment '$metadata'.",
		`"method":"GET","url":"/"`:                                                                 "400 request.path BadRequest: Resource not found for the segment 'v1.0'.",
		`"method":"GET","url":"http://graph.example/healthz"`:                                      "404 request.path ResourceNotFound: Resource not found for the segment 'healthz'.",
		`"method":"GET","url":"http://evil.example/v1.0/subscriptions"`:                            "400 batch.url BadRequest: The url 'http://evil.example/v1.0/subscriptions' is neither relative nor one of this server.",
		`"method":"GET","url":"https://graph.example/v1.0/subscriptions"`:                          "400 batch.url BadRequest: The url 'https://graph.example/v1.0/subscriptions' is neither relative nor one of this server.",
		`"method":"GET","url":"/subscriptions%zz"`:                                                 "400 batch.url BadRequest: The url '/subscriptions%zz' is neither relative nor one of this server.",
		`"method":"PUT","url":"/subscriptions"`:                                                    "405 request.method methodNotAllowed: The method is not supported for this URL.",
		`"method":"G\u0000T","url":"/subscriptions"`:                                               "405 request.method methodNotAllowed: The method is not supported for this URL.",
		`"method":"GET","url":"/subscriptions/x"`:                                                  "404 subscription.id ResourceNotFound: The object was not found.",
		`"method":"GET","url":"/subscriptions/getVapidPublicKey"`:                                  "501 webpush.absent NotImplemented: Web Push is not offered by this server, so it has no key for it. Create a subscription with an https notificationUrl.",
		`"method":"POST","url":"/subscriptions"`:                                                   "400 request.body.empty InvalidRequest: Empty Payload. JSON content expected.",
		`"method":"POST","url":"/subscriptions",` + asJSON + `"body":"eyJ9"`:                       "400 request.body InvalidRequest: Could not process subscription creation payload. Are all property names spelled and camelCased properly?",
		`"method":"POST","url":"/subscriptions","headers":{"Content-Type":"text/plain"},"body":{}`: "400 request.content_type BadRequest: Entity only allows writes with a JSON Content-Type header.",
		`"method":"POST","url":"/subscriptions","headers":{"Content-Type":"application/json","Content-Encoding":"gzip"},"body":{"x":1}`: "400 request.body InvalidRequest: Could not process subscription creation payload. Are all property names spelled and camelCased properly?",
		`"method":"POST","url":"/subscriptions",` + asJSON + `"body":` + plainCreate:                                                    "500 internal InternalServerError: internal error",
		`"method":"POST","url":"/subscriptions",` + asJSON + `"body":{"clientState":"` + strings.Repeat("x", 200_000) + `"}`:            "413 request.body.size RequestEntityTooLarge: The request's body is larger than 131072 bytes.",
	} {
		got := b.run("v1.0", `{"id":"1",`+request+`},{"id":"2","method":"GET","url":"/subscriptions"}`, "Host", "graph.example")
		if message := got.message(t, "1"); message != want {
			t.Errorf("%.100s:\ngot  %s\nwant %s", request, message, want)
		}
		if got["2"].Status != 200 {
			t.Errorf("the other: %+v", got["2"])
		}
	}
}

// A batch that cannot be read is refused whole; internal/batch knows the rest of the ways.
func TestBatchRefusedWhole(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.send("POST", "/v1.0/$batch", `{"requests":[]}`)
	b.refuses(r, 400, "BadRequest", "Invalid batch payload format.", "batch.format")
	b.wants(r, 400, "Heliograph-Detail", `a batch has one request at least, in "requests"`)
	b.refuses(b.send("POST", "/v1.0/$batch", ""), 400, "InvalidRequest", "Empty Payload. JSON content expected.", "request.body.empty")
	b.refuses(b.send("POST", "/v1.0/$batch", "--x", "Content-Type", "multipart/mixed;boundary=x"), 400, "BadRequest",
		"Entity only allows writes with a JSON Content-Type header.", "request.content_type")
	b.refuses(b.send("POST", "/v1.0/$batch", strings.Repeat(" ", 3<<20)), 413, "RequestEntityTooLarge",
		"The request's body is larger than 2621440 bytes.", "request.body.size")
	b.refuses(b.send("POST", "/v1.0/$batch", "{}", "Authorization", ""), 401, "InvalidAuthenticationToken", "Access token is empty.", "token.unknown")
	b.wants(b.send("POST", "/beta/$BATCH/", gzipped(`{"requests":[{"id":"1","method":"GET","url":"/subscriptions"}]}`), "Content-Encoding", "gzip"), 200)
	b.wants(b.send("GET", "/v1.0/$batch", ""), 405, "Allow", "OPTIONS, POST")
}

// The token is the batch's, whatever a request says; each request counts, and has a log line, by itself.
func TestBatchRequestsAreRequests(t *testing.T) {
	t.Parallel()
	m := &meter{counted: make(map[string]int), limit: 2}
	b := newBench(t, func(o *httpapi.Options) { o.Throttle = m })
	requests := make([]string, 4)
	for i := range requests {
		requests[i] = fmt.Sprintf(`{"id":"%d","method":"GET","url":"/subscriptions","headers":{"Authorization":"Bearer operator","X-Forwarded-Host":"evil.example","client-request-id":"own-%d"}}`, i, i)
		if i > 0 {
			requests[i] = strings.Replace(requests[i], `,"client`, `,"x-client`, 1)
			requests[i] = strings.Replace(requests[i], `"url"`, `"dependsOn":["0"],"url"`, 1)
		}
	}
	got := b.run("v1.0", strings.Join(requests, ","), "client-request-id", "whole")
	statuses := make(map[int]int)
	ids := make(map[string]bool)
	for id, answer := range got {
		statuses[answer.Status]++
		ids[answer.Headers["Request-Id"]] = true
		want := "whole"
		if id == "0" {
			want = "own-0"
		}
		if answer.Headers["Client-Request-Id"] != want {
			t.Errorf("%+v", answer)
		}
		if answer.Status == 429 && answer.Headers["Retry-After"] != "13" {
			t.Errorf("%+v", answer)
		}
	}
	if statuses[200] != 2 || statuses[429] != 2 || len(ids) != 4 {
		t.Errorf("%v, ids %v", statuses, ids)
	}
	lines := b.log.lines(t)
	if len(lines) != 5 {
		t.Fatalf("%d log lines", len(lines))
	}
	whole := lines[4]
	if whole["route"] != "/v1.0/$batch" || whole["batch"] != nil {
		t.Errorf("%v", whole)
	}
	for _, line := range lines[:4] {
		if line["batch"] != whole["request_id"] || line["route"] != "/v1.0/subscriptions" || line["app"] != app {
			t.Errorf("%v", line)
		}
	}
}

// deadlines is an http.ResponseWriter that notes how long a connection may take.
type deadlines struct {
	*httptest.ResponseRecorder
	read, write time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error { d.read = t; return nil }

func (d *deadlines) SetWriteDeadline(t time.Time) error { d.write = t; return nil }

// Twenty creates one after the other, each with two handshakes that take their ten seconds, come to their end.
func TestBatchTakesItsTime(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	began := clock.System().Now()
	request := httptest.NewRequestWithContext(t.Context(), "POST", "/v1.0/$batch", strings.NewReader(`{"requests":[{"id":"1","method":"GET","url":"/subscriptions"}]}`))
	request.Header.Set("Authorization", "Bearer reader")
	w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
	b.api.ServeHTTP(w, request)
	if w.Code != 200 || w.read.Sub(began) < 400*time.Second || w.write.Sub(began) < 400*time.Second {
		t.Errorf("%d, read until %v, written until %v", w.Code, w.read.Sub(began), w.write.Sub(began))
	}
}

// A batch's requests come from callers whose permissions are looked at as ever.
func TestBatchCaller(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.shelf.fail = &heliograph.Error{Kind: heliograph.Denied, Rule: "create.permission", Message: "m"}
	got := b.run("v1.0", `{"id":"1","method":"POST","url":"/subscriptions","headers":{"Content-Type":"application/json"},"body":`+plainCreate+`}`)
	if message := got.message(t, "1"); message != "403 create.permission Forbidden: m" {
		t.Error(message)
	}
}
