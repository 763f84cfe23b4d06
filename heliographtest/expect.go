package heliographtest

import (
	"fmt"
	"strings"
	"time"

	"heliograph.dev/client"
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
	var now fate
	s.await(func() bool {
		if now = s.fate(c); now.nobody != "" {
			s.tb.Fatalf("heliographtest: %s is for nobody: %s", c, now.nobody)
		}
		return now.missing == ""
	}, func() string { return fmt.Sprintf("%s was not delivered: %s", c, now.missing) })
	return now.delivered
}

// ExpectNotDelivered fails when the change is for any subscription that there is, and says for which.
func (s *Server) ExpectNotDelivered(c Change) {
	s.tb.Helper()
	e := s.explain(c)
	for i := range e.Subscriptions {
		if f := &e.Subscriptions[i]; f.Withheld == "" {
			s.tb.Fatalf("heliographtest: %s is for subscription %s", c, f.SubscriptionID)
		}
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

// fate is what has become of a change so far.
type fate struct {
	delivered []client.Delivery
	missing   string // who does not have it yet, and how that went
	nobody    string // why it is for nobody at all
}

func (s *Server) fate(c Change) fate {
	s.tb.Helper()
	var now fate
	var missing, withheld []string
	subscriptions := s.explain(c).Subscriptions
	for i := range subscriptions {
		f := &subscriptions[i]
		if f.Withheld != "" {
			withheld = append(withheld, fmt.Sprintf("subscription %s does not get it: %s", f.SubscriptionID, f.Withheld))
		} else if d, fault := outcome(f); d == nil {
			missing = append(missing, fmt.Sprintf("subscription %s at %s: %s", f.SubscriptionID, f.Endpoint, fault))
		} else {
			now.delivered = append(now.delivered, *d)
		}
	}
	now.missing = strings.Join(missing, "; ")
	if len(missing)+len(now.delivered) == 0 {
		now.nobody = strings.Join(withheld, "; ")
		if len(withheld) == 0 {
			now.nobody = "no subscription watches it. There are: " + s.resources()
		}
	}
	return now
}

// outcome returns the delivery that went well, or says how the last one went.
func outcome(f *client.Fate) (delivered *client.Delivery, fault string) {
	for i := range f.Deliveries {
		if d := &f.Deliveries[i]; d.Reason == "delivered" && d.GivenUp == "" {
			return d, ""
		}
	}
	if len(f.Deliveries) == 0 {
		return nil, "not sent yet"
	}
	last := &f.Deliveries[0] // the latest comes first
	switch {
	case last.GivenUp != "":
		return nil, "given up: " + last.GivenUp
	case last.Status != 0:
		return nil, fmt.Sprintf("the endpoint answered %d (%s)", last.Status, last.Reason)
	}
	return nil, strings.TrimSuffix(last.Reason+": "+last.Detail, ": ")
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
