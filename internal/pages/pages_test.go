package pages_test

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/pages"
)

func newPages(t *testing.T, session func(context.Context, string) (pages.Token, error)) *pages.Pages {
	t.Helper()
	p, err := pages.New(pages.Options{Session: session})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// answer is one, read.
type answer struct {
	status int
	header http.Header
	body   string
}

func ask(t *testing.T, p *pages.Pages, method, path string, header ...string) answer {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "http://127.0.0.1:8080"+path, nil)
	r.RemoteAddr = "127.0.0.1:50000"
	for i := 0; i < len(header); i += 2 {
		switch header[i] {
		case "Host":
			r.Host = header[i+1]
		case "Peer":
			r.RemoteAddr = header[i+1]
		default:
			r.Header.Set(header[i], header[i+1])
		}
	}
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return answer{w.Code, w.Header(), w.Body.String()}
}

func TestPageAsksForNothingElsewhere(t *testing.T) {
	t.Parallel()
	p := newPages(t, nil)
	r := ask(t, p, "GET", "/")
	body := r.body
	if r.status != 200 || r.header.Get("Content-Type") != "text/html; charset=utf-8" || r.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v", r.status, r.header)
	}
	policy := r.header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "require-trusted-types-for 'script'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("the policy %q lacks %s", policy, want)
		}
	}
	if strings.Contains(policy, "unsafe") || strings.Contains(policy, "http") {
		t.Errorf("the policy %q allows too much", policy)
	}
	links := regexp.MustCompile(`(?:src|href)="([^"#]+)"`).FindAllStringSubmatch(body, -1)
	found := 0
	for _, link := range links {
		if !strings.HasPrefix(link[1], "/assets/") {
			if link[1] != "/openapi.json" {
				t.Errorf("the page asks for %s", link[1])
			}
			continue
		}
		found++
		if got := ask(t, p, "GET", link[1]); got.status != 200 {
			t.Errorf("%s: %d", link[1], got.status)
		}
	}
	if found < 3 || regexp.MustCompile(`(?i)<style|\son\w+=|style=|<script>`).MatchString(body) {
		t.Errorf("%d files, and nothing may stand inside the page: %s", found, body)
	}
}

func TestFilesAreKeptForEver(t *testing.T) {
	t.Parallel()
	p := newPages(t, nil)
	if len(p.Assets()) < 10 {
		t.Fatalf("%d files", len(p.Assets()))
	}
	for _, name := range p.Assets() {
		r := ask(t, p, "GET", name)
		media := r.header.Get("Content-Type")
		if r.status != 200 || !strings.Contains(r.header.Get("Cache-Control"), "immutable") || media == "" || media == "text/html; charset=utf-8" || r.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d %v", name, r.status, r.header)
		}
	}
	old := regexp.MustCompile(`/assets/\w+/`).ReplaceAllString(p.Assets()[0], "/assets/0123456789abcdef/")
	for _, path := range []string{old, "/assets/", "/assets/x", strings.Replace(p.Assets()[0], "app", "..%2fapp", 1) + "x"} {
		if r := ask(t, p, "GET", path); r.status != http.StatusNotFound || r.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %v", path, r.status, r.header)
		}
	}
	if r := ask(t, p, "POST", p.Assets()[0]); r.status != http.StatusMethodNotAllowed {
		t.Errorf("POST of a file: %d", r.status)
	}
}

