package vault_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"heliograph.dev"
	"heliograph.dev/internal/seal/vault"
)

const secret = "a client state that nobody may read"

func TestSealAndOpen(t *testing.T) {
	t.Parallel()
	v := open(t, filepath.Join(t.TempDir(), "vault.keys"))
	rapid.Check(t, func(t *rapid.T) {
		plaintext := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "plaintext")
		label, other := rapid.String().Draw(t, "label"), rapid.String().Draw(t, "other label")
		before := rapid.SliceOfN(rapid.Byte(), 0, 10).Draw(t, "before")
		sealed := must(v.Seal(bytes.Clone(before), plaintext, label))
		if !bytes.HasPrefix(sealed, before) {
			t.Fatal("what stood in dst is gone")
		}
		sealed = sealed[len(before):]
		if len(sealed) != len(plaintext)+vault.Overhead {
			t.Fatalf("%d bytes became %d", len(plaintext), len(sealed))
		}
		if opened := must(v.Open(before, sealed, label)); !bytes.Equal(opened, append(bytes.Clone(before), plaintext...)) {
			t.Fatalf("opened as %q", opened)
		}
		if other != label {
			if _, err := v.Open(nil, sealed, other); !errors.Is(err, vault.ErrDamaged) {
				t.Fatalf("opened under another label: %v", err)
			}
		}
		copied := bytes.Clone(sealed)
		if opened := must(v.OpenInPlace(copied, label)); !bytes.Equal(opened, plaintext) {
			t.Fatalf("opened in place as %q", opened)
		}
		bit := rapid.IntRange(0, 8*len(sealed)-1).Draw(t, "bit")
		sealed[bit/8] ^= 1 << (bit % 8)
		if opened, err := v.Open(nil, sealed, label); err == nil || opened != nil {
			t.Fatalf("opened with bit %d changed", bit)
		}
		if opened, err := v.OpenInPlace(bytes.Clone(sealed), label); err == nil || len(opened) != 0 {
			t.Fatalf("opened in place with bit %d changed", bit)
		}
		cut := rapid.IntRange(0, len(sealed)-1).Draw(t, "cut")
		if _, err := v.Open(nil, sealed[:cut], label); err == nil {
			t.Fatalf("opened the first %d bytes", cut)
		}
	})
}

func TestTheSameIsNeverSealedTheSame(t *testing.T) {
	t.Parallel()
	v := open(t, filepath.Join(t.TempDir(), "vault.keys"))
	if bytes.Equal(must(v.Seal(nil, []byte(secret), "l")), must(v.Seal(nil, []byte(secret), "l"))) {
		t.Error("twice the same")
	}
}

func TestRotate(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "vault.keys")
	v := open(t, file)
	old := must(v.Seal(nil, []byte(secret), "l"))
	if v.Stale(old) {
		t.Error("stale at once")
	}
	if err := v.Rotate(); err != nil {
		t.Fatal(err)
	}
	fresh := must(v.Seal(nil, []byte(secret), "l"))
	if !v.Stale(old) || v.Stale(fresh) {
		t.Errorf("stale: the old one %v, the new one %v", v.Stale(old), v.Stale(fresh))
	}
	again := open(t, file) // as after a restart
	for _, sealed := range [][]byte{old, fresh} {
		if opened := must(again.Open(nil, sealed, "l")); string(opened) != secret {
			t.Errorf("opened as %q", opened)
		}
	}
	keys := v.Keys()
	if len(keys) != 2 {
		t.Fatalf("%d keys", len(keys))
	}
	if err := v.Forget(keys[0].ID); err == nil {
		t.Error("forgot the key that seals")
	}
	if err := v.Forget("00000000"); err == nil {
		t.Error("forgot a key that is not there")
	}
	if err := v.Forget(keys[1].ID); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Open(nil, old, "sub.1"); !errors.Is(err, vault.ErrUnknownKey) || heliograph.KindOf(err) != heliograph.Unavailable ||
		!strings.Contains(err.Error(), keys[1].ID) || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "sub.1") {
		t.Errorf("the error of a forgotten key: %v", err)
	}
	// The other has not heard of it, and does when it reloads.
	if _, err := again.Open(nil, old, "l"); err != nil {
		t.Error(err)
	}
	if err := again.Reload(); err != nil {
		t.Fatal(err)
	}
	if _, err := again.Open(nil, old, "l"); !errors.Is(err, vault.ErrUnknownKey) {
		t.Error(err)
	}
}

