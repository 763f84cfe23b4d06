package deliver

import (
	"cmp"
	"log/slog"
	"slices"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/match"
)

// fly carries one load after another to a live lane's endpoint, until nothing is ready or the lane is parked.
func (l *lane) fly() {
	var (
		carried load
		note    posting
	)
	l.mu.Lock()
	for l.takeLocked(&carried) {
		l.launchLocked() // what did not fit may fly beside this
		l.mu.Unlock()
		failed, attempt := l.send(carried.items, 0, &note)
		l.mu.Lock()
		l.observeLocked(attempt)
		if len(failed) > 0 {
			l.failedLocked(attempt)
		} else if l.limit < l.d.opts.Limits.LaneFlights {
			l.limit++
		}
		l.landedLocked(&carried, failed)
	}
	l.flights--
	l.scheduleLocked()
	l.mu.Unlock()
}

// failedLocked parks the lane until the schedule, or the receiver's Retry-After, allows another attempt. A
// second flight that fails beside the first says nothing new.
func (l *lane) failedLocked(attempt *heliograph.Attempt) {
	if l.parked {
		return
	}
	at := l.laterLocked(l.d.opts.Retry.Next(l.d.now(), 1, attempt, l.d.opts.Dice()))
	l.parkLocked(heliograph.ParkedIll, at, 1)
}

// posting is what a flight uses again for every POST.
type posting struct {
	body  []byte
	items []pending
	told  []Notification
	// tokens are the validation tokens, one for each application and tenant that has a rich item.
	tokens   []string
	tls      match.TLS
	observed bool // how lifecycle notifications look
}

func (p *posting) reset() {
	*p = posting{body: p.body[:0], items: p.items[:0], told: p.told[:0], tokens: p.tokens[:0]}
}

// add appends one item. When it fails nothing was appended.
func (p *posting) add(item *pending, target *match.Target, sealer Sealer) (err error) {
	before := len(p.body)
	if len(p.items) > 0 {
		p.body = append(p.body, ',')
	}
	if n := item.change().Notice; n != nil {
		p.body = appendNotice(p.body, item, n, p.observed)
	} else if p.body, err = appendItem(p.body, item, target, sealer); err == nil && target != nil && target.Rich != nil {
		err = p.vouch(target, sealer)
	}
	if err != nil {
		p.body = p.body[:before]
		return err
	}
	if target != nil {
		p.tls = max(p.tls, target.LatestTLS)
	}
	p.items = append(p.items, *item)
	told := item.notification()
	if target != nil {
		told.App = target.App
	}
	p.told = append(p.told, told)
	return nil
}

// vouch adds the validation token of the target's application and tenant, once (contract 13.12).
func (p *posting) vouch(target *match.Target, sealer Sealer) error {
	audience := cmp.Or(target.Rich.URLAppID, target.App)
	token, err := sealer.Token(target.Tenant, audience)
	if err == nil && !slices.Contains(p.tokens, token) { // tokens are cached: the same one is the same text
		p.tokens = append(p.tokens, token)
	}
	return err
}

// finish closes the body.
func (p *posting) finish() {
	p.body = append(p.body, ']')
	if len(p.tokens) > 0 {
		p.body = append(p.body, `,"validationTokens":[`...)
		for i, token := range p.tokens {
			if i > 0 {
				p.body = append(p.body, ',')
			}
			p.body = heliograph.AppendJSONString(p.body, token)
		}
		p.body = append(p.body, ']')
	}
	p.body = append(p.body, '}')
}

// send posts items, less those that have nobody to go to any more, which it settles. It returns the items to
// try again, none when the receiver has them all.
func (l *lane) send(items []pending, failures int, p *posting) ([]pending, *heliograph.Attempt) {
	d := l.d
	p.reset()
	p.observed = d.opts.NoticeObserved
	p.body = append(p.body, `{"value":[`...)
	for i := range items {
		target, why := l.address(&items[i])
		if why != "" {
			l.settleAway(&items[i], target, why)
			continue
		}
		if err := p.add(&items[i], target, d.opts.Sealer); err != nil {
			d.opts.Logger.LogAttrs(d.ctx, slog.LevelError, "notification cannot be sealed",
				slog.String("subscription", items[i].sub.String()), slog.Any("error", err))
			l.settleAway(&items[i], target, heliograph.GivenUpUnsealed)
		}
	}
	if len(p.items) == 0 {
		return nil, nil
	}
	p.finish()
	attempt := l.post(p, d.opts.Retry.TimeoutFor(failures))
	d.under.posts.Add(1)
	d.opts.Observer.Attempted(&attempt, p.told)
	if r := d.opts.Recorder; r != nil && r.Wants(attempt.OK()) {
		r.Record(&attempt, "", p.told, p.body)
	}
	if attempt.OK() {
		settleAll(p.items)
		return nil, &attempt
	}
	for i := range p.items {
		p.items[i].attempts++
		if p.items[i].since == 0 {
			p.items[i].since = attempt.Started.UnixNano()
		}
	}
	return p.items, &attempt
}

