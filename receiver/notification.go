package receiver

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// maxItems bounds what one body may unfold into: a notification takes a hundred times the memory of the two bytes
// that an empty one is written in.
const maxItems = 10_000

// ChangeType is what happened to a resource.
type ChangeType string

// The change types. A sender may one day send others.
const (
	Created ChangeType = "created"
	Updated ChangeType = "updated"
	Deleted ChangeType = "deleted"
)

// LifecycleEvent is what happened to a subscription.
type LifecycleEvent string

// The lifecycle events. There may be others one day: ignore those that you do not know.
const (
	// Missed means that notifications were lost: read the resources again.
	Missed LifecycleEvent = "missed"
	// SubscriptionRemoved means that there will be no more: create the subscription again.
	SubscriptionRemoved LifecycleEvent = "subscriptionRemoved"
	// ReauthorizationRequired means that there will be no more unless you reauthorize or renew the subscription soon.
	ReauthorizationRequired LifecycleEvent = "reauthorizationRequired"
)

// Collection is the body of a request: the notifications that it brings, of one or of many subscriptions.
type Collection struct {
	Notifications []Notification
	// ValidationTokens prove who sent those with resource data: see VerifyTokens.
	ValidationTokens []string
}

// Notification is one change of one resource, or one event of a subscription's life. Printed or logged it shows
// neither its client state nor its data.
type Notification struct {
	// ID is the same each time the notification is sent. Graph leaves it out for some resources.
	ID             string
	SubscriptionID string
	// SubscriptionExpires is zero when it was not sent.
	SubscriptionExpires time.Time
	TenantID            string
	ClientState         string

	// ChangeType is set for a change, Lifecycle for an event.
	ChangeType ChangeType
	Lifecycle  LifecycleEvent

	// Resource is the path of what changed.
	Resource     string
	ResourceData ResourceData
	// EncryptedContent is the sealed resource, when the subscription asked for it.
	EncryptedContent *EncryptedContent
	// Data is the resource itself: what EncryptedContent held. A Handler fills it.
	Data json.RawMessage
}

// ResourceData says what changed. Which of its fields are set depends on the resource.
type ResourceData struct {
	ID        string
	ODataType string
	ODataID   string
	ODataETag string
	// JSON is all of it.
	JSON json.RawMessage
}

// IsLifecycle reports whether it is about the subscription and not about a resource.
func (n *Notification) IsLifecycle() bool { return n.Lifecycle != "" }

// Decode reads the resource into v: Data where there is any, else the little that ResourceData tells.
func (n *Notification) Decode(v any) error {
	switch {
	case len(n.Data) > 0:
		return json.Unmarshal(n.Data, v)
	case len(n.ResourceData.JSON) > 0:
		return json.Unmarshal(n.ResourceData.JSON, v)
	}
	return errors.New("the notification brings no data")
}

// String says what it is about.
func (n Notification) String() string {
	if n.IsLifecycle() {
		return fmt.Sprintf("%s of subscription %s", n.Lifecycle, n.SubscriptionID)
	}
	return fmt.Sprintf("%s %s for subscription %s", n.ChangeType, n.Resource, n.SubscriptionID)
}

// GoString is String, for %#v.
func (n Notification) GoString() string { return n.String() }

// LogValue shows what it is about.
func (n Notification) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("id", n.ID), slog.String("subscription_id", n.SubscriptionID)}
	if n.IsLifecycle() {
		return slog.GroupValue(append(attrs, slog.String("lifecycle_event", string(n.Lifecycle)))...)
	}
	return slog.GroupValue(append(attrs, slog.String("change_type", string(n.ChangeType)), slog.String("resource", n.Resource))...)
}

