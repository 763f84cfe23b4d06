// Package ingest takes changes in: when Accept returns, they are on disk and survive a power cut.
//
// Writing costs one fsync, whatever its size. So changes are committed in groups: an idle server writes at
// once and waits for nobody; while a write is under way, whoever comes joins the next one. The group is one
// frame of the change log, and a caller's changes stand in one frame: they are taken whole or not at all.
//
// Accept refuses, instead of queueing without end, when too much waits already (Limited), when delivery is
// too far behind (Limited), when the disk or the log is full (Full) and when the engine has nobody to write
// with (Unavailable). What it refused is not written; what it answered with another error may be, and is the
// caller's to send again: the same event keeps its change id.
package ingest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"heliograph.dev"
)

// Log is where changes are written down.
type Log interface {
	// Append writes a frame and returns its sequence once it is on disk.
	Append(ctx context.Context, partition int, changes []heliograph.Change) (uint64, error)
	PartitionOf(tenant heliograph.TenantID) int
	// Room tells why nothing more can be taken, or nil.
	Room() error
}

// Gate holds publishers back while delivery is behind.
type Gate interface {
	// Admit refuses changes to a partition: with a Limited error while too much waits to be delivered, with an
	// Unavailable one when they could not be written.
	Admit(partition int) error
	// Appended tells the gate of a frame that delivery will have to read.
	Appended(partition int, sequence uint64, changes int)
}

// Options says what an Ingest works with.
type Options struct {
	Log        Log
	Gate       Gate
	Partitions int
	// Size tells what a change takes in a frame, MaxFrame what a frame may hold.
	Size     func(*heliograph.Change) int
	MaxFrame int
	// MaxWaiting is how many bytes may wait for the next write, per partition.
	MaxWaiting int
	// WriteTimeout bounds one write.
	WriteTimeout time.Duration
}

// Ingest commits changes in groups. Its methods may be called concurrently.
type Ingest struct {
	opts    Options
	writers []*writer
	stop    chan struct{}
	done    sync.WaitGroup
	once    sync.Once
}

// New returns an Ingest with one running writer for each partition; Stop ends them.
func New(opts Options) *Ingest {
	in := &Ingest{opts: opts, stop: make(chan struct{})}
	for p := range opts.Partitions {
		w := &writer{opts: &in.opts, partition: p, wake: make(chan struct{}, 1), stop: in.stop}
		in.writers = append(in.writers, w)
		in.done.Go(w.run)
	}
	return in
}

// Stop refuses what comes from now on, finishes what waits, and returns when the writers have ended.
func (in *Ingest) Stop() {
	in.once.Do(func() { close(in.stop) })
	in.done.Wait()
}

// Accept writes changes down and returns when they are on disk. They must be of one tenant.
func (in *Ingest) Accept(ctx context.Context, changes []heliograph.Change) error {
	if len(changes) == 0 {
		return nil
	}
	req, err := in.request(changes)
	if err != nil {
		return err
	}
	if err := in.opts.Log.Room(); err != nil {
		return err
	}
	w := in.writers[in.opts.Log.PartitionOf(changes[0].Tenant)]
	if err := in.opts.Gate.Admit(w.partition); err != nil {
		return err
	}
	if err := w.join(req); err != nil {
		return err
	}
	select {
	case err := <-req.result:
		return err
	case <-ctx.Done():
		if w.leave(req) {
			return ctx.Err()
		}
		return <-req.result // being written: its end is near, and only it is the truth
	}
}

// Waiting returns how many changes wait for the next write.
func (in *Ingest) Waiting() int {
	n := 0
	for _, w := range in.writers {
		w.mu.Lock()
		for _, r := range w.waiting {
			n += len(r.changes)
		}
		w.mu.Unlock()
	}
	return n
}

func (in *Ingest) request(changes []heliograph.Change) (*request, error) {
	req := &request{changes: changes, result: make(chan error, 1)}
	for i := range changes {
		if changes[i].Tenant != changes[0].Tenant {
			return nil, heliograph.Errorf(heliograph.Invalid, "publish.one_tenant", "a batch holds events of one tenant; event %d is of another", i)
		}
		req.size += in.opts.Size(&changes[i])
	}
	if req.size > in.opts.MaxFrame {
		return nil, heliograph.Errorf(heliograph.TooLarge, "publish.batch_size",
			"the events take %d bytes together; at most %d are taken at once", req.size, in.opts.MaxFrame)
	}
	return req, nil
}

type request struct {
	changes []heliograph.Change
	size    int
	result  chan error // buffered: the writer never waits for a caller
}

// writer commits the changes of one partition, one write at a time.
type writer struct {
	opts      *Options
	partition int
	wake      chan struct{} // buffered
	stop      chan struct{}

	mu      sync.Mutex
	waiting []*request
	bytes   int
	closed  bool
}

func (w *writer) join(req *request) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return &heliograph.Error{Kind: heliograph.Unavailable, Rule: "publish.stopping", Message: "the server is stopping", RetryAfter: time.Second}
	}
	if w.bytes+req.size > w.opts.MaxWaiting && len(w.waiting) > 0 {
		return &heliograph.Error{
			Kind: heliograph.Limited, Rule: "publish.queue",
			Message: "too many events are waiting to be written; try again later", RetryAfter: time.Second,
		}
	}
	w.waiting = append(w.waiting, req)
	w.bytes += req.size
	select {
	case w.wake <- struct{}{}:
	default:
	}
	return nil
}

// leave takes req back out, unless it is being written already.
func (w *writer) leave(req *request) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, r := range w.waiting {
		if r == req {
			w.waiting = append(w.waiting[:i], w.waiting[i+1:]...)
			w.bytes -= req.size
			return true
		}
	}
	return false
}

// take removes what fits into one frame, in the order of arrival.
func (w *writer) take() (group []*request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, size := 0, 0
	for n < len(w.waiting) && size+w.waiting[n].size <= w.opts.MaxFrame {
		size += w.waiting[n].size
		n++
	}
	group = append(group, w.waiting[:n]...)
	rest := copy(w.waiting, w.waiting[n:])
	clear(w.waiting[rest:])
	w.waiting = w.waiting[:rest]
	w.bytes -= size
	return group
}

func (w *writer) run() {
	for {
		if group := w.take(); len(group) > 0 {
			w.write(group)
			continue
		}
		select {
		case <-w.wake:
		case <-w.stop:
			w.mu.Lock()
			w.closed = true
			w.mu.Unlock()
			for group := w.take(); len(group) > 0; group = w.take() {
				w.write(group)
			}
			return
		}
	}
}

func (w *writer) write(group []*request) {
	changes := group[0].changes
	if len(group) > 1 {
		changes = make([]heliograph.Change, 0, 2*len(group))
		for _, r := range group {
			changes = append(changes, r.changes...)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), w.opts.WriteTimeout)
	sequence, err := w.opts.Log.Append(ctx, w.partition, changes)
	cancel()
	if err != nil {
		err = fmt.Errorf("write %d changes down: %w", len(changes), err)
	} else {
		w.opts.Gate.Appended(w.partition, sequence, len(changes))
	}
	for _, r := range group {
		r.result <- err
	}
}
