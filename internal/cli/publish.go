package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"heliograph.dev/client"
)

func (t *tool) publish() *cobra.Command {
	var (
		event            client.Event
		changeType, data string
		file             string
	)
	c := &cobra.Command{
		Use:   "publish RESOURCE",
		Short: "Publish a change of a resource",
		Long: `Publish a change: every subscription that wants it is notified. The command returns when the change is on
the server's disk.

RESOURCE is the path of what changed. With --events a file of CloudEvents (one, or an array) is published
instead, whole or not at all.`,
		Example: `  heliograph publish users/demo/messages/1 --data '{"subject":"Hello"}'
  heliograph publish chats/c1/messages/m1 --type updated --paths users/demo/chats/c1/messages/m1
  heliograph publish --events changes.json`,
		Args: cobra.MaximumNArgs(1),
	}
	to := t.serverFlags(c)
	f := c.Flags()
	f.StringVar(&changeType, "type", "created", "what happened: created, updated or deleted")
	f.StringVar(&data, "data", "", "the resource's JSON; @FILE reads a file, @- the standard input")
	f.StringSliceVar(&event.Paths, "paths", nil, "further paths under which the change is visible")
	f.StringVar(&event.ImmutableID, "immutable-id", "", "the id that the resource keeps when it moves (Outlook)")
	f.StringVar(&event.ID, "id", "", "the event's id (default: a random one)")
	f.StringVar(&event.Source, "source", "heliograph-cli", "the event's source")
	f.StringVar(&event.Tenant, "tenant", "", "the resource's tenant (default: the caller's)")
	f.StringVar(&file, "events", "", "publish the CloudEvents in this file; - for the standard input")
	c.RunE = func(c *cobra.Command, args []string) error {
		if (file == "") == (len(args) == 0) {
			return usageError{errors.New("publish takes either a RESOURCE or --events FILE")}
		}
		api, err := t.connect(to)
		if err != nil {
			return err
		}
		var receipt client.Receipt
		if file != "" {
			text, err := t.read(file)
			if err != nil {
				return err
			}
			receipt, err = api.PublishRaw(c.Context(), text)
			if err != nil {
				return explain(err)
			}
			return t.published(receipt)
		}
		event.Resource = args[0]
		if err := t.fill(&event, changeType, data); err != nil {
			return err
		}
		if receipt, err = api.Publish(c.Context(), event); err != nil {
			return explain(err)
		}
		return t.published(receipt)
	}
	return c
}

// fill adds the change type and the data to an event.
func (t *tool) fill(event *client.Event, changeType, data string) error {
	switch strings.ToLower(changeType) {
	case "created":
		event.Type = client.Created
	case "updated":
		event.Type = client.Updated
	case "deleted":
		event.Type = client.Deleted
	default:
		return usageError{fmt.Errorf("--type is created, updated or deleted, not %q", changeType)}
	}
	text := []byte(data)
	if name, ok := strings.CutPrefix(data, "@"); ok {
		var err error
		if text, err = t.read(name); err != nil {
			return err
		}
	}
	if len(text) > 0 {
		if !json.Valid(text) {
			return usageError{errors.New("--data is not JSON")}
		}
		event.Data = json.RawMessage(text)
	}
	return nil
}

// read reads a file, or the standard input when it is named -.
func (t *tool) read(name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(t.In)
	}
	return os.ReadFile(name) //nolint:gosec // the user names it
}

func (t *tool) published(r client.Receipt) error {
	if t.asJSON() {
		return json.NewEncoder(t.Out).Encode(r)
	}
	for _, id := range r.IDs {
		t.printf("accepted change %s\n", id)
	}
	return nil
}
