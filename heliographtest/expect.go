package heliographtest

import (
	"fmt"
	"strings"
	"time"

	"heliograph.dev/client"
	"heliograph.dev/internal/outcome"
)

// Change is a change that was published.
type Change struct {
	ID       string // by which the server knows it
	Resource string
	Type     client.ChangeType
}

// Publish tells the server of a change of a resource. When it returns, the change is safe and on its way to whoever
// subscribed. Without a type it is that the resource was created, without a source it is the test's.
func (s *Server) Publish(e client.Event) Change {
	s.tb.Helper()
	if e.Type == "" {
		e.Type = client.Created
	}
	if e.Source == "" {
		e.Source = "/heliographtest"
	}
	receipt, err := s.api.Publish(s.context(), e)
	if err != nil {
		s.tb.Fatalf("heliographtest: publish %s: %v", e.Resource, err)
	}
	return Change{ID: receipt.IDs[0], Resource: e.Resource, Type: e.Type}
}

// Trigger makes up a realistic change of a resource, such as message.created, and publishes it: see heliograph trigger
// --list. It returns the changes that it made.
func (s *Server) Trigger(r client.TriggerRequest) []Change {
	s.tb.Helper()
	done, err := s.api.Trigger(s.context(), r)
	if err != nil {
		s.tb.Fatalf("heliographtest: trigger %s: %v", r.Event, err)
	}
	changes := make([]Change, len(done.Changes))
	for i, c := range done.Changes {
		changes[i] = Change{ID: c.ID, Resource: c.Resource, Type: client.ChangeType("heliograph.change." + c.ChangeType)}
	}
	return changes
}

// ExpectDelivered waits until every subscription that the change is for has it: its endpoint has answered with 2xx. It
// returns the deliveries. It fails when there is no such subscription, or when one of them does not get it, and says why.
func (s *Server) ExpectDelivered(c Change) []client.Delivery {
	s.tb.Helper()
	var now outcome.Outcome
	s.await(func() bool {
		now = outcome.Of(s.explain(c), "")
		if why := now.Nobody(); why != "" {
			s.tb.Fatalf("heliographtest: %s is for nobody: %s. There are: %s", c, why, s.resources())
		}
		return len(now.Missing) == 0
	}, func() string { return fmt.Sprintf("%s was not delivered: %s", c, strings.Join(now.Missing, "; ")) })
	return now.Delivered
}

// ExpectNotDelivered fails when the change is for any subscription that there is, and says for which.
func (s *Server) ExpectNotDelivered(c Change) {
	s.tb.Helper()
	if o := outcome.Of(s.explain(c), ""); len(o.For) > 0 {
		s.tb.Fatalf("heliographtest: %s is for subscription %s", c, strings.Join(o.For, ", "))
	}
}

// String names the change for a person.
func (c Change) String() string {
	return strings.TrimPrefix(string(c.Type), "heliograph.change.") + " " + c.Resource
}

func (s *Server) explain(c Change) *client.Explained {
	s.tb.Helper()
	e, err := s.api.Explain(s.context(), c.ID)
	if err != nil {
		s.tb.Fatalf("heliographtest: what became of %s: %v", c, err)
	}
	return e
}

// await looks at once and again until it is as it should be, or until the time that the server was given is over.
func (s *Server) await(done func() bool, fault func() string) {
	s.tb.Helper()
	const every = 2 * time.Millisecond
	late := time.NewTimer(s.wait)
	defer late.Stop()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-late.C:
			s.tb.Fatalf("heliographtest: after %v: %s", s.wait, fault())
		case <-s.context().Done():
			s.tb.Fatalf("heliographtest: the test ends: %s", fault())
		}
	}
}

// Advance moves the server's clock. What waits for a moment on the way happens at its moment and in order before it
// returns: subscriptions expire, tokens end, lifecycle notifications go out, what failed is sent again.
func (s *Server) Advance(d time.Duration) {
	s.tb.Helper()
	if _, err := s.api.AdvanceClock(s.context(), d, 0); err != nil {
		s.tb.Fatalf("heliographtest: advance %v: %v", d, err)
	}
}

// Now is the time that the server lives in.
func (s *Server) Now() time.Time {
	s.tb.Helper()
	c, err := s.api.Clock(s.context())
	if err != nil {
		s.tb.Fatalf("heliographtest: clock: %v", err)
	}
	return c.Now
}

// WaitForSubscription waits until an application has subscribed to a resource, and returns the subscription. A resource is
// compared as the application wrote it, but for a slash that comes first and for case.
func (s *Server) WaitForSubscription(resource string) *client.Outline {
	s.tb.Helper()
	var found *client.Outline
	s.await(func() bool {
		for _, o := range s.subscriptions() {
			if same(o.Resource, resource) {
				found = o
			}
		}
		return found != nil
	}, func() string { return "nobody has subscribed to " + resource + ". There are: " + s.resources() })
	return found
}

// ExpectGone waits until a subscription is there no more: deleted, expired or removed.
func (s *Server) ExpectGone(subscription string) {
	s.tb.Helper()
	s.await(func() bool {
		_, err := s.api.Outline(s.context(), subscription)
		if err != nil && !client.IsNotFound(err) {
			s.tb.Fatalf("heliographtest: subscription %s: %v", subscription, err)
		}
		return err != nil
	}, func() string { return "subscription " + subscription + " is still there" })
}

func (s *Server) subscriptions() []*client.Outline {
	s.tb.Helper()
	var all []*client.Outline
	for o, err := range s.api.Outlines(s.context()) {
		if err != nil {
			s.tb.Fatalf("heliographtest: subscriptions: %v", err)
		}
		all = append(all, o)
	}
	return all
}

// resources lists what is subscribed to, for a person.
func (s *Server) resources() string {
	s.tb.Helper()
	var list []string
	for _, o := range s.subscriptions() {
		list = append(list, fmt.Sprintf("%s (%s)", o.Resource, o.ChangeType))
	}
	if len(list) == 0 {
		return "no subscriptions"
	}
	return strings.Join(list, ", ")
}
