package drive_test

import (
	"context"
	"encoding/json"
	"flag"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"heliograph.dev"
	"heliograph.dev/internal/clock"
	"heliograph.dev/internal/source/drive"
)

// A check on a real folder takes as long as a thousand others, so there are few unless more are asked for:
// go test -rapid.checks=3000.
func TestMain(m *testing.M) {
	flag.Parse()
	asked := false
	flag.Visit(func(f *flag.Flag) { asked = asked || f.Name == "rapid.checks" })
	if !asked {
		if err := flag.Set("rapid.checks", "20"); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m)
}

const (
	user   heliograph.ObjectID = "48d31887-5fad-4d73-a9f5-3c356e68a038"
	tenant heliograph.TenantID = "84bd8158-6d4d-4958-8b9f-9d6445542f95"

	// deadline is how long a test waits for what must come.
	deadline = time.Minute
)

// memory is a State that needs no disk. It survives what it is the state of.
type memory struct {
	mu      sync.Mutex
	records [][]byte
}

func (m *memory) Load() ([][]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.records), nil
}

func (m *memory) Append(record []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.records = append(m.records, record)
	return nil
}

func (m *memory) Replace(record []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.records = [][]byte{record}
	return nil
}

// tester is a *testing.T, or a *rapid.T.
type tester interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

// running is a drive at work, and what it publishes.
type running struct {
	t       tester
	changes chan heliograph.Change
	cancel  context.CancelFunc
	ended   chan error
	state   *drive.FileState
	// seen, when set, holds the changes that came before: one that comes again must be the same.
	seen map[heliograph.ChangeID]heliograph.Change
}

// defaults fills in what a test does not care about.
func defaults(opts drive.Options, dir string) drive.Options {
	opts.User, opts.Tenant, opts.Dir = user, tenant, dir
	opts.Clock = clock.System()
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Quiet == 0 {
		opts.Quiet = 10 * time.Millisecond
	}
	return opts
}

// run runs a drive on dir, with its state in a file, and returns when it is ready.
func run(t tester, dir, state string, opts drive.Options) *running {
	t.Helper()
	r := &running{t: t, changes: make(chan heliograph.Change, 1<<18), ended: make(chan error, 1)}
	opts = defaults(opts, dir)
	if opts.State == nil {
		r.state = drive.NewFileState(state)
		opts.State = r.state
	}
	if opts.Publish == nil {
		opts.Publish = func(_ context.Context, changes []heliograph.Change) error {
			for _, c := range changes {
				r.changes <- c
			}
			return nil
		}
	}
	d, err := drive.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	var ctx context.Context
	ctx, r.cancel = context.WithCancel(context.Background())
	go func() { r.ended <- d.Run(ctx) }()
	select {
	case <-d.Ready():
	case err := <-r.ended:
		t.Fatalf("ended: %v", err)
	case <-time.After(deadline):
		t.Fatal("not ready")
	}
	return r
}

// stop stops the drive and returns how it ended. It may be called twice.
func (r *running) stop() error {
	r.t.Helper()
	r.cancel()
	select {
	case err := <-r.ended:
		r.ended <- err
		if r.state != nil {
			_ = r.state.Close()
		}
		return err
	case <-time.After(deadline):
		r.t.Fatal("did not stop")
		return nil
	}
}

// next returns the next change.
func (r *running) next() heliograph.Change {
	r.t.Helper()
	select {
	case c := <-r.changes:
		return c
	case err := <-r.ended:
		r.t.Fatalf("ended: %v", err)
	case <-time.After(deadline):
		r.t.Fatal("no change came")
	}
	return heliograph.Change{}
}

// told is what a change tells.
type told struct {
	Type heliograph.ChangeType
	ID   string
	Name string
	Path string // of its folder, from the root
	From string // for a moved item, where it was
}

func (c told) String() string {
	s := c.Type.String() + " " + c.Path + "/" + c.Name
	if c.From != "" {
		s += " from " + c.From
	}
	return s
}

type driveItem struct {
	ID, Name             string
	Size                 *int64
	LastModifiedDateTime time.Time
	CreatedDateTime      time.Time
	ParentReference      reference
	File                 *struct{ MIMEType string }
	Folder               *struct{ ChildCount int }
	Deleted              *struct{ State string }
	Previous             *struct {
		Name            string
		ParentReference reference
	} `json:"@heliograph.previous"`
}

type reference struct{ DriveID, ID, Path string }

func (r reference) where() string {
	_, where, _ := strings.Cut(r.Path, "/root:")
	return where
}

func decode(t tester, c heliograph.Change) driveItem {
	t.Helper()
	var item driveItem
	if err := json.Unmarshal(c.Data, &item); err != nil {
		t.Fatalf("data %s: %v", c.Data, err)
	}
	return item
}

func tell(t tester, c heliograph.Change) told {
	t.Helper()
	item := decode(t, c)
	one := told{Type: c.Type, ID: item.ID, Name: item.Name, Path: item.ParentReference.where()}
	if item.Previous != nil {
		one.From = item.Previous.ParentReference.where() + "/" + item.Previous.Name
	}
	return one
}

