package deliver_test

import (
	"slices"
	"testing"

	"heliograph.dev"
	"heliograph.dev/internal/deliver"
)

func TestResendAndReplay(t *testing.T) {
	t.Parallel()
	b, s := newBench(t), newSink(t)
	sub := b.subscribe("u1", s.URL)
	b.subscribe("u2", s.URL)
	b.start()
	defer b.stop()
	for range 3 {
		b.publish("u1", 2)
		b.publish("u2", 1)
	}
	first := s.take(t, 9)
	state, err := b.engine.LogState(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	n, err := b.d.Replay(t.Context(), sub, deliver.Range{From: state.First, To: state.Last})
	if err != nil || n != 6 {
		t.Fatalf("replayed %d, %v", n, err)
	}
	var ids []string
	for _, i := range s.take(t, 6) {
		ids = append(ids, i.message())
		if !slices.ContainsFunc(first, func(f item) bool { return f.ID == i.ID && f.Resource == i.Resource }) {
			t.Errorf("%s came with another notification id", i.Resource)
		}
	}
	if !slices.Equal(ids, []string{"m1", "m2", "m4", "m5", "m7", "m8"}) {
		t.Errorf("replayed %v", ids)
	}
	if err := b.d.Resend(t.Context(), sub, heliograph.Position{Sequence: state.First, Index: 1}); err != nil {
		t.Fatal(err)
	}
	if got := s.take(t, 1)[0].message(); got != "m2" {
		t.Errorf("resent %s", got)
	}
	b.publish("u1", 1) // and live again
	s.take(t, 1)
	for _, err := range []error{
		b.d.Resend(t.Context(), heliograph.NewGUID(), heliograph.Position{Sequence: state.First}),
		b.d.Resend(t.Context(), sub, heliograph.Position{Sequence: state.Last + 100}),
	} {
		if heliograph.KindOf(err) != heliograph.NotFound {
			t.Errorf("err = %v", err)
		}
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	b, s := newBench(t), newSink(t)
	wants := b.subscribe("u1", s.URL)
	other := b.subscribe("u1", s.URL, func(s *heliograph.Subscription) { s.ChangeType = heliograph.Deleted })
	b.subscribe("u2", s.URL)
	b.start()
	defer b.stop()
	b.publish("u1", 3)
	s.take(t, 3)
	state, err := b.engine.LogState(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all := deliver.Range{From: state.First, To: state.Last}
	e, err := b.d.Explain(t.Context(), heliograph.DeriveGUID("users/u1/messages/m2"), all)
	if err != nil || e.Change.Resource != "users/u1/messages/m2" || e.Position.Index != 1 {
		t.Fatalf("explained %+v, %v", e, err)
	}
	fates := map[heliograph.SubscriptionID]heliograph.Reason{}
	for _, f := range e.Fates {
		fates[f.Subscription] = f.Withheld
	}
	if len(fates) != 2 || fates[wants] != "" || fates[other] != heliograph.WithheldType {
		t.Errorf("fates %v", fates)
	}
	if _, err := b.d.Explain(t.Context(), heliograph.NewGUID(), all); heliograph.KindOf(err) != heliograph.NotFound {
		t.Errorf("err = %v", err)
	}
}
