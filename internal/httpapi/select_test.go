package httpapi_test

import (
	"net/url"
	"strings"
	"testing"

	"heliograph.dev/internal/subscribe"
)

// contract 7.2: $select on one subscription shows what it names.
func TestSelect(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.send("POST", "/v1.0/subscriptions", plainCreate)
	id := b.shelf.list[0].ID.String()
	get := func(query, accept string) reply {
		return b.send("GET", "/v1.0/subscriptions/"+id+"?"+query, "", "Host", "h.example", "Accept", accept)
	}
	whole := get("", "").body
	for query, want := range map[string]string{
		"$select=id":                         `{"@odata.context":"http://h.example/v1.0/$metadata#subscriptions(id)/$entity","id":"` + id + `"}`,
		"%24select=ID,%20changetype":         `{"@odata.context":"http://h.example/v1.0/$metadata#subscriptions(id,changeType)/$entity","id":"` + id + `","changeType":"created,updated"}`,
		"select=clientState,,clientState":    `{"@odata.context":"http://h.example/v1.0/$metadata#subscriptions(clientState)/$entity","clientState":"secretClientValue"}`,
		"$select=notificationUrl&$select=id": `{"@odata.context":"http://h.example/v1.0/$metadata#subscriptions(notificationUrl,id)/$entity","notificationUrl":"https://app.example/hook?a=1&b=2","id":"` + id + `"}`,
		"$select=":                           whole,
		"$select=*":                          whole,
		"$select=id,*":                       whole,
		"$expand=x&$filter=y&$top=1&other=z": whole, // options that say nothing about one
	} {
		r := get(query, "")
		b.wants(r, 200)
		sameJSON(t, r.body, want)
	}
	if strings.Contains(get("$select=notificationUrl", "").body, `\u0026`) {
		t.Error("URLs are compared as text")
	}
	sameJSON(t, get("$select=expirationDateTime", "application/json;odata.metadata=full").body, `{
		"@odata.context":"http://h.example/v1.0/$metadata#subscriptions(expirationDateTime)/$entity","@odata.type":"#microsoft.graph.subscription",
		"@odata.id":"http://h.example/v1.0/subscriptions('`+id+`')","@odata.editLink":"subscriptions('`+id+`')",
		"expirationDateTime@odata.type":"#DateTimeOffset","expirationDateTime":"2026-11-24T10:30:00.9356913Z"}`)
	sameJSON(t, get("$select=resource", "application/json;odata.metadata=none").body, `{"resource":"/me/mailFolders('Inbox')/messages"}`)
	b.refuses(get("$select=id,colour", ""), 400, "BadRequest",
		"Parsing OData Select and Expand failed: Could not find a property named 'colour' on type 'microsoft.graph.subscription'.", "request.select")
	b.refuses(get("$select="+url.QueryEscape("caf\u00e9\r\nX: y"), ""), 400, "BadRequest",
		"Parsing OData Select and Expand failed: Could not find a property named 'caf???X: y' on type 'microsoft.graph.subscription'.", "request.select")
	b.refuses(b.send("GET", "/v1.0/subscriptions/x?$select=colour", ""), 404, "ResourceNotFound", "The object was not found.", "subscription.id")
}

// contract 6.1: what a list's query says reaches the rules, and what they pass over is told.
func TestListOptionsReachTheService(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.wants(b.send("GET", "/v1.0/subscriptions?$top=5&orderby=id&$Select=id&consistencyLevel=eventual&$unheard=1", ""), 200, "Heliograph-Ignored", "$orderby, $select, $top")
	b.wants(b.send("GET", "/v1.0/subscriptions?other=1&$skiptoken=", ""), 200, "Heliograph-Ignored", "")
	b.send("GET", "/v1.0/subscriptions?%24filter=x&search=y", "")
	want := []subscribe.ListRequest{{Options: []string{"$orderby", "$select", "$top"}}, {}, {Options: []string{"$filter", "$search"}}}
	if len(b.shelf.listed) != len(want) {
		t.Fatalf("%+v", b.shelf.listed)
	}
	for i, r := range b.shelf.listed {
		if strings.Join(r.Options, " ") != strings.Join(want[i].Options, " ") {
			t.Errorf("request %d: %+v", i, r)
		}
	}
}
