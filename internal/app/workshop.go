package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/clock"
	"heliograph.dev/internal/deliver"
	"heliograph.dev/internal/engine"
	"heliograph.dev/internal/health"
	"heliograph.dev/internal/owner"
)

// workshop delivers what this node has: it has a dispatcher for each of its partitions. Alone it has all; in a cluster
// its keeper says which.
type workshop struct {
	app    *App
	keeper *owner.Keeper // nil when the node is alone

	mu      sync.RWMutex
	on      map[int]*deliver.Dispatcher
	dropped sync.WaitGroup
}

// refuseAfter is how long a node must have been out of touch with the majority to refuse publishers at once; before,
// they wait, because most elections end by then.
const refuseAfter = 10 * time.Second

// leastInFlight is what one partition may have read and not done with, however many share delivery.max_in_flight.
const leastInFlight = 4 << 20

// start begins to work a partition in the name of an epoch.
func (w *workshop) start(ctx context.Context, p int, epoch engine.Epoch, permit owner.Permit) error {
	a := w.app
	hold, err := a.parts.engine.Hold(p, epoch)
	if err != nil {
		return err
	}
	parked, err := hold.ParkedEndpoints(ctx)
	if err != nil {
		return err
	}
	backlog := make([]heliograph.Endpoint, len(parked))
	for i := range parked {
		backlog[i] = parked[i].Endpoint
	}
	opts := w.options()
	opts.Partitions, opts.Log, opts.Backlog, opts.Permit = []int{p}, changeLog{a.parts.engine, hold}, backlogOf{hold}, deliver.Permit(permit)
	opts.Limits.MaxInFlight = max(opts.Limits.MaxInFlight/a.parts.engine.Partitions(), leastInFlight)
	if w.keeper != nil {
		opts.Settle = a.settle
	}
	d := deliver.New(opts)
	if err := d.Start(ctx, backlog); err != nil {
		return err
	}
	w.mu.Lock()
	w.on[p] = d
	w.mu.Unlock()
	d.ReconsiderAll() // what was said before it was there
	return nil
}

// reconsider tells of a subscription that has changed or gone.
func (w *workshop) reconsider(id heliograph.SubscriptionID) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	for _, d := range w.on {
		d.Reconsider(id)
	}
}

// options are those of every dispatcher.
func (w *workshop) options() deliver.Options {
	a := w.app
	return deliver.Options{
		Read: a.read, Recall: a.recall, Log: changeLog{a.parts.engine, nil},
		Index: a.parts.index, Prepare: a.prepare, Sealer: a.parts.sealer, Retry: retryPolicy(a.parts.catalog.Profile()),
		Health: health.Rules(a.parts.catalog.Profile().Endpoint), Drop: a.cfg.Delivery.Drop,
		Missed: a.missed, KeepPaused: a.parts.catalog.Profile().Lifecycle.Window, NoticeObserved: a.parts.catalog.Profile().NoticeObserved,
		Limits: deliveryLimits(&a.cfg), Recorder: recorder{a.parts.deliveries}, Observer: a.observer(), Tracer: a.tracer(), Clock: a.clock, Dice: rand.Float64, Logger: a.log,
	}
}

// reader is a dispatcher that has no partition: it explains what is in the log.
func (w *workshop) reader() *deliver.Dispatcher { return deliver.New(w.options()) }

// settle waits until this node knows the subscriptions that were made anywhere before a frame was written.
func (a *App) settle(ctx context.Context, f *heliograph.Frame) error {
	var tenants []heliograph.TenantID
	for i := range f.Changes {
		if t := f.Changes[i].Tenant; !slices.Contains(tenants, t) {
			tenants = append(tenants, t)
		}
	}
	return a.parts.watch.Sync(ctx, tenants...)
}

// Begin takes a partition for this node and begins to work it.
func (w *workshop) Begin(ctx context.Context, p int, value []byte, revision uint64, permit owner.Permit) (uint64, error) {
	epoch, err := w.app.parts.engine.Take(ctx, p, value, revision)
	if err != nil {
		return 0, err
	}
	w.app.log.InfoContext(ctx, "partition taken", "partition", p, "epoch", epoch.Revision())
	if err := w.start(ctx, p, epoch, permit); err != nil {
		return 0, fmt.Errorf("begin partition %d: %w", p, err)
	}
	return epoch.Revision(), nil
}

// End ends the work on a partition in order.
func (w *workshop) End(ctx context.Context, p int) error {
	d := w.remove(p)
	if d == nil {
		return nil
	}
	err := d.Stop(ctx)
	if w.keeper != nil {
		w.app.log.InfoContext(ctx, "partition let go", "partition", p)
	}
	return err
}

