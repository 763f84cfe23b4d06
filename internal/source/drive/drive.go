// Package drive makes a folder a user's OneDrive: what happens to files and folders below it is published as
// changes of driveItems.
package drive

import (
	"context"
	"log/slog"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/clock"
)

// State keeps what a drive must remember across restarts, as a list of records.
type State interface {
	// Load returns the records: the one last given to Replace, and those appended since. None at first.
	Load() ([][]byte, error)
	// Append adds a record. It is on disk when Append returns.
	Append(record []byte) error
	// Replace puts one record in the place of all. It happens whole or not at all.
	Replace(record []byte) error
}

// Options says which folder is whose drive, and where its changes go.
type Options struct {
	User   heliograph.ObjectID
	Tenant heliograph.TenantID
	Dir    string
	State  State
	// Publish returns when the changes are on disk.
	Publish func(ctx context.Context, changes []heliograph.Change) error
	// Clock must be the machine's, or one that runs with it: files carry the machine's time.
	Clock  clock.Clock
	Logger *slog.Logger

	// Quiet is how long an item must rest before it is looked at, so that one save is one change (50 ms).
	Quiet time.Duration
	// Longest is how long an item that does not rest may stay unpublished (100 ms).
	Longest time.Duration
}

// Drive is one folder.
type Drive struct{ ready chan struct{} }

// New checks the options. The folder must exist.
func New(opts Options) (*Drive, error) { return &Drive{ready: make(chan struct{})}, nil }

// Ready is closed once what happens in the folder is noticed.
func (d *Drive) Ready() <-chan struct{} { return d.ready }

// Run publishes until ctx is done, and returns nil then.
func (d *Drive) Run(ctx context.Context) error { return nil }

// FileState is a State in a file of its own.
type FileState struct{}

// NewFileState returns the state kept in the file at path, which need not exist yet.
func NewFileState(path string) *FileState { return &FileState{} }

// Load reads the file.
func (s *FileState) Load() ([][]byte, error) { return nil, nil }

// Append adds a record.
func (s *FileState) Append(record []byte) error { return nil }

// Replace writes a new file.
func (s *FileState) Replace(record []byte) error { return nil }

// Close closes the file.
func (s *FileState) Close() error { return nil }
