package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	"heliograph.dev"
	"heliograph.dev/internal/deliver"
	"heliograph.dev/internal/deliveries"
)

// Deliveries tells what was sent, and sends again. A caller sees what belongs to its own application; with
// Heliograph.Control, what belongs to its tenant.
type Deliveries interface {
	Find(caller *heliograph.Caller, q deliveries.Query) []deliveries.Delivery
	// Skipped returns how many deliveries of all were not remembered since the start: under load they are sampled.
	Skipped() uint64
	Get(caller *heliograph.Caller, id deliveries.ID) (deliveries.Delivery, bool)
	// Latest returns the latest deliveries of a subscription, whoever may see them.
	Latest(sub heliograph.SubscriptionID) []*deliveries.Delivery
	// Resend sends the notifications of a delivery once more and returns how many there are.
	Resend(ctx context.Context, caller *heliograph.Caller, id deliveries.ID) (int, error)
	// Replay sends all that a subscription would be told of a span of time, from its creation on at the earliest.
	Replay(ctx context.Context, caller *heliograph.Caller, sub heliograph.SubscriptionID, when Span) (int, error)
	// Explain says what a change meant to each subscription that the caller may see.
	Explain(ctx context.Context, caller *heliograph.Caller, id heliograph.ChangeID) (*deliver.Explained, error)
}

// Span is a span of time: from Since on, up to Until, which when zero is now.
type Span struct{ Since, Until time.Time }

// mostDeliveries bounds a list of deliveries.
const mostDeliveries = 1000

// deliveryView is a delivery as it is shown.
type deliveryView struct {
	ID            string              `json:"id"`
	Endpoint      heliograph.Endpoint `json:"endpoint"`
	Started       string              `json:"started"`
	TookMS        float64             `json:"tookMs"`
	Reason        heliograph.Reason   `json:"reason"`
	GivenUp       heliograph.Reason   `json:"givenUp,omitempty"`
	Status        int                 `json:"status,omitempty"`
	Detail        string              `json:"detail,omitempty"`
	Count         int                 `json:"count"`
	Notifications []notifiedView      `json:"notifications"`
	// Request is the body that was sent, while it is kept.
	Request json.RawMessage `json:"request,omitempty"`
	*saidView
}

// saidView is what was said beside the body, while it is kept.
type saidView struct {
	Sent     string             `json:"sent,omitempty"` // the head of the request
	Answer   *answerView        `json:"answer,omitempty"`
	Address  string             `json:"address,omitempty"`
	TLS      string             `json:"tls,omitempty"`
	Reused   bool               `json:"reused"` // the connection
	TimingMS map[string]float64 `json:"timingMs"`
}

type answerView struct {
	Header     map[string][]string `json:"header"`
	Body       string              `json:"body"`
	BodyBase64 []byte              `json:"bodyBase64,omitempty"` // in place of a body that is no text
	Truncated  bool                `json:"truncated"`
}

func viewOfSaid(a *heliograph.Attempt) *saidView {
	said := a.Said
	if said == nil {
		return nil
	}
	v := &saidView{Sent: said.Sent, Address: said.Address, TLS: said.TLS, Reused: said.Kept, TimingMS: timings(said.Resolved, said.Connected, said.Secured, said.FirstByte)}
	if a.Status == 0 {
		return v
	}
	v.Answer = &answerView{Header: said.Header, Truncated: said.Truncated}
	if utf8.Valid(said.Body) {
		v.Answer.Body = string(said.Body)
	} else {
		v.Answer.BodyBase64 = said.Body
	}
	return v
}

type notifiedView struct {
	ID             string `json:"id"`
	SubscriptionID string `json:"subscriptionId"`
	ChangeID       string `json:"changeId"`
	Attempts       uint32 `json:"attempts"` // that failed before
	Accepted       string `json:"accepted"`
	LifecycleEvent string `json:"lifecycleEvent,omitempty"`
	// LifecycleReason is why the owner is told.
	LifecycleReason string `json:"lifecycleReason,omitempty"`
	Resource        string `json:"resource,omitempty"`
	ChangeType      string `json:"changeType,omitempty"`
}

