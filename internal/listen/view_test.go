package listen_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"heliograph.dev"
	"heliograph.dev/internal/listen"
)

const story = `{"value":[
 {"subscriptionId":"7f105c7d-2dc5-4530-97cd-4e7ae6534c07","subscriptionExpirationDateTime":"2026-11-22T12:44:00Z",
  "clientState":"right","changeType":"updated","resource":"users/u/drive/root",
  "resourceData":{"@odata.type":"#Microsoft.Graph.DriveItem","id":"i","eventTime":"2026-11-22T11:59:59.986Z"}},
 {"subscriptionId":"s2","subscriptionExpirationDateTime":"2026-11-22T11:00:00Z","clientState":"right","changeType":"created","resource":"me\u001b[2J\u202e/messages",
  "resourceData":{"subject":"A longer object is written on several lines, so that one can read it","from":{"name":"Ada"},"e":[]}},
 {"subscriptionId":"s3","changeType":"deleted","resource":"x","encryptedContent":{"data":"QUJD","encryptionCertificateId":"c1"}},
 {"subscriptionId":"s4","clientState":"right","lifecycleEvent":"reauthorizationRequired"}
],"validationTokens":["a.b.c"]}`

func tell(t *testing.T, opts listen.Options) string {
	t.Helper()
	opts.ClientState = heliograph.NewSecret("right")
	r := receive(t, opts)
	send(t, http.MethodPost, r.URL+"/hook?validationToken=Validation%3a+x", "")
	r.out.await(t, "Validation") // a sender is answered before anything is printed
	send(t, http.MethodPost, r.URL+"/hook", story)
	r.out.await(t, "s4") // the last of the story
	send(t, http.MethodPost, r.URL+"/hook", "hello")
	r.Close()
	return r.output()
}

func TestText(t *testing.T) {
	t.Parallel()
	want := `
12:00:00.000  ? handshake  /hook
              Validation: x

12:00:00.000  ~ updated  users/u/drive/root  14 ms
              subscription 7f105c7d-2dc5-4530-97cd-4e7ae6534c07 · 1 of 4 · expires in 44 min · validation tokens: 1
              {"@odata.type":"#Microsoft.Graph.DriveItem","id":"i","eventTime":"2026-11-22T11:59:59.986Z"}

12:00:00.000  + created  me\u001b[2J\u202e/messages
              subscription s2 · 2 of 4 · expired · validation tokens: 1
              {
                "subject": "A longer object is written on several lines, so that one can read it",
                "from": {
                  "name": "Ada"
                },
                "e": []
              }

12:00:00.000  - deleted  x
              subscription s3 · 3 of 4 · validation tokens: 1
              x its clientState is not the expected one: not from your subscription
              encrypted for certificate "c1", 4 bytes

12:00:00.000  ! lifecycle reauthorizationRequired
              subscription s4 · 4 of 4 · validation tokens: 1

12:00:00.000  x rejected 400  /hook
              the body is not a changeNotificationCollection: invalid character 'h' looking for beginning of value

`
	if diff := cmp.Diff(want, "\n"+tell(t, listen.Options{})); diff != "" {
		t.Error(diff)
	}
}

func TestTextInColour(t *testing.T) {
	t.Parallel()
	out := tell(t, listen.Options{Color: true})
	for _, want := range []string{"\x1b[33m~ updated\x1b[0m", "\x1b[32m+ created\x1b[0m", "\x1b[31m- deleted\x1b[0m", "\x1b[35m! lifecycle", "\x1b[1m14 ms\x1b[0m"} {
		if !strings.Contains(out, want) {
			t.Errorf("lacks %q", want)
		}
	}
	plain := tell(t, listen.Options{})
	for _, code := range []string{"0", "1", "2", "31", "32", "33", "35", "36"} {
		out = strings.ReplaceAll(out, "\x1b["+code+"m", "")
	}
	if diff := cmp.Diff(plain, out); diff != "" {
		t.Error(diff)
	}
}

