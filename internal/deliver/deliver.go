// Package deliver brings changes to the endpoints that want them: at least once, in order per subscription,
// and without one endpoint's illness costing another anything.
//
// The way of a change, one file a step:
//
//	reader.go   read the change log's frames, in order, while memory allows
//	            match each change, and queue one notification for each subscription that wants it
//	recall.go   at the start, read some of what was delivered too: filters that tell of entering and leaving
//	            remember what they let through
//	lane.go     one lane an endpoint: queues per subscription, what may fly next, live or parked
//	flight.go   one POST with all that is pending, up to the limits; what its outcome means
//	parker.go   when the endpoint is ill or slow: write references to the backlog, out of memory
//	drain.go    when its time has come: read them back, in order, and deliver
//	apart.go    what an endpoint refuses while it takes others is set apart, and given up when it holds others up
//	hold.go     what waits because its subscription is paused
//	losses.go   what was given up is told to the owner
//	endpoint.go what an endpoint's answers make of it: healthy, slow, dropping
//	tracker.go  a frame is done when each of its notifications is delivered, parked or given up;
//	            the cursor follows the oldest frame that is not
//
// What is promised, and how:
//
//   - Nothing is lost: the cursor never passes a notification that is neither delivered nor parked on disk.
//     After a crash the log is read again from the cursor and the backlog again from its start.
//   - Order: of one subscription at most one POST is in flight, its notifications leave in the order of the
//     log, and once some of them are parked the later ones queue behind them. When its notificationUrl changes,
//     what waited at the old endpoint follows in its order, but may come behind what is younger.
//   - Duplicates carry the same notification id. They come from a stop or a crash: what was delivered after the
//     last cursor write (SaveEvery) or in front of a frame that was still under way (MaxInFlight bytes), and,
//     of a backlog, the refs of one message (maxRefs) and what was tried in the place of refused ones. Of what was parked twice for that reason, or because nobody
//     knows whether a write was done, one is passed over, as long as it is among the last mostTold.
//   - Memory is bounded: MaxInFlight bytes of frames, LanePending notifications a lane. Beyond that the
//     reader waits, or the lane is parked.
package deliver

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/catalog"
	"heliograph.dev/internal/clock"
	"heliograph.dev/internal/health"
	"heliograph.dev/internal/match"
	"heliograph.dev/internal/retry"
)

// Log is the change log as delivery reads it.
type Log interface {
	Frame(ctx context.Context, sequence uint64) (heliograph.Frame, error)
	SaveCursor(ctx context.Context, partition int, next uint64) error
	Cursor(ctx context.Context, partition int) (uint64, error)
}

// Frames is a running read of one partition, from a sequence on.
type Frames interface {
	Next(ctx context.Context) (heliograph.Frame, error)
	Close()
}

// Backlog keeps references to what waits for ill endpoints.
type Backlog interface {
	// ParkAll returns when all lists are on disk. When it fails, any of them may be there.
	ParkAll(ctx context.Context, lists []Parking) error
	// Parked returns the first messages of the endpoint from a sequence on.
	Parked(ctx context.Context, endpoint heliograph.Endpoint, from uint64, limit int) ([]ParkedMessage, error)
	Unpark(ctx context.Context, endpoint heliograph.Endpoint, through uint64) error
}

// Parking is a list of references for one endpoint.
type Parking struct {
	Endpoint heliograph.Endpoint
	Refs     []heliograph.ParkedRef
}

// ParkedMessage is a group of references as it was parked.
type ParkedMessage struct {
	Sequence uint64
	Refs     []heliograph.ParkedRef
	// Err says why the references cannot be read; there are none then.
	Err error
}

// Receiver is an endpoint made ready for many POSTs. Post may be called concurrently.
type Receiver interface {
	// Post sends one body and tells how it went.
	Post(ctx context.Context, body Body) heliograph.Attempt
}

// Body is what one POST carries. JSON is not to be kept.
type Body struct {
	JSON        []byte
	Traceparent string // may be empty
	Timeout     time.Duration
}

