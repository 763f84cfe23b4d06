package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"heliograph.dev/client"
)

var clusterSplits = flag.Int("cluster.splits", 0, "0 leaves TestClusterSplits out")

// TestClusterSplits cuts one node of three off, under load, for longer than its lease. The others go on. The one that is
// alone refuses publishers, with 503 and when to try again, within a bound; it answers who reads, and says how old that
// may be; it delivers nothing. When it is back nothing is lost, and at no time two worked the same partition.
func TestClusterSplits(t *testing.T) {
	t.Parallel()
	if *clusterSplits == 0 {
		t.Skip("takes a minute or two: make test-cluster")
	}
	l := newLoad(t, true)
	next := l.run(0, func() { <-time.After(time.Second) })
	alone := 2
	began := time.Now()
	l.cut(alone, true)
	l.nodes[alone].url("") // the load goes to the others: what this one answers is looked at apart
	next = l.run(next, func() {
		l.checkAlone(alone)
		t.Logf("the others deliver what was accepted since after %v", l.resumed(began).Round(10*time.Millisecond))
	})
	cutFor := time.Since(began)
	l.cut(alone, false)
	l.nodes[alone].url(l.nodes[alone].p.url)
	healed := time.Now()
	l.run(next, func() {
		l.await(alone, "/readyz", http.StatusOK)
		t.Logf("cut off for %v, ready %v after that", cutFor.Round(10*time.Millisecond), time.Since(healed).Round(10*time.Millisecond))
		<-time.After(2 * time.Second)
	})
	// What the node had delivered since its last cursor that was written, up to the end of its lease, is delivered again.
	l.check(l.since(began.Add(-unsaved)) + 3*refsMost)
}

// cut cuts a node off from the others, both ways.
func (f *fleet) cut(node int, off bool) {
	for i, m := range f.nodes {
		for j, link := range m.links {
			to := j
			if to >= i {
				to++
			}
			if i == node || to == node {
				link.cut(off)
			}
		}
	}
}

// get asks a node, whether or not the load knows where it is.
func (l *load) get(node int, path string, header ...string) (int, http.Header) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), 30*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, l.nodes[node].p.url+path, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		l.t.Error(err)
		return 0, nil
	}
	defer func() { _ = response.Body.Close() }()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode, response.Header
}

// await waits until a node answers with a status.
func (l *load) await(node int, path string, status int) {
	l.t.Helper()
	for range 600 {
		if got, _ := l.get(node, path); got == status {
			return
		}
		<-time.After(100 * time.Millisecond)
	}
	l.t.Errorf("%s of %s does not come to %d", path, l.nodes[node].name, status)
}

// checkAlone looks at what a node answers that is out of touch with the others.
func (l *load) checkAlone(node int) {
	l.t.Helper()
	l.await(node, "/readyz?role=publish", http.StatusServiceUnavailable)
	l.await(node, "/readyz?role=deliver", http.StatusServiceUnavailable)
	l.await(node, "/readyz?role=api", http.StatusOK)
	api, err := client.New(l.nodes[node].p.url, l.speakers[0].token)
	if err != nil {
		l.t.Fatal(err)
	}
	for range 2 { // at first it waits for an election, then it knows
		asked := time.Now()
		_, err = api.Publish(l.t.Context(), client.Event{ID: "alone", Source: "cluster", Type: client.Created, Resource: "users/alone/messages/m1"})
		if told, _ := errors.AsType[*client.Error](err); told == nil || told.Status != http.StatusServiceUnavailable || told.RetryAfter == 0 {
			l.t.Errorf("publish to a node that is alone: %v", err)
		}
		l.t.Logf("a node that is alone refuses a publisher after %v", time.Since(asked).Round(10*time.Millisecond))
		if waited := time.Since(asked); waited > 25*time.Second {
			l.t.Errorf("it took %v", waited)
		}
	}
	token, err := l.speakers[0].token(l.t.Context())
	if err != nil {
		l.t.Fatal(err)
	}
	var one string
	for s, err := range l.speakers[0].at((node + 1) % 3).Subscriptions(l.t.Context()) {
		if err != nil {
			l.t.Fatal(err)
		}
		one = s.ID
	}
	for _, path := range []string{"/v1.0/subscriptions", "/v1.0/subscriptions/" + one, "/control/v1/cluster"} {
		status, header := l.get(node, path, "Authorization", "Bearer "+token)
		if status != http.StatusOK || !strings.HasPrefix(header.Get("Heliograph-Freshness"), "stale; as-of=") {
			l.t.Errorf("%s of a node that is alone: %d, %q", path, status, header.Get("Heliograph-Freshness"))
		}
	}
	if status, header := l.get((node+1)%3, "/v1.0/subscriptions", "Authorization", "Bearer "+token); status != http.StatusOK || header.Get("Heliograph-Freshness") != "fresh" {
		l.t.Errorf("of the others: %d, %q", status, header.Get("Heliograph-Freshness"))
	}
}
