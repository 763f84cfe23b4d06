package scenario

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"heliograph.dev/client"
	"heliograph.dev/internal/outcome"
)

// action is what a kind of step does.
type action interface {
	kind() string
	check() string  // what is wrong with what it says, or nothing
	uses() []string // names that it needs
	names() string  // the name that it gives
	about() string  // for a person
	run(ctx context.Context, r *run) error
}

// plain is a step that gives no name and needs none.
type plain struct{}

func (plain) check() string  { return "" }
func (plain) uses() []string { return nil }
func (plain) names() string  { return "" }

// do returns what the step does, or nil when it says nothing.
func (s *Step) do() action {
	switch {
	case s.WaitForSubscription != nil:
		return waiting{WaitForSubscription: s.WaitForSubscription}
	case s.Trigger != nil:
		return triggering{Trigger: s.Trigger}
	case s.Publish != nil:
		return publishing{Publish: s.Publish}
	case s.ExpectDelivery != nil:
		return delivery{ExpectDelivery: s.ExpectDelivery}
	case s.ExpectNone != nil:
		return noDelivery{ExpectNone: s.ExpectNone}
	case s.ExpectRenewal != nil:
		return renewal{Expect: s.ExpectRenewal}
	case s.ExpectLifecycle != nil:
		return lifecycleNotice{ExpectLifecycle: s.ExpectLifecycle}
	case s.ExpectGone != nil:
		return gone{Expect: s.ExpectGone}
	case s.Lifecycle != nil:
		return sending{Lifecycle: s.Lifecycle}
	case s.Advance != nil:
		return advancing{by: time.Duration(*s.Advance)}
	case s.Fault != nil:
		return faulting{Fault: s.Fault}
	case s.ClearFaults != nil:
		return clearing{}
	}
	return nil
}

// known reports whether there are such steps.
func known(kind string) bool {
	return slices.Contains([]string{
		"wait_for_subscription", "trigger", "publish", "expect_delivery", "expect_none", "expect_renewal", "expect_lifecycle",
		"expect_gone", "lifecycle", "advance", "fault", "clear_faults",
	}, kind)
}

func limit(d Duration) time.Duration { return cmp.Or(time.Duration(d), within) }

func tooLong(d Duration) string {
	if time.Duration(d) > MaxWithin {
		return fmt.Sprintf("within is at most %v", MaxWithin)
	}
	return ""
}

func lacks(name, value string) string {
	if value == "" {
		return name + " is missing"
	}
	return ""
}

type waiting struct {
	plain
	*WaitForSubscription
}

func (waiting) kind() string    { return "wait_for_subscription" }
func (w waiting) names() string { return w.As }
func (w waiting) about() string { return "somebody subscribes to " + w.Resource }
func (w waiting) check() string { return cmp.Or(lacks("resource", w.Resource), tooLong(w.Within)) }
func (w waiting) run(ctx context.Context, r *run) error {
	var others []string
	return r.await(ctx, limit(w.Within), func() (bool, error) {
		others = others[:0]
		for o, err := range r.api.Outlines(ctx) {
			if err != nil {
				return false, err
			}
			if same(o.Resource, w.Resource) {
				r.subscriptions[w.As] = o
				return true, nil
			}
			others = append(others, o.Resource)
		}
		return false, nil
	}, func() string {
		return "nobody subscribed to it; there are: " + cmp.Or(strings.Join(others, ", "), "none")
	})
}

// same reports whether two resources are written alike, but for the slash that may come first and for case.
func same(a, b string) bool {
	return strings.EqualFold(strings.TrimPrefix(a, "/"), strings.TrimPrefix(b, "/"))
}

type triggering struct {
	plain
	*Trigger
}

