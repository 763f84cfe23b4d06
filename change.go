package heliograph

import (
	"strings"
	"time"
)

// ChangeType is a set of what can happen to a resource (contract 1.3).
type ChangeType uint8

// The change types.
const (
	Created ChangeType = 1 << iota
	Updated
	Deleted
)

// ParseChangeType reads a comma list as clients write it: any case, spaces around the commas (contract 1.3).
// It answers false for an empty list and for an unknown word.
func ParseChangeType(s string) (ChangeType, bool) {
	var set ChangeType
	for word := range strings.SplitSeq(s, ",") {
		switch strings.ToLower(strings.TrimSpace(word)) {
		case "created":
			set |= Created
		case "updated":
			set |= Updated
		case "deleted":
			set |= Deleted
		default:
			return 0, false
		}
	}
	return set, true
}

// Has reports whether every type of other is in t.
func (t ChangeType) Has(other ChangeType) bool { return t&other == other }

// String returns the comma list in Graph's order.
func (t ChangeType) String() string {
	switch t { // the single ones without building a list: they are on every notification
	case Created:
		return "created"
	case Updated:
		return "updated"
	case Deleted:
		return "deleted"
	}
	var words []string
	for _, one := range []ChangeType{Created, Updated, Deleted} {
		if t.Has(one) {
			words = append(words, one.String())
		}
	}
	return strings.Join(words, ",")
}

// Change is one thing that happened to one resource of one tenant, as it stands in the change log.
type Change struct {
	ID     ChangeID
	Tenant TenantID
	Type   ChangeType // exactly one; of a notice, Updated
	// Resource is the canonical path of the changed instance (users/{id}/messages/{id}).
	Resource string
	// Paths are further canonical paths under which the change is visible.
	Paths []string
	// ImmutableID is the id that the instance keeps when it moves, where Outlook has such (contract 9.2), or empty.
	ImmutableID string
	// Time is when it happened, by the publisher's word; Accepted is when the server took it.
	Time, Accepted time.Time
	// Data is the resource's JSON object, or empty. In a change that was read from the log it shares memory
	// with its frame.
	Data []byte
	// Traceparent is the W3C trace context that came with the event, or empty.
	Traceparent string
	// Notice, when set, makes this a lifecycle notification for one subscription instead of a change of a
	// resource: same log, same delivery, another body.
	Notice *Notice
}

// LifecycleEvent is what happened to a subscription itself (contract 11.7).
type LifecycleEvent uint8

// The lifecycle events, numbered as Graph's metadata numbers them, from 1 (contract 1.21b).
const (
	Missed LifecycleEvent = iota + 1
	SubscriptionRemoved
	ReauthorizationRequired
)

// String returns the event's name on the wire.
func (e LifecycleEvent) String() string {
	switch e {
	case Missed:
		return "missed"
	case SubscriptionRemoved:
		return "subscriptionRemoved"
	case ReauthorizationRequired:
		return "reauthorizationRequired"
	}
	return "unknown"
}

// ParseLifecycleEvent reads a name as the wire writes it, in any case.
func ParseLifecycleEvent(s string) (LifecycleEvent, bool) {
	for _, e := range []LifecycleEvent{Missed, SubscriptionRemoved, ReauthorizationRequired} {
		if strings.EqualFold(s, e.String()) {
			return e, true
		}
	}
	return 0, false
}

// Notice is a lifecycle notification: it carries what its body and its way need, because the subscription may
// be gone by the time it is delivered.
type Notice struct {
	Event        LifecycleEvent
	Subscription SubscriptionID
	URL          string // the lifecycleNotificationUrl
	ClientState  Secret
	Expires      time.Time
	// Reason says why, for the delivery record ("token expires", "removed by operator"). It is not sent.
	Reason string
}

// Position is a change's place in the change log. It outlives restarts and is what the backlog keeps.
type Position struct {
	Sequence uint64 // of the frame
	Index    uint32 // of the change within the frame
}

// Before reports whether p stands before other in the log.
func (p Position) Before(other Position) bool {
	if p.Sequence != other.Sequence {
		return p.Sequence < other.Sequence
	}
	return p.Index < other.Index
}

// Frame is a group of changes of one partition that reached the disk together.
type Frame struct {
	Partition int
	Sequence  uint64
	Written   time.Time
	Changes   []Change
}
