package engine_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"heliograph.dev"
	"heliograph.dev/internal/engine"
)

const endpoint heliograph.Endpoint = "https://example.com/hook?x=1"

func refs(from, n int) []heliograph.ParkedRef {
	out := make([]heliograph.ParkedRef, n)
	for i := range out {
		out[i] = heliograph.ParkedRef{
			Subscription: heliograph.DeriveGUID(fmt.Sprint(from + i)),
			Position:     heliograph.Position{Sequence: uint64(from), Index: uint32(i)},
			Since:        start.Add(time.Duration(from)), Attempts: uint32(from),
		}
	}
	return out
}

func parked(tb testing.TB, e *engine.Engine, endpoint heliograph.Endpoint, from uint64, limit int) []engine.ParkedMessage {
	tb.Helper()
	m, err := hold(e, 0).Parked(tb.Context(), endpoint, from, limit)
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

// odd is no header as it stands.
const odd heliograph.Endpoint = " https://example.org/\r\nNats-TTL: 1s\x00"

func TestBacklog(t *testing.T) {
	t.Parallel()
	o := fresh(t)
	e := open(t, o)
	if got := parked(t, e, endpoint, 0, 10); len(got) != 0 {
		t.Errorf("an endpoint that is well has %v", got)
	}
	var want []engine.ParkedMessage
	for n := range 5 {
		seq, err := hold(e, 0).Park(t.Context(), endpoint, refs(n, 3))
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, engine.ParkedMessage{Sequence: seq, Refs: refs(n, 3)})
		if _, err := hold(e, 0).Park(t.Context(), odd, refs(100+n, 1)); err != nil {
			t.Fatal(err)
		}
	}
	shut(t, e)
	e = open(t, o)
	if diff := cmp.Diff(want, parked(t, e, endpoint, 0, 10)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want[1:3], parked(t, e, endpoint, want[0].Sequence+1, 2)); diff != "" {
		t.Error(diff)
	}
	if err := hold(e, 0).Unpark(t.Context(), endpoint, want[2].Sequence); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want[3:], parked(t, e, endpoint, 0, 10)); diff != "" {
		t.Error(diff)
	}
	endpoints := listed(t, e)
	if diff := cmp.Diff(map[heliograph.Endpoint]uint64{endpoint: 2, odd: 5}, endpoints); diff != "" {
		t.Error(diff)
	}
	if err := hold(e, 0).Unpark(t.Context(), endpoint, 1000); err != nil {
		t.Fatal(err)
	}
	if got := listed(t, e); len(got) != 1 {
		t.Errorf("listed %v", got)
	}
}

func listed(t *testing.T, e *engine.Engine) map[heliograph.Endpoint]uint64 {
	t.Helper()
	all, err := hold(e, 0).ParkedEndpoints(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out := map[heliograph.Endpoint]uint64{}
	for _, one := range all {
		out[one.Endpoint] += one.Messages
	}
	if len(out) != len(all) {
		t.Errorf("listed twice: %v", all)
	}
	return out
}

func TestParkRefuses(t *testing.T) {
	t.Parallel()
	e := open(t, fresh(t))
	if _, err := hold(e, 0).Park(t.Context(), endpoint, nil); err == nil {
		t.Error("nothing to park")
	}
	if _, err := hold(e, 0).Park(t.Context(), endpoint, make([]heliograph.ParkedRef, engine.MaxParkedRefs+1)); err == nil {
		t.Error("too many refs")
	}
	_, err := hold(e, 0).Park(t.Context(), heliograph.Endpoint(strings.Repeat("x", 20_000)), refs(0, 1))
	wantKind(t, err, heliograph.Invalid)
	long := heliograph.Endpoint("https://example.com/" + strings.Repeat("x", 16_000))
	if _, err := hold(e, 0).Park(t.Context(), long, make([]heliograph.ParkedRef, engine.MaxParkedRefs)); err != nil {
		t.Errorf("the largest list: %v", err)
	}
	if got := parked(t, e, long, 0, 1); len(got) != 1 || len(got[0].Refs) != engine.MaxParkedRefs {
		t.Errorf("read back %d", len(got))
	}
}

// TestLargeBacklogIsReadInBites: one answer is bounded by its bytes, not only by limit.
func TestLargeBacklogIsReadInBites(t *testing.T) {
	t.Parallel()
	e := open(t, fresh(t))
	for range 12 {
		if _, err := hold(e, 0).Park(t.Context(), endpoint, make([]heliograph.ParkedRef, engine.MaxParkedRefs)); err != nil {
			t.Fatal(err)
		}
	}
	got, from := 0, uint64(0)
	for {
		bite := parked(t, e, endpoint, from, 1000)
		if len(bite) == 0 {
			break
		}
		if len(bite) == 12 {
			t.Error("10 MB in one answer")
		}
		got += len(bite)
		from = bite[len(bite)-1].Sequence + 1
	}
	if got != 12 {
		t.Errorf("read %d lists of 12", got)
	}
}

// TestBacklogModel compares the backlog with lists in memory.
func TestBacklogModel(t *testing.T) {
	t.Parallel()
	e := open(t, fresh(t))
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		model := map[heliograph.Endpoint][]engine.ParkedMessage{}
		name := rapid.Map(rapid.IntRange(0, 3), func(n int) heliograph.Endpoint {
			return heliograph.Endpoint(fmt.Sprintf("https://%d.example.com/%d", run, n))
		})
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			of := name.Draw(rt, "endpoint")
			if have := model[of]; len(have) > 0 && rapid.IntRange(0, 2).Draw(rt, "unpark") == 0 {
				n := rapid.IntRange(0, len(have)-1).Draw(rt, "through")
				if err := hold(e, 0).Unpark(t.Context(), of, have[n].Sequence); err != nil {
					rt.Fatal(err)
				}
				model[of] = slices.Clone(have[n+1:])
			} else {
				list := refs(rapid.IntRange(0, 1000).Draw(rt, "from"), rapid.IntRange(1, 5).Draw(rt, "refs"))
				seq, err := hold(e, 0).Park(t.Context(), of, list)
				if err != nil {
					rt.Fatal(err)
				}
				model[of] = append(have, engine.ParkedMessage{Sequence: seq, Refs: list})
			}
			limit := rapid.IntRange(1, 20).Draw(rt, "limit")
			got, err := hold(e, 0).Parked(t.Context(), of, 0, limit)
			if err != nil {
				rt.Fatal(err)
			}
			want := model[of][:min(limit, len(model[of]))]
			if len(got)+len(want) > 0 && !cmp.Equal(want, got) {
				rt.Errorf("%s", cmp.Diff(want, got))
			}
		}
	})
}

