package drive_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"heliograph.dev"
	"heliograph.dev/internal/catalog"
	"heliograph.dev/internal/source/drive"
)

func TestWhatAChangeSays(t *testing.T) {
	t.Parallel()
	dir, state := folders(t)
	mkdir(t, dir, "a b", "c#%é")
	mkdir(t, dir, "to")
	r := run(t, dir, state, drive.Options{})
	mkdir(t, dir, "new")
	folder := r.next()
	began := time.Now() //nolint:forbidigo // the file system's time is the machine's
	write(t, dir, "a b", "c#%é", "notes.html", "<p>")
	made := r.next()
	rename(t, dir, "a b/c#%é/notes.html", "to/notes.html")
	moved := r.next()
	remove(t, dir, "to", "notes.html")
	gone := r.next()
	if err := r.stop(); err != nil {
		t.Error(err)
	}

	item := decode(t, made)
	driveID := item.ParentReference.DriveID
	if item.Name != "notes.html" || *item.Size != 3 || item.Folder != nil || item.Deleted != nil || item.Previous != nil ||
		!strings.HasPrefix(item.File.MIMEType, "text/html") || item.ParentReference.Path != "/drives/"+driveID+"/root:/a%20b/c%23%25%C3%A9" {
		t.Errorf("made = %s", made.Data)
	}
	if age := item.LastModifiedDateTime.Sub(began); age.Abs() > deadline || item.CreatedDateTime.After(item.LastModifiedDateTime) {
		t.Errorf("created %v, modified %v, written %v", item.CreatedDateTime, item.LastModifiedDateTime, began)
	}
	if late := made.Time.Sub(began); late < 0 || late > deadline {
		t.Errorf("happened %v, written %v", made.Time, began)
	}
	inFolder := "drives/" + driveID + "/items/" + item.ParentReference.ID + "/children/" + item.ID
	if len(made.Paths) != 3 || made.Paths[0] != "drives/"+driveID+"/items/"+item.ID || made.Paths[1] != inFolder {
		t.Errorf("paths = %q", made.Paths)
	}
	if f := decode(t, folder); f.Folder == nil || f.Folder.ChildCount != 0 || f.File != nil || f.Size != nil || f.ParentReference.where() != "" {
		t.Errorf("folder = %s", folder.Data)
	}
	m := decode(t, moved)
	if moved.Type != heliograph.Updated || m.ID != item.ID || m.Previous == nil || m.Previous.ParentReference.ID != item.ParentReference.ID || m.ParentReference.where() != "/to" {
		t.Errorf("moved = %s", moved.Data)
	}
	// Those who watch the old folder hear of it, as do those who watch the new one.
	if want := append([]string{made.Paths[0], "drives/" + driveID + "/items/" + m.ParentReference.ID + "/children/" + item.ID}, made.Paths[1:]...); !cmp.Equal(want, moved.Paths) {
		t.Errorf("paths = %q, want %q", moved.Paths, want)
	}
	if g := decode(t, gone); gone.Type != heliograph.Deleted || g.ID != item.ID || g.Deleted == nil || g.ParentReference.where() != "/to" {
		t.Errorf("gone = %s", gone.Data)
	}
}

// contract 3.2.5, 3.2.7: a subscription of the root knows only updated, and hears of everything.
func TestSubscriptionsOfTheRootHearOfEverything(t *testing.T) {
	t.Parallel()
	c, err := catalog.Load()
	if err != nil {
		t.Fatal(err)
	}
	dir, state := folders(t)
	mkdir(t, dir, "folder")
	r := run(t, dir, state, drive.Options{})
	write(t, dir, "folder", "file", "x")
	changes := []heliograph.Change{r.next()}
	write(t, dir, "folder", "file", "longer")
	changes = append(changes, r.next())
	remove(t, dir, "folder", "file")
	changes = append(changes, r.next())
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	for _, change := range changes {
		paths := append([]string{change.Resource}, change.Paths...)
		heard := map[string]heliograph.ChangeType{}
		for _, path := range paths {
			if canonical, err := c.CanonicalChange(path); err != nil || canonical != path {
				t.Errorf("%s is %s, %v", path, canonical, err)
			}
			c.Watchers(path, func(w *catalog.Watcher) {
				instance := w.Instance()
				heard[string(w.AppendPath(nil))] = instance.Type(change.Type, heliograph.Updated)
			})
		}
		item := decode(t, change)
		for _, want := range []string{
			"users/" + string(user) + "/drive/root",
			"drives/" + item.ParentReference.DriveID + "/root",
			"drives/" + item.ParentReference.DriveID + "/items/" + item.ParentReference.ID,
		} {
			if heard[want] != heliograph.Updated {
				t.Errorf("%s of %s: %s heard %q", change.Type, item.Name, want, heard[want])
			}
		}
	}
}

func TestPublishingIsTriedAgain(t *testing.T) {
	t.Parallel()
	dir, state := folders(t)
	refusals := []error{
		&heliograph.Error{Kind: heliograph.Limited, RetryAfter: 150 * time.Millisecond},
		&heliograph.Error{Kind: heliograph.Unavailable},
		errors.New("anything"),
	}
	var tried []heliograph.Change
	r := &running{t: t, changes: make(chan heliograph.Change, 100)}
	opts := drive.Options{Publish: func(_ context.Context, changes []heliograph.Change) error {
		tried = append(tried, changes[0])
		if len(tried) <= len(refusals) {
			return refusals[len(tried)-1]
		}
		for _, c := range changes {
			r.changes <- c
		}
		return nil
	}}
	at := run(t, dir, state, opts)
	write(t, dir, "file", "x")
	got := r.next()
	if err := at.stop(); err != nil {
		t.Error(err)
	}
	if len(tried) != 4 {
		t.Fatalf("tried %d times", len(tried))
	}
	for _, one := range tried {
		if diff := cmp.Diff(got, one, cmpopts.EquateApproxTime(0)); diff != "" {
			t.Errorf("tried something else:\n%s", diff)
		}
	}
}

func TestStopWhileNobodyTakesChanges(t *testing.T) {
	t.Parallel()
	dir, state := folders(t)
	tried := make(chan struct{}, 100)
	r := run(t, dir, state, drive.Options{Publish: func(context.Context, []heliograph.Change) error {
		tried <- struct{}{}
		return &heliograph.Error{Kind: heliograph.Full, RetryAfter: time.Hour}
	}})
	write(t, dir, "file", "x")
	<-tried
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	r = run(t, dir, state, drive.Options{})
	if got := tell(t, r.next()).String(); got != "created /file" {
		t.Error(got)
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
}

func TestRefusedForGood(t *testing.T) {
	t.Parallel()
	dir, state := folders(t)
	r := run(t, dir, state, drive.Options{Publish: func(context.Context, []heliograph.Change) error {
		return heliograph.Errorf(heliograph.Invalid, "publish.resource.unknown", "nobody knows it")
	}})
	write(t, dir, "file", "x")
	err := <-r.ended
	if heliograph.KindOf(err) != heliograph.Invalid {
		t.Errorf("ended: %v", err)
	}
	r.ended <- err
	_ = r.stop()
}
