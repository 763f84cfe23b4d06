package cloudevents

import (
	"encoding/base64"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"heliograph.dev"
	"heliograph.dev/internal/rawjson"
)

const (
	structuredType = "application/cloudevents+json"
	batchedType    = "application/cloudevents-batch+json"
	headerPrefix   = "Ce-"
)

// ModeOf tells how the events of a request travel.
func ModeOf(header http.Header) (Mode, error) {
	media, err := mediaType(header.Get("Content-Type"))
	switch {
	case err != nil:
		return 0, err
	case media == structuredType:
		return Structured, nil
	case media == batchedType:
		return Batched, nil
	case strings.HasPrefix(media, "application/cloudevents"):
		return 0, heliograph.Errorf(heliograph.Unsupported, "publish.content_type",
			"the event format %q is not spoken here; use %s or %s", media, structuredType, batchedType)
	case header.Get(headerPrefix+"Specversion") != "":
		return Binary, nil
	}
	return 0, heliograph.Errorf(heliograph.Unsupported, "publish.content_type",
		"no CloudEvents: send Content-Type %s, %s, or the attributes as Ce- headers", structuredType, batchedType)
}

// Decode reads the events of a request with this header and body.
func Decode(header http.Header, body []byte, limits Limits) ([]Event, error) {
	mode, err := ModeOf(header)
	if err != nil {
		return nil, err
	}
	switch mode {
	case Batched:
		return decodeBatch(body, limits)
	case Structured:
		cursor := rawjson.New(body, limits.Depth)
		event, err := decodeEvent(cursor, limits)
		if err == nil {
			err = cursor.End()
		}
		return []Event{event}, explain(err)
	case Binary:
	}
	event, err := decodeBinary(header, body, limits)
	return []Event{event}, err
}

func decodeBatch(body []byte, limits Limits) ([]Event, error) {
	cursor := rawjson.New(body, limits.Depth+1)
	if cursor.Kind() != rawjson.Array {
		return nil, invalid("a batch is a JSON array of events")
	}
	var events []Event
	err := cursor.Array(func(i int) error {
		if i == limits.Events {
			return heliograph.Errorf(heliograph.TooLarge, "publish.batch.events", "a batch holds at most %d events", limits.Events)
		}
		event, err := decodeEvent(cursor, limits)
		if err != nil {
			return At(i, explain(err))
		}
		events = append(events, event)
		return nil
	})
	if err == nil {
		err = cursor.End()
	}
	return events, explain(err)
}

// decodeEvent reads one event in the JSON format.
func decodeEvent(cursor *rawjson.Cursor, limits Limits) (Event, error) {
	if cursor.Kind() == rawjson.Invalid {
		_, err := cursor.Raw()
		return Event{}, err
	}
	if kind := cursor.Kind(); kind != rawjson.Object {
		return Event{}, invalid("an event is a JSON object, not %v", kind)
	}
	var (
		event       Event
		version     bool
		data, coded []byte
		start       = cursor.Offset()
	)
	err := cursor.Object(func(name []byte) error {
		var err error
		switch string(name) {
		case "data":
			data, err = cursor.Raw()
		case "data_base64":
			coded, err = cursor.Raw()
		default:
			version = version || string(name) == "specversion" && cursor.Kind() == rawjson.String
			err = decodeAttribute(cursor, &event, string(name))
		}
		return err
	})
	if err != nil {
		return Event{}, err
	}
	if err := event.check(version); err != nil {
		return Event{}, err
	}
	if size := cursor.Offset() - start; size > limits.EventBytes {
		return Event{}, tooLarge(size, limits)
	}
	event.Data, err = dataOf(&event, data, coded, limits)
	return event, err
}

func decodeAttribute(cursor *rawjson.Cursor, event *Event, name string) error {
	switch kind := cursor.Kind(); kind {
	case rawjson.String:
		value, err := cursor.Text()
		if err != nil {
			return err
		}
		return event.set(name, value)
	case rawjson.Null: // as good as absent (JSON format, section 2.2)
		return cursor.Null()
	case rawjson.Bool, rawjson.Number:
		value, err := cursor.Raw()
		if err != nil {
			return err
		}
		if isDefined(name) {
			return invalid("the attribute %q is %v; it must be a string", name, kind)
		}
		if _, err := strconv.ParseInt(string(value), 10, 32); err != nil && kind == rawjson.Number {
			return invalid("the attribute %.60q is %.40s; a number must be a 32-bit integer", name, value)
		}
		return event.set(name, string(value))
	case rawjson.Array, rawjson.Object:
		return invalid("the attribute %.60q is %v; attributes are strings, booleans or integers", name, kind)
	case rawjson.Invalid:
	}
	_, err := cursor.Raw()
	return err
}

