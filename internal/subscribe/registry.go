package subscribe

import (
	"cmp"
	"container/heap"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/access"
	"heliograph.dev/internal/subscribe/record"
)

// Sink hears of every subscription that is not gone: the match index is one.
type Sink interface {
	// Put adds a subscription or replaces the one of the same id.
	Put(s *heliograph.Subscription)
	// Remove takes one out. It may not be there.
	Remove(id heliograph.SubscriptionID)
}

// Registry is the image of all subscriptions in memory, fed by the engine's watch. Of each it keeps the record's
// value, once, and decodes it when somebody asks: a million subscriptions are a million short strings, not a
// million structs of headers. The texts that its Sink is handed share that string.
type Registry struct {
	plan   Plan
	sink   Sink
	logger *slog.Logger

	mu      sync.RWMutex
	byID    map[heliograph.SubscriptionID]*entry
	tenants map[heliograph.TenantID]*tenantLists
	steps   stepHeap
	spread  map[string]*spread // counters over all tenants, by name
	// standing are the reports of lost access.
	standing map[heliograph.TenantID]*standing
	// soonest has room for one signal: the earliest step has changed.
	soonest chan struct{}
}

// entry is one subscription. Its fields are guarded by the registry's lock.
type entry struct {
	id       heliograph.SubscriptionID
	value    string // of its record
	tenant   *tenantLists
	revision uint64
	created  int64 // Unix nanoseconds, as expires and step
	expires  int64 // or when it was removed
	step     int64 // when something is to be done with it next
	due      int   // index in the heap of steps, -1 when out of it
	gone     bool  // its record is gone; still in lists until they are tidied
}

// tenantLists are a tenant's subscriptions as they are listed.
type tenantLists struct {
	tenant heliograph.TenantID
	apps   map[heliograph.AppID]*roll
	users  map[heliograph.ObjectID]*roll // those made with a user's token
	owners map[heliograph.ObjectID]*roll // those of a user's resources, whoever made them
}

// Plan says when something is to be done with a subscription next. It is pure.
type Plan func(s *heliograph.Subscription) time.Time

// NewRegistry returns an empty registry that tells sink, which may be nil.
func NewRegistry(plan Plan, sink Sink, logger *slog.Logger) *Registry {
	return &Registry{
		plan: plan, sink: sink, logger: logger,
		byID:     make(map[heliograph.SubscriptionID]*entry),
		tenants:  make(map[heliograph.TenantID]*tenantLists),
		spread:   make(map[string]*spread),
		standing: make(map[heliograph.TenantID]*standing),
		soonest:  make(chan struct{}, 1),
	}
}

// Apply takes records as the engine's watch gives them: all of one subscription in their order.
func (r *Registry) Apply(records []heliograph.Record) {
	for i := range records {
		rec := &records[i]
		if strings.HasPrefix(rec.Name, counterAllPrefix) {
			r.counted(rec)
			continue
		}
		if strings.HasPrefix(rec.Name, reportPrefix) {
			r.reported(rec)
			continue
		}
		id, ok := record.ParseName(rec.Name)
		if !ok {
			continue
		}
		if rec.Deleted {
			r.remove(id, rec.Revision)
			continue
		}
		value := string(rec.Value)
		s, err := record.Decode(value)
		if err != nil { // one that cannot be read must not keep the others from being served
			r.logger.Error("subscription record is unreadable", "record", rec.Name, "tenant", rec.Tenant, "error", err)
			continue
		}
		s.ID, s.Tenant = id, rec.Tenant
		r.put(&s, value, rec.Revision)
	}
}

// put enters or replaces a subscription.
func (r *Registry) put(s *heliograph.Subscription, value string, revision uint64) {
	r.mu.Lock()
	e, known := r.byID[s.ID]
	if known && e.revision >= revision {
		r.mu.Unlock()
		return
	}
	if !known {
		e = &entry{id: s.ID, created: s.Created.UnixNano(), due: -1}
		r.byID[s.ID] = e
		r.enlist(e, s)
	}
	e.value, e.revision, e.expires, e.step = value, revision, s.Expires.UnixNano(), r.plan(s).UnixNano()
	if !s.Removed.IsZero() {
		e.expires = min(e.expires, s.Removed.UnixNano())
	}
	r.schedule(e)
	r.mu.Unlock()
	switch {
	case r.sink == nil:
	case s.Removed.IsZero():
		r.sink.Put(s)
	default: // its record is there until that is told
		r.sink.Remove(s.ID)
	}
}

// schedule enters a subscription in the heap by its next step.
func (r *Registry) schedule(e *entry) {
	if e.due < 0 {
		heap.Push(&r.steps, e)
	} else {
		heap.Fix(&r.steps, e.due)
	}
	if r.steps[0] == e {
		signal(r.soonest)
	}
}

func (r *Registry) enlist(e *entry, s *heliograph.Subscription) {
	t := r.tenants[s.Tenant]
	if t == nil {
		t = &tenantLists{tenant: s.Tenant, apps: make(map[heliograph.AppID]*roll), users: make(map[heliograph.ObjectID]*roll), owners: make(map[heliograph.ObjectID]*roll)}
		r.tenants[s.Tenant] = t
	}
	e.tenant = t
	rollOf(t.apps, s.App).add(e)
	if s.Delegated {
		rollOf(t.users, s.Creator).add(e)
	}
	if owner := access.Owner(s.Path); owner != "" {
		rollOf(t.owners, owner).add(e)
	}
}

