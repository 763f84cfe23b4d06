package listen

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"heliograph.dev"
	"heliograph.dev/receiver"
)

// Collection is a changeNotificationCollection (contract section 11).
type Collection struct {
	Value  []Notification
	Tokens []string // validation tokens
}

// Notification is one item of a collection. What it lacks is zero; what is not named here is in Raw.
type Notification struct {
	ID             string
	SubscriptionID string
	Expires        time.Time // of the subscription; zero when it cannot be read
	TenantID       string
	ClientState    heliograph.Secret
	ChangeType     string // "" in a lifecycle notification
	LifecycleEvent string // "" in a notification of a change
	Resource       string
	ResourceData   json.RawMessage
	// EventTime is when the change happened, where resourceData says so (contract 11.15).
	EventTime time.Time
	// Encrypted is what is known of encrypted content without its key, or nil.
	Encrypted *Encrypted
	// Raw is the whole item without its clientState, as a JSON object.
	Raw json.RawMessage
}

// Encrypted describes a notification's encrypted content.
type Encrypted struct {
	CertificateID string
	Size          int // of its base64

	content receiver.EncryptedContent
}

// wireItem is an item as it is on the wire. Names match in any case, as clients of Graph read them.
type wireItem struct {
	ID               string                     `json:"id"`
	SubscriptionID   string                     `json:"subscriptionId"`
	Expires          string                     `json:"subscriptionExpirationDateTime"`
	TenantID         string                     `json:"tenantId"`
	ClientState      *string                    `json:"clientState"`
	ChangeType       string                     `json:"changeType"`
	LifecycleEvent   string                     `json:"lifecycleEvent"`
	Resource         string                     `json:"resource"`
	ResourceData     json.RawMessage            `json:"resourceData"`
	EncryptedContent *receiver.EncryptedContent `json:"encryptedContent"`
}

// ParseCollection reads a collection. It refuses what is none, and takes items with parts that it does not
// know: Graph adds some now and then.
func ParseCollection(body []byte) (Collection, error) {
	var wire struct {
		Value            *[]json.RawMessage `json:"value"`
		ValidationTokens []string           `json:"validationTokens"`
	}
	if err := json.Unmarshal(body, &wire); err != nil {
		return Collection{}, fmt.Errorf("the body is not a changeNotificationCollection: %w", err)
	}
	if wire.Value == nil {
		return Collection{}, errors.New(`the body is not a changeNotificationCollection: it has no "value"`)
	}
	collection := Collection{Value: make([]Notification, len(*wire.Value)), Tokens: wire.ValidationTokens}
	for i, raw := range *wire.Value {
		n, err := parseItem(raw)
		if err != nil {
			return Collection{}, fmt.Errorf("item %d of the collection is not a change notification: %w", i, err)
		}
		collection.Value[i] = n
	}
	return collection, nil
}

func parseItem(raw json.RawMessage) (Notification, error) {
	if bytes.Equal(raw, []byte("null")) {
		return Notification{}, errors.New("it is null")
	}
	var wire wireItem
	if err := json.Unmarshal(raw, &wire); err != nil {
		return Notification{}, err
	}
	n := Notification{
		ID: wire.ID, SubscriptionID: wire.SubscriptionID, TenantID: wire.TenantID,
		ChangeType: wire.ChangeType, LifecycleEvent: wire.LifecycleEvent,
		Resource: wire.Resource, ResourceData: wire.ResourceData, Raw: raw,
	}
	n.Expires, _ = time.Parse(time.RFC3339, wire.Expires) // unreadable: not known
	if wire.EncryptedContent != nil {
		n.Encrypted = &Encrypted{
			CertificateID: wire.EncryptedContent.EncryptionCertificateID, Size: len(wire.EncryptedContent.Data),
			content: *wire.EncryptedContent,
		}
	}
	var timed struct {
		EventTime string `json:"eventTime"`
	}
	if json.Unmarshal(wire.ResourceData, &timed) == nil {
		n.EventTime, _ = time.Parse(time.RFC3339, timed.EventTime)
	}
	if wire.ClientState == nil {
		return n, nil
	}
	n.ClientState = heliograph.NewSecret(*wire.ClientState)
	var err error
	n.Raw, err = without(raw, "clientState")
	return n, err
}

// without returns the object without its members of that name, in any case.
func without(object json.RawMessage, name string) (json.RawMessage, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(object, &members); err != nil {
		return nil, err
	}
	for key := range members {
		if strings.EqualFold(key, name) {
			delete(members, key)
		}
	}
	return json.Marshal(members)
}
