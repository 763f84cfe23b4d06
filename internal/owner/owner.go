package owner

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/clock"
)

// Store keeps the notes. An error of kind Conflict says that a note has been written since; after any other nobody knows
// whether it was.
type Store interface {
	// Notes returns all notes, as new as the server that is asked has them.
	Notes(ctx context.Context) ([]Note, error)
	// Note returns one as it is.
	Note(ctx context.Context, name string) (Note, error)
	// SetNote writes a note in the place of the one with that revision (0: of none).
	SetNote(ctx context.Context, name string, value []byte, revision uint64) (uint64, error)
	// RemoveNote removes a note, unless it has been written since that revision.
	RemoveNote(ctx context.Context, name string, revision uint64) error
}

// Permit waits until work may go on, and returns a context that is done when it may not any more. Its error says that it
// never may again, or is ctx's.
type Permit func(ctx context.Context) (context.Context, error)

// Work is what is done for partitions.
type Work interface {
	// Begin takes a partition, with value as its note in the place of the one with that revision, begins to work it and
	// returns the note's new revision. It is a Conflict when another was faster.
	Begin(ctx context.Context, partition int, value []byte, revision uint64, permit Permit) (uint64, error)
	// End ends the work on a partition so that another node can go on with it. What is under way may come to its end
	// while ctx allows.
	End(ctx context.Context, partition int) error
	// Drop ends the work at once: the partition is another's. It must be quick.
	Drop(partition int)
}

// Times are how long things take.
type Times struct {
	Beat  time.Duration // from beat to beat
	Try   time.Duration // what one beat, or one look at the notes, waits for the store
	Lease time.Duration // how long a node may work after it sent a beat
	Slack time.Duration // how much longer others wait, so that clocks may run unlike
	// Grace is how long a node that was cut off listens before it judges others: they may have been cut off as it was.
	Grace time.Duration
	// HandOver bounds what is waited for when a partition is handed over, Begin what the start of work takes.
	HandOver, Begin time.Duration
}

// DefaultTimes let the lease outlast most elections of the store (4 to 8 s), and a node that is lost be noticed within
// seven seconds and a half.
func DefaultTimes() Times {
	return Times{
		Beat: 500 * time.Millisecond, Try: time.Second, Lease: 6 * time.Second, Slack: 500 * time.Millisecond,
		Grace: 1500 * time.Millisecond, HandOver: 2 * time.Second, Begin: 20 * time.Second,
	}
}

// Options say what a Keeper works with.
type Options struct {
	Node string
	// Sure says that no other process can have this name: the one that had it has ended.
	Sure       bool
	Partitions int
	Store      Store
	Work       Work
	// Facts says what others are to know, at each beat.
	Facts func() Facts
	// Nudge tells the other nodes to look at the notes, because something has changed. May be nil.
	Nudge func()
	Times Times
	Clock clock.Clock
	// Name makes the name of a run: no two are alike.
	Name   func() string
	Logger *slog.Logger
}

// Keeper sees to it that this node works the partitions that are its own, and no others. Start it once, Stop it once.
type Keeper struct {
	opts  Options
	wake  chan struct{} // buffered: look at the notes now
	loops sync.WaitGroup
	life  context.Context
	end   context.CancelFunc

	mu       sync.Mutex
	run      *run
	view     view
	held     map[int]uint64 // partitions that are worked here, and the revisions of their notes
	reached  time.Time      // when the last beat that got through was sent
	steady   time.Time      // since when every beat got through
	leaving  bool
	revision uint64 // of the node's own note
	count    uint64
}

// run is one start of work, from the first beat to when somebody else ends it.
type run struct {
	name    string
	started time.Time
	lease   *lease
}

// New returns a keeper that has not begun.
func New(opts Options) *Keeper {
	k := &Keeper{opts: opts, wake: make(chan struct{}, 1), held: map[int]uint64{}}
	k.life, k.end = context.WithCancel(context.Background())
	k.begin()
	return k
}

func (k *Keeper) begin() {
	k.run = &run{name: k.opts.Name(), started: k.opts.Clock.Now(), lease: newLease(k.opts.Clock, k.opts.Logger)}
}

// Start makes the node known and returns once it is; its partitions come to it afterwards.
func (k *Keeper) Start(ctx context.Context) error {
	mine, err := k.before(ctx)
	if err != nil {
		return err
	}
	k.revision = mine.Revision
	if err := k.beat(ctx); err != nil {
		return errors.Join(err, ctx.Err())
	}
	k.loops.Go(k.beats)
	k.loops.Go(k.rounds)
	return nil
}

