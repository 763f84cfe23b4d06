package frame_test

import (
	"bytes"
	"errors"
	"math"
	"os"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"heliograph.dev"
	"heliograph.dev/internal/engine/frame"
)

const endpoint heliograph.Endpoint = "https://example.com/hook"

func ref(t *rapid.T) heliograph.ParkedRef {
	return heliograph.ParkedRef{
		Subscription: guid(t),
		Position: heliograph.Position{
			Sequence: rapid.Uint64().Draw(t, "sequence"), Index: rapid.Uint32().Draw(t, "index"),
		},
		Since:    moment(t),
		Attempts: rapid.Uint32Max(1<<31-1).Draw(t, "attempts"),
		Again:    rapid.Bool().Draw(t, "again"),
	}
}

func TestRefsRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		refs := rapid.SliceOfN(rapid.Custom(ref), 1, 50).Draw(t, "refs")
		b := frame.AppendRefs([]byte("before"), endpoint, refs)
		got, err := frame.DecodeRefs(b[len("before"):], endpoint)
		if err != nil || !reflect.DeepEqual(got, refs) {
			t.Errorf("got %+v, %v\nwant %+v", got, err, refs)
		}
	})
}

func TestRefsDamageIsDetected(t *testing.T) {
	t.Parallel()
	refs := []heliograph.ParkedRef{
		{Subscription: heliograph.DeriveGUID("a"), Position: heliograph.Position{Sequence: 7, Index: 3}, Since: time.Unix(1, 2), Attempts: 4},
		{},
	}
	b := frame.AppendRefs(nil, endpoint, refs)
	for bit := range len(b) * 8 {
		b[bit/8] ^= 1 << (bit % 8)
		if _, err := frame.DecodeRefs(b, endpoint); err == nil {
			t.Errorf("bit %d flipped without notice", bit)
		}
		b[bit/8] ^= 1 << (bit % 8)
	}
	if _, err := frame.DecodeRefs(b, endpoint+"s"); !errors.Is(err, frame.ErrCorrupt) {
		t.Errorf("another endpoint's list: %v", err)
	}
	if _, err := frame.DecodeRefs(b[:len(b)-44], endpoint); !errors.Is(err, frame.ErrCorrupt) {
		t.Errorf("a ref less: %v", err)
	}
}

// TestRefsGolden reads a list as it stood on disks before refs could say "again".
func TestRefsGolden(t *testing.T) {
	t.Parallel()
	old, err := os.ReadFile("testdata/v1.refs")
	if err != nil {
		t.Fatal(err)
	}
	want := []heliograph.ParkedRef{
		{
			Subscription: heliograph.DeriveGUID("a"), Position: heliograph.Position{Sequence: 7, Index: 3},
			Since: time.Unix(1, 2).UTC(), Attempts: 4,
		},
		{Subscription: heliograph.DeriveGUID("b"), Since: time.Unix(0, 0).UTC(), Attempts: math.MaxInt32},
	}
	if got, err := frame.DecodeRefs(old, endpoint); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
	if b := frame.AppendRefs(nil, endpoint, want); !bytes.Equal(b, old) {
		t.Errorf("encoded as %x, it was %x", b, old)
	}
	want[1].Attempts = math.MaxUint32 // more than the list can say
	if b := frame.AppendRefs(nil, endpoint, want); !bytes.Equal(b, old) {
		t.Errorf("too many attempts are encoded as %x", b)
	}
}

func TestMostRefsFitInAFrame(t *testing.T) {
	t.Parallel()
	if b := frame.AppendRefs(nil, endpoint, make([]heliograph.ParkedRef, frame.MaxRefs)); len(b) > frame.MaxSize {
		t.Errorf("%d refs take %d bytes", frame.MaxRefs, len(b))
	}
}

func FuzzDecodeRefs(f *testing.F) {
	f.Add(frame.AppendRefs(nil, endpoint, []heliograph.ParkedRef{{Attempts: math.MaxUint32, Again: true}, {}}))
	f.Add(frame.AppendRefs(nil, endpoint, nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		refs, err := frame.DecodeRefs(b, endpoint)
		if err != nil {
			return
		}
		if again, err := frame.DecodeRefs(frame.AppendRefs(nil, endpoint, refs), endpoint); err != nil || !reflect.DeepEqual(again, refs) {
			t.Errorf("decoded %+v, then %+v, %v", refs, again, err)
		}
	})
}
