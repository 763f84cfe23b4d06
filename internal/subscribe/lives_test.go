package subscribe_test

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"testing"
	"time"

	"pgregory.net/rapid"

	"heliograph.dev"
	"heliograph.dev/internal/lifecycle"
	"heliograph.dev/internal/subscribe"
)

// livesAtOnce is how many histories rapid plays in one go: its default.
const livesAtOnce = 100

// TestLives plays random histories of subscriptions against the service and against a model of their lives that shares
// no code with it: it counts minutes. Whatever happens, and whenever the service is started anew,
//
//   - owners are told what the model tells them, at its minutes and for its reasons, and nothing else;
//   - a subscription stands as in the model: active, paused, or gone to everybody.
func TestLives(t *testing.T) { // contract 14.4, 14.5, 14.6, 14.9, 14.10
	t.Parallel()
	histories := 10_000
	if slow || testing.Short() {
		histories /= 50
	}
	for range histories / livesAtOnce {
		rapid.Check(t, func(t *rapid.T) {
			l := newLives(t)
			t.Repeat(map[string]func(*rapid.T){
				"create": l.create, "reauthorize": l.reauthorize, "renew": l.renew, "challenge": l.challenge, "remove": l.remove,
				"miss": l.miss, "heard": l.heard, "delete": l.delete, "restart": l.restart, "pass": l.pass, "pass more": l.passMore,
			})
		})
	}
}

// lives are a service and a model of what it looks after.
type lives struct {
	*history
	bag    *mailbag
	caller *heliograph.Caller
	minute int
	all    []*modelled
}

// modelled is a subscription of the model. Times are minutes; -1 is never.
type modelled struct {
	id                         heliograph.SubscriptionID
	name                       string
	told, mail                 bool // it has a lifecycleNotificationUrl; its row knows every event
	created, leased, expires   int
	since, until               int // of the token
	revoked, removed, noticed  int
	missed, missedTold         int
	lastRevoked, deleted, gone bool
}

func newLives(t *rapid.T) *lives {
	h, err := newHistory()
	if err != nil {
		t.Fatal(err)
	}
	l := &lives{history: h, bag: &mailbag{}, caller: user("Mail.Read", "User.Read.All")}
	l.restart(t)
	return l
}

// restart has another service take over what is stored.
func (l *lives) restart(*rapid.T) {
	l.registry = subscribe.NewRegistry(planned(), l.sink, discard())
	l.store.mu.Lock()
	l.store.apply = l.registry.Apply
	for _, r := range l.store.records {
		l.registry.Apply([]heliograph.Record{r})
	}
	l.store.mu.Unlock()
	l.service = subscribe.New(subscribe.Options{
		Catalog: l.catalog, Store: l.store, Index: l.store, Registry: l.registry, Endpoints: echoing{}, Clock: l.clock, Scan: l.store.scan,
		Notices: l.bag,
	})
}

func (l *lives) token(t *rapid.T) int {
	minutes := rapid.SampledFrom([]int{5, 45, 60, 61, 90, 480, 1500}).Draw(t, "token")
	l.caller.Expires = l.clock.Now().Add(time.Duration(minutes) * time.Minute)
	return l.minute + minutes
}

func (l *lives) lease(t *rapid.T) (until int, text string) {
	minutes := rapid.SampledFrom([]int{45, 60, 100, 300, 1440, 4000}).Draw(t, "lease")
	return l.minute + minutes, l.clock.Now().Add(time.Duration(minutes) * time.Minute).Format(time.RFC3339)
}

