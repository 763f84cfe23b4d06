package doctor

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"heliograph.dev"
)

// item is one notification on its way.
type item map[string]any

// lease is when the made-up subscription ends.
func (v *visit) lease() string {
	return v.Now().Add(24 * time.Hour).UTC().Format("2006-01-02T15:04:05.0000000Z")
}

// common are the fields of every item (contract 11.2 to 11.5).
func (v *visit) common() item {
	i := item{
		"subscriptionId":                 v.subscription,
		"subscriptionExpirationDateTime": v.lease(),
		"tenantId":                       v.Tenant,
	}
	if !v.ClientState.IsZero() {
		i["clientState"] = v.ClientState.Reveal()
	}
	return i
}

// change is a notification of a change, with an id of its own.
func (v *visit) change() item {
	i := v.common()
	instance := heliograph.NewGUID().String()
	resource := strings.Trim(v.Resource, "/") + "/" + instance
	i["id"] = heliograph.NewGUID().String()
	i["changeType"] = "created"
	i["resource"] = resource
	i["resourceData"] = item{"@odata.type": "#Microsoft.Graph.Message", "@odata.id": resource, "@odata.etag": `W/"1"`, "id": instance}
	return i
}

// with returns the item with one more field, or another value for one.
func (i item) with(name string, value any) item {
	i[name] = value
	return i
}

// without returns the item less a field.
func (i item) without(name string) item {
	delete(i, name)
	return i
}

// collection is the body of a request (contract 10.1).
func collection(tokens []string, items ...item) []byte {
	body := item{"value": items}
	if tokens != nil {
		body["validationTokens"] = tokens
	}
	text, err := json.Marshal(body)
	if err != nil { // unreachable: maps of strings
		panic(fmt.Sprintf("doctor: %v", err))
	}
	return text
}
