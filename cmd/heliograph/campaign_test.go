package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"heliograph.dev/client"
)

// campaign is a server under load that dies again and again, and everything that was acknowledged meanwhile.
type campaign struct {
	*ledger
	t      *testing.T
	issuer *idp
	args   []string // of the server
	dice   *rand.Rand

	server *process
	lives  int

	subscriptions sync.Map // that were acknowledged, by id

	// cutting says that the disk is going: what is answered now was perhaps never on it, and counts for nothing. dark says
	// that it has gone: what is begun now must fail.
	cutting, dark atomic.Bool

	// atStake bounds the duplicates: what was delivered when the server died and may not have been on disk as such.
	atStake int
}

const (
	publishers   = 4
	perPublisher = 6 // mailboxes: two at each receiver
	eventData    = 1500
	// A crash may deliver again what came since the cursor was written, which is done every 250 ms and takes its time on a
	// busy disk, and of the ill receiver's backlog what one message of it refers to.
	unsaved  = 500 * time.Millisecond
	refsMost = 1024
)

// newCampaign starts a server for the first time and makes the subscriptions: a third each at a healthy receiver, a slow
// one and an ill one.
func newCampaign(t *testing.T, dir string) *campaign {
	t.Helper()
	c := &campaign{ledger: newLedger(), t: t, issuer: startIssuer(t)}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	c.dice = rand.New(rand.NewPCG(seed, 0))
	c.args = []string{"--data", dir, c.issuer.trusts()}
	c.start()
	api := c.issuer.client(t, c.server.url)
	receivers := []string{c.receiver(t, healthy), c.receiver(t, slow), c.receiver(t, ill)}
	for p := range publishers {
		for m := range perPublisher {
			c.subscribe(t.Context(), api, fmt.Sprintf("users/%s/messages", userOf(p, m)), receivers[m%len(receivers)])
		}
	}
	if t.Failed() {
		t.FailNow()
	}
	return c
}

func userOf(publisher, mailbox int) string { return fmt.Sprintf("p%du%d", publisher, mailbox) }

// start starts the server and waits until it is ready. Now and then it is killed first, while it starts.
func (c *campaign) start() {
	c.t.Helper()
	if c.lives > 0 && c.dice.IntN(4) == 0 {
		p := launch(c.t, c.args...)
		<-time.After(c.within(300 * time.Millisecond))
		p.kill(c.t)
	}
	c.server = launch(c.t, c.args...)
	c.server.ready(c.t)
	c.lives++
}

// within returns a random time.
func (c *campaign) within(d time.Duration) time.Duration {
	return time.Duration(c.dice.Int64N(int64(d)))
}

// round puts the server under load, and calls die at a random moment. The load ends when the server does not answer any
// more.
func (c *campaign) round(from int, most time.Duration, die func()) (next int) {
	c.t.Helper()
	ctx, end := context.WithCancel(c.t.Context())
	api := c.issuer.client(c.t, c.server.url)
	numbers := make([]int, publishers)
	var load sync.WaitGroup
	for p := range publishers {
		load.Go(func() { numbers[p] = c.publish(ctx, api, p, from) })
	}
	load.Go(func() { c.churn(ctx, api) })
	<-time.After(100*time.Millisecond + c.within(most))
	died := time.Now()
	die()
	end()
	load.Wait()
	c.atStake += c.since(died.Add(-unsaved)) + refsMost
	for _, n := range numbers {
		next = max(next, n)
	}
	return next
}

// publish publishes small and large batches of numbered messages until the server fails, and returns the next number.
func (c *campaign) publish(ctx context.Context, api *client.Client, publisher, n int) int {
	dice := rand.New(rand.NewPCG(uint64(publisher), uint64(n)))
	data := map[string]string{"body": strings.Repeat("x", eventData-len(`{"body":""}`))}
	pace := time.NewTicker(20 * time.Millisecond)
	defer pace.Stop()
	for {
		select {
		case <-pace.C:
		case <-ctx.Done():
			return n
		}
		var events []client.Event
		for range 1 + dice.IntN(40) {
			user := userOf(publisher, n%perPublisher)
			events = append(events, client.Event{
				ID: fmt.Sprintf("%s/%d", user, n), Source: "crash", Type: client.Created, Data: data,
				Resource: fmt.Sprintf("users/%s/messages/m%d", user, n),
			})
			n++
		}
		dark := c.dark.Load()
		if _, err := api.Publish(ctx, events...); err != nil {
			return n // whether they are there is not known, and nobody was told that they are
		}
		if dark {
			c.t.Error("changes were acknowledged without a disk")
		}
		if c.cutting.Load() {
			return n
		}
		for i := range events {
			number := n - len(events) + i
			c.acknowledged(userOf(publisher, number%perPublisher), number)
		}
	}
}

// churn makes subscriptions until the server fails.
func (c *campaign) churn(ctx context.Context, api *client.Client) {
	receiver := c.receiver(c.t, healthy)
	for n := 0; ctx.Err() == nil; n++ {
		resource := fmt.Sprintf("users/churn%d-%d/messages", c.lives, n)
		dark := c.dark.Load()
		s, err := api.CreateSubscription(ctx, client.Subscription{
			Resource: resource, ChangeType: "created", NotificationURL: receiver, ExpirationDateTime: time.Now().Add(time.Hour),
		})
		if err != nil {
			return
		}
		if dark {
			c.t.Error("a subscription was acknowledged without a disk")
		}
		if !c.cutting.Load() {
			c.subscriptions.Store(s.ID, true)
		}
	}
}

func (c *campaign) subscribe(ctx context.Context, api *client.Client, resource, receiver string) {
	s, err := api.CreateSubscription(ctx, client.Subscription{
		Resource: resource, ChangeType: "created", NotificationURL: receiver, ExpirationDateTime: time.Now().Add(12 * time.Hour),
	})
	if err != nil {
		c.t.Error(err)
		return
	}
	c.subscriptions.Store(s.ID, true)
}

// check heals everybody, waits until all has come that was acknowledged, and compares. The server is started again before,
// in order for once, because it may have found the ill receiver so ill that it would leave it alone for ten minutes.
func (c *campaign) check() {
	c.t.Helper()
	c.heal()
	c.server.interrupt(c.t)
	c.start()
	c.settle(c.t, 2*time.Minute)
	api := c.issuer.client(c.t, c.server.url)
	known := map[string]bool{}
	for s, err := range api.Subscriptions(c.t.Context()) {
		if err != nil {
			c.t.Fatal(err)
		}
		known[s.ID] = true
	}
	made := 0
	c.subscriptions.Range(func(id, _ any) bool {
		made++
		if text, _ := id.(string); !known[text] {
			c.t.Errorf("subscription %s was acknowledged and is gone", text)
		}
		return true
	})
	c.server.interrupt(c.t)
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, w := range c.wrong {
		if i == 20 {
			c.t.Errorf("and %d more", len(c.wrong)-i)
			break
		}
		c.t.Error(w)
	}
	if c.twice > c.atStake {
		c.t.Errorf("%d came more than once, the bound is %d", c.twice, c.atStake)
	}
	c.t.Logf("%d lives: %d changes came, 0 acknowledged ones lost; %d came more than once (bound %d); %d subscriptions",
		c.lives, c.came, c.twice, c.atStake, made)
}
