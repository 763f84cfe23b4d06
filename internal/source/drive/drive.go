// Package drive makes a folder a user's OneDrive: files and folders that are made, written, moved and removed
// below it are published as changes of driveItems.
//
// # What it promises
//
// Every change is published at least once, in an order in which a folder comes before what is in it, and is on
// disk when the next is told. One save is one change, however many steps the program takes. An item keeps its
// id when it is renamed, moved or saved by replacing it, and across restarts. What happened while nobody was
// watching is found by comparing the folder with what is remembered of it. When the folder is seen for the
// first time, what is in it is remembered and not published: nobody can have subscribed before.
//
// A change says what happened to the item: created, updated (written, renamed or moved) or deleted. That a
// subscription of the drive's root hears of all of them as updated is the catalog's business.
//
// Symbolic links are not followed and, like devices and sockets, are no items. A folder that may not be read
// keeps the items that it had. When the whole folder disappears, its disk was probably taken away: Run ends
// with an error and publishes no deletions.
//
// Two things are not noticed: a file rewritten with the same size whose old time is put back afterwards, and
// which of two files is which when both their names were exchanged (each name keeps its item).
//
// # How
//
// The system's notifications (package fsnotify) only say where to look. The settle package waits until a name
// has rested; the scan then looks at it, compares it with the tree, which is what is known of the folder, and
// notes the steps that make the tree equal to the folder. When notifications were lost, or there are more of
// them than are worth following, it looks at everything. It also does so every ten minutes, and every few
// seconds while the system allows no more watches.
//
//	fsnotify → settle → scan ⇄ tree → steps → State: steps and changes → Publish → State: done
//
// Steps are kept, together with the changes that tell of them, before these are published, and are marked when
// they were. So a crash at any moment repeats changes, with the ids that they had, and loses none.
package drive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/clock"
	"heliograph.dev/internal/source/drive/settle"
)

// State keeps what a drive must remember across restarts, as a list of records.
type State interface {
	// Load returns the records: the one last given to Replace, and those appended since. None at first.
	Load() ([][]byte, error)
	// Append adds a record. It is on disk when Append returns. A record whose Append failed may or may not be
	// among those that Load returns, whole.
	Append(record []byte) error
	// Replace puts one record in the place of all. It happens whole or not at all.
	Replace(record []byte) error
}

// Options says which folder is whose drive, and where its changes go.
type Options struct {
	User   heliograph.ObjectID
	Tenant heliograph.TenantID
	Dir    string
	State  State // not shared with another drive
	// Publish returns when the changes are on disk. It is called again, with the same changes, when it failed
	// for now; it may take a part of them again then.
	Publish func(ctx context.Context, changes []heliograph.Change) error
	// Clock must be the machine's, or one that runs with it: files carry the machine's time.
	Clock  clock.Clock
	Logger *slog.Logger

	// Quiet is how long an item must rest before it is looked at; 0 means 50 ms.
	Quiet time.Duration
	// Longest is how long an item that does not rest stays unpublished at first; 0 means 100 ms. While it goes
	// on changing it is published every 2 seconds.
	Longest time.Duration
	// Names is how many names are followed one by one; 0 means 4096. When more change at once, everything is
	// looked at.
	Names int
	// Rescan is how often everything is looked at though nothing was heard; 0 means every 10 minutes.
	Rescan time.Duration
}

const (
	patience = 2 * time.Second
	// blindRescan is how often a drive is looked through that cannot be watched.
	blindRescan = 5 * time.Second
)

// Drive is one folder.
type Drive struct {
	opts  Options
	id    string // of the drive
	ready chan struct{}
	wake  chan struct{} // buffered

	settle  *settle.Set
	watch   *watch
	tree    *tree
	listing uint64    // counts the folders listed
	rescan  time.Time // when to look at everything next

	kept         int // bytes of records behind the snapshot
	snapshotSize int
}

// New checks the options. Dir must be a folder; it may be a symbolic link to one.
func New(opts Options) (*Drive, error) {
	if opts.User == "" || opts.Tenant == "" || strings.ContainsAny(string(opts.User), "/\\?#'") {
		return nil, heliograph.Errorf(heliograph.Invalid, "drive.user", "a drive belongs to a user of a tenant, not to %q of %q", opts.User, opts.Tenant)
	}
	dir, err := filepath.Abs(opts.Dir)
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return nil, heliograph.Errorf(heliograph.Invalid, "drive.folder", "the drive of %s: %w", opts.User, err)
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, heliograph.Errorf(heliograph.Invalid, "drive.folder", "the drive of %s: %s is not a folder", opts.User, opts.Dir)
	}
	opts.Dir = dir
	opts.User = heliograph.ObjectID(strings.ToLower(string(opts.User))) // as in canonical paths
	opts.Quiet = cmp.Or(opts.Quiet, 50*time.Millisecond)
	opts.Longest = cmp.Or(opts.Longest, 2*opts.Quiet)
	opts.Names = cmp.Or(opts.Names, 4096)
	opts.Rescan = cmp.Or(opts.Rescan, 10*time.Minute)
	return &Drive{
		opts: opts, id: heliograph.DeriveGUID("drive", string(opts.Tenant), string(opts.User)).String(),
		ready: make(chan struct{}), wake: make(chan struct{}, 1),
		settle: settle.New(settle.Rules{Quiet: opts.Quiet, Longest: opts.Longest, Patience: patience, Names: opts.Names}),
	}, nil
}

