package cloudevents_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	sdk "github.com/cloudevents/sdk-go/v2"
	sdkevent "github.com/cloudevents/sdk-go/v2/event"

	"heliograph.dev/internal/cloudevents"
)

// TestWhatTheSDKSends reads what the official SDK's HTTP client sends in each mode.
func TestWhatTheSDKSends(t *testing.T) {
	t.Parallel()
	type result struct {
		events []cloudevents.Event
		err    error
	}
	received := make(chan result, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		events, err := cloudevents.Decode(r.Header, body, limits())
		received <- result{events, err}
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(server.Close)

	event := sdk.NewEvent()
	event.SetID("e-1")
	event.SetSource("/mail")
	event.SetType("heliograph.change.created")
	event.SetSubject("users/a b/messages/é")
	event.SetTime(time.Date(2026, 11, 22, 10, 30, 0, 500_000_000, time.UTC))
	event.SetDataSchema("urn:s")
	event.SetExtension("tenantid", "t")
	event.SetExtension("count", 7)
	event.SetExtension("flag", true)
	if err := event.SetData(sdk.ApplicationJSON, map[string]any{"a": []int{1}}); err != nil {
		t.Fatal(err)
	}
	client, err := sdk.NewClientHTTP(sdk.WithTarget(server.URL))
	if err != nil {
		t.Fatal(err)
	}
	for name, ctx := range map[string]func() error{
		"binary":     func() error { return client.Send(sdk.WithEncodingBinary(t.Context()), event) },
		"structured": func() error { return client.Send(sdk.WithEncodingStructured(t.Context()), event) },
		"batch": func() error {
			request, err := sdk.NewHTTPRequestFromEvents(t.Context(), server.URL, []sdk.Event{event})
			if err != nil {
				return err
			}
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				return err
			}
			return response.Body.Close()
		},
	} {
		if err := ctx(); !sdk.IsACK(err) {
			t.Fatalf("%s: %v", name, err)
		}
		got := <-received
		if got.err != nil {
			t.Fatalf("%s: %v", name, got.err)
		}
		equal(t, got.events, whole(`{"a":[1]}`))
	}
}

// FuzzStructured holds the reader against the SDK: what it takes, the SDK takes and understands in the same way.
// Where the SDK panics there is nothing to compare.
func FuzzStructured(f *testing.F) {
	for _, seed := range []string{
		`{"specversion":"1.0","id":"1","source":"s","type":"t","subject":"x","time":"2026-11-22T10:30:00.5Z","ext":true,"n":-7,"data":{"a":1}}`,
		`{"data_base64":"e30=","datacontenttype":"application/json","specversion":"1.0","id":"\u00e9","source":"s","type":"t"}`,
		`{"data_base64":1,"specversion":"1.0"}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		events, err := cloudevents.Decode(structured(), []byte(body), limits())
		if err != nil {
			return
		}
		ours := events[0]
		theirs, err := readBySDK(body)
		if err != nil {
			if !stricter(err) {
				t.Fatalf("took what the SDK refuses: %v", err)
			}
			return
		}
		if ours.ID != theirs.ID() || ours.Type != theirs.Type() || ours.Subject != theirs.Subject() || !ours.Time.Equal(theirs.Time()) {
			t.Fatalf("ours %+v\ntheirs %v", ours, theirs)
		}
		if len(ours.Data) > 0 && !json.Valid(ours.Data) {
			t.Fatalf("data %q", ours.Data)
		}
		if string(ours.Data) != strings.TrimSpace(string(theirs.Data())) && string(theirs.Data()) != "null" {
			t.Fatalf("data %q, SDK %q", ours.Data, theirs.Data())
		}
	})
}

func readBySDK(body string) (event sdkevent.Event, err error) {
	defer func() {
		if recover() != nil {
			err = io.ErrUnexpectedEOF
		}
	}()
	err = sdkevent.ReadJson(&event, strings.NewReader(body))
	return event, err
}

// stricter reports whether the SDK refuses for a reason that this reader leaves to others: it parses source and
// dataschema as URLs.
func stricter(err error) bool {
	return err == io.ErrUnexpectedEOF || strings.Contains(err.Error(), "parse ") //nolint:errorlint // made two lines above
}

// FuzzDecode throws anything at every mode: no panic, and one event per body outside of a batch.
func FuzzDecode(f *testing.F) {
	f.Add("application/cloudevents-batch+json", "1", `[{"specversion":"1.0","id":"1","source":"s","type":"t"}]`)
	f.Add("application/json", `"%41\"`, `{}`)
	f.Add("application/cloudevents+json", "", `{"specversion":"1.0","id":"1","source":"s","type":"t","data_base64":"e30="}`)
	f.Fuzz(func(t *testing.T, contentType, id, body string) {
		header := http.Header{
			"Content-Type": {contentType}, "Ce-Specversion": {"1.0"}, "Ce-Id": {id}, "Ce-Source": {"s"}, "Ce-Type": {"t"},
		}
		events, err := cloudevents.Decode(header, []byte(body), limits())
		if err != nil {
			return
		}
		for _, e := range events {
			if e.ID == "" || e.Source == "" || e.Type == "" || len(e.Data) > 0 && !json.Valid(e.Data) {
				t.Fatalf("%+v", e)
			}
		}
	})
}

func BenchmarkStructured(b *testing.B) {
	body := []byte(`{"specversion":"1.0","id":"e1","source":"/mail","type":"heliograph.change.created","subject":"users/6e1f0b9e-0000-4000-8000-000000000001/messages/AAMkAGI2","time":"2026-11-22T02:00:00Z","tenantid":"6e1f0b9e-0000-4000-8000-000000000002","datacontenttype":"application/json","data":{"id":"AAMkAGI2","subject":"Hello","body":{"content":"` +
		strings.Repeat("lorem ipsum ", 60) + `"},"importance":"high","list":[1,2,3.5,null,true]}}`)
	b.SetBytes(int64(len(body)))
	b.Run("here", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := cloudevents.Decode(structured(), body, limits()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("sdk", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var e sdkevent.Event
			if err := json.Unmarshal(body, &e); err != nil {
				b.Fatal(err)
			}
		}
	})
}
