package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"heliograph.dev"
)

const (
	settingsSubject = "meta.settings"
	schemaKey       = "heliograph-schema" // in a stream's metadata: it is ours, and of this schema
	// dedupeWindow outlives publishPatience, so that a publish tried again is known.
	dedupeWindow = time.Minute
)

// settings are fixed at the first start. Every node that opens the store later takes them from here.
type settings struct {
	Schema     int `json:"schema"`
	Partitions int `json:"partitions"`
	Shards     int `json:"shards"`
}

// prepare makes the streams that are missing and brings those that are there to what this version wants.
func (e *Engine) prepare(ctx context.Context) error {
	var group errgroup.Group // each stream costs some syncs: together they take the time of one
	group.Go(func() (err error) {
		e.changes, err = e.ensure(ctx, e.changesConfig())
		return err
	})
	group.Go(func() (err error) {
		e.backlog, err = e.ensure(ctx, jetstream.StreamConfig{
			Name: "backlog", Description: "notifications that wait for ill endpoints", Subjects: []string{backlogSubjects},
			AllowAtomicPublish: true,
		})
		return err
	})
	group.Go(func() error {
		var err error
		e.meta, err = e.ensure(ctx, jetstream.StreamConfig{
			Name: "meta", Description: "settings and cursors", Subjects: []string{"meta.>"}, MaxMsgsPerSubject: 1,
		})
		if err != nil {
			return err
		}
		s, err := e.settle(ctx)
		if err != nil {
			return err
		}
		for p := range s.Partitions {
			e.partitions = append(e.partitions, newPartition(p))
		}
		return e.openShards(ctx, s.Shards)
	})
	return group.Wait()
}

func (e *Engine) changesConfig() jetstream.StreamConfig {
	c := jetstream.StreamConfig{
		Name: "changes", Description: "the change log", Subjects: []string{changesSubjects},
		Discard: jetstream.DiscardNew, MaxBytes: -1,
	}
	if e.o.MaxLogBytes > 0 {
		c.MaxBytes = e.o.MaxLogBytes
	}
	return c
}

func (e *Engine) openShards(ctx context.Context, n int) error {
	e.shards = make([]*shard, n)
	group, ctx := errgroup.WithContext(ctx)
	for i := range n {
		group.Go(func() error {
			name := "subscriptions-" + strconv.Itoa(i)
			prefix := "$KV." + name + "."
			// The layout is that of a NATS key-value bucket, so that the nats command can look into it.
			stream, err := e.ensure(ctx, jetstream.StreamConfig{
				Name: "KV_" + name, Description: "records of tenants", Subjects: []string{prefix + ">"},
				MaxMsgsPerSubject: 1, Discard: jetstream.DiscardNew, AllowRollup: true, DenyDelete: true,
				AllowAtomicPublish: true, AllowMsgTTL: true,
			})
			e.shards[i] = &shard{number: i, stream: stream, prefix: prefix}
			return err
		})
	}
	return group.Wait()
}

// ensure makes a stream or migrates the one that is there.
func (e *Engine) ensure(ctx context.Context, want jetstream.StreamConfig) (jetstream.Stream, error) {
	want.Storage = jetstream.FileStorage
	want.Retention = jetstream.LimitsPolicy
	want.AllowDirect = true
	want.Duplicates = dedupeWindow
	want.Replicas = max(e.o.Replicas, 1)
	want.Metadata = map[string]string{schemaKey: strconv.Itoa(schema)}
	stream, err := e.js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		if stream, err = e.js.CreateStream(ctx, want); err != nil {
			return nil, fmt.Errorf("make stream %s: %w", want.Name, err)
		}
		return stream, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for stream %s: %w", want.Name, err)
	}
	have := stream.CachedInfo().Config
	switch of, err := strconv.Atoi(have.Metadata[schemaKey]); {
	case err != nil:
		return nil, heliograph.Errorf(heliograph.Invalid, "nats.foreign",
			"stream %s is there and not heliograph's; give heliograph a NATS account of its own", want.Name)
	case of > schema:
		return nil, heliograph.Errorf(heliograph.Invalid, "nats.newer",
			"stream %s is of schema %d, made by a newer heliograph; this one knows %d", want.Name, of, schema)
	}
	next := migrated(have, want, e.o.Replicas != 0)
	if reflect.DeepEqual(have, next) {
		return stream, nil
	}
	if stream, err = e.js.UpdateStream(ctx, next); err != nil {
		return nil, fmt.Errorf("migrate stream %s: %w", want.Name, err)
	}
	e.logger.InfoContext(ctx, "stream migrated", "stream", want.Name)
	return stream, nil
}

// migrated returns have with what this package decides taken from want, and the rest as it was: an operator may
// have placed the stream or the server added to it.
func migrated(have, want jetstream.StreamConfig, replicas bool) jetstream.StreamConfig {
	next := have
	next.Description = want.Description
	next.Subjects = want.Subjects
	next.Discard = want.Discard
	next.Duplicates = want.Duplicates
	next.AllowDirect = want.AllowDirect
	next.AllowRollup = want.AllowRollup
	next.AllowAtomicPublish = want.AllowAtomicPublish
	next.AllowMsgTTL = want.AllowMsgTTL
	if want.MaxBytes != 0 {
		next.MaxBytes = want.MaxBytes
	}
	if want.MaxMsgsPerSubject != 0 {
		next.MaxMsgsPerSubject = want.MaxMsgsPerSubject
	}
	if replicas {
		next.Replicas = want.Replicas
	}
	next.Metadata = maps.Clone(have.Metadata)
	maps.Copy(next.Metadata, want.Metadata)
	return next
}

// settle returns the store's settings, which the first node of all writes.
func (e *Engine) settle(ctx context.Context) (settings, error) {
	mine := settings{Schema: schema, Partitions: max(e.o.Partitions, 1), Shards: max(e.o.Shards, 1)}
	raw, err := e.meta.GetLastMsgForSubject(ctx, settingsSubject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		text, err := json.Marshal(mine)
		if err != nil {
			return settings{}, fmt.Errorf("write settings: %w", err)
		}
		_, err = e.js.PublishMsg(ctx, &nats.Msg{Subject: settingsSubject, Data: text}, jetstream.WithExpectLastSequencePerSubject(0))
		if err == nil {
			return mine, nil
		}
		if told, _ := judge(err); told.Kind != heliograph.Conflict { // another node was first: take its word
			return settings{}, fmt.Errorf("write settings: %w", err)
		}
		raw, err = e.meta.GetLastMsgForSubject(ctx, settingsSubject)
		if err != nil {
			return settings{}, fmt.Errorf("read settings: %w", err)
		}
	} else if err != nil {
		return settings{}, fmt.Errorf("read settings: %w", err)
	}
	var kept settings
	if err := json.Unmarshal(raw.Data, &kept); err != nil {
		return settings{}, fmt.Errorf("read settings: %w", err)
	}
	return kept, e.compatible(kept)
}

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
	}
	return nil
}
