package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"heliograph.dev/client"
	"heliograph.dev/internal/clock"
)

// chosen are the subscriptions that a command is about: those that are named, or all, and of them those that end soon.
type chosen struct {
	all    bool
	before string
}

func (o *chosen) flags(c *cobra.Command) {
	c.Flags().BoolVar(&o.all, "all", false, "all subscriptions of the application, not those that are named")
	c.Flags().StringVar(&o.before, "before", "", "of them, those that end within a time span (6h, 1d) or before a moment")
}

// args takes ids, or --all.
func (o *chosen) args(_ *cobra.Command, args []string) error {
	if o.all == (len(args) > 0) {
		return errors.New("say the ids of subscriptions, or --all")
	}
	return nil
}

// each calls do with each of them, goes on past those that are refused, and fails then.
func (o *chosen) each(ctx context.Context, t *tool, api *client.Client, ids []string, do func(*client.Subscription) error) error {
	list, err := o.find(ctx, api, ids)
	if err != nil {
		return err
	}
	failed := 0
	for _, s := range list {
		if err := patiently(ctx, func() error { return do(s) }); err != nil {
			if len(list) == 1 {
				return explain(err)
			}
			failed++
			_, _ = fmt.Fprintf(t.Err, "%s: %v\n", s.ID, explain(err))
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d subscriptions were refused", failed, len(list))
	}
	return nil
}

func (o *chosen) find(ctx context.Context, api *client.Client, ids []string) (list []*client.Subscription, err error) {
	var before time.Time
	if o.before != "" {
		if before, err = until(o.before, serverNow(ctx, api)); err != nil {
			return nil, err
		}
	}
	soon := func(s *client.Subscription) bool { return before.IsZero() || s.ExpirationDateTime.Before(before) }
	if o.all {
		for s, err := range api.Subscriptions(ctx) {
			if err != nil {
				return nil, explain(err)
			}
			if soon(s) {
				list = append(list, s)
			}
		}
		return list, nil
	}
	for _, id := range ids {
		s, err := api.Subscription(ctx, id)
		if err != nil {
			return nil, explain(err)
		}
		if soon(s) {
			list = append(list, s)
		}
	}
	return list, nil
}

// patiently does what a server asks to come back for, a few times.
func patiently(ctx context.Context, do func() error) error {
	const tries = 4
	for try := 1; ; try++ {
		err := do()
		refused, _ := errors.AsType[*client.Error](err)
		if refused == nil || refused.RetryAfter == 0 || try == tries {
			return err
		}
		if err := clock.Sleep(ctx, clock.System(), refused.RetryAfter); err != nil {
			return err
		}
	}
}

func (t *tool) subscriptionRenew(to *target) *cobra.Command {
	var (
		expires string
		which   chosen
	)
	c := &cobra.Command{
		Use:   "renew ID…",
		Short: "Move the expiry of subscriptions; this reauthorizes them too",
		Long: `Move the expiry of subscriptions, which reauthorizes them too.

With --all, those that last longer than --expires says are left as they are.`,
		Example: `  heliograph subscriptions renew 7f105c7d-2dc5-4530-97cd-4e7ae6534c07 --expires 3d
  heliograph subscriptions renew --all --before 6h --expires 2d`,
		Args: which.args,
	}
	which.flags(c)
	c.Flags().StringVar(&expires, "expires", "1h", "how long it lasts from now: a time span (3d, 12h, 90m) or a moment")
	c.RunE = func(c *cobra.Command, args []string) error {
		api, err := t.connect(to)
		if err != nil {
			return err
		}
		moment, err := until(expires, serverNow(c.Context(), api))
		if err != nil {
			return err
		}
		return which.each(c.Context(), t, api, args, func(s *client.Subscription) error {
			if which.all && !s.ExpirationDateTime.Before(moment) {
				return nil
			}
			renewed, err := api.UpdateSubscription(c.Context(), s.ID, client.Update{ExpirationDateTime: moment})
			if err != nil {
				return err
			}
			if len(args) == 1 {
				return t.show(c.Context(), api, renewed)
			}
			return t.done("renewed", s.ID)
		})
	}
	return c
}

func (t *tool) subscriptionReauthorize(to *target) *cobra.Command {
	var which chosen
	c := &cobra.Command{
		Use:   "reauthorize ID…",
		Short: "Let the token at hand stand behind subscriptions; their expiry stays",
		Args:  which.args,
	}
	which.flags(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		api, err := t.connect(to)
		if err != nil {
			return err
		}
		return which.each(c.Context(), t, api, args, func(s *client.Subscription) error {
			if err := api.ReauthorizeSubscription(c.Context(), s.ID); err != nil {
				return err
			}
			return t.done("reauthorized", s.ID)
		})
	}
	return c
}
