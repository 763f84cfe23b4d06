package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"heliograph.dev/client"
)

var (
	clusterRounds = flag.Int("cluster.rounds", 1, "how often TestClusterKills kills a node")
	clusterLogs   = flag.String("cluster.logs", "", "a folder for copies of the nodes' logs")
	clusterRound  = flag.Duration("cluster.round", 2*time.Second, "how long the cluster is under load before that")
)

// load is a cluster under load, and everything that was acknowledged meanwhile.
type load struct {
	*ledger
	*fleet
	dice     *rand.Rand
	speakers []*speaker
	again    atomic.Int64 // changes that were published again, because nobody knew

	mu      sync.Mutex
	refused map[int]int // requests that were refused, by status
}

// clusterPublishers have a tenant each.
const clusterPublishers = 6

func newLoad(t *testing.T, linked bool) *load {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	l := &load{ledger: newLedger(), fleet: newFleet(t, linked), dice: rand.New(rand.NewPCG(seed, 0)), refused: map[int]int{}}
	t.Cleanup(l.tell)
	for p := range clusterPublishers {
		l.speakers = append(l.speakers, l.speaker(tenantOf(p)))
	}
	began := time.Now()
	l.startAll()
	t.Logf("three nodes answer after %v", time.Since(began).Round(time.Millisecond))
	receivers := []string{l.receiver(t, healthy), l.receiver(t, slow), l.receiver(t, ill)}
	for p := range clusterPublishers {
		for m := range perPublisher {
			_, err := l.speakers[p].at(m%3).CreateSubscription(t.Context(), client.Subscription{
				Resource: fmt.Sprintf("users/%s/messages", userOf(p, m)), ChangeType: "created",
				NotificationURL: receivers[m%len(receivers)], ExpirationDateTime: time.Now().Add(12 * time.Hour),
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return l
}

// publish publishes numbered messages, each batch to a node by chance, until ctx is done: a batch that fails is published
// again, at another node, as a publisher would that must not lose anything. It returns the next number.
func (l *load) publish(ctx context.Context, publisher, n int) int {
	dice := rand.New(rand.NewPCG(uint64(publisher), uint64(n)))
	data := map[string]string{"body": strings.Repeat("x", 400)}
	pace := time.NewTicker(25 * time.Millisecond)
	defer pace.Stop()
	for {
		select {
		case <-pace.C:
		case <-ctx.Done():
			return n
		}
		var events []client.Event
		for range 1 + dice.IntN(12) {
			user := userOf(publisher, n%perPublisher)
			events = append(events, client.Event{
				ID: fmt.Sprintf("%s/%d", user, n), Source: "cluster", Type: client.Created, Data: data,
				Resource: fmt.Sprintf("users/%s/messages/m%d", user, n),
			})
			n++
		}
		if !l.until(publisher, events, dice) { //nolint:contextcheck // a batch that was begun is seen through, whatever ends
			return n
		}
		for i := range events {
			number := n - len(events) + i
			l.acknowledged(userOf(publisher, number%perPublisher), number)
		}
	}
}

// until publishes a batch until it is acknowledged.
func (l *load) until(publisher int, events []client.Event, dice *rand.Rand) bool {
	for tries := range 400 {
		api := l.speakers[publisher].at(dice.IntN(len(l.nodes)))
		if api == nil {
			<-time.After(20 * time.Millisecond)
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), 25*time.Second)
		_, err := api.Publish(ctx, events...)
		cancel()
		if err == nil {
			return true
		}
		l.again.Add(int64(len(events)))
		status := 0
		if told, ok := errors.AsType[*client.Error](err); ok {
			status = told.Status
		}
		l.mu.Lock()
		l.refused[status]++
		l.mu.Unlock()
		if status != 0 && status != 503 && status != 429 {
			l.t.Errorf("publish: %v", err)
		}
		<-time.After(time.Duration(min(tries, 10)) * 20 * time.Millisecond)
	}
	l.t.Error("a batch was not taken in all that time")
	return false
}

// run puts the cluster under load while do does something, and returns the next number.
func (l *load) run(from int, do func()) (next int) {
	ctx, end := context.WithCancel(l.t.Context())
	numbers := make([]int, clusterPublishers)
	var all sync.WaitGroup
	for p := range clusterPublishers {
		all.Go(func() { numbers[p] = l.publish(ctx, p, from) })
	}
	do()
	end()
	all.Wait()
	return slices.Max(numbers)
}

// resumed waits until a change that was accepted after a moment has come to the healthy receiver of every publisher.
func (l *load) resumed(since time.Time) time.Duration {
	l.t.Helper()
	marks := make([]int, clusterPublishers)
	l.ledger.mu.Lock()
	for p := range marks {
		for _, m := range []int{0, 3} { // those of the healthy receiver
			if box := l.mailboxes[userOf(p, m)]; box != nil {
				marks[p] = max(marks[p], len(box.acked))
			}
		}
	}
	l.ledger.mu.Unlock()
	deadline := time.After(60 * time.Second)
	for {
		l.ledger.mu.Lock()
		all := true
		for p := range marks {
			newest := 0
			for _, m := range []int{0, 3} {
				if box := l.mailboxes[userOf(p, m)]; box != nil {
					newest = max(newest, box.last)
				}
			}
			all = all && newest >= marks[p]
		}
		changed := l.changed
		l.ledger.mu.Unlock()
		if all {
			return time.Since(since)
		}
		select {
		case <-changed:
		case <-deadline:
			l.t.Error("delivery did not resume within a minute")
			return time.Since(since)
		}
	}
}

// check waits until all has come that was acknowledged, and compares.
func (l *load) check(bound int) {
	l.t.Helper()
	l.heal()
	l.settle(l.t, 3*time.Minute)
	l.stop()
	l.ledger.mu.Lock()
	defer l.ledger.mu.Unlock()
	for i, w := range l.wrong {
		if i == 20 {
			l.t.Errorf("and %d more", len(l.wrong)-i)
			break
		}
		l.t.Error(w)
	}
	bound += int(l.again.Load())
	if l.twice > bound {
		l.t.Errorf("%d came more than once, the bound is %d", l.twice, bound)
	}
	l.t.Logf("%d changes came; %d more than once (bound %d, of which %d were published again); refused by status: %v",
		l.came, l.twice, bound, l.again.Load(), l.refused)
	l.checkOwners()
}

// TestClusterKills is the promise of a cluster: three nodes under load, of which one after the other is killed with
// SIGKILL, whatever it leads. Whatever was acknowledged arrives, in order; what arrives twice carries the same id, and
// there is no more of it than the bound says; no partition is ever worked by two.
func TestClusterKills(t *testing.T) {
	t.Parallel()
	l := newLoad(t, false)
	bound, next := 0, 0
	var gaps []time.Duration
	for round := range *clusterRounds {
		victim := l.nodes[l.dice.IntN(len(l.nodes))]
		next = l.run(next, func() {
			<-time.After(*clusterRound)
			died := time.Now()
			victim.kill(t)
			gap := l.resumed(died)
			gaps = append(gaps, gap)
			// What the lost node had delivered since it last wrote its cursors, what it was draining of each backlog, and
			// POSTs that a lease which was over has cut.
			bound += l.since(died.Add(-unsaved)) + 3*refsMost
			t.Logf("round %d: %s killed, delivery resumed after %v", round, victim.name, gap.Round(10*time.Millisecond))
			victim.launch(t)
			victim.ready(t)
		})
	}
	if len(gaps) == 0 {
		return
	}
	slices.Sort(gaps)
	t.Logf("%d kills: delivery resumed after %v in the middle, %v at most", len(gaps), gaps[len(gaps)/2].Round(10*time.Millisecond), gaps[len(gaps)-1].Round(10*time.Millisecond))
	l.check(bound)
}