// ready is a receiver together with the TLS version that it was prepared for.
type ready struct {
	Receiver
	tls match.TLS
}

func (l *lane) post(p *posting, timeout time.Duration) heliograph.Attempt {
	tracer, to := l.d.opts.Tracer, l.to()
	if tracer == nil {
		return to.postWith(p, p.traceparent(), timeout)
	}
	traceparent, end := tracer.Post(to.endpoint, p.told)
	attempt := to.postWith(p, traceparent, timeout)
	end(&attempt)
	return attempt
}

func (l *lane) postWith(p *posting, traceparent string, timeout time.Duration) heliograph.Attempt {
	r := l.receiver.Load()
	if r == nil || r.tls != p.tls {
		prepared, err := l.d.opts.Prepare(l.endpoint, p.tls)
		if err != nil {
			return heliograph.Attempt{Endpoint: l.endpoint, Started: l.d.now(), Reason: heliograph.AddressRefused, Detail: err.Error()}
		}
		r = &ready{prepared, p.tls}
		l.receiver.Store(r)
	}
	return l.d.permitted(r, Body{JSON: p.body, Traceparent: traceparent, Timeout: timeout})
}

// address finds whom an item goes to now: the subscription may have ended or moved since it was matched.
func (l *lane) address(p *pending) (*match.Target, heliograph.Reason) {
	d := l.d
	if d.opts.Retry.Over(d.now(), p.firstDue()) && !l.late.Load() {
		return nil, heliograph.GivenUpWindow
	}
	if n := p.change().Notice; n != nil { // a notice carries its own address
		if n.Event != heliograph.SubscriptionRemoved && d.opts.Index.Get(n.Subscription) == nil {
			return nil, heliograph.GivenUpRemoved // whatever its owner would do about it is no use
		}
		return nil, ""
	}
	target := d.opts.Index.Get(p.sub)
	switch {
	case target == nil:
		return nil, heliograph.GivenUpRemoved
	case !d.now().Before(time.Unix(0, target.Expires)):
		return nil, heliograph.GivenUpExpired
	case target.URL != l.endpoint && p.frame.tracker != nil: // a drain sees to it before
		return target, reasonMoved
	case p.frame.tracker != nil && d.hold(p): // likewise
		return target, reasonHeld
	}
	return target, ""
}

// reasonHeld says that the notification waits because its subscription is paused.
const reasonHeld heliograph.Reason = "held"

// reasonMoved says that the subscription's notificationUrl has changed since.
const reasonMoved heliograph.Reason = "moved"

// settleAway ends the wait of an item that does not go to the lane's endpoint: given up, or queued where it
// goes now.
func (l *lane) settleAway(p *pending, target *match.Target, why heliograph.Reason) {
	switch why {
	case reasonHeld:
	case reasonMoved:
		l.d.queue(target.URL, *p)
	default:
		l.lose(p, why)
	}
}

// giveUp tells that an item will not be delivered, and why.
func (l *lane) giveUp(p *pending, why heliograph.Reason) { l.tellGivenUp(p.notification(), why) }

func (l *lane) tellGivenUp(n Notification, why heliograph.Reason) {
	endpoint := l.endpoint
	if l.isHold() {
		endpoint = l.to().endpoint
	}
	l.d.opts.Observer.GivenUp(endpoint, n, why)
	if t := l.d.opts.Tracer; t != nil {
		t.GivenUp(endpoint, n, why)
	}
	if r := l.d.opts.Recorder; r != nil && r.Wants(false) {
		attempt := heliograph.Attempt{Endpoint: endpoint, Started: l.d.now(), Reason: why}
		r.Record(&attempt, why, []Notification{n}, nil)
	}
}

func settleAll(items []pending) {
	for i := 0; i < len(items); {
		n := i + 1
		for n < len(items) && items[n].frame == items[i].frame {
			n++
		}
		items[i].frame.settle(n - i)
		i = n
	}
}

// traceparent is the trace context of a POST that carries a single notification: many have many.
func (p *posting) traceparent() string {
	if len(p.items) != 1 {
		return ""
	}
	return p.items[0].change().Traceparent
}

func (p *pending) firstDue() (t time.Time) {
	if p.since != 0 {
		t = time.Unix(0, p.since)
	}
	return t
}

func (p *pending) notification() Notification {
	c := p.change()
	n := Notification{
		ID: NotificationID(p.sub, c.ID), Subscription: p.sub, Change: c.ID, Position: p.position(), Tenant: c.Tenant,
		Attempts: p.attempts, Accepted: c.Accepted, Traceparent: c.Traceparent,
	}
	if c.Notice != nil {
		n.Lifecycle, n.Told = c.Notice.Event, c.Notice.Reason
	} else {
		n.Resource, n.Type = c.Resource, c.Type
	}
	return n
}
