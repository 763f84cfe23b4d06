package deliver_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/health"
)

// A receiver that has what came, and says that it failed, gets it again: the same ids, in the same order (contract 10.3,
// 11.1).
func TestContractOfDuplicates(t *testing.T) {
	t.Parallel()
	b, s := newBench(t), newSink(t)
	b.subscribe("u1", s.URL)
	s.answers(func(n int, w http.ResponseWriter) bool {
		if n > 1 {
			return true
		}
		w.WriteHeader(http.StatusBadGateway)
		s.got <- item{ID: "once"} // it had it
		return false
	})
	b.start()
	defer b.stop()
	b.publish("u1", 3)
	if first := s.take(t, 1); first[0].ID != "once" {
		t.Fatalf("%+v", first)
	}
	b.awaitParked(t)
	b.clock.Advance(time.Minute)
	ids := map[string]bool{}
	var order []string
	for _, i := range s.take(t, 3) {
		ids[i.ID] = true
		order = append(order, i.message())
	}
	if len(ids) != 3 || !slices.IsSortedFunc(order, compareNumbers) {
		t.Errorf("%v, %v", ids, order)
	}
}

// contract 11.9, 11.11, 11.15: what only some resources' notifications have.
func TestContractOfExtras(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	type collection struct{ Value []map[string]any }
	got := make(chan collection, 10)
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var c collection
		text, _ := io.ReadAll(r.Body)
		_ = json.Unmarshal(text, &c)
		got <- c
	}))
	t.Cleanup(s.Close)
	b.start()
	defer b.stop()
	for _, tt := range []struct {
		row, path, resource, data string
		organization              any
		resourceData              map[string]any
	}{
		{"message", "users/u1/messages", "users/u1/messages/m1", `{"subject":"Hi","@odata.etag":"W/\"CQ\u0041\""}`, nil, map[string]any{
			"@odata.type": "#Microsoft.Graph.Message", "@odata.id": "Users/u1/Messages/m1", "@odata.etag": `W/"CQA"`, "id": "m1",
		}},
		{"message", "users/u1/messages", "users/u1/messages/m2", `{"subject":"no \"@odata.etag\" here"}`, nil, map[string]any{
			"@odata.type": "#Microsoft.Graph.Message", "@odata.id": "Users/u1/Messages/m2", "id": "m2",
		}},
		{"message", "users/u1/messages", "users/u1/messages/moved", "", nil, map[string]any{ // contract 9.2
			"@odata.type": "#Microsoft.Graph.Message", "@odata.id": "Users/u1/Messages/stays", "id": "stays",
		}},
		{"user", "users/u1", "users/u1", `{"@odata.etag":"W/1"}`, nil, map[string]any{
			"@odata.type": "#Microsoft.Graph.User", "@odata.id": "Users/u1", "id": "u1",
			"organizationId": string(tenant), "eventTime": "2026-11-22T12:00:00Z", "sequenceNumber": "639309456000000000",
		}},
		{"presence", "communications/presences/u1", "communications/presences/u1", "", string(tenant), map[string]any{
			"@odata.type": "#microsoft.graph.presence", "@odata.id": "users/u1/presence", "id": "u1",
		}},
	} {
		b.subscribe("", s.URL, func(sub *heliograph.Subscription) {
			sub.ID = heliograph.DeriveGUID(tt.row)
			sub.Row, sub.Path, sub.Resource, sub.ChangeType = tt.row, tt.path, tt.path, heliograph.Created|heliograph.Updated
			sub.ImmutableIDs = tt.row != "message" || strings.HasSuffix(tt.resource, "/moved")
		})
		b.append([]heliograph.Change{{
			ID: heliograph.NewGUID(), Tenant: tenant, Type: heliograph.Updated, Resource: tt.resource, ImmutableID: "stays", Time: start, Accepted: start, Data: []byte(tt.data),
		}})
		item := (<-got).Value[0]
		is, _ := item["resourceData"].(map[string]any)
		if n, ok := is["sequenceNumber"].(float64); ok {
			is["sequenceNumber"] = fmt.Sprintf("%.0f", n)
		}
		if item["organizationId"] != tt.organization || !maps.Equal(is, tt.resourceData) {
			t.Errorf("%s: %v\n%v\nwant %v", tt.resource, item, is, tt.resourceData)
		}
	}
}