func viewOf(d *deliveries.Delivery, whole bool) deliveryView {
	a := &d.Attempt
	v := deliveryView{
		ID: d.ID.String(), Endpoint: a.Endpoint, Started: stamp(a.Started), TookMS: milliseconds(a.Took), Reason: a.Reason,
		GivenUp: d.GivenUp, Status: a.Status, Detail: a.Detail, Count: d.Count, Notifications: []notifiedView{},
	}
	for i := range d.Notifications {
		n := &d.Notifications[i]
		one := notifiedView{
			ID: n.ID.String(), SubscriptionID: n.Subscription.String(), ChangeID: n.Change.String(),
			Attempts: n.Attempts, Accepted: stamp(n.Accepted),
		}
		if n.Lifecycle != 0 {
			one.LifecycleEvent, one.LifecycleReason = n.Lifecycle.String(), n.Told
		} else {
			one.Resource, one.ChangeType = n.Resource, n.Type.String()
		}
		v.Notifications = append(v.Notifications, one)
	}
	// Others' notifications may stand in the same body: it is shown to whom all of it belongs.
	if whole && len(d.Notifications) == d.Count {
		v.Request, v.saidView = d.Body, viewOfSaid(a)
	}
	return v
}

// readDeliveries reads what is looked for from the query: subscription, change, endpoint, failed and top.
func readDeliveries(x *exchange) (deliveries.Query, error) {
	asked := x.request.URL.Query()
	q := deliveries.Query{Endpoint: heliograph.Endpoint(asked.Get("endpoint")), FailedOnly: asked.Get("failed") == "true", Most: 100}
	for _, id := range []struct {
		name string
		to   *heliograph.GUID
	}{{"subscription", &q.Subscription}, {"change", &q.Change}} {
		text := asked.Get(id.name)
		if text == "" {
			continue
		}
		var ok bool
		if *id.to, ok = heliograph.ParseGUID(text); !ok {
			return q, heliograph.Errorf(heliograph.Invalid, "deliveries.query", "%s is not a GUID: %q", id.name, text)
		}
	}
	return q, readTop(x, "deliveries.query", mostDeliveries, &q.Most)
}

// readTop reads how many of a list are wanted, where the query says so.
func readTop(x *exchange, rule string, most int, top *int) error {
	text := x.request.URL.Query().Get("top")
	if text == "" {
		return nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return heliograph.Errorf(heliograph.Invalid, rule, "top is a number from 1 to %d, not %q", most, text)
	}
	*top = n
	return nil
}

// deliveryList is what was found, and how much was never there to be found.
type deliveryList struct {
	Value   []deliveryView `json:"value"`
	LeftOut uint64         `json:"leftOut"`
}

func (a *API) findDeliveries(_ context.Context, caller *heliograph.Caller, q deliveries.Query) (deliveryList, error) {
	found := a.opts.Deliveries.Find(caller, q)
	list := deliveryList{Value: make([]deliveryView, len(found)), LeftOut: a.opts.Deliveries.Skipped()}
	for i := range found {
		list.Value[i] = viewOf(&found[i], false)
	}
	return list, nil
}

func listedDeliveries(_ *exchange, list deliveryList) answer {
	return answer{status: http.StatusOK, body: list}
}

func (a *API) delivery(_ context.Context, caller *heliograph.Caller, id heliograph.GUID) (deliveries.Delivery, error) {
	d, found := a.opts.Deliveries.Get(caller, id)
	if !found {
		return d, notFound("delivery.not_found")
	}
	return d, nil
}

func shownDelivery(_ *exchange, d deliveries.Delivery) answer {
	return answer{status: http.StatusOK, body: viewOf(&d, true)}
}

