package token

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io/fs"
	"sync"

	"heliograph.dev"
	"heliograph.dev/internal/seal/keyfile"
)

// Store keeps the signing keys, for one process or for the nodes of a cluster. The content is secret: a store that is
// not a file of mode 0600 seals it.
type Store interface {
	// Load returns the content and its version; no content and version 0 when there is none yet.
	Load(ctx context.Context) (content []byte, version uint64, err error)
	// Save replaces the content of that version and returns the new one. The error is of kind Conflict when another
	// content has been saved since.
	Save(ctx context.Context, content []byte, version uint64) (uint64, error)
}

// File returns a store that is a file of mode 0600.
func File(path string) Store { return file(path) }

type file string

// Load reads the file.
func (f file) Load(context.Context) ([]byte, uint64, error) {
	content, err := keyfile.Read(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	return content, versionOf(content), err
}

// Save replaces the file if it is still as it was.
func (f file) Save(_ context.Context, content []byte, version uint64) (uint64, error) {
	err := keyfile.Update(string(f), func(old []byte) ([]byte, error) {
		if versionOf(old) != version {
			return nil, conflict()
		}
		return content, nil
	})
	return versionOf(content), err
}

// versionOf makes a version of the content itself: a file has no other that cannot deceive.
func versionOf(content []byte) uint64 {
	if len(content) == 0 {
		return 0
	}
	sum := sha256.Sum256(bytes.TrimSpace(content))
	return binary.BigEndian.Uint64(sum[:]) | 1
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
