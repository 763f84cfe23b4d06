package main

import (
	"flag"
	"testing"
	"time"
)

var (
	crashRounds = flag.Int("crash.rounds", 3, "how often TestCrash kills the server")
	crashRound  = flag.Duration("crash.round", time.Second, "how long it lives at most under load")
)

// TestCrash is the promise behind 202 and 201: a production server is killed with SIGKILL at random moments, now and then
// while it starts, while publishers publish, subscribers subscribe, and a healthy, a slow and an ill receiver take what
// comes. Whatever was acknowledged is there afterwards and arrives, in the order of its subscription; what arrives twice
// carries the same notification id, and there is no more of it than the bound says.
func TestCrash(t *testing.T) {
	t.Parallel()
	c := newCampaign(t, t.TempDir())
	for round, next := 0, 0; round < *crashRounds; round++ {
		next = c.round(next, *crashRound, func() { c.server.kill(t) })
		c.start()
	}
	c.check()
}
