package deliver

import (
	"bytes"
	"strconv"
	"time"

	"heliograph.dev/internal/match"
	"heliograph.dev/internal/rawjson"
)

// appendResourceData appends what names the changed instance (contract 11.9, 11.15).
func appendResourceData(b []byte, p *pending, target *match.Target) []byte {
	change, rich := p.change(), target.Rich != nil
	b = append(b, `,"resourceData":{`...)
	start := len(b)
	b = appendField(b, "@odata.type", p.instance.ODataType(rich))
	b = appendField(b, "@odata.id", p.instance.ODataID(target.Resource, rich))
	if target.Row.Extras.ETag {
		b = appendField(b, etag, etagOf(change.Data))
	}
	b = appendField(b, "id", p.instance.ID())
	if target.Row.Extras.Event {
		b = appendField(b, "organizationId", string(change.Tenant))
		b = append(b, `,"eventTime":"`...)
		b = change.Time.UTC().AppendFormat(b, stamp)
		b = append(b, `","sequenceNumber":`...)
		b = strconv.AppendInt(b, ticks(change.Accepted), 10)
	}
	if len(b) > start { // the first field's comma
		b = append(b[:start], b[start+1:]...)
	}
	return append(b, '}')
}

// ticks counts a moment as Graph counts sequenceNumber: in steps of 100 ns since the year 1. That of acceptance grows
// with the log.
func ticks(t time.Time) int64 {
	const epoch = 621_355_968_000_000_000 // the ticks of 1970
	return epoch + t.UnixNano()/100
}

const etag = "@odata.etag"

// etagOf returns the etag that a resource was published with, or nothing.
func etagOf(data []byte) (value string) {
	if !bytes.Contains(data, []byte(etag)) { // nearly always, and much cheaper than reading it
		return ""
	}
	c := rawjson.New(data, dataDepth)
	_ = c.Object(func(name []byte) (err error) { // data that is broken has none
		if string(name) == etag && c.Kind() == rawjson.String {
			value, err = c.Text()
			return err
		}
		_, err = c.Raw()
		return err
	})
	return value
}

// dataDepth bounds how deep data may be nested: publishing checked the same.
const dataDepth = 64

// stamp is how moments are written: UTC, up to seven digits of a second (contract 1.27).
const stamp = "2006-01-02T15:04:05.9999999Z07:00"
