package subscribe

import (
	"sync"

	"heliograph.dev"
)

// Handshake is one endpoint's proof, as it went, for the person whose endpoint it is.
type Handshake struct {
	ID     heliograph.GUID
	Tenant heliograph.TenantID
	App    heliograph.AppID
	// Property is whose URL it was: notificationUrl or lifecycleNotificationUrl.
	Property string
	URL      string // as the client sent it
	Token    string // what had to come back
	Exchange Exchange
	// Rule is the rule that refused, or empty: the endpoint has proved itself.
	Rule string
	// Differs is the first byte at which the answer is not the token, or -1.
	Differs int
}

// HandshakeError is a create or update that an endpoint's answer refused.
type HandshakeError struct {
	// Err is what the caller is told.
	Err *heliograph.Error
	// Exchange is the id under which Handshakes keeps what was said.
	Exchange heliograph.GUID
}

// Error returns the message.
func (e *HandshakeError) Error() string { return e.Err.Error() }

// Unwrap returns the error that the caller is told.
func (e *HandshakeError) Unwrap() error { return e.Err }

// handshakesKept bounds the book: at some 25 KB for the longest answers it stays below 7 MB.
const handshakesKept = 256

// Handshakes is the book of the latest handshakes, in memory only: it explains, it decides nothing.
type Handshakes struct {
	mu   sync.Mutex
	ring []Handshake
	next int // where the next one goes once the ring is full
}

func newHandshakes() *Handshakes { return &Handshakes{} }

func (b *Handshakes) add(h *Handshake) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.ring) < handshakesKept {
		b.ring = append(b.ring, *h)
		return
	}
	b.ring[b.next] = *h
	b.next = (b.next + 1) % handshakesKept
}

// forget takes out a tenant's handshakes, and returns how many there were. They do not say whose user's they were.
func (b *Handshakes) forget(tenant heliograph.TenantID) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for i := range b.ring {
		if b.ring[i].Tenant == tenant {
			b.ring[i] = Handshake{}
			n++
		}
	}
	return n
}

// Get returns the handshake of that id, if the caller may see it: it is its application's, or the caller may
// control its tenant.
func (b *Handshakes) Get(caller *heliograph.Caller, id heliograph.GUID) (Handshake, bool) {
	for _, h := range b.List(caller) {
		if h.ID == id {
			return h, true
		}
	}
	return Handshake{}, false
}

// List returns the handshakes that the caller may see, the latest first.
func (b *Handshakes) List(caller *heliograph.Caller) []Handshake {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []Handshake
	for i := range b.ring {
		h := b.ring[(b.next+len(b.ring)-1-i)%len(b.ring)]
		if h.Tenant == caller.Tenant && (h.App == caller.App || caller.HasRole(heliograph.PermissionControl)) {
			list = append(list, h)
		}
	}
	return list
}
