package deliver_test

import (
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"heliograph.dev"
	"heliograph.dev/internal/deliver"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			_, _ = os.Stderr.WriteString(err.Error() + "\n")
			code = 1
		}
	}
	os.Exit(code) //nolint:forbidigo // the test binary's main
}

func TestNotificationHasGraphsShape(t *testing.T) { // contract 11.2 to 11.9, 11.13, 11.14
	t.Parallel()
	b, s := newBench(t), newSink(t)
	sub := b.subscribe("u1", s.URL+"/hook?x=1")
	b.start()
	defer b.stop()
	b.publish("u1", 1)
	got := s.take(t, 1)[0]
	change := heliograph.DeriveGUID("users/u1/messages/m1")
	if got.ID != deliver.NotificationID(sub, change).String() || got.SubscriptionID != sub.String() ||
		got.TenantID != string(tenant) || got.ClientState != "state of u1" || got.ChangeType != "created" ||
		got.Resource != "Users/u1/Messages/m1" || got.Expires != "2026-11-26T16:00:00Z" {
		t.Errorf("notification %+v", got)
	}
	if got.ResourceData["@odata.type"] != "#Microsoft.Graph.Message" || got.ResourceData["id"] != "m1" ||
		got.ResourceData["@odata.id"] != "Users/u1/Messages/m1" {
		t.Errorf("resourceData %v", got.ResourceData)
	}
}

func TestNothingWaitsForCompanyAndBacklogSharesPosts(t *testing.T) { // contract 10.2
	t.Parallel()
	b, s := newBench(t), newSink(t)
	b.subscribe("u1", s.URL)
	b.subscribe("u2", s.URL)
	release, arrived := make(chan struct{}), make(chan struct{}, 1)
	s.answers(func(n int, _ http.ResponseWriter) bool {
		if n == 1 {
			arrived <- struct{}{}
			<-release
		}
		return true
	})
	b.start()
	defer b.stop()
	b.publish("u1", 1)
	<-arrived // the first went out alone and at once
	for range 50 {
		b.publish("u1", 1)
		b.publish("u2", 1)
	}
	close(release)
	s.take(t, 101)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sizes[0] != 1 || s.posts > 60 {
		t.Errorf("%d POSTs of %v notifications", s.posts, s.sizes)
	}
}

func TestOrderPerSubscriptionThroughFailures(t *testing.T) {
	t.Parallel()
	b, s := newBench(t), newSink(t)
	b.limits.BatchCount = 7
	mailboxes := []string{"u1", "u2", "u3"}
	subs := map[string]string{}
	for _, m := range mailboxes {
		subs[b.subscribe(m, s.URL).String()] = m
	}
	s.answers(func(n int, w http.ResponseWriter) bool {
		if n%5 == 2 || n%7 == 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return false
		}
		return true
	})
	b.start()
	defer b.stop()
	stop := make(chan struct{})
	moved := make(chan struct{})
	go func() { // whatever waits for a moment gets it
		defer close(moved)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				b.clock.Advance(time.Second)
			}
		}
	}()
	const each = 300
	for range each / 10 {
		for _, m := range mailboxes {
			b.publish(m, 10)
		}
	}
	seen := map[string][]string{}
	for _, i := range s.take(t, each*len(mailboxes)) {
		seen[subs[i.SubscriptionID]] = append(seen[subs[i.SubscriptionID]], i.message())
	}
	close(stop)
	<-moved
	for m, ids := range seen {
		if !slices.IsSortedFunc(ids, compareNumbers) || len(ids) != each {
			t.Errorf("%s: %d notifications, in the order %v", m, len(ids), ids)
		}
	}
	s.none(t)
}

