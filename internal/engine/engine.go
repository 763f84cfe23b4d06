// Package engine keeps everything that must outlive the process, on NATS JetStream.
package engine

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"time"

	"heliograph.dev"
)

// Options say where the engine keeps its data and how much of it.
type Options struct {
	Dir            string
	NATS           string
	Credentials    string
	TLS            *tls.Config
	Partitions     int
	Shards         int
	Replicas       int
	MaxLogBytes    int64
	MinFreeBytes   uint64
	AcceptLazySync bool
	Logger         *slog.Logger
	Now            func() time.Time
}

// Engine is the open store.
type Engine struct{}

var errNotYet = errors.New("not built yet")

// Open opens the engine.
func Open(ctx context.Context, o Options) (*Engine, error) { return nil, errNotYet }

// Close stops it.
func (e *Engine) Close(ctx context.Context) error { return errNotYet }

// Check reports whether the engine can take writes.
func (e *Engine) Check(ctx context.Context) error { return errNotYet }

// Partitions returns how many partitions the change log has.
func (e *Engine) Partitions() int { return 1 }

// PartitionOf returns the partition of a tenant.
func (e *Engine) PartitionOf(tenant heliograph.TenantID) int { return 0 }

// MaxFrame is the most bytes that one frame may take.
const MaxFrame = 1000 << 10

// FrameOverhead is how many bytes a frame takes beside its changes' ChangeSize.
const FrameOverhead = 64

// ChangeSize returns the bytes that c takes in a frame.
func ChangeSize(c *heliograph.Change) int { return 0 }

// Append writes changes as one frame.
func (e *Engine) Append(ctx context.Context, partition int, changes []heliograph.Change) (uint64, error) {
	return 0, errNotYet
}

// Room returns nil when there is room for more changes.
func (e *Engine) Room() error { return errNotYet }

// Read follows a partition from a sequence on.
func (e *Engine) Read(ctx context.Context, partition int, from uint64) (*FrameReader, error) {
	return nil, errNotYet
}

// FrameReader reads the frames of a partition in order, and waits at the tail for more.
type FrameReader struct{}

// Next returns the next frame. A *FrameError tells of one frame that cannot be read: the reader goes on behind it.
func (r *FrameReader) Next(ctx context.Context) (heliograph.Frame, error) {
	return heliograph.Frame{}, errNotYet
}

// Close ends the reader.
func (r *FrameReader) Close() {}

// FrameError is a frame that stands in the log and cannot be read.
type FrameError struct {
	Partition int
	Sequence  uint64
	Err       error
}

// Error says which frame and why.
func (e *FrameError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *FrameError) Unwrap() error { return e.Err }

// Frame returns one frame.
func (e *Engine) Frame(ctx context.Context, seq uint64) (heliograph.Frame, error) {
	return heliograph.Frame{}, errNotYet
}

// LogState is the extent of the change log.
type LogState struct {
	First, Last uint64 // sequences; Last is First-1 when the log is empty
	Bytes       uint64
}

// LogState returns the extent of the change log.
func (e *Engine) LogState(ctx context.Context) (LogState, error) { return LogState{}, errNotYet }

// Trim drops the frames before a sequence.
func (e *Engine) Trim(ctx context.Context, before uint64) error { return errNotYet }

// SequenceAt returns the first sequence written at t or later.
func (e *Engine) SequenceAt(ctx context.Context, t time.Time) (uint64, error) { return 0, errNotYet }

// SaveCursor keeps the next sequence that a partition's reader wants.
func (e *Engine) SaveCursor(ctx context.Context, partition int, next uint64) error { return errNotYet }

// Cursor returns what SaveCursor kept, or 0.
func (e *Engine) Cursor(ctx context.Context, partition int) (uint64, error) { return 0, errNotYet }

// ParkedMessage is one group of refs as it was parked.
type ParkedMessage struct {
	Sequence uint64
	Refs     []heliograph.ParkedRef
}

// ParkedEndpoint is an endpoint that has a backlog.
type ParkedEndpoint struct {
	Endpoint heliograph.Endpoint
	Messages uint64
}

// Park keeps refs for an endpoint.
func (e *Engine) Park(ctx context.Context, endpoint heliograph.Endpoint, refs []heliograph.ParkedRef) (uint64, error) {
	return 0, errNotYet
}

// Parked returns up to limit messages of an endpoint, from a sequence on, in order.
func (e *Engine) Parked(ctx context.Context, endpoint heliograph.Endpoint, from uint64, limit int) ([]ParkedMessage, error) {
	return nil, errNotYet
}

// Unpark drops an endpoint's messages up to and including a sequence.
func (e *Engine) Unpark(ctx context.Context, endpoint heliograph.Endpoint, through uint64) error {
	return errNotYet
}

// ParkedEndpoints lists the endpoints that have a backlog.
func (e *Engine) ParkedEndpoints(ctx context.Context) ([]ParkedEndpoint, error) {
	return nil, errNotYet
}

// Get returns one record.
func (e *Engine) Get(ctx context.Context, tenant heliograph.TenantID, name string) (heliograph.Record, error) {
	return heliograph.Record{}, errNotYet
}

// Commit makes all writes or none.
func (e *Engine) Commit(ctx context.Context, tenant heliograph.TenantID, writes []heliograph.Write) (uint64, error) {
	return 0, errNotYet
}

// Watch calls apply with every record that is there, then with every change.
func (e *Engine) Watch(ctx context.Context, apply func([]heliograph.Record)) (*Watch, error) {
	return nil, errNotYet
}

// Watch is a running watch over all records.
type Watch struct{}

// Ready is closed once every record that was there has been applied.
func (w *Watch) Ready() <-chan struct{} { return nil }

// Wait waits until the tenant's revision has been applied.
func (w *Watch) Wait(ctx context.Context, tenant heliograph.TenantID, rev uint64) error {
	return errNotYet
}

// Close ends the watch: apply is not called after it returned.
func (w *Watch) Close() {}
