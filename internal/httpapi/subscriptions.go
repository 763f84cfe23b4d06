package httpapi

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

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
func updateShape() shape[renewal] {
	s := shape[renewal]{
		optional("expirationDateTime", func(r *renewal) **string { return &r.request.ExpirationDateTime }),
		optional("notificationUrl", func(r *renewal) **string { return &r.request.NotificationURL }),
		optional("encryptionCertificate", func(r *renewal) **string { return &r.request.EncryptionCertificate }),
		optional("encryptionCertificateId", func(r *renewal) **string { return &r.request.EncryptionCertificateID }),
	}
	for _, p := range createShape() {
		if s.find(p.name) == nil {
			ignore := ignored[renewal](p.name).read
			s = append(s, property[renewal]{p.name, p.kind, func(r *renewal, c *rawjson.Cursor) error {
				r.ignored = append(r.ignored, p.name)
				return ignore(r, c)
			}})
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
	ignored []string // properties that only create may set
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
	r.id, r.request.RequestID = id, x.id
	x.ignored = r.ignored
	return r, err
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
	r := subscribe.ListRequest{}
	for name, values := range x.request.URL.Query() {
		switch option := systemOption(name); option {
		case "":
		case "$skiptoken":
			r.SkipToken = values[0]
		default:
			r.Options = append(r.Options, option)
		}
	}
	slices.Sort(r.Options)
	return r, nil
}

// systemOption returns the system query option of a name, or "". The dollar may be left out, as in Graph.
func systemOption(name string) string {
	option := "$" + strings.ToLower(strings.TrimPrefix(name, "$"))
	switch option {
	case "$apply", "$compute", "$count", "$deltatoken", "$expand", "$filter", "$format", "$orderby", "$search", "$select", "$skip", "$skiptoken", "$top":
		return option
	}
	return ""
}

// readOne takes the id of a subscription that is to be shown, and what of it (contract 7.2). Options that say
// nothing about one entity are not looked at.
func readOne(x *exchange) (heliograph.SubscriptionID, error) {
	id, err := readID(x)
	if err != nil {
		return id, err
	}
	for name, values := range x.request.URL.Query() {
		if systemOption(name) == "$select" {
			x.chosen, err = chosenOf(values, x.api.properties)
		}
	}
	return id, err
}

// created answers a create. Workflow products look for the Location.
func created(x *exchange, s *heliograph.Subscription) answer {
	ans := shown(x, s)
	ans.status = http.StatusCreated
	if ans.header == nil {
		ans.header = http.Header{}
	}
	ans.header.Set("Location", x.root()+"/subscriptions/"+s.ID.String())
	return ans
}

func shown(x *exchange, s *heliograph.Subscription) answer {
	w := wire(s)
	if !s.ClientState.IsZero() {
		state := s.ClientState.Reveal()
		w.ClientState = &state
	}
	f := formatOf(x.request.Header)
	w.annotate(x.root(), f)
	if f.metadata != bare {
		w.Context = x.root() + contextOf(x.chosen) + "/$entity"
	}
	ans := answer{status: http.StatusOK, header: x.api.adviceOn(s), media: f.media(), body: w}
	if len(x.ignored) > 0 {
		if ans.header == nil {
			ans.header = http.Header{}
		}
		ans.header.Set("Heliograph-Ignored", strings.Join(x.ignored, ", "))
	}
	if x.chosen != nil {
		ans.body = part{w, x.chosen}
	}
	return ans
}

func reauthorized(x *exchange, s *heliograph.Subscription) answer {
	return answer{status: http.StatusNoContent, header: x.api.adviceOn(s)}
}

// adviceOn tells whoever reads or changes a subscription what its owner should know: that it was once updated and
// reauthorized at the same time, which Graph advises against (contract 7.11), or that its certificate has expired.
func (a *API) adviceOn(s *heliograph.Subscription) http.Header {
	var advice []string
	if !s.Hurried.IsZero() {
		advice = append(advice, "updated and reauthorized within too short a time at "+stamp(s.Hurried))
	}
	if a.opts.Advice != nil {
		advice = append(advice, a.opts.Advice(s)...)
	}
	if len(advice) == 0 {
		return nil
	}
	return http.Header{"Heliograph-Advice": advice}
}

// listed answers a list. Its items do not tell their clientState (contract 6.3).
func listed(x *exchange, l subscribe.List) answer {
	f := formatOf(x.request.Header)
	w := subscriptionList{Value: make([]subscription, len(l.Subscriptions))}
	for i := range l.Subscriptions {
		w.Value[i] = wire(&l.Subscriptions[i])
		w.Value[i].annotate(x.root(), f)
	}
	if l.Next != "" {
		w.NextLink = x.root() + "/subscriptions?$skiptoken=" + url.QueryEscape(l.Next)
	}
	if f.metadata != bare {
		w.Context = x.root() + contextOf(nil)
	}
	ans := answer{status: http.StatusOK, media: f.media(), body: w}
	if len(l.Ignored) > 0 {
		ans.header = http.Header{"Heliograph-Ignored": {strings.Join(l.Ignored, ", ")}}
	}
	return ans
}
