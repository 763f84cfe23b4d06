// Package content says what a rich notification tells of a changed resource: the JSON object that is encrypted
// into it (contract 13.17 to 13.23). It is pure.
//
// What a row's resources look like there is data of the catalog (catalog.Content): Outlook tells what $select
// names, with the type beside what is no string; everything else tells all properties, less those that the row
// never tells. A change that was published without data, as most deletions are, tells its type and its id.
package content

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"heliograph.dev"
	"heliograph.dev/internal/catalog"
	"heliograph.dev/internal/odata"
	"heliograph.dev/internal/rawjson"
)

// depth bounds how deep data may be nested: publishing checked the same.
const depth = 64

// unknownValue stands for a member of an enumeration that was added after clients were written (contract 9.1).
const unknownValue = `"unknownFutureValue"`

// Asked is what a subscription asked for, as far as it decides what it is told.
type Asked struct {
	// Select are the properties in $select, lower-cased; nil when there was none.
	Select []string
	// UserSpecific says notifyOnUserSpecificProperties=true (contract 13.21).
	UserSpecific bool
	// UnknownMembers says Prefer: include-unknown-enum-members.
	UnknownMembers bool
}

// AskedBy reads a subscription's resource.
func AskedBy(resource string, unknownMembers bool) (Asked, error) {
	asked := Asked{UnknownMembers: unknownMembers}
	r, err := odata.ParseResource(resource)
	if err != nil {
		return asked, err
	}
	if o, ok := r.Query.Get("$select"); ok {
		for name := range strings.SplitSeq(o.Value, ",") {
			asked.Select = append(asked.Select, strings.ToLower(strings.TrimSpace(name)))
		}
	}
	if o, ok := r.Query.Get("notifyOnUserSpecificProperties"); ok {
		asked.UserSpecific = strings.EqualFold(o.Value, "true")
	}
	return asked, nil
}

// Instance names what changed.
type Instance struct {
	ODataType, ODataID, ID string
	// Renamed says that ID stands in place of the id in the data.
	Renamed bool
}

// Append appends the resource data of a change of a row, as asked.
func Append(dst []byte, row *catalog.Row, asked Asked, data []byte, i Instance) ([]byte, error) {
	w := writer{b: append(dst, '{'), shape: row.Rich.Content, asked: asked}
	w.start = len(w.b)
	w.text("@odata.type", i.ODataType)
	w.text("@odata.id", i.ODataID)
	if len(data) == 0 {
		w.text("id", i.ID)
		return append(w.b, '}'), nil
	}
	w.only, w.omit = w.shape.Only, w.shape.Omit
	if len(w.shape.User) > 0 {
		w.userSpecific(data)
	}
	c := rawjson.New(data, depth)
	hasID := false
	err := c.Object(func(name []byte) error {
		isID := string(name) == "id"
		hasID = hasID || isID && !i.Renamed
		kind := c.Kind()
		raw, err := c.Raw()
		if err != nil {
			return err
		}
		if isID && i.Renamed {
			return nil
		}
		w.property(string(name), kind, raw)
		return nil
	})
	if err != nil {
		return dst, fmt.Errorf("resource data: %w", err)
	}
	if !hasID && w.tells("id") {
		w.text("id", i.ID)
	}
	return append(w.b, '}'), nil
}

// writer appends properties.
type writer struct {
	b          []byte
	start      int // where the first property begins
	shape      *catalog.Content
	asked      Asked
	only, omit []string
}

// userSpecific chooses between the two payloads of notifyOnUserSpecificProperties (contract 13.21): one with the
// user's own view of a chat, when the change tells of that and the subscription asked for it, and the general one.
func (w *writer) userSpecific(data []byte) {
	hasView := false
	c := rawjson.New(data, depth)
	_ = c.Object(func(name []byte) error { // what is wrong with it is told by whoever reads it next
		hasView = hasView || string(name) == w.shape.UserView
		_, err := c.Raw()
		return err
	})
	if hasView && w.asked.UserSpecific {
		w.only = w.shape.User
		return
	}
	w.omit = append(slices.Clip(w.omit), w.shape.UserView)
}

// tells reports whether a property is part of what is told.
func (w *writer) tells(name string) bool {
	if strings.HasPrefix(name, "@") || name == "id" {
		return true
	}
	if base, _, annotation := strings.Cut(name, "@"); annotation {
		name = base
	}
	switch {
	case slices.Contains(w.omit, name):
		return false
	case w.only != nil:
		return slices.Contains(w.only, name)
	case w.shape.Selected && w.asked.Select != nil:
		return slices.Contains(w.asked.Select, strings.ToLower(name))
	}
	return true
}

func (w *writer) property(name string, kind rawjson.Kind, raw []byte) {
	if !w.tells(name) || name == "@odata.type" || name == "@odata.id" {
		return
	}
	if slices.Contains(w.shape.Blank, name) {
		w.value(name, []byte(`""`))
		return
	}
	if members := w.shape.Evolvable[name]; !w.asked.UnknownMembers && kind == rawjson.String && slices.Contains(members, strings.Trim(string(raw), `"`)) {
		w.value(name, []byte(unknownValue))
		return
	}
	if w.shape.Selected {
		w.text(name+"@odata.type", w.typeOf(name, kind, raw))
	}
	w.value(name, raw)
}

// typeOf returns the type that stands beside a value that is no string (contract 13.17), or "".
func (w *writer) typeOf(name string, kind rawjson.Kind, raw []byte) string {
	if t := w.shape.Types[name]; t != "" {
		return t
	}
	switch kind {
	case rawjson.Bool:
		return "#Boolean"
	case rawjson.Number:
		if _, err := strconv.ParseInt(string(raw), 10, 32); err == nil {
			return "#Int32"
		}
		if _, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
			return "#Int64"
		}
		return "#Double"
	case rawjson.Invalid, rawjson.Null, rawjson.String, rawjson.Array, rawjson.Object:
	}
	return ""
}

// text appends a string property, or nothing when it is empty.
func (w *writer) text(name, value string) {
	if value != "" {
		w.name(name)
		w.b = heliograph.AppendJSONString(w.b, value)
	}
}

func (w *writer) value(name string, raw []byte) {
	w.name(name)
	w.b = append(w.b, raw...)
}

func (w *writer) name(name string) {
	if len(w.b) > w.start {
		w.b = append(w.b, ',')
	}
	w.b = append(heliograph.AppendJSONString(w.b, name), ':')
}
