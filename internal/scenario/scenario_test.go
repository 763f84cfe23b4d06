package scenario_test

import (
	"context"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"heliograph.dev/client"
	"heliograph.dev/heliographtest"
	"heliograph.dev/internal/scenario"
	"heliograph.dev/receiver"
)

// application is one under test: it subscribes to a mailbox, and renews when it is told to.
func application(tb testing.TB, graph *heliographtest.Server) *client.Subscription {
	tb.Helper()
	var sub *client.Subscription
	h, err := receiver.New(receiver.Options{
		ClientState: receiver.AnyClientState(),
		OnChange:    func(context.Context, *receiver.Notification) error { return nil },
		OnLifecycle: func(ctx context.Context, n *receiver.Notification) error {
			clock, err := graph.Client().Clock(ctx)
			if err != nil {
				return err
			}
			_, err = graph.Client().UpdateSubscription(ctx, n.SubscriptionID, client.Update{ExpirationDateTime: clock.Now.Add(48 * time.Hour)})
			return err
		},
	})
	if err != nil {
		tb.Fatal(err)
	}
	server := httptest.NewServer(h)
	tb.Cleanup(server.Close)
	sub, err = graph.Client().CreateSubscription(tb.Context(), client.Subscription{
		Resource: "/users/demo/messages", ChangeType: "created", NotificationURL: server.URL, LifecycleNotificationURL: server.URL,
		ExpirationDateTime: graph.Now().Add(24 * time.Hour),
	})
	if err != nil {
		tb.Fatal(err)
	}
	return sub
}

func run(tb testing.TB, graph *heliographtest.Server, text string) *scenario.Report {
	tb.Helper()
	s, err := scenario.Parse([]byte(text))
	if err != nil {
		tb.Fatal(err)
	}
	return scenario.Run(tb.Context(), s, scenario.Options{API: graph.Client(), Now: time.Now}) //nolint:forbidigo // how long steps take in real time
}

