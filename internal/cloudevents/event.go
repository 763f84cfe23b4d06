// Package cloudevents reads CloudEvents 1.0 from an HTTP request, in the three modes of the HTTP binding:
// binary (attributes are headers, the body is the data), structured (application/cloudevents+json) and batched
// (application/cloudevents-batch+json). It keeps an event's data as the bytes that came, checked to be JSON.
//
// The official SDK's decoder is not used for what comes from outside: version 2.16.2 panics on the event
// {"data_base64":1,"specversion":"1.0"}, and passes over attributes that come twice and over text behind the event. Tests
// hold this reader against it: what the SDK's own client sends is read as the SDK reads it.
//
// Errors are of kind Invalid, TooLarge or Unsupported and are meant for the sender; in a batch they begin with
// the event's index.
package cloudevents

import (
	"errors"
	"fmt"
	"time"

	"heliograph.dev"
)

// Event is one event. Attributes that did not come are empty.
type Event struct {
	ID, Source, Type string // never empty
	Subject          string
	Time             time.Time // zero when it did not come
	DataContentType  string
	DataSchema       string
	// Data is JSON text, or nil. It shares memory with the body that was read.
	Data []byte
	// Extensions are the remaining attributes, in no particular order.
	Extensions []Extension
}

// Extension is an attribute that the specification does not define. Booleans and integers are given as text.
type Extension struct{ Name, Value string }

// Extension returns the value of an extension attribute, or nothing.
func (e *Event) Extension(name string) string {
	for i := range e.Extensions {
		if e.Extensions[i].Name == name {
			return e.Extensions[i].Value
		}
	}
	return ""
}

// Limits bound what is read.
type Limits struct {
	Events     int // of a batch
	EventBytes int // of one event: as JSON, or in binary mode its data
	Depth      int // of nesting in an event
}

// Mode is how events travel in a request.
type Mode uint8

// The modes of the HTTP binding.
const (
	Binary Mode = iota + 1
	Structured
	Batched
)

// set gives an attribute its value. It refuses what may not stand there.
func (e *Event) set(name, value string) error {
	if !isText(value) {
		return invalid("the attribute %q has a control character in it", name)
	}
	switch name {
	case "specversion":
		if value != "1.0" {
			return invalid("the attribute \"specversion\" is %.20q; this server speaks \"1.0\"", value)
		}
	case "id":
		e.ID = value
	case "source":
		e.Source = value
	case "type":
		e.Type = value
	case "subject":
		e.Subject = value
	case "datacontenttype":
		e.DataContentType = value
	case "dataschema":
		e.DataSchema = value
	case "time":
		t, err := time.Parse(time.RFC3339, value)
		if err != nil {
			return invalid("the attribute \"time\" is %.40q; it must be a moment as in RFC 3339 (2026-11-22T10:30:00Z)", value)
		}
		e.Time = t
	default:
		if !isName(name) {
			return invalid("%.60q is no name of an attribute: those have lower-case letters and digits only", name)
		}
		e.Extensions = append(e.Extensions, Extension{Name: name, Value: value})
	}
	return nil
}

// check refuses an event without what every event has.
func (e *Event) check(version bool) error {
	switch {
	case !version:
		return missing("specversion")
	case e.ID == "":
		return missing("id")
	case e.Source == "":
		return missing("source")
	case e.Type == "":
		return missing("type")
	}
	return nil
}

func missing(name string) error {
	return heliograph.Errorf(heliograph.Invalid, "publish.event.required", "the attribute %q is required", name)
}

func invalid(format string, args ...any) error {
	return heliograph.Errorf(heliograph.Invalid, "publish.event.format", format, args...)
}

// At says which event of a batch err speaks of.
func At(index int, err error) error {
	e, found := errors.AsType[*heliograph.Error](err)
	if !found {
		return fmt.Errorf("event %d: %w", index, err)
	}
	return &heliograph.Error{Kind: e.Kind, Rule: e.Rule, Code: e.Code, Message: fmt.Sprintf("event %d: %s", index, e.Message), Err: e.Err}
}

// isName reports whether name may name an attribute.
func isName(name string) bool {
	for i := range len(name) {
		if b := name[i]; (b < 'a' || b > 'z') && (b < '0' || b > '9') {
			return false
		}
	}
	return name != ""
}

// isText reports whether s has no control characters.
func isText(s string) bool {
	for _, r := range s {
		if r < 0x20 || 0x7f <= r && r < 0xa0 {
			return false
		}
	}
	return true
}
