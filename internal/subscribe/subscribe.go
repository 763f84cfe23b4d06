// Package subscribe is the way of a subscription: the rules of create, get, list, update, delete and
// reauthorize, the handshake with the receiver, the stored form, and the registry of all subscriptions.
package subscribe

import (
	"context"

	"heliograph.dev"
)

// CreateRequest is what a client asks for, as it wrote it. Empty means absent or null.
type CreateRequest struct {
	// RequestID is the id of the API request: the validation token names it (contract 4.3).
	RequestID heliograph.GUID
	// Beta says that the request came by /beta: some resources exist only there.
	Beta bool

	Resource                  string
	ChangeType                string
	NotificationURL           string
	LifecycleNotificationURL  string
	ExpirationDateTime        string
	ClientState               heliograph.Secret
	IncludeResourceData       *bool
	EncryptionCertificate     string
	EncryptionCertificateID   string
	LatestSupportedTLSVersion string
	NotificationContentType   string
	NotificationQueryOptions  string
	NotificationURLAppID      string
	// WebPush says that the request had one of the three Web Push properties (contract 1.17 to 1.19).
	WebPush bool

	// From the Prefer header (contract 9.1 to 9.3).
	ImmutableIDs              bool
	IncludeUnknownEnumMembers bool
	IncludeSecurityWebhooks   bool
}

// UpdateRequest is a PATCH. A nil property was not sent.
type UpdateRequest struct {
	// RequestID is the id of the API request.
	RequestID heliograph.GUID

	ExpirationDateTime      *string
	NotificationURL         *string
	EncryptionCertificate   *string
	EncryptionCertificateID *string
}

// ListRequest asks for one page.
type ListRequest struct {
	// SkipToken is List.Next of the page before, or empty for the first.
	SkipToken string
}

// List is one page of subscriptions, oldest first.
type List struct {
	Subscriptions []heliograph.Subscription
	// Next asks for the next page; it is empty on the last.
	Next string
}

// Options say what the service works with.
type Options struct{}

// Service answers for subscriptions.
type Service struct{}

// New returns a service.
func New(o Options) *Service { return &Service{} }

// Create makes a subscription. A failed handshake is a *HandshakeError.
func (s *Service) Create(ctx context.Context, caller *heliograph.Caller, r CreateRequest) (*heliograph.Subscription, error) {
	return nil, nil
}

// Get returns a subscription that the caller may see.
func (s *Service) Get(ctx context.Context, caller *heliograph.Caller, id heliograph.SubscriptionID) (*heliograph.Subscription, error) {
	return nil, nil
}

// List returns a page of the subscriptions that the caller may see.
func (s *Service) List(ctx context.Context, caller *heliograph.Caller, r ListRequest) (List, error) {
	return List{}, nil
}

// Update renews a subscription or changes its URL or certificate, and reauthorizes it.
func (s *Service) Update(ctx context.Context, caller *heliograph.Caller, id heliograph.SubscriptionID, r UpdateRequest) (*heliograph.Subscription, error) {
	return nil, nil
}

// Delete removes a subscription.
func (s *Service) Delete(ctx context.Context, caller *heliograph.Caller, id heliograph.SubscriptionID) error {
	return nil
}

// Reauthorize lets the caller's token stand behind the subscription from now on.
func (s *Service) Reauthorize(ctx context.Context, caller *heliograph.Caller, id heliograph.SubscriptionID) error {
	return nil
}

// Handshakes returns the book of the latest handshakes.
func (s *Service) Handshakes() *Handshakes { return nil }

// Handshakes keeps the latest handshakes in memory, so that a caller can look at what was said.
type Handshakes struct{}

// HandshakeError is a create or update that the endpoint's answer refused.
type HandshakeError struct {
	// Err is what the caller is told.
	Err *heliograph.Error
	// Exchange is the id under which the exchange stands in the book.
	Exchange heliograph.GUID
}

// Error returns the message.
func (e *HandshakeError) Error() string { return e.Err.Error() }

// Unwrap returns the error that the caller is told.
func (e *HandshakeError) Unwrap() error { return e.Err }

// Registry holds every subscription in memory, as the engine's watch tells of them.
type Registry struct{}

// Apply takes records as the watch gives them.
func (r *Registry) Apply(records []heliograph.Record) {}

// Lookup returns a subscription by its id.
func (r *Registry) Lookup(id heliograph.SubscriptionID) (heliograph.Subscription, bool) {
	return heliograph.Subscription{}, false
}
