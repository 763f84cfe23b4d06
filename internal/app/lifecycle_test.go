package app_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"heliograph.dev"
	"heliograph.dev/client"
	"heliograph.dev/internal/app"
	"heliograph.dev/internal/clock"
)

// lives is a whole server whose clock stands, with a subscription that hears of itself.
type lives struct {
	*wire
	clock *clock.Manual
	began time.Time
	id    string
}

func newLives(t *testing.T, change ...func(*app.Options)) *lives {
	t.Helper()
	began := time.Now().UTC().Truncate(time.Second)
	l := &lives{clock: clock.NewManual(began), began: began}
	l.wire = newWire(t, append(change, func(o *app.Options) { o.Clock = l.clock })...)
	l.id = l.create(l.roles("Mail.Read"), map[string]any{
		"lifecycleNotificationUrl": l.hook.URL + "/life", "expirationDateTime": began.Add(70 * time.Hour).Format(time.RFC3339),
	}).string("id")
	return l
}

func (l *lives) at(d time.Duration) { l.clock.Set(l.began.Add(d)) }

// change publishes a message of the mailbox.
func (l *lives) change(message string) {
	l.t.Helper()
	publish(l.t, connect(l.t, l.App), "users/u1/messages/"+message)
}

func (l *lives) tenant() string { return string(l.Issuer().DefaultTenant()) }

// comes waits for notifications in this order, each to the URL that a change or a notice goes to.
func (l *lives) comes(want ...string) {
	l.t.Helper()
	for len(want) > 0 {
		c := l.hook.take(l.t)
		for _, v := range c.Value {
			got := fmt.Sprint(v["lifecycleEvent"])
			if c.uri == "/" {
				data, _ := v["resourceData"].(map[string]any)
				got = fmt.Sprint(data["id"])
			}
			if len(want) == 0 || got != want[0] || c.uri != "/" && c.uri != "/life" {
				l.t.Fatalf("%s came to %s, want %v", got, c.uri, want)
			}
			want = want[1:]
		}
	}
}

func (l *lives) stands(state, reason string) map[string]any {
	l.t.Helper()
	a := l.send(l.roles("Heliograph.Control"), http.MethodGet, "/control/v1/subscriptions/"+l.id, nil)
	why, _ := a.body["reason"].(string)
	if a.body["state"] != state || why != reason {
		l.t.Errorf("it stands %s, want %s %s", a.text, state, reason)
	}
	return a.body
}

func (l *lives) reauthorize() {
	l.t.Helper()
	if a := l.send(l.roles("Mail.Read"), http.MethodPost, "/v1.0/subscriptions/"+l.id+"/reauthorize", nil); a.status != http.StatusNoContent {
		l.t.Fatalf("reauthorize: %d %s", a.status, a.text)
	}
}

// TestLifeOfASubscription has one pause when its token ends and when its access is revoked, resume, and be removed.
func TestLifeOfASubscription(t *testing.T) { // contract 8.10, 14.4, 14.6, 14.8, 14.9
	t.Parallel()
	l := newLives(t)
	l.change("m1")
	l.comes("m1")
	l.at(45 * time.Minute)
	l.comes("reauthorizationRequired")
	l.at(time.Hour)
	l.comes("reauthorizationRequired")
	l.stands("paused", "token_ended")
	l.change("m2")
	l.change("m3")
	l.reauthorize()
	l.comes("m2", "m3")
	l.stands("active", "")

	id, _ := heliograph.ParseGUID(l.id)
	if err := l.Subscriptions().Challenge(t.Context(), id, "consent_revoked"); err != nil {
		t.Fatal(err)
	}
	l.comes("reauthorizationRequired")
	l.change("m4")
	l.comes("m4") // in its grace
	l.at(75 * time.Minute)
	l.comes("reauthorizationRequired")
	if v := l.stands("paused", "access_revoked"); v["detail"] != "consent_revoked" {
		t.Errorf("it stands %v", v)
	}
	l.change("m5")
	if a := l.send(l.roles("Mail.Read"), http.MethodPatch, "/v1.0/subscriptions/"+l.id, map[string]any{
		"expirationDateTime": l.began.Add(90 * time.Hour).Format(time.RFC3339),
	}); a.status != http.StatusOK {
		t.Fatal(a.text)
	}
	l.comes("m5")
	if err := l.Subscriptions().Remove(t.Context(), id, heliograph.Reason("user_deleted")); err != nil {
		t.Fatal(err)
	}
	l.change("m6")
	l.comes("subscriptionRemoved")
	if a := l.send(l.roles("Mail.Read"), http.MethodGet, "/v1.0/subscriptions/"+l.id, nil); a.status != http.StatusNotFound {
		t.Errorf("it is still there: %s", a.text)
	}
	l.recorded("user_deleted")
}

// recorded looks for the reason of a notice in the records of deliveries.
func (l *lives) recorded(reason string) {
	l.t.Helper()
	list, err := connect(l.t, l.App).Deliveries(l.t.Context(), client.DeliveryQuery{Subscription: l.id})
	if err != nil {
		l.t.Fatal(err)
	}
	for _, d := range list {
		for _, n := range d.Notifications {
			if n.LifecycleReason == reason {
				return
			}
		}
	}
	l.t.Errorf("no record says %s", reason)
}

// TestWhatWasMissedIsTold has a pause that lasts too long.
func TestWhatWasMissedIsTold(t *testing.T) { // contract 10.13, 14.10
	t.Parallel()
	l := newLives(t)
	id, _ := heliograph.ParseGUID(l.id)
	if err := l.Subscriptions().Challenge(t.Context(), id, "user_disabled"); err != nil {
		t.Fatal(err)
	}
	l.comes("reauthorizationRequired")
	for d := 15 * time.Minute; d <= time.Hour; d += 15 * time.Minute {
		l.at(d)
		l.comes("reauthorizationRequired")
	}
	l.change("m1")
	l.held(1)
	l.at(5 * time.Hour)
	l.comes("missed")
	l.recorded("paused")
	l.change("m2")
	l.held(2)
	l.reauthorize()
	l.comes("m2")
}

// held waits until so many notifications were put on disk for the paused subscription.
func (l *lives) held(n int) {
	l.t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for range 5000 {
		if _, text := body(l.t, l.URL()+"/metrics"); strings.Contains(text, fmt.Sprintf("heliograph_backlog_added_total %d", n)) {
			return
		}
		<-tick.C
	}
	l.t.Fatal("nothing is held")
}

// TestNoticesAsTheyWereSeen has the profile of 2022 send what was seen then.
func TestNoticesAsTheyWereSeen(t *testing.T) { // contract 14.1
	t.Parallel()
	l := newLives(t, func(o *app.Options) { o.Config.Catalog.Profile = "2022" })
	l.at(45 * time.Minute)
	c := l.hook.take(t)
	v := c.Value[0]
	if _, documented := v["tenantId"]; documented || v["organizationId"] != l.tenant() || v["lifecycleEvent"] != "reauthorizationRequired" ||
		v["resource"] != "" || v["subscriptionId"] != l.id || v["clientState"] != "s3cret" {
		t.Errorf("it looks like %v", v)
	}
}
