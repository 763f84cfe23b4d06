// Package vault keeps what must not lie on disk in the clear: client states and other secrets of subscriptions, and
// the frames of the change log with their resource data.
//
// A vault seals with the first key of its ring and opens with any. Its algorithm is XAES-256-GCM (package xaes), that
// is AES-256-GCM with nonces long enough to be random for ever. Sealed, a value is:
//
//	1 byte    the form of what follows: 1
//	4 bytes   the id of the key
//	24 bytes  the nonce
//	…         the ciphertext, as long as the plaintext, and 16 bytes that prove it whole
//
// The first five bytes and the label are proven too. The label says what the value is ("sub.<id>"): it is not kept,
// whoever opens the value names it again, and so nobody who can write to the disk can put the client state of one
// subscription in the place of another's.
//
// # Keys
//
// The ring is in a file, one line for each key, newest first; it is made at the first start, and is worth a backup:
// what was sealed is lost with it. Nodes of a cluster share its content. An id is a hash of the key, so a key that was
// damaged in copying is found when the file is read, and not when data cannot be opened.
//
// To rotate is to put a new key first (Rotate). What older keys sealed stays readable, and is Stale: whoever keeps it
// seals it again when it is written next. When nothing is stale any more the old key may go (Forget). A vault that meets
// a key that it does not know looks into the file again, where another process may have put it.
//
// A Vault may be used concurrently, also while it rotates. No error and no way of printing shows a key or a plaintext.
package vault

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/seal/xaes"
)

const (
	form      = 1
	header    = 1 + idSize
	prefix    = header + xaes.NonceSize
	shortest  = prefix + xaes.Overhead
	typically = 128 // bytes of header and label, for which no memory need be allocated

	retryAfter = 5 * time.Second // what callers are told who need a key that is not at hand
)

// Overhead is by how much a value grows when it is sealed.
const Overhead = shortest

// Errors of Open. What they wrap says more.
var (
	// ErrUnknownKey means that the key which sealed the value is not in the ring nor in the file. It comes as a
	// heliograph.Error of kind Unavailable: whoever restores the key makes the value readable again.
	ErrUnknownKey = errors.New("the key is not in the ring")
	// ErrDamaged means that the value is not as it was sealed, or was sealed under another label.
	ErrDamaged = errors.New("the sealed value is damaged or belongs elsewhere")
)

// Vault seals and opens.
type Vault struct {
	file string
	now  func() time.Time
	ring atomic.Pointer[ring]
}

// Seal appends the sealed plaintext to dst.
func (v *Vault) Seal(dst, plaintext []byte, label string) ([]byte, error) {
	key := v.ring.Load().keys[0]
	start := len(dst)
	dst = slices.Grow(dst, len(plaintext)+Overhead)
	dst = append(append(dst, form), key.id[:]...)
	var nonce [xaes.NonceSize]byte
	_, _ = rand.Read(nonce[:]) // never fails: crypto/rand ends the program instead
	dst = append(dst, nonce[:]...)
	var space [typically]byte
	additional := append(append(space[:0], dst[start:start+header]...), label...)
	sealed, err := key.aead.Seal(dst, nonce[:], plaintext, additional)
	if err != nil {
		return dst[:start], fmt.Errorf("seal %s: %w", label, err)
	}
	return sealed, nil
}

// Open appends to dst what was sealed under that label. dst must not overlap sealed.
func (v *Vault) Open(dst, sealed []byte, label string) ([]byte, error) {
	key, err := v.keyOf(sealed, label)
	if err != nil {
		return dst, err
	}
	return key.open(dst, sealed, label)
}

// OpenInPlace returns what was sealed under that label, in the memory of sealed: it takes no room. When it fails with
// ErrDamaged, sealed is destroyed.
func (v *Vault) OpenInPlace(sealed []byte, label string) ([]byte, error) {
	key, err := v.keyOf(sealed, label)
	if err != nil {
		return nil, err
	}
	return key.open(sealed[prefix:prefix], sealed, label)
}

// keyOf returns the key that sealed a value.
func (v *Vault) keyOf(sealed []byte, label string) (*key, error) {
	if len(sealed) < shortest || sealed[0] != form {
		return nil, fmt.Errorf("open %s: %w", label, ErrDamaged)
	}
	id := keyID(sealed[1:header])
	if k := v.ring.Load().find(id); k != nil {
		return k, nil
	}
	if v.Reload() == nil { // another process may have rotated; while the file cannot be read the keys at hand stay
		if k := v.ring.Load().find(id); k != nil {
			return k, nil
		}
	}
	return nil, fmt.Errorf("open %s: it was sealed with key %s, which is not in %s: %w", label, id, v.file, &heliograph.Error{
		Kind: heliograph.Unavailable, Rule: "vault.key", Message: "the key of stored data is not at hand",
		RetryAfter: retryAfter, Err: ErrUnknownKey,
	})
}

func (k *key) open(dst, sealed []byte, label string) ([]byte, error) {
	var space [typically]byte
	additional := append(append(space[:0], sealed[:header]...), label...)
	opened, err := k.aead.Open(dst, sealed[header:prefix], sealed[prefix:], additional)
	if err != nil {
		return dst, fmt.Errorf("open %s: %w", label, ErrDamaged)
	}
	return opened, nil
}

// Stale reports whether a value was sealed with another key than the first, so that it should be sealed again.
func (v *Vault) Stale(sealed []byte) bool {
	return len(sealed) < header || keyID(sealed[1:header]) != v.ring.Load().keys[0].id
}

// String tells how many keys there are, and none of them.
func (v *Vault) String() string { return fmt.Sprintf("vault of %d keys", len(v.ring.Load().keys)) }

// GoString is String, for %#v.
func (v *Vault) GoString() string { return v.String() }

// LogValue is String.
func (v *Vault) LogValue() slog.Value { return slog.StringValue(v.String()) }

// keyID names a key.
type keyID [idSize]byte

// String returns the id in hexadecimal.
func (id keyID) String() string { return hex.EncodeToString(id[:]) }
