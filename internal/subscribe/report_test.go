package subscribe_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/access"
	"heliograph.dev/internal/subscribe"
)

func (l *life) reports(t *testing.T, r access.Report, want subscribe.Affected) {
	t.Helper()
	got, err := l.service.Report(t.Context(), l.caller.Tenant, r)
	if err != nil || got != want {
		t.Errorf("%+v: %+v, %v; want %+v", r, got, err, want)
	}
}

func refusedBy(t *testing.T, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	return refusal(t, err).Rule
}

func TestRevokedStaysSoUntilRestored(t *testing.T) { // contract 14.4, 14.6
	t.Parallel()
	l := lived(t)
	b, bag, c, s := l.bench, l.bag, l.caller, l.Subscription
	consent := access.Report{Kind: access.ConsentRevoked, App: c.App}
	until := in(20 * time.Hour)
	b.clock.Set(start.Add(time.Minute))
	l.reports(t, consent, subscribe.Affected{Challenged: 1})
	l.reports(t, consent, subscribe.Affected{}) // said again
	b.at(t, time.Minute)
	if got := bag.take(); !slices.Equal(got, []string{"1m0s reauthorizationRequired access_revoked"}) {
		t.Errorf("told %v", got)
	}
	renew := func() error {
		_, err := b.service.Update(t.Context(), c, s.ID, subscribe.UpdateRequest{ExpirationDateTime: &until})
		return err
	}
	reauthorize := func() error {
		_, err := b.service.Reauthorize(t.Context(), c, s.ID)
		return err
	}
	create := func() error {
		_, err := b.service.Create(t.Context(), c, b.message())
		return err
	}
	for name, try := range map[string]func() error{"renew": renew, "reauthorize": reauthorize, "create": create} {
		if got := refusedBy(t, try()); got != "access.consent_revoked" {
			t.Errorf("%s: refused by %q", name, got)
		}
	}
	outline := func() string {
		t.Helper()
		o, err := b.service.Outline(t.Context(), c, s.ID)
		if err != nil {
			t.Fatal(err)
		}
		return o.State.String() + " " + o.Detail
	}
	b.at(t, 30*time.Minute)
	if got := outline(); got != "paused consent_revoked" {
		t.Errorf("after the grace it is %s", got)
	}
	l.reports(t, access.Report{Kind: access.Restored, App: "another"}, subscribe.Affected{})
	if got := refusedBy(t, reauthorize()); got != "access.consent_revoked" {
		t.Errorf("another's consent restored: refused by %q", got)
	}
	l.reports(t, access.Report{Kind: access.Restored, App: c.App}, subscribe.Affected{Resumed: 1})
	if got := outline(); got != "active " {
		t.Errorf("restored, it is %s", got)
	}
	if err := renew(); err != nil {
		t.Error(err)
	}
}

func TestTwoReasonsHaveToEnd(t *testing.T) {
	t.Parallel()
	l := lived(t)
	c := l.caller
	l.reports(t, access.Report{Kind: access.ConsentRevoked, App: c.App}, subscribe.Affected{Challenged: 1})
	l.reports(t, access.Report{Kind: access.UserDisabled, User: c.Object}, subscribe.Affected{})
	l.reports(t, access.Report{Kind: access.Restored, App: c.App}, subscribe.Affected{})
	if _, err := l.service.Reauthorize(t.Context(), c, l.ID); refusedBy(t, err) != "access.user_disabled" {
		t.Errorf("refused by %v", err)
	}
}

