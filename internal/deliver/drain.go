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
func (l *lane) drain(wake, hurry <-chan struct{}, stop func() bool) {
	select {
	case <-wake: // which has counted it
	case <-hurry:
		if stop() {
			l.d.under.drains.Add(1)
		}
	case <-l.d.accepting.Done():
		return
	}
	defer l.d.under.drains.Add(-1)
	l.drainNow()
}

func (l *lane) drainNow() {
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
		messages, err := l.d.opts.Backlog.Parked(l.d.ctx, l.key, 0, 1)
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
			l.again(run.resumeAt(err), run.failures, run.report(err))
			return
		}
	}
}

// again ends a drain that failed and schedules the next.
func (l *lane) again(at time.Time, failures int, err error) {
	if err != nil && l.d.ctx.Err() == nil {
		l.d.opts.Logger.LogAttrs(l.d.ctx, slog.LevelWarn, "drain interrupted", slog.Any("error", err))
	}
	if l.main != nil {
		at = l.main.later(at)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.draining = false
	l.failures, l.resumeAt = failures, l.laterLocked(at)
	if l.nudged {
		l.nudged, l.resumeAt = false, l.d.now()
	}
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
	away    []Parking // what is to be written to other backlogs
	// gone are the subscriptions that have something in away: what follows goes there too, whatever happens meanwhile.
	gone map[heliograph.SubscriptionID]heliograph.Endpoint
}

// errIll tells that the endpoint did not take what was sent.
type errIll struct{}

func (errIll) Error() string { return "endpoint ill" }

// report returns err when it is for the log: that the endpoint is still ill was observed already.
func (r *drainRun) report(err error) error {
	switch err.(type) { //nolint:errorlint // made here, never wrapped
	case errIll, errPaused:
		return nil
	}
	return err
}

// resumeAt is when what err has ended goes on.
func (r *drainRun) resumeAt(err error) time.Time {
	d := r.l.d
	if paused, ok := err.(errPaused); ok { //nolint:errorlint // made here, never wrapped
		return paused.until
	}
	if r.attempt == nil {
		return d.now().Add(retryEngine)
	}
	at := d.opts.Retry.Next(d.now(), r.failures, r.attempt, d.opts.Dice())
	r.l.noteBad(at)
	return at
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
		if err := r.deliver(&batch, m, unsure); err != nil {
			return err
		}
	}
	if l.d.opts.Missed != nil {
		if err := l.d.losses.flush(l.d.ctx); err != nil {
			return err
		}
	}
	if err := l.d.opts.Backlog.Unpark(l.d.ctx, l.key, m.Sequence); err != nil {
		return err
	}
	l.d.opts.Observer.Backlog(l.endpoint, 0, len(m.Refs))
	return nil
}

