package drive

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"heliograph.dev"
)

// step is one thing that a scan did to the tree, with what has to be told of it. Steps are kept small: a scan
// of a folder that changed much has many.
type step struct {
	item    item // as it was then; parent and children are not for use
	in      place
	removed bool
	// What to publish, or 0: some steps only matter to us.
	change   heliograph.ChangeType
	at       time.Time
	from     *former // where a moved item was
	contents int     // of a folder
}

// place is a folder, as it is told to the outside.
type place struct {
	folder heliograph.GUID
	path   string            // from the root
	above  []heliograph.GUID // the folder and those around it, but for the root
}

// note appends a step.
func (s *scan) note(change heliograph.ChangeType, it *item, from *former) {
	if s.silent {
		return
	}
	one := step{
		item: *it, in: s.placeOf(it), removed: change == heliograph.Deleted,
		change: change, at: s.since, from: from, contents: len(it.children),
	}
	one.item.parent, one.item.children = nil, nil
	s.steps = append(s.steps, one)
}

// former is what a moved item left behind.
type former struct {
	in   place
	name string
}

// placeOf returns the folder of an item. Those of neighbours share their memory.
func (s *scan) placeOf(it *item) place {
	if s.folder == it.parent {
		return s.place
	}
	s.folder, s.place = it.parent, place{folder: it.parent.id, path: it.parent.path()}
	for around := it.parent; around.parent != nil; around = around.parent {
		s.place.above = append(s.place.above, around.id)
	}
	return s.place
}

// driveItem is the resource as Graph's clients know it.
type driveItem struct {
	ODataType            string      `json:"@odata.type"`
	ID                   string      `json:"id"`
	Name                 string      `json:"name"`
	Size                 *int64      `json:"size,omitempty"`
	CreatedDateTime      string      `json:"createdDateTime"`
	LastModifiedDateTime string      `json:"lastModifiedDateTime"`
	ParentReference      reference   `json:"parentReference"`
	File                 *fileFacet  `json:"file,omitempty"`
	Folder               *folderItem `json:"folder,omitempty"`
	Deleted              *deleted    `json:"deleted,omitempty"`
	// Previous is where a moved or renamed item was. Graph does not tell.
	Previous *previous `json:"@heliograph.previous,omitempty"`
}

type reference struct {
	DriveID   string `json:"driveId"`
	DriveType string `json:"driveType"`
	ID        string `json:"id"`
	Path      string `json:"path"`
}

type fileFacet struct {
	MIMEType string `json:"mimeType"`
}

type folderItem struct {
	ChildCount int `json:"childCount"`
}

type deleted struct {
	State string `json:"state"`
}

type previous struct {
	Name            string    `json:"name"`
	ParentReference reference `json:"parentReference"`
}

// publication makes the change that tells of a step.
func (d *Drive) publication(s *step) (heliograph.Change, error) {
	id := s.item.id.String()
	wire := driveItem{
		ODataType: "#microsoft.graph.driveItem", ID: id, Name: valid(s.item.name),
		CreatedDateTime: timestamp(s.item.created), LastModifiedDateTime: timestamp(s.item.modified),
		ParentReference: d.reference(&s.in),
	}
	if s.item.kind == folder {
		wire.Folder = &folderItem{ChildCount: s.contents}
	} else {
		wire.Size = &s.item.size
		wire.File = &fileFacet{MIMEType: mediaType(s.item.name)}
	}
	if s.removed {
		wire.Deleted = &deleted{State: "deleted"}
	}
	above := s.in.above
	if s.from != nil {
		wire.Previous = &previous{Name: valid(s.from.name), ParentReference: d.reference(&s.from.in)}
		above = slices.Clone(above)
		for _, id := range s.from.in.above { // who watches the old folder sees it leave
			if !slices.Contains(above, id) {
				above = append(above, id)
			}
		}
	}
	data, err := json.Marshal(&wire)
	if err != nil {
		return heliograph.Change{}, fmt.Errorf("write drive item %s: %w", id, err)
	}
	paths := []string{"drives/" + d.id + "/items/" + id}
	for _, around := range above {
		paths = append(paths, "drives/"+d.id+"/items/"+around.String()+"/children/"+id)
	}
	return heliograph.Change{
		ID: heliograph.NewGUID(), Tenant: d.opts.Tenant, Type: s.change,
		Resource: "users/" + string(d.opts.User) + "/drive/items/" + id, Paths: paths, Time: s.at, Data: data,
	}, nil
}

func (d *Drive) reference(p *place) reference {
	where := "/drives/" + d.id + "/root:"
	if p.path != "" {
		where += (&url.URL{Path: "/" + valid(p.path)}).EscapedPath()
	}
	return reference{DriveID: d.id, DriveType: "business", ID: p.folder.String(), Path: where}
}

// valid makes text of a name: some systems let a name be any bytes.
func valid(name string) string { return strings.ToValidUTF8(name, "\uFFFD") }

// timestamp writes a time as Graph does, to 100 ns at most.
func timestamp(nanoseconds int64) string {
	return time.Unix(0, nanoseconds).UTC().Truncate(100).Format("2006-01-02T15:04:05.9999999Z")
}

func mediaType(name string) string {
	if media := mime.TypeByExtension(path.Ext(name)); media != "" {
		return media
	}
	return "application/octet-stream"
}
