package match

import (
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/catalog"
)

// Hit is one subscription that a change is visible to. It is valid during the visit only; what it holds may be
// kept.
type Hit struct {
	Target *Target
	// Type is what the notification says: for a drive's root everything is an update. It is 0 when the change's
	// type withholds it.
	Type     heliograph.ChangeType
	Instance catalog.Instance
	// Withheld says why the change does not go to it; empty when it does.
	Withheld heliograph.Reason
}

// FindAll visits, change by change in their order, every subscription that wants it, each once. Lifecycle
// notices among the changes are passed over. It is the quick way for a frame of changes: with many subscriptions
// the time goes into waiting for memory, and here changes wait together.
func (x *Index) FindAll(changes []heliograph.Change, now time.Time, visit func(change int, hit *Hit)) {
	f, _ := x.finders.Get().(*finder)
	f.now, f.explain = now.UnixNano(), false
	for from := 0; from < len(changes); from += block {
		f.find(changes[from:min(from+block, len(changes))], from, visit)
	}
	x.finders.Put(f)
}

// Find visits every subscription that wants the change, each once.
func (x *Index) Find(change *heliograph.Change, now time.Time, visit func(*Hit)) {
	x.one(change, now, false, visit)
}

// Explain visits those too to which the change is visible and from which its type or their expiry withholds it.
func (x *Index) Explain(change *heliograph.Change, now time.Time, visit func(*Hit)) {
	x.one(change, now, true, visit)
}

func (x *Index) one(change *heliograph.Change, now time.Time, explain bool, visit func(*Hit)) {
	f, _ := x.finders.Get().(*finder)
	f.now, f.explain = now.UnixNano(), explain
	f.single[0] = *change
	f.find(f.single[:], 0, func(_ int, hit *Hit) { visit(hit) })
	f.single[0] = heliograph.Change{}
	x.finders.Put(f)
}

// Match says how one subscription sees a change: for what is sent later than it was found (after a restart, a
// resend). It reports false when the change is not visible to it, or it is gone.
func (x *Index) Match(change *heliograph.Change, id heliograph.SubscriptionID, now time.Time) (hit Hit, visible bool) {
	t := x.Get(id)
	if t == nil || t.Tenant != change.Tenant {
		return Hit{}, false
	}
	look := func(w *catalog.Watcher) {
		if !visible && w.Row == t.Row && t.in(x.key(w.AppendPath(appendText(nil, t.Tenant, t.Row)))) {
			visible = true
			hit = judge(t, change.Type, w.Instance(), now.UnixNano())
		}
	}
	x.catalog.Watchers(change.Resource, look)
	for _, path := range change.Paths {
		x.catalog.Watchers(path, look)
	}
	return hit, visible
}

// judge says what a target that sees a change makes of it.
func judge(t *Target, changed heliograph.ChangeType, instance catalog.Instance, now int64) Hit {
	hit := Hit{Target: t, Type: instance.Type(changed, t.Types), Instance: instance}
	switch {
	case now >= t.Expires:
		hit.Withheld = heliograph.GivenUpExpired
	case hit.Type == 0:
		hit.Withheld = heliograph.WithheldType
	}
	return hit
}
