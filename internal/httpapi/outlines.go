package httpapi

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/deliveries"
	"heliograph.dev/internal/lifecycle"
	"heliograph.dev/internal/subscribe"
)

// Outlines tells how subscriptions are, to those who look after them: an application its own, with Heliograph.Control
// the tenant's. What the caller does not look after is NotFound.
type Outlines interface {
	// Outlines returns a page; the empty name is the first.
	Outlines(ctx context.Context, caller *heliograph.Caller, page string) (subscribe.Outlines, error)
	Outline(ctx context.Context, caller *heliograph.Caller, id heliograph.SubscriptionID) (subscribe.Outline, error)
}

// outlineView is a subscription as it is shown to those who look after it. It has no secrets.
type outlineView struct {
	ID                       string              `json:"id"`
	Tenant                   heliograph.TenantID `json:"tenantId"`
	App                      heliograph.AppID    `json:"applicationId"`
	Creator                  heliograph.ObjectID `json:"creatorId"`
	Delegated                bool                `json:"delegated"`
	Resource                 string              `json:"resource"`
	ChangeType               string              `json:"changeType"`
	NotificationURL          string              `json:"notificationUrl"`
	LifecycleNotificationURL string              `json:"lifecycleNotificationUrl,omitempty"`
	Rich                     bool                `json:"includeResourceData"`
	// State is active or paused; why, since when, and what was said, when it is paused.
	State           string            `json:"state"`
	Reason          heliograph.Reason `json:"reason,omitempty"`
	Detail          string            `json:"detail,omitempty"`
	Since           string            `json:"since,omitempty"`
	Created         string            `json:"created"`
	Expires         string            `json:"expires"`
	AuthorizedUntil string            `json:"authorizedUntil,omitempty"`
	Renewed         string            `json:"renewed,omitempty"`
	Reauthorized    string            `json:"reauthorized,omitempty"`
	// Missed is since when its owner has to be told that something was lost, or is being told.
	Missed       string         `json:"missed,omitempty"`
	Next         nextView       `json:"next"`
	LastDelivery *lastView      `json:"lastDelivery,omitempty"`
	LastError    *lastView      `json:"lastError,omitempty"`
	Deliveries   []deliveryView `json:"deliveries,omitempty"` // of one that is shown alone
}

// nextView is what is done with a subscription next: tell, remove or expire.
type nextView struct {
	At     string            `json:"at"`
	Do     string            `json:"do"`
	Event  string            `json:"lifecycleEvent,omitempty"`
	Reason heliograph.Reason `json:"reason"`
}

// lastView is how a POST for the subscription went.
type lastView struct {
	ID      string            `json:"id"`
	At      string            `json:"at"`
	Reason  heliograph.Reason `json:"reason"`
	GivenUp heliograph.Reason `json:"givenUp,omitempty"`
	Status  int               `json:"status,omitempty"`
	Detail  string            `json:"detail,omitempty"`
}

func readPage(x *exchange) (string, error) { return x.request.URL.Query().Get("page"), nil }

func (a *API) listedOutlines(x *exchange, list subscribe.Outlines) answer {
	value := make([]outlineView, len(list.Outlines))
	for i := range list.Outlines {
		value[i], _ = a.outline(&list.Outlines[i])
	}
	body := map[string]any{"value": value}
	if list.Next != "" {
		next := *x.request.URL
		next.RawQuery = url.Values{"page": {list.Next}}.Encode()
		body["next"] = next.RequestURI()
	}
	return answer{status: http.StatusOK, body: body}
}

func (a *API) shownOutline(x *exchange, o subscribe.Outline) answer {
	v, latest := a.outline(&o)
	for _, d := range latest {
		if own, ok := (deliveries.Query{Tenant: x.caller.Tenant, Subscription: o.ID}).Match(d); ok {
			v.Deliveries = append(v.Deliveries, viewOf(&own, false))
		}
	}
	return answer{status: http.StatusOK, body: v}
}

func (a *API) outline(o *subscribe.Outline) (outlineView, []*deliveries.Delivery) {
	s := &o.Subscription
	v := outlineView{
		ID: s.ID.String(), Tenant: s.Tenant, App: s.App, Creator: s.Creator, Delegated: s.Delegated,
		Resource: s.Resource, ChangeType: s.ChangeTypeText, NotificationURL: s.NotificationURL,
		LifecycleNotificationURL: s.LifecycleNotificationURL, Rich: s.IncludeResourceData != nil && *s.IncludeResourceData,
		State: o.State.String(), Reason: o.Why, Detail: o.Detail, Since: momentOf(o.Since), Created: stamp(s.Created), Expires: stamp(s.Expires),
		AuthorizedUntil: momentOf(s.AuthorizedUntil), Renewed: momentOf(s.Renewed), Reauthorized: momentOf(s.Reauthorized),
		Missed: momentOf(s.Missed), Next: nextOf(o.Next),
	}
	if a.opts.Deliveries == nil {
		return v, nil
	}
	latest := a.opts.Deliveries.Latest(o.ID)
	for _, d := range latest {
		bad := d.GivenUp != "" || !d.Attempt.OK()
		if v.LastDelivery == nil && !bad {
			v.LastDelivery = lastOf(d)
		}
		if v.LastError == nil && bad {
			v.LastError = lastOf(d)
		}
	}
	return v, latest
}

func nextOf(step lifecycle.Step) nextView {
	v := nextView{At: stamp(step.At), Do: step.Do.String(), Reason: step.Why}
	if step.Event != 0 {
		v.Event = step.Event.String()
	}
	return v
}

func lastOf(d *deliveries.Delivery) *lastView {
	a := &d.Attempt
	return &lastView{ID: d.ID.String(), At: stamp(a.Started), Reason: a.Reason, GivenUp: d.GivenUp, Status: a.Status, Detail: a.Detail}
}

// momentOf writes a moment, or nothing when there was none.
func momentOf(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return stamp(t)
}
