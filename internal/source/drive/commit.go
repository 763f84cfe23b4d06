package drive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/clock"
)

// Limits of one publication. A batch is taken whole or not at all, and must fit into a frame of the change log.
const (
	maxSteps = 256
	maxBytes = 256 << 10
)

// Pauses between attempts.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = 30 * time.Second
)

// minLog is how large the records behind the snapshot may become at least.
const minLog = 1 << 20

// limit is how large they may become: twice the snapshot, so that writing it anew costs little per record.
func (d *Drive) limit() int { return max(minLog, 2*d.snapshotSize) }

// recall reads what was kept. The tree stays nil when there is nothing.
func (d *Drive) recall() ([]heliograph.Change, error) {
	records, err := d.opts.State.Load()
	if err != nil {
		return nil, fmt.Errorf("recall its last state: %w", err)
	}
	t, stored, err := restore(records, d.id)
	if err != nil {
		return nil, fmt.Errorf("recall its last state: %w", err)
	}
	d.tree = t
	for i, r := range records {
		if i == 0 {
			d.snapshotSize = len(r)
		} else {
			d.kept += len(r)
		}
	}
	unpublished := make([]heliograph.Change, len(stored))
	for i := range stored {
		unpublished[i] = stored[i].change(d.opts.Tenant)
	}
	return unpublished, nil
}

// remember replaces all records by a snapshot. Everything must have been published.
func (d *Drive) remember(ctx context.Context) error {
	whole, err := d.snapshot()
	if err != nil {
		return fmt.Errorf("write its state: %w", err)
	}
	if err := d.insist(ctx, func() error { return d.opts.State.Replace(whole) }); err != nil {
		return fmt.Errorf("keep its state: %w", err)
	}
	d.snapshotSize, d.kept = len(whole), 0
	return nil
}

// commit keeps and publishes steps, batch by batch.
func (d *Drive) commit(ctx context.Context, steps []step) error {
	for len(steps) > 0 {
		r, changes, err := d.batch(steps)
		if err != nil {
			return err
		}
		steps = steps[len(r.Steps):]
		if err := d.keep(ctx, r); err != nil {
			return err
		}
		if err := d.publish(ctx, changes); err != nil {
			return err
		}
	}
	if d.kept <= d.limit() {
		return nil
	}
	return d.remember(ctx)
}

// batch makes a record of as many steps as may be published at once.
func (d *Drive) batch(steps []step) (*record, []heliograph.Change, error) {
	r := &record{}
	var changes []heliograph.Change
	for i, size := 0, 0; i < min(len(steps), maxSteps); i++ {
		s := &steps[i]
		stored := storedStep{}
		if s.change != 0 {
			change, err := d.publication(s)
			if err != nil {
				return nil, nil, err
			}
			size += len(change.Data)
			for _, path := range change.Paths {
				size += len(path)
			}
			if size > maxBytes && i > 0 {
				break
			}
			changes = append(changes, change)
			stored.Change = storeChange(&change)
		}
		if s.removed {
			stored.Remove = &s.item.id
		} else {
			put := storeItem(&s.item, &s.in.folder)
			stored.Put = &put
		}
		r.Steps = append(r.Steps, stored)
	}
	return r, changes, nil
}

// publish returns when the changes are on disk, and notes that they are.
func (d *Drive) publish(ctx context.Context, changes []heliograph.Change) error {
	for len(changes) > 0 {
		n := min(len(changes), maxSteps)
		if err := d.insist(ctx, func() error { return d.opts.Publish(ctx, changes[:n]) }); err != nil {
			return fmt.Errorf("publish %d changes: %w", n, err)
		}
		changes = changes[n:]
		if len(changes) == 0 {
			return d.keep(ctx, &record{Done: true})
		}
	}
	return nil
}

func (d *Drive) keep(ctx context.Context, r *record) error {
	data, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("write steps: %w", err)
	}
	if err := d.insist(ctx, func() error { return d.opts.State.Append(data) }); err != nil {
		return fmt.Errorf("keep steps: %w", err)
	}
	d.kept += len(data)
	return nil
}

// insist tries until it succeeds, is refused for good, or is stopped.
func (d *Drive) insist(ctx context.Context, try func() error) error {
	for attempt, pause := 1, firstPause; ; attempt++ {
		err := try()
		switch {
		case err == nil && attempt > 1:
			d.opts.Logger.InfoContext(ctx, "the drive's changes are taken again", slog.Int("attempts", attempt))
			return nil
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return errStopped
		case isFinal(err):
			return err
		case attempt == 1:
			d.opts.Logger.WarnContext(ctx, "the drive's changes are not taken for now: trying again", slog.Any("error", err))
		}
		wait := pause
		if told, ok := errors.AsType[*heliograph.Error](err); ok {
			wait = max(wait, told.RetryAfter)
		}
		if clock.Sleep(ctx, d.opts.Clock, wait) != nil {
			return errStopped
		}
		pause = min(2*pause, longestPause)
	}
}

// isFinal reports whether trying again cannot help.
func isFinal(err error) bool {
	switch heliograph.KindOf(err) {
	case heliograph.Invalid, heliograph.Unauthenticated, heliograph.Denied, heliograph.NotFound,
		heliograph.Conflict, heliograph.TooLarge, heliograph.Unsupported:
		return true
	case heliograph.Internal, heliograph.Limited, heliograph.Unavailable, heliograph.Full:
	}
	return false
}
