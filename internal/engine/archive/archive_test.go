package archive_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"heliograph.dev/internal/engine/archive"
)

func entries() []archive.Entry {
	return []archive.Entry{
		{Kind: archive.Cursor, Subject: "0", Sequence: 7, Data: []byte{}},
		{Kind: archive.Parked, Subject: "backlog.x", Header: "aGVhZGVy", Sequence: 3, Data: []byte("refs")},
		{Kind: archive.Record, Subject: "tenant.sub.1", Header: "$KV.subscriptions-0.", Sequence: 1, Data: []byte("value")},
		{Kind: archive.Deletion, Subject: "tenant.sub.1", Header: "$KV.subscriptions-0.", Sequence: 2, Data: []byte{}},
		{Kind: archive.Frame, Subject: "changes.0", Sequence: 1 << 40, Data: bytes.Repeat([]byte("f"), 300)},
	}
}

func written(t *testing.T, keys []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := archive.NewWriter(&b, archive.Head{Made: time.Unix(1, 0).UTC(), Program: "test", Partitions: 1, Witness: []byte{1}})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries() {
		if err := w.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	m, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	if m.Cursors != 1 || m.Parked != 1 || m.Records != 1 || m.Frames != 1 {
		t.Errorf("manifest %+v", m)
	}
	if keys != nil {
		if err := archive.AppendKeys(&b, keys); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for _, keys := range [][]byte{nil, []byte("the keys")} {
		var got []archive.Entry
		c, err := archive.Read(bytes.NewReader(written(t, keys)), func(h *archive.Head, e archive.Entry) error {
			if h.Program != "test" {
				t.Errorf("head %+v", h)
			}
			got = append(got, e)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(c.Keys, keys) || c.Manifest.Frames != 1 || c.Head.Partitions != 1 {
			t.Errorf("content %+v", c)
		}
		if !slices.EqualFunc(got, entries(), func(a, b archive.Entry) bool {
			return a.Kind == b.Kind && a.Subject == b.Subject && a.Header == b.Header && a.Sequence == b.Sequence && bytes.Equal(a.Data, b.Data)
		}) {
			t.Errorf("entries %+v", got)
		}
	}
}

// TestDamage cuts a backup at every byte and changes every bit of it.
func TestDamage(t *testing.T) {
	t.Parallel()
	good := written(t, []byte("the keys"))
	whole := len(written(t, nil)) // without keys it is a backup too
	for n := range good {
		if n == whole {
			continue
		}
		if _, err := archive.Read(bytes.NewReader(good[:n]), nil); !errors.Is(err, archive.ErrDamaged) {
			t.Errorf("cut at %d: %v", n, err)
		}
	}
	for bit := range 8 * len(good) {
		bad := slices.Clone(good)
		bad[bit/8] ^= 1 << (bit % 8)
		if _, err := archive.Read(bytes.NewReader(bad), nil); !errors.Is(err, archive.ErrDamaged) {
			t.Errorf("bit %d: %v", bit, err)
		}
	}
	if _, err := archive.Read(bytes.NewReader(append(slices.Clone(good), 0)), nil); !errors.Is(err, archive.ErrDamaged) {
		t.Errorf("with something behind it: %v", err)
	}
}

// TestLeftOut takes whole blocks out, whose checksums say nothing then.
func TestLeftOut(t *testing.T) {
	t.Parallel()
	good := written(t, nil)
	from := bytes.Index(good, []byte("value"))
	at := bytes.LastIndexByte(good[:from], byte(archive.Record))
	for at >= 0 && !bytes.HasPrefix(good[at+5+8+1:], []byte("tenant.sub.1")) {
		at = bytes.LastIndexByte(good[:at], byte(archive.Record))
	}
	end := from + len("value") + 4
	bad := slices.Concat(good[:at], good[end:])
	if _, err := archive.Read(bytes.NewReader(bad), nil); !errors.Is(err, archive.ErrDamaged) {
		t.Errorf("without a record: %v", err)
	}
}

func TestStopsEarly(t *testing.T) {
	t.Parallel()
	n := 0
	_, err := archive.Read(bytes.NewReader(written(t, nil)), func(*archive.Head, archive.Entry) error {
		n++
		return io.EOF
	})
	if err != nil || n != 1 {
		t.Errorf("%d entries, %v", n, err)
	}
}

func FuzzRead(f *testing.F) {
	var b bytes.Buffer
	w, _ := archive.NewWriter(&b, archive.Head{Partitions: 1})
	_ = w.Add(entries()[2])
	_, _ = w.Close()
	f.Add(b.Bytes())
	f.Add([]byte("HGbackup"))
	f.Fuzz(func(_ *testing.T, data []byte) {
		_, _ = archive.Read(bytes.NewReader(data), func(*archive.Head, archive.Entry) error { return nil })
	})
}
