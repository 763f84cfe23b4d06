package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"heliograph.dev/internal/app"
	"heliograph.dev/internal/config"
	"heliograph.dev/internal/engine/archive"
)

func (t *tool) backup() *cobra.Command {
	var data, keyFile string
	var withKeys bool
	c := &cobra.Command{
		Use:   "backup FILE|-",
		Short: "Write everything that a server keeps to a file, while it runs",
		Long: `Write everything that a server keeps to a file: subscriptions, the change log, what waits for ill endpoints, and how far
delivery has come. The server runs on; it takes the permission Heliograph.Control. Any node of a cluster gives the
whole. With --data it is taken from the folder of a server that has stopped.

The backup is sealed as the store is: it is of no use to a thief, and of none to anybody without the key file
(vault.keys). Keep a copy of that in another place, or have it put into the backup, which is a secret then
(--with-keys --key-file FILE; the server gives its keys to nobody). FILE appears when it is whole.`,
		Example: `  heliograph backup monday.backup --server https://graph.example.org
  heliograph backup - | age -r … > monday.backup.age
  heliograph backup monday.backup --data /var/lib/heliograph --with-keys`,
		Args: cobra.ExactArgs(1),
	}
	to := t.serverFlags(c)
	c.Flags().StringVar(&data, "data", "", "the data folder of a server that has stopped, instead of a running one")
	c.Flags().StringVar(&keyFile, "key-file", "", "the key file; left out: vault.keys in the data folder")
	c.Flags().BoolVar(&withKeys, "with-keys", false, "put the key file into the backup: whoever has it can read everything then")
	c.RunE = func(c *cobra.Command, args []string) error {
		cfg := config.Default(config.Serve)
		cfg.Data, cfg.Store.KeyFile = data, keyFile
		var keys []byte
		if withKeys {
			var err error
			if keys, err = readKeys(cfg.StoreKeys()); err != nil {
				return err
			}
		}
		write := func(ctx context.Context, w io.Writer) error {
			if data != "" {
				return t.backupFolder(ctx, cfg, w)
			}
			api, err := t.connect(to)
			if err == nil {
				err = api.Backup(ctx, w)
			}
			if err != nil {
				return explain(err)
			}
			return nil
		}
		content, err := t.keepBackup(c.Context(), args[0], keys, write)
		if err != nil || args[0] == "-" {
			return err
		}
		return t.printBackup(args[0], content)
	}
	return c
}

func readKeys(file string) ([]byte, error) {
	if file == "" {
		return nil, usageError{errors.New("where are the keys? Name their file: --key-file FILE")}
	}
	return os.ReadFile(file) //nolint:gosec // the operator names it
}

// backupFolder backs up a store that no server has open.
func (t *tool) backupFolder(ctx context.Context, cfg *config.Config, w io.Writer) error {
	cfg.Store.Partitions, cfg.Store.Shards, cfg.Store.Replicas = 0, 0, 0 // as it was made
	store, err := app.OpenStore(ctx, cfg, t.logger(slog.LevelWarn, "text"), false, nil)
	if err != nil {
		return err
	}
	_, err = store.Backup(ctx, w, buildInfo().Version)
	return errors.Join(err, store.Close(context.WithoutCancel(ctx)))
}

// keepBackup writes a backup to a file, or to the output, and checks it on the way.
func (t *tool) keepBackup(ctx context.Context, name string, keys []byte, write func(context.Context, io.Writer) error) (archive.Content, error) {
	out, file := t.Out, (*os.File)(nil)
	if name != "-" {
		var err error
		if file, err = os.OpenFile(name+".part", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600); err != nil { //nolint:gosec // the operator names it
			return archive.Content{}, err
		}
		out = file
	}
	content, err := checked(ctx, out, write)
	if err == nil && keys != nil {
		err = archive.AppendKeys(out, keys)
		content.Keys = keys
	}
	if file == nil {
		return content, err
	}
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), name)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(file.Name()))
	}
	return content, err
}

// checked reads what is written, and says when it is not whole.
func checked(ctx context.Context, out io.Writer, write func(context.Context, io.Writer) error) (archive.Content, error) {
	r, w := io.Pipe()
	written := make(chan error, 1)
	go func() {
		err := write(ctx, io.MultiWriter(out, w))
		_ = w.CloseWithError(err) // never fails
		written <- err
	}()
	content, err := archive.Read(r, nil)
	_ = r.CloseWithError(err) // never fails; a writer ends then
	if failed := <-written; failed != nil {
		return content, failed
	}
	return content, err
}

func (t *tool) printBackup(name string, c archive.Content) error {
	m := c.Manifest
	if t.asJSON() {
		return t.encode(map[string]any{
			"file": name, "made": c.Head.Made, "program": c.Head.Program, "records": m.Records, "frames": m.Frames, "parked": m.Parked,
			"bytes": m.Bytes, "sha256": m.SHA256, "withKeys": c.Keys != nil,
		})
	}
	t.printf("%s is whole: made %s, %d records, %d frames of changes, %d lists of parked notifications, %d bytes\n",
		name, c.Head.Made.Format("2006-01-02 15:04:05Z"), m.Records, m.Frames, m.Parked, m.Bytes)
	if c.Keys != nil {
		t.printf("The keys are in it: whoever has the file can read everything.\n")
		return nil
	}
	_, err := fmt.Fprintln(t.Err, "The keys are not in it: without the key file nobody can restore it. Keep a copy of that elsewhere.")
	return err
}
