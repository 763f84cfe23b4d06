package drive

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"heliograph.dev"
)

// What is kept is a list of records in JSON. The first is a snapshot; each further one holds steps, with the
// changes that tell of them, or says that those of the steps before were published.
type record struct {
	Version int          `json:"version,omitempty"` // of a snapshot
	Drive   string       `json:"drive,omitempty"`   // whose snapshot it is
	Items   []storedItem `json:"items,omitempty"`   // the root first, each folder before what is in it
	Steps   []storedStep `json:"steps,omitempty"`
	Done    bool         `json:"done,omitempty"`
}

const recordVersion = 1

type storedItem struct {
	ID       heliograph.GUID  `json:"id"`
	In       *heliograph.GUID `json:"in,omitempty"`   // nil: the root
	Name     string           `json:"name,omitempty"` // text, or
	RawName  []byte           `json:"rawName,omitempty"`
	Folder   bool             `json:"folder,omitempty"`
	Size     int64            `json:"size,omitempty"`
	Modified int64            `json:"modified"`
	Created  int64            `json:"created"`
	Node     uint64           `json:"node,omitempty"`
	Birth    int64            `json:"birth,omitempty"`
	Doubtful bool             `json:"doubtful,omitempty"`
}

// storedStep puts an item, or removes one.
type storedStep struct {
	Put    *storedItem      `json:"put,omitempty"`
	Remove *heliograph.GUID `json:"remove,omitempty"`
	Change *storedChange    `json:"change,omitempty"`
}

type storedChange struct {
	ID       heliograph.GUID       `json:"id"`
	Type     heliograph.ChangeType `json:"type"`
	Resource string                `json:"resource"`
	Paths    []string              `json:"paths"`
	Time     time.Time             `json:"time"`
	Data     json.RawMessage       `json:"data"`
}

func storeItem(it *item, in *heliograph.GUID) storedItem {
	stored := storedItem{
		ID: it.id, In: in, Folder: it.kind == folder, Size: it.size, Modified: it.modified, Created: it.created,
		Node: it.node, Birth: it.birth, Doubtful: it.doubtful,
	}
	if utf8.ValidString(it.name) {
		stored.Name = it.name
	} else {
		stored.RawName = []byte(it.name)
	}
	return stored
}

func (stored *storedItem) name() string {
	if stored.RawName != nil {
		return string(stored.RawName)
	}
	return stored.Name
}

// fill copies what is stored into an item, but for its place.
func (stored *storedItem) fill(it *item) {
	it.id, it.created, it.doubtful = stored.ID, stored.Created, stored.Doubtful
	it.facts = facts{
		identity: identity{node: stored.Node, birth: stored.Birth},
		kind:     file, size: stored.Size, modified: stored.Modified,
	}
	if stored.Folder {
		it.kind = folder
	}
}

func storeChange(c *heliograph.Change) *storedChange {
	return &storedChange{ID: c.ID, Type: c.Type, Resource: c.Resource, Paths: c.Paths, Time: c.Time, Data: c.Data}
}

func (stored *storedChange) change(tenant heliograph.TenantID) heliograph.Change {
	return heliograph.Change{
		ID: stored.ID, Tenant: tenant, Type: stored.Type, Resource: stored.Resource,
		Paths: stored.Paths, Time: stored.Time, Data: stored.Data,
	}
}

// snapshot writes the whole tree.
func (d *Drive) snapshot() ([]byte, error) {
	whole := record{Version: recordVersion, Drive: d.id, Items: []storedItem{storeItem(d.tree.root, nil)}}
	for it := range d.tree.root.below() {
		whole.Items = append(whole.Items, storeItem(it, &it.parent.id))
	}
	return json.Marshal(&whole)
}

// restore builds the tree from what was kept, and returns the changes that may not have been published. The
// tree is nil when nothing was kept.
func restore(records [][]byte, drive string) (t *tree, unpublished []storedChange, err error) {
	items := make(map[heliograph.GUID]*item)
	for i, data := range records {
		var r record
		if err := json.Unmarshal(data, &r); err != nil {
			return nil, nil, fmt.Errorf("record %d: %w", i, err)
		}
		switch {
		case i == 0:
			t, err = r.tree(drive, items)
		case r.Done:
			unpublished = nil
		default:
			for j := range r.Steps {
				if change := r.Steps[j].Change; change != nil {
					unpublished = append(unpublished, *change)
				}
				if err = r.Steps[j].apply(t, items); err != nil {
					break
				}
			}
		}
		if err != nil {
			return nil, nil, fmt.Errorf("record %d: %w", i, err)
		}
	}
	return t, unpublished, nil
}

// tree reads a snapshot.
func (r *record) tree(drive string, items map[heliograph.GUID]*item) (*tree, error) {
	switch {
	case r.Version != recordVersion:
		return nil, fmt.Errorf("version %d is not known here", r.Version)
	case r.Drive != drive:
		return nil, errors.New("it belongs to another user's drive")
	case len(r.Items) == 0 || r.Items[0].In != nil || !r.Items[0].Folder:
		return nil, errors.New("it has no root")
	}
	root := &item{}
	r.Items[0].fill(root)
	items[root.id] = root
	t := newTree(root)
	for i := range r.Items[1:] {
		if err := r.Items[i+1].put(t, items); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func (stored *storedItem) put(t *tree, items map[heliograph.GUID]*item) error {
	it := items[stored.ID]
	if stored.In == nil { // the root does not move
		if it != t.root {
			return fmt.Errorf("item %s has no folder", stored.ID)
		}
		stored.fill(it)
		return nil
	}
	parent := items[*stored.In]
	if parent == nil || parent.kind != folder {
		return fmt.Errorf("item %s is in no known folder", stored.ID)
	}
	if it == nil {
		it = &item{}
		items[stored.ID] = it
	} else {
		t.learn(it, facts{}) // out of the index, with its old facts
	}
	name := stored.name()
	if isIn(parent, it) || name == "" || name == "." || name == ".." || strings.Contains(name, "/") {
		return fmt.Errorf("item %s cannot be called %q there", stored.ID, name)
	}
	stored.fill(it)
	t.put(it, parent, name)
	return nil
}

func (s *storedStep) apply(t *tree, items map[heliograph.GUID]*item) error {
	if s.Put != nil {
		return s.Put.put(t, items)
	}
	if s.Remove == nil {
		return errors.New("a step that does nothing")
	}
	it := items[*s.Remove]
	if it == nil || it == t.root || len(it.children) > 0 {
		return fmt.Errorf("item %s cannot be removed", *s.Remove)
	}
	delete(items, *s.Remove)
	t.remove(it)
	return nil
}
