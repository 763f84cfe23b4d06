package catalog_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"heliograph.dev"
	"heliograph.dev/internal/catalog"
)

const (
	aGUID  = "6a3f7c12-4c61-4a0e-9a55-6e3f0b7a9d01"
	tenant = heliograph.TenantID("7f0e7c5a-0000-4000-8000-000000000001")
)

func load(tb testing.TB, extra ...catalog.File) *catalog.Catalog {
	tb.Helper()
	c, err := catalog.Load(extra...)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

var braces = regexp.MustCompile(`\{([^{}]*)\}`)

// example fills a template's parameters with values of the kind that Graph has there.
func example(template string) string {
	return braces.ReplaceAllStringFunc(template, func(param string) string {
		switch name := strings.Trim(param, "{}"); name {
		case "user", "organizer", "group", "team", "site", "organizerIds":
			return aGUID
		case "chat":
			return "19:8ea0e38b-efb3-4757-924a-5f94061cf8c2_97f62344-57dc-409c-88ad-c4af14158ff5@unq.gbl.spaces"
		case "joinWebUrl":
			return "https:%2F%2Fteams.microsoft.com%2Fl%2Fmeetup-join%2F19:meeting@thread.v2%2F0%3Fcontext=x"
		case "policyName":
			return "Main Building's"
		case "file...":
			return "Documents/report (final).docx"
		default:
			return "AAMk-" + name + "_1="
		}
	})
}

// quoted doubles the quotes of an example that stands between quotes.
func quoted(s string) string { return strings.ReplaceAll(s, "Building's", "Building''s") }

// forms are the ways to write the same resource (contract 18.1 to 18.4).
func forms(resource string) []string {
	path, query, _ := strings.Cut(resource, "?")
	if query != "" {
		query = "?" + query
	}
	segments := strings.Split(path, "/")
	all := []string{resource, "/" + resource, path + "/" + query, strings.ReplaceAll(resource, "@", "%40")}
	shout, keyed := slices.Clone(segments), segments[0]
	for i, s := range segments {
		isKey := strings.HasPrefix(s, "AAMk-") || strings.HasPrefix(s, "19:") || s == aGUID
		if !isKey && !strings.Contains(s, "(") {
			shout[i] = strings.ToUpper(s)
		}
		switch {
		case i == 0:
		case isKey:
			keyed += "('" + s + "')"
		default:
			keyed += "/" + s
		}
	}
	all = append(all, strings.Join(shout, "/")+query, keyed+query)
	if rest, ok := strings.CutPrefix(resource, "users/"+aGUID); ok {
		all = append(all, "me"+rest, "Users('"+strings.ToUpper(aGUID)+"')"+rest, "users/Adele@Contoso.com"+rest)
	}
	return all
}

func user() catalog.Me {
	return catalog.Me{Object: heliograph.ObjectID(aGUID), UPN: "adele@contoso.COM"}
}

// of returns the candidate of a row.
func of(found []catalog.Resolved, row *catalog.Row) *catalog.Resolved {
	for i := range found {
		if found[i].Row == row {
			return &found[i]
		}
	}
	return nil
}

// watchers returns the subscription paths of a row that see a change, and the instance as the first is told.
func watchers(c *catalog.Catalog, row *catalog.Row, change string) (paths []string, instance catalog.Instance) {
	c.Watchers(change, func(w *catalog.Watcher) {
		if w.Row != row {
			return
		}
		if paths == nil {
			instance = w.Instance()
		}
		paths = append(paths, string(w.AppendPath(nil)))
	})
	return paths, instance
}
