package heliograph_test

import (
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestTour: the root package's comment leads to every package there is, and to none that there is not.
func TestTour(t *testing.T) {
	t.Parallel()
	tour, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	rooms, linked := house(), map[string]bool{"heliograph": true}
	for _, link := range regexp.MustCompile(`\[`+module+`/([\w/]+)\]`).FindAllStringSubmatch(string(tour), -1) {
		name := nameOf(link[1])
		if _, ok := rooms[name]; !ok {
			t.Errorf("the tour leads to %s, which is not there", link[1])
		}
		linked[name] = true
	}
	for name := range rooms {
		if !linked[name] {
			t.Errorf("the tour does not lead to %s", name)
		}
	}
}

// TestDependenciesHaveReasons: ADR 7 has a line for each module that our code or tests import, and for no other.
func TestDependenciesHaveReasons(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("docs/adr/0007-dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	used := code{imports: map[string]bool{}}
	walkGo(t, used.read)
	imported := map[string]bool{}
	for _, required := range regexp.MustCompile(`(?m)^\t(\S+) v`).FindAllStringSubmatch(string(mod), -1) {
		for name := range used.imports {
			if name == required[1] || strings.HasPrefix(name, required[1]+"/") {
				imported[required[1]] = true
			}
		}
	}
	told := map[string]bool{}
	for _, line := range regexp.MustCompile("(?m)^- `(\\S+)`: .+$").FindAllStringSubmatch(string(page), -1) {
		told[line[1]] = true
		if !imported[line[1]] {
			t.Errorf("ADR 7 gives a reason for %s, which nothing imports", line[1])
		}
	}
	for name := range imported {
		if !told[name] {
			t.Errorf("ADR 7 gives no reason for %s", name)
		}
	}
}

var (
	mdLink    = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	mdHeading = regexp.MustCompile(`(?m)^#{1,6} +(.*)$`)
	mdFence   = regexp.MustCompile("(?ms)^```.*?^```$")
	notInSlug = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// TestLinks: every link of a page to a file leads to one, and its anchor to a heading.
func TestLinks(t *testing.T) {
	t.Parallel()
	err := filepath.WalkDir(".", func(page string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && page != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules") {
			return fs.SkipDir
		}
		if filepath.Ext(page) != ".md" {
			return nil
		}
		text, err := os.ReadFile(page)
		if err != nil {
			return err
		}
		for _, link := range mdLink.FindAllStringSubmatch(mdFence.ReplaceAllString(string(text), ""), -1) {
			checkLink(t, page, link[1])
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func checkLink(t *testing.T, page, link string) {
	t.Helper()
	u, err := url.Parse(link)
	if err != nil {
		t.Errorf("%s: %q is no link: %v", page, link, err)
		return
	}
	if u.Scheme != "" {
		return // elsewhere: not ours to check without a network
	}
	target := page
	if u.Path != "" {
		target = filepath.Join(filepath.Dir(page), filepath.FromSlash(u.Path))
	}
	if _, err := os.Stat(target); err != nil {
		t.Errorf("%s: %s leads nowhere", page, link)
		return
	}
	if u.Fragment == "" || filepath.Ext(target) != ".md" {
		return
	}
	text, err := os.ReadFile(target)
	if err != nil {
		t.Fatal(err)
	}
	for _, heading := range mdHeading.FindAllStringSubmatch(mdFence.ReplaceAllString(string(text), ""), -1) {
		slug := strings.ReplaceAll(notInSlug.ReplaceAllString(strings.ToLower(heading[1]), ""), " ", "-")
		if slug == u.Fragment {
			return
		}
	}
	t.Errorf("%s: %s leads to no heading", page, link)
}
