package cli

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"heliograph.dev/client"
)

func (t *tool) deliveries() *cobra.Command {
	c := &cobra.Command{
		Use:   "deliveries",
		Short: "See what was sent, why something was not, and send it again",
		Args:  cobra.NoArgs,
	}
	to := t.serverFlags(c)
	c.AddCommand(t.deliveryList(to), t.deliveryShow(to), t.deliveryResend(to), t.deliveryReplay(to), t.deliveryWhy(to), t.endpointList(to), t.endpointState(to))
	return c
}

func (t *tool) deliveryList(to *target) *cobra.Command {
	var q client.DeliveryQuery
	c := &cobra.Command{
		Use:     "list",
		Short:   "List the latest deliveries of the application",
		Example: `  heliograph deliveries list --failed`,
		Args:    cobra.NoArgs,
	}
	f := c.Flags()
	f.StringVar(&q.Subscription, "subscription", "", "only those of this subscription")
	f.StringVar(&q.Change, "change", "", "only those of this change")
	f.StringVar(&q.Endpoint, "endpoint", "", "only those to this URL")
	f.BoolVar(&q.FailedOnly, "failed", false, "only those that failed or were given up")
	f.IntVar(&q.Most, "top", 20, "at most so many")
	c.RunE = func(c *cobra.Command, _ []string) error {
		api, err := t.connect(to)
		if err != nil {
			return err
		}
		list, err := api.Deliveries(c.Context(), q)
		if err != nil {
			return explain(err)
		}
		if err := t.showDeliveries(list); err != nil {
			return err
		}
		leftOut, err := api.DeliveriesLeftOut(c.Context())
		if err != nil {
			return explain(err)
		}
		if leftOut > 0 {
			_, _ = fmt.Fprintf(t.Err, "%d deliveries are not remembered: under load the server keeps a sample\n", leftOut)
		}
		return nil
	}
	return c
}

func (t *tool) showDeliveries(list []client.Delivery) error {
	encoder := json.NewEncoder(t.Out)
	w := tabwriter.NewWriter(t.Out, 0, 8, 2, ' ', 0)
	for i := range list {
		d := &list[i]
		if t.asJSON() {
			if err := encoder.Encode(d); err != nil {
				return err
			}
			continue
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%.1f ms\t%d of %d\t%s\t%s\n", d.ID, d.Started.Local().Format(time.TimeOnly),
			outcome(d), d.Took, len(d.Notifications), d.Count, d.Endpoint, d.Detail)
	}
	return w.Flush()
}

// outcome says in a word or two how a delivery went.
func outcome(d *client.Delivery) string {
	switch {
	case d.GivenUp != "":
		return "given up: " + d.GivenUp
	case d.Status != 0:
		return fmt.Sprintf("%s %d", d.Reason, d.Status)
	}
	return d.Reason
}

func (t *tool) deliveryShow(to *target) *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "Show a delivery, with what was sent",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			api, err := t.connect(to)
			if err != nil {
				return err
			}
			d, err := api.Delivery(c.Context(), args[0])
			if err != nil {
				return explain(err)
			}
			encoder := json.NewEncoder(t.Out)
			if !t.asJSON() {
				encoder.SetIndent("", "  ")
			}
			return encoder.Encode(d)
		},
	}
}

func (t *tool) deliveryResend(to *target) *cobra.Command {
	return &cobra.Command{
		Use:   "resend ID",
		Short: "Send the notifications of a delivery once more",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			api, err := t.connect(to)
			if err != nil {
				return err
			}
			n, err := api.Resend(c.Context(), args[0])
			if err != nil {
				return explain(err)
			}
			return t.queued(n)
		},
	}
}

func (t *tool) deliveryReplay(to *target) *cobra.Command {
	var since, end string
	c := &cobra.Command{
		Use:   "replay SUBSCRIPTION",
		Short: "Send all that a subscription would be told of a span of time once more, in order",
		Example: `  heliograph deliveries replay 0f6f29cc-… --since 2h
  heliograph deliveries replay 0f6f29cc-… --since 2026-11-22T12:00:00Z --until 2026-11-22T13:00:00Z`,
		Args: cobra.ExactArgs(1),
	}
	c.Flags().StringVar(&since, "since", "1h", "since when: a time span back from now (2h, 1d) or a moment")
	c.Flags().StringVar(&end, "until", "0s", "until when, likewise")
	c.RunE = func(c *cobra.Command, args []string) error {
		api, err := t.connect(to)
		if err != nil {
			return err
		}
		began, err := ago(since)
		if err != nil {
			return err
		}
		ended, err := ago(end)
		if err != nil {
			return err
		}
		n, err := api.Replay(c.Context(), args[0], began, ended)
		if err != nil {
			return explain(err)
		}
		return t.queued(n)
	}
	return c
}

