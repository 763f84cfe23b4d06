package client

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// ChangeType is what happened to a resource, as events name it.
type ChangeType string

// The types of change.
const (
	Created ChangeType = "heliograph.change.created"
	Updated ChangeType = "heliograph.change.updated"
	Deleted ChangeType = "heliograph.change.deleted"
)

// Event is a change to publish.
type Event struct {
	// Source and ID name the event: to send it again, after an error that leaves open whether it arrived, is safe
	// as long as both stay the same. An empty ID is filled with a random one.
	Source, ID string
	Type       ChangeType
	// Resource is the path of what changed: users/{id}/messages/{id}.
	Resource string
	// Paths are further paths under which the change is visible.
	Paths []string
	// ImmutableID is the id that an Outlook resource keeps when it moves. Subscriptions made with
	// Prefer: IdType="ImmutableId" are told it in place of the one in Resource. May be empty.
	ImmutableID string
	// Tenant is the resource's. Empty: the caller's.
	Tenant string
	// Time is when it happened. Zero: when the server takes it.
	Time time.Time
	// Data is the resource as it is now, which must be a JSON object; a json.RawMessage is sent as it stands.
	Data any
	// Traceparent is the W3C trace context that the change belongs to. May be empty.
	Traceparent string
}

// cloudEvent is an Event on the wire.
type cloudEvent struct {
	SpecVersion string     `json:"specversion"`
	ID          string     `json:"id"`
	Source      string     `json:"source"`
	Type        ChangeType `json:"type"`
	Subject     string     `json:"subject"`
	Time        time.Time  `json:"time,omitzero"`
	Tenant      string     `json:"tenantid,omitempty"`
	Paths       string     `json:"paths,omitempty"`
	ImmutableID string     `json:"immutableid,omitempty"`
	Traceparent string     `json:"traceparent,omitempty"`
	Data        any        `json:"data,omitempty"`
}

// Receipt tells how the server knows what it took.
type Receipt struct {
	Accepted int `json:"accepted"`
	// IDs are the changes' ids, in the order of the events.
	IDs []string `json:"ids"`
}

// Publish hands over events, all or none, and returns when the server has them on disk. A call takes up to 1000
// events of one tenant and some 900 KB.
func (c *Client) Publish(ctx context.Context, events ...Event) (Receipt, error) {
	batch := make([]cloudEvent, len(events))
	for i, e := range events {
		if e.ID == "" {
			e.ID = rand.Text()
		}
		batch[i] = cloudEvent{
			SpecVersion: "1.0", ID: e.ID, Source: e.Source, Type: e.Type, Subject: e.Resource, Time: e.Time,
			Tenant: e.Tenant, Paths: strings.Join(e.Paths, " "), ImmutableID: e.ImmutableID, Traceparent: e.Traceparent,
			Data: e.Data,
		}
	}
	var r Receipt
	err := c.do(ctx, call{method: http.MethodPost, path: "/publish", media: "application/cloudevents-batch+json", body: batch}, &r)
	return r, err
}

// PublishRaw hands over events that are CloudEvents in the JSON format already, one object or an array of them.
func (c *Client) PublishRaw(ctx context.Context, events json.RawMessage) (Receipt, error) {
	media := "application/cloudevents+json"
	if text := strings.TrimLeft(string(events), " \t\r\n"); strings.HasPrefix(text, "[") {
		media = "application/cloudevents-batch+json"
	} else if !strings.HasPrefix(text, "{") {
		return Receipt{}, fmt.Errorf("events are a JSON object or an array of them, not %.20q", text)
	}
	var r Receipt
	err := c.do(ctx, call{method: http.MethodPost, path: "/publish", media: media, body: events}, &r)
	return r, err
}
