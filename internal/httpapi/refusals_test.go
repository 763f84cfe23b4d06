package httpapi_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"heliograph.dev"
	"heliograph.dev/internal/httpapi"
	"heliograph.dev/internal/subscribe"
)

// contract 5.10.
func TestPayloadRefusals(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const message = "Could not process subscription creation payload. Are all property names spelled and camelCased properly?"
	for body, detail := range map[string]string{
		`{`:                                 "expected a string, found the end of the text at byte 1",
		`[]`:                                "expected an object, found '[' at byte 0",
		`{} {}`:                             "expected the end, found '{' at byte 3",
		`{"resource":"a","Resource":"b"}`:   `"Resource" is not known; it is spelled resource`,
		`{"clientstate":"x"}`:               `"clientstate" is not known; it is spelled clientState`,
		`{"colour":"x"}`:                    `"colour" is not known`,
		`{"resource":"a","resource":"b"}`:   `the name "resource" for the second time at byte 16`,
		`{"resource":7}`:                    `"resource" is a number and must be a string`,
		`{"resource":["a"]}`:                `"resource" is an array and must be a string`,
		`{"clientState":{}}`:                `"clientState" is an object and must be a string`,
		`{"includeResourceData":"true"}`:    `"includeResourceData" is a string and must be a boolean`,
		`{"expirationDateTime":1700000000}`: `"expirationDateTime" is a number and must be a string`,
		`{"resource":}`:                     "expected a value, found '}' at byte 12",
		"{\"resource\":\"\xff\"}":           "invalid UTF-8 at byte 13",
		`{"x@y":` + strings.Repeat("[", 40) + `}`: "nested too deeply at byte 38",
	} {
		for method, path := range map[string]string{"POST": "/v1.0/subscriptions", "PATCH": "/v1.0/subscriptions/" + firstID} {
			r := b.send(method, path, body)
			b.refuses(r, http.StatusBadRequest, "InvalidRequest", message, "request.body")
			b.wants(r, 400, "Heliograph-Detail", detail)
		}
	}
	if len(b.shelf.created)+len(b.shelf.updated) != 0 {
		t.Error("a refused payload reached the service") // contract 3.1.2
	}
}

func TestPayloadTolerances(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.send("POST", "/v1.0/subscriptions", plainCreate)
	id := b.shelf.list[0].ID.String()
	b.wants(b.send("POST", "/v1.0/subscriptions", `{"@odata.type":{"a":[1]},"resource@x.y":1,"id":"x","creatorId":null,"clientState":null,"includeResourceData":null,"vapidPublicKey":"k"}`), 201)
	r := b.shelf.created[1]
	if !r.WebPush || !r.ClientState.IsZero() || r.IncludeResourceData != nil {
		t.Errorf("%+v", r)
	}
	b.wants(b.send("PATCH", "/v1.0/subscriptions/"+id, `{"resource":"ignored","clientState":"x","notificationUrl":"https://new.example","expirationDateTime":null}`), 200)
	u := b.shelf.updated[0]
	if u.ExpirationDateTime != nil || u.NotificationURL == nil || *u.NotificationURL != "https://new.example" || u.RequestID.IsZero() {
		t.Errorf("%+v", u)
	}
}

func TestBodyRefusals(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *httpapi.Options) { o.Limits.RequestBytes = 1000 })
	tests := map[string]struct {
		body          string
		header        []string
		status        int
		code, message string
		rule          string
	}{
		"empty":       {"", []string{"Content-Type", "application/json"}, 400, "InvalidRequest", "Empty Payload. JSON content expected.", "request.body.empty"},
		"blank":       {" \n", nil, 400, "InvalidRequest", "Empty Payload. JSON content expected.", "request.body.empty"},
		"form":        {"a=b", []string{"Content-Type", "application/x-www-form-urlencoded"}, 400, "BadRequest", "Entity only allows writes with a JSON Content-Type header.", "request.content_type"},
		"broken type": {"{}", []string{"Content-Type", ";;"}, 400, "BadRequest", "Entity only allows writes with a JSON Content-Type header.", "request.content_type"},
		"latin1":      {"{}", []string{"Content-Type", "application/json; charset=iso-8859-1"}, 400, "BadRequest", "Entity only allows writes with a JSON Content-Type header.", "request.content_type"},
		"brotli":      {"{}", []string{"Content-Encoding", "br"}, 415, "UnsupportedMediaType", "The request's Content-Encoding is not spoken here; use gzip or none.", "request.body.encoding"},
		"twice":       {"{}", []string{"Content-Encoding", "gzip, gzip"}, 415, "UnsupportedMediaType", "The request's Content-Encoding is not spoken here; use gzip or none.", "request.body.encoding"},
		"not gzip":    {"{}", []string{"Content-Encoding", "gzip"}, 400, "InvalidRequest", "The request's body could not be read.", "request.body.read"},
		"cut gzip":    {gzipped(plainCreate)[:40], []string{"Content-Encoding", "gzip"}, 400, "InvalidRequest", "The request's body could not be read.", "request.body.read"},
		"large":       {`"` + strings.Repeat("x", 1000) + `"`, nil, 413, "RequestEntityTooLarge", "The request's body is larger than 1000 bytes.", "request.body.size"},
		"bomb":        {gzipped(strings.Repeat(" ", 1<<20)), []string{"Content-Encoding", "gzip"}, 413, "RequestEntityTooLarge", "The request's body is larger than 1000 bytes.", "request.body.size"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := b.send("POST", "/v1.0/subscriptions", test.body, test.header...)
			b.refuses(r, test.status, test.code, test.message, test.rule)
			if test.rule == "request.body.encoding" {
				b.wants(r, 415, "Accept-Encoding", "gzip")
			}
		})
	}
}

