package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// TokenRequest asks a development server for a token. Everything may be left out.
type TokenRequest struct {
	Tenant string `json:"tenant,omitempty"` // GUID or domain
	App    string `json:"app,omitempty"`    // client id
	// User makes it a user's token, by object id or principal name; without it, it is the application's own.
	User string `json:"user,omitempty"`
	// Scopes of a user's token, Roles of an application's. Nil: all that there are.
	Scopes         []string `json:"scopes,omitzero"`
	Roles          []string `json:"roles,omitzero"`
	DirectoryRoles []string `json:"directoryRoles,omitempty"`
	Audience       string   `json:"audience,omitempty"`
	// Lifetime may be negative, for a token that has ended. Zero: the server's own.
	Lifetime time.Duration `json:"-"`
}

// Token is an access token.
type Token struct {
	Text    string    `json:"access_token"`
	Expires time.Time `json:"expires"`
}

// MintToken makes a token. Only a development server does, for a caller with Heliograph.Control.
func (c *Client) MintToken(ctx context.Context, r TokenRequest) (Token, error) {
	form := struct {
		TokenRequest
		Lifetime string `json:"lifetime,omitempty"`
	}{TokenRequest: r}
	if r.Lifetime != 0 {
		form.Lifetime = isoDuration(r.Lifetime)
	}
	var t Token
	err := c.do(ctx, call{method: http.MethodPost, path: "/control/v1/tokens", body: form}, &t)
	return t, err
}

// SendLifecycle sends a lifecycle notification to a subscription: missed, subscriptionRemoved or reauthorizationRequired,
// whatever its resource has. Unless keep is set, a subscription that is said to be removed is. It returns the id of the
// notification's change; the caller needs Heliograph.Control.
func (c *Client) SendLifecycle(ctx context.Context, id, event string, keep bool) (string, error) {
	var sent struct {
		ID string `json:"id"`
	}
	body := map[string]any{"event": event}
	if keep {
		body["keep"] = true
	}
	err := c.do(ctx, call{method: http.MethodPost, path: "/control/v1/subscriptions/" + url.PathEscape(id) + "/lifecycle", body: body}, &sent)
	return sent.ID, err
}

// AccessChange says whose access was lost or restored.
type AccessChange struct {
	// Change is consentRevoked, userDisabled, userDeleted, tenantDeleted, membershipLost or restored.
	Change string `json:"change"`
	Tenant string `json:"tenant,omitempty"` // the caller's when it is empty
	User   string `json:"user,omitempty"`
	App    string `json:"app,omitempty"`
	// Resource is what the user is no member of any more: teams/{id}, chats/{id}.
	Resource string `json:"resource,omitempty"`
}

// Affected is what was done to subscriptions.
type Affected struct {
	Challenged int `json:"challenged"`
	Removed    int `json:"removed"`
	Resumed    int `json:"resumed"`
}

// ReportAccess tells the server whose access was lost or restored. The caller needs Heliograph.Control.
func (c *Client) ReportAccess(ctx context.Context, change AccessChange) (Affected, error) {
	var did Affected
	err := c.do(ctx, call{method: http.MethodPost, path: "/control/v1/access", body: change}, &did)
	return did, err
}

// Handshake is the exchange in which an endpoint was asked to prove itself.
type Handshake struct {
	ID       string    `json:"id"`
	Property string    `json:"property"` // notificationUrl or lifecycleNotificationUrl
	URL      string    `json:"url"`
	Proved   bool      `json:"proved"`
	Rule     string    `json:"rule"` // that refused
	Started  time.Time `json:"started"`
	// Took is in milliseconds.
	Took float64 `json:"tookMs"`
	// Reason is how the call went, Detail says more for a person.
	Reason string `json:"reason"`
	Detail string `json:"detail"`

	// What follows is told by [Client.Handshake] only.

	// Expected is the text that had to come back, DiffersAt the first byte of the answer that is another.
	Expected  string `json:"expected"`
	DiffersAt *int   `json:"differsAt"`
	// Request is the head of the request as it went out.
	Request string `json:"request"`
	// Answer is nil when none came.
	Answer *HandshakeAnswer `json:"answer"`
	// Address and TLS say what was spoken with, Timing (in milliseconds from the start) how it went.
	Address string             `json:"address"`
	TLS     string             `json:"tls"`
	Timing  map[string]float64 `json:"timingMs"`
}

// HandshakeAnswer is what an endpoint answered.
type HandshakeAnswer struct {
	Status int                 `json:"status"`
	Header map[string][]string `json:"header"`
	// Body is the answer's body, cut at a bound when Truncated. One that is no text is in BodyBase64.
	Body       string `json:"body"`
	BodyBase64 []byte `json:"bodyBase64"`
	Truncated  bool   `json:"truncated"`
}

// Handshakes returns the latest handshakes of the caller's application, or for a caller with Heliograph.Control
// those of its tenant, the latest first.
func (c *Client) Handshakes(ctx context.Context) ([]Handshake, error) {
	var list struct {
		Value []Handshake `json:"value"`
	}
	err := c.do(ctx, call{method: http.MethodGet, path: "/control/v1/handshakes"}, &list)
	return list.Value, err
}

// Handshake returns one handshake, with all that was said.
func (c *Client) Handshake(ctx context.Context, id string) (*Handshake, error) {
	var h Handshake
	if err := c.do(ctx, call{method: http.MethodGet, path: "/control/v1/handshakes/" + url.PathEscape(id)}, &h); err != nil {
		return nil, err
	}
	return &h, nil
}
