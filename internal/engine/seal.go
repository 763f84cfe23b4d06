package engine

import (
	"encoding/base64"
	"fmt"

	"heliograph.dev"
)

// Vault makes what others said unreadable on the disk. Its methods may be called concurrently.
type Vault interface {
	// Seal appends the sealed plaintext to dst. The label says what it is; it is not kept.
	Seal(dst, plaintext []byte, label string) ([]byte, error)
	// OpenInPlace returns what was sealed under that label, perhaps in the memory of sealed. Its error is
	// heliograph.Unavailable while the key is not at hand; sealed is untouched then, and trying again may help. Any other
	// error says that this is not what was sealed.
	OpenInPlace(sealed []byte, label string) ([]byte, error)
	// Stale reports whether it was sealed with another key than the newest.
	Stale(sealed []byte) bool
}

// unsealed leaves everything as it is.
type unsealed struct{}

// Seal appends the plaintext.
func (unsealed) Seal(dst, plaintext []byte, _ string) ([]byte, error) {
	return append(dst, plaintext...), nil
}

// OpenInPlace returns what was not sealed.
func (unsealed) OpenInPlace(sealed []byte, _ string) ([]byte, error) { return sealed, nil }

// Stale is never true.
func (unsealed) Stale([]byte) bool { return false }

// What is sealed is labelled with the subject that it stands under, which names the stream too: whoever can write to
// the disk cannot put a thing in another's place. The endpoint of a backlog has a label of its own.
const endpointLabel = " endpoint"

// sealHeader seals text for a header.
func (e *Engine) sealHeader(text, label string) (string, error) {
	sealed, err := e.vault.Seal(nil, []byte(text), label)
	return base64.RawStdEncoding.EncodeToString(sealed), err
}

func (e *Engine) openHeader(header, label string) (string, error) {
	sealed, err := base64.RawStdEncoding.DecodeString(header)
	if err != nil {
		return "", err
	}
	text, err := e.vault.OpenInPlace(sealed, label)
	return string(text), err
}

// sealed returns writes with their values sealed.
func (e *Engine) sealed(s *shard, tenant heliograph.TenantID, writes []heliograph.Write) ([]heliograph.Write, error) {
	out := make([]heliograph.Write, len(writes))
	for i, w := range writes {
		if w.Value != nil {
			var err error
			if w.Value, err = e.vault.Seal([]byte{}, w.Value, s.subject(tenant, w.Name)); err != nil {
				return nil, fmt.Errorf("commit: %w", err)
			}
		}
		out[i] = w
	}
	return out, nil
}

// opened returns the value of a record. An empty one is not nil, as none would be.
func (e *Engine) opened(subject string, data []byte) ([]byte, error) {
	if e.vault.Stale(data) {
		e.stale.Store(true)
	}
	value, err := e.vault.OpenInPlace(data, subject)
	if err == nil && value == nil {
		value = []byte{}
	}
	return value, err
}