func TestUserAndTenantAreDeleted(t *testing.T) { // contract 14.9
	t.Parallel()
	for _, tt := range []struct {
		name   string
		report func(*heliograph.Caller) access.Report
		rule   string
	}{
		{"user", func(c *heliograph.Caller) access.Report {
			return access.Report{Kind: access.UserDeleted, User: c.Object}
		}, "access.user_deleted"},
		{"tenant", func(*heliograph.Caller) access.Report { return access.Report{Kind: access.TenantDeleted} }, "access.tenant_deleted"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := lived(t)
			l.reports(t, tt.report(l.caller), subscribe.Affected{Removed: 1})
			l.goneFor(t, l.caller, l.ID)
			l.at(t, time.Second)
			if got := l.bag.take(); len(got) != 1 || !strings.HasSuffix(got[0], "subscriptionRemoved "+strings.TrimPrefix(tt.rule, "access.")) {
				t.Errorf("told %v", got)
			}
			if _, err := l.service.Create(t.Context(), l.caller, l.message()); refusedBy(t, err) != tt.rule {
				t.Errorf("made anew: %v", err)
			}
		})
	}
}

// TestReportMeetsACreate lets a report come while the endpoint proves itself: after the rules were asked, before the
// subscription is written.
func TestReportMeetsACreate(t *testing.T) {
	t.Parallel()
	l := lived(t)
	request := l.message()
	request.Resource = "me/events"
	l.receiver.answers(echoThen(func() {
		l.reports(t, access.Report{Kind: access.UserDisabled, User: l.caller.Object}, subscribe.Affected{Challenged: 1})
	}))
	l.caller.Scopes = append(l.caller.Scopes, "Calendars.Read")
	if _, err := l.service.Create(t.Context(), l.caller, request); refusedBy(t, err) != "access.user_disabled" {
		t.Errorf("made by a user who was disabled meanwhile: %v", err)
	}
}

func TestReportIsOnDiskFirst(t *testing.T) {
	t.Parallel()
	l := lived(t)
	lost := heliograph.Errorf(heliograph.Unavailable, "test", "no disk")
	l.store.fail(lost)
	if _, err := l.service.Report(t.Context(), l.caller.Tenant, access.Report{Kind: access.UserDisabled, User: l.caller.Object}); err == nil {
		t.Error("taken without a disk")
	}
	l.store.fail(nil)
	if _, err := l.service.Reauthorize(t.Context(), l.caller, l.ID); err != nil {
		t.Errorf("what was not taken bars: %v", err)
	}
}

func TestProvoke(t *testing.T) { // contract 11.7, 14.1
	t.Parallel()
	l := lived(t)
	operator := &heliograph.Caller{Tenant: l.caller.Tenant, App: "operator", Roles: []string{heliograph.PermissionControl}}
	provoke := func(id heliograph.SubscriptionID, event heliograph.LifecycleEvent, keep bool) error {
		_, err := l.service.Provoke(t.Context(), operator, subscribe.Provocation{Subscription: id, Event: event, Keep: keep})
		return err
	}
	told := func(err error, want ...string) {
		t.Helper()
		if got := l.bag.take(); err != nil || !slices.Equal(got, want) {
			t.Errorf("told %v, %v; want %v", got, err, want)
		}
	}
	told(provoke(l.ID, heliograph.Missed, false), "0s missed asked")
	told(provoke(l.ID, heliograph.ReauthorizationRequired, false), "0s reauthorizationRequired asked")
	told(provoke(l.ID, heliograph.SubscriptionRemoved, true), "0s subscriptionRemoved asked")
	if _, err := l.service.Get(t.Context(), l.caller, l.ID); err != nil {
		t.Errorf("it was to be kept: %v", err)
	}
	told(provoke(l.ID, heliograph.SubscriptionRemoved, false), "0s subscriptionRemoved asked")
	l.goneFor(t, l.caller, l.ID)
	l.at(t, time.Minute)
	told(nil) // not for the second time
	if got := refusedBy(t, provoke(l.ID, heliograph.Missed, false)); got != "subscription.not_found" {
		t.Errorf("refused by %q", got)
	}
	silent := l.created(t, l.caller, func(*subscribe.CreateRequest) {})
	if got := refusedBy(t, provoke(silent.ID, heliograph.Missed, false)); got != "lifecycle.nobody" {
		t.Errorf("refused by %q", got)
	}
}
