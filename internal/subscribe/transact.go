package subscribe

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"heliograph.dev"
)

// plan writes into a ledger what is to become true together, or refuses. It may be called more than once, each time
// with a ledger that is as the store is then.
type plan func(context.Context, *ledger) error

const (
	ordersAtOnce = 64
	// writesEnough is how many writes a commit has before the orders that are left wait for the next. One order has
	// some 600 at most, and the store takes 1000.
	writesEnough = 300

	commitAttempts = 30
	commitTimeout  = 30 * time.Second
	pauseFirst     = time.Millisecond
	pauseMost      = 64 * time.Millisecond
)

// order is a plan and who waits for it.
type order struct {
	given func() error // the caller's context: what it has given up is not begun
	plan  plan
	err   error
	done  chan outcome // takes one
}

type outcome struct {
	revision uint64 // 0: nothing was written
	err      error
}

// orders lines up each tenant's transactions on this node. Those that come while one is on its way are carried out
// together, in one commit: subscriptions of one tenant share counters, and would only get into each other's way.
// Other nodes are noticed by a conflict, and then everything is looked at again.
type orders struct {
	mu      sync.Mutex
	waiting map[heliograph.TenantID][]*order // a tenant is there while somebody carries out its orders
}

// add returns whether nobody carries out the tenant's orders yet.
func (o *orders) add(tenant heliograph.TenantID, one *order) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	before, busy := o.waiting[tenant]
	if o.waiting == nil {
		o.waiting = make(map[heliograph.TenantID][]*order)
	}
	o.waiting[tenant] = append(before, one)
	return !busy
}

// take returns the next orders, or none: then nobody carries out the tenant's any more.
func (o *orders) take(tenant heliograph.TenantID) []*order {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := o.waiting[tenant]
	if len(all) == 0 {
		delete(o.waiting, tenant)
		return nil
	}
	n := min(len(all), ordersAtOnce)
	o.waiting[tenant] = all[n:]
	return all[:n:n]
}

// putBack returns orders to the front.
func (o *orders) putBack(tenant heliograph.TenantID, rest []*order) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiting[tenant] = append(rest, o.waiting[tenant]...)
}

// transact carries out a plan on the tenant's records, all or nothing, and returns when this node's index has what
// was written.
func (s *Service) transact(ctx context.Context, tenant heliograph.TenantID, p plan) error {
	o := &order{given: ctx.Err, plan: p, done: make(chan outcome, 1)}
	if s.orders.add(tenant, o) {
		go s.serve(context.WithoutCancel(ctx), tenant)
	}
	select {
	case got := <-o.done:
		if got.err != nil || got.revision == 0 {
			return got.err
		}
		return s.options.Index.Wait(ctx, tenant, got.revision)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// serve carries out a tenant's orders until there are none.
func (s *Service) serve(ctx context.Context, tenant heliograph.TenantID) {
	for {
		group := s.orders.take(tenant)
		if group == nil {
			return
		}
		s.orders.putBack(tenant, s.carryOut(ctx, tenant, group))
	}
}

// carryOut commits a group of orders and answers them. It returns those that did not fit.
func (s *Service) carryOut(ctx context.Context, tenant heliograph.TenantID, group []*order) (rest []*order) {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	var last error
	for try := range commitAttempts {
		l := newLedger(s.options.Store, tenant)
		fit := l.follow(ctx, group)
		revision, err := l.commit(ctx)
		if err == nil || heliograph.KindOf(err) != heliograph.Conflict {
			answer(group[:fit], revision, err)
			return group[fit:]
		}
		last = err
		if pause(ctx, jitter(try)) != nil {
			break
		}
	}
	contended := s.profile.Refuse("subscription.contended", nil)
	contended.Err = last
	answer(group, 0, contended)
	return nil
}

// follow writes what orders want into the ledger, and returns how many of them it has done. One that refuses leaves
// nothing behind.
func (l *ledger) follow(ctx context.Context, group []*order) int {
	for i, o := range group {
		if i > 0 && len(l.next) >= writesEnough {
			return i
		}
		if o.err = o.given(); o.err == nil {
			o.err = l.undoing(func() error { return o.plan(ctx, l) })
		}
	}
	return len(group)
}

// answer tells orders how their commit ended. What one refused may rest on what another of them wrote: it holds
// only when that is written.
func answer(group []*order, revision uint64, err error) {
	for _, o := range group {
		if err != nil {
			o.done <- outcome{err: err}
		} else {
			o.done <- outcome{revision, o.err}
		}
	}
}

// jitter is how long to wait after a number of conflicts: longer each time, by chance, so that nodes which got into
// each other's way do not do so again.
func jitter(try int) time.Duration {
	most := min(pauseFirst<<min(try, 16), pauseMost)
	return rand.N(most) //nolint:gosec // nobody gains by knowing it
}

// turns lets one at a time have a name.
type turns struct {
	mu   sync.Mutex
	held map[string]chan struct{} // closed when it is free again
}

// take waits for a name and returns what gives it back.
func (t *turns) take(ctx context.Context, name string) (release func(), err error) {
	for {
		t.mu.Lock()
		if t.held == nil {
			t.held = make(map[string]chan struct{})
		}
		busy, taken := t.held[name]
		if !taken {
			free := make(chan struct{})
			t.held[name] = free
			t.mu.Unlock()
			return func() {
				t.mu.Lock()
				defer t.mu.Unlock()
				delete(t.held, name)
				close(free)
			}, nil
		}
		t.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
