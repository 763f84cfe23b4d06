package objects

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"strings"

	"heliograph.dev/internal/rawjson"
)

// depth bounds how deep a resource may be nested: publishing checked the same.
const depth = 64

// member returns a member of an object as it is written.
func member(data []byte, name string) (value []byte, found bool) {
	each(data, func(n string, raw []byte) {
		if n == name {
			value, found = raw, true
		}
	})
	return value, found
}

// each visits the members of an object. Publishing checked that it is one.
func each(data []byte, visit func(name string, raw []byte)) {
	if len(data) == 0 {
		return
	}
	c := rawjson.New(data, depth)
	_ = c.Object(func(name []byte) error {
		n := string(name)
		raw, err := c.Raw()
		if err == nil {
			visit(n, raw)
		}
		return err
	})
}

// writer writes a resource as it is shown.
type writer struct {
	b []byte
}

func (w *writer) raw(name string, value []byte) {
	if len(w.b) == 0 {
		w.b = append(w.b, '{')
	} else {
		w.b = append(w.b, ',')
	}
	quoted, err := quote(name)
	if err == nil {
		w.b = append(append(append(w.b, quoted...), ':'), value...)
	}
}

func (w *writer) text(name, value string) {
	if quoted, err := quote(value); err == nil { // text always is JSON
		w.raw(name, quoted)
	}
}

// quote writes text, and leaves the characters alone that HTML knows: clients compare URLs.
func quote(text string) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(text)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

func (w *writer) end() json.RawMessage {
	if len(w.b) == 0 {
		return json.RawMessage("{}")
	}
	return append(w.b, '}')
}

// show writes an object: its annotations, its id, and what is chosen of it.
func (o *object) show(r *Request, context, identity, odataType string) json.RawMessage {
	var w writer
	told := map[string]bool{}
	each(o.data, func(name string, _ []byte) { told[name] = true })
	if r.Metadata != None {
		if context != "" {
			w.text("@odata.context", context)
		}
		if r.Metadata == Full {
			if odataType != "" && !told["@odata.type"] {
				w.text("@odata.type", odataType)
			}
			w.text("@odata.id", identity)
		}
		if !told["@odata.etag"] {
			w.text("@odata.etag", o.etag())
		}
	}
	if !told["id"] {
		w.text("id", o.id)
	}
	each(o.data, func(name string, raw []byte) {
		if strings.Contains(name, "@") && r.Metadata == None || name == "@odata.context" || name == "@odata.id" || !r.chosen(name) {
			return
		}
		w.raw(name, raw)
	})
	return w.end()
}

// etag names the state that an object is in.
func (o *object) etag() string { return fmt.Sprintf(`W/"%x.%x"`, o.at.Sequence, o.at.Index) }

// removed writes that an object is no more.
func (o *object) removed(drive bool) json.RawMessage {
	var w writer
	w.text("id", o.id)
	if drive {
		w.raw("deleted", []byte(`{"state":"deleted"}`))
	} else {
		w.raw("@removed", []byte(`{"reason":"deleted"}`))
	}
	return w.end()
}

// value returns what stands at a path of properties, for an order.
func (o *object) value(way []string) any {
	data := o.data
	for i, name := range way {
		raw, found := member(data, name)
		if !found && i == 0 && name == "id" {
			return o.id
		}
		if !found || i+1 < len(way) && (len(raw) == 0 || raw[0] != '{') {
			return nil
		}
		data = raw
	}
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		return nil
	}
	return v
}

// compare orders two values: nothing before truth before numbers before text.
func compare(a, b any) int {
	rank := func(v any) int {
		switch v.(type) {
		case nil:
			return 0
		case bool:
			return 1
		case float64:
			return 2
		case string:
			return 3
		}
		return 4
	}
	if c := cmp.Compare(rank(a), rank(b)); c != 0 {
		return c
	}
	switch a := a.(type) {
	case bool:
		b, _ := b.(bool)
		switch {
		case a == b:
			return 0
		case a:
			return 1
		}
		return -1
	case float64:
		b, _ := b.(float64)
		return cmp.Compare(a, b)
	case string:
		b, _ := b.(string)
		return strings.Compare(strings.ToLower(a), strings.ToLower(b))
	}
	return 0
}
