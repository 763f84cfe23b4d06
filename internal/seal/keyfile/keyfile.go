// Package keyfile keeps key material in a file.
//
// The file is readable by its owner only and is made and replaced in one step, on disk before the call returns: after
// a crash there is the old content or the new, and of two processes that make the file at the same time one makes it
// and the other hears so. A file that strangers may read, or that others may change, is refused: such a key protects
// nothing. A group that may read is let through, because that is how container platforms hand a secret to a process
// that is not root.
//
// Update is for several processes at once: what one of them adds must not be lost when another adds too, since what
// was sealed with a lost key is lost with it.
package keyfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/gofrs/flock"
)

const (
	mode      = 0o600
	forbidden = 0o037 // group: write, execute; others: anything
	maxSize   = 1 << 20
)

// Read returns the content. The error of a file that is not there is fs.ErrNotExist.
func Read(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	switch perm := info.Mode().Perm(); {
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a file", path)
	case runtime.GOOS != "windows" && perm&forbidden != 0:
		return nil, fmt.Errorf("%s has mode %04o, so others may read or change the keys in it: chmod 0600 it", path, perm)
	case info.Size() > maxSize:
		return nil, fmt.Errorf("%s has %d bytes: that is no key file", path, info.Size())
	}
	return os.ReadFile(path) //nolint:gosec // the path is the operator's choice
}

// Create makes a file that is not there yet; when it is, the error is fs.ErrExist.
func Create(path string, content []byte) error {
	temporary, err := write(path, content)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temporary) }()
	// A link, unlike a rename, never replaces what somebody else has just made.
	if err := os.Link(temporary, path); err != nil {
		return err
	}
	return syncFolder(path)
}

// Replace puts content in place of what the file holds, or makes the file.
func Replace(path string, content []byte) error {
	temporary, err := write(path, content)
	if err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		_ = os.Remove(temporary)
		return err
	}
	return syncFolder(path)
}

// Update reads the file, lets change say what it shall hold, and replaces it, while no other process does the same.
// An error of change leaves the file as it is. A nil content from change does too.
func Update(path string, change func(content []byte) ([]byte, error)) (err error) {
	return update(path, change, false)
}

// Destroy is Update for content that must not be found on the disk any more: what the file held is overwritten where it
// stood, once the new content is on disk. Copies that a file system or a backup made are others.
func Destroy(path string, change func(content []byte) ([]byte, error)) error {
	return update(path, change, true)
}

func update(path string, change func(content []byte) ([]byte, error), overwrite bool) (err error) {
	lock := flock.New(path+".lock", flock.SetPermissions(mode))
	if err := lock.Lock(); err != nil {
		return fmt.Errorf("lock %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	content, err := Read(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	fresh, err := change(content)
	if err != nil || fresh == nil {
		return err
	}
	if !overwrite {
		return Replace(path, fresh)
	}
	old, err := os.OpenFile(path, os.O_WRONLY, 0) //nolint:gosec // the path is the operator's choice
	if err != nil {
		return err
	}
	if err := Replace(path, fresh); err != nil {
		return errors.Join(err, old.Close())
	}
	_, err = old.Write(make([]byte, len(content)))
	return errors.Join(err, old.Sync(), old.Close())
}

// write puts content on disk under another name beside path.
func write(path string, content []byte) (name string, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".keys-*") // made with mode 0600
	if err != nil {
		return "", err
	}
	if _, err = f.Write(content); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(f.Name())
		return "", err
	}
	return f.Name(), nil
}

// syncFolder makes the file's name as durable as its content. Windows has no such call, and needs none.
func syncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