// Sealer makes what rich notifications have besides (contract section 13).
type Sealer interface {
	// AppendContent appends the encryptedContent object of a change as target is told of it.
	AppendContent(b []byte, target *match.Target, change *heliograph.Change, instance *catalog.Instance) ([]byte, error)
	// Token returns a validation token for an application of a tenant.
	Token(tenant heliograph.TenantID, audience heliograph.AppID) (string, error)
}

// Observer hears what happens, for metrics and logs. Its methods must be quick: they are called with locks held.
type Observer interface {
	// Matched tells of a frame of the log that was read: its changes, the notifications that they made, and how long
	// it took to find out.
	Matched(changes, notifications int, took time.Duration)
	// Attempted tells of one POST that carried notifications. The slice is not to be kept.
	Attempted(attempt *heliograph.Attempt, notifications []Notification)
	// Parked tells that an endpoint's notifications go to the backlog from now on, beginning with those that waited,
	// and why.
	Parked(endpoint heliograph.Endpoint, waiting int, why heliograph.Reason)
	// Backlog tells of notifications that came to be in an endpoint's backlog on disk, or were taken off it.
	Backlog(endpoint heliograph.Endpoint, added, removed int)
	// Resumed tells that an endpoint has caught up with its backlog: what comes goes to it at once again.
	Resumed(endpoint heliograph.Endpoint, parked time.Duration)
	// GivenUp tells of a notification that will not be delivered, and why.
	GivenUp(endpoint heliograph.Endpoint, n Notification, why heliograph.Reason)
}

// Tracer makes spans of what happens to changes whose trace is recorded.
type Tracer interface {
	// Matched tells of a frame that was read: when it was matched, and how many notifications each change made.
	// None of it is to be kept.
	Matched(frame *heliograph.Frame, began, ended time.Time, notifications []int)
	// Post begins a POST. It returns the trace context that the POST carries, which may be empty, and what to call
	// with its outcome. The slice is not to be kept.
	Post(endpoint heliograph.Endpoint, notifications []Notification) (traceparent string, end func(*heliograph.Attempt))
	// GivenUp tells of a notification that will not be delivered, and why.
	GivenUp(endpoint heliograph.Endpoint, n Notification, why heliograph.Reason)
}

// Recorder remembers deliveries for their owners to look at.
type Recorder interface {
	// Wants reports whether a POST that went so would be kept: under load not all are.
	Wants(ok bool) bool
	// Record keeps a POST and its body, or a notification that was given up. Neither slice is to be kept.
	Record(attempt *heliograph.Attempt, givenUp heliograph.Reason, notifications []Notification, body []byte)
}

// Notification names what an observer hears of.
type Notification struct {
	ID           heliograph.NotificationID
	Subscription heliograph.SubscriptionID
	Change       heliograph.ChangeID
	Position     heliograph.Position
	Tenant       heliograph.TenantID
	App          heliograph.AppID // of a change's subscription
	Attempts     uint32
	Accepted     time.Time
	Lifecycle    heliograph.LifecycleEvent // 0 for a change
	Told         string                    // why a lifecycle notification tells it
	Traceparent  string                    // of the change
	Resource     string                    // of the change; empty for a notice. It shares memory with its frame
	Type         heliograph.ChangeType     // of the change
}

// Limits bound what delivery takes.
type Limits struct {
	BatchCount  int           // notifications in one POST
	BatchBytes  int           // bytes in one POST, passed by at most one notification
	LanePending int           // notifications that one endpoint may have waiting in memory
	LaneFlights int           // POSTs that one endpoint may have under way
	MaxInFlight int           // bytes of frames that are read and not done
	MaxUnread   int64         // changes accepted and not yet read, before publishers are slowed
	SaveEvery   time.Duration // how often the cursor is written
	ParkEvery   time.Duration // how long references gather before they are written together
}

