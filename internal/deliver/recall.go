package deliver

import (
	"context"
	"time"
)

// Recall says from where on the log is to be read so that filters remember again what they let through, given the
// cursor of a partition. What was accepted after since is all there; the zero time says that the log was never cut.
//
// What is remembered is no state of its own: it is what the log says, from the subscription's creation on
// (match.Index). So nothing is written for it, and a server that crashed comes to the same verdicts. What the log no
// longer has, filters take as match says.
type Recall func(ctx context.Context, cursor uint64) (from uint64, since time.Time, err error)

// begin is where a partition is read from, and from where on what is read is delivered.
type begin struct{ from, live uint64 }

// recall says where each partition begins. Where no subscription remembers anything, that is its cursor.
func (d *Dispatcher) recall(ctx context.Context) ([]begin, error) {
	begins := make([]begin, len(d.opts.Partitions))
	var known time.Time
	for i, p := range d.opts.Partitions {
		cursor, err := d.opts.Log.Cursor(ctx, p)
		if err != nil {
			return nil, err
		}
		from, since := cursor, d.started
		if d.opts.Recall != nil && d.opts.Index.Remembers() {
			if from, since, err = d.opts.Recall(ctx, cursor); err != nil {
				return nil, err
			}
		}
		begins[i] = begin{from: min(from, cursor), live: cursor}
		if since.After(known) {
			known = since
		}
	}
	d.opts.Index.KnownSince(known)
	return begins, nil
}
