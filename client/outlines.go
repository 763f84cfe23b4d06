package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// Outline is how a subscription is, for those who look after it.
type Outline struct {
	ID                       string    `json:"id"`
	TenantID                 string    `json:"tenantId"`
	ApplicationID            string    `json:"applicationId"`
	CreatorID                string    `json:"creatorId"`
	Resource                 string    `json:"resource"`
	ChangeType               string    `json:"changeType"`
	NotificationURL          string    `json:"notificationUrl"`
	LifecycleNotificationURL string    `json:"lifecycleNotificationUrl"`
	IncludeResourceData      bool      `json:"includeResourceData"`
	State                    string    `json:"state"`  // active or paused
	Reason                   string    `json:"reason"` // why it is paused
	Created                  time.Time `json:"created"`
	Expires                  time.Time `json:"expires"`
	AuthorizedUntil          time.Time `json:"authorizedUntil"`
	Next                     NextStep  `json:"next"`
}

// NextStep is what a server does with a subscription next, unless something comes between.
type NextStep struct {
	At             time.Time `json:"at"`
	Do             string    `json:"do"` // tell, remove or expire
	LifecycleEvent string    `json:"lifecycleEvent"`
	Reason         string    `json:"reason"`
}

// Outlines returns the subscriptions of the caller's application, or with Heliograph.Control of all applications of its
// tenant, page by page as they are asked for. An error ends the sequence.
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

// Outline returns how one subscription is.
func (c *Client) Outline(ctx context.Context, id string) (*Outline, error) {
	var o Outline
	if err := c.do(ctx, call{method: http.MethodGet, path: "/control/v1/subscriptions/" + url.PathEscape(id)}, &o); err != nil {
		return nil, err
	}
	return &o, nil
}
