package subscribe

import (
	"container/heap"
	"context"
	"slices"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/lifecycle"
)

// stepHeap has the subscription on top with which something is to be done next.
type stepHeap []*entry

// Len returns the number of subscriptions that have a step ahead.
func (h stepHeap) Len() int { return len(h) }

// Less reports whether the one's step comes before the other's.
func (h stepHeap) Less(i, j int) bool { return h[i].step < h[j].step }

// Swap keeps each entry's index right.
func (h stepHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].due, h[j].due = i, j
}

// Push adds an *entry.
func (h *stepHeap) Push(x any) {
	if e, ok := x.(*entry); ok {
		e.due = len(*h)
		*h = append(*h, e)
	}
}

// Pop takes the last one out.
func (h *stepHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = nil
	e.due = -1
	*h = old[:len(old)-1]
	return e
}

const (
	tendAtOnce      = 256 // with how many subscriptions something is done in one round
	tendInOneCommit = 64
	tendPause       = time.Second
	// lookAgain is when a node looks again at a step of a tenant that is another node's: that one may have died.
	lookAgain = 10 * time.Second
)

// Tend does with every subscription what its plan says, at its moment, until ctx is done: it tells the owner by a
// lifecycle notification, or removes what has expired. It sleeps until the next step and never scans.
//
// Every step follows from what the subscription's record says, and that it was done is written there: so a restart
// neither forgets nor repeats one. A notice is on disk before the record says so, which means that a crash between the
// two sends it twice, under the same id. Of several challenges that came due while nobody tended, the last is sent.
//
// Nothing hangs on when exactly the records go: for every reader, a subscription whose time has come is gone.
func (s *Service) Tend(ctx context.Context) error {
	for {
		waiting, err := s.TendNow(ctx)
		switch {
		case err != nil:
			return err
		case waiting:
			err = pause(ctx, tendPause)
		default:
			err = s.untilNextStep(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// TendNow does all that is due now. It reports whether something failed and waits to be tried again; an error is
// ctx's.
func (s *Service) TendNow(ctx context.Context) (waiting bool, err error) {
	for {
		due := s.options.Registry.takeDue(s.now(), tendAtOnce)
		if len(due) == 0 {
			return false, nil
		}
		failed := s.tend(ctx, due)
		if err := ctx.Err(); err != nil {
			s.options.Registry.putBack(failed, 0)
			return true, err
		}
		if len(failed) > 0 {
			s.options.Registry.putBack(failed, 0)
			return true, nil
		}
	}
}

// untilNextStep waits until something is to be done, or until something else comes first.
func (s *Service) untilNextStep(ctx context.Context) error {
	var next *time.Time
	if at, ok := s.options.Registry.nextStep(); ok {
		next = &at
	}
	woken, stop := s.restUntil(next)
	defer stop()
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

// dueOne is a subscription as it was when its moment came, and what is to be done with it.
type dueOne struct {
	subscription heliograph.Subscription
	revision     uint64
	step         lifecycle.Step
}

// tend does what is due, tenant by tenant, and returns what it must try again.
func (s *Service) tend(ctx context.Context, due []dueOne) (failed []dueOne) {
	byTenant := make(map[heliograph.TenantID][]dueOne)
	now := s.now()
	for i := range due {
		due[i].step = s.plans.due(&due[i].subscription, now)
		tenant := due[i].subscription.Tenant
		byTenant[tenant] = append(byTenant[tenant], due[i])
	}
	for tenant, all := range byTenant {
		if !s.options.Owns(tenant) {
			s.options.Registry.putBack(all, now.Add(lookAgain).UnixNano())
			continue
		}
		for group := range slices.Chunk(all, tendInOneCommit) {
			if err := s.tendGroup(ctx, tenant, group, now); err != nil {
				failed = append(failed, group...)
			}
		}
	}
	return failed
}

// tendGroup tells owners together, then writes down together that it is done.
func (s *Service) tendGroup(ctx context.Context, tenant heliograph.TenantID, group []dueOne, now time.Time) error {
	var notices []heliograph.Change
	for i := range group {
		if group[i].step.Event != 0 {
			notices = append(notices, noticeOf(&group[i].subscription, group[i].step, now))
		}
	}
	if len(notices) > 0 && s.options.Notices != nil {
		if err := s.options.Notices.Accept(ctx, notices); err != nil {
			return err
		}
	}
	return s.transact(ctx, tenant, func(ctx context.Context, l *ledger) error {
		for i := range group {
			if err := s.conclude(ctx, l, &group[i], now); err != nil {
				return err
			}
		}
		return nil
	})
}

// conclude writes down that a step was done. A subscription that has changed meanwhile, so that the step is not due any
// more, is left alone.
func (s *Service) conclude(ctx context.Context, l *ledger, d *dueOne, now time.Time) error {
	sub, err := l.subscription(ctx, d.subscription.ID)
	if err != nil || sub == nil {
		return err
	}
	step := s.plans.due(sub, now)
	switch {
	case step != d.step:
		return nil
	case step.Do == lifecycle.Expire, step.Do == lifecycle.Remove:
		return s.remove(ctx, l, sub)
	case step.Do == lifecycle.Tell:
		done(sub, step, now)
		l.putSubscription(sub)
	}
	return nil
}

// removeIfExpired removes a subscription whose time has come, and that nothing is told of.
func (s *Service) removeIfExpired(ctx context.Context, l *ledger, id heliograph.SubscriptionID) error {
	sub, err := l.subscription(ctx, id)
	if err != nil || sub == nil || !sub.Removed.IsZero() || !sub.Expired(s.now()) {
		return err
	}
	return s.remove(ctx, l, sub)
}

// nextStep returns when the next step is due.
func (r *Registry) nextStep() (time.Time, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if len(r.steps) == 0 {
		return time.Time{}, false
	}
	return time.Unix(0, r.steps[0].step).UTC(), true
}

// takeDue takes up to limit subscriptions whose moment has come out of the heap. They stay known, and come back when
// the watch tells that they have changed.
func (r *Registry) takeDue(now time.Time, limit int) []dueOne {
	r.mu.Lock()
	defer r.mu.Unlock()
	var due []dueOne
	for len(due) < limit && len(r.steps) > 0 && r.steps[0].step <= now.UnixNano() {
		if e, ok := heap.Pop(&r.steps).(*entry); ok {
			due = append(due, dueOne{subscription: e.subscription(), revision: e.revision})
		}
	}
	return due
}

// putBack returns subscriptions that nothing could be done with, unless they have changed or gone since. With a
// moment, they are due then.
func (r *Registry) putBack(failed []dueOne, at int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range failed {
		e, ok := r.byID[failed[i].subscription.ID]
		if ok && e.due < 0 && e.revision == failed[i].revision {
			e.step = max(e.step, at)
			r.schedule(e)
		}
	}
}
