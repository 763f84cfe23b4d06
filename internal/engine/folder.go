package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"github.com/gofrs/flock"

	"heliograph.dev"
)

const (
	modeFile   = "heliograph.json"
	modeTemp   = modeFile + ".new"
	lockFile   = "heliograph.lock"
	folderMode = 0o700
	schema     = 2 // of the folder and of what the streams hold
	standalone = "standalone"
)

// folder is a data folder that this process alone has open.
type folder struct{ lock *flock.Flock }

// mode is what heliograph.json says.
type mode struct {
	Schema int    `json:"schema"`
	Mode   string `json:"mode"`
}

// claim makes dir a folder of that mode, or finds that it is one, and locks it. It changes nothing in a folder that it
// refuses.
func claim(ctx context.Context, dir, mode string, logger *slog.Logger) (*folder, error) {
	if err := os.MkdirAll(dir, folderMode); err != nil {
		return nil, fmt.Errorf("make data folder: %w", err)
	}
	if _, err := ours(dir, mode); err != nil {
		return nil, err
	}
	lock := flock.New(filepath.Join(dir, lockFile), flock.SetPermissions(0o600))
	locked, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock data folder: %w", err)
	}
	if !locked {
		_ = lock.Close() // it holds nothing
		return nil, heliograph.Errorf(heliograph.Conflict, "data.locked", "data folder %s is in use by another process", dir)
	}
	f := &folder{lock}
	if err := f.mark(dir, mode); err != nil {
		f.release()
		return nil, err
	}
	if info, err := os.Stat(dir); err == nil && info.Mode().Perm()&^folderMode != 0 {
		if err := os.Chmod(dir, folderMode); err != nil { // a volume that somebody else owns: say it, and work
			logger.WarnContext(ctx, "data folder is open to others", "dir", dir, "mode", info.Mode().Perm().String(), "error", err)
		}
	}
	return f, nil
}

// mark writes the mode file when there is none. The folder is looked at again: another process may have taken
// it between the first look and the lock.
func (f *folder) mark(dir, wanted string) error {
	is, err := ours(dir, wanted)
	if err != nil || is {
		return err
	}
	text, err := json.Marshal(mode{Schema: schema, Mode: wanted})
	if err != nil {
		return fmt.Errorf("write mode of data folder: %w", err)
	}
	if err := writeSynced(dir, append(text, '\n')); err != nil {
		return fmt.Errorf("write mode of data folder: %w", err)
	}
	return nil
}

// ours reports whether dir is a folder of the wanted mode already. It may become one when it is empty; anything else is
// an error.
func ours(dir, wanted string) (bool, error) {
	text, err := os.ReadFile(filepath.Join(dir, modeFile)) //nolint:gosec // the operator names the folder
	if errors.Is(err, fs.ErrNotExist) {
		return false, empty(dir)
	}
	if err != nil {
		return false, fmt.Errorf("read mode of data folder: %w", err)
	}
	var m mode
	if err := json.Unmarshal(text, &m); err != nil {
		return false, heliograph.Errorf(heliograph.Invalid, "data.mode", "%s does not say what folder %s is: %w", modeFile, dir, err)
	}
	switch {
	case m.Schema > schema:
		return false, heliograph.Errorf(heliograph.Invalid, "data.newer",
			"data folder %s is of schema %d, made by a newer heliograph; this one knows %d", dir, m.Schema, schema)
	case m.Mode != wanted || m.Schema < 1:
		return false, heliograph.Errorf(heliograph.Invalid, "data.mode",
			"data folder %s is of mode %q and cannot be opened as %q: the engine would delete what is in it", dir, m.Mode, wanted)
	}
	return true, nil
}

// empty refuses a folder in which somebody else keeps things.
func empty(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("read data folder: %w", err)
	}
	for _, entry := range entries {
		if !slices.Contains([]string{lockFile, modeTemp, "lost+found"}, entry.Name()) {
			return heliograph.Errorf(heliograph.Invalid, "data.foreign",
				"folder %s is not empty and not a data folder of heliograph: there is %q in it", dir, entry.Name())
		}
	}
	return nil
}

// writeSynced writes the mode file so that it is there whole or not at all.
func writeSynced(dir string, text []byte) error {
	temp := filepath.Join(dir, modeTemp)
	file, err := os.OpenFile(temp, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600) //nolint:gosec // the operator names the folder
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(temp, filepath.Join(dir, modeFile)); err != nil {
		return err
	}
	return syncFolder(dir)
}

// release unlocks the folder. The lock file stays: removing it would let two processes lock two of them.
func (f *folder) release() { _ = f.lock.Close() } // the process loses the lock in any case
