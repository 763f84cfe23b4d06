package drive

import (
	"errors"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"heliograph.dev/internal/source/drive/settle"
)

// watch hears from the system what happens in folders, and passes it on to a settle.Set. What it says are
// hints: the scan looks for itself.
type watch struct {
	notify *fsnotify.Watcher
	dir    string
	set    *settle.Set
	now    func() time.Time
	wake   chan struct{} // buffered
	logger *slog.Logger
	done   chan struct{}

	// Which folder is watched under which path: the system keeps watching a folder that is moved, and reports
	// it under its old path until it is told otherwise.
	paths   map[identity]string
	folders map[string]identity
	// blind: some folders could not be watched, because the system allows no more; told: and that was logged.
	blind, told bool
}

func newWatch(d *Drive) (*watch, error) {
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	w := &watch{
		notify: notify, dir: d.opts.Dir, set: d.settle, now: d.opts.Clock.Now, wake: d.wake, logger: d.opts.Logger,
		done: make(chan struct{}), paths: make(map[identity]string), folders: make(map[string]identity),
	}
	go w.collect()
	return w, nil
}

func (w *watch) close() error {
	err := w.notify.Close()
	<-w.done
	return err
}

// collect takes events off the watcher without delay: some systems deadlock when nobody does while a watch is
// being added.
func (w *watch) collect() {
	defer close(w.done)
	events, errs := w.notify.Events, w.notify.Errors
	for events != nil || errs != nil {
		select {
		case event, ok := <-events:
			if !ok {
				events = nil
				continue
			}
			w.hear(event)
		case err, ok := <-errs:
			if !ok {
				errs = nil
				continue
			}
			if !errors.Is(err, fsnotify.ErrEventOverflow) { // more happened than the system keeps: nothing unusual
				w.logger.Warn("watching the drive is disturbed", slog.Any("error", err))
			}
			w.nudge(w.set.TouchAll(w.now()))
		}
	}
}

func (w *watch) hear(event fsnotify.Event) {
	where, below := strings.CutPrefix(event.Name, w.dir+string(filepath.Separator))
	if !below { // the folder itself
		w.nudge(w.set.TouchAll(w.now()))
		return
	}
	w.nudge(w.set.Touch(filepath.ToSlash(where), event.Has(fsnotify.Write) || event.Has(fsnotify.Create), w.now()))
}

func (w *watch) nudge(first bool) {
	if !first {
		return
	}
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// add watches a folder. It may be watched already, under this path or another.
func (w *watch) add(where string, id identity) {
	if was, ok := w.folders[where]; ok && was != id {
		w.drop(where)
	}
	if was, ok := w.paths[id]; ok && was != where {
		w.drop(was)
	}
	err := w.notify.Add(filepath.Join(w.dir, filepath.FromSlash(where)))
	if err != nil {
		// What is gone is noticed, and what may not be read is when it may: its own folder tells.
		if isMissing(err) || errors.Is(err, fs.ErrPermission) {
			return
		}
		if w.blind = true; !w.told {
			w.told = true
			w.logger.Warn("cannot watch all folders of the drive: it is looked through now and then instead",
				slog.String("path", where), slog.Any("error", err))
		}
		return
	}
	w.folders[where] = id
	if id.node != 0 {
		w.paths[id] = where
	}
}

// forget stops watching an item and what is below it, where they were until now.
func (w *watch) forget(it *item) {
	if it.kind != folder {
		return
	}
	w.drop(it.path())
	for below := range it.below() {
		if below.kind == folder {
			w.drop(below.path())
		}
	}
}

func (w *watch) drop(where string) {
	id, ok := w.folders[where]
	if !ok {
		return
	}
	delete(w.folders, where)
	if w.paths[id] == where {
		delete(w.paths, id)
	}
	_ = w.notify.Remove(filepath.Join(w.dir, filepath.FromSlash(where))) // a folder that is gone is not watched any more
}
