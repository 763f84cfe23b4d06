package match

import (
	"hash/maphash"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/catalog"
)

// condition is what a target asks of changes beside their type.
type condition struct {
	selection *catalog.Selection
	created   int64 // of the subscription, Unix nanoseconds
	// memory is there when entering and leaving the filter is told. A renewed target goes on with the old one's.
	memory *memory
}

// Restrict has the target see only what the selection means, and, if that says so, be told of what comes to meet it
// and of what no longer does. since is when the subscription was made. The target must be in no Index yet.
func (t *Target) Restrict(s *catalog.Selection, since time.Time) {
	if !s.Decides() {
		return
	}
	c := &condition{selection: s, created: since.UnixNano()}
	if s.Entering {
		c.memory = &memory{}
	}
	t.more().condition = c
}

// Selection returns what the target is restricted to, or nil.
func (t *Target) Selection() *catalog.Selection {
	if t.rest == nil || t.rest.condition == nil {
		return nil
	}
	return t.rest.condition.selection
}

// sight is how a target sees a change.
type sight struct {
	change   *heliograph.Change
	at       place
	key      key // of the path that it is seen under
	instance *catalog.Instance
	now      int64
	note     bool // the verdict is taken down
}

// judge says what a target that sees a change makes of it.
func (x *Index) judge(t *Target, s *sight, hit *Hit) {
	*hit = Hit{Target: t, Type: s.instance.Type(s.change.Type, t.Types), Instance: *s.instance}
	if t.TellsImmutableID(s.change) {
		hit.Instance.Identify(s.change.ImmutableID)
	}
	if t.rest != nil && t.rest.condition != nil {
		x.ask(t.rest.condition, s, hit)
	}
	switch {
	case s.now >= t.Expires:
		hit.Withheld = heliograph.GivenUpExpired
	case hit.Type == 0 && hit.Withheld == "":
		hit.Withheld = heliograph.WithheldType
	}
}

// ask withholds what does not meet the target's condition, and says as what the rest is told.
func (x *Index) ask(c *condition, s *sight, hit *Hit) {
	if c.memory == nil {
		if hit.Type != 0 && !c.lets(s.change) {
			hit.Withheld = heliograph.WithheldFilter
		}
		return
	}
	told := c.told(s, x.item(s), c.created >= x.known.Load())
	if told == 0 {
		hit.Withheld = heliograph.WithheldFilter
		return
	}
	hit.Type = s.instance.Type(told, hit.Target.Types)
}

// lets reports whether a change passes a filter that has no memory. A deletion that does not say what the resource
// was like passes: nobody can tell, and a notification too many does less harm than one that is missing.
func (c *condition) lets(change *heliograph.Change) bool {
	if change.Type == heliograph.Deleted && !c.selection.Sees(change.Data) {
		return true
	}
	return c.selection.Match(change.Data)
}

// told returns as what a change is told to one who hears of entering and leaving (contract 18.7), or 0. whole says
// that all of the subscription's life was noted.
func (c *condition) told(s *sight, item uint64, whole bool) heliograph.ChangeType {
	deleted := s.change.Type == heliograph.Deleted
	meets := c.selection.Match(s.change.Data)
	note := s.note && s.change.Accepted.UnixNano() >= c.created
	was := c.memory.see(item, s.at, meets && !deleted, whole, note)
	switch {
	case meets && deleted: // it met the filter to its end
		return heliograph.Deleted
	case meets && was == inside && s.change.Type == heliograph.Updated:
		return heliograph.Updated
	case meets:
		return heliograph.Created
	case was == inside:
		return heliograph.Deleted
	case was == unknown && s.change.Type == heliograph.Updated:
		return heliograph.Deleted // it may have been inside: told once, it is known to be outside
	case was == unknown && deleted && !c.selection.Sees(s.change.Data):
		return heliograph.Deleted
	}
	return 0
}

// item stands for the changed instance as the target sees it, among those of the target.
func (x *Index) item(s *sight) uint64 {
	var room [256]byte
	name := s.instance.AppendID(room[:0])
	if len(name) == 0 {
		name = append(name, s.change.Resource...)
	}
	return maphash.Bytes(x.seeds[0], name) ^ s.key.hash
}
