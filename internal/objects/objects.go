// Package objects answers for what was published: the resources as they are now, by the paths that Graph reads them by,
// in their collections, and what has become of a collection since a moment (delta). It is what an application asks
// after a notification.
//
// A [Store] is a fold over the change log and keeps nothing else: folding the same frames again gives the same store, so
// that it outlives a restart without being written anywhere. It is bounded in objects and in bytes; what is over takes
// the place of what has not changed for longest. Tenants see nothing of each other.
//
// An object is known by every canonical path that its change was visible under, and by every name that a notification of
// some row gives it: what stands in resource or in @odata.id can be read as it stands. The collections that it is in
// are those paths less their last part, and every subscription path that sees it, which are how Graph's own functions
// over all chats or meetings are read. Something that is only known by what changed below it, such as the root of a
// drive, is told by its id alone.
//
// A delta token is a place in the log. All changes after it are in the store, or the sync state is lost (410): when what
// had to be dropped was younger, when the log does not reach back so far after a start, and when an operator says so.
// Tokens are authenticated, and good for one collection of one tenant.
//
// A Store may be used by any number of goroutines.
package objects

import (
	"bytes"
	"container/list"
	"math"
	"slices"
	"strings"
	"sync"

	"heliograph.dev"
	"heliograph.dev/internal/catalog"
	"heliograph.dev/internal/odata"
)

// Options say what a Store works with.
type Options struct {
	Catalog *catalog.Catalog
	// MaxObjects and MaxBytes bound what is kept.
	MaxObjects, MaxBytes int
	// Key authenticates tokens.
	Key []byte
	// Strict has the newest documentation alone decide on permissions.
	Strict bool
	// OtherName returns the object id of a user who is named by a principal name, and the other way round, or nothing.
	// May be nil.
	OtherName func(tenant heliograph.TenantID, user string) string
}

// Store keeps objects.
type Store struct {
	opts Options

	mu    sync.RWMutex
	dirs  map[heliograph.TenantID]*dir
	order *list.List          // of *object, the one that changed first at the front
	bytes int                 // that they take, roughly
	head  heliograph.Position // of the last change that was folded
	floor heliograph.Position // of the last change that may be forgotten
}

// dir is what there is of a tenant.
type dir struct {
	byKey map[string]*object
	lists map[string]map[*object]bool // collections
}

// object is a resource as it is, or that it is no more.
type object struct {
	tenant  heliograph.TenantID
	id      string
	data    []byte // may be nil: only the id is known
	keys    []string
	lists   []string
	made    heliograph.Position // when it came into being
	at      heliograph.Position // when it changed last
	deleted bool
	place   *list.Element
	size    int
}

// New returns an empty store.
func New(o Options) *Store {
	return &Store{opts: o, dirs: map[heliograph.TenantID]*dir{}, order: list.New()}
}

// Head returns the sequence of the last frame that was folded.
func (s *Store) Head() uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.head.Sequence
}

// behindAll is an index behind all that a frame has, and leaves room for more.
const behindAll = math.MaxUint32 / 2

// Pass says that there is nothing to be folded up to a sequence, that is there: what happened until then is forgotten.
func (s *Store) Pass(sequence uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sequence > s.head.Sequence {
		s.head = heliograph.Position{Sequence: sequence, Index: behindAll}
		s.floor = s.head
	}
}

// Forget loses every sync state that was given until now.
func (s *Store) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	// Behind the last frame and before the next one: what was given stands before it, what will be given does not.
	s.floor = heliograph.Position{Sequence: now.Sequence, Index: now.Index + 1}
}

// Drop takes out a tenant's objects, or those of a user's resources: the names by which the user stands in paths.
// It returns how many there were. They come back when the log is folded anew and still has them.
func (s *Store) Drop(tenant heliograph.TenantID, users ...string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.dirs[tenant]
	if d == nil {
		return 0
	}
	var dropped []*object
	seen := map[*object]bool{}
	for key, o := range d.byKey {
		if !seen[o] && (len(users) == 0 || slices.ContainsFunc(users, func(u string) bool { return strings.HasPrefix(strings.ToLower(key), "users/"+strings.ToLower(u)+"/") })) {
			seen[o] = true
			dropped = append(dropped, o)
		}
	}
	for _, o := range dropped {
		s.drop(o)
	}
	return len(dropped)
}

// now is where a token begins that is given now.
func (s *Store) now() heliograph.Position {
	if s.head.Before(s.floor) {
		return s.floor
	}
	return s.head
}

// Apply folds a frame. Frames come in the order of the log; one that was folded already is passed over.
func (s *Store) Apply(f *heliograph.Frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.Sequence <= s.head.Sequence {
		return
	}
	for i := range f.Changes {
		c := &f.Changes[i]
		s.head = heliograph.Position{Sequence: f.Sequence, Index: uint32(i)}
		if c.Notice == nil {
			s.fold(c)
		}
	}
	s.head = heliograph.Position{Sequence: f.Sequence, Index: max(s.head.Index, uint32(len(f.Changes)))} //nolint:gosec // a frame has few
	for s.order.Len() > s.opts.MaxObjects || s.bytes > s.opts.MaxBytes && s.order.Len() > 0 {
		o, _ := s.order.Front().Value.(*object)
		s.drop(o)
		if s.floor.Before(o.at) {
			s.floor = o.at
		}
	}
}

