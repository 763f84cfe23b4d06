package cli

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"heliograph.dev/internal/app"
	"heliograph.dev/internal/config"
	"heliograph.dev/internal/engine"
	"heliograph.dev/internal/engine/archive"
)

func (t *tool) restore() *cobra.Command {
	var check, join bool
	var keyFile string
	c := &cobra.Command{
		Use:   "restore FILE",
		Short: "Make a store from a backup",
		Long: `Make a store from a backup: in an empty data folder, in an existing NATS, or in a new cluster. It takes the settings of
serve, and no server may run there yet. The backup may be of a server with other partitions, or of one that was alone.

The keys are needed that the backup is sealed with: in it (backup --with-keys), in store.key_file, or with --keys. The
whole file is checked before anything is written; a store that is not empty is refused. A restore that was broken off
leaves a store that no server opens: begin with an empty one.

A cluster is restored by all of its nodes at once: one has the file, and each of the others is there for the majority
with --join instead. All end when it is done; then start the servers.

What was not delivered when the backup was made is delivered by the restored server, whether or not the old one has
done so since. Stop the old one first.`,
		Example: `  heliograph restore monday.backup --check
  heliograph restore monday.backup --data /var/lib/heliograph --keys vault.keys
  heliograph restore monday.backup --data one --cluster prod --node one --peers one:6222,two:6222,three:6222 …
  heliograph restore --join --data two --cluster prod --node two --peers one:6222,two:6222,three:6222 …`,
		Args: cobra.MaximumNArgs(1),
	}
	config.AddFlags(c.Flags(), config.Serve)
	c.Flags().BoolVar(&check, "check", false, "only look whether the backup is whole, and at what is in it")
	c.Flags().BoolVar(&join, "join", false, "be there for the majority while another node restores")
	c.Flags().StringVar(&keyFile, "keys", "", "the key file of the server that was backed up")
	c.RunE = func(c *cobra.Command, args []string) error {
		if join == (len(args) == 1) || join && check {
			return usageError{errors.New("give the FILE to restore, or --join on the other nodes of a cluster")}
		}
		cfg, err := config.Load(config.Sources{Mode: config.Serve, Flags: c.Flags(), Environ: t.Environ})
		if err != nil {
			return err
		}
		switch {
		case check:
			content, err := readBackup(args[0])
			if err != nil {
				return err
			}
			return t.printBackup(args[0], content)
		case cfg.Data == "" && cfg.NATS.URL == "":
			return usageError{errors.New("restore to where? Name an empty data folder (--data DIR) or a NATS (--nats URL)")}
		case cfg.StoreKeys() == "":
			return usageError{errors.New("where are the keys to be? Name their file (--key-file FILE)")}
		case join && cfg.Cluster.Name == "":
			return usageError{errors.New("--join is for the nodes of a cluster (--cluster NAME)")}
		}
		var keys []byte
		if keyFile != "" {
			if keys, err = readKeys(keyFile); err != nil {
				return err
			}
		}
		return t.restoreFile(c.Context(), cfg, args, keys)
	}
	return c
}

func readBackup(name string) (content archive.Content, err error) {
	file, err := os.Open(name) //nolint:gosec // the operator names it
	if err != nil {
		return content, err
	}
	defer func() { _ = file.Close() }() // it was only read
	return archive.Read(file, nil)
}

// restoreFile restores a file, or is there while another node does.
func (t *tool) restoreFile(ctx context.Context, cfg *config.Config, args []string, keys []byte) error {
	if len(args) == 0 {
		return t.inStore(ctx, cfg, keys, (*engine.Engine).AwaitRestored)
	}
	name := args[0]
	content, err := readBackup(name)
	if err != nil {
		return err // before a folder is made
	}
	if keys == nil {
		keys = content.Keys
	}
	file, err := os.Open(name) //nolint:gosec // the operator names it
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // it was only read
	var done engine.Restored
	err = t.inStore(ctx, cfg, keys, func(e *engine.Engine, ctx context.Context) (err error) {
		done, err = e.Restore(ctx, io.ReadSeeker(file))
		return err
	})
	if err != nil {
		return err
	}
	if t.asJSON() {
		return t.encode(map[string]any{
			"file": name, "records": done.Records, "changes": done.Changes, "parked": done.Parked,
			"unreadable": done.Unreadable, "parkedWithoutChange": done.WithoutTheirFrame,
		})
	}
	t.printf("restored: %d records, %d changes, %d parked notifications\n", done.Records, done.Changes, done.Parked)
	if n := done.Unreadable + done.WithoutTheirFrame; n > 0 {
		t.printf("left out: %d that could not be read in the old store already, %d parked notifications whose change its log no longer had\n",
			done.Unreadable, done.WithoutTheirFrame)
	}
	return nil
}

// inStore does something in a store that is opened to be restored.
func (t *tool) inStore(ctx context.Context, cfg *config.Config, keys []byte, do func(*engine.Engine, context.Context) error) error {
	store, err := app.OpenStore(ctx, cfg, t.logger(slog.LevelWarn, "text"), true, keys)
	if err != nil {
		return err
	}
	return errors.Join(do(store, ctx), store.Close(context.WithoutCancel(ctx)))
}

func (t *tool) encode(v any) error { return json.NewEncoder(t.Out).Encode(v) }
