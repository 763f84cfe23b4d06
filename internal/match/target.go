package match

import (
	"slices"

	"heliograph.dev"
	"heliograph.dev/internal/catalog"
)

// Target is what delivery needs to know of a subscription, small enough to keep millions of in memory. Once
// in an Index it is not changed.
type Target struct {
	// What a look-up reads comes first, and there are 128 bytes in all, so that it reads one cache line.
	*Owner
	Row       *catalog.Row
	Expires   int64  // Unix nanoseconds
	key       key    // of its bucket
	rest      *rest  // nil: nothing of it
	place     uint32 // in its group, guarded by the index's lock; of use only where it is in one bucket
	Types     heliograph.ChangeType
	LatestTLS TLS
	Flags     Flags

	ID          heliograph.SubscriptionID
	Resource    string // as the client wrote it
	URL         heliograph.Endpoint
	ClientState heliograph.Secret
	Rich        *Rich // nil for a basic subscription
}

// rest is what few targets have.
type rest struct {
	keys      []key // its buckets, when there are several; the target's own is zero then
	condition *condition
}

// more returns the rest of a target that has some.
func (t *Target) more() *rest {
	if t.rest == nil {
		t.rest = &rest{}
	}
	return t.rest
}

// TellsImmutableID reports whether the target hears of a change by the id that the resource keeps when it moves
// (contract 9.2).
func (t *Target) TellsImmutableID(change *heliograph.Change) bool {
	return t.Flags&ImmutableIDs != 0 && change.ImmutableID != "" && t.Row.Extras.ImmutableID
}

// remembers reports whether what enters and leaves its filter is noted.
func (t *Target) remembers() bool {
	return t.rest != nil && t.rest.condition != nil && t.rest.condition.memory != nil
}

// Owner is whom a target belongs to. Targets of one application in one tenant share it.
type Owner struct {
	Tenant heliograph.TenantID
	App    heliograph.AppID
}

// TLS is the lowest TLS version that a subscription's calls may use. Versions compare by their order.
type TLS uint8

// The TLS versions. A latestSupportedTlsVersion below v1_2 gets v1_2: nothing lower is ever spoken.
const (
	TLS12 TLS = iota // also where the client said nothing
	TLS13
)

// String returns the version as the API writes it.
func (v TLS) String() string {
	if v == TLS13 {
		return "v1_3"
	}
	return "v1_2"
}

// Flags are what a create request's Prefer header asked for.
type Flags uint8

// The flags.
const (
	ImmutableIDs Flags = 1 << iota
	UnknownEnumMembers
	SecurityWebhooks
)

// Rich is what a subscription with resource data has besides.
type Rich struct {
	Certificate, CertificateID string
	URLAppID                   heliograph.AppID // audience of the validation token, or empty: the application
}

// TargetOf returns the target of a subscription of that row. Its texts share the subscription's memory.
func TargetOf(s *heliograph.Subscription, row *catalog.Row) *Target {
	t := &Target{
		ID: s.ID, Owner: &Owner{Tenant: s.Tenant, App: s.App}, Resource: s.Resource,
		URL: heliograph.Endpoint(s.NotificationURL), ClientState: s.ClientState, Row: row,
		Expires: s.Expires.UnixNano(), Types: s.ChangeType,
	}
	if s.LatestSupportedTLSVersion == TLS13.String() {
		t.LatestTLS = TLS13
	}
	for _, f := range []struct {
		set  bool
		flag Flags
	}{
		{s.ImmutableIDs, ImmutableIDs},
		{s.IncludeUnknownEnumMembers, UnknownEnumMembers},
		{s.IncludeSecurityWebhooks, SecurityWebhooks},
	} {
		if f.set {
			t.Flags |= f.flag
		}
	}
	if s.IncludeResourceData != nil && *s.IncludeResourceData {
		t.Rich = &Rich{
			Certificate: s.EncryptionCertificate, CertificateID: s.EncryptionCertificateID,
			URLAppID: heliograph.AppID(s.NotificationURLAppID),
		}
	}
	return t
}

// several reports whether the target is in more than one bucket.
func (t *Target) several() bool { return t.rest != nil && t.rest.keys != nil }

// keys returns the target's buckets.
func (t *Target) keys() []key {
	if t.several() {
		return t.rest.keys
	}
	return []key{t.key}
}

// in reports whether k is one of the target's buckets.
func (t *Target) in(k key) bool {
	if t.several() {
		return slices.Contains(t.rest.keys, k)
	}
	return t.key == k
}
