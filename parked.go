package heliograph

import "time"

// ParkedRef points to one notification that waits for an ill endpoint. It keeps no body: the change still
// stands in the change log at Position, and the subscription is looked up again when its turn comes.
type ParkedRef struct {
	Subscription SubscriptionID
	Position     Position
	// Since is when the first attempt was due: the retry window counts from it.
	Since time.Time
	// Attempts is how many there were so far.
	Attempts uint32
	// Again says that it was asked for once more (a resend, a replay): it is no duplicate of what stands before it.
	Again bool
}