// before returns the note of the node's run before, once that has ended for sure.
func (k *Keeper) before(ctx context.Context) (Note, error) {
	mine, err := k.opts.Store.Note(ctx, nodePrefix+k.opts.Node)
	var last beat
	if err != nil || mine.Revision == 0 || json.Unmarshal(mine.Value, &last) == nil && last.Ended || k.opts.Sure {
		return mine, err
	}
	if err := clock.Sleep(ctx, k.opts.Clock, k.opts.Times.Lease+k.opts.Times.Slack); err != nil {
		return mine, err
	}
	again, err := k.opts.Store.Note(ctx, nodePrefix+k.opts.Node)
	if err == nil && again.Revision != mine.Revision {
		return again, heliograph.Errorf(heliograph.Conflict, "owner.name", "another process is the node %q: each needs a name of its own", k.opts.Node)
	}
	return again, err
}

// Wake makes the keeper look at the notes.
func (k *Keeper) Wake() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// Stop hands all partitions over and ends the run. What is under way may come to its end while ctx allows.
func (k *Keeper) Stop(ctx context.Context) error {
	k.Leave()
	k.end()
	k.loops.Wait()
	k.mu.Lock()
	held, r := k.heldLocked(), k.run
	k.mu.Unlock()
	k.handOver(ctx, held)
	r.lease.end()
	k.mu.Lock()
	value, revision := k.noteLocked(true), k.revision
	k.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, k.opts.Times.HandOver)
	defer cancel()
	_, err := k.opts.Store.SetNote(ctx, nodePrefix+k.opts.Node, value, revision)
	k.nudge()
	if heliograph.KindOf(err) == heliograph.Conflict || err == nil {
		return nil
	}
	k.opts.Logger.WarnContext(ctx, "the other nodes notice only by its silence that this one has gone", "error", err)
	return nil
}

// Leave lets the node take no more partitions, and hand over those that it has.
func (k *Keeper) Leave() {
	k.mu.Lock()
	k.leaving = true
	k.mu.Unlock()
	k.Wake()
}

func (k *Keeper) nudge() {
	if k.opts.Nudge != nil {
		k.opts.Nudge()
	}
}

// beats writes the node's note again and again.
func (k *Keeper) beats() {
	for k.sleep(k.opts.Times.Beat) {
		if err := k.beat(k.life); err != nil && k.life.Err() == nil {
			k.opts.Logger.WarnContext(k.life, "no beat", "error", err)
		}
	}
}

func (k *Keeper) sleep(d time.Duration) bool { return clock.Sleep(k.life, k.opts.Clock, d) == nil }

// beat writes the node's note once. Who finds that its run was ended begins another, with nothing.
func (k *Keeper) beat(ctx context.Context) error {
	k.mu.Lock()
	r, value, revision := k.run, k.noteLocked(false), k.revision
	k.mu.Unlock()
	sent := k.opts.Clock.Now()
	try, cancel := context.WithTimeout(ctx, k.opts.Times.Try)
	defer cancel()
	written, err := k.opts.Store.SetNote(try, nodePrefix+k.opts.Node, value, revision)
	if heliograph.KindOf(err) == heliograph.Conflict {
		return k.refused(try, r)
	}
	if err != nil {
		return err
	}
	k.mu.Lock()
	if sent.Sub(k.reached) > k.opts.Times.Try+2*k.opts.Times.Beat {
		k.steady = sent
	}
	k.revision, k.reached = written, sent
	k.mu.Unlock()
	r.lease.extend(sent.Add(k.opts.Times.Lease))
	return nil
}

// refused finds out whether a beat was refused because an earlier one was written of which nobody heard, or because
// another node has ended the run.
func (k *Keeper) refused(ctx context.Context, r *run) error {
	note, err := k.opts.Store.Note(ctx, nodePrefix+k.opts.Node)
	if err != nil {
		return err
	}
	var b beat
	if json.Unmarshal(note.Value, &b) == nil && b.Run == r.name && !b.Ended {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.revision = note.Revision
		return errors.New("a beat of before was written, of which nobody heard")
	}
	r.lease.end()
	k.mu.Lock()
	lost := k.heldLocked()
	clear(k.held)
	k.revision = note.Revision
	k.begin()
	k.mu.Unlock()
	for _, p := range lost {
		k.opts.Work.Drop(p)
	}
	k.opts.Logger.WarnContext(ctx, "this node was taken for lost: others work its partitions now", "partitions", lost)
	return errors.New("the run was ended by another node")
}

