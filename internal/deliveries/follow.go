package deliveries

import (
	"bytes"
	"encoding/binary"
)

// mostFollowed bounds what one look at the book's end brings.
const mostFollowed = 500

// Tail is what came into the book after some place in it.
type Tail struct {
	// Deliveries that match, the oldest first.
	Deliveries []Delivery
	// At is the place to go on from: the last delivery that was looked at, whether it matched or not.
	At ID
	// Missed is how many deliveries were forgotten before they were looked at.
	Missed uint64
	// More is closed when there is more behind At.
	More <-chan struct{}
}

// Follow returns what came after a place: the id of a delivery, or of none for the book's end. A place in an earlier
// book, of before a restart, is the beginning. Nothing is kept for who follows: the book itself is the buffer, and who
// is slower than it misses deliveries and is told how many.
func (b *Book) Follow(after ID, q Query) Tail {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := b.made
	if !after.IsZero() {
		at = 0
		if bytes.Equal(after[:8], b.birth[:]) {
			at = min(binary.BigEndian.Uint64(after[8:]), b.made)
		}
	}
	var t Tail
	if size := uint64(len(b.ring)); b.made-at > size {
		t.Missed = b.made - size - at
		at += t.Missed
	}
	for ; at < b.made && len(t.Deliveries) < mostFollowed; at++ {
		if match, ok := q.Match(b.ring[(at+1)%uint64(len(b.ring))]); ok {
			t.Deliveries = append(t.Deliveries, match)
		}
	}
	copy(t.At[:8], b.birth[:])
	binary.BigEndian.PutUint64(t.At[8:], at)
	if at < b.made {
		more := make(chan struct{})
		close(more)
		t.More = more
		return t
	}
	if b.more == nil {
		b.more = make(chan struct{})
	}
	t.More = b.more
	return t
}

// wakeLocked lets those know who wait for the next delivery.
func (b *Book) wakeLocked() {
	if b.more != nil {
		close(b.more)
		b.more = nil
	}
}