func (r *Registry) remove(id heliograph.SubscriptionID, revision uint64) {
	r.mu.Lock()
	e, known := r.byID[id]
	if !known || e.revision > revision {
		r.mu.Unlock()
		return
	}
	delete(r.byID, id)
	e.gone = true
	if e.due >= 0 {
		heap.Remove(&r.steps, e.due)
	}
	s, _ := record.Decode(e.value) // it was read once already
	e.value = ""
	dropGone(e.tenant.apps, s.App)
	if s.Delegated {
		dropGone(e.tenant.users, s.Creator)
	}
	if owner := access.Owner(s.Path); owner != "" {
		dropGone(e.tenant.owners, owner)
	}
	if len(e.tenant.apps) == 0 {
		delete(r.tenants, e.tenant.tenant)
	}
	r.mu.Unlock()
	if r.sink != nil {
		r.sink.Remove(id)
	}
}

// Lookup returns the subscription of that id, gone or not, as long as it has a record.
func (r *Registry) Lookup(id heliograph.SubscriptionID) (heliograph.Subscription, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	e, ok := r.byID[id]
	if !ok {
		return heliograph.Subscription{}, false
	}
	return e.subscription(), true
}

// Len returns how many subscriptions there are.
func (r *Registry) Len() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.byID)
}

func (e *entry) subscription() heliograph.Subscription {
	s, _ := record.Decode(e.value) // it was read once already
	s.ID, s.Tenant = e.id, e.tenant.tenant
	return s
}

// spread is a counter that every tenant has a part of.
type spread struct {
	total int
	parts map[heliograph.TenantID]part
}

type part struct {
	count    int
	revision uint64
}

// counted takes a tenant's part of a counter. A part that cannot be read counts nothing: Recount mends it.
func (r *Registry) counted(rec *heliograph.Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.spread[rec.Name]
	if c == nil {
		c = &spread{parts: make(map[heliograph.TenantID]part)}
		r.spread[rec.Name] = c
	}
	before := c.parts[rec.Tenant]
	if before.revision >= rec.Revision {
		return
	}
	n, err := strconv.Atoi(string(rec.Value))
	if rec.Deleted || err != nil {
		n = 0
	}
	c.total += n - before.count
	c.parts[rec.Tenant] = part{n, rec.Revision}
	if rec.Deleted {
		delete(c.parts, rec.Tenant)
	}
}

// countedElsewhere returns how much of a counter is not the tenant's.
func (r *Registry) countedElsewhere(counter string, tenant heliograph.TenantID) int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	c := r.spread[counter]
	if c == nil {
		return 0
	}
	return c.total - c.parts[tenant].count
}

// expired returns up to limit subscriptions of a tenant whose time has come and that are not removed yet.
func (r *Registry) expired(tenant heliograph.TenantID, now time.Time, limit int) []heliograph.SubscriptionID {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var ids []heliograph.SubscriptionID
	if t := r.tenants[tenant]; t != nil {
		for _, l := range t.apps {
			for _, e := range l.entries {
				if !e.gone && e.expires <= now.UnixNano() && len(ids) < limit {
					ids = append(ids, e.id)
				}
			}
		}
	}
	return ids
}

// scope says whose subscriptions are listed: an empty field means anybody's.
type scope struct {
	tenant heliograph.TenantID
	app    heliograph.AppID
	user   heliograph.ObjectID
}

// place is where a subscription stands in a list: by age, then by id. It stays when others come and go.
type place struct {
	created int64
	id      heliograph.SubscriptionID
}

func (p place) compare(q place) int {
	return cmp.Or(cmp.Compare(p.created, q.created), slices.Compare(p.id[:], q.id[:]))
}

// page returns up to limit live subscriptions of a scope that stand behind after and are wanted, in order, and
// whether there are more.
func (r *Registry) page(in scope, after place, now time.Time, wanted func(*heliograph.Subscription) bool) ([]heliograph.Subscription, bool) {
	const limit = pageSize
	r.mu.Lock() // a list that has not been sorted since it grew is sorted here
	defer r.mu.Unlock()
	t := r.tenants[in.tenant]
	if t == nil {
		return nil, false
	}
	var found []*entry
	for _, l := range t.rolls(in) {
		found = l.behind(found, after, limit+1, func(e *entry) bool {
			if now.UnixNano() >= e.expires {
				return false
			}
			s := e.subscription()
			return wanted(&s)
		})
	}
	slices.SortFunc(found, func(a, b *entry) int { return a.place().compare(b.place()) })
	more := len(found) > limit
	list := make([]heliograph.Subscription, 0, min(len(found), limit))
	for _, e := range found[:min(len(found), limit)] {
		list = append(list, e.subscription())
	}
	return list, more
}

// rolls returns the lists that hold a scope's subscriptions: one, unless it is all of the tenant.
func (t *tenantLists) rolls(in scope) []*roll {
	var l *roll
	switch {
	case in.user != "":
		l = t.users[in.user]
	case in.app != "":
		l = t.apps[in.app]
	default:
		return slices.Collect(maps.Values(t.apps))
	}
	if l == nil {
		return nil
	}
	return []*roll{l}
}

func (e *entry) place() place { return place{e.created, e.id} }

// signal leaves a signal unless there is one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
