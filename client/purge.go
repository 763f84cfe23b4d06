package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// PurgeRequest says who is to be forgotten.
type PurgeRequest struct {
	Tenant string `json:"tenant"`         // a GUID
	User   string `json:"user,omitempty"` // of the tenant; empty: the whole tenant
	// Now drops the change log at once, instead of when it is outgrown. Nothing may be under way or wait then.
	Now bool `json:"now,omitempty"`
}

// PurgeReceipt says what was removed, and when the rest of it could not be read any more.
type PurgeReceipt struct {
	ID        string    `json:"id"`
	Requested time.Time `json:"requested"`
	// What was removed at once.
	Subscriptions int `json:"subscriptions"`
	Reports       int `json:"reports"`
	Handshakes    int `json:"handshakes"`
	Deliveries    int `json:"deliveries"`
	Objects       int `json:"objects"`
	// Completed is when the keys were destroyed that everything from before was sealed with; zero: they are still needed
	// for what the change log has of others.
	Completed     time.Time `json:"completed,omitzero"`
	KeysToDestroy []string  `json:"keysToDestroy,omitempty"`
	KeysDestroyed []string  `json:"keysDestroyed,omitempty"`
}

// Purge forgets a tenant or a user, for good. The caller needs Heliograph.Control.
func (c *Client) Purge(ctx context.Context, r PurgeRequest) (PurgeReceipt, error) {
	var receipt PurgeReceipt
	err := c.do(ctx, call{method: http.MethodPost, path: "/control/v1/purge", body: r}, &receipt)
	return receipt, err
}

// PurgeReceipt returns the receipt of a purge as it stands.
func (c *Client) PurgeReceipt(ctx context.Context, id string) (PurgeReceipt, error) {
	var receipt PurgeReceipt
	err := c.do(ctx, call{method: http.MethodGet, path: "/control/v1/purge/" + url.PathEscape(id)}, &receipt)
	return receipt, err
}
