package httpapi_test

import (
	"strings"
	"testing"
)

func mediaOf(metadata, ieee754 string) string {
	return "application/json;odata.metadata=" + metadata + ";odata.streaming=true;IEEE754Compatible=" + ieee754 + ";charset=utf-8"
}

// Whatever a client accepts, it gets JSON, with the OData metadata that it likes most.
func TestAccept(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.send("POST", "/v1.0/subscriptions", plainCreate)
	id := b.shelf.list[0].ID.String()
	minimal, none, full := mediaOf("minimal", "false"), mediaOf("none", "false"), mediaOf("full", "false")
	for accept, want := range map[string]string{
		"":                                 minimal,
		"*/*":                              minimal,
		"application/json":                 minimal,
		"APPLICATION/JSON":                 minimal,
		"application/*":                    minimal,
		"application/json;charset=utf-8":   minimal,
		"application/json; charset=utf-16": minimal,
		"application/json;odata.metadata=minimal":                       minimal,
		"application/json;odata.metadata=none":                          none,
		"application/json; odata.metadata=None":                         none,
		`application/json;odata.metadata="none"`:                        none,
		"application/json;metadata=none":                                none,
		"application/json;odata.metadata=full":                          full,
		"application/json;odata.metadata=verbose":                       minimal,
		"application/json;odata=nometadata":                             minimal,
		"application/json;IEEE754Compatible=true":                       mediaOf("minimal", "true"),
		"application/json;odata.metadata=full;ieee754compatible=TRUE":   mediaOf("full", "true"),
		"application/json;odata.streaming=true;IEEE754Compatible=false": minimal,
		"text/html": minimal, // a browser
		"text/html,application/xml;q=0.9,*/*;q=0.8": minimal,
		"application/xml":      minimal,
		"application/atom+xml": minimal,
		"nonsense":             minimal,
		";;,":                  minimal,
		"application/json;odata.metadata=full;q=0.4, application/json;odata.metadata=none;q=0.5":            none,
		"application/json;odata.metadata=none;q=0.4, application/json;odata.metadata=full;q=0.5, */*;q=0.1": full,
		"application/json;odata.metadata=none, application/json;odata.metadata=full":                        none,
		"*/*, application/json;odata.metadata=none":                                                         none, // says more
		"application/*;odata.metadata=full, */*":                                                            full,
		"application/json;odata.metadata=none;q=0, application/json;q=0.001":                                minimal,
		"application/json;odata.metadata=none;q=0":                                                          minimal,
		"application/json;odata.metadata=none;q=x, */*;q=0.1":                                               minimal,
		"application/json;odata.metadata=none;q=7, application/json;odata.metadata=full":                    none,
	} {
		for _, path := range []string{"/v1.0/subscriptions", "/v1.0/subscriptions/" + id, "/v1.0"} {
			r := b.send("GET", path, "", "Accept", accept)
			b.wants(r, 200, "Content-Type", want, "OData-Version", "4.0")
			if bare := want == none; bare == strings.Contains(r.body, "@odata.context") {
				t.Errorf("%s, accepting %q: %s", path, accept, r.body)
			}
		}
		b.wants(b.send("GET", "/v1.0/$metadata", "", "Accept", accept), 200, "Content-Type", "application/xml; charset=utf-8")
		b.refuses(b.send("GET", "/v1.0/subscriptions/"+firstID, "", "Accept", accept), 404, "ResourceNotFound", "The object was not found.", "subscription.not_found")
	}
}

// What odata.metadata adds and leaves out (OData JSON Format 4.01, section 3.1).
func TestMetadataLevels(t *testing.T) {
	t.Parallel()
	for level, name := range map[string]string{"none": "get-none", "full": "get-full-metadata"} {
		b := newBench(t)
		accept := []string{"Host", "graph.example", "Accept", "application/json;odata.metadata=" + level}
		made := b.send("POST", "/v1.0/subscriptions", plainCreate, accept...)
		b.wants(made, 201, "Content-Type", mediaOf(level, "false"))
		one := b.send("GET", "/v1.0/subscriptions/"+b.shelf.list[0].ID.String(), "", accept...)
		if one.body != made.body {
			t.Errorf("201 %s\n200 %s", made.body, one.body)
		}
		golden(t, name, one.body)
		list := b.send("GET", "/v1.0/subscriptions", "", accept...)
		if tells := strings.Contains(list.body, `"@odata.editLink":"subscriptions('`); tells != (level == "full") {
			t.Errorf("%s: %s", level, list.body)
		}
		if strings.Count(list.body, "@odata.context") > 1 {
			t.Errorf("an item with a context: %s", list.body)
		}
	}
}

// The root of a version says what is below it.
func TestServiceDocument(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, path := range []string{"/v1.0", "/v1.0/", "/beta"} {
		r := b.send("GET", path, "", "Authorization", "", "Host", "graph.example")
		b.wants(r, 200)
		sameJSON(t, r.body, `{"@odata.context":"http://graph.example`+strings.TrimSuffix(path, "/")+`/$metadata","value":[{"name":"subscriptions","kind":"EntitySet","url":"subscriptions"}]}`)
	}
}
