package app_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/app"
	"heliograph.dev/internal/clock"
	rules "heliograph.dev/internal/subscribe"
)

// challenged returns the minutes at which the owner of a subscription is asked to reauthorize who never does: counted from its
// creation, for a token and a lease of so many minutes. It is the documentation's arithmetic and no code of the server's.
func challenged(token, lease int) (minutes []int) {
	for left := 720; left > 240; left /= 2 {
		if 2*left <= token {
			minutes = append(minutes, token-left)
		}
	}
	for left := 240; left >= 0; left -= 15 {
		if 4*left <= token {
			minutes = append(minutes, token-left)
		}
	}
	for _, left := range []int{720, 360, 180, 90, 60, 45, 30, 15} {
		if left > 60 && 2*left <= lease || left <= 60 && 100*left <= 34*lease {
			minutes = append(minutes, lease-left)
		}
	}
	slices.Sort(minutes)
	last := -10
	return slices.DeleteFunc(minutes, func(m int) bool {
		if m >= lease || m < last+10 {
			return true
		}
		last = m
		return false
	})
}

// month is a receiver that counts the notices of each virtual minute.
type month struct {
	*httptest.Server
	clock *clock.Manual
	began time.Time

	mu      sync.Mutex
	changed chan struct{}
	notices map[int]map[string]int // by minute and subscription
	count   int
}

func newMonth(t *testing.T) *month {
	t.Helper()
	began := time.Now().UTC().Truncate(time.Minute)
	m := &month{clock: clock.NewManual(began), began: began, changed: make(chan struct{}), notices: map[int]map[string]int{}}
	m.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if token := r.URL.Query().Get("validationToken"); token != "" {
			w.Header().Set("Content-Type", "text/plain")
			_, _ = fmt.Fprint(w, token)
			return
		}
		var c struct {
			Value []struct{ SubscriptionID, LifecycleEvent string }
		}
		if json.NewDecoder(r.Body).Decode(&c) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		minute := int(m.clock.Now().Sub(began) / time.Minute)
		for _, v := range c.Value {
			if v.LifecycleEvent == "reauthorizationRequired" {
				if m.notices[minute] == nil {
					m.notices[minute] = map[string]int{}
				}
				m.notices[minute][v.SubscriptionID]++
				m.count++
			}
		}
		close(m.changed)
		m.changed = make(chan struct{})
	}))
	t.Cleanup(m.Close)
	return m
}

// until waits until so many notices have come.
func (m *month) until(t *testing.T, n int) {
	t.Helper()
	deadline := time.After(time.Minute)
	for {
		m.mu.Lock()
		count, changed := m.count, m.changed
		m.mu.Unlock()
		if count >= n {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("%d notices came, want %d", count, n)
		}
	}
}

// TestThirtyDays has a thousand subscriptions live for thirty days while changes come: every notice comes in its minute,
// and no other.
func TestThirtyDays(t *testing.T) { // contract 14.4, 14.5, 14.7
	t.Parallel()
	m := newMonth(t)
	a := start(t, app.Options{Config: dev(t.TempDir()), Clock: m.clock})
	want, ends := map[int]map[string]int{}, map[int]int{}
	var mu sync.Mutex
	var making sync.WaitGroup
	for worker := range 20 {
		making.Go(func() {
			for i := worker; i < 1000; i += 20 {
				token := []int{60, 75, 300, 1440}[i%4]
				lease := []int{60, 1440, 10_080, 41_760}[i/4%4]
				s, err := a.Subscriptions().Create(t.Context(), &heliograph.Caller{
					Tenant: a.Issuer().DefaultTenant(), App: heliograph.AppID(fmt.Sprint("app", i)), Object: "service",
					Roles: []string{"User.Read.All"}, Expires: m.began.Add(time.Duration(token) * time.Minute),
				}, rules.CreateRequest{
					Resource: fmt.Sprintf("users/u%d", i), ChangeType: "updated", NotificationURL: m.URL, LifecycleNotificationURL: m.URL + "/life",
					ExpirationDateTime: m.began.Add(time.Duration(lease) * time.Minute).Format(time.RFC3339),
				})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				ends[lease]++
				for _, minute := range challenged(token, lease) {
					if want[minute] == nil {
						want[minute] = map[string]int{}
					}
					want[minute][s.ID.String()]++
				}
				mu.Unlock()
			}
		})
	}
	making.Wait()
	if t.Failed() {
		return
	}
	moments := slices.Concat(slices.Collect(maps.Keys(want)), slices.Collect(maps.Keys(ends)))
	slices.Sort(moments)
	expected, left := 0, 1000
	for _, minute := range slices.Compact(append(moments, 30*24*60)) {
		m.clock.Set(m.began.Add(time.Duration(minute)*time.Minute - 1))
		publish(t, connect(t, a), fmt.Sprintf("users/u%d", minute%1000))
		m.clock.Set(m.began.Add(time.Duration(minute) * time.Minute))
		expected += len(want[minute])
		m.until(t, expected)
		left -= ends[minute]
	}
	if left != 0 {
		t.Fatalf("the model has %d left", left)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.count != expected {
		t.Errorf("%d notices came, want %d", m.count, expected)
	}
	for minute := range want {
		if !maps.Equal(m.notices[minute], want[minute]) {
			t.Errorf("minute %d: %d were told, want %d", minute, len(m.notices[minute]), len(want[minute]))
		}
	}
	for minute := range m.notices {
		if want[minute] == nil {
			t.Errorf("minute %d: %d were told, want none", minute, len(m.notices[minute]))
		}
	}
	t.Logf("%d notices at %d moments of 30 days", expected, len(want))
}
