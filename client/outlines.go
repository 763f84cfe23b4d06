package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// Outline is a subscription and what becomes of it, as those see it who look after it.
type Outline struct {
	ID                       string `json:"id"`
	TenantID                 string `json:"tenantId"`
	ApplicationID            string `json:"applicationId"`
	CreatorID                string `json:"creatorId"`
	Resource                 string `json:"resource"`
	ChangeType               string `json:"changeType"`
	NotificationURL          string `json:"notificationUrl"`
	LifecycleNotificationURL string `json:"lifecycleNotificationUrl"`
	// State is active or paused; Reason, Detail and Since tell why and since when it is paused.
	State           string    `json:"state"`
	Reason          string    `json:"reason"`
	Detail          string    `json:"detail"`
	Since           time.Time `json:"since,omitzero"`
	Created         time.Time `json:"created"`
	Expires         time.Time `json:"expires"`
	AuthorizedUntil time.Time `json:"authorizedUntil,omitzero"`
	// Next is what is done with it next, if nothing happens meanwhile.
	Next         OutlineStep      `json:"next"`
	LastDelivery *OutlineDelivery `json:"lastDelivery,omitempty"`
	LastError    *OutlineDelivery `json:"lastError,omitempty"`
}

// OutlineStep is something that is done with a subscription: tell its owner, remove or expire it.
type OutlineStep struct {
	At             time.Time `json:"at"`
	Do             string    `json:"do"`
	LifecycleEvent string    `json:"lifecycleEvent,omitempty"`
	Reason         string    `json:"reason"`
}

// OutlineDelivery is how a POST for a subscription went.
type OutlineDelivery struct {
	ID      string    `json:"id"`
	At      time.Time `json:"at"`
	Reason  string    `json:"reason"`
	GivenUp string    `json:"givenUp,omitempty"`
	Status  int       `json:"status,omitempty"`
	Detail  string    `json:"detail,omitempty"`
}

// Outlines yields what the caller looks after, oldest first, page by page: its application's subscriptions, or for a
// caller with Heliograph.Control its tenant's. It ends with the first error.
func (c *Client) Outlines(ctx context.Context) iter.Seq2[*Outline, error] {
	return func(yield func(*Outline, error) bool) {
		for next := "/control/v1/subscriptions"; next != ""; {
			var page struct {
				Value []Outline `json:"value"`
				Next  string    `json:"next"`
			}
			if err := c.do(ctx, call{method: http.MethodGet, path: next}, &page); err != nil {
				yield(nil, err)
				return
			}
			for i := range page.Value {
				if !yield(&page.Value[i], nil) {
					return
				}
			}
			next = page.Next
		}
	}
}

// Outline returns one of them.
func (c *Client) Outline(ctx context.Context, id string) (*Outline, error) {
	var o Outline
	err := c.do(ctx, call{method: http.MethodGet, path: "/control/v1/subscriptions/" + url.PathEscape(id)}, &o)
	if err != nil {
		return nil, err
	}
	return &o, nil
}
