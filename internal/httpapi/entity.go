package httpapi

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"time"

	"heliograph.dev"
)

// subscription is a subscription on the wire, in Graph's order and with its nulls (contract 1.22).
type subscription struct {
	Context                   string  `json:"@odata.context,omitempty"`
	Type                      string  `json:"@odata.type,omitempty"`
	Identity                  string  `json:"@odata.id,omitempty"`
	EditLink                  string  `json:"@odata.editLink,omitempty"`
	ID                        string  `json:"id"`
	Resource                  string  `json:"resource"`
	ApplicationID             string  `json:"applicationId"`
	ChangeType                string  `json:"changeType"`
	ClientState               *string `json:"clientState"`
	NotificationURL           string  `json:"notificationUrl"`
	NotificationQueryOptions  *string `json:"notificationQueryOptions"`
	NotificationContentType   *string `json:"notificationContentType"`
	LifecycleNotificationURL  *string `json:"lifecycleNotificationUrl"`
	ExpirationType            string  `json:"expirationDateTime@odata.type,omitempty"`
	ExpirationDateTime        string  `json:"expirationDateTime"`
	CreatorID                 string  `json:"creatorId"`
	IncludeResourceData       *bool   `json:"includeResourceData"`
	LatestSupportedTLSVersion string  `json:"latestSupportedTlsVersion"`
	EncryptionCertificate     *string `json:"encryptionCertificate"`
	EncryptionCertificateID   *string `json:"encryptionCertificateId"`
	NotificationURLAppID      *string `json:"notificationUrlAppId"`
}

type subscriptionList struct {
	Context  string         `json:"@odata.context,omitempty"`
	Value    []subscription `json:"value"`
	NextLink string         `json:"@odata.nextLink,omitempty"`
}

func wire(s *heliograph.Subscription) subscription {
	w := subscription{
		ID:                        s.ID.String(),
		Resource:                  s.Resource,
		ApplicationID:             string(s.App),
		ChangeType:                s.ChangeTypeText,
		NotificationURL:           s.NotificationURL,
		NotificationQueryOptions:  nullable(s.NotificationQueryOptions),
		NotificationContentType:   nullable(s.NotificationContentType),
		LifecycleNotificationURL:  nullable(s.LifecycleNotificationURL),
		ExpirationDateTime:        stamp(s.Expires),
		CreatorID:                 string(s.Creator),
		IncludeResourceData:       s.IncludeResourceData,
		LatestSupportedTLSVersion: s.LatestSupportedTLSVersion,
		EncryptionCertificate:     nullable(s.EncryptionCertificate),
		EncryptionCertificateID:   nullable(s.EncryptionCertificateID),
		NotificationURLAppID:      nullable(s.NotificationURLAppID),
	}
	if w.LatestSupportedTLSVersion == "" {
		w.LatestSupportedTLSVersion = "v1_2" // contract 1.13
	}
	return w
}

func nullable(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// stamp writes a moment as Graph does: UTC, up to seven digits of a second (contract 1.27).
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.9999999Z07:00") }

// annotate adds what a client asks for with odata.metadata=full: what it could work out by itself (OData JSON Format
// 4.01, section 3.1.2).
func (w *subscription) annotate(root string, f format) {
	if f.metadata != full {
		return
	}
	w.Type, w.ExpirationType = "#microsoft.graph.subscription", "#DateTimeOffset"
	w.EditLink = "subscriptions('" + w.ID + "')"
	w.Identity = root + "/" + w.EditLink
}

// contextOf returns the context of subscriptions (contract 1.23), of which some properties are chosen or all.
func contextOf(chosen []string) string {
	if chosen == nil {
		return "/$metadata#subscriptions"
	}
	return "/$metadata#subscriptions(" + strings.Join(chosen, ",") + ")"
}

// propertyNames returns the properties of a subscription on the wire, in their order.
func propertyNames() []string {
	var names []string
	for _, field := range reflect.VisibleFields(reflect.TypeFor[subscription]()) {
		if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); !strings.Contains(name, "@") {
			names = append(names, name)
		}
	}
	return names
}

// chosenOf reads $select: names in any case, or a star, which is the same as no $select.
func chosenOf(values, properties []string) ([]string, error) {
	var chosen []string
	for name := range strings.SplitSeq(strings.Join(values, ","), ",") {
		name = strings.TrimSpace(name)
		if name == "*" {
			return nil, nil
		}
		i := slices.IndexFunc(properties, func(property string) bool { return strings.EqualFold(property, name) })
		switch {
		case name == "":
		case i < 0:
			return nil, &heliograph.Error{
				Kind: heliograph.Invalid, Rule: "request.select", Code: "BadRequest", // as seen since 2020
				Message: "Parsing OData Select and Expand failed: Could not find a property named '" + headerText(name) + "' on type 'microsoft.graph.subscription'.",
			}
		case !slices.Contains(chosen, properties[i]):
			chosen = append(chosen, properties[i])
		}
	}
	return chosen, nil
}

// part is a subscription of which some properties are shown, with its annotations.
type part struct {
	whole  subscription
	chosen []string
}

// MarshalJSON writes the part.
func (p part) MarshalJSON() ([]byte, error) {
	text, err := encode(p.whole)
	if err != nil {
		return nil, err
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, err
	}
	for name := range all {
		property, _, isAnnotation := strings.Cut(name, "@")
		if of := property; of != "" && !slices.Contains(p.chosen, of) || !isAnnotation && !slices.Contains(p.chosen, name) {
			delete(all, name)
		}
	}
	return encode(all)
}