// A key that another process put into the file is found when it is needed, and not before.
func TestAKeyThatAnotherAdded(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "vault.keys")
	a, b := open(t, file), open(t, file)
	if err := a.Rotate(); err != nil {
		t.Fatal(err)
	}
	sealed := must(a.Seal(nil, []byte(secret), "l"))
	if len(b.Keys()) != 1 {
		t.Fatal("known before it was needed")
	}
	if opened, err := b.Open(nil, sealed, "l"); err != nil || string(opened) != secret {
		t.Errorf("%q, %v", opened, err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	sealed[1] ^= 1
	if _, err := b.Open(nil, sealed, "l"); !errors.Is(err, vault.ErrUnknownKey) {
		t.Errorf("without a file: %v", err)
	}
}

// Values are sealed and opened while several vaults of one file rotate it: none is unreadable, no key is lost.
func TestRotateUnderLoad(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "vault.keys")
	a := open(t, file)
	b := open(t, file)
	var rotations, load sync.WaitGroup
	stop := make(chan struct{})
	sealed := make(chan []byte, 1<<16)
	for _, v := range []*vault.Vault{a, b} {
		rotations.Go(func() {
			for range 25 {
				if err := v.Rotate(); err != nil {
					t.Error(err)
				}
			}
		})
		load.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				one, err := v.Seal(nil, []byte(secret), "l")
				if err != nil {
					t.Error(err)
				}
				if opened, err := v.Open(nil, one, "l"); err != nil || string(opened) != secret {
					t.Error(err)
				}
				select {
				case sealed <- one:
				default:
				}
			}
		})
	}
	rotations.Wait()
	close(stop)
	load.Wait()
	close(sealed)
	all := open(t, file)
	if n := len(all.Keys()); n != 51 {
		t.Errorf("%d keys, want 51", n)
	}
	for one := range sealed {
		if _, err := all.Open(nil, one, "l"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOpenTheKeyFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "vault.keys")
	options := vault.Options{File: file, Now: now}
	if _, err := vault.Open(options); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), file) {
		t.Fatalf("a missing file: %v", err)
	}
	if _, err := vault.Open(vault.Options{File: file}); err == nil {
		t.Error("without a clock")
	}
	v := open(t, file)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	good := must(os.ReadFile(file))
	id := v.Keys()[0].ID
	if created := v.Keys()[0].Created; !created.Equal(now()) {
		t.Errorf("created %s", created)
	}

	for name, c := range map[string]struct{ text, says string }{
		"empty":           {"", "no key"},
		"comments":        {"# nothing\n\n", "no key"},
		"words":           {"these are words\n", "line 1"},
		"a bad time":      {strings.Replace(string(good), "2026-", "26-", 1), "line 3"},
		"half a key":      {strings.Replace(string(good), "=\n", "\n", 1), "line 3"},
		"another key":     {flipKey(string(good)), "key \"" + id + "\" is damaged"},
		"one key twice":   {string(good) + string(good), "twice"},
		"too long a line": {strings.Repeat("x", 1<<17), "too long"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "vault.keys")
			if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := vault.Open(vault.Options{File: file, Now: now, MayCreate: true})
			if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), file) {
				t.Errorf("got %v, want one that says %s", err, c.says)
			}
			key := string(bytes.Fields(good)[len(bytes.Fields(good))-1])
			if err != nil && strings.Contains(err.Error(), key[:10]) {
				t.Errorf("the key is in %v", err)
			}
		})
	}
}

// Processes that start together agree on one key.
func TestStartTogether(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "vault.keys")
	ids := make([]string, 8)
	var all sync.WaitGroup
	for i := range ids {
		all.Go(func() {
			v, err := vault.Open(vault.Options{File: file, Now: now, MayCreate: true})
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = v.Keys()[0].ID
		})
	}
	all.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Fatalf("different keys: %v", ids)
		}
	}
}

func TestNothingIsShown(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "vault.keys")
	v := open(t, file)
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).InfoContext(t.Context(), "opened", "vault", v)
	shown := fmt.Sprintf("%v %+v %#v %s", v, v, v, log.String())
	fields := bytes.Fields(must(os.ReadFile(file)))
	if bytes.Contains([]byte(shown), fields[len(fields)-1][:10]) || !strings.Contains(shown, "vault of 1 keys") {
		t.Error(shown)
	}
}

func FuzzOpen(f *testing.F) {
	v := open(f, filepath.Join(f.TempDir(), "vault.keys"))
	sealed := must(v.Seal(nil, []byte(secret), "l"))
	f.Add(sealed, "l")
	f.Add(sealed[:40], "")
	f.Fuzz(func(t *testing.T, text []byte, label string) {
		opened, err := v.Open(nil, text, label)
		if (err == nil) != (bytes.Equal(text, sealed) && label == "l") {
			t.Errorf("opened as %q, %v", opened, err)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	benchmark(b, func(v *vault.Vault, plaintext, sealed, space []byte) error {
		_, err := v.Seal(space[:0], plaintext, "sub.00000000-0000-0000-0000-000000000000")
		return err
	})
}

func BenchmarkOpen(b *testing.B) {
	benchmark(b, func(v *vault.Vault, plaintext, sealed, space []byte) error {
		_, err := v.Open(space[:0], sealed, "sub.00000000-0000-0000-0000-000000000000")
		return err
	})
}

func benchmark(b *testing.B, run func(v *vault.Vault, plaintext, sealed, space []byte) error) {
	b.Helper()
	v := open(b, filepath.Join(b.TempDir(), "vault.keys"))
	for _, size := range []int{64, 4 << 10, 256 << 10} {
		plaintext := make([]byte, size)
		sealed := must(v.Seal(nil, plaintext, "sub.00000000-0000-0000-0000-000000000000"))
		space := make([]byte, 0, size+vault.Overhead)
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if err := run(v, plaintext, sealed, space); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func open(tb testing.TB, file string) *vault.Vault {
	tb.Helper()
	v, err := vault.Open(vault.Options{File: file, Now: now, MayCreate: true})
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

func now() time.Time { return time.Date(2026, 4, 1, 12, 0, 0, 0, time.UTC) }

// flipKey changes one character of the key in a file.
func flipKey(text string) string {
	i := len(text) - 10
	c := byte('A')
	if text[i] == c {
		c = 'B'
	}
	return text[:i] + string(c) + text[i+1:]
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
