package httpapi

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"heliograph.dev"
	"heliograph.dev/internal/cloudevents"
)

// eventDepth is how deep an event may be nested, its data included.
const eventDepth = 100

// Extension attributes that a publisher may use.
const (
	tenantExtension    = "tenantid"    // the tenant of the resource
	pathsExtension     = "paths"       // further paths, separated by spaces
	immutableExtension = "immutableid" // the id that the resource keeps when it moves
	traceExtension     = "traceparent" // W3C trace context
)

// maxImmutableID bounds an immutable id. Outlook's have some 200 characters.
const maxImmutableID = 1024

// publication is what one POST /publish brings.
type publication struct {
	events      []cloudevents.Event
	batch       bool
	traceparent string // of the request: for events that have none of their own
}

func (a *API) readEvents(x *exchange) (publication, error) {
	header := x.request.Header
	mode, err := cloudevents.ModeOf(header)
	if err != nil {
		return publication{}, err
	}
	body, err := x.body(a.limits.PublishBytes)
	if err != nil {
		return publication{}, err
	}
	events, err := cloudevents.Decode(header, body, cloudevents.Limits{
		Events: a.limits.Events, EventBytes: a.limits.EventBytes, Depth: eventDepth,
	})
	return publication{events: events, batch: mode == cloudevents.Batched, traceparent: header.Get("Traceparent")}, err
}

// publish turns events into changes and returns when they are on disk.
func (a *API) publish(ctx context.Context, caller *heliograph.Caller, p publication) (receipt, error) {
	r := receipt{Accepted: len(p.events), IDs: make([]heliograph.ChangeID, len(p.events))}
	if len(p.events) == 0 {
		return r, nil
	}
	if isReport(&p.events[0]) {
		return a.reportEvents(ctx, caller, p)
	}
	changes := make([]heliograph.Change, len(p.events))
	for i := range p.events {
		change, err := a.change(caller, &p.events[i])
		if err != nil && p.batch {
			err = cloudevents.At(i, err)
		}
		if err != nil {
			return receipt{}, err
		}
		if change.Traceparent == "" && isTraceparent(p.traceparent) {
			change.Traceparent = p.traceparent
		}
		changes[i], r.IDs[i] = change, change.ID
	}
	return r, a.opts.Ingest.Accept(ctx, changes)
}

// change turns an event into the change that it tells of.
func (a *API) change(caller *heliograph.Caller, e *cloudevents.Event) (heliograph.Change, error) {
	changeType := typeOf(e.Type)
	if changeType == 0 {
		return heliograph.Change{}, heliograph.Errorf(heliograph.Invalid, "publish.type",
			"the type %.100q is not one of heliograph.change.created, heliograph.change.updated and heliograph.change.deleted", e.Type)
	}
	tenant, err := tenantOf(caller, e)
	if err != nil {
		return heliograph.Change{}, err
	}
	if e.Subject == "" {
		return heliograph.Change{}, heliograph.Errorf(heliograph.Invalid, "publish.subject",
			"the attribute \"subject\" is required: the path of what changed, such as users/{id}/messages/{id}")
	}
	change := heliograph.Change{
		ID: heliograph.DeriveGUID("change", string(tenant), e.Source, e.ID), Tenant: tenant, Type: changeType,
		Time: e.Time, Accepted: a.opts.Now(), Data: e.Data,
	}
	if change.Time.IsZero() {
		change.Time = change.Accepted
	}
	if len(e.Data) > 0 && e.Data[0] != '{' {
		return change, heliograph.Errorf(heliograph.Invalid, "publish.data", "the data must be a JSON object: the resource as it is now")
	}
	if change.ImmutableID = e.Extension(immutableExtension); len(change.ImmutableID) > maxImmutableID {
		return change, heliograph.Errorf(heliograph.Invalid, "publish.immutable_id",
			"the attribute %q takes %d bytes; at most %d are taken", immutableExtension, len(change.ImmutableID), maxImmutableID)
	}
	if trace := e.Extension(traceExtension); isTraceparent(trace) {
		change.Traceparent = trace
	}
	return change, a.locate(&change, e)
}

// typeOf returns the one change type that an event's type names, or 0. Event types are told apart by case.
func typeOf(eventType string) heliograph.ChangeType {
	switch eventType {
	case "heliograph.change.created":
		return heliograph.Created
	case "heliograph.change.updated":
		return heliograph.Updated
	case "heliograph.change.deleted":
		return heliograph.Deleted
	}
	return 0
}

// locate finds the canonical paths that an event names.
func (a *API) locate(change *heliograph.Change, e *cloudevents.Event) error {
	var err error
	if change.Resource, err = a.canonical("subject", e.Subject); err != nil {
		return err
	}
	for path := range strings.FieldsSeq(e.Extension(pathsExtension)) {
		canonical, err := a.canonical("paths", path)
		if err != nil {
			return err
		}
		change.Paths = append(change.Paths, canonical)
	}
	return nil
}

func (a *API) canonical(attribute, path string) (string, error) {
	canonical, err := a.opts.Resources.CanonicalChange(path)
	if e, found := errors.AsType[*heliograph.Error](err); found {
		return "", &heliograph.Error{Kind: e.Kind, Rule: e.Rule, Message: attribute + ": " + e.Message, Err: e.Err}
	}
	return canonical, err
}

// tenantOf returns the tenant of an event: the caller's, unless it names another and the caller, as one who may
// control the whole server, may speak for every tenant.
func tenantOf(caller *heliograph.Caller, e *cloudevents.Event) (heliograph.TenantID, error) {
	name := e.Extension(tenantExtension)
	if name == "" {
		return caller.Tenant, nil
	}
	guid, ok := heliograph.ParseGUID(name)
	if !ok {
		return "", heliograph.Errorf(heliograph.Invalid, "publish.tenant", "the attribute %q is %.60q; it must be a GUID", tenantExtension, name)
	}
	tenant := heliograph.TenantID(guid.String())
	if tenant != caller.Tenant && !caller.HasRole(heliograph.PermissionControl) {
		return "", heliograph.Errorf(heliograph.Denied, "publish.other_tenant",
			"the event is of tenant %s and the token of tenant %s; publishing for another tenant needs the application permission %s besides",
			tenant, caller.Tenant, heliograph.PermissionControl)
	}
	return tenant, nil
}

// isTraceparent reports whether s has the form of a W3C trace context. One that has not is dropped, as the
// recommendation wants it, and the event taken.
func isTraceparent(s string) bool {
	if len(s) < 55 || len(s) > 128 || s[2] != '-' || s[35] != '-' || s[52] != '-' || s[:2] == "ff" || len(s) > 55 && s[55] != '-' {
		return false
	}
	hex := func(part string) bool {
		return strings.Trim(part, "0123456789abcdef") == ""
	}
	zero := func(part string) bool { return strings.Trim(part, "0") == "" }
	return hex(s[:2]) && hex(s[3:35]) && hex(s[36:52]) && hex(s[53:55]) && !zero(s[3:35]) && !zero(s[36:52])
}

// receipt is what a publisher gets: the ids under which its changes are known from now on.
type receipt struct {
	Accepted int                   `json:"accepted"`
	IDs      []heliograph.ChangeID `json:"ids"`
}

func accepted(_ *exchange, r receipt) answer { return answer{status: http.StatusAccepted, body: r} }