// replayRequest asks for what a subscription was told of a span of time.
type replayRequest struct {
	subscription heliograph.SubscriptionID
	since, until string
}

func (a *API) readReplay(x *exchange) (replayRequest, error) {
	id, err := readID(x)
	if err != nil {
		return replayRequest{}, err
	}
	body, err := x.jsonBody()
	if err != nil {
		return replayRequest{}, err
	}
	r, err := shape[replayRequest]{
		text("since", func(r *replayRequest) *string { return &r.since }),
		text("until", func(r *replayRequest) *string { return &r.until }),
	}.decode(body, "The replay request cannot be read; the header Heliograph-Detail says why.")
	r.subscription = id
	return r, err
}

func (a *API) replay(ctx context.Context, caller *heliograph.Caller, r replayRequest) (int, error) {
	var when Span
	for _, m := range []struct {
		name, text string
		to         *time.Time
	}{{"since", r.since, &when.Since}, {"until", r.until, &when.Until}} {
		if m.name == "until" && m.text == "" {
			continue
		}
		var err error
		if *m.to, err = time.Parse(time.RFC3339, m.text); err != nil {
			return 0, heliograph.Errorf(heliograph.Invalid, "replay."+m.name, "%s is not a moment such as 2026-11-22T12:00:00Z: %q", m.name, m.text)
		}
	}
	if !when.Until.IsZero() && !when.Since.Before(when.Until) {
		return 0, heliograph.Errorf(heliograph.Invalid, "replay.until", "until comes after since: not %s after %s", r.until, r.since)
	}
	return a.opts.Deliveries.Replay(ctx, caller, r.subscription, when)
}

func (a *API) resend(ctx context.Context, caller *heliograph.Caller, id heliograph.GUID) (int, error) {
	return a.opts.Deliveries.Resend(ctx, caller, id)
}

func queued(_ *exchange, n int) answer {
	return answer{status: http.StatusAccepted, body: map[string]int{"notifications": n}}
}

// fateView is what a change meant to one subscription.
type fateView struct {
	SubscriptionID string              `json:"subscriptionId"`
	Endpoint       heliograph.Endpoint `json:"endpoint"`
	// Withheld is why it does not go there: change_type, filter, subscription_expired, unauthorized. Absent: it does.
	Withheld   heliograph.Reason `json:"withheld,omitempty"`
	Deliveries []deliveryView    `json:"deliveries"`
}

type explainedView struct {
	ID            string     `json:"id"`
	Resource      string     `json:"resource"`
	ChangeType    string     `json:"changeType"`
	Accepted      string     `json:"accepted"`
	Subscriptions []fateView `json:"subscriptions"`
}

func (a *API) explain(ctx context.Context, caller *heliograph.Caller, id heliograph.GUID) (explainedView, error) {
	e, err := a.opts.Deliveries.Explain(ctx, caller, id)
	if err != nil {
		return explainedView{}, err
	}
	v := explainedView{
		ID: e.Change.ID.String(), Resource: e.Change.Resource, ChangeType: e.Change.Type.String(),
		Accepted: stamp(e.Change.Accepted), Subscriptions: []fateView{},
	}
	for i := range e.Fates {
		f := &e.Fates[i]
		fate := fateView{SubscriptionID: f.Subscription.String(), Endpoint: f.URL, Withheld: f.Withheld, Deliveries: []deliveryView{}}
		q := deliveries.Query{Subscription: f.Subscription, Change: id, Most: 20}
		for _, d := range a.opts.Deliveries.Find(caller, q) {
			fate.Deliveries = append(fate.Deliveries, viewOf(&d, false))
		}
		v.Subscriptions = append(v.Subscriptions, fate)
	}
	return v, nil
}

func explained(_ *exchange, v explainedView) answer { return answer{status: http.StatusOK, body: v} }
