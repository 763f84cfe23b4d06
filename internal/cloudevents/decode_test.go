package cloudevents_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"heliograph.dev"
	"heliograph.dev/internal/cloudevents"
)

func limits() cloudevents.Limits {
	return cloudevents.Limits{Events: 3, EventBytes: 2000, Depth: 10}
}

// headerOf makes a header of names and values in turn.
func headerOf(pairs ...string) http.Header {
	h := make(http.Header)
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

func structured() http.Header { return headerOf("Content-Type", "application/cloudevents+json") }
func batched() http.Header    { return headerOf("Content-Type", "application/cloudevents-batch+json") }

func equal(t *testing.T, got []cloudevents.Event, want ...cloudevents.Event) {
	t.Helper()
	sorted := cmpopts.SortSlices(func(a, b cloudevents.Extension) bool { return a.Name < b.Name })
	if diff := cmp.Diff(want, got, sorted, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
}

// whole is an event with everything.
func whole(data string) cloudevents.Event {
	return cloudevents.Event{
		ID: "e-1", Source: "/mail", Type: "heliograph.change.created", Subject: "users/a b/messages/é",
		Time:            time.Date(2026, 11, 22, 10, 30, 0, 500_000_000, time.UTC),
		DataContentType: "application/json", DataSchema: "urn:s", Data: []byte(data),
		Extensions: []cloudevents.Extension{{"tenantid", "t"}, {"count", "7"}, {"flag", "true"}},
	}
}

func TestStructured(t *testing.T) {
	t.Parallel()
	got, err := cloudevents.Decode(headerOf("Content-Type", "Application/CloudEvents+JSON; charset=UTF-8"), []byte(`{
		"data": {"a" : [1]}, "count": 7, "flag": true, "gone": null, "tenantid": "t",
		"specversion": "1.0", "id": "e-1", "source": "/mail", "type": "heliograph.change.created",
		"subject": "users/a b/messages/\u00e9", "time": "2026-11-22T10:30:00.5Z", "datacontenttype": "application/json", "dataschema": "urn:s"
	} `), limits())
	if err != nil {
		t.Fatal(err)
	}
	equal(t, got, whole(`{"a" : [1]}`))
}

func TestBinary(t *testing.T) {
	t.Parallel()
	got, err := cloudevents.Decode(headerOf(
		"ce-specversion", "1.0", "ce-id", "e-1", "ce-source", "/mail", "ce-type", "heliograph.change.created",
		"ce-subject", `"users/a b/messages/%C3%A9"`, "ce-time", "2026-11-22T10:30:00.5Z", "ce-dataschema", "urn:s",
		"ce-tenantid", "t", "ce-count", "7", "ce-flag", "true", "Content-Type", "application/json",
	), []byte(` {"a" : [1]} `), limits())
	if err != nil {
		t.Fatal(err)
	}
	equal(t, got, whole(`{"a" : [1]}`))
}

func TestHeaderValues(t *testing.T) {
	t.Parallel()
	for sent, want := range map[string]string{
		`plain`:              `plain`,
		`users/a%20b%25c`:    `users/a b%c`,
		`"quoted \"x\" \\y"`: `quoted "x" \y`,
		`50%`:                `50%`, // a sender that does not escape
		`%zz%20`:             `%zz%20`,
		`%ff`:                `%ff`, // no UTF-8
		`a+b`:                `a+b`,
		`"`:                  `"`,
	} {
		got, err := cloudevents.Decode(headerOf("ce-specversion", "1.0", "ce-id", "1", "ce-source", "s", "ce-type", "t", "ce-subject", sent), nil, limits())
		if err != nil || got[0].Subject != want {
			t.Errorf("%s: %+v, %v; want %s", sent, got, err, want)
		}
	}
}

func TestBatch(t *testing.T) {
	t.Parallel()
	one := `{"specversion":"1.0","id":"1","source":"s","type":"t"}`
	for body, want := range map[string][]cloudevents.Event{
		`[]`:                        nil,
		` [ ` + one + ` ] `:         {{ID: "1", Source: "s", Type: "t"}},
		`[` + one + `,` + one + `]`: {{ID: "1", Source: "s", Type: "t"}, {ID: "1", Source: "s", Type: "t"}},
	} {
		got, err := cloudevents.Decode(batched(), []byte(body), limits())
		if err != nil {
			t.Errorf("%s: %v", body, err)
		}
		equal(t, got, want...)
	}
}

func TestData(t *testing.T) {
	t.Parallel()
	for members, want := range map[string]string{
		``:                                   "",
		`,"data":null`:                       "",
		`,"data_base64":null`:                "",
		`,"data":{"a":1}`:                    `{"a":1}`,
		`,"data":7`:                          `7`,
		`,"data":null,"data_base64":"e30="`:  `{}`,
		`,"data_base64":"eyJhIjoxfQ=="`:      `{"a":1}`,
		`,"data_base64":"eyJhIjoxf\u0051=="`: `{"a":1}`,
		`,"data_base64":"bnVsbA=="`:          ``,
		`,"data":{},"datacontenttype":"application/vnd.x+json; charset=utf-8"`: `{}`,
		`,"datacontenttype":"image/png"`:                                       ``,
	} {
		got, err := cloudevents.Decode(structured(), []byte(`{"specversion":"1.0","id":"1","source":"s","type":"t"`+members+`}`), limits())
		if err != nil || string(got[0].Data) != want {
			t.Errorf("%s: %s, %v; want %s", members, got[0].Data, err, want)
		}
	}
}

func TestStructuredRefusals(t *testing.T) {
	t.Parallel()
	const begin = `{"specversion":"1.0","id":"1","source":"s","type":"t"`
	for body, want := range map[string]string{
		``:                      "the JSON cannot be read: expected a value, found the end of the text at byte 0",
		`[]`:                    "an event is a JSON object, not an array",
		`{}`:                    `the attribute "specversion" is required`,
		`{"specversion":"0.3"}`: `the attribute "specversion" is "0.3"; this server speaks "1.0"`,
		`{"specversion":null,"id":"1","source":"s","type":"t"}`:       `the attribute "specversion" is required`,
		`{"specversion":"1.0","source":"s","type":"t"}`:               `the attribute "id" is required`,
		`{"specversion":"1.0","id":"","source":"s","type":"t"}`:       `the attribute "id" is required`,
		`{"specversion":"1.0","id":"1","type":"t"}`:                   `the attribute "source" is required`,
		`{"specversion":"1.0","id":"1","source":"s"}`:                 `the attribute "type" is required`,
		`{"specversion":"1.0","id":7}`:                                `the attribute "id" is a number; it must be a string`,
		begin + `,"id":"2"}`:                                          `the JSON cannot be read: the name "id" for the second time at byte 54`,
		begin + `} x`:                                                 "the JSON cannot be read: expected the end, found 'x' at byte 55",
		begin + `,"Subject":"x"}`:                                     `"Subject" is no name of an attribute: those have lower-case letters and digits only`,
		begin + `,"":"x"}`:                                            `"" is no name of an attribute: those have lower-case letters and digits only`,
		begin + `,"ext":{"a":1}}`:                                     `the attribute "ext" is an object; attributes are strings, booleans or integers`,
		begin + `,"ext":[]}`:                                          `the attribute "ext" is an array; attributes are strings, booleans or integers`,
		begin + `,"ext":1.5}`:                                         `the attribute "ext" is 1.5; a number must be a 32-bit integer`,
		begin + `,"ext":2147483648}`:                                  `the attribute "ext" is 2147483648; a number must be a 32-bit integer`,
		begin + `,"subject":"a\u0000b"}`:                              `the attribute "subject" has a control character in it`,
		begin + `,"time":"yesterday"}`:                                `the attribute "time" is "yesterday"; it must be a moment as in RFC 3339 (2026-11-22T10:30:00Z)`,
		begin + `,"data_base64":7}`:                                   `"data_base64" must be a string`,
		begin + `,"data_base64":"e3"}`:                                `"data_base64" is not base64`,
		begin + `,"data_base64":"/w=="}`:                              `the data is not JSON: invalid UTF-8 at byte 0`,
		begin + `,"data":{},"data_base64":""}`:                        `"data" and "data_base64" exclude each other`,
		begin + `,"data":"<x/>","datacontenttype":"application/xml"}`: `the data is "application/xml"; it must be JSON`,
		begin + `,"data":{"a":01}}`:                                   "the JSON cannot be read: expected ',' or '}', found '1' at byte 67",
		begin + `,"data":[[[[[[[[[[[]]]]]]]]]]]}`:                     "the JSON cannot be read: nested too deeply at byte 70",
		begin + `,"data":"` + strings.Repeat("x", 2000) + `"}`:        "the event takes 2064 bytes; at most 2000 are taken",
	} {
		_, err := cloudevents.Decode(structured(), []byte(body), limits())
		refused(t, body, err, want)
	}
}

func TestBatchRefusalsNameTheEvent(t *testing.T) {
	t.Parallel()
	const one = `{"specversion":"1.0","id":"1","source":"s","type":"t"}`
	for body, want := range map[string]string{
		`{}`:                        "a batch is a JSON array of events",
		``:                          "a batch is a JSON array of events",
		`[` + one + `,{}]`:          `event 1: the attribute "specversion" is required`,
		`[7]`:                       "event 0: an event is a JSON object, not a number",
		`[` + one + `,{"id":}]`:     "event 1: the JSON cannot be read: expected a value, found '}' at byte 62",
		`[` + one + `] []`:          "the JSON cannot be read: expected the end, found '[' at byte 57",
		`[` + one + ` ` + one + `]`: "the JSON cannot be read: expected ',' or ']', found '{' at byte 56",
		`[` + one + `,`:             "event 1: the JSON cannot be read: expected a value, found the end of the text at byte 56",
		`[` + strings.Repeat(one+`,`, 3) + one + `]`: "a batch holds at most 3 events",
	} {
		_, err := cloudevents.Decode(batched(), []byte(body), limits())
		refused(t, body, err, want)
	}
}

func TestHeaderRefusals(t *testing.T) {
	t.Parallel()
	event := []string{"ce-specversion", "1.0", "ce-id", "1", "ce-source", "s", "ce-type", "t"}
	tests := []struct {
		header []string
		body   string
		want   string
	}{
		{nil, `{}`, "no CloudEvents: send Content-Type application/cloudevents+json, application/cloudevents-batch+json, or the attributes as Ce- headers"},
		{[]string{"Content-Type", "application/cloudevents+xml"}, ``, `the event format "application/cloudevents+xml" is not spoken here; use application/cloudevents+json or application/cloudevents-batch+json`},
		{[]string{"Content-Type", "application/cloudevents+json; charset=utf-16"}, ``, `the charset "utf-16" is not spoken here; use UTF-8`},
		{[]string{"Content-Type", ";"}, ``, `the Content-Type cannot be read`},
		{event[:2], ``, `the attribute "id" is required`},
		{append(event[:8:8], "ce-id", "2"), ``, `the header Ce-Id came 2 times`},
		{append(event[:8:8], "ce-my-ext", "2"), ``, `"my-ext" is no name of an attribute: those have lower-case letters and digits only`},
		{append(event[:8:8], "ce-subject", "a%00"), ``, `the attribute "subject" has a control character in it`},
		{append(event[:8:8], "content-type", "text/plain"), `x`, `the data is "text/plain"; it must be JSON`},
		{event, `{`, `the data is not JSON: expected a string, found the end of the text at byte 1`},
		{event, `{} {}`, `the data is not JSON: expected the end, found '{' at byte 3`},
		{event, `"` + strings.Repeat("x", 2000) + `"`, "the event takes 2002 bytes; at most 2000 are taken"},
	}
	for _, test := range tests {
		_, err := cloudevents.Decode(headerOf(test.header...), []byte(test.body), limits())
		refused(t, strings.Join(test.header, " "), err, test.want)
	}
}

// refused checks that err tells the sender what is wrong, and has the kind that goes with it.
func refused(t *testing.T, input string, err error, want string) {
	t.Helper()
	kind := heliograph.Invalid
	switch {
	case strings.Contains(want, "at most"):
		kind = heliograph.TooLarge
	case strings.Contains(want, "Content-Type"), strings.Contains(want, "spoken here; use"):
		kind = heliograph.Unsupported
	}
	var e *heliograph.Error
	if !errors.As(err, &e) || e.Message != want || e.Kind != kind || !strings.HasPrefix(e.Rule, "publish.") {
		t.Errorf("%.80s:\n%v, want %v:\n%s", input, heliograph.KindOf(err), kind, want)
		t.Logf("%v", err)
	}
}
