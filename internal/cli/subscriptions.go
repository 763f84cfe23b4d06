package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"heliograph.dev/client"
)

func (t *tool) subscriptions() *cobra.Command {
	c := &cobra.Command{
		Use:     "subscriptions",
		Aliases: []string{"subscription", "subs"},
		Short:   "Create, list, show, renew, reauthorize and delete subscriptions",
		Long: `Work with the subscriptions of an application on a running server.

Against heliograph dev nothing more is needed. Elsewhere say who you are: --token, or --token-url with
--client-id and --client-secret (or the HELIOGRAPH_… variables that they name).`,
		Args: cobra.NoArgs,
	}
	to := t.serverFlags(c)
	c.AddCommand(t.subscriptionCreate(to), t.subscriptionList(to), t.subscriptionGet(to), t.subscriptionStatus(to),
		t.subscriptionRenew(to), t.subscriptionReauthorize(to), t.subscriptionDelete(to))
	return c
}

func (t *tool) subscriptionCreate(to *target) *cobra.Command {
	var (
		s       client.Subscription
		expires string
	)
	c := &cobra.Command{
		Use:   "create RESOURCE",
		Short: "Subscribe to a resource",
		Example: `  heliograph subscriptions create users/demo/messages --url http://127.0.0.1:9090/
  heliograph subscriptions create chats/getAllMessages --url https://example.org/hook --lifecycle-url https://example.org/life --expires 3d`,
		Args: cobra.ExactArgs(1),
	}
	f := c.Flags()
	f.StringVar(&s.NotificationURL, "url", "http://127.0.0.1:9090/", "where notifications go; the default is where heliograph listen receives")
	f.StringVar(&s.ChangeType, "change-type", "", "created, updated, deleted; several with commas (default: created, or updated where only that is known)")
	f.StringVar(&s.LifecycleNotificationURL, "lifecycle-url", "", "where lifecycle notifications go")
	f.StringVar(&s.ClientState, "client-state", "", "a text that comes back with every notification")
	f.StringVar(&s.Prefer, "prefer", "", `what the Prefer header asks for, such as 'IdType="ImmutableId"'`)
	f.StringVar(&expires, "expires", "1h", "how long it lasts: a time span (3d, 12h, 90m) or a moment")
	c.RunE = func(c *cobra.Command, args []string) error {
		api, err := t.connect(to)
		if err != nil {
			return err
		}
		s.Resource = args[0]
		if s.ExpirationDateTime, err = until(expires, serverNow(c.Context(), api)); err != nil {
			return err
		}
		made, err := createWithType(c, api, s)
		if err != nil {
			return t.explainHandshake(c, api, err)
		}
		return t.show(c.Context(), api, made)
	}
	return c
}

// createWithType subscribes. When no change type was said it takes created, and where the resource does not
// know that one, updated: every resource knows one of them.
func createWithType(c *cobra.Command, api *client.Client, s client.Subscription) (*client.Subscription, error) {
	if s.ChangeType != "" {
		return api.CreateSubscription(c.Context(), s)
	}
	s.ChangeType = "created"
	made, err := api.CreateSubscription(c.Context(), s)
	var refused *client.Error
	if errors.As(err, &refused) && refused.Rule == "create.change_type" {
		s.ChangeType = "updated"
		return api.CreateSubscription(c.Context(), s)
	}
	return made, err
}

// explainHandshake shows the exchange with an endpoint that did not prove itself.
func (t *tool) explainHandshake(c *cobra.Command, api *client.Client, err error) error {
	var refused *client.Error
	if !errors.As(err, &refused) || refused.Handshake == "" {
		return explain(err)
	}
	h, fetched := api.Handshake(c.Context(), refused.Handshake)
	if fetched != nil {
		return explain(err)
	}
	_, _ = fmt.Fprintf(t.Err, "The endpoint did not prove itself: %s\n\n%s\n", h.URL, h.Request)
	if h.Answer != nil {
		_, _ = fmt.Fprintf(t.Err, "It answered %d after %.0f ms:\n%s\n\n", h.Answer.Status, h.Took, h.Answer.Body)
	} else {
		_, _ = fmt.Fprintf(t.Err, "No answer after %.0f ms: %s %s\n\n", h.Took, h.Reason, h.Detail)
	}
	return explain(err)
}

func (t *tool) subscriptionList(to *target) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the application's subscriptions",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			api, err := t.connect(to)
			if err != nil {
				return err
			}
			at := serverNow(c.Context(), api)
			encoder := json.NewEncoder(t.Out)
			w := tabwriter.NewWriter(t.Out, 0, 8, 2, ' ', 0)
			for s, err := range api.Subscriptions(c.Context()) {
				if err != nil {
					return explain(err)
				}
				if t.asJSON() {
					if err := encoder.Encode(s); err != nil {
						return err
					}
					continue
				}
				_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", s.ID, s.ChangeType, s.Resource, left(s.ExpirationDateTime, at))
			}
			return w.Flush()
		},
	}
}

func (t *tool) subscriptionGet(to *target) *cobra.Command {
	return &cobra.Command{
		Use:   "get ID",
		Short: "Show a subscription",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			api, err := t.connect(to)
			if err != nil {
				return err
			}
			s, err := api.Subscription(c.Context(), args[0])
			if err != nil {
				return explain(err)
			}
			return t.show(c.Context(), api, s)
		},
	}
}

func (t *tool) subscriptionDelete(to *target) *cobra.Command {
	return &cobra.Command{
		Use:   "delete ID",
		Short: "Delete a subscription",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			api, err := t.connect(to)
			if err != nil {
				return err
			}
			if err := api.DeleteSubscription(c.Context(), args[0]); err != nil {
				return explain(err)
			}
			return t.done("deleted", args[0])
		},
	}
}

func (t *tool) done(what, id string) error {
	if t.asJSON() {
		return json.NewEncoder(t.Out).Encode(map[string]string{"id": id, "result": what})
	}
	t.printf("%s %s\n", what, id)
	return nil
}

func (t *tool) show(ctx context.Context, api *client.Client, s *client.Subscription) error {
	if t.asJSON() {
		return json.NewEncoder(t.Out).Encode(s)
	}
	at := serverNow(ctx, api)
	w := tabwriter.NewWriter(t.Out, 0, 8, 2, ' ', 0)
	for _, row := range [][2]string{
		{"id", s.ID},
		{"resource", s.Resource},
		{"changeType", s.ChangeType},
		{"notificationUrl", s.NotificationURL},
		{"lifecycleNotificationUrl", s.LifecycleNotificationURL},
		{"expirationDateTime", s.ExpirationDateTime.Format(time.RFC3339) + " (" + left(s.ExpirationDateTime, at) + ")"},
		{"clientState", s.ClientState},
		{"applicationId", s.ApplicationID},
		{"creatorId", s.CreatorID},
	} {
		if row[1] != "" {
			_, _ = fmt.Fprintf(w, "%s\t%s\n", row[0], row[1])
		}
	}
	return w.Flush()
}

// left says how long something lasts from a moment on.
func left(until, from time.Time) string {
	d := until.Sub(from).Round(time.Minute)
	switch {
	case d <= 0:
		return "expired"
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d days left", int(d/(24*time.Hour)))
	case d >= time.Hour:
		return fmt.Sprintf("%dh%02dm left", int(d/time.Hour), int(d%time.Hour/time.Minute))
	}
	return fmt.Sprintf("%d min left", int(d/time.Minute))
}
