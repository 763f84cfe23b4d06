package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"heliograph.dev/client"
	"heliograph.dev/internal/clock"
)

// triggerCommand asks for changes that the server makes up.
type triggerCommand struct {
	*tool
	request client.TriggerRequest
	api     *client.Client

	params, set []string
	data        string
	seed        uint64
	count       int
	burst       int
	rate        float64
	list        bool
}

// mostBurst is how many changes one call takes.
const mostBurst = 1000

func (t *tool) trigger() *cobra.Command {
	g := &triggerCommand{tool: t}
	c := &cobra.Command{
		Use:   "trigger EVENT",
		Short: "Make a realistic change up and publish it",
		Long: `Make a change up and publish it: every subscription that wants it is notified, as of any other change.

EVENT is a fixture or a row of the catalog and a change type (message.created, chatMessage.installedTo.updated), or
all: each event once. --list tells what there is. The resource has the properties that Graph's has; --set changes some
(dots lead into objects, [0] into lists, and a value that is not JSON is text), --data replaces it.

What is random follows from the seed: the same seed gives the same ids, texts and dates, and an update with the seed of
a creation is one of the same resource. With --count there are several, each another; --rate says how many a second,
--burst how many at once.`,
		Example: `  heliograph trigger message.created --user demo --set subject=Hi --set from.emailAddress.address=clerk@example.com
  heliograph trigger message.updated --user demo --seed 7 --set 'categories=["red"]'
  heliograph trigger chatMessage.created --param chat=19:abc@thread.v2 --count 1000 --rate 50
  heliograph trigger event.created --data event.json
  heliograph trigger all
  heliograph trigger --list`,
		Args: cobra.MaximumNArgs(1),
	}
	to := t.serverFlags(c)
	f := c.Flags()
	f.StringVar(&g.request.User, "user", "", "the parameter user: an object id or a principal name (default: demo)")
	f.StringArrayVarP(&g.params, "param", "p", nil, "another parameter, as name=value; empty, the paths that name it are left out")
	f.StringArrayVar(&g.set, "set", nil, "a property of the resource, as name=value: from.emailAddress.address=…, toRecipients[1]={…}")
	f.StringVar(&g.data, "data", "", "the resource's JSON, in place of the fixture's: a file, or - for the standard input")
	f.StringVar(&g.request.Tenant, "tenant", "", "the resource's tenant (default: the caller's)")
	f.Uint64Var(&g.seed, "seed", 0, "what is random follows from this number (default: another each time)")
	f.IntVar(&g.count, "count", 0, "how many changes (default: one, or one burst)")
	f.Float64Var(&g.rate, "rate", 0, "how many a second (default: as fast as the server takes them)")
	f.IntVar(&g.burst, "burst", 0, "how many at once")
	f.BoolVar(&g.list, "list", false, "list every event with its parameters")
	c.RunE = func(c *cobra.Command, args []string) (err error) {
		if g.list == (len(args) == 1) {
			return usageError{errors.New("trigger takes either an EVENT or --list")}
		}
		if g.api, err = t.connect(to); err != nil {
			return err
		}
		if g.list {
			return g.showAll(c.Context())
		}
		g.request.Event = args[0]
		if err := g.prepare(c.Flags().Changed("seed")); err != nil {
			return err
		}
		return g.run(c.Context())
	}
	return c
}

