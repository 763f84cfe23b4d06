// Package archive is the form of a backup: bytes in, values out. It can be written and read as a stream.
//
//	8 bytes   magic "HGbackup"
//	blocks    each: its kind (1 byte), the length of its body (4), the body, CRC-32C of all three (4)
//
// Numbers are big-endian. The first block is the head (JSON). Then come cursors, parked lists, records and frames, each
// as it stands in the store: sealed, under its subject as the label. Then comes the manifest (JSON): how many there were
// of each, and the SHA-256 of everything before it. The key file may stand behind it. Nothing else does.
//
// A file that is cut or in which any bit is another is refused by Read.
package archive

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"time"
)

const (
	magic   = "HGbackup"
	version = 1
	// mostBody is more than any message of the store has.
	mostBody   = 4 << 20
	headerSize = 5
)

// ErrDamaged says that a file is not a backup as it was written.
var ErrDamaged = errors.New("the backup is damaged")

// Kind is what a block holds.
type Kind byte

// The kinds.
const (
	headKind     Kind = 1
	Cursor       Kind = 2
	Parked       Kind = 3
	Record       Kind = 4
	Deletion     Kind = 5 // of a record that stands further ahead
	Frame        Kind = 6
	manifestKind Kind = 7
	keysKind     Kind = 8
)

// Head says what the backup is of.
type Head struct {
	Version    int       `json:"version"`
	Made       time.Time `json:"made"`
	Program    string    `json:"program"`
	Partitions int       `json:"partitions"`
	// Witness is what only the store's keys open.
	Witness []byte `json:"witness,omitempty"`
}

// Manifest is what there was.
type Manifest struct {
	Cursors int    `json:"cursors"`
	Parked  int    `json:"parked"`
	Records int    `json:"records"`
	Frames  int    `json:"frames"`
	Bytes   int64  `json:"bytes"`
	SHA256  string `json:"sha256"`
}

func (m *Manifest) count(k Kind) {
	switch k {
	case Cursor:
		m.Cursors++
	case Parked:
		m.Parked++
	case Record:
		m.Records++
	case Deletion: // as many records as stand ahead
	case Frame:
		m.Frames++
	case headKind, manifestKind, keysKind:
	}
}

// Entry is one message of the store.
type Entry struct {
	Kind     Kind
	Sequence uint64
	Subject  string
	Header   string
	Data     []byte
}