// A body whose length is not announced is bounded all the same.
func TestChunkedBodyIsBounded(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *httpapi.Options) { o.Limits.RequestBytes = 1000 })
	body := &struct{ *strings.Reader }{strings.NewReader(strings.Repeat(" ", 5000))} // hides its length
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.URL+"/v1.0/subscriptions", body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer reader")
	response, err := b.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("status %d", response.StatusCode)
	}
}

// The error of every kind, and what only the log learns.
func TestErrorsOfTheService(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	handshake := heliograph.NewGUID()
	tests := []struct {
		err     error
		status  int
		code    string
		message string
		header  []string
	}{
		{&heliograph.Error{Kind: heliograph.Invalid, Rule: "r", Message: "m"}, 400, "InvalidRequest", "m", nil},
		{&heliograph.Error{Kind: heliograph.Invalid, Rule: "r", Code: "ExtensionError", Message: "m"}, 400, "ExtensionError", "m", nil},
		{&heliograph.Error{Kind: heliograph.Denied, Rule: "r", Message: "m"}, 403, "Forbidden", "m", nil},
		{&heliograph.Error{Kind: heliograph.NotFound, Rule: "r", Message: "m"}, 404, "ResourceNotFound", "m", nil},
		{&heliograph.Error{Kind: heliograph.Conflict, Rule: "r", Message: "m"}, 409, "Conflict", "m", nil},
		{&heliograph.Error{Kind: heliograph.Limited, Rule: "r", Message: "m", RetryAfter: 1500e6}, 429, "TooManyRequests", "m", []string{"Retry-After", "2"}},
		{&heliograph.Error{Kind: heliograph.Limited, Rule: "r", Message: "m"}, 429, "TooManyRequests", "m", []string{"Retry-After", "1"}},
		{&heliograph.Error{Kind: heliograph.Unavailable, Rule: "r", Message: "m"}, 503, "ServiceUnavailable", "m", []string{"Retry-After", "5"}},
		{&heliograph.Error{Kind: heliograph.Full, Rule: "r", Message: "m"}, 507, "InsufficientStorage", "m", []string{"Retry-After", "60"}},
		{errors.New("the disk of node 7 burns"), 500, "InternalServerError", "internal error", nil},
		{&heliograph.Error{Kind: heliograph.Internal, Rule: "x", Message: "secret"}, 500, "InternalServerError", "internal error", nil},
		{
			&subscribe.HandshakeError{Err: &heliograph.Error{Kind: heliograph.Invalid, Rule: "r", Code: "ValidationError", Message: "m"}, Exchange: handshake},
			400, "ValidationError", "m",
			[]string{"Heliograph-Handshake", handshake.String()},
		},
	}
	for _, test := range tests {
		b.shelf.fail = test.err
		r := b.send("GET", "/v1.0/subscriptions/"+firstID, "")
		rule := "r"
		if test.status == 500 {
			rule = "internal"
		}
		b.refuses(r, test.status, test.code, test.message, rule)
		b.wants(r, test.status, test.header...)
	}
	var told []string
	for _, line := range b.log.lines(t) {
		if line["level"] == "ERROR" {
			text, _ := line["error"].(string)
			told = append(told, text)
		}
	}
	if diff := cmp.Diff([]string{"the disk of node 7 burns", "secret"}, told); diff != "" {
		t.Errorf("errors in the log: %s", diff)
	}
}

// contract 5.28.
func TestUnauthenticated(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for authorization, challenge := range map[string]string{
		"":             `Bearer realm="", authorization_uri="http://h.example/common/oauth2/authorize", client_id="00000003-0000-0000-c000-000000000000"`,
		"Bearer wrong": `Bearer realm="", authorization_uri="http://h.example/common/oauth2/authorize", client_id="00000003-0000-0000-c000-000000000000", error="invalid_token"`,
		"Basic eDp5":   `Bearer realm="", authorization_uri="http://h.example/common/oauth2/authorize", client_id="00000003-0000-0000-c000-000000000000", error="invalid_token"`,
	} {
		r := b.send("GET", "/v1.0/subscriptions", "", "Authorization", authorization, "Host", "h.example")
		b.refuses(r, 401, "InvalidAuthenticationToken", "Access token is empty.", "token.unknown")
		b.wants(r, 401, "Www-Authenticate", challenge)
	}
	without := newBench(t, func(o *httpapi.Options) { o.AuthorizationURI = nil })
	without.wants(without.send("GET", "/v1.0/subscriptions", "", "Authorization", ""), 401, "Www-Authenticate", `Bearer realm=""`)
	b.refuses(b.send("GET", "/v1.0/subscriptions", "", "Authorization", "Bearer down"), 503, "ServiceUnavailable", "The issuer's keys cannot be fetched.", "token.keys")
}