// fold takes one change in.
func (s *Store) fold(c *heliograph.Change) {
	d := s.dirs[c.Tenant]
	if d == nil {
		d = &dir{byKey: map[string]*object{}, lists: map[string]map[*object]bool{}}
		s.dirs[c.Tenant] = d
	}
	n := s.names(c)
	var o *object
	for _, key := range n.keys {
		if o = d.byKey[key]; o != nil {
			break
		}
	}
	if o == nil {
		o = &object{tenant: c.Tenant, made: s.head}
	} else if len(c.Paths) == 0 { // it says less than one before it
		n.keys, n.lists = append(n.keys, o.keys...), append(n.lists, o.lists...)
	}
	data, gone := o.data, c.Type == heliograph.Deleted && !isKeptDeleted(c.Data)
	switch {
	case gone:
		data = nil
	case len(c.Data) > 0:
		data = bytes.Clone(c.Data)
	}
	if o.deleted && !gone {
		o.made = s.head
	}
	s.drop(o)
	o.id, o.data, o.deleted, o.at = n.id, data, gone, s.head
	o.keys, o.lists = unique(n.keys), unique(n.lists)
	s.keep(d, o)
}

func unique(words []string) []string {
	slices.Sort(words)
	return slices.Compact(words)
}

// isKeptDeleted reports whether a deleted resource says of itself when that was: it can still be read, as messages of
// Teams can.
func isKeptDeleted(data []byte) bool {
	value, found := member(data, "deletedDateTime")
	return found && string(value) != "null"
}

// keep enters an object, which is in no list yet, under all its names.
func (s *Store) keep(d *dir, o *object) {
	for _, key := range o.keys {
		if before := d.byKey[key]; before != nil && before != o {
			s.drop(before) // another object that some change says to be the same
		}
		d.byKey[key] = o
	}
	for _, name := range o.lists {
		if d.lists[name] == nil {
			d.lists[name] = map[*object]bool{}
		}
		d.lists[name][o] = true
	}
	o.size = len(o.data) + 300
	for _, name := range slices.Concat(o.keys, o.lists) {
		o.size += len(name) + 50
	}
	s.bytes += o.size
	o.place = s.order.PushBack(o)
}

// drop takes an object out of everything.
func (s *Store) drop(o *object) {
	if o.place == nil {
		return
	}
	d := s.dirs[o.tenant]
	for _, key := range o.keys {
		if d.byKey[key] == o {
			delete(d.byKey, key)
		}
	}
	for _, name := range o.lists {
		delete(d.lists[name], o)
		if len(d.lists[name]) == 0 {
			delete(d.lists, name)
		}
	}
	s.order.Remove(o.place)
	s.bytes -= o.size
	o.place = nil
}

// names is how an object is known, and where it is.
type names struct {
	id          string
	keys, lists []string
}

// subscribed stands for a subscription's own resource in the text of a notification. No path holds it.
const subscribed = "\x00"

// names asks the catalog by which names the object of a change is told of, and where it is seen.
func (s *Store) names(c *heliograph.Change) names {
	var n names
	paths := append([]string{c.Resource}, c.Paths...)
	if c.ImmutableID != "" {
		for _, path := range paths {
			if in, id := cut(path); id == lastOf(c.Resource) {
				paths = append(paths, in+"/"+odata.Escape(c.ImmutableID))
			}
		}
	}
	n.id = odata.Unescape(lastOf(c.Resource))
	for i, path := range paths {
		n.keys = append(n.keys, path)
		if in, _ := cut(path); in != "" {
			n.lists = append(n.lists, in)
		}
		s.opts.Catalog.Watchers(path, func(w *catalog.Watcher) {
			instance := w.Instance()
			seen, _, _ := strings.Cut(string(w.AppendPath(nil)), "?")
			same, others := s.told(path, &instance)
			n.keys = append(n.keys, others...)
			if seen != path && (same || slices.Contains(s.keysOf(instance.Resource(subscribed, false)), seen)) {
				n.lists = append(n.lists, seen)
			}
			if id := instance.ID(); i == 0 && same && id != "" && !strings.Contains(id, "/") {
				n.id = id
			}
		})
	}
	return n
}

// told returns the further paths by which a notification names the object at path, and whether it names that object at
// all: who comes into a group changes the group.
func (s *Store) told(path string, i *catalog.Instance) (same bool, others []string) {
	basic, rich, id := i.Resource(subscribed, false), i.Resource(subscribed, true), i.ODataID(subscribed, false)
	if strings.Contains(basic, subscribed) {
		same = true
	}
	for _, text := range []string{basic, rich, id} {
		if text == "" || strings.Contains(text, subscribed) {
			continue
		}
		keys := s.keysOf(text)
		if slices.ContainsFunc(keys, func(k string) bool { return k == path || strings.EqualFold(lastOf(k), lastOf(path)) }) {
			same = true
		}
		others = append(others, keys...)
	}
	if !same {
		return false, nil
	}
	return true, others
}

// keysOf returns the key, if any, of an object that somebody names by this path.
func (s *Store) keysOf(path string) []string {
	if key, err := s.opts.Catalog.CanonicalChange(path); err == nil {
		return []string{key}
	}
	if r, err := odata.ParseResource(path); err == nil && len(r.Query) == 0 {
		return []string{folded(&r)}
	}
	return nil
}

// folded is the key of a path that is no change's: in such a one case does not count, as it must in Outlook's ids.
func folded(r *odata.Resource) string { return "~" + strings.ToLower(r.Path()) }

// cut takes the last part from a canonical path.
func cut(path string) (in, last string) {
	at := strings.LastIndexByte(path, '/')
	if at < 0 {
		return "", path
	}
	return path[:at], path[at+1:]
}

func lastOf(path string) string {
	_, last := cut(path)
	return last
}