// deliver posts a batch of a message's references. unsure says that the backlog may hold them twice.
func (r *drainRun) deliver(b *batch, m *ParkedMessage, unsure bool) error {
	l := r.l
	l.atRef(&m.Refs[b.at[0]])
	failed, attempt := l.send(b.items, max(1, r.failures), &r.note)
	still := l.observe(attempt)
	if len(failed) > 0 {
		return r.refused(b, failed, attempt, m)
	}
	for i := range b.items {
		p := &b.items[i]
		if !m.Refs[b.at[i]].Again && (unsure || !p.frame.Written.After(l.d.started)) {
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
	var away []place
	r.away, r.gone = nil, nil
	for b.end = done.next; b.end < len(refs) && len(b.items) < r.batch && bytes < r.l.d.opts.Limits.BatchBytes; b.end++ {
		if done.passed(b.end) {
			continue
		}
		p, where, err := r.item(&refs[b.end])
		switch {
		case err != nil:
			return batch{}, err
		case where == here:
			b.items, b.at = append(b.items, p), append(b.at, b.end)
			bytes += p.estimate()
		case where == elsewhere:
			away = append(away, place{done.message, b.end})
		default:
			done.pass(place{done.message, b.end})
		}
	}
	if err := r.sendAway(); err != nil {
		return batch{}, err
	}
	for _, at := range away {
		done.pass(at)
	}
	done.skipPassed()
	return b, nil
}

// where says where a notification goes whose turn has come.
type where uint8

const (
	nowhere   where = iota // nothing more is to be done about it
	here                   // to this lane's endpoint
	elsewhere              // to another backlog, by goesTo
)

// item turns a reference back into a notification.
func (r *drainRun) item(ref *heliograph.ParkedRef) (pending, where, error) {
	d := r.l.d
	f, err := d.changes.get(d.ctx, ref.Position.Sequence)
	if err != nil {
		return pending{}, nowhere, err
	}
	if f == nil || int(ref.Position.Index) >= len(f.Changes) {
		r.l.tellGivenUp(Notification{Subscription: ref.Subscription, Position: ref.Position, Attempts: ref.Attempts}, heliograph.GivenUpLost)
		if d.opts.Missed != nil {
			d.losses.add(ref.Subscription, heliograph.GivenUpLost, nil)
		}
		return pending{}, nowhere, nil
	}
	p := pending{frame: f, index: ref.Position.Index, attempts: ref.Attempts, sub: ref.Subscription}
	if !ref.Since.IsZero() {
		p.since = ref.Since.UnixNano()
	}
	if !ref.Again && r.l.progress.has(&p) {
		return p, nowhere, nil
	}
	to, given, err := r.destination(&p, ref)
	switch {
	case err != nil:
		return pending{}, nowhere, err
	case given:
		return p, nowhere, nil
	case to != r.l.key:
		r.goesTo(to, ref)
		if r.gone == nil {
			r.gone = map[heliograph.SubscriptionID]heliograph.Endpoint{}
		}
		r.gone[p.sub] = to
		return p, elsewhere, nil
	}
	return p, here, nil
}

// destination finds again how the subscription sees the change, and by which backlog its notification goes: this
// lane's, that of where the subscription's notificationUrl points now, that of a lane apart, or that of its hold. It
// reports true when it was given up.
func (r *drainRun) destination(p *pending, ref *heliograph.ParkedRef) (to heliograph.Endpoint, given bool, err error) {
	d := r.l.d
	if p.change().Notice == nil { // a notice carries its own address
		hit, visible := d.opts.Index.Match(p.change(), ref.Position, p.sub, d.now())
		if !visible {
			hit.Withheld = heliograph.GivenUpRemoved
		}
		if hit.Withheld != "" {
			r.l.giveUp(p, hit.Withheld)
			return "", true, nil
		}
		p.told, p.instance, p.rich = hit.Type, hit.Instance, hit.Target.Rich != nil
		if r.l.isHold() {
			given, err = r.kept(p)
			return r.l.key, given, err
		}
		if hit.Target.URL != r.l.endpoint {
			return hit.Target.URL, false, nil
		}
	}
	if to, ok := r.gone[p.sub]; ok && (p.change().Notice == nil || heldBy(to).IsZero()) {
		return to, false, nil
	}
	if apart := r.l.apartFor(p.sub); apart != nil { // it may be paused too: what is there is older
		return apart.key, false, nil
	}
	if p.change().Notice == nil && d.holds(p.sub) {
		return holdOf(p.sub), false, nil
	}
	return r.l.key, false, nil
}

// goesTo notes a reference that is to be written to another backlog.
func (r *drainRun) goesTo(key heliograph.Endpoint, ref *heliograph.ParkedRef) {
	for i := range r.away {
		if list := &r.away[i]; list.Endpoint == key && len(list.Refs) < maxRefs {
			list.Refs = append(list.Refs, *ref)
			return
		}
	}
	r.away = append(r.away, Parking{Endpoint: key, Refs: []heliograph.ParkedRef{*ref}})
}

// sendAway writes what goes elsewhere there, in its order: behind what waits there in memory, which came before.
func (r *drainRun) sendAway() error {
	away := r.away
	r.away = nil
	for _, list := range away {
		if err := r.l.d.lane(list.Endpoint).writeWaiting(r.l.d.ctx); err != nil {
			return err
		}
		if err := r.l.d.again(r.l.d.ctx, list.Endpoint, list.Refs); err != nil {
			return err
		}
	}
	return nil
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