func BenchmarkParkAndDrain(b *testing.B) {
	e := open(b, fresh(b))
	for b.Loop() {
		var last uint64
		for range 10 {
			last, _ = hold(e, 0).Park(b.Context(), endpoint, refs(0, 100))
		}
		if got := parked(b, e, endpoint, 0, 10); len(got) != 10 {
			b.Fatal(len(got))
		}
		if err := hold(e, 0).Unpark(b.Context(), endpoint, last); err != nil {
			b.Fatal(err)
		}
	}
}

// TestParkAll parks for few and for many at once, and more than one batch holds.
func TestParkAll(t *testing.T) {
	t.Parallel()
	e := open(t, fresh(t))
	for _, n := range []int{0, 1, 5, 200, 2500} {
		var lists []engine.Parking
		want := map[heliograph.Endpoint][][]heliograph.ParkedRef{}
		for i := range n {
			one := engine.Parking{Endpoint: heliograph.Endpoint(fmt.Sprintf("https://%d.example.com/%d", n, i%(n-n/5))), Refs: refs(i, 1+i%3)}
			lists, want[one.Endpoint] = append(lists, one), append(want[one.Endpoint], one.Refs)
		}
		if err := hold(e, 0).ParkAll(t.Context(), lists); err != nil {
			t.Fatal(err)
		}
		for of, lists := range want {
			var got [][]heliograph.ParkedRef
			for _, m := range parked(t, e, of, 0, 10) {
				got = append(got, m.Refs)
			}
			if !cmp.Equal(lists, got) {
				t.Errorf("%d lists: %s of %s", n, cmp.Diff(lists, got), of)
			}
		}
	}
	large := engine.Parking{Endpoint: endpoint, Refs: make([]heliograph.ParkedRef, engine.MaxParkedRefs)}
	if err := hold(e, 0).ParkAll(t.Context(), slices.Repeat([]engine.Parking{large}, 30)); err != nil {
		t.Fatal(err)
	}
	if n := listed(t, e)[endpoint]; n != 30 {
		t.Errorf("%d of 30 large lists", n)
	}
	if err := hold(e, 0).ParkAll(t.Context(), []engine.Parking{{Endpoint: "https://good", Refs: refs(0, 1)}, {Endpoint: "https://none"}}); err == nil {
		t.Error("nothing to park for one of them")
	}
	if n := listed(t, e)["https://good"]; n != 0 {
		t.Error("parked beside one that was refused")
	}
}

func BenchmarkParkAll(b *testing.B) {
	for _, n := range []int{1, 11, 12, 200, 1000} {
		b.Run(fmt.Sprintf("endpoints=%d", n), func(b *testing.B) {
			e := open(b, fresh(b))
			lists := make([]engine.Parking, n)
			for i := range lists {
				lists[i] = engine.Parking{Endpoint: heliograph.Endpoint(fmt.Sprintf("https://%d.example.com/hook", i)), Refs: refs(0, 5)}
			}
			for b.Loop() {
				if err := hold(e, 0).ParkAll(b.Context(), lists); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