func TestJSONLines(t *testing.T) {
	t.Parallel()
	out := tell(t, listen.Options{Format: listen.JSON, Color: true})
	if strings.Contains(out, "right") || strings.ContainsFunc(strings.ReplaceAll(out, "\n", ""), func(r rune) bool { return !unicode.IsPrint(r) }) {
		t.Errorf("shows a secret, or what a terminal would obey: %q", out)
	}
	type line struct {
		Event        string
		Time         time.Time
		Path         string
		LatencyMs    float64
		Index, Size  int
		Forged       bool
		Token, Error string
		Status       int
		Notification map[string]any
	}
	var got []line
	for text := range strings.Lines(out) {
		var one line
		if err := json.Unmarshal([]byte(text), &one); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		if one.Event == "notification" && one.Index > 0 || one.Event == "lifecycle" {
			one.Notification = nil // shown by the first
		}
		got = append(got, one)
	}
	want := []line{
		{Event: "handshake", Time: start, Path: "/hook", Token: "Validation: x"},
		{Event: "notification", Time: start, Path: "/hook", LatencyMs: 14, Size: 4, Notification: map[string]any{
			"subscriptionId": "7f105c7d-2dc5-4530-97cd-4e7ae6534c07", "subscriptionExpirationDateTime": "2026-11-22T12:44:00Z",
			"changeType": "updated", "resource": "users/u/drive/root",
			"resourceData": map[string]any{"@odata.type": "#Microsoft.Graph.DriveItem", "id": "i", "eventTime": "2026-11-22T11:59:59.986Z"},
		}},
		{Event: "notification", Time: start, Path: "/hook", Index: 1, Size: 4},
		{Event: "notification", Time: start, Path: "/hook", Index: 2, Size: 4, Forged: true},
		{Event: "lifecycle", Time: start, Path: "/hook", Index: 3, Size: 4},
		{Event: "rejected", Time: start, Path: "/hook", Status: 400, Error: "the body is not a changeNotificationCollection: invalid character 'h' looking for beginning of value"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestColors(t *testing.T) {
	t.Parallel()
	env := func(name, value string) func(string) string {
		return func(asked string) string {
			if asked == name {
				return value
			}
			return ""
		}
	}
	device, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0) // a character device, as a terminal is
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = device.Close() }()
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	if !listen.Colors(device, env("", "")) {
		t.Error("no colours on a terminal")
	}
	if listen.Colors(device, env("NO_COLOR", "1")) || listen.Colors(device, env("TERM", "dumb")) {
		t.Error("colours that nobody wants")
	}
	if listen.Colors(file, env("", "")) || listen.Colors(&bytes.Buffer{}, env("", "")) {
		t.Error("colours in a file")
	}
}

// Whatever is sent: what is taken is told on lines that are JSON, without control characters, and no
// clientState gets out.
func FuzzCollection(f *testing.F) {
	f.Add([]byte(story))
	f.Add([]byte(collection))
	f.Add([]byte(`{"value":[{"clientState":"zzz","CLIENTSTATE":"zzz","resource":"` + "\xff\u009b" + `"}],"validationTokens":null}`))
	f.Add([]byte(`{"Value":[{"resourceData":[1,{"a":"\u0000\ud800"}]},{}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		parsed, err := listen.ParseCollection(body)
		if err != nil {
			return
		}
		for _, format := range []listen.Format{listen.Text, listen.JSON} {
			var out bytes.Buffer
			count := 0
			r, err := listen.New(listen.Options{
				Out: &out, Format: format, Logger: quiet(), Now: func() time.Time { return start },
				Received: func(one *listen.Receipt) { count++; checkRaw(t, one) },
			})
			if err != nil {
				t.Fatal(err)
			}
			deliver(t, r, body)
			if count != len(parsed.Value) {
				t.Errorf("received %d of %d", count, len(parsed.Value))
			}
			for text := range strings.Lines(out.String()) {
				text = strings.TrimSuffix(text, "\n")
				if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
					t.Errorf("control characters in %q", text)
				}
				if format == listen.JSON && !json.Valid([]byte(text)) {
					t.Errorf("not JSON: %s", text)
				}
			}
		}
	})
}

func checkRaw(t *testing.T, one *listen.Receipt) {
	t.Helper()
	var members map[string]json.RawMessage
	if err := json.Unmarshal(one.Raw, &members); err != nil {
		t.Errorf("raw %q: %v", one.Raw, err)
	}
	for name := range members {
		if strings.EqualFold(name, "clientState") {
			t.Errorf("raw holds %s", name)
		}
	}
}
