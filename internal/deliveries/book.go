// Package deliveries remembers what was sent to endpoints and how it went, so that an owner can look: the request,
// the answer, the time, the reason; and what became of a notification that was given up.
//
// It is kept in memory and bounded: the last Attempts POSTs of all, and of each of the last Subscriptions
// subscriptions the last PerSubscription. It is cheap enough to stay on at full load because it samples then: of
// POSTs that went well at most PerSecond are kept in any second, and as many of those that failed; what was not
// kept is counted. A POST with more than Listed notifications tells the first of them and how many there were.
// Bodies, and what was said besides, are kept up to BodyBytes in all, the newest; a rich notification's data stays
// encrypted in them.
package deliveries

import (
	"bytes"
	"encoding/binary"
	"slices"
	"sync"
	"time"

	"heliograph.dev"
)

// ID names a remembered POST. It is good until the POST is forgotten.
type ID = heliograph.GUID

// Notified is a notification that was part of a POST.
type Notified struct {
	ID           heliograph.NotificationID
	Subscription heliograph.SubscriptionID
	Change       heliograph.ChangeID
	Position     heliograph.Position
	Tenant       heliograph.TenantID
	App          heliograph.AppID
	Attempts     uint32 // that failed before this one
	Accepted     time.Time
	Lifecycle    heliograph.LifecycleEvent // 0 for a change
	Told         string                    // why a lifecycle notification tells it
	Resource     string                    // of a change
	Type         heliograph.ChangeType     // of a change
}

// Delivery is one POST, or one notification that was given up.
type Delivery struct {
	ID      ID
	Attempt heliograph.Attempt
	// GivenUp is why the notification will not be delivered, or empty for a POST.
	GivenUp heliograph.Reason
	// Notifications are the first of the Count that it carried.
	Notifications []Notified
	Count         int
	// Body is what was sent, or nil when it is no longer kept; what was said besides (Attempt.Said) is kept as long.
	Body []byte
}

// weight is how many bytes of bodies and answers a delivery holds.
func (d *Delivery) weight() int64 {
	n := len(d.Body)
	if said := d.Attempt.Said; said != nil {
		n += len(said.Sent) + cap(said.Body) + 256
		for name, values := range said.Header {
			for _, v := range values {
				n += len(name) + len(v) + 48
			}
		}
	}
	return int64(n)
}

// Limits bound a Book.
type Limits struct {
	Attempts        int   // POSTs of all endpoints
	Subscriptions   int   // subscriptions of which the last POSTs are kept beside
	PerSubscription int   // POSTs of each
	Listed          int   // notifications that are told of one POST
	PerSecond       int   // POSTs that are kept in a second, of those that went well and of those that failed
	BodyBytes       int64 // of all bodies together
}

// DefaultLimits take some 40 MB when all is full.
func DefaultLimits() Limits {
	return Limits{Attempts: 10_000, Subscriptions: 20_000, PerSubscription: 5, Listed: 16, PerSecond: 1000, BodyBytes: 16 << 20}
}

// Book remembers deliveries. Its methods may be called concurrently.
type Book struct {
	limits Limits
	now    func() time.Time
	birth  [8]byte // of this book: ids of an earlier one name nothing in it

	mu      sync.Mutex
	made    uint64
	ring    []*Delivery
	bodies  []*Delivery // that have one, oldest first
	held    int64
	bySub   map[heliograph.SubscriptionID]*last
	queue   []heliograph.SubscriptionID // in the order in which they first came
	second  int64
	well    int
	failed  int
	skipped uint64
	more    chan struct{} // closed at the next delivery; nil when nobody waits
}

// last are a subscription's latest deliveries.
type last struct{ deliveries []*Delivery }

// New returns an empty book.
func New(limits Limits, now func() time.Time) *Book {
	b := &Book{limits: limits, now: now, ring: make([]*Delivery, limits.Attempts), bySub: map[heliograph.SubscriptionID]*last{}}
	g := heliograph.NewGUID()
	copy(b.birth[:], g[:8])
	return b
}

// Wants reports whether a POST that ended now would be kept, and counts it when it would not. It is asked before
// anything is copied.
func (b *Book) Wants(ok bool) bool {
	second := b.now().Unix()
	b.mu.Lock()
	defer b.mu.Unlock()
	if second != b.second {
		b.second, b.well, b.failed = second, 0, 0
	}
	n := &b.failed
	if ok {
		n = &b.well
	}
	if *n++; *n > b.limits.PerSecond {
		b.skipped++
		return false
	}
	return true
}

// Listed is how many notifications of one POST are told.
func (b *Book) Listed() int { return b.limits.Listed }

