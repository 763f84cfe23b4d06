package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"go.yaml.in/yaml/v3"

	"heliograph.dev"
	"heliograph.dev/docs/reference"
)

// openAPIAsJSON returns the description of the API, which people write as YAML, as JSON.
func openAPIAsJSON() (json.RawMessage, error) {
	var description map[string]any
	if err := yaml.Unmarshal([]byte(reference.OpenAPI()), &description); err != nil {
		return nil, fmt.Errorf("read the description of the API: %w", err)
	}
	text, err := json.Marshal(description)
	if err != nil {
		return nil, fmt.Errorf("write the description of the API: %w", err)
	}
	return text, nil
}

func (a *API) describeAPI(context.Context, *heliograph.Caller, none) (json.RawMessage, error) {
	return a.openAPI()
}

func describedAPI(_ *exchange, description json.RawMessage) answer {
	return answer{status: http.StatusOK, body: description}
}

// serviceDocument is what OData shows at a version's root: what there is below it.
type serviceDocument struct {
	Context string      `json:"@odata.context,omitempty"`
	Value   []entitySet `json:"value"`
}

type entitySet struct {
	Name string `json:"name"`
	Kind string `json:"kind"`
	URL  string `json:"url"`
}

func (a *API) describeService(context.Context, *heliograph.Caller, none) ([]entitySet, error) {
	return []entitySet{{Name: "subscriptions", Kind: "EntitySet", URL: "subscriptions"}}, nil
}

func describedService(x *exchange, sets []entitySet) answer {
	f := formatOf(x.request.Header)
	d := serviceDocument{Value: sets}
	if f.metadata != bare {
		d.Context = x.root() + "/$metadata"
	}
	return answer{status: http.StatusOK, media: f.media(), body: d}
}
