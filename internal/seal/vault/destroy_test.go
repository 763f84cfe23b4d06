package vault_test

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"heliograph.dev/internal/seal/vault"
)

// TestDestroyOverwrites keeps hold of the old file, as a deleted file's blocks stay on a disk, and looks into it.
func TestDestroyOverwrites(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "vault.keys")
	v, err := vault.Open(vault.Options{File: file, MayCreate: true, Now: func() time.Time { return time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC) }})
	if err != nil {
		t.Fatal(err)
	}
	old := v.Keys()[0].ID
	if err := v.Destroy(old); err == nil {
		t.Error("the key that seals was destroyed")
	}
	if err := v.Rotate(); err != nil {
		t.Fatal(err)
	}
	held, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = held.Close() }()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, line, _ := strings.Cut(string(text), "\n"+old)
	key := strings.Fields(line)[1]
	if raw, err := base64.StdEncoding.DecodeString(key); err != nil || len(raw) != 32 {
		t.Fatalf("%q is no key", key)
	}
	if err := v.Destroy(old); err != nil {
		t.Fatal(err)
	}
	blocks := make([]byte, len(text))
	if n, err := held.ReadAt(blocks, 0); err != nil || n != len(text) || len(bytes.Trim(blocks, "\x00")) != 0 {
		t.Errorf("where it stood there is %q, %v", blocks, err)
	}
	now, err := os.ReadFile(file)
	if err != nil || bytes.Contains(now, []byte(key)) || len(v.Keys()) != 1 {
		t.Errorf("it is still there: %v", err)
	}
}
