// Package frame is the binary form of what the engine keeps: frames of changes and lists of parked
// notifications. It is pure: bytes in, values out.
//
// A frame is a group of changes that reach the disk together. All numbers are big-endian.
//
//	header, 48 bytes
//	  0  4  magic "HGfr"
//	  4  1  version: 1, or 2 when some change has an immutable id
//	  5  1  zero
//	  6  2  partition
//	  8  8  producer: who wrote it, a random number
//	 16  8  batch: counts the producer's frames of this partition from 1 without a hole
//	 24  8  written, Unix nanoseconds
//	 32  4  number of changes
//	 36  4  bytes of text
//	 40  4  bytes of data
//	 44  4  CRC-32C of the header before it and of everything after it
//	one record of 52 bytes for each change
//	  0 16  change id
//	 16  1  change type
//	 17  1  flags: 1 it is a notice, 2 it has an immutable id
//	 18  2  zero
//	 20 12  time: Unix seconds (8), nanoseconds (4)
//	 32 12  accepted, likewise
//	 44  4  where its text begins, counted from the start of all text
//	 48  4  where its data begins, likewise
//	text   for each change: tenant, resource, traceparent, number of paths, each path; its immutable id if it
//	       has one; for a notice also event (1), subscription (16), expires (12), URL, client state, reason. A
//	       string is its length as uvarint, then its bytes.
//	data   for each change its JSON
//
// Text is apart from data so that decoding copies all strings of a frame at once and none of its data.
//
// Decode takes bytes that come from a disk or a network: whatever they hold, it returns what was encoded or an
// error. Any single changed bit, and any damage up to 32 bits in a row, is an error for certain; other damage
// passes once in four thousand million times. It allocates no more than a small multiple of what it is given.
package frame

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"time"

	"heliograph.dev"
)

// MaxSize is the most bytes of one frame: with its headers, and sealed, it passes a NATS server at its default limit of
// 1 MiB.
const MaxSize = 1_000_000

// Overhead is what a frame takes beside the Size of each of its changes.
const Overhead = 48

const (
	plain      = 1 // the versions
	immutable  = 2
	crcAt      = 44
	recordSize = 52
	timeSize   = 12
	noticeSize = 1 + 16 + timeSize // the fixed part of a notice

	flagNotice    = 1
	flagImmutable = 2
)

// ErrCorrupt says that the bytes are not what was written.
var ErrCorrupt = errors.New("corrupt")

// Header says where a frame comes from.
type Header struct {
	Partition int // at most 65535
	Producer  uint64
	Batch     uint64
	Written   time.Time
}

// Size returns the bytes that c takes in a frame.
func Size(c *heliograph.Change) int {
	n := recordSize + stringSize(string(c.Tenant)) + stringSize(c.Resource) + stringSize(c.Traceparent) + len(c.Data)
	n += uvarintSize(len(c.Paths))
	for _, p := range c.Paths {
		n += stringSize(p)
	}
	if c.ImmutableID != "" {
		n += stringSize(c.ImmutableID)
	}
	if o := c.Notice; o != nil {
		n += noticeSize + stringSize(o.URL) + stringSize(o.ClientState.Reveal()) + stringSize(o.Reason)
	}
	return n
}

func stringSize(s string) int { return uvarintSize(len(s)) + len(s) }

func uvarintSize(n int) int {
	size := 1
	for ; n >= 1<<7; n >>= 7 {
		size++
	}
	return size
}

// Append appends the frame of changes to dst. It fails when a change has not exactly one type.
func Append(dst []byte, h Header, changes []heliograph.Change) ([]byte, error) {
	start, records := len(dst), len(dst)+Overhead
	dst = append(dst, make([]byte, Overhead+recordSize*len(changes))...)
	text, version := len(dst), byte(plain)
	for i := range changes {
		c := &changes[i]
		if c.Type != heliograph.Created && c.Type != heliograph.Updated && c.Type != heliograph.Deleted {
			return dst[:start], fmt.Errorf("change %s has not exactly one type", c.ID)
		}
		at := len(dst) - text
		dst = appendText(dst, c)
		putRecord(dst[records+recordSize*i:], c, at)
		if c.ImmutableID != "" {
			version = immutable
		}
	}
	textSize, data := len(dst)-text, len(dst)
	for i := range changes {
		binary.BigEndian.PutUint32(dst[records+recordSize*i+48:], count(len(dst)-data))
		dst = append(dst, changes[i].Data...)
	}
	b := dst[start:]
	copy(b, "HGfr")
	b[4] = version
	binary.BigEndian.PutUint16(b[6:], uint16(h.Partition)) //nolint:gosec // at most 65535 by the header's contract
	binary.BigEndian.PutUint64(b[8:], h.Producer)
	binary.BigEndian.PutUint64(b[16:], h.Batch)
	binary.BigEndian.PutUint64(b[24:], uint64(h.Written.UnixNano()))
	binary.BigEndian.PutUint32(b[32:], count(len(changes)))
	binary.BigEndian.PutUint32(b[36:], count(textSize))
	binary.BigEndian.PutUint32(b[40:], count(len(dst)-data))
	binary.BigEndian.PutUint32(b[crcAt:], checksum(b[:crcAt], nil, b[Overhead:]))
	return dst, nil
}

// count is n as frames write it. A frame is never near 4 GiB: the engine refuses it at MaxSize.
func count(n int) uint32 {
	return uint32(min(n, math.MaxUint32)) //nolint:gosec // bounded by min
}

func checksum(head []byte, extra []byte, rest []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	sum := crc32.Update(0, table, head)
	sum = crc32.Update(sum, table, extra)
	return crc32.Update(sum, table, rest)
}

func putRecord(b []byte, c *heliograph.Change, text int) {
	copy(b, c.ID[:])
	b[16] = byte(c.Type)
	if c.Notice != nil {
		b[17] |= flagNotice
	}
	if c.ImmutableID != "" {
		b[17] |= flagImmutable
	}
	putTime(b[20:], c.Time)
	putTime(b[32:], c.Accepted)
	binary.BigEndian.PutUint32(b[44:], count(text))
}

func appendText(dst []byte, c *heliograph.Change) []byte {
	dst = appendString(dst, string(c.Tenant))
	dst = appendString(dst, c.Resource)
	dst = appendString(dst, c.Traceparent)
	dst = binary.AppendUvarint(dst, uint64(len(c.Paths)))
	for _, p := range c.Paths {
		dst = appendString(dst, p)
	}
	if c.ImmutableID != "" {
		dst = appendString(dst, c.ImmutableID)
	}
	o := c.Notice
	if o == nil {
		return dst
	}
	dst = append(dst, byte(o.Event))
	dst = append(dst, o.Subscription[:]...)
	dst = append(dst, make([]byte, timeSize)...)
	putTime(dst[len(dst)-timeSize:], o.Expires)
	dst = appendString(dst, o.URL)
	dst = appendString(dst, o.ClientState.Reveal())
	return appendString(dst, o.Reason)
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// putTime writes seconds and nanoseconds apart, because publishers may name any year and nanoseconds alone
// end in 2262.
func putTime(b []byte, t time.Time) {
	binary.BigEndian.PutUint64(b, uint64(t.Unix()))           //nolint:gosec // two's complement, turned back by getTime
	binary.BigEndian.PutUint32(b[8:], uint32(t.Nanosecond())) //nolint:gosec // below 1e9
}
