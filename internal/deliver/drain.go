package deliver

import (
	"log/slog"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/health"
)

// retryEngine is how long a drain waits when the engine, not the endpoint, failed.
const retryEngine = time.Second

// drain reads a parked lane's backlog from its start, once wake or hurry is closed, and delivers it in order, one POST
// at a time: a first small one shows whether the endpoint is well, each success doubles the next. When the
// backlog is empty the lane is live again.
func (l *lane) drain(wake, hurry <-chan struct{}) {
	select {
	case <-wake:
	case <-hurry:
	case <-l.d.accepting.Done():
		return
	}
	run := drainRun{l: l, batch: l.d.opts.Limits.BatchCount}
	l.mu.Lock()
	if l.failures > 0 {
		run.batch = 1
	}
	run.failures = l.failures
	run.probing = l.probeLocked()
	l.mu.Unlock()
	if run.probing {
		run.batch = 1
	}
	for !l.d.isStopping() {
		written := l.writes()
		messages, err := l.d.opts.Backlog.Parked(l.d.ctx, l.endpoint, 0, 1)
		switch {
		case err != nil:
			l.again(l.d.now().Add(retryEngine), run.failures, err)
			return
		case len(messages) == 0:
			if l.resume(written) {
				return
			}
			err = l.writeWaiting(l.d.ctx)
		default:
			err = run.message(&messages[0])
		}
		if err != nil {
			l.again(run.resumeAt(), run.failures, run.report(err))
			return
		}
	}
}

