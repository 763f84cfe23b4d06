package httpapi

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/rawjson"
	"heliograph.dev/internal/subscribe"
)

// payloadMessage is what Graph says of a body that it cannot take, create or not (contract 5.10).
const payloadMessage = "Could not process subscription creation payload. Are all property names spelled and camelCased properly?"

func createShape() shape[subscribe.CreateRequest] {
	type r = subscribe.CreateRequest
	webPush := func(name string) property[r] {
		p := ignored[r](name)
		ignore := p.read
		p.read = func(r *r, c *rawjson.Cursor) error { r.WebPush = true; return ignore(r, c) }
		return p
	}
	return shape[r]{
		text("resource", func(r *r) *string { return &r.Resource }),
		text("changeType", func(r *r) *string { return &r.ChangeType }),
		text("notificationUrl", func(r *r) *string { return &r.NotificationURL }),
		text("lifecycleNotificationUrl", func(r *r) *string { return &r.LifecycleNotificationURL }),
		text("expirationDateTime", func(r *r) *string { return &r.ExpirationDateTime }),
		secret("clientState", func(r *r) *heliograph.Secret { return &r.ClientState }),
		boolean("includeResourceData", func(r *r) **bool { return &r.IncludeResourceData }),
		text("encryptionCertificate", func(r *r) *string { return &r.EncryptionCertificate }),
		text("encryptionCertificateId", func(r *r) *string { return &r.EncryptionCertificateID }),
		text("latestSupportedTlsVersion", func(r *r) *string { return &r.LatestSupportedTLSVersion }),
		text("notificationContentType", func(r *r) *string { return &r.NotificationContentType }),
		text("notificationQueryOptions", func(r *r) *string { return &r.NotificationQueryOptions }),
		text("notificationUrlAppId", func(r *r) *string { return &r.NotificationURLAppID }),
		webPush("vapidPublicKey"), webPush("webPushEncryptionP256dhPublicKey"), webPush("webPushEncryptionSecret"),
		ignored[r]("id"), ignored[r]("applicationId"), ignored[r]("creatorId"), ignored[r]("includeProperties"),
	}
}

// updateShape ignores what only create may set, as OData wants it, and knows what create knows.
func updateShape() shape[subscribe.UpdateRequest] {
	type r = subscribe.UpdateRequest
	s := shape[r]{
		optional("expirationDateTime", func(r *r) **string { return &r.ExpirationDateTime }),
		optional("notificationUrl", func(r *r) **string { return &r.NotificationURL }),
		optional("encryptionCertificate", func(r *r) **string { return &r.EncryptionCertificate }),
		optional("encryptionCertificateId", func(r *r) **string { return &r.EncryptionCertificateID }),
	}
	for _, p := range createShape() {
		if s.find(p.name) == nil {
			s = append(s, property[r]{p.name, p.kind, ignored[r](p.name).read})
		}
	}
	return s
}

func (a *API) readCreate(x *exchange) (subscribe.CreateRequest, error) {
	body, err := x.jsonBody()
	if err != nil {
		return subscribe.CreateRequest{}, err
	}
	r, err := a.create.decode(body, payloadMessage)
	p := preferencesOf(x.request.Header)
	r.RequestID, r.Beta = x.id, x.version == "beta"
	r.ImmutableIDs, r.IncludeUnknownEnumMembers, r.IncludeSecurityWebhooks = p.immutableIDs, p.unknownEnumMembers, p.securityWebhooks
	return r, err
}

// renewal is a PATCH of one subscription.
type renewal struct {
	id      heliograph.SubscriptionID
	request subscribe.UpdateRequest
}

func (a *API) readUpdate(x *exchange) (renewal, error) {
	id, err := readID(x)
	if err != nil {
		return renewal{}, err
	}
	body, err := x.jsonBody()
	if err != nil {
		return renewal{}, err
	}
	r, err := a.updates.decode(body, payloadMessage)
	r.RequestID = x.id
	return renewal{id: id, request: r}, err
}

func (a *API) update(ctx context.Context, caller *heliograph.Caller, r renewal) (*heliograph.Subscription, error) {
	return a.opts.Subscriptions.Update(ctx, caller, r.id, r.request)
}

// readID takes the subscription's id from the path. What is no GUID names nothing.
func readID(x *exchange) (heliograph.SubscriptionID, error) {
	id, ok := heliograph.ParseGUID(x.request.PathValue("id"))
	if !ok {
		return id, notFound("subscription.id")
	}
	return id, nil
}

func readList(x *exchange) (subscribe.ListRequest, error) {
	return subscribe.ListRequest{SkipToken: x.request.URL.Query().Get("$skiptoken")}, nil
}

// subscription is a subscription on the wire, in Graph's order and with its nulls (contract 1.22).
type subscription struct {
	Context                   string  `json:"@odata.context,omitempty"`
	ID                        string  `json:"id"`
	Resource                  string  `json:"resource"`
	ApplicationID             string  `json:"applicationId"`
	ChangeType                string  `json:"changeType"`
	ClientState               *string `json:"clientState"`
	NotificationURL           string  `json:"notificationUrl"`
	NotificationQueryOptions  *string `json:"notificationQueryOptions"`
	NotificationContentType   *string `json:"notificationContentType"`
	LifecycleNotificationURL  *string `json:"lifecycleNotificationUrl"`
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

// created answers a create. Workflow products look for the Location.
func created(x *exchange, s *heliograph.Subscription) answer {
	ans := shown(x, s)
	ans.status = http.StatusCreated
	ans.header = http.Header{"Location": {x.root() + "/subscriptions/" + s.ID.String()}}
	return ans
}

func shown(x *exchange, s *heliograph.Subscription) answer {
	w := wire(s)
	if !s.ClientState.IsZero() {
		state := s.ClientState.Reveal()
		w.ClientState = &state
	}
	media := graphMedia
	if x.bare() {
		media = bareMedia
	} else {
		w.Context = x.root() + "/$metadata#subscriptions/$entity" // contract 1.23
	}
	return answer{status: http.StatusOK, media: media, body: w}
}

// listed answers a list. Its items do not tell their clientState (contract 6.3).
func listed(x *exchange, l subscribe.List) answer {
	w := subscriptionList{Value: make([]subscription, len(l.Subscriptions))}
	for i := range l.Subscriptions {
		w.Value[i] = wire(&l.Subscriptions[i])
	}
	if l.Next != "" {
		w.NextLink = x.root() + "/subscriptions?$skiptoken=" + url.QueryEscape(l.Next)
	}
	media := graphMedia
	if x.bare() {
		media = bareMedia
	} else {
		w.Context = x.root() + "/$metadata#subscriptions"
	}
	return answer{status: http.StatusOK, media: media, body: w}
}