// ago reads a moment, or a time span back from now. No span at all is the zero time.
func ago(text string) (time.Time, error) {
	from := now()
	moment, err := until(text, from)
	switch back := moment.Sub(from); {
	case err != nil || back == 0:
		return time.Time{}, err
	case back > 0:
		return from.Add(-back), nil
	}
	return moment, nil
}

func (t *tool) queued(n int) error {
	if t.asJSON() {
		return json.NewEncoder(t.Out).Encode(map[string]int{"notifications": n})
	}
	t.printf("%d notifications are on their way again\n", n)
	return nil
}

func (t *tool) deliveryWhy(to *target) *cobra.Command {
	return &cobra.Command{
		Use:   "why CHANGE",
		Short: "Say what a change meant to each subscription: sent, or withheld and why",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			api, err := t.connect(to)
			if err != nil {
				return err
			}
			e, err := api.Explain(c.Context(), args[0])
			if err != nil {
				return explain(err)
			}
			if t.asJSON() {
				return json.NewEncoder(t.Out).Encode(e)
			}
			t.printf("%s  %s  accepted %s\n", e.ChangeType, e.Resource, e.Accepted.Local().Format(time.DateTime))
			if len(e.Subscriptions) == 0 {
				t.printf("no subscription of yours sees this resource\n")
			}
			for _, f := range e.Subscriptions {
				switch {
				case f.Withheld != "":
					t.printf("  %s  withheld: %s\n", f.SubscriptionID, f.Withheld)
				case len(f.Deliveries) == 0:
					t.printf("  %s  wanted; no delivery of it is remembered: it may wait for %s\n", f.SubscriptionID, f.Endpoint)
				}
				for i := range f.Deliveries {
					t.printf("  %s  %s  %s\n", f.SubscriptionID, f.Deliveries[i].Started.Local().Format(time.TimeOnly), outcome(&f.Deliveries[i]))
				}
			}
			return nil
		},
	}
}

func (t *tool) endpointList(to *target) *cobra.Command {
	return &cobra.Command{
		Use:   "endpoints",
		Short: "List the endpoints and how they are",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			api, err := t.connect(to)
			if err != nil {
				return err
			}
			list, err := api.Endpoints(c.Context())
			if err != nil {
				return explain(err)
			}
			encoder := json.NewEncoder(t.Out)
			w := tabwriter.NewWriter(t.Out, 0, 8, 2, ' ', 0)
			for i := range list {
				e := &list[i]
				if t.asJSON() {
					if err := encoder.Encode(e); err != nil {
						return err
					}
					continue
				}
				waits := ""
				if e.Parked {
					waits = fmt.Sprintf("%s, next at %s", e.Why, e.Resumes.Local().Format(time.TimeOnly))
				}
				if e.Apart != "" {
					waits = fmt.Sprintf("subscription %s: %s", e.Apart, waits)
				}
				_, _ = fmt.Fprintf(w, "%s\t%s\t%d answers, %.0f %% late, %.0f %% beyond\t%s\n",
					e.Endpoint, e.State, e.Answers, 100*e.Late, 100*e.Beyond, waits)
			}
			return w.Flush()
		},
	}
}

func (t *tool) endpointState(to *target) *cobra.Command {
	return &cobra.Command{
		Use:       "force URL healthy|slow|dropping",
		Short:     "Make an endpoint what you say, at a development server",
		Args:      cobra.ExactArgs(2),
		ValidArgs: []string{"healthy", "slow", "dropping"},
		RunE: func(c *cobra.Command, args []string) error {
			api, err := t.connect(to)
			if err != nil {
				return err
			}
			if err := api.ForceEndpoint(c.Context(), args[0], args[1]); err != nil {
				return explain(err)
			}
			return t.done(args[1], args[0])
		},
	}
}