// Ready is closed once every folder is watched and has been looked at: what happens from then on is published,
// as is what happened before and is being published.
func (d *Drive) Ready() <-chan struct{} { return d.ready }

// Run watches and publishes until ctx is done, and returns nil then, soon: what was not published is found at
// the next start. It ends with an error when the folder is gone, when what is remembered of it cannot be read,
// and when a change is refused for good. It may be called once.
func (d *Drive) Run(ctx context.Context) error {
	err := d.run(ctx)
	if err == nil || errors.Is(err, errStopped) {
		return nil
	}
	return fmt.Errorf("drive of %s in %s: %w", d.opts.User, d.opts.Dir, err)
}

func (d *Drive) run(ctx context.Context) (err error) {
	if d.watch, err = newWatch(d); err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	defer func() {
		if closeErr := d.watch.close(); err == nil {
			err = closeErr
		}
	}()
	if err := d.start(ctx); err != nil {
		return err
	}
	for {
		stop := d.opts.Clock.At(d.next(), d.nudge)
		select {
		case <-ctx.Done():
			stop()
			return errStopped
		case <-d.wake:
			stop()
		}
		steps, err := d.round(ctx)
		if err != nil {
			return err
		}
		if err := d.commit(ctx, steps); err != nil {
			return err
		}
	}
}

func (d *Drive) nudge() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// next is when to look next, if nothing is heard until then.
func (d *Drive) next() time.Time {
	if next := d.settle.Next(); !next.IsZero() && next.Before(d.rescan) {
		return next
	}
	return d.rescan
}

// start finds out what happened while nobody was watching.
func (d *Drive) start(ctx context.Context) error {
	unpublished, err := d.recall()
	if err != nil {
		return err
	}
	known := d.tree != nil
	if err := d.adoptRoot(); err != nil {
		return err
	}
	steps, err := d.lookAtAll(ctx, !known)
	if err != nil {
		return err
	}
	if !known {
		if err := d.remember(ctx); err != nil {
			return err
		}
	}
	close(d.ready)
	if err := d.publish(ctx, unpublished); err != nil {
		return err
	}
	return d.commit(ctx, steps)
}

// adoptRoot makes the folder the root of the tree.
func (d *Drive) adoptRoot() error {
	f, err := lookAt(d.opts.Dir)
	if err != nil {
		return err
	}
	if d.tree == nil {
		d.tree = newTree(&item{id: heliograph.NewGUID(), facts: f, created: f.birth})
		return nil
	}
	if f.sameAs(d.tree.root.identity) {
		return nil
	}
	// Another folder: copied from a backup, or what is left where its disk is not mounted.
	entries, err := os.ReadDir(d.opts.Dir)
	if err != nil {
		return err
	}
	if len(entries) == 0 && len(d.tree.root.children) > 0 {
		return errors.New("it is empty, and not the folder that it was: is its disk mounted? If all is well, remove what was remembered of it")
	}
	d.tree.root.facts = f
	d.kept = max(d.kept, d.limit()+1) // have the snapshot written anew
	return nil
}

// round looks at what is due.
func (d *Drive) round(ctx context.Context) ([]step, error) {
	now := d.opts.Clock.Now()
	due, all := d.settle.Take(now)
	if all || !now.Before(d.rescan) {
		return d.lookAtAll(ctx, false)
	}
	s := d.newScan(ctx, now)
	for _, name := range due {
		s.since, s.content = name.Since, name.Content
		if err := s.look(name.Path); err != nil {
			return nil, err
		}
	}
	steps, err := s.finish()
	if soon := now.Add(blindRescan); d.watch.blind && d.rescan.After(soon) {
		d.rescan = soon
	}
	return steps, err
}

func (d *Drive) lookAtAll(ctx context.Context, silent bool) ([]step, error) {
	began := d.opts.Clock.Now()
	d.watch.blind = false
	s := d.newScan(ctx, began)
	s.silent = silent
	if err := s.everything(); err != nil {
		return nil, err
	}
	steps, err := s.finish()
	if err != nil {
		return nil, err
	}
	ended := d.opts.Clock.Now()
	took := ended.Sub(began)
	d.settle.Hold(ended.Add(took)) // half of the time is enough
	d.rescan = ended.Add(d.opts.Rescan)
	d.watch.told = d.watch.blind
	if d.watch.blind {
		d.rescan = ended.Add(min(d.opts.Rescan, max(blindRescan, 20*took)))
	}
	return steps, nil
}