// noteLocked returns the node's next note.
func (k *Keeper) noteLocked(ended bool) []byte {
	k.count++
	b := beat{Run: k.run.name, Count: k.count, Started: k.run.started, Leaving: k.leaving, Ended: ended}
	if k.opts.Facts != nil && !ended {
		b.Facts = k.opts.Facts()
	}
	text, _ := json.Marshal(b) //nolint:errchkjson // strings, numbers and times of these centuries: nothing can fail
	return text
}

func (k *Keeper) heldLocked() []int {
	held := make([]int, 0, len(k.held))
	for p := range k.held {
		held = append(held, p)
	}
	slices.Sort(held)
	return held
}

// rounds looks at the notes again and again, and does what they say.
func (k *Keeper) rounds() {
	for {
		if err := k.round(k.life); err != nil && k.life.Err() == nil {
			k.opts.Logger.DebugContext(k.life, "notes of the cluster not read", "error", err)
		}
		tick := make(chan struct{})
		stop := k.opts.Clock.At(k.opts.Clock.Now().Add(k.opts.Times.Beat), func() { close(tick) })
		select {
		case <-tick:
		case <-k.wake:
			stop()
		case <-k.life.Done():
			stop()
			return
		}
	}
}

// round looks once.
func (k *Keeper) round(ctx context.Context) error {
	try, cancel := context.WithTimeout(ctx, k.opts.Times.Try)
	defer cancel()
	notes, err := k.opts.Store.Notes(try)
	if err != nil {
		return err
	}
	now := k.opts.Clock.Now()
	k.mu.Lock()
	k.view.look(notes, k.opts.Partitions, now)
	r, silent := k.run, []string(nil)
	if k.steadyLocked(now) {
		silent = k.view.silent(k.opts.Node, now, k.opts.Times.Lease+k.opts.Times.Slack)
	}
	k.mu.Unlock()
	for _, name := range silent {
		k.endRun(try, name)
	}
	k.forget(try, now)
	k.settle(ctx, r)
	return nil
}

// steadyLocked reports whether the node has been in touch with a majority for long enough to judge others: they may have
// been cut off from it as it was.
func (k *Keeper) steadyLocked(now time.Time) bool {
	return k.run.lease.valid() && now.Sub(k.reached) < k.opts.Times.Try+2*k.opts.Times.Beat && now.Sub(k.steady) >= k.opts.Times.Grace
}

// endRun ends the run of a node that has been silent for longer than its lease.
func (k *Keeper) endRun(ctx context.Context, name string) {
	k.mu.Lock()
	s := k.view.nodes[name]
	if s == nil {
		k.mu.Unlock()
		return
	}
	last, revision := s.beat, s.revision
	k.mu.Unlock()
	last.Ended, last.Facts.Behind = true, nil
	value, _ := json.Marshal(last) //nolint:errchkjson // as in noteLocked
	written, err := k.opts.Store.SetNote(ctx, nodePrefix+name, value, revision)
	if err != nil {
		if heliograph.KindOf(err) != heliograph.Conflict { // else it lives, or another node was faster
			k.opts.Logger.WarnContext(ctx, "run of a silent node not ended", "node", name, "error", err)
		}
		return
	}
	k.opts.Logger.WarnContext(ctx, "a node is lost: its partitions are taken over", "lost", name)
	k.mu.Lock()
	defer k.mu.Unlock()
	if s := k.view.nodes[name]; s != nil {
		s.Ended, s.revision = true, written
	}
}

// forgetAfter is how long the note of a node that has gone is shown.
const forgetAfter = time.Hour

// forget removes the notes of nodes that have been gone for long.
func (k *Keeper) forget(ctx context.Context, now time.Time) {
	k.mu.Lock()
	gone := map[string]uint64{}
	for name, s := range k.view.nodes {
		if name != k.opts.Node && s.Ended && now.Sub(s.at) > forgetAfter {
			gone[name] = s.revision
		}
	}
	k.mu.Unlock()
	for name, revision := range gone {
		if err := k.opts.Store.RemoveNote(ctx, nodePrefix+name, revision); err != nil {
			k.opts.Logger.DebugContext(ctx, "note of a node not removed", "node", name, "error", err)
		}
	}
}

