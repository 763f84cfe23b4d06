package drive

import (
	"log/slog"
	"os"
	"time"

	"heliograph.dev"
)

// A time-stamp may be coarser than two writes are apart. Most file systems stamp with the kernel's tick, some
// with whole seconds, one with two.
const (
	fineGrain   = 20 * time.Millisecond
	coarseGrain = 2 * time.Second
)

// lookIn looks at one name of a folder. It returns the item that is there, and whether nothing is known of
// what is in it.
func (s *scan) lookIn(parent *item, where, name string) (it *item, fresh bool) {
	f, err := lookAt(s.at(where))
	known := parent.children[name]
	switch {
	case isMissing(err) || err == nil && f.kind == other:
		if known != nil {
			s.gone = append(s.gone, known)
		}
		return nil, false
	case err != nil:
		s.passOver(where, err)
		return known, false
	}
	if known != nil && known.kind != f.kind { // something else has taken its name
		s.tree.detach(known)
		s.gone = append(s.gone, known)
		known = nil
	}
	if known != nil {
		return known, s.refresh(known, f)
	}
	switch was := s.tree.byFile[f.identity]; s.origin(was, parent, name, f) {
	case isMoved:
		return s.move(was, parent, name, f), f.kind == folder
	case isAlias:
		return nil, false
	case isNew:
	}
	it = &item{id: heliograph.NewGUID(), facts: f, created: f.birth}
	if it.created == 0 {
		it.created = f.modified
	}
	it.doubtful = s.isDoubtful(f)
	s.tree.put(it, parent, name)
	s.note(heliograph.Created, it, nil)
	s.changed(it)
	return it, f.kind == folder
}

// passOver leaves what cannot be looked at as it was.
func (s *scan) passOver(where string, err error) {
	s.opts.Logger.WarnContext(s.ctx, "cannot look at a part of the drive", slog.String("path", where), slog.Any("error", err))
}

// refresh compares an item with what is at its place now. It reports whether a folder is another one.
func (s *scan) refresh(it *item, f facts) (fresh bool) {
	same := f.sameAs(it.identity)
	if it.kind == folder {
		if s.tree.learn(it, f); !same {
			s.note(0, it, nil)
		}
		return !same
	}
	if same && f.size == it.size && f.modified == it.modified && (!it.doubtful || !s.content) {
		it.links = f.links
		return false
	}
	s.changed(it) // as what it was, too: it may have been written before another took its place
	s.tree.learn(it, f)
	it.doubtful = s.isDoubtful(f)
	s.note(heliograph.Updated, it, nil)
	s.changed(it)
	return false
}

// changed remembers a file that may have other names: the system told only of the one that it was written by.
func (s *scan) changed(it *item) {
	if it.kind == file && it.links > 1 && !s.all {
		s.linked[it.identity] = true
	}
}

// lookAtLinks looks at the other names of files that changed.
func (s *scan) lookAtLinks() {
	if len(s.linked) == 0 {
		return
	}
	for link := range s.tree.root.below() {
		if !s.linked[link.identity] {
			continue
		}
		f, err := lookAt(s.at(link.path()))
		if err == nil && f.identity == link.identity && (f.size != link.size || f.modified != link.modified) {
			s.tree.learn(link, f)
			link.doubtful = s.isDoubtful(f)
			s.note(heliograph.Updated, link, nil)
		}
	}
}

func (s *scan) isDoubtful(f facts) bool {
	if f.kind != file {
		return false
	}
	grain := fineGrain
	if f.modified%int64(time.Second) == 0 {
		grain = coarseGrain
	}
	age := s.opts.Clock.Now().Sub(time.Unix(0, f.modified))
	return age.Abs() < grain
}

// origin is where something with a new name comes from.
type origin uint8

const (
	isNew   origin = iota // nowhere
	isMoved               // from a place where it no longer is
	isAlias               // nowhere: it is a known name, spelled as the file system takes it but does not list it
)

// origin finds out whether a new name is that of a known item.
func (s *scan) origin(was, parent *item, name string, f facts) origin {
	if was == nil || was.kind != f.kind || f.node == 0 || isIn(parent, was) {
		return isNew
	}
	if f.birth == 0 && f.kind == file && (f.size != was.size || f.modified != was.modified) {
		return isNew // more likely a number that is used again
	}
	if !was.attached() {
		return isMoved
	}
	there, err := lookAt(s.at(was.path()))
	switch {
	case isMissing(err) || err == nil && there.kind != was.kind:
		return isMoved
	case err != nil || there.identity != f.identity:
		return isNew // its old name keeps the item
	case f.kind == file && f.links > 1:
		return isNew // a second name for the same file
	}
	// Two names, one entry: the file system does not mind how names are spelled. The one that it lists is right.
	switch {
	case !s.isListed(parent, name):
		return isAlias
	case !s.isListed(was.parent, was.name):
		return isMoved
	}
	return isNew
}

// isIn reports whether an item is another one or below it.
func isIn(it, above *item) bool {
	for ; it != nil; it = it.parent {
		if it == above {
			return true
		}
	}
	return false
}

func (s *scan) isListed(parent *item, name string) bool {
	entries, err := os.ReadDir(s.at(parent.path()))
	if err != nil {
		return false
	}
	for _, e := range entries {
		if e.Name() == name {
			return true
		}
	}
	return false
}

func (s *scan) move(it, parent *item, name string, f facts) *item {
	from := &former{in: s.placeOf(it), name: it.name}
	if it.kind == folder {
		s.watch.forget(it)
	}
	if f.size != it.size || f.modified != it.modified {
		it.doubtful = s.isDoubtful(f)
	}
	s.tree.learn(it, f)
	s.tree.put(it, parent, name)
	s.folder = nil // what is in it is elsewhere now
	s.note(heliograph.Updated, it, from)
	s.changed(it)
	return it
}
