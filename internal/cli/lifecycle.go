package cli

import (
	"encoding/json"

	"github.com/spf13/cobra"
)

func (t *tool) lifecycle() *cobra.Command {
	var keep bool
	c := &cobra.Command{
		Use:   "lifecycle EVENT ID",
		Short: "Send a lifecycle notification to a subscription",
		Long: `Send a subscription's lifecycleNotificationUrl one of

  missed                   notifications were lost: the receiver is to read its resources again
  reauthorizationRequired  it is to reauthorize or renew
  subscriptionRemoved      the subscription is gone, and it is: --keep leaves it where it is

at once, and whether or not Graph sends that for the resource. The notification takes the way of every other one, with its
retries. It needs the application permission Heliograph.Control, which in dev every application has.`,
		Example: `  heliograph lifecycle missed 7f105c7d-2dc5-4530-97cd-4e7ae6534c07
  heliograph lifecycle subscriptionRemoved 7f105c7d-2dc5-4530-97cd-4e7ae6534c07 --keep`,
		Args:      cobra.ExactArgs(2),
		ValidArgs: []string{"missed", "reauthorizationRequired", "subscriptionRemoved"},
	}
	to := t.serverFlags(c)
	c.Flags().BoolVar(&keep, "keep", false, "with subscriptionRemoved: leave the subscription where it is")
	c.RunE = func(c *cobra.Command, args []string) error {
		api, err := t.connect(to)
		if err != nil {
			return err
		}
		id, err := api.SendLifecycle(c.Context(), args[1], args[0], keep)
		if err != nil {
			return explain(err)
		}
		if t.asJSON() {
			return json.NewEncoder(t.Out).Encode(map[string]string{"id": id})
		}
		t.printf("sent %s as change %s\n", args[0], id)
		return nil
	}
	return c
}