func isDefined(name string) bool {
	switch name {
	case "specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema":
		return true
	}
	return false
}

// dataOf returns an event's data as JSON text, from whichever of the two members it came in.
func dataOf(event *Event, data, coded []byte, limits Limits) ([]byte, error) {
	if isNull(coded) && isNull(data) {
		return nil, nil
	}
	if !isNull(coded) && !isNull(data) {
		return nil, invalid("\"data\" and \"data_base64\" exclude each other")
	}
	if !isJSON(event.DataContentType) {
		return nil, invalid("the data is %.60q; it must be JSON", event.DataContentType)
	}
	if isNull(coded) {
		return data, nil
	}
	text, err := rawjson.New(coded, 1).Text()
	if err != nil {
		return nil, invalid("\"data_base64\" must be a string")
	}
	plain, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, invalid("\"data_base64\" is not base64")
	}
	return checkData(plain, limits)
}

func isNull(raw []byte) bool { return len(raw) == 0 || string(raw) == "null" }

// decodeBinary reads an event whose attributes are headers.
func decodeBinary(header http.Header, body []byte, limits Limits) (Event, error) {
	var event Event
	for key, values := range header {
		name, found := strings.CutPrefix(key, headerPrefix)
		if !found {
			continue
		}
		if len(values) != 1 {
			return Event{}, invalid("the header %.60s came %d times", key, len(values))
		}
		if err := event.set(strings.ToLower(name), headerValue(values[0])); err != nil {
			return Event{}, err
		}
	}
	event.DataContentType = header.Get("Content-Type")
	if err := event.check(true); err != nil {
		return Event{}, err
	}
	if len(body) == 0 {
		return event, nil
	}
	if len(body) > limits.EventBytes {
		return Event{}, tooLarge(len(body), limits)
	}
	if !isJSON(event.DataContentType) {
		return Event{}, invalid("the data is %.60q; it must be JSON", event.DataContentType)
	}
	var err error
	event.Data, err = checkData(body, limits)
	return event, err
}

// headerValue undoes what the HTTP binding does to a value on its way into a header: quotes, then percent
// signs (section 3.1.3.2). A percent sign that begins no escape stands for itself: not every sender escapes.
func headerValue(s string) string {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		s = unquote(s[1 : len(s)-1])
	}
	if plain, err := url.PathUnescape(s); err == nil && strings.ToValidUTF8(plain, "") == plain {
		return plain
	}
	return s
}

func unquote(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// checkData passes data that is one JSON value.
func checkData(data []byte, limits Limits) ([]byte, error) {
	cursor := rawjson.New(data, limits.Depth)
	raw, err := cursor.Raw()
	if err == nil {
		err = cursor.End()
	}
	if err != nil {
		return nil, invalid("the data is not JSON: %v", err)
	}
	if isNull(raw) {
		return nil, nil
	}
	return raw, nil
}

func tooLarge(size int, limits Limits) error {
	return heliograph.Errorf(heliograph.TooLarge, "publish.event.size", "the event takes %d bytes; at most %d are taken", size, limits.EventBytes)
}

// mediaType returns the media type of a Content-Type, in lower case. Another charset than UTF-8 is refused.
func mediaType(contentType string) (string, error) {
	switch contentType { // the usual ones, without parsing
	case "", "application/json", structuredType, batchedType:
		return contentType, nil
	}
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return "", heliograph.Errorf(heliograph.Unsupported, "publish.content_type", "the Content-Type cannot be read")
	}
	if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") {
		return "", heliograph.Errorf(heliograph.Unsupported, "publish.content_type", "the charset %.40q is not spoken here; use UTF-8", charset)
	}
	return media, nil
}

// isJSON reports whether a datacontenttype says JSON. Without one, JSON is meant (JSON format, section 3.1).
func isJSON(contentType string) bool {
	media, err := mediaType(contentType)
	return err == nil && (media == "" || media == "application/json" || media == "text/json" || strings.HasSuffix(media, "+json"))
}

// explain makes an error of the JSON reader one that the sender may read.
func explain(err error) error {
	if syntax, found := errors.AsType[*rawjson.SyntaxError](err); found {
		return heliograph.Errorf(heliograph.Invalid, "publish.event.json", "the JSON cannot be read: %v", syntax)
	}
	return err
}
