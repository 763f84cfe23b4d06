package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"heliograph.dev/internal/config"
	"heliograph.dev/internal/seal/vault"
)

func (t *tool) keys() *cobra.Command {
	c := &cobra.Command{
		Use:   "keys",
		Short: "List, make or rotate the keys that the server's data is sealed with",
		Long: `List, make or rotate the keys that everything which a server stores is sealed with.

The keys are in a file, vault.keys in the data folder unless store.key_file (--key-file) says otherwise. The first
seals, each opens what it has sealed. Keep a copy elsewhere: without the keys the data is lost.`,
	}
	c.AddCommand(t.keysList(), t.keysMake(), t.keysRotate())
	return c
}

func (t *tool) keysList() *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "List the keys, the one that seals first",
		Long: `List the keys, the one that seals first. No key is shown, only its id.

An older key is needed as long as something that it sealed is kept: for the change log that is store.retention after
the key was followed by another, for the rest until a server has said "records sealed anew". Then its line can be
taken out of the file.`,
		Args: cobra.NoArgs,
	}
	config.AddFlags(c.Flags(), config.Serve)
	c.RunE = func(c *cobra.Command, _ []string) error {
		keys, cfg, err := t.openKeys(c)
		if err != nil {
			return err
		}
		return t.printKeys(keys.Keys(), cfg.Store.Retention)
	}
	return c
}

func (t *tool) keysMake() *cobra.Command {
	c := &cobra.Command{
		Use:   "make FILE",
		Short: "Make a key file for the nodes of a cluster",
		Long: `Make a file with a new key, for a store that does not exist yet. A server that is alone makes its own; the nodes of a
cluster seal what they keep together with the same keys, so these are made once and copied to each of them.`,
		Example: `  heliograph keys make vault.keys`,
		Args:    cobra.ExactArgs(1),
	}
	c.RunE = func(_ *cobra.Command, args []string) error {
		if _, err := os.Stat(args[0]); err == nil {
			return fmt.Errorf("%s is there already: what it has sealed could not be read any more", args[0])
		}
		keys, err := vault.Open(vault.Options{File: args[0], MayCreate: true, Now: now})
		if err != nil {
			return err
		}
		return t.printKeys(keys.Keys(), 0)
	}
	return c
}

func (t *tool) keysRotate() *cobra.Command {
	c := &cobra.Command{
		Use:   "rotate",
		Short: "Begin to seal with a new key",
		Long: `Put a new key first in the file. Servers that run take it up within five seconds and seal their records anew; what
older keys have sealed stays readable.

Nodes of a cluster share the content of the file: copy it to the others at once. Until it is there, a node waits for
what it cannot read.`,
		Args: cobra.NoArgs,
	}
	config.AddFlags(c.Flags(), config.Serve)
	c.RunE = func(c *cobra.Command, _ []string) error {
		keys, cfg, err := t.openKeys(c)
		if err == nil {
			err = keys.Rotate()
		}
		if err != nil {
			return err
		}
		return t.printKeys(keys.Keys(), cfg.Store.Retention)
	}
	return c
}

// openKeys opens the key file that the configuration names.
func (t *tool) openKeys(c *cobra.Command) (*vault.Vault, *config.Config, error) {
	cfg, err := config.Load(config.Sources{Mode: config.Serve, Flags: c.Flags(), Environ: t.Environ})
	if err != nil {
		return nil, nil, err
	}
	if cfg.StoreKeys() == "" {
		return nil, nil, usageError{errors.New("where are the keys? Name their file (--key-file FILE) or the data folder (--data DIR)")}
	}
	keys, err := vault.Open(vault.Options{File: cfg.StoreKeys(), Now: now})
	return keys, cfg, err
}

// keyWire is a key as JSON shows it.
type keyWire struct {
	ID      string    `json:"id"`
	Created time.Time `json:"created"`
	Seals   bool      `json:"seals"`
	// NeededUntil is when the last frame that the key may have sealed leaves the change log.
	NeededUntil *time.Time `json:"neededUntil,omitempty"`
}

func (t *tool) printKeys(keys []vault.Key, retention time.Duration) error {
	list := make([]keyWire, len(keys))
	for i, k := range keys {
		list[i] = keyWire{ID: k.ID, Created: k.Created, Seals: i == 0}
		if i > 0 {
			until := keys[i-1].Created.Add(retention)
			list[i].NeededUntil = &until
		}
	}
	if t.asJSON() {
		return json.NewEncoder(t.Out).Encode(list)
	}
	w := tabwriter.NewWriter(t.Out, 0, 0, 2, ' ', 0)
	for _, k := range list {
		what := "seals"
		if !k.Seals {
			what = "opens, needed until " + k.NeededUntil.Format(time.RFC3339) + " at least"
		}
		if _, err := w.Write([]byte(k.ID + "\t" + k.Created.Format(time.RFC3339) + "\t" + what + "\n")); err != nil {
			return err
		}
	}
	return w.Flush()
}
