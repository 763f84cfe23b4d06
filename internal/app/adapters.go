package app

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/catalog"
	"heliograph.dev/internal/config"
	"heliograph.dev/internal/deliver"
	"heliograph.dev/internal/engine"
	"heliograph.dev/internal/httpapi"
	"heliograph.dev/internal/identity/devissuer"
	"heliograph.dev/internal/match"
	"heliograph.dev/internal/outbound"
	"heliograph.dev/internal/subscribe"
)

// sink puts subscriptions into the match index.
type sink struct {
	catalog    *catalog.Catalog
	index      *match.Index
	delivering *atomic.Pointer[workshop]
	log        *slog.Logger
}

// Put indexes a subscription under every path that it watches.
func (s sink) Put(sub *heliograph.Subscription) {
	row := s.catalog.Row(sub.Row)
	if row == nil {
		s.log.Error("subscription of a resource that the catalog no longer knows", "subscription", sub.ID, "row", sub.Row)
		return
	}
	paths, err := row.WatchPaths(sub)
	if err != nil {
		s.log.Error("subscription cannot be indexed", "subscription", sub.ID, "row", sub.Row, "error", err)
		return
	}
	selection, err := row.SelectionOf(sub)
	if err != nil {
		s.log.Error("conditions of a subscription cannot be read", "subscription", sub.ID, "row", sub.Row, "error", err)
		return
	}
	t := match.TargetOf(sub, row)
	t.Restrict(selection, sub.Created)
	lapse, _, _ := s.catalog.Profile().Lifecycle.Lapse(sub)
	s.index.Pause(sub.ID, lapse)
	s.index.Put(t, paths)
	s.reconsider(sub.ID)
}

// Remove takes a subscription out of the index.
func (s sink) Remove(id heliograph.SubscriptionID) {
	s.index.Remove(id)
	s.reconsider(id)
}

func (s sink) reconsider(id heliograph.SubscriptionID) {
	if w := s.delivering.Load(); w != nil {
		w.reconsider(id)
	}
}

// notices takes lifecycle notifications the way of every change. Nothing is sent before ingest is there: tending begins
// after it.
type notices struct{ app *App }

// Accept writes notices down.
func (n notices) Accept(ctx context.Context, changes []heliograph.Change) error {
	return n.app.parts.ingest.Accept(ctx, changes)
}

// changeLog is the engine's log as the delivery of a partition reads it.
type changeLog struct {
	*engine.Engine
	hold *engine.Hold
}

// SaveCursor keeps the cursor.
func (l changeLog) SaveCursor(ctx context.Context, _ int, next uint64) error {
	return l.hold.SaveCursor(ctx, next)
}

func (a *App) read(ctx context.Context, partition int, from uint64) (deliver.Frames, error) {
	return a.parts.engine.Read(ctx, partition, from)
}

// recallBytes bounds how much of the log is read again at a start: a few seconds' worth.
const recallBytes = 256 << 20

// recall says from where on the log is to be read for what filters remember.
func (a *App) recall(ctx context.Context, cursor uint64) (from uint64, since time.Time, err error) {
	log, err := a.parts.engine.LogState(ctx)
	if err != nil {
		return 0, since, err
	}
	from = log.First
	if frames := log.Last + 1 - log.First; frames > 0 {
		most := recallBytes / (log.Bytes/frames + 1)
		from = max(from, cursor-min(cursor, most))
	}
	if from == 1 {
		return from, since, nil
	}
	since = a.clock.Now() // unless a frame says better
	if f, err := a.parts.engine.Frame(ctx, from); err == nil && from < cursor {
		since = f.Written
	}
	return from, since, nil
}

// backlogOf is a partition's backlog as its delivery sees it.
type backlogOf struct{ *engine.Hold }

// ParkAll keeps lists of references.
func (b backlogOf) ParkAll(ctx context.Context, lists []deliver.Parking) error {
	parking := make([]engine.Parking, len(lists))
	for i, list := range lists {
		parking[i] = engine.Parking(list)
	}
	return b.Hold.ParkAll(ctx, parking)
}