// contract 10.10: what one subscription's endpoint is, it is to every subscription of it, and to no other's.
func TestContractOfEndpoints(t *testing.T) {
	t.Parallel()
	b, s, other := newBench(t), newSink(t), newSink(t)
	b.subscribe("u1", s.URL)
	b.subscribe("u2", s.URL, func(sub *heliograph.Subscription) { sub.App = "another" })
	b.subscribe("u3", other.URL)
	b.start()
	defer b.stop()
	b.d.Observe(heliograph.Endpoint(s.URL), &heliograph.Attempt{Reason: heliograph.TimedOut, Took: 3 * time.Second}, 10)
	if e := b.endpoint(s); e.State != health.Slow {
		t.Fatalf("endpoint %+v", e)
	}
	b.publish("u1", 1)
	b.publish("u2", 1)
	b.publish("u3", 1)
	other.take(t, 1)
	b.awaitCursor(t)
	s.none(t)
	b.clock.Advance(10 * time.Minute)
	s.take(t, 2)
}

// contract 14.12: a lifecycle notice is tried again as any notification is, and stays the same one. contract 13.16,
// 22.9: no tokens come with it.
func TestContractOfNotices(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	type collection struct {
		Value  []item
		Tokens []string `json:"validationTokens"`
	}
	got := make(chan collection, 10)
	refuse := make(chan bool, 10)
	refuse <- true
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var c collection
		text, _ := io.ReadAll(r.Body)
		_ = json.Unmarshal(text, &c)
		got <- c
		select {
		case <-refuse:
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
		}
	}))
	t.Cleanup(s.Close)
	b.start()
	defer b.stop()
	b.append([]heliograph.Change{{
		ID: heliograph.NewGUID(), Tenant: tenant, Type: heliograph.Updated, Time: start, Accepted: start,
		Notice: &heliograph.Notice{Event: heliograph.Missed, Subscription: b.subscribe("u1", s.URL), URL: s.URL, Expires: start.Add(time.Hour)},
	}})
	first := <-got
	b.awaitParked(t)
	b.clock.Advance(time.Minute)
	again := <-got
	if len(first.Value) != 1 || len(again.Value) != 1 || first.Value[0].ID != again.Value[0].ID || again.Value[0].LifecycleEvent != "missed" || again.Tokens != nil {
		t.Errorf("%+v\n%+v", first, again)
	}
}

// contract 10.4, 10.6: every 2xx is a receipt, whatever it means to the receiver; a 5xx asks for another attempt.
func TestContractOfReceipts(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 201, 202, 204, 299, 500, 503, 599} {
		b, s := newBench(t), newSink(t)
		b.subscribe("u1", s.URL)
		s.answers(func(n int, w http.ResponseWriter) bool {
			if n == 1 {
				w.WriteHeader(status)
			}
			return n > 1
		})
		b.start()
		b.publish("u1", 1)
		b.poll(t, func() bool { return s.count() == 1 })
		if status >= 500 {
			b.poll(t, func() bool { return b.endpoint(s).Parked })
			b.clock.Advance(time.Minute)
			s.take(t, 1)
		}
		b.awaitCursor(t) // nothing is left to do
		s.none(t)
		b.stop()
	}
}

// contract 10.7, 22.8: a redirect is not followed, a 410 ends nothing: each is a failure, and the next attempt may do
// better.
func TestContractOfFailures(t *testing.T) {
	t.Parallel()
	b, s, elsewhere := newBench(t), newSink(t), newSink(t)
	b.subscribe("u1", s.URL)
	statuses := []int{http.StatusTemporaryRedirect, http.StatusFound, http.StatusGone, http.StatusNotFound}
	s.answers(func(n int, w http.ResponseWriter) bool {
		if n > len(statuses) {
			return true
		}
		w.Header().Set("Location", elsewhere.URL)
		w.WriteHeader(statuses[n-1])
		return false
	})
	b.start()
	defer b.stop()
	b.publish("u1", 1)
	for n := range statuses {
		b.poll(t, func() bool { return s.count() > n })
		b.poll(t, func() bool {
			e := b.endpoint(s)
			return e.Parked && e.Resumes.After(b.clock.Now())
		})
		b.clock.Advance(10 * time.Minute)
	}
	s.take(t, 1)
	elsewhere.none(t)
}

// contract 22.2: no more than so many go in one POST.
func TestContractOfBatches(t *testing.T) {
	t.Parallel()
	b, s := newBench(t), newSink(t)
	b.subscribe("u1", s.URL)
	b.start()
	defer b.stop()
	b.publish("u1", 1000)
	s.take(t, 1000)
	s.mu.Lock()
	defer s.mu.Unlock()
	if most := slices.Max(s.sizes); most > 128 {
		t.Errorf("%d in one POST", most)
	}
}