// DefaultLimits are sized for two cores and a few hundred megabytes.
func DefaultLimits() Limits {
	return Limits{
		BatchCount: 128, BatchBytes: 512 << 10, LanePending: 20_000, LaneFlights: 64, MaxInFlight: 128 << 20,
		MaxUnread: 500_000, SaveEvery: 250 * time.Millisecond, ParkEvery: 100 * time.Millisecond,
	}
}

// Options says what a Dispatcher works with.
type Options struct {
	Partitions []int
	Log        Log
	Read       func(ctx context.Context, partition int, from uint64) (Frames, error)
	Recall     Recall // may be nil: reading begins at the cursor then
	Backlog    Backlog
	Index      *match.Index
	Catalog    *catalog.Catalog
	// Prepare readies an endpoint; tls is the latestSupportedTlsVersion that its subscriptions asked for.
	Prepare func(endpoint heliograph.Endpoint, tls match.TLS) (Receiver, error)
	Sealer  Sealer
	Retry   retry.Policy
	// Health says when an endpoint is slow or dropping. Drop discards what comes for one that is dropping, as Graph
	// does (contract 10.9); else it is parked.
	Health   health.Rules
	Drop     bool
	Limits   Limits
	Observer Observer
	// Missed writes down that a subscription's owner is to be told that something was not delivered, and why. It may be
	// nil: nobody is told.
	Missed func(ctx context.Context, sub heliograph.SubscriptionID, why heliograph.Reason) error
	// KeepPaused is how long is kept what comes for a paused subscription; 0 stands for the window of the retries.
	KeepPaused time.Duration
	// NoticeObserved has lifecycle notifications look as they were seen, and not as they are documented.
	NoticeObserved bool
	Recorder       Recorder // may be nil
	Tracer         Tracer   // may be nil: nothing is traced then, and the change's trace context goes out as it came
	Permit         Permit   // may be nil: the partitions are nobody else's
	// Settle returns when Index has what was written before a frame, by whichever node. May be nil.
	Settle func(ctx context.Context, frame *heliograph.Frame) error
	Clock  clock.Clock
	Dice   func() float64 // in [0, 1), for jitter
	Logger *slog.Logger
}

// Dispatcher delivers the changes of its partitions. Start it once; Stop it once.
type Dispatcher struct {
	opts   Options
	flyers sync.WaitGroup // POSTs and drains under way
	loops  sync.WaitGroup
	// accepting ends when nothing new may begin, ctx when what is under way must end too.
	accepting, ctx       context.Context
	stopAccepting, abort context.CancelFunc
	launching            sync.RWMutex // held while a flyer begins; in full, while accepting ends
	lanes                lanes
	readers              []*reader
	parker               *parker
	changes              changeCache
	losses               *losses
	gates                gates
	holding              atomic.Int64 // holds that have something
	unread               atomic.Int64
	under                underWay
	started              time.Time
}

// New returns a dispatcher that has not begun.
func New(opts Options) *Dispatcher {
	if opts.KeepPaused == 0 {
		opts.KeepPaused = opts.Retry.Window
	}
	d := &Dispatcher{opts: opts}
	d.ctx, d.abort = context.WithCancel(context.Background())
	d.accepting, d.stopAccepting = context.WithCancel(d.ctx)
	d.lanes.byURL = map[heliograph.Endpoint]*lane{}
	d.parker = &parker{d: d, wake: make(chan struct{}, 1), lanes: map[*lane]struct{}{}}
	d.losses = &losses{d: d, wake: make(chan struct{}, 1)}
	d.changes = changeCache{log: opts.Log}
	return d
}

