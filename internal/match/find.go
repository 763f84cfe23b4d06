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
	// Type is what the notification says: for a drive's root everything is an update, and what enters a filter is
	// created. It is 0 when the change's type withholds it.
	Type     heliograph.ChangeType
	Instance catalog.Instance
	// Withheld says why the change does not go to it; empty when it does.
	Withheld heliograph.Reason
}

// FindAll visits, change by change in their order, every subscription that wants a change of the frame, each once.
// Lifecycle notices among the changes are passed over. It is the quick way: with many subscriptions the time goes
// into waiting for memory, and here changes wait together.
//
// What is found is noted where a filter's entering and leaving is told: the frames of a tenant are to be found in the
// order of the log, by one goroutine.
func (x *Index) FindAll(frame *heliograph.Frame, now time.Time, visit func(change int, hit *Hit)) {
	x.all(frame, mode{now: now.UnixNano(), note: true}, visit)
}

// Recall notes what FindAll would have noted, and visits nobody: so the memories of filters come back after a
// restart, from frames that were found before.
func (x *Index) Recall(frame *heliograph.Frame) {
	if x.Remembers() {
		x.all(frame, mode{note: true, silent: true}, nil)
	}
}

// Remembers reports whether some subscription is told of what enters and leaves its filter.
func (x *Index) Remembers() bool { return x.memories.Load() > 0 }

// KnownSince says that everything that was accepted since then is noted: of older subscriptions, the memory of what
// met their filters may lack something. The zero time, as without this call, says that nothing is lacking.
func (x *Index) KnownSince(t time.Time) {
	known := int64(0)
	if !t.IsZero() {
		known = t.UnixNano()
	}
	x.known.Store(known)
}

// Find visits every subscription that wants the change at that position, each once. It notes what FindAll notes.
func (x *Index) Find(change *heliograph.Change, at heliograph.Position, now time.Time, visit func(*Hit)) {
	x.one(change, at, mode{now: now.UnixNano(), note: true}, visit)
}

// Explain visits those too to which the change is visible and from which its type, a filter or their expiry
// withholds it. It notes nothing.
func (x *Index) Explain(change *heliograph.Change, at heliograph.Position, now time.Time, visit func(*Hit)) {
	x.one(change, at, mode{now: now.UnixNano(), explain: true}, visit)
}

func (x *Index) all(frame *heliograph.Frame, how mode, visit func(int, *Hit)) {
	f := x.finder(how)
	for from := 0; from < len(frame.Changes); from += block {
		to := min(from+block, len(frame.Changes))
		f.find(frame.Changes[from:to], heliograph.Position{Sequence: frame.Sequence, Index: uint32(from)}, visit)
	}
	x.finders.Put(f)
}

func (x *Index) one(change *heliograph.Change, at heliograph.Position, how mode, visit func(*Hit)) {
	f := x.finder(how)
	f.single[0] = *change
	f.find(f.single[:], at, func(_ int, hit *Hit) { visit(hit) })
	f.single[0] = heliograph.Change{}
	x.finders.Put(f)
}

func (x *Index) finder(how mode) *finder {
	f, _ := x.finders.Get().(*finder)
	f.mode = how
	return f
}

// Match says how one subscription sees the change at that position: for what is sent later than it was found (after a
// restart, a resend). It reports false when the change is not visible to it, or it is gone.
func (x *Index) Match(change *heliograph.Change, at heliograph.Position, id heliograph.SubscriptionID, now time.Time) (hit Hit, visible bool) {
	t := x.Get(id)
	if t == nil || t.Tenant != change.Tenant {
		return Hit{}, false
	}
	look := func(w *catalog.Watcher) {
		if visible || w.Row != t.Row {
			return
		}
		s := sight{change: change, at: placeOf(at), key: x.key(w.AppendPath(appendText(nil, t.Tenant, t.Row))), now: now.UnixNano()}
		if visible = t.in(s.key); visible {
			instance := w.Instance()
			s.instance = &instance
			x.judge(t, &s, &hit)
		}
	}
	x.catalog.Watchers(change.Resource, look)
	for _, path := range change.Paths {
		x.catalog.Watchers(path, look)
	}
	return hit, visible
}
