package receiver

import "sync"

// Claim says what is known of a notification that came.
type Claim int

// The claims.
const (
	Fresh   Claim = iota // handle it, and say how that went with End
	Running              // it is being handled: it came twice at the same time
	Handled              // it was handled
)

// Duplicates remembers which notifications were handled, within a bound: senders send one again when they did not see
// the answer, or saw it late. A Handler has one of its own; use another with a queue reader, or give one to the
// handlers of several URLs.
type Duplicates struct {
	half int

	mu         sync.Mutex
	running    map[string]struct{}
	young, old map[string]struct{} // two generations: when young is full it becomes old, and old is forgotten
}

// NewDuplicates returns a memory of at most limit ids; a limit below 2 is 2.
func NewDuplicates(limit int) *Duplicates {
	return &Duplicates{half: max(limit/2, 1), running: map[string]struct{}{}, young: map[string]struct{}{}}
}

// Begin tells what is known of an id; one that is Fresh is Running from now on. The empty id is always Fresh.
func (d *Duplicates) Begin(id string) Claim {
	if id == "" {
		return Fresh
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.running[id]; ok {
		return Running
	}
	_, young := d.young[id]
	_, old := d.old[id]
	if young || old {
		return Handled
	}
	d.running[id] = struct{}{}
	return Fresh
}

// End ends what Begin began: handled, or to be handled when it comes again.
func (d *Duplicates) End(id string, handled bool) {
	if id == "" {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.running, id)
	if !handled {
		return
	}
	if len(d.young) >= d.half {
		d.young, d.old = make(map[string]struct{}, d.half), d.young
	}
	d.young[id] = struct{}{}
}