// Add remembers a POST. The notifications are the book's from now on; the body is copied. count is how many
// notifications there were.
func (b *Book) Add(attempt *heliograph.Attempt, givenUp heliograph.Reason, notifications []Notified, count int, body []byte) {
	d := &Delivery{Attempt: *attempt, GivenUp: givenUp, Notifications: notifications, Count: count}
	if int64(len(body)) <= b.limits.BodyBytes/16 { // a huge one would push out all others
		d.Body = bytes.Clone(body)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.made++
	copy(d.ID[:8], b.birth[:])
	binary.BigEndian.PutUint64(d.ID[8:], b.made)
	b.ring[b.made%uint64(len(b.ring))] = d
	if weight := d.weight(); weight > 0 {
		b.bodies = append(b.bodies, d)
		b.held += weight
	}
	for b.held > b.limits.BodyBytes {
		oldest := b.bodies[0]
		b.bodies[0] = nil
		b.bodies = b.bodies[1:]
		b.held -= oldest.weight()
		b.forgetBody(oldest)
	}
	for i := range notifications {
		b.noteLocked(notifications[i].Subscription, d)
	}
	b.wakeLocked()
}

// forgetBody puts a copy without the body and the answer in the place of a delivery: readers may hold the other.
func (b *Book) forgetBody(d *Delivery) {
	bare := *d
	bare.Body, bare.Attempt.Said = nil, nil
	if at := &b.ring[binary.BigEndian.Uint64(d.ID[8:])%uint64(len(b.ring))]; *at == d {
		*at = &bare
	}
	for i := range d.Notifications {
		if l := b.bySub[d.Notifications[i].Subscription]; l != nil {
			if k := slices.Index(l.deliveries, d); k >= 0 {
				l.deliveries[k] = &bare
			}
		}
	}
}

func (b *Book) noteLocked(sub heliograph.SubscriptionID, d *Delivery) {
	l := b.bySub[sub]
	if l == nil {
		if len(b.queue) >= b.limits.Subscriptions {
			delete(b.bySub, b.queue[0])
			b.queue = b.queue[1:]
		}
		l = &last{}
		b.bySub[sub] = l
		b.queue = append(b.queue, sub)
	}
	if n := len(l.deliveries); n > 0 && l.deliveries[n-1] == d {
		return
	}
	if len(l.deliveries) == b.limits.PerSubscription {
		l.deliveries = append(l.deliveries[:0:0], l.deliveries[1:]...)
	}
	l.deliveries = append(l.deliveries, d)
}

// Get returns a remembered delivery.
func (b *Book) Get(id ID) (*Delivery, bool) {
	if !bytes.Equal(id[:8], b.birth[:]) {
		return nil, false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	d := b.ring[binary.BigEndian.Uint64(id[8:])%uint64(len(b.ring))]
	return d, d != nil && d.ID == id
}

// Latest returns the latest deliveries of a subscription, the latest first, with what they carried for others. There
// are PerSubscription at the most, and none of one that others have pushed out.
func (b *Book) Latest(sub heliograph.SubscriptionID) []*Delivery {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.bySub[sub]
	if l == nil {
		return nil
	}
	latest := slices.Clone(l.deliveries)
	slices.Reverse(latest)
	return latest
}

// Query says which deliveries are looked for. Zero fields match all.
type Query struct {
	Subscription heliograph.SubscriptionID
	Change       heliograph.ChangeID
	Endpoint     heliograph.Endpoint
	Tenant       heliograph.TenantID
	App          heliograph.AppID
	FailedOnly   bool
	Most         int
}

// Find returns the latest deliveries that match, the latest first. What they carried for others is left out.
func (b *Book) Find(q Query) []Delivery {
	b.mu.Lock()
	defer b.mu.Unlock()
	var found []Delivery
	seen := map[ID]bool{}
	take := func(d *Delivery) {
		if d == nil || seen[d.ID] || len(found) >= q.Most {
			return
		}
		if match, ok := q.Match(d); ok {
			seen[d.ID] = true
			found = append(found, match)
		}
	}
	for i := range uint64(len(b.ring)) {
		if i >= b.made {
			break
		}
		take(b.ring[(b.made-i)%uint64(len(b.ring))])
	}
	if l := b.bySub[q.Subscription]; l != nil {
		for _, d := range slices.Backward(l.deliveries) {
			take(d)
		}
	}
	return found
}

// Match returns the delivery with those of its notifications that match.
func (q Query) Match(d *Delivery) (Delivery, bool) {
	if q.Endpoint != "" && q.Endpoint != d.Attempt.Endpoint || q.FailedOnly && d.GivenUp == "" && d.Attempt.OK() {
		return Delivery{}, false
	}
	out := *d
	out.Notifications = nil
	for _, n := range d.Notifications {
		if q.notified(&n) {
			out.Notifications = append(out.Notifications, n)
		}
	}
	return out, len(out.Notifications) > 0
}

func (q Query) notified(n *Notified) bool {
	return (q.Subscription.IsZero() || q.Subscription == n.Subscription) && (q.Change.IsZero() || q.Change == n.Change) &&
		(q.Tenant == "" || q.Tenant == n.Tenant) && (q.App == "" || q.App == n.App)
}

// Forget takes out the deliveries that carried one of the notifications, those of others in them included, and returns
// how many there were.
func (b *Book) Forget(of func(n *Notified) bool) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	gone := map[ID]bool{}
	concerned := func(d *Delivery) bool {
		if d == nil || !slices.ContainsFunc(d.Notifications, func(n Notified) bool { return of(&n) }) {
			return false
		}
		gone[d.ID] = true
		return true
	}
	for i, d := range b.ring {
		if concerned(d) {
			b.ring[i] = &Delivery{ID: d.ID}
		}
	}
	for _, l := range b.bySub {
		l.deliveries = slices.DeleteFunc(l.deliveries, concerned)
	}
	b.bodies = slices.DeleteFunc(b.bodies, func(d *Delivery) bool {
		if !gone[d.ID] {
			return false
		}
		b.held -= int64(len(d.Body))
		return true
	})
	return len(gone)
}

// Skipped returns how many deliveries were counted and not kept.
func (b *Book) Skipped() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.skipped
}
