package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// Subscription is a subscription as Graph knows it. To create one, set Resource, ChangeType, NotificationURL and
// ExpirationDateTime, and what else is wanted; the server sets ID, ApplicationID and CreatorID.
type Subscription struct {
	ID                       string    `json:"id,omitempty"`
	Resource                 string    `json:"resource"`
	ChangeType               string    `json:"changeType"` // created, updated, deleted; several with commas
	NotificationURL          string    `json:"notificationUrl"`
	LifecycleNotificationURL string    `json:"lifecycleNotificationUrl,omitempty"`
	ExpirationDateTime       time.Time `json:"expirationDateTime"`
	// ClientState comes back with every notification. A list does not tell it.
	ClientState string `json:"clientState,omitempty"`

	ApplicationID string `json:"applicationId,omitempty"`
	CreatorID     string `json:"creatorId,omitempty"`

	IncludeResourceData       *bool  `json:"includeResourceData,omitempty"`
	EncryptionCertificate     string `json:"encryptionCertificate,omitempty"`
	EncryptionCertificateID   string `json:"encryptionCertificateId,omitempty"`
	LatestSupportedTLSVersion string `json:"latestSupportedTlsVersion,omitempty"`
	NotificationContentType   string `json:"notificationContentType,omitempty"`
	NotificationQueryOptions  string `json:"notificationQueryOptions,omitempty"`
	NotificationURLAppID      string `json:"notificationUrlAppId,omitempty"`

	// Prefer is what the create request's header of that name asks for, such as IdType="ImmutableId". The server keeps
	// it for the subscription's life and does not tell it.
	Prefer string `json:"-"`
}

// Update is what may change of a subscription. What is left at its zero value stays as it is.
type Update struct {
	ExpirationDateTime      time.Time `json:"expirationDateTime,omitzero"`
	NotificationURL         string    `json:"notificationUrl,omitempty"`
	EncryptionCertificate   string    `json:"encryptionCertificate,omitempty"`
	EncryptionCertificateID string    `json:"encryptionCertificateId,omitempty"`
}

// CreateSubscription makes a subscription. The server asks its endpoints to prove themselves while the call
// waits; when one does not, the Error names the exchange.
func (c *Client) CreateSubscription(ctx context.Context, s Subscription) (*Subscription, error) {
	s.ExpirationDateTime = s.ExpirationDateTime.UTC()
	var made Subscription
	if err := c.do(ctx, call{method: http.MethodPost, path: c.subscriptions(), body: s, prefer: s.Prefer}, &made); err != nil {
		return nil, err
	}
	return &made, nil
}

// Subscription returns a subscription by its id.
func (c *Client) Subscription(ctx context.Context, id string) (*Subscription, error) {
	var s Subscription
	if err := c.do(ctx, call{method: http.MethodGet, path: c.subscription(id)}, &s); err != nil {
		return nil, err
	}
	return &s, nil
}

// Subscriptions returns the subscriptions that the caller may see, page by page as they are asked for. An error
// ends the sequence.
func (c *Client) Subscriptions(ctx context.Context) iter.Seq2[*Subscription, error] {
	return func(yield func(*Subscription, error) bool) {
		for next := c.subscriptions(); next != ""; {
			var page struct {
				Value []Subscription `json:"value"`
				Next  string         `json:"@odata.nextLink"`
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

// UpdateSubscription renews a subscription, or changes its URL or certificate. It also reauthorizes it.
func (c *Client) UpdateSubscription(ctx context.Context, id string, u Update) (*Subscription, error) {
	if !u.ExpirationDateTime.IsZero() {
		u.ExpirationDateTime = u.ExpirationDateTime.UTC()
	}
	var s Subscription
	if err := c.do(ctx, call{method: http.MethodPatch, path: c.subscription(id), body: u}, &s); err != nil {
		return nil, err
	}
	return &s, nil
}

// DeleteSubscription removes a subscription.
func (c *Client) DeleteSubscription(ctx context.Context, id string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: c.subscription(id)}, nil)
}

// ReauthorizeSubscription lets the caller's token stand behind the subscription from now on. Its expiry stays.
func (c *Client) ReauthorizeSubscription(ctx context.Context, id string) error {
	return c.do(ctx, call{method: http.MethodPost, path: c.subscription(id) + "/reauthorize"}, nil)
}

func (c *Client) subscriptions() string { return "/" + c.version + "/subscriptions" }

func (c *Client) subscription(id string) string { return c.subscriptions() + "/" + url.PathEscape(id) }
