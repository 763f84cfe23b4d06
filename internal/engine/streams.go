package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"heliograph.dev"
)

const (
	schemaKey = "heliograph-schema" // in a stream's metadata: it is ours, and of this schema
	// dedupeWindow outlives publishPatience, so that a publish tried again is known.
	dedupeWindow = time.Minute
)

// prepare makes the streams that are missing and brings those that are there to what this version wants. Without the
// key to what is in them it touches none.
func (e *Engine) prepare(ctx context.Context) error {
	if err := e.unlock(ctx); err != nil {
		return err
	}
	var group errgroup.Group // each stream costs some syncs: together they take the time of one
	group.Go(func() (err error) {
		e.changes, err = e.ensure(ctx, e.changesConfig())
		return err
	})
	group.Go(func() (err error) {
		e.backlog, err = e.ensure(ctx, jetstream.StreamConfig{
			Name: "backlog", Description: "notifications that wait for ill endpoints", Subjects: []string{backlogPrefix + ">", fenceSubjects},
			AllowAtomicPublish: true, AllowRollup: true,
		})
		return err
	})
	group.Go(func() error {
		var err error
		e.meta, err = e.ensure(ctx, jetstream.StreamConfig{
			Name: metaStream, Description: "settings and cursors", Subjects: []string{"meta.>"}, MaxMsgsPerSubject: 1,
		})
		if err != nil {
			return err
		}
		s, err := e.settle(ctx)
		if err != nil {
			return err
		}
		e.partitions = nil // of a try before
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
			// The layout is that of a NATS key-value bucket, so that the nats command can list it.
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