// until returns what the changes tell up to and without the one that says that the file named was created.
func (r *running) until(name string) []told {
	r.t.Helper()
	var all []told
	for {
		one := tell(r.t, r.next())
		if one.Type == heliograph.Created && one.Name == name {
			return all
		}
		all = append(all, one)
	}
}

// mirror is a drive as somebody knows it who hears of its changes only.
type mirror map[string]driveItem

// apply takes a change. It complains of those that make no sense.
func (m mirror) apply(t tester, c heliograph.Change) {
	t.Helper()
	item := decode(t, c)
	if want := "users/" + string(user) + "/drive/items/" + item.ID; c.Resource != want || c.Tenant != tenant || c.ID.IsZero() {
		t.Fatalf("change %s of %s in tenant %s, want %s", c.ID, c.Resource, c.Tenant, want)
	}
	_, known := m[item.ID]
	if known != (c.Type != heliograph.Created) {
		t.Fatalf("%s, known before: %t", tell(t, c), known)
	}
	if c.Type == heliograph.Deleted {
		for _, other := range m {
			if other.ParentReference.ID == item.ID {
				t.Fatalf("%s, with %s in it", tell(t, c), other.Name)
			}
		}
		delete(m, item.ID)
		return
	}
	if _, inKnown := m[item.ParentReference.ID]; !inKnown && item.ParentReference.where() != "" {
		t.Fatalf("%s is in an unknown folder", tell(t, c))
	}
	m[item.ID] = item
}

// tree returns the paths of everything, with the sizes of files and -1 for folders.
func (m mirror) tree() map[string]int64 {
	all := make(map[string]int64, len(m))
	for _, item := range m {
		size := int64(-1)
		if item.Folder == nil {
			size = *item.Size
		}
		where := m.path(item)
		if _, twice := all[where]; twice {
			where += " (twice)" // until the other is deleted
		}
		all[where] = size
	}
	return all
}

func (m mirror) path(item driveItem) string {
	if parent, ok := m[item.ParentReference.ID]; ok {
		return m.path(parent) + "/" + item.Name
	}
	return "/" + item.Name
}

// ids returns the id of each path.
func (m mirror) ids() map[string]string {
	all := make(map[string]string, len(m))
	for id, item := range m {
		all[m.path(item)] = id
	}
	return all
}

// folderTree is what is really there.
func folderTree(t tester, dir string) map[string]int64 {
	t.Helper()
	all := map[string]int64{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		where := strings.ToValidUTF8(filepath.ToSlash(strings.TrimPrefix(path, dir)), "\uFFFD")
		switch {
		case entry.IsDir():
			all[where] = -1
		case entry.Type().IsRegular():
			info, err := entry.Info()
			if err != nil {
				return err
			}
			all[where] = info.Size()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// apply takes a change unless it came before.
func (r *running) apply(m mirror, c heliograph.Change) {
	r.t.Helper()
	if r.seen != nil {
		first, again := r.seen[c.ID]
		if again {
			if diff := cmp.Diff(first, c); diff != "" {
				r.t.Fatalf("it comes again and differs (-first +again):\n%s", diff)
			}
			return
		}
		r.seen[c.ID] = c
	}
	m.apply(r.t, c)
}

// settle applies changes until the mirror equals the folder.
func (r *running) settle(m mirror, dir string) {
	r.t.Helper()
	want := folderTree(r.t, dir)
	for !maps.Equal(m.tree(), want) {
		late := time.After(deadline) // since the last change: how many there are is nothing to be late for
		select {
		case c := <-r.changes:
			r.apply(m, c)
			for range len(r.changes) { // comparing takes longer than a change
				r.apply(m, <-r.changes)
			}
		case err := <-r.ended:
			r.t.Fatalf("ended: %v", err)
		case <-late:
			r.t.Fatalf("the changes do not make the folder (-folder +changes):\n%s", cmp.Diff(want, m.tree()))
		}
	}
}

// rest applies all changes that belong to what was done until now, and checks that the mirror equals the
// folder. It finds the end by files of its own: the first may be seen by a scan that is under way and missed
// the rest, the second by the next one, before what that has to say last.
func (r *running) rest(m mirror, dir string) {
	r.t.Helper()
	for _, mark := range []string{"mark 1", "mark 2", "mark 3"} {
		write(r.t, dir, mark, time.Now().String()) //nolint:forbidigo // to write something else each time
		for {
			c := r.next()
			r.apply(m, c)
			if tell(r.t, c).Name == mark {
				break
			}
		}
	}
	r.settle(m, dir) // a mark may have been seen half written
}

func write(t tester, parts ...string) {
	t.Helper()
	text, path := parts[len(parts)-1], filepath.Join(parts[:len(parts)-1]...)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func mkdir(t tester, parts ...string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(parts...), 0o700); err != nil {
		t.Fatal(err)
	}
}

func rename(t tester, dir, from, to string) {
	t.Helper()
	if err := os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)); err != nil {
		t.Fatal(err)
	}
}

func remove(t tester, parts ...string) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(parts...)); err != nil {
		t.Fatal(err)
	}
}

// folderIn makes a folder in another.
func folderIn(t tester, home string) string {
	t.Helper()
	dir, err := os.MkdirTemp(home, "")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// folders returns an empty folder and where its state may be kept.
func folders(t *testing.T) (dir, state string) {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir, filepath.Join(t.TempDir(), "drive.state")
}
