package token

import (
	"context"
	"sync"

	"heliograph.dev"
)

// Store keeps the signing keys, for one process or for the nodes of a cluster. The content is secret: a store
// seals it.
type Store interface {
	// Load returns the content and its version; no content and version 0 when there is none yet.
	Load(ctx context.Context) (content []byte, version uint64, err error)
	// Save replaces the content of that version and returns the new one. The error is of kind Conflict when another
	// content has been saved since.
	Save(ctx context.Context, content []byte, version uint64) (uint64, error)
}

// Records keeps named values, as the engine does: sealed, on disk, and the same on every node.
type Records interface {
	// Get returns a record, or an error of kind NotFound.
	Get(ctx context.Context, tenant heliograph.TenantID, name string) (heliograph.Record, error)
	// Commit makes all writes or none. The error is of kind Conflict when a record has not the expected revision.
	Commit(ctx context.Context, tenant heliograph.TenantID, writes []heliograph.Write) (uint64, error)
}

// serverTenant keeps what is of the server and of no tenant.
const serverTenant heliograph.TenantID = "heliograph"

const keysName = "key.tokens"

// In returns a store that is one of these records.
func In(records Records) Store { return kept{records} }

type kept struct{ records Records }

// Load reads the record.
func (k kept) Load(ctx context.Context) ([]byte, uint64, error) {
	r, err := k.records.Get(ctx, serverTenant, keysName)
	if heliograph.KindOf(err) == heliograph.NotFound {
		return nil, 0, nil
	}
	return r.Value, r.Revision, err
}

// Save writes the record if it still has that revision.
func (k kept) Save(ctx context.Context, content []byte, version uint64) (uint64, error) {
	return k.records.Commit(ctx, serverTenant, []heliograph.Write{{Name: keysName, Value: content, Expect: version}})
}

// Adopt puts keys that were kept elsewhere into a store that has none: what a receiver knows goes on being used.
func Adopt(ctx context.Context, store Store, content []byte) error {
	if r, err := parseRing(content, 0); err != nil || len(r.keys) == 0 {
		return err
	}
	_, err := store.Save(ctx, content, 0)
	if heliograph.KindOf(err) == heliograph.Conflict {
		return nil // it has, and those are in use
	}
	return err
}

// memory keeps the keys for as long as the process runs.
type memory struct {
	mu      sync.Mutex
	content []byte
	version uint64
}

// Load returns what was saved last.
func (m *memory) Load(context.Context) ([]byte, uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.content, m.version, nil
}

// Save keeps the content.
func (m *memory) Save(_ context.Context, content []byte, version uint64) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if version != m.version {
		return 0, conflict()
	}
	m.content, m.version = content, version+1
	return m.version, nil
}

func conflict() error {
	return heliograph.Errorf(heliograph.Conflict, "token.keys", "the signing keys were changed meanwhile")
}
