package drive_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"heliograph.dev"
	"heliograph.dev/internal/source/drive"
)

func words(all []told) []string {
	var s []string
	for _, one := range all {
		s = append(s, one.String())
	}
	return s
}

func TestOneSaveIsOneChange(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		save func(t *testing.T, dir string)
		want []string
	}{
		"a new file": {func(t *testing.T, dir string) {
			t.Helper()
			f, err := os.Create(filepath.Join(dir, "new"))
			for range 5 {
				_, _ = f.WriteString("more ")
			}
			if err != nil || f.Close() != nil {
				t.Fatal(err)
			}
		}, []string{"created /new"}},
		"in place": {func(t *testing.T, dir string) {
			t.Helper()
			f, err := os.OpenFile(filepath.Join(dir, "doc"), os.O_WRONLY|os.O_TRUNC, 0)
			for range 5 {
				_, _ = f.WriteString("more ")
			}
			if err != nil || f.Close() != nil {
				t.Fatal(err)
			}
		}, []string{"updated /doc"}},
		"the same size": {func(t *testing.T, dir string) { t.Helper(); write(t, dir, "doc", "tset") }, []string{"updated /doc"}},
		"a temporary file put in its place": {func(t *testing.T, dir string) {
			t.Helper()
			write(t, dir, "doc.tmp", "longer text")
			rename(t, dir, "doc.tmp", "doc")
		}, []string{"updated /doc"}},
		"through a backup that goes": { // vim
			func(t *testing.T, dir string) {
				t.Helper()
				rename(t, dir, "doc", "doc~")
				write(t, dir, "doc", "longer text")
				remove(t, dir, "doc~")
			}, []string{"updated /doc"},
		},
		"through a backup that stays": {func(t *testing.T, dir string) {
			t.Helper()
			rename(t, dir, "doc", "doc~")
			write(t, dir, "doc", "longer text")
		}, []string{"updated /doc", "created /doc~"}},
		"removed and written anew": {func(t *testing.T, dir string) {
			t.Helper()
			remove(t, dir, "doc")
			write(t, dir, "doc", "longer text")
		}, []string{"updated /doc"}},
		"made and removed": {func(t *testing.T, dir string) {
			t.Helper()
			write(t, dir, "lock", "x")
			remove(t, dir, "lock")
		}, nil},
		"only its mode": {func(t *testing.T, dir string) {
			t.Helper()
			if err := os.Chmod(filepath.Join(dir, "doc"), 0o640); err != nil {
				t.Fatal(err)
			}
		}, nil},
		"only its time": {func(t *testing.T, dir string) {
			t.Helper()
			then := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
			if err := os.Chtimes(filepath.Join(dir, "doc"), then, then); err != nil {
				t.Fatal(err)
			}
		}, []string{"updated /doc"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, state := folders(t)
			write(t, dir, "doc", "text")
			old := time.Date(2020, 1, 1, 0, 0, 0, 1, time.UTC)
			if err := os.Chtimes(filepath.Join(dir, "doc"), old, old); err != nil {
				t.Fatal(err)
			}
			// A save is one as long as its steps follow within the quiet: a busy machine is to have the time.
			r := run(t, dir, state, drive.Options{Quiet: 2 * time.Second, Longest: deadline})
			test.save(t, dir)
			write(t, dir, "zzz", "the end")
			all := r.until("zzz")
			write(t, dir, "zzzz", "also the end of what is told last")
			all = append(all, r.until("zzzz")...)
			if diff := cmp.Diff(test.want, words(all)); diff != "" {
				t.Error(diff)
			}
			if err := r.stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestMovesKeepTheItem(t *testing.T) {
	t.Parallel()
	dir, state := folders(t)
	r := run(t, dir, state, drive.Options{})
	known := mirror{}
	mkdir(t, dir, "from", "deep")
	mkdir(t, dir, "to")
	write(t, dir, "from", "deep", "one", "1")
	write(t, dir, "from", "two", "22")
	r.rest(known, dir)
	before := known.ids()

	step := func(from, to string, want ...string) {
		t.Helper()
		rename(t, dir, from, to)
		var all []string
		for range want {
			c := r.next()
			all = append(all, tell(t, c).String())
			known.apply(t, c)
		}
		if diff := cmp.Diff(want, all); diff != "" {
			t.Error(diff)
		}
		r.rest(known, dir)
	}
	step("from/two", "from/2", "updated /from/2 from /from/two")
	step("from/2", "to/two", "updated /to/two from /from/2")
	step("from", "to/folder", "updated /to/folder from /from") // what is in it stays where it was: in it
	write(t, dir, "to", "folder", "deep", "new", "x")          // and is watched there
	if got := tell(t, r.next()).String(); got != "created /to/folder/deep/new" {
		t.Error(got)
	}
	remove(t, dir, "to", "folder", "deep", "new")
	if got := tell(t, r.next()).String(); got != "deleted /to/folder/deep/new" {
		t.Error(got)
	}
	after := known.ids()
	for from, to := range map[string]string{
		"/from": "/to/folder", "/from/deep": "/to/folder/deep", "/from/deep/one": "/to/folder/deep/one", "/from/two": "/to/two",
	} {
		if before[from] == "" || before[from] != after[to] {
			t.Errorf("%s was %s, %s is %s", from, before[from], to, after[to])
		}
	}

	outside := t.TempDir()
	if err := os.Rename(filepath.Join(dir, "to", "folder"), filepath.Join(outside, "folder")); err != nil {
		t.Fatal(err)
	}
	write(t, outside, "folder", "deep", "private", "x") // nobody's business
	r.rest(known, dir)
	if err := os.Rename(filepath.Join(outside, "folder"), filepath.Join(dir, "back")); err != nil {
		t.Fatal(err)
	}
	r.rest(known, dir)
	if err := r.stop(); err != nil {
		t.Error(err)
	}
}

func TestWhatHappenedMeanwhile(t *testing.T) {
	t.Parallel()
	dir, state := folders(t)
	for _, name := range []string{"same", "written", "renamed", "removed", "replaced"} {
		write(t, dir, name, name)
	}
	mkdir(t, dir, "folder", "inner")
	write(t, dir, "folder", "inner", "file", "x")
	old := time.Date(2020, 1, 1, 0, 0, 0, 1, time.UTC)
	for where := range folderTree(t, dir) {
		if err := os.Chtimes(filepath.Join(dir, where), old, old); err != nil {
			t.Fatal(err)
		}
	}
	r := run(t, dir, state, drive.Options{}) // the first sight: nobody can have subscribed
	write(t, dir, "zzz", "")
	if all := r.until("zzz"); len(all) != 0 {
		t.Errorf("published what was there: %v", words(all))
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}

	write(t, dir, "written", "longer than before")
	rename(t, dir, "renamed", "renamed too")
	remove(t, dir, "removed")
	write(t, dir, "tmp", "replaced") // of the same size
	rename(t, dir, "tmp", "replaced")
	rename(t, dir, "folder", "moved")
	write(t, dir, "new", "")
	r = run(t, dir, state, drive.Options{})
	write(t, dir, "zzzz", "")
	got := words(r.until("zzzz"))
	slices.Sort(got)
	want := []string{
		"created /new", "deleted /removed", "updated /moved from /folder", "updated /renamed too from /renamed",
		"updated /replaced", "updated /written",
	}
	got = slices.DeleteFunc(got, func(s string) bool { return s == "updated /zzz" }) // saved just before it was looked at: in doubt
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
}

// Folders are made, and filled before anybody can have begun to watch them.
func TestNewFoldersLoseNothing(t *testing.T) {
	t.Parallel()
	dir, state := folders(t)
	r := run(t, dir, state, drive.Options{})
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 10 {
				where := filepath.Join(dir, fmt.Sprint(i), fmt.Sprint(j), "a", "b", "c")
				if err := os.MkdirAll(where, 0o700); err != nil {
					t.Error(err)
				}
				for k := range 3 {
					if err := os.WriteFile(filepath.Join(where, fmt.Sprint(k)), []byte("x"), 0o600); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	all.Wait()
	r.rest(mirror{}, dir)
	if err := r.stop(); err != nil {
		t.Error(err)
	}
}

func TestThousandsOfFiles(t *testing.T) {
	t.Parallel()
	dir, state := folders(t)
	r := run(t, dir, state, drive.Options{Names: 500})
	known := mirror{}
	for i := range 30 {
		mkdir(t, dir, fmt.Sprint(i))
		for j := range 100 {
			write(t, dir, fmt.Sprint(i), fmt.Sprint(j), "x")
		}
	}
	r.settle(known, dir)
	remove(t, dir, "7")
	rename(t, dir, "8", "9/moved")
	r.rest(known, dir)
	if err := r.stop(); err != nil {
		t.Error(err)
	}
}

func TestLinksAreNoItems(t *testing.T) {
	t.Parallel()
	dir, state := folders(t)
	outside := t.TempDir()
	write(t, outside, "secret", "x")
	r := run(t, dir, state, drive.Options{})
	for from, to := range map[string]string{outside: "folder link", filepath.Join(outside, "secret"): "file link", "nowhere": "dangling", ".": "loop"} {
		if err := os.Symlink(from, filepath.Join(dir, to)); err != nil {
			t.Skip(err)
		}
	}
	write(t, outside, "more", "x")
	write(t, dir, "zzz", "")
	if all := r.until("zzz"); len(all) != 0 {
		t.Errorf("published %v", words(all))
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
}

// A file that has another name, outside of the drive, is written by that name: nothing is heard of it.
func TestLookedThroughNowAndThen(t *testing.T) {
	t.Parallel()
	dir, state := folders(t)
	outside := t.TempDir()
	write(t, outside, "file", "x")
	if err := os.Link(filepath.Join(outside, "file"), filepath.Join(dir, "file")); err != nil {
		t.Skip(err)
	}
	r := run(t, dir, state, drive.Options{Rescan: 50 * time.Millisecond})
	write(t, outside, "file", "longer")
	if got := tell(t, r.next()).String(); got != "updated /file" {
		t.Error(got)
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
}

func TestUnreadableFolderKeepsWhatItHad(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" || os.Geteuid() == 0 {
		t.Skip("everything is readable here")
	}
	dir, state := folders(t)
	mkdir(t, dir, "folder")
	write(t, dir, "folder", "file", "x")
	r := run(t, dir, state, drive.Options{})
	if err := os.Chmod(filepath.Join(dir, "folder"), 0); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "zzz", "")
	if all := r.until("zzz"); len(all) != 0 {
		t.Errorf("published %v", words(all))
	}
	if err := os.Chmod(filepath.Join(dir, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "folder", "more", "x")
	r.until("more")
	if err := r.stop(); err != nil {
		t.Error(err)
	}
}

// When a disk is taken away, nobody has deleted the files.
func TestTheFolderItselfIsGone(t *testing.T) {
	t.Parallel()
	base, state := folders(t)
	dir := filepath.Join(base, "root")
	mkdir(t, dir, "sub")
	write(t, dir, "sub", "file", "x")
	r := run(t, dir, state, drive.Options{})
	rename(t, base, "root", "elsewhere")
	select {
	case err := <-r.ended:
		if err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "is gone") {
			t.Errorf("ended: %v", err)
		}
		r.ended <- err
	case c := <-r.changes:
		t.Errorf("published %s", tell(t, c))
	case <-time.After(deadline):
		t.Error("did not end")
	}
	_ = r.stop()

	mkdir(t, dir) // where the disk was
	d, err := drive.New(defaults(drive.Options{State: drive.NewFileState(state), Publish: refuse(t)}, dir))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "is its disk mounted?") {
		t.Errorf("ended: %v", err)
	}

	write(t, dir, "sub", "now a file") // another folder that somebody has filled
	r = run(t, dir, state, drive.Options{})
	write(t, dir, "zzz", "")
	got := words(r.until("zzz"))
	if want := []string{"created /sub", "deleted /sub/file", "deleted /sub"}; !slices.Equal(got, want) {
		t.Errorf("published %v, want %v", got, want)
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
}

func refuse(t *testing.T) func(context.Context, []heliograph.Change) error {
	t.Helper()
	return func(_ context.Context, changes []heliograph.Change) error {
		t.Errorf("published %s", tell(t, changes[0]))
		return nil
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	dir, _ := folders(t)
	write(t, dir, "file", "")
	for name, opts := range map[string]drive.Options{
		"no such folder": {User: user, Tenant: tenant, Dir: filepath.Join(dir, "nowhere")},
		"a file":         {User: user, Tenant: tenant, Dir: filepath.Join(dir, "file")},
		"no user":        {Tenant: tenant, Dir: dir},
		"no tenant":      {User: user, Dir: dir},
		"a path":         {User: "a/b", Tenant: tenant, Dir: dir},
	} {
		if _, err := drive.New(opts); heliograph.KindOf(err) != heliograph.Invalid || err == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