func (l *lives) create(t *rapid.T) {
	if len(l.all) == 4 {
		t.Skip("enough of them")
	}
	m := &modelled{
		name: fmt.Sprint("s", len(l.all)), told: rapid.IntRange(0, 3).Draw(t, "told") > 0, mail: rapid.Bool().Draw(t, "mail"),
		created: l.minute, leased: l.minute, since: l.minute, revoked: -1, removed: -1, noticed: -1, missed: -1, missedTold: -1,
	}
	m.until = l.token(t)
	r := requestFor(fmt.Sprintf("users/u%d", len(l.all)), "updated", time.Time{})
	if m.mail {
		r = requestFor(fmt.Sprintf("me/mailFolders/f%d/messages", len(l.all)), "created", time.Time{})
	}
	m.expires, r.ExpirationDateTime = l.lease(t)
	if m.told {
		r.LifecycleNotificationURL = "https://example.com/life"
	}
	s, err := l.service.Create(context.Background(), l.caller, r)
	if err != nil {
		t.Fatal(err)
	}
	m.id = s.ID
	l.all = append(l.all, m)
	l.settle(t)
}

// one is any that was made.
func (l *lives) one(t *rapid.T) *modelled {
	if len(l.all) == 0 {
		t.Skip("nothing yet")
	}
	return rapid.SampledFrom(l.all).Draw(t, "which")
}

// wants fails unless a call found what is there, and did not find what is gone.
func (l *lives) wants(t *rapid.T, m *modelled, err error) bool {
	if m.gone != (heliograph.KindOf(err) == heliograph.NotFound) || !m.gone && err != nil {
		t.Fatalf("%s, gone %v: %v", m.name, m.gone, err)
	}
	return !m.gone
}

func (m *modelled) stoodBehind(minute, until int) {
	m.since, m.until, m.revoked, m.lastRevoked = minute, until, -1, false
}

func (l *lives) reauthorize(t *rapid.T) {
	m := l.one(t)
	until := l.token(t)
	_, err := l.service.Reauthorize(context.Background(), l.caller, m.id)
	if l.wants(t, m, err) {
		m.stoodBehind(l.minute, until)
	}
	l.settle(t)
}

func (l *lives) renew(t *rapid.T) {
	m := l.one(t)
	until := l.token(t)
	expires, text := l.lease(t)
	_, err := l.service.Update(context.Background(), l.caller, m.id, subscribe.UpdateRequest{ExpirationDateTime: &text})
	if l.wants(t, m, err) {
		m.stoodBehind(l.minute, until)
		m.leased, m.expires = l.minute, expires
	}
	l.settle(t)
}

func (l *lives) challenge(t *rapid.T) {
	m := l.one(t)
	if l.wants(t, m, l.service.Challenge(context.Background(), m.id, "consent_revoked")) && m.revoked < 0 {
		m.revoked = l.minute
	}
	l.settle(t)
}

func (l *lives) remove(t *rapid.T) {
	m := l.one(t)
	if l.wants(t, m, l.service.Remove(context.Background(), m.id, "user_deleted")) {
		m.removed, m.gone = l.minute, true
	}
	l.settle(t)
}

func (l *lives) delete(t *rapid.T) {
	m := l.one(t)
	if l.wants(t, m, l.service.Delete(context.Background(), l.caller, m.id)) {
		m.gone, m.deleted = true, true
	}
	l.settle(t)
}

func (l *lives) miss(t *rapid.T) {
	m := l.one(t)
	if err := l.service.Miss(context.Background(), m.id, "window"); err != nil {
		t.Fatal(err)
	}
	outstanding := m.missed >= 0 && (m.missedTold < 0 || l.minute < m.missedTold+240)
	if !m.gone && m.told && m.mail && !outstanding {
		m.missed, m.missedTold = l.minute, -1
	}
	l.settle(t)
}

func (l *lives) heard(t *rapid.T) {
	m := l.one(t)
	if err := l.service.Heard(context.Background(), m.id); err != nil {
		t.Fatal(err)
	}
	if m.missedTold >= 0 {
		m.missed, m.missedTold = -1, -1
	}
}

func (l *lives) pass(t *rapid.T) { l.passes(t, rapid.IntRange(1, 120).Draw(t, "minutes")) }

func (l *lives) passMore(t *rapid.T) { l.passes(t, rapid.IntRange(100, 800).Draw(t, "minutes")) }

