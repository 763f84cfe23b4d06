package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Delivery is one POST to an endpoint, or a notification that was given up.
type Delivery struct {
	ID       string    `json:"id"`
	Endpoint string    `json:"endpoint"`
	Started  time.Time `json:"started"`
	// Took is in milliseconds.
	Took float64 `json:"tookMs"`
	// Reason is how it went: delivered, status, timeout, connect, …; GivenUp is why it will not be tried again.
	Reason  string `json:"reason"`
	GivenUp string `json:"givenUp"`
	Status  int    `json:"status"`
	Detail  string `json:"detail"`
	// Count is how many notifications it carried; Notifications are those that the caller may see.
	Count         int            `json:"count"`
	Notifications []Notification `json:"notifications"`
	// Request is the body that was sent, while the server keeps it and all of it is the caller's.
	Request json.RawMessage `json:"request"`
}

// Notification is a notification that was part of a delivery.
type Notification struct {
	ID             string    `json:"id"`
	SubscriptionID string    `json:"subscriptionId"`
	ChangeID       string    `json:"changeId"`
	Attempts       int       `json:"attempts"`
	Accepted       time.Time `json:"accepted"`
	LifecycleEvent string    `json:"lifecycleEvent"`
	// LifecycleReason is why the subscription's owner is told.
	LifecycleReason string `json:"lifecycleReason"`
}

// DeliveryQuery says which deliveries are looked for. Zero fields match all.
type DeliveryQuery struct {
	Subscription, Change, Endpoint string
	FailedOnly                     bool
	Most                           int // up to 1000; zero: 100
}

// Deliveries returns the latest deliveries of the caller's application, the latest first.
func (c *Client) Deliveries(ctx context.Context, q DeliveryQuery) ([]Delivery, error) {
	v := url.Values{}
	for name, value := range map[string]string{"subscription": q.Subscription, "change": q.Change, "endpoint": q.Endpoint} {
		if value != "" {
			v.Set(name, value)
		}
	}
	if q.FailedOnly {
		v.Set("failed", "true")
	}
	if q.Most > 0 {
		v.Set("top", strconv.Itoa(q.Most))
	}
	var list struct {
		Value []Delivery `json:"value"`
	}
	err := c.do(ctx, call{method: http.MethodGet, path: "/control/v1/deliveries?" + v.Encode()}, &list)
	return list.Value, err
}

// DeliveriesLeftOut returns how many deliveries the server has not remembered since its start: under load it keeps a
// sample.
func (c *Client) DeliveriesLeftOut(ctx context.Context) (uint64, error) {
	var list struct {
		LeftOut uint64 `json:"leftOut"`
	}
	err := c.do(ctx, call{method: http.MethodGet, path: "/control/v1/deliveries?top=1"}, &list)
	return list.LeftOut, err
}

// Delivery returns one delivery, with the body that was sent while that is kept.
func (c *Client) Delivery(ctx context.Context, id string) (*Delivery, error) {
	var d Delivery
	if err := c.do(ctx, call{method: http.MethodGet, path: "/control/v1/deliveries/" + url.PathEscape(id)}, &d); err != nil {
		return nil, err
	}
	return &d, nil
}

// Resend sends the notifications of a delivery once more and returns how many there are.
func (c *Client) Resend(ctx context.Context, id string) (int, error) {
	var n struct{ Notifications int }
	err := c.do(ctx, call{method: http.MethodPost, path: "/control/v1/deliveries/" + url.PathEscape(id) + "/resend"}, &n)
	return n.Notifications, err
}

// Replay sends all that a subscription would be told of a span of time once more, in order, and returns how much that
// is. A zero until is now. The server keeps changes for a day unless it is set otherwise.
func (c *Client) Replay(ctx context.Context, subscription string, since, until time.Time) (int, error) {
	var n struct{ Notifications int }
	span := map[string]string{"since": since.UTC().Format(time.RFC3339Nano)}
	if !until.IsZero() {
		span["until"] = until.UTC().Format(time.RFC3339Nano)
	}
	err := c.do(ctx, call{
		method: http.MethodPost, path: "/control/v1/subscriptions/" + url.PathEscape(subscription) + "/replay", body: span,
	}, &n)
	return n.Notifications, err
}

// Explained is what a change meant to each of the caller's subscriptions that it was visible to.
type Explained struct {
	ID            string    `json:"id"`
	Resource      string    `json:"resource"`
	ChangeType    string    `json:"changeType"`
	Accepted      time.Time `json:"accepted"`
	Subscriptions []Fate    `json:"subscriptions"`
}

// Fate is what a change meant to one subscription: withheld, for that reason, or sent as Deliveries tell.
type Fate struct {
	SubscriptionID string     `json:"subscriptionId"`
	Endpoint       string     `json:"endpoint"`
	Withheld       string     `json:"withheld"`
	Deliveries     []Delivery `json:"deliveries"`
}

// Explain says what a recent change meant to whom.
func (c *Client) Explain(ctx context.Context, change string) (*Explained, error) {
	var e Explained
	if err := c.do(ctx, call{method: http.MethodGet, path: "/control/v1/changes/" + url.PathEscape(change)}, &e); err != nil {
		return nil, err
	}
	return &e, nil
}

// Endpoint is how an endpoint is.
type Endpoint struct {
	Endpoint string `json:"endpoint"`
	// Apart is the subscription that the endpoint refuses while it takes others, or "": the entry tells of what waits of it.
	Apart string `json:"apart"`
	// State is healthy, slow or dropping; Late and Beyond are the shares of the window's Answers that decide it.
	State        string    `json:"state"`
	Since        time.Time `json:"since"`
	Answers      int       `json:"answers"`
	Late, Beyond float64
	Parked       bool      `json:"parked"` // what comes waits on disk, until Resumes
	Why          string    `json:"why"`
	Resumes      time.Time `json:"resumes"`
	Failures     int       `json:"failuresInARow"`
	Pending      int       `json:"pendingInMemory"`
}

// Endpoints returns the endpoints that had something to do lately. It needs Heliograph.Control.
func (c *Client) Endpoints(ctx context.Context) ([]Endpoint, error) {
	var list struct {
		Value []Endpoint `json:"value"`
	}
	err := c.do(ctx, call{method: http.MethodGet, path: "/control/v1/endpoints"}, &list)
	return list.Value, err
}

// ForceEndpoint makes an endpoint slow, dropping or healthy, whatever its answers. Only a development server does.
func (c *Client) ForceEndpoint(ctx context.Context, endpoint, state string) error {
	return c.do(ctx, call{
		method: http.MethodPost, path: "/control/v1/endpoints/state",
		body: map[string]string{"endpoint": endpoint, "state": state},
	}, nil)
}
