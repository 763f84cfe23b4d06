package frame_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"hash/crc32"
	"math"
	"os"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"heliograph.dev"
	"heliograph.dev/internal/engine/frame"
)

var update = flag.Bool("update", false, "write testdata anew")

// example is what the golden file holds: every field is in use.
func example() (frame.Header, []heliograph.Change) {
	at := time.Date(2026, 11, 22, 12, 0, 0, 123456789, time.UTC)
	h := frame.Header{Partition: 513, Producer: 0xfedcba9876543210, Batch: 42, Written: at}
	return h, []heliograph.Change{
		{
			ID:          heliograph.DeriveGUID("one"),
			Tenant:      "84bd8158-6d4d-4958-8b9f-9d6445542f95",
			Type:        heliograph.Updated,
			Resource:    "users/ada/messages/AAMk=",
			Paths:       []string{"users/ada/mailfolders/inbox/messages/AAMk=", ""},
			Time:        time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC),
			Accepted:    at,
			Data:        []byte(`{"id":"AAMk=","subject":"søren"}`),
			Traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		},
		{
			ID: heliograph.DeriveGUID("two"), Tenant: "84bd8158-6d4d-4958-8b9f-9d6445542f95",
			Type: heliograph.Deleted, Accepted: at,
			Notice: &heliograph.Notice{
				Event: heliograph.SubscriptionRemoved, Subscription: heliograph.DeriveGUID("sub"),
				URL: "https://example.com/lifecycle", ClientState: heliograph.NewSecret("s3cret"), Expires: at.Add(time.Hour), Reason: "token expires",
			},
		},
		{ID: heliograph.DeriveGUID("three"), Tenant: "t", Type: heliograph.Created, Resource: "chats/1", Time: at, Accepted: at, Data: []byte("{}")},
	}
}

