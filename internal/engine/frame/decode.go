package frame

import (
	"encoding/binary"
	"fmt"
	"time"

	"heliograph.dev"
)

// Decode returns what Append was given. The data of the changes shares memory with b, nothing else does.
// Times are in UTC.
func Decode(b []byte) (Header, []heliograph.Change, error) {
	if len(b) < Overhead || string(b[:4]) != "HGfr" {
		return Header{}, nil, fmt.Errorf("frame: %w: no frame in %d bytes", ErrCorrupt, len(b))
	}
	if b[4] > immutable {
		return Header{}, nil, fmt.Errorf("frame: version %d is newer than this program knows", b[4])
	}
	if checksum(b[:crcAt], nil, b[Overhead:]) != binary.BigEndian.Uint32(b[crcAt:]) {
		return Header{}, nil, fmt.Errorf("frame: %w: checksum mismatch in %d bytes", ErrCorrupt, len(b))
	}
	h := Header{
		Partition: int(binary.BigEndian.Uint16(b[6:])),
		Producer:  binary.BigEndian.Uint64(b[8:]),
		Batch:     binary.BigEndian.Uint64(b[16:]),
		Written:   time.Unix(0, int64(binary.BigEndian.Uint64(b[24:]))).UTC(), //nolint:gosec // two's complement
	}
	d, ok := newDecoder(b)
	if !ok {
		return h, nil, fmt.Errorf("frame: %w: parts do not add up to %d bytes", ErrCorrupt, len(b))
	}
	changes := make([]heliograph.Change, len(d.records)/recordSize)
	for i := range changes {
		if !d.change(&changes[i], i) {
			return h, nil, fmt.Errorf("frame: %w: change %d of %d", ErrCorrupt, i, len(changes))
		}
	}
	return h, changes, nil
}

// decoder reads the parts of a frame whose checksum held. It trusts no number all the same: a frame that was
// made by a faulty program has a good checksum too.
type decoder struct {
	records []byte
	text    []byte
	strings string // text once more: what is cut from it needs no copy
	data    []byte
	paths   []string // spare room for Paths, so that not every change allocates its own
	known   byte     // the flags that this version has
	at, end int      // in text, of the change at hand
	bad     bool
}

func newDecoder(b []byte) (*decoder, bool) {
	body := uint64(len(b) - Overhead) //nolint:gosec // Decode looked
	records := uint64(binary.BigEndian.Uint32(b[32:])) * recordSize
	text := uint64(binary.BigEndian.Uint32(b[36:]))
	data := uint64(binary.BigEndian.Uint32(b[40:]))
	version := b[4]
	if version < plain || b[5] != 0 || records+text+data != body {
		return nil, false
	}
	b = b[Overhead:]
	d := &decoder{records: b[:records], text: b[records : records+text], data: b[records+text:]}
	d.strings, d.known = string(d.text), flagNotice
	if version == immutable {
		d.known |= flagImmutable
	}
	return d, true
}

// part returns where change i's part begins and ends, given where in a record its offset stands.
func (d *decoder) part(i, field, size int) (from, to int, ok bool) {
	to = size
	r := d.records[i*recordSize+field:]
	from = int(binary.BigEndian.Uint32(r))
	if len(r) >= recordSize+4 {
		to = int(binary.BigEndian.Uint32(r[recordSize:]))
	}
	first := i > 0 || from == 0 // nothing may stand before the first part
	return from, to, first && from <= to && to <= size
}

func (d *decoder) change(c *heliograph.Change, i int) bool {
	r := d.records[i*recordSize:][:recordSize]
	c.ID = heliograph.ChangeID(r)
	c.Type = heliograph.ChangeType(r[16])
	switch c.Type {
	case heliograph.Created, heliograph.Updated, heliograph.Deleted:
	default:
		return false
	}
	if r[17]&^d.known != 0 || r[18] != 0 || r[19] != 0 {
		return false
	}
	c.Time, c.Accepted = d.time(r[20:]), d.time(r[32:])
	from, to, ok := d.part(i, 48, len(d.data))
	if !ok {
		return false
	}
	if from < to {
		c.Data = d.data[from:to:to]
	}
	if d.at, d.end, ok = d.part(i, 44, len(d.text)); !ok {
		return false
	}
	c.Tenant = heliograph.TenantID(d.string())
	c.Resource = d.string()
	c.Traceparent = d.string()
	c.Paths = d.list()
	if r[17]&flagImmutable != 0 {
		c.ImmutableID = d.string()
		d.bad = d.bad || c.ImmutableID == ""
	}
	if r[17]&flagNotice != 0 {
		c.Notice = d.notice()
	}
	return !d.bad && d.at == d.end
}

func (d *decoder) notice() *heliograph.Notice {
	b := d.bytes(noticeSize)
	if b == nil {
		return nil
	}
	return &heliograph.Notice{
		Event:        heliograph.LifecycleEvent(b[0]),
		Subscription: heliograph.SubscriptionID(b[1:17]),
		Expires:      d.time(b[17:]),
		URL:          d.string(),
		ClientState:  heliograph.NewSecret(d.string()),
		Reason:       d.string(),
	}
}

// list reads the paths. A path takes a byte at least, which bounds what is allocated.
func (d *decoder) list() []string {
	n := d.length()
	if n == 0 || d.bad {
		return nil
	}
	if cap(d.paths)-len(d.paths) < n {
		d.paths = make([]string, 0, max(n, 64))
	}
	from := len(d.paths)
	for range n {
		d.paths = append(d.paths, d.string())
	}
	return d.paths[from:len(d.paths):len(d.paths)]
}

// length reads a number that is at most the bytes which remain.
func (d *decoder) length() int {
	n, size := binary.Uvarint(d.text[d.at:d.end])
	if size <= 0 || n > uint64(d.end-d.at-size) { //nolint:gosec // at+size <= end
		d.bad = true
		d.at = d.end
		return 0
	}
	d.at += size
	return int(n) //nolint:gosec // at most the bytes which remain
}

func (d *decoder) string() string {
	n := d.length()
	d.at += n
	return d.strings[d.at-n : d.at]
}

func (d *decoder) bytes(n int) []byte {
	if d.end-d.at < n {
		d.bad = true
		return nil
	}
	d.at += n
	return d.text[d.at-n : d.at]
}

func (d *decoder) time(b []byte) time.Time {
	seconds, nanos := int64(binary.BigEndian.Uint64(b)), binary.BigEndian.Uint32(b[8:]) //nolint:gosec // two's complement
	if nanos >= 1e9 {
		d.bad = true
	}
	return time.Unix(seconds, int64(nanos)).UTC()
}
