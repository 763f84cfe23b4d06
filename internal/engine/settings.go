package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"heliograph.dev"
)

const (
	metaStream      = "meta"
	settingsSubject = "meta.settings"
	// witness stands sealed in the settings of a sealed store: who can open it has the right key.
	witness = "heliograph"
)

// settings are fixed at the first start. Every node that opens the store later takes them from here.
type settings struct {
	Schema     int    `json:"schema"`
	Partitions int    `json:"partitions"`
	Shards     int    `json:"shards"`
	Witness    []byte `json:"witness,omitempty"`
	// Restoring says that a backup is being restored, or was by half.
	Restoring bool `json:"restoring,omitempty"`
}

// unlock opens the vault, and finds out whether it is the store's.
func (e *Engine) unlock(ctx context.Context) error {
	kept, _, err := e.settings(ctx)
	isNew := errors.Is(err, jetstream.ErrMsgNotFound) || errors.Is(err, jetstream.ErrStreamNotFound)
	if !isNew {
		if err == nil {
			err = e.compatible(kept)
		}
		if err != nil {
			return err
		}
	}
	if e.vault = (unsealed{}); e.o.Vault == nil {
		return nil
	}
	if e.vault, err = e.o.Vault(isNew); err != nil {
		return fmt.Errorf("open the vault: %w", err)
	}
	if isNew {
		return nil
	}
	return e.prove(kept)
}

// settings reads the store's settings, from the leader: that there are none is acted upon.
func (e *Engine) settings(ctx context.Context) (kept settings, revision uint64, err error) {
	m, err := e.messageOfLeader(ctx, metaStream, getRequest{LastFor: settingsSubject})
	if err == nil {
		err = json.Unmarshal(m.data, &kept)
	}
	if err != nil {
		return settings{}, 0, fmt.Errorf("read settings: %w", err)
	}
	return kept, m.seq, nil
}

// settle returns the store's settings, which the first node of all writes.
func (e *Engine) settle(ctx context.Context) (settings, error) {
	kept, _, err := e.settings(ctx)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		mine := settings{Schema: schema, Partitions: max(e.o.Partitions, 1), Shards: max(e.o.Shards, 1), Restoring: e.o.Restoring}
		err = e.keep(ctx, mine, 0)
		if err == nil {
			return mine, nil
		}
		if heliograph.KindOf(err) != heliograph.Conflict {
			return settings{}, err
		}
		kept, _, err = e.settings(ctx) // another node was first: take its word
	}
	if err == nil {
		err = e.compatible(kept)
	}
	if err == nil {
		err = e.prove(kept)
	}
	return kept, err
}

// keep writes the settings in place of those of a revision, with a witness of the newest key.
func (e *Engine) keep(ctx context.Context, s settings, revision uint64) error {
	var err error
	if s.Witness = nil; e.o.Vault != nil {
		if s.Witness, err = e.vault.Seal(nil, []byte(witness), settingsSubject); err != nil {
			return fmt.Errorf("write settings: %w", err)
		}
	}
	text, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("write settings: %w", err)
	}
	_, err = e.js.PublishMsg(ctx, &nats.Msg{Subject: settingsSubject, Data: text}, jetstream.WithExpectLastSequencePerSubject(revision))
	if err != nil {
		told, _ := judge(err)
		return fmt.Errorf("write settings: %w", told)
	}
	return nil
}

// compatible refuses a store that these options are not for.
func (e *Engine) compatible(kept settings) error {
	switch {
	case kept.Schema > schema:
		return heliograph.Errorf(heliograph.Invalid, "nats.newer",
			"the store is of schema %d, made by a newer heliograph; this one knows %d", kept.Schema, schema)
	case kept.Partitions < 1 || kept.Partitions > maxPartitions || kept.Shards < 1 || kept.Shards > maxShards:
		return heliograph.Errorf(heliograph.Invalid, "store.settings", "the store's settings are damaged: %+v", kept)
	case e.o.Partitions != 0 && e.o.Partitions != kept.Partitions:
		return heliograph.Errorf(heliograph.Invalid, "store.partitions",
			"the store was made with %d partitions and cannot be opened with %d: a tenant's place would change", kept.Partitions, e.o.Partitions)
	case e.o.Shards != 0 && e.o.Shards != kept.Shards:
		return heliograph.Errorf(heliograph.Invalid, "store.shards",
			"the store was made with %d shards and cannot be opened with %d: a tenant's place would change", kept.Shards, e.o.Shards)
	case kept.Restoring && !e.o.Restoring:
		return heliograph.Errorf(heliograph.Invalid, "store.restoring",
			"a backup is being restored into the store, or that was broken off: then begin with an empty one")
	case e.o.Vault == nil && kept.Witness != nil:
		return heliograph.Errorf(heliograph.Invalid, "store.sealed", "the store is sealed: it cannot be opened without its key")
	case e.o.Vault != nil && kept.Witness == nil:
		return heliograph.Errorf(heliograph.Invalid, "store.unsealed",
			"the store was made by an early heliograph, which kept everything in the clear, and cannot be opened sealed: begin with an empty one")
	}
	return nil
}

// prove refuses a vault that is not the store's.
func (e *Engine) prove(kept settings) error {
	if e.o.Vault == nil {
		return nil
	}
	if e.vault.Stale(kept.Witness) {
		e.stale.Store(true)
	}
	if _, err := e.vault.OpenInPlace(kept.Witness, settingsSubject); err != nil {
		return heliograph.Errorf(heliograph.Invalid, "store.key", "the key is not the one that the store is sealed with: %w", err)
	}
	return nil
}
