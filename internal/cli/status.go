package cli

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"heliograph.dev/client"
)

func (t *tool) subscriptionStatus(to *target) *cobra.Command {
	return &cobra.Command{
		Use:   "status [ID]",
		Short: "Show how subscriptions are, and what becomes of them",
		Long: `Show how subscriptions are (active, or paused and why) and what is done with them next. An application sees its
own, a caller with Heliograph.Control the tenant's.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			api, err := t.connect(to)
			if err != nil {
				return err
			}
			if len(args) == 1 {
				o, err := api.Outline(c.Context(), args[0])
				if err != nil {
					return explain(err)
				}
				return t.showOutline(o)
			}
			return t.listOutlines(c, api)
		},
	}
}

func (t *tool) listOutlines(c *cobra.Command, api *client.Client) error {
	encoder := json.NewEncoder(t.Out)
	w := tabwriter.NewWriter(t.Out, 0, 8, 2, ' ', 0)
	for o, err := range api.Outlines(c.Context()) {
		if err != nil {
			return explain(err)
		}
		if t.asJSON() {
			if err := encoder.Encode(o); err != nil {
				return err
			}
			continue
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", o.ID, stateOf(o), o.Resource, nextOf(o))
	}
	return w.Flush()
}

func (t *tool) showOutline(o *client.Outline) error {
	if t.asJSON() {
		return json.NewEncoder(t.Out).Encode(o)
	}
	w := tabwriter.NewWriter(t.Out, 0, 8, 2, ' ', 0)
	for _, row := range [][2]string{
		{"id", o.ID},
		{"resource", o.Resource},
		{"state", stateOf(o)},
		{"since", moment(o.Since)},
		{"detail", o.Detail},
		{"expires", moment(o.Expires)},
		{"token ends", moment(o.AuthorizedUntil)},
		{"next", nextOf(o)},
		{"last delivery", lastOf(o.LastDelivery)},
		{"last error", lastOf(o.LastError)},
	} {
		if row[1] != "" {
			_, _ = fmt.Fprintf(w, "%s\t%s\n", row[0], row[1])
		}
	}
	return w.Flush()
}

func stateOf(o *client.Outline) string {
	if o.Reason == "" {
		return o.State
	}
	return o.State + " (" + o.Reason + ")"
}

func nextOf(o *client.Outline) string {
	what := o.Next.Do
	if o.Next.LifecycleEvent != "" {
		what = o.Next.LifecycleEvent
	}
	return what + " at " + moment(o.Next.At) + " (" + o.Next.Reason + ")"
}

func lastOf(d *client.OutlineDelivery) string {
	if d == nil {
		return ""
	}
	text := moment(d.At) + " " + d.Reason
	if d.Status != 0 {
		text += fmt.Sprintf(" %d", d.Status)
	}
	return text
}

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.RFC3339)
}
