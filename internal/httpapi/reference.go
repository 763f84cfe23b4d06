package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"go.yaml.in/yaml/v3"

	"heliograph.dev"
)

// openAPIAsJSON returns the description of the API, which people write as YAML, as JSON.
func openAPIAsJSON(text string) (string, error) {
	var description map[string]any
	if err := yaml.Unmarshal([]byte(text), &description); err != nil {
		return "", fmt.Errorf("read the description of the API: %w", err)
	}
	b, err := json.Marshal(description)
	if err != nil {
		return "", fmt.Errorf("write the description of the API: %w", err)
	}
	return string(b), nil
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
