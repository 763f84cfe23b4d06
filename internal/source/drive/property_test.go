package drive_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"

	"heliograph.dev/internal/source/drive"
)

// Whatever is done to a folder, by whatever names, at once or bit by bit, watched or not: when it rests, the
// changes published make exactly that folder, each of them made sense where it came, and nothing is left to be
// found by the next start.
func TestTheChangesMakeTheFolder(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		base := folderIn(t, home)
		defer remove(t, base)
		dir, state := filepath.Join(base, "root"), &memory{}
		mkdir(t, dir)
		mkdir(t, base, "outside")
		known := mirror{}
		for range rapid.IntRange(1, 3).Draw(t, "runs") {
			r := run(t, dir, "", drive.Options{
				State: state, Quiet: 3 * time.Millisecond, Names: rapid.SampledFrom([]int{4, 100}).Draw(t, "names"),
			})
			for range rapid.IntRange(1, 4).Draw(t, "rounds") {
				for range rapid.IntRange(1, 12).Draw(t, "operations") {
					operate(t, base)
				}
				if rapid.Bool().Draw(t, "wait") {
					r.settle(known, dir)
				}
			}
			r.settle(known, dir)
			r.rest(known, dir)
			if err := r.stop(); err != nil {
				t.Fatal(err)
			}
			for range rapid.IntRange(0, 6).Draw(t, "unwatched operations") {
				operate(t, base)
			}
		}
		r := run(t, dir, "", drive.Options{State: state})
		r.settle(known, dir)
		r.rest(known, dir)
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
	})
}

// operate does one thing to the folder base/root. Names are few, so that they meet.
func operate(t *rapid.T, base string) {
	t.Helper()
	root := filepath.Join(base, "root")
	place := rapid.Custom(func(t *rapid.T) string {
		where := root
		for range rapid.IntRange(1, 3).Draw(t, "depth") {
			where = filepath.Join(where, rapid.SampledFrom([]string{"a", "b", "c", "ü \\%#?", "n\n\xff"}).Draw(t, "name"))
		}
		return where
	})
	one, other := place.Draw(t, "one"), place.Draw(t, "other")
	text := []byte(fmt.Sprint(rapid.IntRange(0, 20000).Draw(t, "text")))
	// What cannot be done (a file in a file, a folder into itself) is left out.
	switch rapid.IntRange(0, 9).Draw(t, "what") {
	case 0, 1:
		_ = os.WriteFile(one, text, 0o600)
	case 2:
		_ = os.MkdirAll(one, 0o700)
	case 3: // made with something in it at once
		_ = os.MkdirAll(one, 0o700)
		_ = os.WriteFile(filepath.Join(one, "in"), text, 0o600)
	case 4, 5:
		_ = os.Rename(one, other)
	case 6:
		_ = os.RemoveAll(one)
	case 7: // as many editors save
		if os.WriteFile(one+".tmp", text, 0o600) == nil {
			_ = os.Rename(one+".tmp", one)
		}
	case 8: // out of the drive, and another time in again
		outside := filepath.Join(base, "outside", fmt.Sprint(rapid.IntRange(0, 2).Draw(t, "outside")))
		if os.Rename(one, outside) != nil {
			_ = os.Rename(outside, one)
		}
	case 9:
		switch rapid.IntRange(0, 2).Draw(t, "special") {
		case 0:
			_ = os.Symlink("a", one)
		case 1:
			_ = os.Link(one, other)
		case 2:
			_ = os.Chmod(one, 0o700)
		}
	}
}
