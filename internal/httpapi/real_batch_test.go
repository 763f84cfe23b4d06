package httpapi_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"heliograph.dev/client"
	"heliograph.dev/internal/clock"
)

// call sends a request with an application's own token, and returns the status and the answer.
func (s *real) call(id, method, path, body string) (int, string) {
	s.t.Helper()
	token, err := client.ClientCredentials(client.Credentials{
		TokenURL: s.URL + "/" + tenant + "/oauth2/v2.0/token", ClientID: id, ClientSecret: "any",
	})(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(s.t.Context(), method, s.URL+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := s.Client().Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// Through the real rules, handshakes and engine: several subscriptions are created at once, those that fail do so alone,
// and what depends on them waits.
func TestRealBatch(t *testing.T) {
	t.Parallel()
	s := newReal(t)
	url, seen := receiver(t, same)
	bad, _ := receiver(t, func(string) string { return "no" })
	create := func(id, folder, url, after string) string {
		text, err := json.Marshal(map[string]any{
			"id": id, "method": "POST", "url": "/subscriptions", "headers": map[string]string{"Content-Type": "application/json"},
			"dependsOn": strings.Fields(after),
			"body": map[string]string{
				"resource": "users/" + creator + "/mailFolders('" + folder + "')/messages", "changeType": "created",
				"notificationUrl": url, "expirationDateTime": clock.System().Now().Add(time.Hour).UTC().Format(time.RFC3339),
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	status, body := s.call(app, "POST", "/v1.0/$batch", `{"requests":[`+strings.Join([]string{
		create("inbox", "inbox", url, ""), create("drafts", "drafts", url, ""), create("silent", "archive", bad, ""),
		create("again", "Inbox", url, "inbox"), create("never", "junkemail", url, "silent"),
		`{"id":"list","method":"GET","url":"/subscriptions","dependsOn":["inbox","drafts"]}`,
	}, ",")+`]}`)
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	var answers struct {
		Responses []struct {
			ID     string
			Status int
			Body   struct {
				Value []any
				Error struct{ Code string }
			}
		}
	}
	decode(t, body, &answers)
	want := map[string]int{"inbox": 201, "drafts": 201, "silent": 400, "again": 409, "never": 424, "list": 200}
	for _, answer := range answers.Responses {
		if answer.Status != want[answer.ID] {
			t.Errorf("%s: %d %s", answer.ID, answer.Status, answer.Body.Error.Code)
		}
		if answer.ID == "list" && len(answer.Body.Value) != 2 {
			t.Errorf("listed %v", answer.Body.Value)
		}
	}
	if len(answers.Responses) != len(want) || len(seen()) != 2 {
		t.Errorf("%d answers, %d handshakes", len(answers.Responses), len(seen()))
	}
}

// contract 6.1: the rules refuse a list that is to select, and say what they pass over.
func TestRealListOptions(t *testing.T) {
	t.Parallel()
	s := newReal(t)
	for query, want := range map[string]int{
		"$filter=resource%20eq%20'x'": 400, "$search=x": 400, "$skip=1": 400, "$skiptoken=x": 400, "$top=1": 200, "$select=id": 200,
	} {
		status, body := s.call(app, "GET", "/v1.0/subscriptions?"+query, "")
		if status != want {
			t.Errorf("%s: %d %s", query, status, body)
		}
		if name, _, _ := strings.Cut(query, "="); want == 400 && name != "$skiptoken" && !strings.Contains(body, `"The query parameter '`+name+`' is not supported."`) {
			t.Errorf("%s: %s", query, body)
		}
	}
}
