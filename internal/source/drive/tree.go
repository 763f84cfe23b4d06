package drive

import (
	"iter"
	"path"

	"heliograph.dev"
)

// item is a driveItem: a file or folder, with an id that it keeps wherever it goes.
type item struct {
	id       heliograph.GUID
	name     string
	parent   *item // nil: the root
	children map[string]*item
	facts
	created int64 // Unix nanoseconds
	// doubtful: it was written so shortly before it was looked at that a second write could show the same time
	// and size.
	doubtful bool
	seen     uint64 // by which listing of its folder
}

// tree is what is known of the folder: where each item is. The scan changes it, and only after it has seen
// the change in the file system.
type tree struct {
	root   *item
	byFile map[identity]*item
}

func newTree(root *item) *tree {
	root.children = make(map[string]*item)
	return &tree{root: root, byFile: make(map[identity]*item)}
}

// at returns the item at a path below the root (a/b), or nil. The root's is "".
func (t *tree) at(where string) *item {
	it := t.root
	for where != "" && it != nil {
		var name string
		name, where = cut(where)
		it = it.children[name]
	}
	return it
}

// cut splits a path behind its first name.
func cut(where string) (name, rest string) {
	for i := range len(where) {
		if where[i] == '/' {
			return where[:i], where[i+1:]
		}
	}
	return where, ""
}

// path returns where an item is, or was before it was detached.
func (it *item) path() string {
	if it.parent == nil {
		return ""
	}
	return path.Join(it.parent.path(), it.name)
}

// depth returns how many folders an item is in.
func (it *item) depth() int {
	if it.parent == nil {
		return 0
	}
	return it.parent.depth() + 1
}

// attached reports whether the item still has its name: another may have taken it.
func (it *item) attached() bool {
	return it.parent == nil || it.parent.children[it.name] == it
}

// put gives an item a place, taking it from the one that it has.
func (t *tree) put(it, parent *item, name string) {
	t.detach(it)
	it.parent, it.name = parent, name
	parent.children[name] = it
	if it.kind == folder && it.children == nil {
		it.children = make(map[string]*item)
	}
	t.index(it)
}

// learn replaces the facts of an item.
func (t *tree) learn(it *item, f facts) {
	if t.byFile[it.identity] == it {
		delete(t.byFile, it.identity)
	}
	it.facts = f
	t.index(it)
}

func (t *tree) index(it *item) {
	if it.node != 0 {
		t.byFile[it.identity] = it
	}
}

// detach takes the item's name away. It and all below it keep knowing where they were.
func (t *tree) detach(it *item) {
	if it.parent != nil && it.attached() {
		delete(it.parent.children, it.name)
	}
}

// remove forgets one item, which has no children any more.
func (t *tree) remove(it *item) {
	t.detach(it)
	if t.byFile[it.identity] == it {
		delete(t.byFile, it.identity)
	}
}

// below yields the items below a folder, each before its children.
func (it *item) below() iter.Seq[*item] {
	return func(yield func(*item) bool) { it.walk(yield) }
}

func (it *item) walk(yield func(*item) bool) bool {
	for _, child := range it.children {
		if !yield(child) || !child.walk(yield) {
			return false
		}
	}
	return true
}
