package keyfile_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"heliograph.dev/internal/seal/keyfile"
)

func TestCreateAndRead(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys")
	if _, err := keyfile.Read(path); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if err := keyfile.Create(path, []byte("one")); err != nil {
		t.Fatal(err)
	}
	if err := keyfile.Create(path, []byte("two")); !errors.Is(err, fs.ErrExist) {
		t.Fatal("made over another:", err)
	}
	holds(t, path, "one")
	if err := keyfile.Replace(path, []byte("three")); err != nil {
		t.Fatal(err)
	}
	holds(t, path, "three")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %04o", info.Mode().Perm())
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("files are left behind: %v, %v", entries, err)
	}
}

func TestModes(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("modes are not how Windows protects a file")
	}
	for mode, ok := range map[os.FileMode]bool{
		0o600: true, 0o400: true, 0o640: true, 0o440: true, 0o660: false, 0o644: false, 0o604: false, 0o602: false, 0o444: false,
	} {
		path := filepath.Join(t.TempDir(), "keys")
		if err := os.WriteFile(path, []byte("k"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := keyfile.Read(path)
		if (err == nil) != ok {
			t.Errorf("mode %04o: %v", mode, err)
		}
		if err != nil && !strings.Contains(err.Error(), path) {
			t.Errorf("the error names no file: %v", err)
		}
	}
}

func TestReadRefusesAFolder(t *testing.T) {
	t.Parallel()
	if _, err := keyfile.Read(t.TempDir()); err == nil {
		t.Error("a folder is read")
	}
}

// Whoever updates at the same time, nothing that one of them added is lost.
func TestUpdateAtOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys")
	var all sync.WaitGroup
	for worker := range 4 {
		all.Go(func() {
			for n := range 10 {
				if err := keyfile.Update(path, func(content []byte) ([]byte, error) {
					return fmt.Appendf(content, "%d-%d\n", worker, n), nil
				}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	content, err := keyfile.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	for worker := range 4 {
		for n := range 10 {
			if line := fmt.Sprintf("%d-%d\n", worker, n); strings.Count(string(content), line) != 1 {
				t.Errorf("%q is there %d times", line, strings.Count(string(content), line))
			}
		}
	}
}

func TestUpdateThatFailsChangesNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys")
	if err := keyfile.Create(path, []byte("as it was")); err != nil {
		t.Fatal(err)
	}
	mine := errors.New("mine")
	if err := keyfile.Update(path, func([]byte) ([]byte, error) { return []byte("x"), mine }); !errors.Is(err, mine) {
		t.Error(err)
	}
	if err := keyfile.Update(path, func([]byte) ([]byte, error) { return nil, nil }); err != nil {
		t.Error(err)
	}
	holds(t, path, "as it was")
}

func holds(t *testing.T, path, want string) {
	t.Helper()
	got, err := keyfile.Read(path)
	if err != nil || string(got) != want {
		t.Errorf("holds %q, %v; want %q", got, err, want)
	}
}
