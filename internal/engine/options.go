package engine

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"heliograph.dev/internal/clock"
)

// Options say where the engine keeps its data and how much of it. Dir or NATS is required, the rest has a
// default that its zero value names.
type Options struct {
	// Dir is the data folder of the embedded server. It is not looked at when NATS is set.
	Dir string
	// Cluster makes the embedded server a node of a cluster; nil leaves it alone.
	Cluster *Cluster
	// NATS is the address of an existing NATS (nats://host:4222, several separated by commas).
	NATS string
	// Credentials is the path of a NATS credentials file for it.
	Credentials string
	// TLS is for the connection to it; nil leaves the choice to the address (tls://).
	TLS *tls.Config

	// Partitions of the change log and Shards of the records: 0 takes what the store has, or 1 in a new one.
	// They cannot be changed later.
	Partitions, Shards int
	// Replicas is how many servers of a cluster keep each stream; 0 leaves it as it is, or 1.
	Replicas int

	// Vault is called once, when it is known whether the store is new, and returns what its frames, records and parked
	// lists are sealed with. It is an error when a store that is not new has no key any more. A store that was made
	// without a vault stays without, and one that was made with one cannot be opened without.
	Vault func(isNew bool) (Vault, error)

	// Restoring opens a store for Restore, and makes a new one such that it is opened for nothing else before Restore is
	// done.
	Restoring bool

	// MaxLogBytes bounds the change log, 0 does not.
	MaxLogBytes int64
	// MinFreeBytes is the free space of Dir's disk below which no changes are taken; 0 is 512 MiB. A disk that
	// fills up to the end would end all writing until a restart.
	MinFreeBytes uint64
	// AcceptLazySync takes an existing NATS that does not sync before it answers, or does not say.
	AcceptLazySync bool

	// Logger is discarded into when nil, Now is the machine's clock.
	Logger *slog.Logger
	Now    func() time.Time
}

const (
	maxPartitions  = 256
	maxShards      = 64
	defaultMinFree = 512 << 20
)

func (o Options) withDefaults() (Options, error) {
	switch {
	case o.Dir == "" && o.NATS == "":
		return o, errors.New("engine: neither a data folder nor the address of a NATS server is given")
	case o.Partitions < 0 || o.Partitions > maxPartitions:
		return o, fmt.Errorf("engine: %d partitions; there can be 1 to %d", o.Partitions, maxPartitions)
	case o.Shards < 0 || o.Shards > maxShards:
		return o, fmt.Errorf("engine: %d shards; there can be 1 to %d", o.Shards, maxShards)
	case o.NATS != "" && o.Cluster != nil:
		return o, errors.New("engine: a node of an embedded cluster, or an existing NATS: not both")
	case o.NATS == "" && o.Cluster == nil && o.Replicas > 1:
		return o, fmt.Errorf("engine: %d replicas need a cluster; the embedded server is one", o.Replicas)
	case o.MaxLogBytes < 0 || o.MaxLogBytes > 0 && o.MaxLogBytes < 2*MaxFrame:
		return o, fmt.Errorf("engine: a change log of %d bytes holds nothing; give it %d or more", o.MaxLogBytes, 2*MaxFrame)
	}
	if o.Cluster != nil {
		if err := o.Cluster.check(); err != nil {
			return o, err
		}
	}
	if o.MinFreeBytes == 0 {
		o.MinFreeBytes = defaultMinFree
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = clock.System().Now
	}
	return o, nil
}
