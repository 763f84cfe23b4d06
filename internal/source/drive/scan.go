package drive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"

	"heliograph.dev"
)

// scan looks at parts of the folder, brings the tree up to date and notes each step.
//
// The rules: a name that is still there keeps its item, whatever was moved into its place, because that is how
// programs save. A new name whose file was known under a name that is gone is that item, moved. What is
// neither there nor found elsewhere is deleted, and this is decided last, when everything else has been seen.
type scan struct {
	*Drive
	ctx     context.Context //nolint:containedctx // a scan lives as long as one call
	since   time.Time       // when it happened, for the changes
	content bool            // contents may have changed without leaving a trace in the facts
	all     bool            // everything is looked at
	silent  bool            // note nothing

	steps  []step
	gone   []*item           // missing where they were
	linked map[identity]bool // of files that changed and have further names

	// Where the items of the folder looked at last are.
	folder *item
	place  place
}

func (d *Drive) newScan(ctx context.Context, since time.Time) *scan {
	return &scan{Drive: d, ctx: ctx, since: since, linked: make(map[identity]bool)}
}

// at returns the path of an item in the file system.
func (d *Drive) at(where string) string { return filepath.Join(d.opts.Dir, filepath.FromSlash(where)) }

// everything looks at all there is. The root must be what it was.
func (s *scan) everything() error {
	s.content, s.all = true, true
	if err := s.checkRoot(); err != nil {
		return err
	}
	return s.list(s.tree.root, true)
}

var (
	errNotThere = errors.New("the folder is gone, or another has taken its place")
	errStopped  = errors.New("stopped")
)

// checkRoot makes sure that the folder is still there: when its disk is taken away, nobody has deleted the
// files.
func (s *scan) checkRoot() error {
	f, err := lookAt(s.opts.Dir)
	if isMissing(err) || err == nil && (f.kind != folder || !f.sameAs(s.tree.root.identity)) {
		return errNotThere
	}
	return err
}

// look looks at one path.
func (s *scan) look(where string) error {
	if where == "" {
		return s.everything()
	}
	dir, name := split(where)
	parent := s.tree.at(dir)
	if parent == nil || !s.isAt(parent, dir) {
		return s.look(dir) // not known yet, or no longer what it was: what is in it is seen with it
	}
	it, fresh := s.lookIn(parent, where, name)
	if !s.isAt(parent, dir) {
		s.settle.TouchAll(s.opts.Clock.Now())
	}
	if it == nil || it.kind != folder {
		return nil
	}
	return s.list(it, fresh)
}

// isAt reports whether a folder is still at a path, as far as can be seen. Where a symbolic link has taken its
// place, the paths of what was in it lead somewhere else.
func (s *scan) isAt(it *item, where string) bool {
	if it.parent == nil || it.kind != folder {
		return it.parent == nil
	}
	f, err := lookAt(s.at(where))
	if err != nil {
		return !isMissing(err)
	}
	return f.kind == folder && f.sameAs(it.identity)
}

func split(where string) (dir, name string) {
	dir, name = path.Split(where)
	return path.Clean("/" + dir)[1:], name
}

// list looks at what is in a folder. With everything, it looks into the folders that it knows, too. It watches
// the folder first: what happens while it reads is seen by the one or by the other.
func (s *scan) list(it *item, everything bool) error {
	if s.ctx.Err() != nil {
		return errStopped
	}
	where := it.path()
	s.watch.add(where, it.identity)
	s.listing++
	listing := s.listing
	var inside []*item
	err := s.eachName(where, func(name string) {
		child, fresh := s.lookIn(it, path.Join(where, name), name)
		if child == nil {
			return
		}
		child.seen = listing
		if child.kind == folder && (fresh || everything) {
			inside = append(inside, child)
		}
	})
	if !s.isAt(it, where) { // replaced meanwhile: something else may have been seen
		s.settle.TouchAll(s.opts.Clock.Now())
	}
	switch {
	case isMissing(err) && it.parent != nil:
		s.gone = append(s.gone, it)
		return nil
	case err != nil && it.parent == nil:
		return fmt.Errorf("list the folder: %w", err)
	case err != nil:
		s.passOver(where, err)
		return nil
	}
	for _, child := range it.children {
		if child.seen != listing {
			s.gone = append(s.gone, child)
		}
	}
	for _, child := range inside {
		if err := s.list(child, true); err != nil {
			return err
		}
	}
	return nil
}

// eachName reads the names in a folder, in the order of the file system and a thousand at a time.
func (s *scan) eachName(where string, visit func(name string)) error {
	dir, err := os.Open(s.at(where))
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }() // only read
	for {
		names, err := dir.Readdirnames(1000)
		for _, name := range names {
			visit(name)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// finish decides about what was missing, and returns the steps.
func (s *scan) finish() ([]step, error) {
	if len(s.gone) > 0 {
		if err := s.checkRoot(); err != nil {
			return nil, err
		}
		if err := s.claim(); err != nil {
			return nil, err
		}
		s.removeGone()
	}
	s.lookAtLinks()
	return s.steps, nil
}

// claim looks for what is missing among the names that still wait to rest: a rename is two events.
func (s *scan) claim() error {
	for _, where := range s.settle.Waiting() {
		if s.tree.at(where) != nil {
			continue
		}
		f, err := lookAt(s.at(where))
		if err != nil || s.tree.byFile[f.identity] == nil {
			continue
		}
		s.settle.Drop(where)
		if err := s.look(where); err != nil {
			return err
		}
	}
	return nil
}

// removeGone removes what is nowhere. Items whose name was taken come first, the deepest before the others:
// when the folder that they were in is removed, they are not found in it any more.
func (s *scan) removeGone() {
	slices.SortStableFunc(s.gone, func(a, b *item) int {
		switch first, second := a.attached(), b.attached(); {
		case first && second:
			return 0
		case first:
			return 1
		case second:
			return -1
		}
		return b.depth() - a.depth()
	})
	for _, it := range s.gone {
		if it.parent != nil && s.isGone(it) {
			s.watch.forget(it)
			s.remove(it)
		}
	}
}

func (s *scan) isGone(it *item) bool {
	if !it.attached() {
		return true
	}
	f, err := lookAt(s.at(it.path()))
	return isMissing(err) || err == nil && f.kind == other
}

// remove forgets an item and what is in it, from the leaves on.
func (s *scan) remove(it *item) {
	for _, child := range it.children {
		s.remove(child)
	}
	s.note(heliograph.Deleted, it, nil)
	s.tree.remove(it)
	s.changed(it)
	it.parent = nil // it may be in the list of those that are missing again
}