func (e *Entry) body() []byte {
	b := binary.BigEndian.AppendUint64(nil, e.Sequence)
	for _, s := range []string{e.Subject, e.Header} {
		b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	return append(b, e.Data...)
}

func entryOf(k Kind, b []byte) (Entry, error) {
	e := Entry{Kind: k}
	if len(b) < 8 {
		return e, ErrDamaged
	}
	e.Sequence, b = binary.BigEndian.Uint64(b), b[8:]
	for _, s := range []*string{&e.Subject, &e.Header} {
		n, size := binary.Uvarint(b)
		if size <= 0 || n > uint64(len(b)-size) { //nolint:gosec // size is at most the length
			return e, ErrDamaged
		}
		*s, b = string(b[size:size+int(n)]), b[size+int(n):] //nolint:gosec // at most the length
	}
	e.Data = b
	return e, nil
}

// Writer writes a backup. Close ends it.
type Writer struct {
	w        io.Writer
	sum      hash.Hash
	manifest Manifest
}

// NewWriter begins a backup.
func NewWriter(w io.Writer, head Head) (*Writer, error) {
	a := &Writer{w: w, sum: sha256.New()}
	head.Version = version
	text, err := json.Marshal(head)
	if err != nil {
		return nil, err
	}
	if err := a.write([]byte(magic)); err != nil {
		return nil, err
	}
	return a, a.block(headKind, text)
}

// Add writes an entry.
func (a *Writer) Add(e Entry) error {
	a.manifest.count(e.Kind)
	return a.block(e.Kind, e.body())
}

// Close writes the manifest, and returns it.
func (a *Writer) Close() (Manifest, error) {
	a.manifest.SHA256 = hex.EncodeToString(a.sum.Sum(nil))
	text, err := json.Marshal(a.manifest)
	if err != nil {
		return Manifest{}, err
	}
	return a.manifest, a.block(manifestKind, text)
}

func (a *Writer) block(k Kind, body []byte) error { return a.write(block(k, body)) }

func (a *Writer) write(b []byte) error {
	_, _ = a.sum.Write(b) // never fails
	n, err := a.w.Write(b)
	a.manifest.Bytes += int64(n)
	return err
}

// AppendKeys writes the key file behind a backup, which anybody can read then.
func AppendKeys(w io.Writer, keys []byte) error {
	_, err := w.Write(block(keysKind, keys))
	return err
}

func block(k Kind, body []byte) []byte {
	b := make([]byte, headerSize, headerSize+len(body)+crc32.Size)
	b[0] = byte(k)
	binary.BigEndian.PutUint32(b[1:], uint32(len(body))) //nolint:gosec // at most mostBody: a message's limit is far below
	b = append(b, body...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
}

// Content is what a backup says of itself.
type Content struct {
	Head     Head
	Manifest Manifest
	Keys     []byte // the key file, when it is in the backup
}

// Read reads a backup to its end and gives every entry to visit, whose memory is visit's then. Entries come before it is
// known that the whole is good: read it once with a nil visit before anything is done with it. Of a file of which only
// what stands ahead is wanted, visit may answer io.EOF.
func Read(r io.Reader, visit func(*Head, Entry) error) (Content, error) {
	in := &reader{r: bufio.NewReaderSize(r, 64<<10), sum: sha256.New()}
	var c Content
	first := make([]byte, len(magic))
	if err := in.read(first); err != nil || string(first) != magic {
		return c, fmt.Errorf("%w: it is no backup of heliograph", ErrDamaged)
	}
	if err := in.expect(headKind, &c.Head); err != nil {
		return c, err
	}
	if c.Head.Version != version {
		return c, fmt.Errorf("the backup is of version %d; this program knows %d", c.Head.Version, version)
	}
	var counted Manifest
	for {
		bytes, sum := in.bytes, hex.EncodeToString(in.sum.Sum(nil))
		k, body, err := in.block()
		if err != nil {
			return c, err
		}
		if k == manifestKind {
			counted.Bytes, counted.SHA256 = bytes, sum
			if err := json.Unmarshal(body, &c.Manifest); err != nil || c.Manifest != counted {
				return c, fmt.Errorf("%w: what is in it is not what its manifest says", ErrDamaged)
			}
			c.Keys, err = in.keys()
			return c, err
		}
		if k < Cursor || k > Frame {
			return c, fmt.Errorf("%w: a block of kind %d at byte %d", ErrDamaged, k, bytes)
		}
		counted.count(k)
		e, err := entryOf(k, body)
		if err != nil {
			return c, fmt.Errorf("%w: the block at byte %d", err, bytes)
		}
		if visit == nil {
			continue
		}
		if err := visit(&c.Head, e); err != nil {
			if errors.Is(err, io.EOF) {
				return c, nil
			}
			return c, err
		}
	}
}

type reader struct {
	r     *bufio.Reader
	sum   hash.Hash
	bytes int64
}

func (in *reader) read(b []byte) error {
	n, err := io.ReadFull(in.r, b)
	_, _ = in.sum.Write(b[:n]) // never fails
	in.bytes += int64(n)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it ends at byte %d, before its end", ErrDamaged, in.bytes)
	}
	return err
}

func (in *reader) block() (Kind, []byte, error) {
	at := in.bytes
	var header [headerSize]byte
	if err := in.read(header[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(header[1:])
	if n > mostBody {
		return 0, nil, fmt.Errorf("%w: a block of %d bytes at byte %d", ErrDamaged, n, at)
	}
	body := make([]byte, n+crc32.Size)
	if err := in.read(body); err != nil {
		return 0, nil, err
	}
	table := crc32.MakeTable(crc32.Castagnoli)
	if crc32.Update(crc32.Checksum(header[:], table), table, body[:n]) != binary.BigEndian.Uint32(body[n:]) {
		return 0, nil, fmt.Errorf("%w: the checksum of the block at byte %d", ErrDamaged, at)
	}
	return Kind(header[0]), body[:n:n], nil
}

func (in *reader) expect(k Kind, into any) error {
	is, body, err := in.block()
	if err != nil {
		return err
	}
	if is != k || json.Unmarshal(body, into) != nil {
		return fmt.Errorf("%w: its head", ErrDamaged)
	}
	return nil
}

// keys reads what may stand behind the manifest.
func (in *reader) keys() ([]byte, error) {
	if _, err := in.r.Peek(1); errors.Is(err, io.EOF) {
		return nil, nil
	}
	k, body, err := in.block()
	if err != nil {
		return nil, err
	}
	if _, err := in.r.Peek(1); k != keysKind || !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: something stands behind its end", ErrDamaged)
	}
	return body, nil
}
