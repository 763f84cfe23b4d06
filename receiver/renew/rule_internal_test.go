package renew

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"
)

var start = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

func options() *Options {
	return &Options{Lease: 48 * time.Hour, Ahead: 12 * time.Hour, Gap: 10 * time.Minute}
}

func TestRule(t *testing.T) { // contract 7.7, 7.11
	t.Parallel()
	at := func(d time.Duration) time.Time { return start.Add(d) }
	const minute, hour = time.Minute, time.Hour
	for _, tt := range []struct {
		name string
		s    state
		want step
	}{
		{"renewed ahead", state{expires: at(48 * hour)}, step{renewIt, at(36 * hour)}},
		{"after a failure", state{expires: at(12 * hour), notBefore: at(minute)}, step{renewIt, at(minute)}},
		{"asked: at once", state{expires: at(48 * hour), asked: at(0)}, step{reauthorizeIt, at(0)}},
		{"asked right after a renewal: later", state{expires: at(48 * hour), asked: at(0), renewed: at(-minute)}, step{reauthorizeIt, at(9 * minute)}},
		{"asked when the renewal is near: that one, now", state{expires: at(12*hour + 9*minute), asked: at(0)}, step{renewIt, at(0)}},
		{"asked, and after a failure the renewal has come near", state{expires: at(12*hour + 20*minute), asked: at(0), notBefore: at(11 * minute)}, step{renewIt, at(11 * minute)}},
		{"not soon after a reauthorize", state{expires: at(12 * hour), reauthorized: at(-minute)}, step{renewIt, at(9 * minute)}},
		{"asked again soon after a renewal, and the next is near", state{expires: at(12 * hour), asked: at(0), renewed: at(-minute)}, step{renewIt, at(0)}},
		{"lost", state{expires: at(48 * hour), asked: at(0), lost: true, notBefore: at(minute)}, step{replaceIt, at(minute)}},
	} {
		if got := options().next(&tt.s, start); got.do != tt.want.do || !got.at.Equal(tt.want.at) {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	refused := func(status int, after time.Duration) error {
		return errors.Join(&Refusal{Status: status, RetryAfter: after})
	}
	for _, tt := range []struct {
		name string
		s    state
		did  outcome
		want state
	}{
		{"renewed", state{asked: start, failures: 3, notBefore: start}, outcome{do: renewIt, at: start, expires: start.Add(time.Hour)}, state{expires: start.Add(time.Hour), renewed: start}},
		{"asked again meanwhile", state{asked: start.Add(1)}, outcome{do: reauthorizeIt, at: start}, state{asked: start.Add(1), reauthorized: start}},
		{"gone", state{failures: 3}, outcome{do: renewIt, at: start, err: refused(404, 0)}, state{lost: true}},
		{"gone in the replacing", state{lost: true}, outcome{do: replaceIt, at: start, err: refused(404, 0)}, state{lost: true, failures: 1, notBefore: start.Add(time.Second)}},
		{"too many", state{}, outcome{do: renewIt, at: start, err: refused(429, 20*time.Second)}, state{failures: 1, notBefore: start.Add(20 * time.Second)}},
		{"for the fourth time", state{failures: 3}, outcome{do: reauthorizeIt, at: start, err: refused(503, time.Second)}, state{failures: 4, notBefore: start.Add(8 * time.Second)}},
		{"for the hundredth", state{failures: 99}, outcome{do: renewIt, at: start, err: refused(500, 0)}, state{failures: 100, notBefore: start.Add(5 * time.Minute)}},
		{"nobody knows", state{}, outcome{do: renewIt, at: start, err: errors.New("time-out")}, state{renewed: start, failures: 1, notBefore: start.Add(time.Second)}},
	} {
		tt.s.note(&tt.did)
		if tt.s != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, tt.s, tt.want)
		}
	}
}

// TestNeverBothWithinTheGap runs random histories of a month: notices at any time, calls that fail in every way. No
// renewal and no reauthorize come within the gap, unless one of them was refused, and a subscription whose calls succeed
// does not end.
func TestNeverBothWithinTheGap(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2000) {
		dice := rand.New(rand.NewPCG(seed, 1))
		o, s, now := options(), &state{expires: start.Add(48 * time.Hour)}, start
		last := map[action]time.Time{}
		for now.Before(start.Add(720 * time.Hour)) {
			step := o.next(s, now)
			notice := now.Add(time.Duration(dice.Int64N(int64(20 * time.Hour))))
			if notice.Before(step.at) {
				now = notice
				s.asked = now
				continue
			}
			now = later(now, step.at)
			other := renewIt + reauthorizeIt - step.do
			if before, did := last[other]; did && now.Sub(before) < o.Gap {
				t.Fatalf("seed %d: %d comes %v after %d", seed, step.do, now.Sub(before), other)
			}
			if !now.Before(s.expires) {
				t.Fatalf("seed %d: it has ended at %v", seed, now.Sub(start))
			}
			did := outcome{do: step.do, at: now, expires: now.Add(o.Lease)}
			switch dice.IntN(4) {
			case 0:
				did.err = errors.New("time-out")
			case 1:
				did.err = &Refusal{Status: 429, RetryAfter: time.Duration(dice.Int64N(int64(time.Minute)))}
			}
			if _, refused := did.err.(*Refusal); !refused { //nolint:errorlint // made here
				last[step.do] = now
			}
			s.note(&did)
			now = now.Add(time.Duration(dice.Int64N(int64(time.Second))))
		}
	}
}