// settle takes and hands over partitions as the plan says.
func (k *Keeper) settle(ctx context.Context, r *run) {
	k.mu.Lock()
	if k.run != r || !r.lease.valid() {
		k.mu.Unlock()
		return
	}
	holders := k.view.holders()
	next := plan(k.takersLocked(), holders)
	var take, give, lost []int
	for p := range next {
		taken, held := k.held[p]
		switch is := k.view.owners[p]; {
		case held && is.revision > taken:
			lost = append(lost, p)
		case held && is.revision == taken && next[p] != k.opts.Node:
			give = append(give, p)
		case held: // as it should be, or the note that was read is an old one
		case holders[p] == "" && next[p] == k.opts.Node:
			take = append(take, p)
		case is.Node == k.opts.Node && is.Run == r.name: // its start failed after the note was written
			take = append(take, p)
		}
	}
	for _, p := range lost {
		delete(k.held, p)
	}
	k.mu.Unlock()
	for _, p := range lost {
		k.opts.Work.Drop(p)
	}
	k.handOver(ctx, give)
	k.takeUp(ctx, r, take)
}

// takersLocked are the nodes that want partitions: this one as it knows itself.
func (k *Keeper) takersLocked() []string {
	names := slices.DeleteFunc(k.view.takers(), func(n string) bool { return n == k.opts.Node })
	if !k.leaving {
		names = append(names, k.opts.Node)
	}
	return names
}

// takeUp begins to work partitions.
func (k *Keeper) takeUp(ctx context.Context, r *run, partitions []int) {
	value, _ := json.Marshal(holder{Node: k.opts.Node, Run: r.name}) //nolint:errchkjson // as in noteLocked
	ctx, cancel := context.WithTimeout(ctx, k.opts.Times.Begin)
	defer cancel()
	var all sync.WaitGroup
	for _, p := range partitions {
		k.mu.Lock()
		revision := k.view.owners[p].revision
		k.mu.Unlock()
		all.Go(func() {
			taken, err := k.opts.Work.Begin(ctx, p, value, revision, r.lease.permit)
			switch {
			case err == nil:
				k.keep(p, r, taken)
			case heliograph.KindOf(err) == heliograph.Conflict: // another was faster
			default:
				k.opts.Logger.WarnContext(ctx, "partition not taken", "partition", p, "error", err)
			}
		})
	}
	all.Wait()
	if len(partitions) > 0 {
		k.nudge()
	}
}

// keep notes that a partition is worked here, unless the run has ended meanwhile.
func (k *Keeper) keep(p int, r *run, revision uint64) {
	k.mu.Lock()
	current := k.run == r
	if current {
		k.held[p] = revision
	}
	k.mu.Unlock()
	if !current {
		k.opts.Work.Drop(p)
	}
}

// handOver ends the work on partitions and lets the others know.
func (k *Keeper) handOver(ctx context.Context, partitions []int) {
	if len(partitions) == 0 {
		return
	}
	var all sync.WaitGroup
	for _, p := range partitions {
		all.Go(func() { k.letGo(ctx, p) })
	}
	all.Wait()
	k.nudge()
}

func (k *Keeper) letGo(ctx context.Context, p int) {
	k.mu.Lock()
	_, there := k.held[p]
	delete(k.held, p)
	k.mu.Unlock()
	if !there {
		return
	}
	drain, cancel := context.WithTimeout(ctx, k.opts.Times.HandOver)
	defer cancel()
	if err := k.opts.Work.End(drain, p); err != nil {
		k.opts.Logger.WarnContext(ctx, "partition not ended in order", "partition", p, "error", err)
	}
	write, stop := context.WithTimeout(context.WithoutCancel(ctx), k.opts.Times.HandOver)
	defer stop()
	note, err := k.opts.Store.Note(write, ownerPrefix+itoa(p))
	if err == nil {
		k.mu.Lock()
		name := k.run.name
		k.mu.Unlock()
		var h holder
		if json.Unmarshal(note.Value, &h) != nil || h.Run != name {
			return // another's already
		}
		_, err = k.opts.Store.SetNote(write, ownerPrefix+itoa(p), []byte("{}"), note.Revision)
	}
	if err != nil && heliograph.KindOf(err) != heliograph.Conflict {
		k.opts.Logger.WarnContext(ctx, "others notice late that a partition was let go", "partition", p, "error", err)
	}
}
