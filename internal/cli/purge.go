package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"heliograph.dev/client"
)

func (t *tool) purge() *cobra.Command {
	var (
		r   client.PurgeRequest
		yes bool
	)
	c := &cobra.Command{
		Use:   "purge --tenant TENANT [--user USER] --yes",
		Short: "Forget a tenant or a user, for good",
		Long: `Forget a tenant, or a user of it: subscriptions with all that they hold, reports of lost access, and what the server
remembers of deliveries and handshakes. Nobody is told. There is no way back.

What the disk holds from before was sealed with keys that are destroyed when the change log has outgrown them
(store.retention), or at once with --now, which drops the log: that is refused while anything is under way or waits. The
receipt says what was removed and which keys; heliograph purge show ID tells when they are gone. Copies of the key file
elsewhere are yours to destroy.`,
		Example: `  heliograph purge --tenant 84bd8158-6d4d-4958-8b9f-9d6445542f95 --yes
  heliograph purge --tenant 84bd8158-6d4d-4958-8b9f-9d6445542f95 --user ada@example.org --yes --now`,
		Args: cobra.NoArgs,
	}
	to := t.serverFlags(c)
	f := c.Flags()
	f.StringVar(&r.Tenant, "tenant", "", "the tenant, a GUID")
	f.StringVar(&r.User, "user", "", "a user of the tenant: an object id or a principal name (default: the whole tenant)")
	f.BoolVar(&r.Now, "now", false, "drop the change log at once, instead of when it is outgrown")
	f.BoolVar(&yes, "yes", false, "yes, for good")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if r.Tenant == "" || !yes {
			return usageError{errors.New("say whom to forget (--tenant, --user), and --yes: there is no way back")}
		}
		api, err := t.connect(to)
		if err != nil {
			return err
		}
		receipt, err := api.Purge(c.Context(), r)
		if err != nil {
			return explain(err)
		}
		return t.showPurge(&receipt)
	}
	c.AddCommand(t.purgeShow(to))
	return c
}

func (t *tool) purgeShow(to *target) *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "Show the receipt of a purge, as it stands",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			api, err := t.connect(to)
			if err != nil {
				return err
			}
			receipt, err := api.PurgeReceipt(c.Context(), args[0])
			if err != nil {
				return explain(err)
			}
			return t.showPurge(&receipt)
		},
	}
}

func (t *tool) showPurge(r *client.PurgeReceipt) error {
	if t.asJSON() {
		return json.NewEncoder(t.Out).Encode(r)
	}
	w := tabwriter.NewWriter(t.Out, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintf(w, "id\t%s\n", r.ID)
	_, _ = fmt.Fprintf(w, "removed\t%d subscriptions, %d reports, %d deliveries, %d handshakes, %d objects\n",
		r.Subscriptions, r.Reports, r.Deliveries, r.Handshakes, r.Objects)
	if r.Completed.IsZero() {
		_, _ = fmt.Fprintf(w, "to be destroyed\tkeys %s, when the change log has outgrown them\n", strings.Join(r.KeysToDestroy, " "))
	} else {
		_, _ = fmt.Fprintf(w, "destroyed\tkeys %s, %s\n", strings.Join(r.KeysDestroyed, " "), r.Completed.Format(time.RFC3339))
	}
	return w.Flush()
}
