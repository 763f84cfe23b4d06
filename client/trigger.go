package client

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
)

// TriggerRequest asks for made-up changes. Only Event is needed.
type TriggerRequest struct {
	// Event is NAME.created, NAME.updated or NAME.deleted, where NAME is a fixture or a row of the catalog; or all.
	Event string `json:"event"`
	User  string `json:"user,omitempty"`
	// Parameters choose which resource it is. An empty one takes the paths away that name it.
	Parameters map[string]string `json:"parameters,omitempty"`
	// Set changes properties of the resource, in this order.
	Set Settings `json:"set,omitempty"`
	// Data takes the place of the resource.
	Data json.RawMessage `json:"data,omitempty"`
	// Seed makes what is random the same again. Nil: the server chooses one.
	Seed *uint64 `json:"seed,omitempty"`
	// First says which of a seed's changes is the first, Count how many there are to be; 0 is one.
	First uint64 `json:"first,omitempty"`
	Count int    `json:"count,omitempty"`
	// Tenant is the resource's. Empty: the caller's.
	Tenant string `json:"tenant,omitempty"`
}

// Setting is a new value for a property: from.emailAddress.address, toRecipients[0].
type Setting struct {
	Name  string
	Value any
}

// Settings are an object on the wire, whose order counts.
type Settings []Setting

// MarshalJSON writes the object.
func (s Settings) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, one := range s {
		if i > 0 {
			b.WriteByte(',')
		}
		for j, part := range []any{one.Name, one.Value} {
			text, err := json.Marshal(part)
			if err != nil {
				return nil, err
			}
			b.WriteString(":"[:j])
			b.Write(text)
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// Triggered is what was made up and published.
type Triggered struct {
	Seed     uint64            `json:"seed"`
	Accepted int               `json:"accepted"`
	Changes  []TriggeredChange `json:"changes"`
}

// TriggeredChange is one made-up change.
type TriggeredChange struct {
	ID         string            `json:"id"`
	Event      string            `json:"event"`
	ChangeType string            `json:"changeType"`
	Resource   string            `json:"resource"`
	Paths      []string          `json:"paths"`
	Parameters map[string]string `json:"parameters"`
	Data       json.RawMessage   `json:"data,omitempty"`
}

// Trigger is an event that can be triggered.
type Trigger struct {
	Event      string             `json:"event"`
	Fixture    string             `json:"fixture"`
	About      string             `json:"about,omitempty"`
	ChangeType string             `json:"changeType"`
	Rows       []string           `json:"rows"`
	Resource   string             `json:"resource"`
	Paths      []string           `json:"paths"`
	Parameters []TriggerParameter `json:"parameters"`
	Example    json.RawMessage    `json:"example,omitempty"`
}

// TriggerParameter is a part of the resource's path that can be chosen.
type TriggerParameter struct {
	Name    string `json:"name"`
	Default string `json:"default"`
	About   string `json:"about,omitempty"`
	// Seeded says that the default is another with each seed.
	Seeded bool `json:"seeded"`
}

// Trigger makes changes up and publishes them, at a server that allows it, for a caller with Heliograph.Control and
// Changes.Publish.
func (c *Client) Trigger(ctx context.Context, r TriggerRequest) (Triggered, error) {
	var t Triggered
	err := c.do(ctx, call{method: http.MethodPost, path: "/control/v1/trigger", body: r}, &t)
	return t, err
}

// Triggers returns every event that can be triggered.
func (c *Client) Triggers(ctx context.Context) ([]Trigger, error) {
	var list struct {
		Value []Trigger `json:"value"`
	}
	err := c.do(ctx, call{method: http.MethodGet, path: "/control/v1/triggers"}, &list)
	return list.Value, err
}