// ParseCollection reads the body of a request. It is lenient where senders differ: unknown properties and events,
// the case of names, forms of dates. It checks nothing: whoever knows the URL can write such a body.
func ParseCollection(body []byte) (*Collection, error) {
	var wire struct {
		Value  *wireItems `json:"value"`
		Tokens []string   `json:"validationTokens"`
	}
	if err := json.Unmarshal(body, &wire); err != nil {
		return nil, fmt.Errorf("read notifications: %w", err)
	}
	if wire.Value == nil {
		return nil, errors.New("read notifications: there is no value")
	}
	if len(wire.Tokens) > maxItems {
		return nil, fmt.Errorf("read notifications: more than %d validation tokens", maxItems)
	}
	return &Collection{Notifications: *wire.Value, ValidationTokens: wire.Tokens}, nil
}

// wireItems reads items one by one, so that too many are noticed before there is a value for each.
type wireItems []Notification

// UnmarshalJSON reads an array of items.
func (w *wireItems) UnmarshalJSON(text []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	if start, err := decoder.Token(); err != nil || start != json.Delim('[') {
		return errors.New("value is not an array")
	}
	items := make([]Notification, 0, 1)
	for decoder.More() {
		if len(items) == maxItems {
			return fmt.Errorf("more than %d notifications", maxItems)
		}
		var one wireItem
		if err := decoder.Decode(&one); err != nil {
			return err
		}
		items = append(items, one.notification())
	}
	*w = items
	return nil
}

// wireItem is a notification as it is sent.
type wireItem struct {
	ID             string            `json:"id"`
	SubscriptionID string            `json:"subscriptionId"`
	Expires        wireTime          `json:"subscriptionExpirationDateTime"`
	TenantID       string            `json:"tenantId"`
	ClientState    string            `json:"clientState"`
	ChangeType     ChangeType        `json:"changeType"`
	Lifecycle      LifecycleEvent    `json:"lifecycleEvent"`
	Resource       string            `json:"resource"`
	ResourceData   wireResourceData  `json:"resourceData"`
	Encrypted      *EncryptedContent `json:"encryptedContent"`
}

func (w *wireItem) notification() Notification {
	return Notification{
		ID: w.ID, SubscriptionID: w.SubscriptionID, SubscriptionExpires: time.Time(w.Expires), TenantID: w.TenantID,
		ClientState: w.ClientState, ChangeType: known(w.ChangeType, Created, Updated, Deleted),
		Lifecycle: known(w.Lifecycle, Missed, SubscriptionRemoved, ReauthorizationRequired),
		Resource:  w.Resource, ResourceData: ResourceData(w.ResourceData), EncryptedContent: w.Encrypted,
	}
}

// known returns the word as we spell it, whatever case the sender used. A word that we do not know stays as it is.
func known[T ~string](word T, words ...T) T {
	for _, w := range words {
		if strings.EqualFold(string(w), string(word)) {
			return w
		}
	}
	return word
}

// wireTime reads a date in any form in use. One that it cannot read is none: no notification is worth losing for it.
type wireTime time.Time

// UnmarshalJSON reads the date.
func (t *wireTime) UnmarshalJSON(text []byte) error {
	for _, form := range []string{time.RFC3339, "2006-01-02T15:04:05"} { // fractions are read without being asked for
		if parsed, err := time.Parse(form, word(text)); err == nil {
			*t = wireTime(parsed)
		}
	}
	return nil
}

// wireResourceData reads an object of which every property may be there or not, and anything else as nothing.
type wireResourceData ResourceData

// UnmarshalJSON reads the object and keeps all of it.
func (r *wireResourceData) UnmarshalJSON(text []byte) error {
	var fields struct {
		ID        json.RawMessage `json:"id"`
		ODataType json.RawMessage `json:"@odata.type"`
		ODataID   json.RawMessage `json:"@odata.id"`
		ODataETag json.RawMessage `json:"@odata.etag"`
	}
	if json.Unmarshal(text, &fields) == nil && !bytes.Equal(text, []byte("null")) {
		*r = wireResourceData{
			ID: word(fields.ID), ODataType: word(fields.ODataType), ODataID: word(fields.ODataID), ODataETag: word(fields.ODataETag),
			JSON: bytes.Clone(text),
		}
	}
	return nil
}

// word returns a property that is text, or nothing.
func word(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}
