package drive_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"heliograph.dev"
	"heliograph.dev/internal/source/drive"
)

var errCrash = errors.New("the process is dead")

// mortal is the outside of a drive whose process dies at some moment: after that, nothing that it does has
// any effect.
type mortal struct {
	drive.State
	mu      sync.Mutex
	left    int // effects until it dies
	changes chan heliograph.Change
	died    chan struct{}
}

// live reports whether an effect takes place, and whether its author learns that it did.
func (m *mortal) live() (effect, told bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.left--
	if m.left == 0 {
		close(m.died)
	}
	return m.left >= 0, m.left > 0
}

func (m *mortal) act(effect func() error) error {
	happens, told := m.live()
	if happens {
		if err := effect(); err != nil {
			return err
		}
	}
	if !told {
		return errCrash
	}
	return nil
}

func (m *mortal) Append(record []byte) error {
	return m.act(func() error { return m.State.Append(record) })
}

func (m *mortal) Replace(record []byte) error {
	return m.act(func() error { return m.State.Replace(record) })
}

func (m *mortal) publish(_ context.Context, changes []heliograph.Change) error {
	return m.act(func() error {
		for _, c := range changes {
			m.changes <- c
		}
		return nil
	})
}

// A process that dies at any moment, as often as it likes: no change is lost, and one that comes again is the
// same in every byte.
func TestCrashesRepeatAndLoseNothing(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		base := folderIn(t, home)
		defer remove(t, base)
		dir, state := filepath.Join(base, "root"), &memory{}
		mkdir(t, dir)
		mkdir(t, base, "outside")
		if err := run(t, dir, "", drive.Options{State: state}).stop(); err != nil { // the first sight publishes nothing
			t.Fatal(err)
		}
		known, seen := mirror{}, map[heliograph.ChangeID]heliograph.Change{}
		for range rapid.IntRange(1, 6).Draw(t, "lives") {
			live(t, base, state, func(r *running, c heliograph.Change) {
				r.seen = seen
				r.apply(known, c)
			})
		}
		r := run(t, dir, "", drive.Options{State: state})
		r.seen = seen
		r.settle(known, dir)
		r.rest(known, dir)
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
	})
}

// live does things to the folder until the drive dies of one.
func live(t *rapid.T, base string, state drive.State, take func(*running, heliograph.Change)) {
	t.Helper()
	m := &mortal{
		State: state, left: rapid.IntRange(1, 12).Draw(t, "effects"),
		changes: make(chan heliograph.Change, 1<<16), died: make(chan struct{}),
	}
	r := run(t, filepath.Join(base, "root"), "", drive.Options{State: m, Publish: m.publish, Quiet: 3 * time.Millisecond})
	for alive := true; alive; {
		operate(t, base)
		select {
		case <-m.died:
			alive = false
		case <-time.After(time.Duration(rapid.IntRange(0, 10).Draw(t, "pause")) * time.Millisecond):
		}
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	for len(m.changes) > 0 {
		take(r, <-m.changes)
	}
}