func encode(tb testing.TB, h frame.Header, changes []heliograph.Change) []byte {
	tb.Helper()
	b, err := frame.Append(nil, h, changes)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// TestGolden fails when a change of the code changes what stands on disks already.
func TestGolden(t *testing.T) {
	t.Parallel()
	h, changes := example()
	b := encode(t, h, changes)
	if *update {
		if err := os.WriteFile("testdata/v1.frame", b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/v1.frame")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b, want) {
		t.Errorf("encoded %d bytes that differ from the %d of version 1", len(b), len(want))
	}
	gotHeader, gotChanges, err := frame.Decode(want)
	if err != nil || gotHeader != h || !reflect.DeepEqual(gotChanges, changes) {
		t.Errorf("decoded %+v %+v, %v", gotHeader, gotChanges, err)
	}
}

// TestImmutableIDsTakeTheirOwnVersion: what an older program reads stays as it was, and of the rest it says why it cannot.
func TestImmutableIDsTakeTheirOwnVersion(t *testing.T) {
	t.Parallel()
	h, changes := example()
	changes[0].ImmutableID = "AAkALg="
	b := encode(t, h, changes)
	if *update {
		if err := os.WriteFile("testdata/v2.frame", b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/v2.frame")
	if err != nil {
		t.Fatal(err)
	}
	if b[4] != 2 || !bytes.Equal(b, want) {
		t.Errorf("encoded %d bytes of version %d that differ from the %d of version 2", len(b), b[4], len(want))
	}
	if _, got, err := frame.Decode(want); err != nil || !reflect.DeepEqual(got, changes) {
		t.Errorf("decoded %+v, %v", got, err)
	}
	b[4] = 1 // which has no such flag
	seal(b)
	if _, _, err := frame.Decode(b); !errors.Is(err, frame.ErrCorrupt) {
		t.Errorf("a flag that version 1 does not have: %v", err)
	}
}

func TestEveryFlippedBitIsDetected(t *testing.T) {
	t.Parallel()
	b := encode(t, frame.Header{Producer: 1, Batch: 1, Written: time.Unix(0, 0)}, nil)
	h, changes := example()
	for _, b := range [][]byte{b, encode(t, h, changes)} {
		for bit := range len(b) * 8 {
			b[bit/8] ^= 1 << (bit % 8)
			if _, _, err := frame.Decode(b); err == nil {
				t.Errorf("bit %d of %d bytes flipped without notice", bit, len(b))
			}
			b[bit/8] ^= 1 << (bit % 8)
		}
		for n := range len(b) {
			if _, _, err := frame.Decode(b[:n]); !errors.Is(err, frame.ErrCorrupt) {
				t.Errorf("cut at %d: %v", n, err)
			}
		}
		if _, _, err := frame.Decode(append(bytes.Clone(b), 0)); err == nil {
			t.Error("a byte more went without notice")
		}
	}
}

func TestNewerVersionIsNamed(t *testing.T) {
	t.Parallel()
	h, changes := example()
	b := encode(t, h, changes)
	b[4] = 3
	seal(b)
	if _, _, err := frame.Decode(b); err == nil || errors.Is(err, frame.ErrCorrupt) {
		t.Errorf("err = %v, want one that speaks of a newer version", err)
	}
}

func TestAppendRefusesATypeThatIsNotOne(t *testing.T) {
	t.Parallel()
	for _, ct := range []heliograph.ChangeType{0, heliograph.Created | heliograph.Deleted, 8} {
		if b, err := frame.Append([]byte("before"), frame.Header{}, []heliograph.Change{{Type: ct}}); err == nil || string(b) != "before" {
			t.Errorf("type %d: %q, %v", ct, b, err)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		h := frame.Header{
			Partition: rapid.IntRange(0, math.MaxUint16).Draw(t, "partition"),
			Producer:  rapid.Uint64().Draw(t, "producer"), Batch: rapid.Uint64().Draw(t, "batch"),
			Written: time.Unix(0, rapid.Int64().Draw(t, "written")).UTC(),
		}
		changes := rapid.SliceOfN(rapid.Custom(change), 0, 20).Draw(t, "changes")
		b, err := frame.Append([]byte("before"), h, changes)
		if err != nil {
			t.Fatal(err)
		}
		size := len("before") + frame.Overhead
		for i := range changes {
			size += frame.Size(&changes[i])
		}
		if len(b) != size {
			t.Errorf("%d bytes, Size says %d", len(b), size)
		}
		gotHeader, got, err := frame.Decode(b[len("before"):])
		if err != nil {
			t.Fatal(err)
		}
		if len(changes) == 0 {
			got = changes // nil or empty is the same
		}
		if gotHeader != h || !reflect.DeepEqual(got, changes) {
			t.Errorf("got  %+v %+v\nwant %+v %+v", gotHeader, got, h, changes)
		}
	})
}

func change(t *rapid.T) heliograph.Change {
	long := rapid.StringN(0, -1, 300)
	c := heliograph.Change{
		ID:          guid(t),
		Tenant:      heliograph.TenantID(rapid.String().Draw(t, "tenant")),
		Type:        rapid.SampledFrom([]heliograph.ChangeType{heliograph.Created, heliograph.Updated, heliograph.Deleted}).Draw(t, "type"),
		Resource:    long.Draw(t, "resource"),
		Time:        moment(t),
		Accepted:    moment(t),
		Traceparent: rapid.String().Draw(t, "traceparent"),
	}
	if paths := rapid.SliceOfN(long, 0, 5).Draw(t, "paths"); len(paths) > 0 {
		c.Paths = paths
	}
	if data := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "data"); len(data) > 0 {
		c.Data = data
	}
	if rapid.Bool().Draw(t, "immutable") {
		c.ImmutableID = long.Draw(t, "immutable id")
	}
	if rapid.Bool().Draw(t, "notice") {
		c.Notice = &heliograph.Notice{
			Event:        heliograph.LifecycleEvent(rapid.Byte().Draw(t, "event")),
			Subscription: guid(t),
			URL:          long.Draw(t, "url"),
			ClientState:  heliograph.NewSecret(rapid.String().Draw(t, "state")),
			Expires:      moment(t),
			Reason:       rapid.String().Draw(t, "reason"),
		}
	}
	return c
}

func guid(t *rapid.T) heliograph.GUID {
	return heliograph.GUID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "guid"))
}

func moment(t *rapid.T) time.Time {
	if rapid.Bool().Draw(t, "zero") {
		return time.Time{}
	}
	return time.Unix(rapid.Int64Range(-1<<40, 1<<40).Draw(t, "seconds"), rapid.Int64Range(0, 999_999_999).Draw(t, "nanoseconds")).UTC()
}

// seal gives b the checksum that it should have, so that what lies behind the checksum is reached.
func seal(b []byte) {
	table := crc32.MakeTable(crc32.Castagnoli)
	sum := crc32.Update(crc32.Checksum(b[:44], table), table, b[frame.Overhead:])
	binary.BigEndian.PutUint32(b[44:], sum)
}

func FuzzDecode(f *testing.F) {
	h, changes := example()
	b := encode(f, h, changes)
	f.Add(b)
	f.Add(encode(f, h, changes[:1]))
	f.Add(encode(f, h, nil))
	for at := 4; at < 4+frame.Overhead+52; at += 3 { // seeds with one wrong byte in a header
		c := bytes.Clone(b)
		c[at] ^= 0xff
		f.Add(c)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _, _ = frame.Decode(b)
		if len(b) < frame.Overhead {
			return
		}
		seal(b)
		h, changes, err := frame.Decode(b)
		if err != nil {
			return
		}
		again, err := frame.Append(nil, h, changes)
		if err != nil {
			t.Fatalf("decoded what cannot be encoded: %v", err)
		}
		h2, changes2, err := frame.Decode(again)
		if err != nil || h2 != h || !reflect.DeepEqual(changes2, changes) {
			t.Errorf("decoded %+v\nthen    %+v, %v", changes, changes2, err)
		}
	})
}

// TestDecodeAllocatesLittle: a header may claim anything, memory is taken for what is there.
func TestDecodeAllocatesLittle(t *testing.T) { //nolint:paralleltest // counts allocations
	h, changes := example()
	b := encode(t, h, changes)
	binary.BigEndian.PutUint32(b[32:], math.MaxUint32)
	seal(b)
	if n := testing.AllocsPerRun(100, func() { _, _, _ = frame.Decode(b) }); n > 10 {
		t.Errorf("%v allocations for a frame that claims 4,294,967,295 changes", n)
	}
}

func BenchmarkAppend(b *testing.B) {
	h, changes := thousand()
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf, _ = frame.Append(buf[:0], h, changes)
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkDecode(b *testing.B) {
	h, changes := thousand()
	buf := encode(b, h, changes)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		_, _, _ = frame.Decode(buf)
	}
}

func thousand() (frame.Header, []heliograph.Change) {
	h, three := example()
	changes := make([]heliograph.Change, 0, 900)
	for range 900 {
		c := three[0]
		c.Data = bytes.Repeat([]byte("x"), 700)
		changes = append(changes, c)
	}
	return h, changes
}