func (triggering) kind() string    { return "trigger" }
func (t triggering) names() string { return t.As }
func (t triggering) about() string { return t.Event }
func (t triggering) check() string { return lacks("event", t.Event) }
func (t triggering) run(ctx context.Context, r *run) error {
	request := client.TriggerRequest{Event: t.Event, User: t.User, Parameters: t.Parameters, Seed: t.Seed, Count: t.Count}
	if request.Seed == nil {
		seed := r.nextSeed()
		request.Seed = &seed
	}
	for _, name := range slices.Sorted(maps.Keys(t.Set)) {
		request.Set = append(request.Set, client.Setting{Name: name, Value: t.Set[name]})
	}
	done, err := r.api.Trigger(ctx, request)
	if err != nil {
		return err
	}
	for _, c := range done.Changes {
		r.changes[t.As] = append(r.changes[t.As], change{id: c.ID, text: c.ChangeType + " " + c.Resource})
	}
	return nil
}

type publishing struct {
	plain
	*Publish
}

func (publishing) kind() string    { return "publish" }
func (p publishing) names() string { return p.As }
func (p publishing) about() string { return cmp.Or(p.Type, "created") + " " + p.Resource }
func (p publishing) check() string {
	if !slices.Contains([]string{"", "created", "updated", "deleted"}, p.Type) {
		return "type is created, updated or deleted"
	}
	return lacks("resource", p.Resource)
}

func (p publishing) run(ctx context.Context, r *run) error {
	e := client.Event{
		Source: "/scenario", Type: client.ChangeType("heliograph.change." + cmp.Or(p.Type, "created")), Resource: p.Resource, Paths: p.Paths,
	}
	if p.Data != nil {
		data, err := json.Marshal(p.Data)
		if err != nil {
			return err
		}
		e.Data = json.RawMessage(data)
	}
	receipt, err := r.api.Publish(ctx, e)
	if err != nil {
		return err
	}
	r.changes[p.As] = append(r.changes[p.As], change{id: receipt.IDs[0], text: p.about()})
	return nil
}

type delivery struct {
	plain
	*ExpectDelivery
}

func (delivery) kind() string     { return "expect_delivery" }
func (d delivery) uses() []string { return []string{d.Of, d.To} }
func (d delivery) about() string  { return "of " + d.Of }
func (d delivery) check() string  { return cmp.Or(lacks("of", d.Of), tooLong(d.Within)) }
func (d delivery) run(ctx context.Context, r *run) error {
	var why string
	return r.await(ctx, limit(d.Within), func() (bool, error) {
		for _, c := range r.changes[d.Of] {
			e, err := r.api.Explain(ctx, c.id)
			if err != nil {
				return false, err
			}
			o := outcome.Of(e, r.id(d.To))
			if nobody := o.Nobody(); nobody != "" {
				return false, fmt.Errorf("%s is for nobody: %s", c.text, nobody)
			}
			if len(o.Missing) > 0 {
				why = c.text + ": " + strings.Join(o.Missing, "; ")
				return false, nil
			}
		}
		return true, nil
	}, func() string { return why })
}

type noDelivery struct {
	plain
	*ExpectNone
}

func (noDelivery) kind() string     { return "expect_none" }
func (n noDelivery) uses() []string { return []string{n.Of, n.To} }
func (n noDelivery) about() string  { return "of " + n.Of }
func (n noDelivery) check() string  { return lacks("of", n.Of) }
func (n noDelivery) run(ctx context.Context, r *run) error {
	for _, c := range r.changes[n.Of] {
		e, err := r.api.Explain(ctx, c.id)
		if err != nil {
			return err
		}
		if o := outcome.Of(e, r.id(n.To)); len(o.For) > 0 {
			return fmt.Errorf("%s is for subscription %s", c.text, strings.Join(o.For, ", "))
		}
	}
	return nil
}

type renewal struct {
	plain
	*Expect
}

func (renewal) kind() string     { return "expect_renewal" }
func (e renewal) uses() []string { return []string{e.Of} }
func (e renewal) about() string  { return "of " + e.Of }
func (e renewal) check() string  { return cmp.Or(lacks("of", e.Of), tooLong(e.Within)) }
func (e renewal) run(ctx context.Context, r *run) error {
	known := r.subscriptions[e.Of]
	return r.await(ctx, limit(e.Within), func() (bool, error) {
		now, err := r.api.Outline(ctx, known.ID)
		if err != nil {
			return false, err
		}
		if now.Expires.After(known.Expires) {
			r.subscriptions[e.Of] = now
			return true, nil
		}
		return false, nil
	}, func() string { return "it still expires at " + known.Expires.Format(time.RFC3339) })
}