func TestStory(t *testing.T) {
	t.Parallel()
	graph := heliographtest.New(t)
	application(t, graph)
	r := run(t, graph, `
name: a mailbox
seed: 7
steps:
  - wait_for_subscription: {resource: users/demo/messages, as: mail, within: 1m}
  - trigger: {event: message.created, user: demo, set: {subject: Hi, from.emailAddress.address: a@example.org}, as: hello}
  - expect_delivery: {of: hello, to: mail, within: 1m}
  - publish: {resource: users/demo/messages/1, type: updated, data: {subject: Hi}, as: changed}
  - expect_none: {of: changed}
  - fault: {kind: outage, times: 1}
  - trigger: {event: message.created, user: demo, as: later}
  - advance: 1m
  - expect_delivery: {of: later, within: 1m}
  - clear_faults: true
  - advance: 23h
  - expect_lifecycle: {event: reauthorizationRequired, to: mail, within: 1m}
  - expect_renewal: {of: mail, within: 1m}
  - advance: 100h
  - expect_renewal: {of: mail, within: 1m}
  - lifecycle: {event: missed, of: mail}
  - expect_lifecycle: {event: missed, to: mail, within: 1m}
  - lifecycle: {event: subscriptionRemoved, of: mail}
  - expect_gone: {of: mail, within: 1m}
`)
	for _, s := range r.Steps {
		if !s.Passed {
			t.Errorf("step %d, line %d, %s %s: %s", s.Step, s.Line, s.Kind, s.About, s.Why)
		}
	}
	if faults, err := graph.Client().Faults(t.Context()); err != nil || len(faults) != 0 {
		t.Errorf("left in force: %+v, %v", faults, err)
	}
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	graph := heliographtest.New(t)
	sub := application(t, graph)
	if _, err := graph.Client().AddFault(t.Context(), client.Fault{Kind: "drop", Endpoint: sub.NotificationURL}); err != nil {
		t.Fatal(err) // it is not told, and so does not renew
	}
	r := run(t, graph, `
name: an application that does not renew
steps:
  - wait_for_subscription: {resource: users/demo/messages, as: mail}
  - advance: 25h
  - expect_gone: {of: mail, within: 1m}
`)
	if !r.Passed {
		t.Errorf("%+v", r)
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	graph := heliographtest.New(t)
	application(t, graph)
	for name, tt := range map[string]struct{ steps, why string }{
		"nobody subscribes": {"- wait_for_subscription: {resource: users/x/messages, within: 1ms}", "nobody subscribed to it; there are: /users/demo/messages"},
		"unknown event":     {"- trigger: {event: nothing.created}", "nothing.created"},
		"for nobody":        {"- publish: {resource: users/x/messages/1, as: a}\n- expect_delivery: {of: a}", "is for nobody: no subscription watches it"},
		"withheld":          {"- publish: {resource: users/demo/messages/1, type: deleted, as: a}\n- expect_delivery: {of: a}", "change_type"},
		"for somebody":      {"- publish: {resource: users/demo/messages/1, as: a}\n- expect_none: {of: a}", "is for subscription"},
		"not renewed":       {"- wait_for_subscription: {resource: users/demo/messages, as: m}\n- expect_renewal: {of: m, within: 1ms}", "it still expires at"},
		"not told":          {"- wait_for_subscription: {resource: users/demo/messages, as: m}\n- expect_lifecycle: {event: missed, to: m, within: 1ms}", "it was not sent"},
		"still there":       {"- wait_for_subscription: {resource: users/demo/messages, as: m}\n- expect_gone: {of: m, within: 1ms}", "it is still there"},
		"no such fault":     {"- fault: {kind: nothing}", `There is no fault "nothing"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := run(t, graph, "name: "+name+"\nsteps:\n"+tt.steps+"\n- clear_faults: true\n")
			last := r.Steps[len(r.Steps)-1]
			failed := slices.IndexFunc(r.Steps, func(s scenario.Result) bool { return s.Why != "" })
			if r.Passed || failed < 0 || !strings.Contains(r.Steps[failed].Why, tt.why) || !last.Left {
				t.Errorf("%+v", r)
			}
			var out strings.Builder
			if err := scenario.WriteJUnit(&out, []*scenario.Report{r}); err != nil || !strings.Contains(out.String(), `failures="1" skipped="1"`) {
				t.Errorf("%v\n%s", err, out.String())
			}
		})
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	for text, why := range map[string]string{
		"":                                           "it is empty",
		"name: a":                                    "between 1 and 1000 steps",
		"steps: [{}]":                                "a step is one kind",
		"steps: [{nothing: 1}]":                      `there is no step "nothing"`,
		"steps: [{advance: soon}]":                   `"soon" is no time span`,
		"steps: [{advance: -1s}]":                    "is no time span",
		"steps: [{advance: 0s}]":                     "forward only",
		"steps: [{trigger: }]":                       "cannot unmarshal",
		"steps: [{trigger: {event: }}]":              "event is missing",
		"steps: [{trigger: {evnt: a}}]":              "evnt",
		"steps: [{expect_delivery: {of: a}}]":        `no step before it is named "a"`,
		"steps: [{publish: {resource: a, type: b}}]": "created, updated or deleted",
		"steps: [{wait_for_subscription: {resource: a, within: 20m}}]": "at most 10m",
		"stps: []": "stps",
		"steps: [{advance: 1s, clear_faults: true}]":             "a step is one kind",
		"name: a\nsteps:\n- advance: 1s\n- expect_gone: {of: b}": "line 4, expect_gone",
	} {
		if _, err := scenario.Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v, want %q", text, err, why)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("name: a\nsteps:\n- advance: 1s\n"))
	f.Fuzz(func(_ *testing.T, text []byte) { _, _ = scenario.Parse(text) })
}
