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
	run := drainRun{l: l, batch: l.d.opts.Limits.BatchCount, last: map[heliograph.SubscriptionID]heliograph.Position{}}
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
	// last is how far each subscription has come: after a crash some references were parked twice.
	last map[heliograph.SubscriptionID]heliograph.Position
	note posting
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
	if l.drained != m.Sequence {
		l.drained, l.drainedRefs = m.Sequence, 0
	}
	for l.drainedRefs < len(m.Refs) {
		l.atRef(&m.Refs[l.drainedRefs])
		n := min(r.batch, len(m.Refs)-l.drainedRefs)
		items, err := r.load(m.Refs[l.drainedRefs : l.drainedRefs+n])
		if err != nil {
			return err
		}
		failed, attempt := l.send(items, max(1, r.failures), &r.note)
		still := l.observe(attempt)
		if len(failed) > 0 {
			if attempt.Reason != heliograph.Stopped {
				r.failures++
				r.attempt = attempt
			}
			return errIll{}
		}
		for i := range items {
			r.last[items[i].sub] = items[i].position()
		}
		l.drainedRefs += n
		if attempt != nil {
			r.failures, r.attempt = 0, nil
			if err := r.probed(still); err != nil {
				return err
			}
		}
	}
	if err := l.d.opts.Backlog.Unpark(l.d.ctx, l.endpoint, m.Sequence); err != nil {
		return err
	}
	l.d.opts.Observer.Backlog(l.endpoint, 0, len(m.Refs))
	return nil
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

// load turns references back into notifications, less those that are given up.
func (r *drainRun) load(refs []heliograph.ParkedRef) ([]pending, error) {
	d := r.l.d
	items := make([]pending, 0, len(refs))
	for i := range refs {
		ref := &refs[i]
		if last, seen := r.last[ref.Subscription]; seen && !ref.Again && !last.Before(ref.Position) {
			continue
		}
		f, err := d.changes.get(d.ctx, ref.Position.Sequence)
		if err != nil {
			return nil, err
		}
		if f == nil || int(ref.Position.Index) >= len(f.Changes) {
			r.l.tellGivenUp(Notification{Subscription: ref.Subscription, Position: ref.Position, Attempts: ref.Attempts}, heliograph.GivenUpLost)
			continue
		}
		p := pending{frame: f, index: ref.Position.Index, attempts: ref.Attempts, sub: ref.Subscription}
		if !ref.Since.IsZero() {
			p.since = ref.Since.UnixNano()
		}
		if p.change().Notice == nil {
			if sent, err := r.readdress(&p, ref); sent || err != nil {
				if err != nil {
					return nil, err
				}
				continue
			}
		}
		items = append(items, p)
	}
	return items, nil
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
	p.told, p.instance = hit.Type, hit.Instance
	if hit.Target.URL == r.l.endpoint {
		return false, nil
	}
	if err := d.opts.Backlog.ParkAll(d.ctx, []Parking{{Endpoint: hit.Target.URL, Refs: []heliograph.ParkedRef{*ref}}}); err != nil {
		return false, err
	}
	d.opts.Observer.Backlog(hit.Target.URL, 1, 0)
	for !d.lane(hit.Target.URL).takeUp() {
	}
	return true, nil
}

func (l *lane) writes() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.written
}

// takeUp parks a lane whose backlog was written from outside, so that a drain finds it. It answers false when the
// lane was swept.
func (l *lane) takeUp() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead {
		return false
	}
	l.idle = false
	l.written++
	if !l.parked {
		l.parkLocked(heliograph.ParkedBehind, l.d.now(), 0)
	}
	return true
}
