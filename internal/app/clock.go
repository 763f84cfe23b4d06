package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"heliograph.dev"
	"heliograph.dev/internal/clock"
)

// clockFile is where a development server remembers how its clock goes, in the data folder.
const clockFile = "clock.json"

// setClock chooses the time that the server lives in: the machine's, or in development one that can be moved and that
// goes on where it was. What was written in another time than the machine's is nothing to serve from: its leases,
// tokens and windows have ended, or not, at moments that never were.
func (a *App) setClock(context.Context) error {
	file := ""
	if a.cfg.Data != "" {
		file = filepath.Join(a.cfg.Data, clockFile)
	}
	position, found, err := readClock(file)
	if err != nil {
		return err
	}
	if !a.isDev() {
		if found {
			return heliograph.Errorf(heliograph.Invalid, "clock.moved",
				"the time of %s was moved by heliograph dev (%s): it cannot be served from; take another data folder", a.cfg.Data, clockFile)
		}
		return nil
	}
	if a.opts.Clock != nil {
		return nil
	}
	a.movable = clock.NewMovable(clock.MovableOptions{Position: position, Keep: func(p clock.Position) error { return writeClock(file, p) }})
	a.clock = a.movable
	return nil
}

func readClock(file string) (p clock.Position, found bool, err error) {
	if file == "" {
		return p, false, nil
	}
	text, err := os.ReadFile(file) //nolint:gosec // in the data folder
	if errors.Is(err, fs.ErrNotExist) {
		return p, false, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &p)
	}
	if err == nil && (p.At.IsZero() || p.Since.IsZero() || p.Speed < 0 || p.Speed > clock.MaxSpeed) {
		err = errors.New("it holds no position of a clock")
	}
	if err != nil {
		return p, false, fmt.Errorf("read how the clock goes: %s: %w", file, err)
	}
	return p, true, nil
}

// writeClock survives the process, not the machine: a move writes it at every moment that somebody waits for.
func writeClock(file string, p clock.Position) error {
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	if err := os.WriteFile(file+".new", append(text, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

// watchWork lets a move of the clock see what the parts of the server have under way: first what begins something at a
// moment, then what carries it out.
func (a *App) watchWork(context.Context) error {
	if a.movable != nil {
		a.movable.Watch(
			clock.Sign{Busy: a.parts.subscriptions.Busy},
			clock.Sign{Busy: func() bool { return a.parts.ingest.Waiting() > 0 }},
			clock.Sign{Busy: a.parts.workshop.busy, Told: a.parts.workshop.posts},
		)
	}
	return nil
}