// Parked returns the endpoint's first messages.
func (b backlogOf) Parked(ctx context.Context, e heliograph.Endpoint, from uint64, limit int) ([]deliver.ParkedMessage, error) {
	messages, err := b.Hold.Parked(ctx, e, from, limit)
	out := make([]deliver.ParkedMessage, len(messages))
	for i, m := range messages {
		out[i] = deliver.ParkedMessage(m)
	}
	return out, err
}

// prepare readies an endpoint for delivery.
func (a *App) prepare(endpoint heliograph.Endpoint, latest match.TLS) (deliver.Receiver, error) {
	e, err := a.parts.outbound.Prepare(endpoint, outbound.MinTLS(latest.String()))
	if err != nil {
		return nil, err
	}
	if a.parts.trouble != nil {
		return &troubled{Receiver: receiver{e}, trouble: a.parts.trouble, endpoint: endpoint}, nil
	}
	return receiver{e}, nil
}

type receiver struct{ *outbound.Endpoint }

// Post sends one body, with its trace context if it has one.
func (r receiver) Post(ctx context.Context, p deliver.Body) heliograph.Attempt {
	var header http.Header
	if p.Traceparent != "" {
		header = http.Header{"Traceparent": {p.Traceparent}}
	}
	return r.Endpoint.Post(ctx, p.JSON, header, p.Timeout)
}

// endpoints lets subscribe speak with receivers.
type endpoints struct{ *outbound.Client }

// Exchange makes one call and keeps what was said.
func (e endpoints) Exchange(ctx context.Context, c subscribe.Call) subscribe.Exchange {
	x := e.Client.Exchange(ctx, outbound.Request{
		URL: c.URL, Header: c.Header, Timeout: c.Timeout, MinTLS: outbound.MinTLS(c.LatestTLS),
	})
	return subscribe.Exchange{
		Attempt: x.Attempt, Sent: x.Sent, Header: x.Header, Body: x.Body, Truncated: x.Truncated,
		Address: x.Address, TLS: x.TLS,
		Resolved: x.Resolved, Connected: x.Connected, Secured: x.Secured, FirstByte: x.FirstByte,
	}
}

// minter makes tokens for the control API.
type minter struct{ issuer *devissuer.Issuer }

// Mint makes a token as asked.
func (m minter) Mint(ctx context.Context, _ *heliograph.Caller, r httpapi.TokenRequest) (httpapi.Token, error) {
	text, expires, err := m.issuer.Mint(ctx, devissuer.MintRequest{
		Base: r.Origin, Tenant: r.Tenant, App: r.App, User: r.User, Scopes: r.Scopes, Roles: r.Roles,
		DirectoryRoles: r.DirectoryRoles, Audience: r.Audience, Lifetime: r.Lifetime,
	})
	return httpapi.Token{Text: text, Expires: expires}, err
}

// permissions returns every permission that the catalog's rows know, of applications and of users.
func (a *App) permissions() (application, delegated []string) {
	for _, row := range a.parts.catalog.Rows() {
		app, user := row.Permissions()
		application = append(application, app...)
		delegated = append(delegated, user...)
	}
	slices.Sort(application)
	slices.Sort(delegated)
	return slices.Compact(application), slices.Compact(delegated)
}

func (a *App) isDev() bool { return a.cfg.Mode == config.Dev }

func deliveryLimits(c *config.Config) deliver.Limits {
	l := deliver.DefaultLimits()
	d := &c.Delivery
	l.BatchCount, l.BatchBytes = d.BatchCount, int(d.BatchBytes)
	l.LanePending, l.LaneFlights = d.LanePending, d.LaneFlights
	l.MaxInFlight, l.MaxUnread = int(d.MaxInFlight), int64(d.MaxUnread)
	return l
}

var _ subscribe.Sink = sink{}
