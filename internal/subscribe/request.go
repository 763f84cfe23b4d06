package subscribe

import "heliograph.dev"

// CreateRequest is what a client asks for, as it wrote it. Empty means absent or null.
type CreateRequest struct {
	// RequestID is the id of the API request: the validation token names it (contract 4.3).
	RequestID heliograph.GUID
	// Beta says that the request came by /beta, which has some resources that /v1.0 has not.
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

	// What the Prefer header asked for (contract 9.1 to 9.3).
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
	// Options are the names of the OData query options that came besides, such as $filter.
	Options []string
}

// List is one page of subscriptions, oldest first.
type List struct {
	Subscriptions []heliograph.Subscription
	// Next asks for the next page; it is empty on the last.
	Next string
	// Ignored are the options of the request that were not looked at.
	Ignored []string
}
