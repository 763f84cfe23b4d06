package subscribe

import (
	"container/heap"
	"context"
	"slices"
	"time"

	"heliograph.dev"
)

// expiryHeap has the subscription that expires next on top.
type expiryHeap []*entry

// Len returns the number of subscriptions that have an expiry ahead.
func (h expiryHeap) Len() int { return len(h) }

// Less reports whether the one expires before the other.
func (h expiryHeap) Less(i, j int) bool { return h[i].expires < h[j].expires }

// Swap keeps each entry's index right.
func (h expiryHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].due, h[j].due = i, j
}

// Push adds an *entry.
func (h *expiryHeap) Push(x any) {
	if e, ok := x.(*entry); ok {
		e.due = len(*h)
		*h = append(*h, e)
	}
}

// Pop takes the last one out.
func (h *expiryHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = nil
	e.due = -1
	*h = old[:len(old)-1]
	return e
}

const (
	expireAtOnce      = 256 // how many expired subscriptions are removed in one round
	expireInOneCommit = 64
	expirePause       = time.Second
)

// Expire removes every subscription when its time comes, until ctx is done. It sleeps until the next expiry and
// never scans. On several nodes it may run on all: who comes second finds nothing left to do.
//
// Nothing hangs on when exactly the records go: for every reader, a subscription whose time has come is gone.
func (s *Service) Expire(ctx context.Context) error {
	for {
		due := s.options.Registry.takeDue(s.now(), expireAtOnce)
		if len(due) == 0 {
			if err := s.untilNextExpiry(ctx); err != nil {
				return err
			}
			continue
		}
		if failed := s.removeExpired(ctx, due); len(failed) > 0 {
			s.options.Registry.putBack(failed)
			if err := pause(ctx, expirePause); err != nil {
				return err
			}
		}
	}
}

// untilNextExpiry waits until a subscription is due, or until another one will be due first.
func (s *Service) untilNextExpiry(ctx context.Context) error {
	var woken chan struct{} // stays nil, and silent, while nothing can expire
	if at, ok := s.options.Registry.nextExpiry(); ok {
		woken = make(chan struct{}, 1)
		stop := s.options.Clock.At(at, func() { signal(woken) })
		defer stop()
	}
	select {
	case <-woken:
	case <-s.options.Registry.soonest:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// pause waits in real time: what failed was not the clock.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// expired is a subscription as it was when its time came.
type expired struct {
	subscription heliograph.Subscription
	revision     uint64
}

// removeExpired removes what is due, tenant by tenant, with all that it holds, and returns what it must try again.
// A subscription that was renewed or removed meanwhile is left alone.
func (s *Service) removeExpired(ctx context.Context, due []expired) (failed []expired) {
	byTenant := make(map[heliograph.TenantID][]expired)
	for _, e := range due {
		byTenant[e.subscription.Tenant] = append(byTenant[e.subscription.Tenant], e)
	}
	for tenant, all := range byTenant {
		for group := range slices.Chunk(all, expireInOneCommit) {
			err := s.transact(ctx, tenant, func(ctx context.Context, l *ledger) error {
				for i := range group {
					if err := s.removeIfExpired(ctx, l, group[i].subscription.ID); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				failed = append(failed, group...)
			}
		}
	}
	return failed
}

func (s *Service) removeIfExpired(ctx context.Context, l *ledger, id heliograph.SubscriptionID) error {
	sub, err := l.subscription(ctx, id)
	if err != nil || sub == nil || !sub.Expired(s.now()) {
		return err
	}
	return s.remove(ctx, l, sub)
}

// nextExpiry returns when the next subscription is due.
func (r *Registry) nextExpiry() (time.Time, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if len(r.expiry) == 0 {
		return time.Time{}, false
	}
	return time.Unix(0, r.expiry[0].expires).UTC(), true
}

// takeDue takes up to limit subscriptions whose time has come out of the heap. They stay known until the
// watch tells that they are gone.
func (r *Registry) takeDue(now time.Time, limit int) []expired {
	r.mu.Lock()
	defer r.mu.Unlock()
	var due []expired
	for len(due) < limit && len(r.expiry) > 0 && r.expiry[0].expires <= now.UnixNano() {
		if e, ok := heap.Pop(&r.expiry).(*entry); ok {
			due = append(due, expired{e.subscription(), e.revision})
		}
	}
	return due
}

// putBack returns subscriptions that could not be removed, unless they have changed or gone since.
func (r *Registry) putBack(failed []expired) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range failed {
		e, ok := r.byID[failed[i].subscription.ID]
		if ok && e.due < 0 && e.revision == failed[i].revision {
			heap.Push(&r.expiry, e)
		}
	}
}