// Drop ends it at once. What it still wants to write is refused: the epoch is over.
func (w *workshop) Drop(p int) {
	d := w.remove(p)
	if d == nil {
		return
	}
	over, cancel := context.WithCancel(context.Background())
	cancel()
	w.app.log.WarnContext(over, "partition lost", "partition", p)
	w.dropped.Go(func() {
		if err := d.Stop(over); err != nil {
			w.app.log.DebugContext(over, "last writes of a partition that has gone", "partition", p, "error", err)
		}
	})
}

func (w *workshop) remove(p int) *deliver.Dispatcher {
	w.mu.Lock()
	defer w.mu.Unlock()
	d := w.on[p]
	delete(w.on, p)
	return d
}

// stop ends all work: in a cluster it goes to the other nodes.
func (w *workshop) stop(ctx context.Context) error {
	var errs []error
	if w.keeper != nil {
		errs = append(errs, w.keeper.Stop(ctx))
	}
	var all sync.WaitGroup
	results := make(chan error, w.app.parts.engine.Partitions())
	for p := range w.app.parts.engine.Partitions() {
		all.Go(func() { results <- w.End(ctx, p) })
	}
	all.Wait()
	close(results)
	for err := range results {
		errs = append(errs, err)
	}
	w.dropped.Wait()
	return errors.Join(errs...)
}

// of returns the dispatcher of a partition, or nil when another node has it.
func (w *workshop) of(p int) *deliver.Dispatcher {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.on[p]
}

// all returns the dispatchers of this node, by their partitions.
func (w *workshop) all() []*deliver.Dispatcher {
	w.mu.RLock()
	defer w.mu.RUnlock()
	var list []*deliver.Dispatcher
	for _, p := range slices.Sorted(maps.Keys(w.on)) {
		list = append(list, w.on[p])
	}
	return list
}

// owns reports whether this node looks after a partition.
func (w *workshop) owns(p int) bool { return w.of(p) != nil }

// Admit refuses changes to a partition whose owner is behind, and any while there is no majority to write them down.
func (w *workshop) Admit(p int) error {
	if w.keeper == nil {
		return w.of(p).Admit()
	}
	if away := clock.System().Now().Sub(w.keeper.Reached()); away > refuseAfter {
		return &heliograph.Error{
			Kind: heliograph.Unavailable, Rule: "publish.no_majority", RetryAfter: 5 * time.Second,
			Message: "this node is out of touch with the majority of its cluster; try again later, or another node",
		}
	}
	if w.keeper.Behind(p) >= int64(w.app.cfg.Delivery.MaxUnread) {
		return deliver.TooFarBehind()
	}
	return nil
}

// Appended counts changes that will have to be read, where nobody else reads them.
func (w *workshop) Appended(p int, sequence uint64, changes int) {
	if w.keeper == nil {
		w.of(p).Appended(p, sequence, changes)
	}
}

// Levels are those of all partitions of this node together.
func (w *workshop) Levels() (sum deliver.Levels) {
	for _, d := range w.all() {
		sum.Add(d.Levels())
	}
	return sum
}

// busy reports whether anything is under way, posts how many POSTs have come to their end.
func (w *workshop) busy() bool {
	return slices.ContainsFunc(w.all(), (*deliver.Dispatcher).Busy)
}

func (w *workshop) posts() (n uint64) {
	for _, d := range w.all() {
		n += d.Posts()
	}
	return n
}

// facts are what the other nodes learn of this one.
func (w *workshop) facts() owner.Facts {
	f := owner.Facts{URL: w.app.address(), Version: w.app.opts.Version, Behind: map[int]int64{}}
	w.mu.RLock()
	defer w.mu.RUnlock()
	for p, d := range w.on {
		if n := d.Behind(); n > 0 {
			f.Behind[p] = n
		}
	}
	return f
}

// notes are the engine's notes as the keeper knows them.
type notes struct{ *engine.Engine }

// Notes returns all.
func (n notes) Notes(ctx context.Context) ([]owner.Note, error) {
	found, err := n.Engine.Notes(ctx)
	list := make([]owner.Note, len(found))
	for i := range found {
		list[i] = owner.Note(found[i])
	}
	return list, err
}

// Note returns one.
func (n notes) Note(ctx context.Context, name string) (owner.Note, error) {
	found, err := n.Engine.Note(ctx, name)
	return owner.Note(found), err
}
