// Package reference holds the descriptions of the API that machines read. They stand among the pages for people, and
// the server shows them: /openapi.yaml, /openapi.json, and $metadata below each version of the Graph API.
package reference

import _ "embed"

//go:embed openapi.yaml
var openAPI string

//go:embed metadata.xml
var metadata string

// OpenAPI returns the description of the whole API, OpenAPI 3.1 in YAML.
func OpenAPI() string { return openAPI }

// Metadata returns the Graph API's model of subscriptions and notifications, OData CSDL in XML.
func Metadata() string { return metadata }