type lifecycleNotice struct {
	plain
	*ExpectLifecycle
}

func (lifecycleNotice) kind() string     { return "expect_lifecycle" }
func (l lifecycleNotice) uses() []string { return []string{l.To} }
func (l lifecycleNotice) about() string  { return l.Event + " to " + l.To }
func (l lifecycleNotice) check() string {
	return cmp.Or(lacks("event", l.Event), lacks("to", l.To), tooLong(l.Within))
}

func (l lifecycleNotice) run(ctx context.Context, r *run) error {
	why := "it was not sent"
	return r.await(ctx, limit(l.Within), func() (bool, error) {
		list, err := r.api.Deliveries(ctx, client.DeliveryQuery{Subscription: r.id(l.To), Most: 1000})
		if err != nil {
			return false, err
		}
		for i := range list {
			for _, n := range list[i].Notifications {
				if !strings.EqualFold(n.LifecycleEvent, l.Event) {
					continue
				}
				if list[i].Reason == "delivered" && list[i].GivenUp == "" {
					return true, nil
				}
				why = fmt.Sprintf("the endpoint answered %d (%s)", list[i].Status, list[i].Reason)
			}
		}
		return false, nil
	}, func() string { return why })
}

type gone struct {
	plain
	*Expect
}

func (gone) kind() string     { return "expect_gone" }
func (g gone) uses() []string { return []string{g.Of} }
func (g gone) about() string  { return g.Of }
func (g gone) check() string  { return cmp.Or(lacks("of", g.Of), tooLong(g.Within)) }
func (g gone) run(ctx context.Context, r *run) error {
	return r.await(ctx, limit(g.Within), func() (bool, error) {
		_, err := r.api.Outline(ctx, r.id(g.Of))
		if client.IsNotFound(err) {
			return true, nil
		}
		return false, err
	}, func() string { return "it is still there" })
}

type sending struct {
	plain
	*Lifecycle
}

func (sending) kind() string     { return "lifecycle" }
func (s sending) uses() []string { return []string{s.Of} }
func (s sending) about() string  { return s.Event + " of " + s.Of }
func (s sending) check() string  { return cmp.Or(lacks("event", s.Event), lacks("of", s.Of)) }
func (s sending) run(ctx context.Context, r *run) error {
	_, err := r.api.SendLifecycle(ctx, r.id(s.Of), s.Event, false)
	return err
}

type advancing struct {
	plain
	by time.Duration
}

func (advancing) kind() string    { return "advance" }
func (a advancing) about() string { return a.by.String() }
func (a advancing) check() string {
	if a.by <= 0 {
		return "a clock goes forward only"
	}
	return ""
}

func (a advancing) run(ctx context.Context, r *run) error {
	_, err := r.api.AdvanceClock(ctx, a.by, 0)
	return err
}

type faulting struct {
	plain
	*Fault
}

func (faulting) kind() string    { return "fault" }
func (f faulting) about() string { return f.Kind }
func (f faulting) check() string { return lacks("kind", f.Kind) }
func (f faulting) run(ctx context.Context, r *run) error {
	made := client.Fault{
		Kind: f.Kind, App: f.App, Method: f.Method, Path: f.Path, Endpoint: f.Endpoint, Skip: f.Skip, Times: f.Times, Share: f.Share,
		Delay: time.Duration(f.Delay), RetryAfter: time.Duration(f.RetryAfter), Seed: r.nextSeed(),
	}
	if f.Seed != nil {
		made.Seed = *f.Seed
	}
	done, err := r.api.AddFault(ctx, made)
	if err == nil {
		r.faults = append(r.faults, done.ID)
	}
	return err
}

type clearing struct{ plain }

func (clearing) kind() string  { return "clear_faults" }
func (clearing) about() string { return "" }
func (clearing) run(ctx context.Context, r *run) error {
	return r.clearFaults(ctx)
}
