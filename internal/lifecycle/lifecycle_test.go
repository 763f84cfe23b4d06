package lifecycle_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/catalog"
	"heliograph.dev/internal/lifecycle"
)

var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// rules are those of the newest profile.
func rules(t *testing.T) lifecycle.Rules {
	t.Helper()
	c, err := catalog.Load()
	if err != nil {
		t.Fatal(err)
	}
	return c.Profile().Lifecycle
}

func mail() lifecycle.Events {
	return lifecycle.EventsOf(heliograph.Missed, heliograph.SubscriptionRemoved, heliograph.ReauthorizationRequired)
}

// sub is a subscription made at the start, for so long, with a token for so long.
func sub(lease, token time.Duration) *heliograph.Subscription {
	return &heliograph.Subscription{
		ID: heliograph.NewGUID(), Created: start, Expires: start.Add(lease), AuthorizedUntil: start.Add(token),
		LifecycleNotificationURL: "https://example.com/life",
	}
}

// told follows the plan of a subscription that nobody answers for, and returns what its owner is told: when, counted
// from the start, and why.
func told(r *lifecycle.Rules, s heliograph.Subscription, row lifecycle.Events) []string {
	var all []string
	for range 1000 {
		step := r.Next(&s, row)
		if step.Do != lifecycle.Tell {
			return append(all, strings.TrimSuffix(step.At.Sub(start).String(), "0s")+" end")
		}
		s.Noticed, s.NoticedReason = step.At, string(step.Why)
		all = append(all, strings.TrimSuffix(step.At.Sub(start).String(), "0s")+" "+string(step.Why))
	}
	return append(all, "no end")
}