// prepare reads the flags.
func (g *triggerCommand) prepare(seeded bool) error {
	if g.count < 0 || g.burst < 0 || g.rate < 0 || g.burst > mostBurst {
		return usageError{fmt.Errorf("--count and --rate are not below zero, and --burst is %d at most", mostBurst)}
	}
	if !seeded {
		g.seed = uint64(rand.Uint32()) //nolint:gosec // made-up content is no secret
	}
	g.request.Seed = &g.seed
	for _, text := range g.params {
		name, value, found := strings.Cut(text, "=")
		if !found {
			return usageError{fmt.Errorf("--param %q is not of the form name=value", text)}
		}
		if g.request.Parameters == nil {
			g.request.Parameters = map[string]string{}
		}
		g.request.Parameters[name] = value
	}
	for _, text := range g.set {
		name, value, found := strings.Cut(text, "=")
		if !found || name == "" {
			return usageError{fmt.Errorf("--set %q is not of the form name=value", text)}
		}
		one := client.Setting{Name: name, Value: value}
		if json.Valid([]byte(value)) {
			one.Value = json.RawMessage(value)
		}
		g.request.Set = append(g.request.Set, one)
	}
	if g.data == "" {
		return nil
	}
	text, err := g.read(g.data)
	if err != nil {
		return err
	}
	if !json.Valid(text) {
		return usageError{fmt.Errorf("--data %s is not JSON", g.data)}
	}
	g.request.Data = text
	return nil
}

// run asks for one burst after the other until there are enough.
func (g *triggerCommand) run(ctx context.Context) error {
	count, burst := g.count, g.burst
	if count == 0 {
		count = max(burst, 1)
	}
	if burst == 0 {
		burst = 100
		if g.rate > 0 { // ten times a second looks steady
			burst = max(1, int(g.rate/10))
		}
	}
	if strings.EqualFold(g.request.Event, "all") {
		burst = min(burst, 5) // a call takes so many changes, and all are more than a hundred
	}
	began, accepted := now(), 0
	for done := 0; done < count; {
		g.request.First, g.request.Count = uint64(done), min(burst, count-done)
		if err := g.pause(ctx, began, done); err != nil {
			return err
		}
		made, err := g.api.Trigger(ctx, g.request)
		if err != nil {
			g.progress("\n")
			return explain(err)
		}
		done += g.request.Count
		accepted += made.Accepted
		if err := g.show(&made, count == 1 && len(made.Changes) == 1); err != nil {
			return err
		}
		if count > 1 {
			g.progress(fmt.Sprintf("\r%d of %d", done, count))
		}
	}
	if count > 1 {
		g.progress("\r")
	}
	if accepted > 1 && !g.asJSON() {
		g.printf("%d changes in %v (seed %d)\n", accepted, now().Sub(began).Round(time.Millisecond), g.seed)
	}
	return nil
}

// pause waits until it is time for the changes after the first so many.
func (g *triggerCommand) pause(ctx context.Context, began time.Time, done int) error {
	if g.rate == 0 || done == 0 {
		return ctx.Err()
	}
	return clock.Until(ctx, clock.System(), began.Add(time.Duration(float64(done)/g.rate*float64(time.Second))))
}

// progress tells a person who waits.
func (g *triggerCommand) progress(text string) {
	if isTerminal(g.Err) && !g.asJSON() {
		_, _ = fmt.Fprint(g.Err, text)
	}
}

func (g *triggerCommand) show(made *client.Triggered, single bool) error {
	if g.asJSON() {
		encoder := json.NewEncoder(g.Out)
		for i := range made.Changes {
			if err := encoder.Encode(&made.Changes[i]); err != nil {
				return err
			}
		}
		return nil
	}
	if single {
		c := &made.Changes[0]
		g.printf("%s  %s\n  change  %s\n  seed    %d\n", c.Event, c.Resource, c.ID, made.Seed)
	}
	return nil
}

// showAll lists every event.
func (g *triggerCommand) showAll(ctx context.Context) error {
	list, err := g.api.Triggers(ctx)
	if err != nil {
		return explain(err)
	}
	encoder := json.NewEncoder(g.Out)
	w := tabwriter.NewWriter(g.Out, 0, 8, 2, ' ', 0)
	for i := range list {
		one := &list[i]
		if g.asJSON() {
			if err := encoder.Encode(one); err != nil {
				return err
			}
			continue
		}
		var params []string
		for _, p := range one.Parameters {
			if p.Seeded {
				params = append(params, p.Name)
			} else {
				params = append(params, p.Name+"="+p.Default)
			}
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\n", one.Event, one.Resource, strings.Join(params, " "))
	}
	return w.Flush()
}