// Start takes up the backlog, by its keys, as it was left, and begins to read each partition at its cursor.
func (d *Dispatcher) Start(ctx context.Context, backlog []heliograph.Endpoint) error {
	d.started = d.now()
	// What waits apart or on hold is older than what its endpoint's backlog has of the same subscription: it is known first.
	for _, key := range slices.SortedStableFunc(slices.Values(backlog), olderFirst) {
		l := d.lockLane(key)
		l.late.Store(true) // nobody tried while nobody was here: what is past its window gets an attempt first
		if l.isHold() {
			l.parkLocked(heliograph.ParkedPaused, d.opts.Clock.Now(), 0)
		} else {
			l.parkLocked(heliograph.ParkedIll, d.opts.Clock.Now(), 0)
		}
		l.mu.Unlock()
	}
	begins, err := d.recall(ctx)
	if err != nil {
		return errors.Join(err, d.Stop(ctx))
	}
	for i, p := range d.opts.Partitions {
		frames, err := d.opts.Read(ctx, p, begins[i].from)
		if err != nil {
			return errors.Join(err, d.Stop(ctx))
		}
		r := &reader{d: d, partition: p, frames: frames, tracker: newTracker(d, p, begins[i].live), live: begins[i].live}
		d.readers = append(d.readers, r)
		d.loops.Go(r.run)
		d.loops.Go(r.tracker.saveLoop)
	}
	d.loops.Go(d.parker.run)
	d.loops.Go(d.losses.run)
	d.loops.Go(d.sweepLoop)
	return nil
}

// Stop ends reading, lets the POSTs that are under way come to their end while ctx allows, writes the cursor
// and returns: two seconds after ctx's end at the latest, whether or not the store answers. What was not delivered is
// delivered after the next Start.
func (d *Dispatcher) Stop(ctx context.Context) error {
	d.launching.Lock()
	d.stopAccepting()
	d.launching.Unlock()
	for _, r := range d.readers {
		r.tracker.close()
	}
	landed := make(chan struct{})
	go func() {
		d.flyers.Wait()
		close(landed)
	}()
	select {
	case <-landed:
	case <-ctx.Done():
	}
	d.abort()
	<-landed // cancelled POSTs return at once
	d.loops.Wait()
	last, cancel := lastWords(ctx)
	defer cancel()
	errs := []error{d.parker.flush(last)}
	for _, r := range d.readers {
		r.frames.Close()
		errs = append(errs, r.tracker.save(last))
	}
	return errors.Join(errs...)
}

// lastWrites is how long the last writes may take when the POSTs under way have used up the time for a stop. What is
// not written then is delivered once more after the next start.
const lastWrites = 2 * time.Second

// lastWords returns the context of a stop's last writes: what is left of ctx, but so long at the least.
func lastWords(ctx context.Context) (context.Context, context.CancelFunc) {
	real := clock.System()
	end := real.Now().Add(lastWrites)
	if until, ok := ctx.Deadline(); ok && until.After(end) || !ok && ctx.Err() == nil {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(context.WithoutCancel(ctx), end)
}

// Admit refuses publishers while more than MaxUnread accepted changes wait to be read.
func (d *Dispatcher) Admit() error {
	if d.unread.Load() < d.opts.Limits.MaxUnread {
		return nil
	}
	return TooFarBehind()
}

// TooFarBehind is what publishers are told while too many accepted changes wait to be read.
func TooFarBehind() error {
	return &heliograph.Error{
		Kind: heliograph.Limited, Rule: "publish.behind", RetryAfter: 2 * time.Second,
		Message: "delivery is behind; try again later",
	}
}

// Appended counts changes of a frame that were accepted and will have to be read.
func (d *Dispatcher) Appended(partition int, sequence uint64, changes int) {
	d.under.appended(partition, sequence)
	d.unread.Add(int64(changes))
}

// launch runs a POST or a drain, unless the dispatcher stops: Stop waits for all that were launched.
func (d *Dispatcher) launch(flyer func()) bool {
	d.launching.RLock()
	defer d.launching.RUnlock()
	if d.isStopping() {
		return false
	}
	d.flyers.Go(flyer)
	return true
}

func (d *Dispatcher) isStopping() bool { return d.accepting.Err() != nil }

func (d *Dispatcher) now() time.Time { return d.opts.Clock.Now() }