func (l *lives) passes(t *rapid.T, minutes int) {
	for range minutes {
		l.minute++
		l.clock.Advance(time.Minute)
		l.settle(t)
	}
}

// settle has everything done that is due at this minute, and compares.
func (l *lives) settle(t *rapid.T) {
	if waiting, err := l.service.TendNow(context.Background()); waiting || err != nil {
		t.Fatal(waiting, err)
	}
	var want []string
	for _, m := range l.all {
		for _, told := range m.tick(l.minute) {
			want = append(want, m.name+" "+told)
		}
		l.stands(t, m)
	}
	got := l.told()
	sort.Strings(want)
	if !slices.Equal(got, want) {
		t.Fatalf("at minute %d: told %q, want %q; %+v", l.minute, got, want, l.dump())
	}
}

func (l *lives) dump() (list []string) {
	for _, m := range l.all {
		list = append(list, fmt.Sprintf("%+v", *m))
	}
	return list
}

// told is what owners were told since it was asked last.
func (l *lives) told() (list []string) {
	l.bag.mu.Lock()
	defer l.bag.mu.Unlock()
	for i := range l.bag.all {
		n := l.bag.all[i].Notice
		m := l.all[slices.IndexFunc(l.all, func(m *modelled) bool { return m.id == n.Subscription })]
		list = append(list, fmt.Sprint(m.name, " ", n.Event, " ", n.Reason))
	}
	l.bag.all = nil
	sort.Strings(list)
	return list
}

func (l *lives) stands(t *rapid.T, m *modelled) {
	o, err := l.service.Outline(context.Background(), l.caller, m.id)
	if !l.wants(t, m, err) {
		if _, left := l.registry.Lookup(m.id); left || l.sink.has(m.id) {
			t.Fatalf("%s is gone, and not", m.name)
		}
		return
	}
	paused := m.revoked >= 0 && l.minute >= m.revoked+15 || m.told && l.minute >= m.until
	if paused != (o.State == lifecycle.Paused) {
		t.Fatalf("minute %d: %s stands %v, %+v", l.minute, m.name, o.Standing, *m)
	}
}

// tick returns what the owner is told at a minute. It is asked at every minute, and again when something has happened.
func (m *modelled) tick(minute int) (told []string) {
	switch {
	case m.removed >= 0:
		if m.removed == minute && m.told && m.mail {
			told = append(told, "subscriptionRemoved user_deleted")
		}
		m.removed = -1
		return told
	case m.gone:
		return nil
	case minute >= m.expires:
		m.gone = true
		return nil
	}
	if m.missed >= 0 && m.missedTold < 0 {
		m.missedTold = minute
		told = append(told, "missed window")
	}
	if why := m.asked(minute); why != "" && m.told {
		m.noticed, m.lastRevoked = minute, why == "access_revoked"
		told = append(told, "reauthorizationRequired "+why)
	}
	return told
}

// asked is why the owner is asked to reauthorize at this minute, or empty.
func (m *modelled) asked(minute int) string {
	if m.revoked >= 0 {
		ago := minute - m.revoked
		if ago <= 60 && ago%15 == 0 && (m.noticed < minute || !m.lastRevoked) {
			return "access_revoked"
		}
	}
	if m.noticed >= 0 && minute < m.noticed+10 {
		return ""
	}
	left, whole := m.until-minute, m.until-m.since
	half, quarter := 2*left <= whole, 4*left <= whole
	if m.revoked < 0 && left >= 0 && ((left == 720 || left == 360) && half || left <= 240 && left%15 == 0 && quarter) {
		return "token_ends"
	}
	left, whole = m.expires-minute, m.expires-m.leased
	if (left == 720 || left == 360 || left == 180 || left == 90) && 2*left <= whole || left <= 60 && left%15 == 0 && 100*left <= 34*whole {
		return "subscription_ends"
	}
	return ""
}