// What the pages' code may not do, whatever it is given: the policy would refuse it in a browser, and only there.
func TestScriptsMakeNoHTMLOfData(t *testing.T) {
	t.Parallel()
	forbidden := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|(?:fetch|import|from|src|href)\W{1,4}(?:https?:)?//`)
	err := fs.WalkDir(os.DirFS("assets"), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := os.ReadFile("assets/" + name)
		if err != nil {
			return err
		}
		for _, hit := range forbidden.FindAllString(string(body), -1) {
			t.Errorf("%s has %s", name, hit)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestTokenIsForThisMachinesOwnPages(t *testing.T) {
	t.Parallel()
	expires := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	var asked []string
	p := newPages(t, func(_ context.Context, origin string) (pages.Token, error) {
		asked = append(asked, origin)
		return pages.Token{Text: heliograph.NewSecret("t0ken"), Expires: expires}, nil
	})
	same := []string{"Sec-Fetch-Site", "same-origin", "Origin", "http://127.0.0.1:8080"}
	for _, c := range []struct {
		name   string
		method string
		header []string
		want   int
	}{
		{"a page of this server", "POST", same, 200},
		{"an old browser's, by its origin", "POST", []string{"Origin", "http://127.0.0.1:8080"}, 200},
		{"under another name of this machine", "POST", []string{"Sec-Fetch-Site", "same-origin", "Origin", "http://localhost:8080", "Host", "localhost:8080"}, 200},
		{"over IPv6", "POST", []string{"Sec-Fetch-Site", "same-origin", "Host", "[::1]:8080", "Peer", "[::1]:50000"}, 200},
		{"no browser", "POST", nil, 403},
		{"a link", "GET", same, 403},
		{"a page of another site", "POST", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, 403},
		{"a page of another port here", "POST", []string{"Sec-Fetch-Site", "same-site", "Origin", "http://127.0.0.1:3000"}, 403},
		{"an old browser's, of another site", "POST", []string{"Origin", "https://evil.example"}, 403},
		{"one without an origin", "POST", []string{"Origin", "null"}, 403},
		{"a name that was made to point here", "POST", []string{"Sec-Fetch-Site", "same-origin", "Origin", "http://rebound.example:8080", "Host", "rebound.example:8080"}, 403},
		{"another machine", "POST", append([]string{"Peer", "192.0.2.7:50000"}, same...), 403},
	} {
		r := ask(t, p, c.method, "/session", c.header...)
		body := r.body
		if r.status != c.want || r.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d, want %d: %s", c.name, r.status, c.want, body)
		}
		if (r.status == 200) != strings.Contains(body, "t0ken") {
			t.Errorf("%s: %s", c.name, body)
		}
	}
	if len(asked) != 4 || asked[2] != "http://localhost:8080" {
		t.Errorf("tokens were made for %q", asked)
	}
	var got struct{ Token, Expires string }
	if err := json.Unmarshal([]byte(ask(t, p, "POST", "/session", same...).body), &got); err != nil || got.Token != "t0ken" || got.Expires != "2026-11-22T12:00:00Z" {
		t.Errorf("%+v, %v", got, err)
	}
	if r := ask(t, newPages(t, nil), "POST", "/session", same...); r.status != http.StatusForbidden {
		t.Errorf("a server that gives none: %d", r.status)
	}
	people, err := pages.New(pages.Options{SignIn: "/signin"})
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := append([]string{"Peer", "192.0.2.7:50000", "Host", "graph.example"}, "Sec-Fetch-Site", "same-origin")
	if r := ask(t, people, "POST", "/session", elsewhere...); r.status != 200 || r.body != `{"signIn":"/signin"}` {
		t.Errorf("where people sign in: %d %s", r.status, r.body)
	}
	if r := ask(t, people, "POST", "/session", "Sec-Fetch-Site", "cross-site"); r.status != http.StatusForbidden {
		t.Errorf("where people sign in, another site: %d %s", r.status, r.body)
	}
	failing := newPages(t, func(context.Context, string) (pages.Token, error) { return pages.Token{}, errors.New("no key in /var") })
	if r := ask(t, failing, "POST", "/session", same...); r.status != http.StatusInternalServerError || strings.Contains(r.body, "/var") {
		t.Errorf("a failure: %d", r.status)
	}
}

func TestHandles(t *testing.T) {
	t.Parallel()
	p := newPages(t, nil)
	for path, want := range map[string]bool{"/": true, "/session": true, "/assets/x/app.js": true, "/common/oauth2/v2.0/token": false, "/sessions": false, "/asset": false} {
		if p.Handles(path) != want {
			t.Errorf("%s: %v", path, !want)
		}
	}
}