func TestReauthorizationIsAskedFor(t *testing.T) { // contract 14.4, 14.5
	t.Parallel()
	const day = 24 * time.Hour
	quarters := func(from, to time.Duration, why string) (list []string) {
		for d := from; d <= to; d += 15 * time.Minute {
			list = append(list, strings.TrimSuffix(d.String(), "0s")+" "+why)
		}
		return list
	}
	revoked := sub(3*day, time.Hour)
	revoked.Revoked = start.Add(20 * time.Minute)
	atOnce := *revoked
	atOnce.Noticed, atOnce.NoticedReason = revoked.Revoked, string(lifecycle.TokenEnds)
	silent := sub(3*day, time.Hour)
	silent.LifecycleNotificationURL = ""
	reauthorized := sub(3*day, time.Hour)
	reauthorized.Reauthorized, reauthorized.AuthorizedUntil = start.Add(50*time.Minute), start.Add(110*time.Minute)
	reauthorized.Noticed = start.Add(45 * time.Minute)
	end := []string{
		"60h0m subscription_ends", "66h0m subscription_ends", "69h0m subscription_ends", "70h30m subscription_ends",
		"71h0m subscription_ends", "71h15m subscription_ends", "71h30m subscription_ends", "71h45m subscription_ends", "72h0m end",
	}
	for _, tt := range []struct {
		name string
		sub  *heliograph.Subscription
		row  lifecycle.Events
		want []string
	}{
		{"a token of an hour, twice in its last quarter", sub(3*day, time.Hour), mail(), slices.Concat([]string{"45m token_ends", "1h0m token_ends"}, end)},
		{"a token of a day, halving and then every quarter", sub(30*day, day), mail(), slices.Concat(
			[]string{"12h0m token_ends", "18h0m token_ends"}, quarters(20*time.Hour, 24*time.Hour, "token_ends"),
			[]string{"708h0m subscription_ends", "714h0m subscription_ends", "717h0m subscription_ends", "718h30m subscription_ends"},
			quarters(719*time.Hour, 719*time.Hour+45*time.Minute, "subscription_ends"), []string{"720h0m end"},
		)},
		{"a short lease is told of once", sub(45*time.Minute, 5*time.Hour), mail(), []string{"30m subscription_ends", "45m end"}},
		{"a lease of an hour is told of once", sub(time.Hour, 5*time.Hour), mail(), []string{"45m subscription_ends", "1h0m end"}},
		{"token and lease end together: told once, not twice", sub(time.Hour, time.Hour), mail(), []string{"45m token_ends", "1h0m end"}},
		{"after access was revoked", revoked, mail(), slices.Concat(quarters(20*time.Minute, 80*time.Minute, "access_revoked"), end)},
		{"at the moment of another notice", &atOnce, mail(), slices.Concat(quarters(20*time.Minute, 80*time.Minute, "access_revoked"), end)},
		{"a token that stands behind it since", reauthorized, mail(), slices.Concat([]string{"1h35m token_ends", "1h50m token_ends"}, end)},
		{"nobody to tell", silent, mail(), []string{"72h0m end"}}, // contract 14.3
		{"a row without events", sub(3*day, time.Hour), 0, []string{"72h0m end"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := rules(t)
			if got := told(&r, *tt.sub, tt.row); !slices.Equal(got, tt.want) {
				t.Errorf("told\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

func TestOtherSteps(t *testing.T) {
	t.Parallel()
	r := rules(t)
	removed := sub(time.Hour, time.Hour)
	removed.Removed, removed.RemovedReason = start.Add(time.Minute), "user_deleted"
	missed := sub(time.Hour, time.Hour)
	missed.Missed, missed.MissedReason = start.Add(time.Minute), "window"
	told := *missed
	told.MissedTold = start.Add(time.Minute)
	late := *missed
	late.Missed = late.Expires
	for _, tt := range []struct {
		name string
		sub  *heliograph.Subscription
		row  lifecycle.Events
		want lifecycle.Step
	}{
		{"removed", removed, mail(), lifecycle.Step{At: removed.Removed, Do: lifecycle.Remove, Event: heliograph.SubscriptionRemoved, Why: "user_deleted"}},
		{"removed, by a row that does not tell", removed, lifecycle.EventsOf(heliograph.ReauthorizationRequired), lifecycle.Step{At: removed.Removed, Do: lifecycle.Remove, Why: "user_deleted"}},
		{"missed", missed, mail(), lifecycle.Step{At: missed.Missed, Do: lifecycle.Tell, Event: heliograph.Missed, Why: "window"}},
		{"missed, by a row that does not tell", missed, 0, lifecycle.Step{At: missed.Expires, Do: lifecycle.Expire, Why: lifecycle.LeaseEnded}},
		{"missed and told", &told, lifecycle.EventsOf(heliograph.Missed), lifecycle.Step{At: missed.Expires, Do: lifecycle.Expire, Why: lifecycle.LeaseEnded}},
		{"at its expiry nothing is told", &late, mail() &^ lifecycle.EventsOf(heliograph.ReauthorizationRequired), lifecycle.Step{At: missed.Expires, Do: lifecycle.Expire, Why: lifecycle.LeaseEnded}},
	} {
		t.Run(tt.name, func(t *testing.T) { // contract 14.2
			t.Parallel()
			if got := r.Next(tt.sub, tt.row); got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestWhatWasSleptThroughIsToldOnce(t *testing.T) {
	t.Parallel()
	r := rules(t)
	s := sub(72*time.Hour, 24*time.Hour)
	for _, tt := range []struct {
		now  time.Duration
		want lifecycle.Step
	}{
		{12*time.Hour - 1, lifecycle.Step{}},
		{12 * time.Hour, lifecycle.Step{At: start.Add(12 * time.Hour), Do: lifecycle.Tell, Event: heliograph.ReauthorizationRequired, Why: lifecycle.TokenEnds}},
		{23*time.Hour + 50*time.Minute, lifecycle.Step{At: start.Add(23*time.Hour + 45*time.Minute), Do: lifecycle.Tell, Event: heliograph.ReauthorizationRequired, Why: lifecycle.TokenEnds}},
		{100 * time.Hour, lifecycle.Step{At: start.Add(72 * time.Hour), Do: lifecycle.Expire, Why: lifecycle.LeaseEnded}},
	} {
		if got := r.Due(s, mail(), start.Add(tt.now)); got != tt.want {
			t.Errorf("after %v: %+v, want %+v", tt.now, got, tt.want)
		}
	}
}

func TestStanding(t *testing.T) { // contract 10.15
	t.Parallel()
	revoked := sub(72*time.Hour, time.Hour)
	revoked.Revoked, revoked.RevokedReason = start.Add(10*time.Minute), "consent_revoked"
	removed := sub(72*time.Hour, time.Hour)
	removed.Removed, removed.RemovedReason = start.Add(10*time.Minute), "user_deleted"
	silent := sub(72*time.Hour, time.Hour)
	silent.LifecycleNotificationURL = ""
	silentRevoked := *revoked
	silentRevoked.LifecycleNotificationURL = ""
	for _, tt := range []struct {
		name  string
		pause string
		sub   *heliograph.Subscription
		now   time.Duration
		want  lifecycle.Standing
	}{
		{"at first", "", sub(72*time.Hour, time.Hour), 0, lifecycle.Standing{}},
		{"before the token ends", "", sub(72*time.Hour, time.Hour), time.Hour - 1, lifecycle.Standing{}},
		{"when it ends", "", sub(72*time.Hour, time.Hour), time.Hour, lifecycle.Standing{State: lifecycle.Paused, Why: lifecycle.TokenEnded, Since: start.Add(time.Hour)}},
		{"not where nobody is told", "", silent, 2 * time.Hour, lifecycle.Standing{}},
		{"unless everybody pauses", lifecycle.PauseAlways, silent, 2 * time.Hour, lifecycle.Standing{State: lifecycle.Paused, Why: lifecycle.TokenEnded, Since: start.Add(time.Hour)}},
		{"or nobody", lifecycle.PauseNever, sub(72*time.Hour, time.Hour), 2 * time.Hour, lifecycle.Standing{}},
		{"in the grace", "", revoked, 25*time.Minute - 1, lifecycle.Standing{}},
		{"after it", "", revoked, 25 * time.Minute, lifecycle.Standing{State: lifecycle.Paused, Why: lifecycle.AccessRevoked, Since: start.Add(25 * time.Minute), Detail: "consent_revoked"}},
		{"revoked, whoever is told", lifecycle.PauseNever, &silentRevoked, 25 * time.Minute, lifecycle.Standing{State: lifecycle.Paused, Why: lifecycle.AccessRevoked, Since: start.Add(25 * time.Minute), Detail: "consent_revoked"}},
		{"at the expiry", "", sub(72*time.Hour, time.Hour), 72 * time.Hour, lifecycle.Standing{State: lifecycle.Gone, Why: lifecycle.LeaseEnded, Since: start.Add(72 * time.Hour)}},
		{"removed", "", removed, 10 * time.Minute, lifecycle.Standing{State: lifecycle.Gone, Why: "user_deleted", Since: start.Add(10 * time.Minute), Detail: "user_deleted"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := rules(t)
			if tt.pause != "" {
				r.Pause = tt.pause
			}
			if got := r.Standing(tt.sub, start.Add(tt.now)); got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestOutstanding(t *testing.T) {
	t.Parallel()
	r := rules(t)
	s := sub(72*time.Hour, time.Hour)
	if r.Outstanding(s, start) {
		t.Error("nothing was missed")
	}
	s.Missed = start
	if !r.Outstanding(s, start.Add(24*time.Hour)) {
		t.Error("what was not told yet is outstanding")
	}
	s.MissedTold = start
	if !r.Outstanding(s, start.Add(r.Window-1)) || r.Outstanding(s, start.Add(r.Window)) {
		t.Error("a notice is outstanding for its window")
	}
}
