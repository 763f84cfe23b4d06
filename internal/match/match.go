// Package match finds the subscriptions that want a change, at a cost that does not depend on how many
// subscriptions there are.
package match

import (
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/catalog"
)

// Target is what delivery needs to know of a subscription, small enough to keep millions of in memory. Once
// in an Index it is not changed: a renewal puts another in its place.
type Target struct {
	ID          heliograph.SubscriptionID
	Tenant      heliograph.TenantID
	App         heliograph.AppID
	Path        string // canonical
	Resource    string // as the client wrote it
	URL         heliograph.Endpoint
	ClientState heliograph.Secret
	Row         *catalog.Row
	Rich        *Rich // nil for a basic subscription
	Expires     int64 // Unix nanoseconds
	Types       heliograph.ChangeType
	LatestTLS   TLS
	Flags       Flags
}

// TLS is a subscription's latestSupportedTlsVersion; the zero value is the default, v1_2.
type TLS uint8

// Flags are what a create request's Prefer header asked for.
type Flags uint8

// The flags.
const (
	ImmutableIDs Flags = 1 << iota
	UnknownEnumMembers
	SecurityWebhooks
	Paused // its token has ended: a change is withheld until it is reauthorized
)

// Rich is what a subscription with resource data has besides.
type Rich struct {
	Certificate, CertificateID string
	URLAppID                   heliograph.AppID
}

// TargetOf returns the target of a subscription of that row.
func TargetOf(s *heliograph.Subscription, row *catalog.Row) *Target { return &Target{} }

// Index holds targets by tenant and path, and by id. Any number may use it at once.
type Index struct{}

// New returns an empty index over the rows of c.
func New(c *catalog.Catalog) *Index { return &Index{} }

// Put adds a target, or replaces the one of the same id, visible under each of the watch paths
// (catalog.Resolved.Watch, catalog.Row.WatchPaths).
func (x *Index) Put(t *Target, watch []string) {}

// Remove takes the target of that id out and reports whether it was there.
func (x *Index) Remove(id heliograph.SubscriptionID) bool { return false }

// Get returns the target of that id, or nil.
func (x *Index) Get(id heliograph.SubscriptionID) *Target { return nil }

// Len returns how many targets there are.
func (x *Index) Len() int { return 0 }

// Hit is one subscription that a change is visible to. It is valid during the visit only.
type Hit struct {
	Target   *Target
	Type     heliograph.ChangeType // what the notification says: a drive's root knows only updated
	Instance catalog.Instance
	// Withheld says why the change does not go to it; empty when it does.
	Withheld heliograph.Reason
}

// Find visits every subscription that wants the change, each once.
func (x *Index) Find(change *heliograph.Change, now time.Time, visit func(*Hit)) {}

// Explain is Find, and visits those too for which the change is visible and withheld.
func (x *Index) Explain(change *heliograph.Change, now time.Time, visit func(*Hit)) {}

// Match says how one subscription sees a change: for what is sent later than it was found (a retry after a
// restart, a resend). It reports false when the change is not visible to it.
func (x *Index) Match(change *heliograph.Change, id heliograph.SubscriptionID, now time.Time) (Hit, bool) {
	return Hit{}, false
}