// again ends a drain that failed and schedules the next.
func (l *lane) again(at time.Time, failures int, err error) {
	if err != nil && l.d.ctx.Err() == nil {
		l.d.opts.Logger.LogAttrs(l.d.ctx, slog.LevelWarn, "drain interrupted", slog.Any("error", err))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.draining = false
	l.failures, l.resumeAt = failures, l.laterLocked(at)
	l.scheduleLocked()
}

// drainRun is one drain under way.
type drainRun struct {
	l        *lane
	batch    int
	failures int
	attempt  *heliograph.Attempt // the last failed one
	// probing says that the endpoint is slow or dropping, and that this drain finds out whether it still is.
	probing bool
	probes  int
	note    posting
}

// errIll tells that the endpoint did not take what was sent.
type errIll struct{}

func (errIll) Error() string { return "endpoint ill" }

// report returns err when it is for the log: that the endpoint is still ill was observed already.
func (r *drainRun) report(err error) error {
	if err == (errIll{}) { //nolint:errorlint // made here, never wrapped
		return nil
	}
	return err
}

func (r *drainRun) resumeAt() time.Time {
	d := r.l.d
	if r.attempt == nil {
		return d.now().Add(retryEngine)
	}
	return d.opts.Retry.Next(d.now(), r.failures, r.attempt, d.opts.Dice())
}

// message delivers the references of one message, then takes it off the backlog.
func (r *drainRun) message(m *ParkedMessage) error {
	l := r.l
	if m.Err != nil {
		l.d.opts.Logger.LogAttrs(l.d.ctx, slog.LevelError, "message of the backlog is unreadable",
			slog.Uint64("sequence", m.Sequence), slog.Any("error", m.Err))
		l.tellGivenUp(Notification{}, heliograph.GivenUpLost)
	}
	l.progress.at(m.Sequence)
	unsure := l.isUnsure()
	for {
		batch, err := r.load(m.Refs)
		if err != nil {
			return err
		}
		if len(batch.items) == 0 {
			break
		}
		if err := r.deliver(&batch, m.Refs, unsure); err != nil {
			return err
		}
	}
	if err := l.d.opts.Backlog.Unpark(l.d.ctx, l.endpoint, m.Sequence); err != nil {
		return err
	}
	l.d.opts.Observer.Backlog(l.endpoint, 0, len(m.Refs))
	return nil
}

// deliver posts a batch of a message's references. unsure says that the backlog may hold them twice.
func (r *drainRun) deliver(b *batch, refs []heliograph.ParkedRef, unsure bool) error {
	l := r.l
	l.atRef(&refs[b.at[0]])
	failed, attempt := l.send(b.items, max(1, r.failures), &r.note)
	still := l.observe(attempt)
	if len(failed) > 0 {
		l.progress.skip(b, failed)
		if attempt.Reason != heliograph.Stopped {
			r.failures++
			r.attempt = attempt
		}
		return errIll{}
	}
	for i := range b.items {
		p := &b.items[i]
		if !refs[b.at[i]].Again && (unsure || !p.frame.Written.After(l.d.started)) {
			l.progress.tell(p)
		}
	}
	l.progress.next = b.end
	if attempt == nil {
		return nil
	}
	r.failures, r.attempt = 0, nil
	return r.probed(still)
}

// atRef notes since when the first of what is parked waits. One that was asked for again does not say.
func (l *lane) atRef(ref *heliograph.ParkedRef) {
	if ref.Since.IsZero() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.oldest = ref.Since
}

// probed takes the answer to a probe into account, and lets the next batch grow when the endpoint is well.
func (r *drainRun) probed(state health.State) error {
	if state == health.Healthy {
		r.probing = false
	}
	if !r.probing {
		r.batch = min(2*r.batch, r.l.d.opts.Limits.BatchCount)
		return nil
	}
	if r.probes++; r.probes >= health.Probes {
		return errIll{}
	}
	return nil
}

// load turns the next references of a message back into notifications, as many as one POST may carry. Those that are
// given up or gone elsewhere are done with.
func (r *drainRun) load(refs []heliograph.ParkedRef) (batch, error) {
	done, b, bytes := &r.l.progress, batch{}, 0
	for b.end = done.next; b.end < len(refs) && len(b.items) < r.batch && bytes < r.l.d.opts.Limits.BatchBytes; b.end++ {
		if done.ahead[b.end] {
			continue
		}
		p, ok, err := r.item(&refs[b.end])
		switch {
		case err != nil:
			return batch{}, err
		case ok:
			b.items, b.at = append(b.items, p), append(b.at, b.end)
			bytes += p.estimate()
		case len(b.items) == 0:
			done.next = b.end + 1
		default:
			done.pass(b.end)
		}
	}
	return b, nil
}

// item turns a reference back into a notification. It answers false when there is nothing more to do about it here.
func (r *drainRun) item(ref *heliograph.ParkedRef) (pending, bool, error) {
	d := r.l.d
	f, err := d.changes.get(d.ctx, ref.Position.Sequence)
	if err != nil {
		return pending{}, false, err
	}
	if f == nil || int(ref.Position.Index) >= len(f.Changes) {
		r.l.tellGivenUp(Notification{Subscription: ref.Subscription, Position: ref.Position, Attempts: ref.Attempts}, heliograph.GivenUpLost)
		return pending{}, false, nil
	}
	p := pending{frame: f, index: ref.Position.Index, attempts: ref.Attempts, sub: ref.Subscription}
	if !ref.Since.IsZero() {
		p.since = ref.Since.UnixNano()
	}
	if !ref.Again && r.l.progress.has(&p) {
		return p, false, nil
	}
	if p.change().Notice != nil {
		return p, true, nil
	}
	gone, err := r.readdress(&p, ref)
	return p, !gone, err
}

// readdress finds again how the subscription sees the change. It reports true when the item is not this lane's
// any more: given up, or parked where the subscription's notificationUrl points now.
func (r *drainRun) readdress(p *pending, ref *heliograph.ParkedRef) (bool, error) {
	d := r.l.d
	hit, visible := d.opts.Index.Match(p.change(), ref.Position, p.sub, d.now())
	if !visible {
		hit.Withheld = heliograph.GivenUpRemoved
	}
	if hit.Withheld != "" {
		r.l.giveUp(p, hit.Withheld)
		return true, nil
	}
	p.told, p.instance, p.rich = hit.Type, hit.Instance, hit.Target.Rich != nil
	if hit.Target.URL == r.l.endpoint {
		return false, nil
	}
	if err := d.again(d.ctx, hit.Target.URL, []heliograph.ParkedRef{*ref}); err != nil {
		return false, err
	}
	return true, nil
}

// isUnsure reports whether something may stand in the backlog and wait in memory too.
func (l *lane) isUnsure() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.handed || l.unsure
}

func (l *lane) writes() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.written
}

// takeUpLocked parks a lane whose backlog was written from outside, so that a drain finds it.
func (l *lane) takeUpLocked(unsure bool) {
	l.written++
	if !l.parked {
		l.parkLocked(heliograph.ParkedBehind, l.d.now(), 0)
	}
	l.unsure = l.unsure || unsure
}