// compareNumbers orders m9 before m10.
func compareNumbers(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

func TestIllEndpointIsParkedAndDrainedInOrder(t *testing.T) { // contract 10.5
	t.Parallel()
	b, ill, well := newBench(t), newSink(t), newSink(t)
	b.subscribe("u1", ill.URL)
	b.subscribe("u1", well.URL)
	ill.answers(func(_ int, w http.ResponseWriter) bool {
		w.WriteHeader(http.StatusInternalServerError)
		return false
	})
	b.start()
	defer b.stop()
	b.publish("u1", 3)
	well.take(t, 3)
	b.heard.await(t, b.heard.parked, heliograph.ParkedIll, 1)
	for range 100 {
		b.publish("u1", 10)
	}
	well.take(t, 1000) // nothing of it waits for the other
	b.awaitCursor(t)   // and neither does the cursor: what waits is parked on disk
	ill.answers(nil)
	ill.none(t)
	b.clock.Advance(10 * time.Second)
	ids := make([]string, 0, 1003)
	for _, i := range ill.take(t, 1003) {
		ids = append(ids, i.message())
	}
	if !slices.IsSortedFunc(ids, compareNumbers) {
		t.Errorf("out of order: %v", ids)
	}
	b.publish("u1", 1) // and live again
	ill.take(t, 1)
	b.poll(t, func() bool {
		parked, err := holdOf(b.engine).ParkedEndpoints(t.Context())
		return err == nil && len(parked) == 0
	})
}

func TestWindowEndsAfterFourHours(t *testing.T) { // contract 10.5
	t.Parallel()
	b, s := newBench(t), newSink(t)
	b.subscribe("u1", s.URL)
	s.answers(func(_ int, w http.ResponseWriter) bool {
		w.WriteHeader(http.StatusGone) // 410 has no special meaning (contract 10.7)
		return false
	})
	b.start()
	defer b.stop()
	b.publish("u1", 2)
	b.heard.await(t, b.heard.attempts, heliograph.RefusedStatus, 1)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for b.heard.count(b.heard.givenUp, heliograph.GivenUpWindow) < 2 && b.clock.Now().Before(start.Add(12*time.Hour)) {
		<-tick.C // whatever waits for a moment gets it
		b.clock.Advance(10 * time.Second)
	}
	if b.clock.Now().Before(start.Add(4 * time.Hour)) {
		t.Errorf("given up after %v", b.clock.Now().Sub(start))
	}
	b.heard.await(t, b.heard.givenUp, heliograph.GivenUpWindow, 2)
	s.answers(nil)
	b.publish("u1", 1)
	if got := s.take(t, 1)[0]; got.message() != "m3" {
		t.Errorf("after the window came %s", got.message())
	}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	t.Parallel()
	b, s := newBench(t), newSink(t)
	b.subscribe("u1", s.URL)
	s.answers(func(n int, w http.ResponseWriter) bool {
		if n == 1 {
			w.Header().Set("Retry-After", "600")
			w.WriteHeader(http.StatusTooManyRequests)
		}
		return n > 1
	})
	b.start()
	defer b.stop()
	b.publish("u1", 1)
	b.awaitParked(t)
	b.clock.Advance(599 * time.Second)
	s.none(t)
	if s.count() != 1 {
		t.Errorf("%d POSTs before Retry-After was over", s.count())
	}
	b.clock.Advance(time.Second)
	s.take(t, 1)
}

func TestEndedSubscriptionGetsNothingMore(t *testing.T) { // contract 10.15
	t.Parallel()
	b, s := newBench(t), newSink(t)
	removed := b.subscribe("u1", s.URL)
	b.subscribe("u2", s.URL, func(s *heliograph.Subscription) { s.Expires = start.Add(time.Minute) })
	b.subscribe("u3", s.URL)
	s.answers(func(n int, w http.ResponseWriter) bool {
		if n == 1 {
			w.WriteHeader(http.StatusBadGateway)
		}
		return n > 1
	})
	b.start()
	defer b.stop()
	b.append([]heliograph.Change{b.change("u1"), b.change("u2"), b.change("u3")})
	b.awaitParked(t)
	b.index.Remove(removed)
	b.clock.Advance(2 * time.Minute)
	if got := s.take(t, 1)[0]; !strings.Contains(got.Resource, "u3") {
		t.Errorf("got %s", got.Resource)
	}
	b.publish("u1", 1)
	b.publish("u2", 1)
	b.publish("u3", 1)
	if got := s.take(t, 1)[0]; !strings.Contains(got.Resource, "u3") {
		t.Errorf("got %s", got.Resource)
	}
	s.none(t)
}

func TestRestartContinues(t *testing.T) {
	t.Parallel()
	b, ill, s := newBench(t), newSink(t), newSink(t)
	b.subscribe("u1", ill.URL)
	b.subscribe("u2", s.URL)
	ill.answers(func(_ int, w http.ResponseWriter) bool {
		w.WriteHeader(http.StatusInternalServerError)
		return false
	})
	b.start()
	b.publish("u1", 20)
	b.publish("u2", 5)
	s.take(t, 5)
	b.awaitParked(t)
	b.stop()
	b.publish("u1", 2) // while nobody delivers
	b.publish("u2", 1)
	ill.answers(nil)
	b.start()
	defer b.stop()
	s.take(t, 1)
	ids := make([]string, 0, 22)
	for _, i := range ill.take(t, 22) {
		ids = append(ids, i.message())
	}
	if !slices.IsSortedFunc(ids, compareNumbers) {
		t.Errorf("out of order: %v", ids)
	}
	s.none(t)
}

func TestMovedSubscriptionIsFollowed(t *testing.T) {
	t.Parallel()
	b, old, moved := newBench(t), newSink(t), newSink(t)
	id := b.subscribe("u1", old.URL)
	old.answers(func(_ int, w http.ResponseWriter) bool {
		w.WriteHeader(http.StatusInternalServerError)
		return false
	})
	b.start()
	defer b.stop()
	b.publish("u1", 5)
	b.awaitParked(t)
	b.subscribe("u1", moved.URL, func(s *heliograph.Subscription) { s.ID = id })
	b.clock.Advance(10 * time.Second)
	moved.take(t, 5)
	moved.none(t)
}

func TestOverflowGoesThroughTheBacklog(t *testing.T) {
	t.Parallel()
	b, s := newBench(t), newSink(t)
	b.limits.LanePending, b.limits.BatchCount = 50, 10
	b.subscribe("u1", s.URL)
	release, arrived := make(chan struct{}), make(chan struct{}, 1)
	s.answers(func(n int, _ http.ResponseWriter) bool {
		if n == 1 {
			arrived <- struct{}{}
			<-release
		}
		return true
	})
	b.start()
	defer b.stop()
	b.publish("u1", 1)
	<-arrived
	b.publish("u1", 500)
	b.heard.await(t, b.heard.parked, heliograph.ParkedBehind, 1)
	close(release)
	ids := make([]string, 0, 501)
	for _, i := range s.take(t, 501) {
		ids = append(ids, i.message())
	}
	if !slices.IsSortedFunc(ids, compareNumbers) {
		t.Errorf("out of order: %v", ids)
	}
}

func TestNoticeIsAnOrdinaryDelivery(t *testing.T) { // contract 14.1
	t.Parallel()
	b, s := newBench(t), newSink(t)
	id := b.subscribe("u1", s.URL)
	b.start()
	defer b.stop()
	b.append([]heliograph.Change{{
		ID: heliograph.NewGUID(), Tenant: tenant, Type: heliograph.Updated, Time: start, Accepted: start,
		Notice: &heliograph.Notice{
			Event: heliograph.ReauthorizationRequired, Subscription: id, URL: s.URL,
			ClientState: heliograph.NewSecret(`quoted " state`), Expires: start.Add(time.Hour),
		},
	}})
	got := s.take(t, 1)[0]
	if got.LifecycleEvent != "reauthorizationRequired" || got.SubscriptionID != id.String() || got.ChangeType != "" ||
		got.Resource != "" || got.ClientState != `quoted " state` || got.ResourceData != nil {
		t.Errorf("notice %+v", got)
	}
}

func TestPublishersAreSlowedWhileDeliveryIsBehind(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.limits.MaxUnread = 100
	b.start()
	defer b.stop()
	b.d.Appended(0, 1, 99)
	if err := b.d.Admit(); err != nil {
		t.Errorf("at 99: %v", err)
	}
	b.d.Appended(0, 2, 1)
	if err := b.d.Admit(); heliograph.KindOf(err) != heliograph.Limited {
		t.Errorf("at 100: %v", err)
	}
}
