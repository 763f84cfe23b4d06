package heliograph

import (
	"slices"
	"time"
)

// Subscription is a client's lease on the changes of a resource. The id, resource, changeType, URLs and
// client state are kept as the client wrote them: clients compare them (contract 1.26).
//
//	      create (handshake passed)
//	             │
//	             ▼        renew, reauthorize
//	         ┌ active ◄──────────────────────┐
//	         │   │                           │
//	delete,  │   │ token ended, access lost  │
//	remove   │   ▼                           │
//	         │ paused ───────────────────────┘
//	         │   │
//	         ▼   ▼ expirationDateTime
//	        gone (404 to everybody; its id is never used again)
type Subscription struct {
	ID     SubscriptionID
	Tenant TenantID
	// App is the application that created it; Creator the signed-in user or, for an application token, the
	// application's service principal (contract 1.8, 1.9).
	App       AppID
	Creator   ObjectID
	Delegated bool // created with a user's token

	Resource   string     // as sent
	Path       string     // its canonical form without the query, me/ resolved
	Row        string     // id of the catalog's row
	ChangeType ChangeType // what ChangeTypeText says
	// ChangeTypeText is changeType as sent.
	ChangeTypeText string

	NotificationURL          string
	LifecycleNotificationURL string
	ClientState              Secret
	Created, Expires         time.Time
	// Renewed and Reauthorized are when that was last done, Hurried when one of them last came sooner after the other
	// than it should (contract 7.11). Zero: never.
	Renewed, Reauthorized, Hurried time.Time
	// AuthorizedUntil is when the token behind the subscription ends (contract 8.10).
	AuthorizedUntil time.Time
	// Revoked is when the access behind it was revoked, and why by the word of whoever said so. Zero: it was not, or
	// somebody stands behind it anew.
	Revoked       time.Time
	RevokedReason string
	// Removed is when it was decided that somebody else than its owner ends it, and why: from then on it is gone.
	Removed       time.Time
	RemovedReason string
	// Noticed is the moment for which reauthorizationRequired was last sent, and why since somebody last stood behind
	// the subscription. Notices counts all that was sent to its lifecycleNotificationUrl.
	Noticed       time.Time
	NoticedReason string
	Notices       uint32
	// Missed is when something was lost that its owner was not told of yet, and why; MissedTold when a notice went on
	// its way that tells of it, or zero.
	Missed       time.Time
	MissedReason string
	MissedTold   time.Time

	// IncludeResourceData is nil when the client did not say (contract 1.10).
	IncludeResourceData       *bool
	EncryptionCertificate     string
	EncryptionCertificateID   string
	LatestSupportedTLSVersion string
	NotificationContentType   string
	NotificationQueryOptions  string
	NotificationURLAppID      string

	// What the create request's Prefer header asked for (contract 9.1 to 9.3); fixed for its life.
	ImmutableIDs              bool
	IncludeUnknownEnumMembers bool
	IncludeSecurityWebhooks   bool
}

// Expired reports whether the lease has run out: at its expiry, to the moment, it is gone (contract 10.15).
func (s *Subscription) Expired(now time.Time) bool { return !now.Before(s.Expires) }

// Gone reports whether the subscription is there for nobody any more: expired, or removed.
func (s *Subscription) Gone(now time.Time) bool { return !s.Removed.IsZero() || s.Expired(now) }

// Caller is who a request comes from, as its token says (contract section 8).
type Caller struct {
	Tenant TenantID
	App    AppID
	// Object is the user's id for a delegated token, the service principal's for an application's.
	Object    ObjectID
	UPN       string // the user's principal name, when the token tells it
	Delegated bool
	Personal  bool     // a personal Microsoft account
	Scopes    []string // delegated permissions (scp)
	// Roles are application permissions (roles). A user has none, but on the server's own pages: there, those of
	// Heliograph's own that are the user's roles.
	Roles []string
	// DirectoryRoles are template ids of the user's directory roles (wids).
	DirectoryRoles []string
	// Expires is when the token ends.
	Expires time.Time
}

// GlobalAdministrator is the template id of the directory role that sees every subscription (contract 6.8, 8.1).
const GlobalAdministrator = "62e90394-69f5-4237-9190-012177145e10"

// Permissions that Heliograph itself asks for.
const (
	PermissionPublish = "Changes.Publish"    // POST /publish
	PermissionControl = "Heliograph.Control" // /control/v1/…
)

// Permissions returns the permissions of the caller's kind: scopes for a user, roles for an application.
func (c *Caller) Permissions() []string {
	if c.Delegated {
		return c.Scopes
	}
	return c.Roles
}

// HasRole reports whether the token carries the application permission.
func (c *Caller) HasRole(role string) bool {
	return slices.Contains(c.Roles, role)
}

// PersonalTenant is the tenant of personal Microsoft accounts (contract 8.3).
const PersonalTenant TenantID = "9188040d-6c67-4c5b-b112-36a304b66dad"
