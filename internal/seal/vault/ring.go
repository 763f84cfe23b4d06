package vault

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"heliograph.dev/internal/seal/keyfile"
	"heliograph.dev/internal/seal/xaes"
)

const (
	idSize  = 4
	maxKeys = 1000
)

// ring is the keys at one time, newest first. It is never empty and never changed.
type ring struct{ keys []*key }

type key struct {
	id      keyID
	created time.Time
	raw     []byte
	aead    *xaes.AEAD
}

// Options say where a vault's keys are.
type Options struct {
	// File holds the keys.
	File string
	// MayCreate lets Open make the file when it is missing. It must be false where sealed data exist already: a new
	// key opens none of it, and a vault that quietly began anew would hide that the keys are gone.
	MayCreate bool
	// Now dates new keys. Required.
	Now func() time.Time
}

// Open returns the vault of a key file.
func Open(o Options) (*Vault, error) {
	if o.Now == nil || o.File == "" {
		return nil, errors.New("vault: File and Now are required")
	}
	v := &Vault{file: o.File, now: o.Now}
	err := v.Reload()
	if !errors.Is(err, fs.ErrNotExist) {
		return v, err
	}
	if !o.MayCreate {
		return nil, fmt.Errorf("the key file %s is missing: restore it from its backup, without it the stored data cannot be read: %w",
			o.File, fs.ErrNotExist)
	}
	first, err := newRing(newKey(o.Now()))
	if err != nil {
		return nil, err
	}
	// Another process that starts now may be quicker: then its key is ours too.
	if err := keyfile.Create(o.File, first.text()); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make key file: %w", err)
	}
	return v, v.Reload()
}

// Reload reads the file again, after another process or a person changed it. When that fails the keys at hand stay.
func (v *Vault) Reload() error {
	text, err := keyfile.Read(v.file)
	if err != nil {
		return fmt.Errorf("read key file: %w", err)
	}
	r, err := parse(text)
	if err != nil {
		return fmt.Errorf("read key file %s: %w", v.file, err)
	}
	v.ring.Store(r)
	return nil
}

// Rotate puts a new key first, in the file and then here. Keys that another process added meanwhile are kept.
func (v *Vault) Rotate() error {
	return v.update(keyfile.Update, func(keys []*key) ([]*key, error) {
		return slices.Insert(keys, 0, newKey(v.now())), nil
	})
}

// Forget removes a key for good: what it sealed cannot be opened any more. The first key cannot be removed.
func (v *Vault) Forget(id string) error { return v.remove(id, keyfile.Update) }

// Destroy is Forget, and overwrites the key where it stood on the disk.
func (v *Vault) Destroy(id string) error { return v.remove(id, keyfile.Destroy) }

// updating is a way to change the file.
type updating func(path string, change func([]byte) ([]byte, error)) error

func (v *Vault) remove(id string, in updating) error {
	return v.update(in, func(keys []*key) ([]*key, error) {
		i := slices.IndexFunc(keys, func(k *key) bool { return k.id.String() == id })
		switch i {
		case -1:
			return nil, fmt.Errorf("no key %s in %s", id, v.file)
		case 0:
			return nil, fmt.Errorf("key %s is the one that seals: rotate first", id)
		}
		return slices.Delete(keys, i, i+1), nil
	})
}

// Key is what may be known of a key.
type Key struct {
	ID      string
	Created time.Time
}

// Keys lists the keys, the one that seals first.
func (v *Vault) Keys() []Key {
	var all []Key
	for _, k := range v.ring.Load().keys {
		all = append(all, Key{ID: k.id.String(), Created: k.created})
	}
	return all
}

func (v *Vault) update(in updating, change func([]*key) ([]*key, error)) error {
	var next *ring
	err := in(v.file, func(text []byte) ([]byte, error) {
		r, err := parse(text)
		if err != nil {
			return nil, err
		}
		keys, err := change(slices.Clone(r.keys))
		if err != nil {
			return nil, err
		}
		if next, err = newRing(keys...); err != nil {
			return nil, err
		}
		return next.text(), nil
	})
	if err != nil {
		return fmt.Errorf("change key file: %w", err)
	}
	v.ring.Store(next)
	return nil
}

func newKey(now time.Time) *key {
	k := &key{raw: make([]byte, xaes.KeySize), created: now.UTC().Truncate(time.Second)}
	_, _ = rand.Read(k.raw) // never fails: crypto/rand ends the program instead
	return k
}

// newRing completes keys of which only raw and created are known.
func newRing(keys ...*key) (*ring, error) {
	for _, k := range keys {
		aead, err := xaes.New(k.raw)
		if err != nil {
			return nil, err
		}
		mac := hmac.New(sha256.New, k.raw)
		mac.Write([]byte("heliograph vault key id"))
		k.id, k.aead = keyID(mac.Sum(nil)[:idSize]), aead
	}
	return &ring{keys: keys}, nil
}

func (r *ring) find(id keyID) *key {
	for _, k := range r.keys {
		if k.id == id {
			return k
		}
	}
	return nil
}

// text is the file's content.
func (r *ring) text() []byte {
	var b bytes.Buffer
	b.WriteString("# The keys that Heliograph seals its stored data with: the first seals, each opens what it sealed.\n" +
		"# Keep a copy in a safe place: without them the data is lost. id, creation, key.\n")
	for _, k := range r.keys {
		fmt.Fprintf(&b, "%s %s %s\n", k.id, k.created.Format(time.RFC3339), base64.StdEncoding.EncodeToString(k.raw))
	}
	return b.Bytes()
}

// parse reads what text wrote. Its errors name lines and repeat nothing of them.
func parse(text []byte) (*ring, error) {
	var keys []*key
	var ids []string
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		k, id, err := parseLine(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		keys, ids = append(keys, k), append(ids, id)
	}
	switch {
	case lines.Err() != nil:
		return nil, errors.New("a line is too long")
	case len(keys) == 0:
		return nil, errors.New("it holds no key")
	case len(keys) > maxKeys:
		return nil, fmt.Errorf("it holds more than %d keys", maxKeys)
	}
	r, err := newRing(keys...)
	if err != nil {
		return nil, err
	}
	for i, k := range keys {
		if k.id.String() != ids[i] {
			return nil, fmt.Errorf("key %q is damaged: it is not the key that had this id", ids[i])
		}
		if r.find(k.id) != k {
			return nil, fmt.Errorf("key %s stands there twice", k.id)
		}
	}
	return r, nil
}

func parseLine(line string) (*key, string, error) {
	fields := strings.Fields(line)
	if len(fields) != 3 || len(fields[0]) != 2*idSize {
		return nil, "", errors.New("it is not an id, a time and a key")
	}
	created, err := time.Parse(time.RFC3339, fields[1])
	if err != nil {
		return nil, "", errors.New("its time is not in the form 2006-01-02T15:04:05Z")
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(fields[2])
	if err != nil || len(raw) != xaes.KeySize {
		return nil, "", fmt.Errorf("its key is not base64 of %d bytes", xaes.KeySize)
	}
	return &key{raw: raw, created: created}, fields[0], nil
}
