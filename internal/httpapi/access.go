package httpapi

import (
	"context"
	"net/http"
	"strings"

	"heliograph.dev"
	"heliograph.dev/internal/access"
	"heliograph.dev/internal/cloudevents"
	"heliograph.dev/internal/subscribe"
)

// Access hears of lost and restored access.
type Access interface {
	// Report returns when the report is on disk, and so is what it means for each subscription.
	Report(ctx context.Context, tenant heliograph.TenantID, report access.Report) (subscribe.Affected, error)
}

// Provoker sends lifecycle notifications.
type Provoker interface {
	// Provoke returns when the notification is on disk, and its id. What the caller does not look after is NotFound.
	Provoke(ctx context.Context, caller *heliograph.Caller, p subscribe.Provocation) (heliograph.ChangeID, error)
}

// accessEvents is what the types of events begin with that report access.
const accessEvents = "heliograph.access."

// reportForm is a report on the wire.
type reportForm struct{ kind, tenant, user, app, resource string }

func reportShape() shape[reportForm] {
	type r = reportForm
	return shape[r]{
		text("change", func(r *r) *string { return &r.kind }),
		text("tenant", func(r *r) *string { return &r.tenant }),
		text("user", func(r *r) *string { return &r.user }),
		text("app", func(r *r) *string { return &r.app }),
		text("resource", func(r *r) *string { return &r.resource }),
	}
}

func (f *reportForm) report() access.Report {
	return access.Report{Kind: access.Kind(f.kind), User: heliograph.ObjectID(f.user), App: heliograph.AppID(f.app), Resource: f.resource}
}

const unreadable = "The request cannot be read; the header Heliograph-Detail says why."

func (a *API) readReport(x *exchange) (reportForm, error) {
	body, err := x.jsonBody()
	if err != nil {
		return reportForm{}, err
	}
	return reportShape().decode(body, unreadable)
}

func (a *API) report(ctx context.Context, caller *heliograph.Caller, f reportForm) (subscribe.Affected, error) {
	tenant := caller.Tenant
	if f.tenant != "" {
		guid, ok := heliograph.ParseGUID(f.tenant)
		if !ok {
			return subscribe.Affected{}, heliograph.Errorf(heliograph.Invalid, "access.tenant", "the tenant is %.60q; it must be a GUID", f.tenant)
		}
		tenant = heliograph.TenantID(guid.String())
	}
	return a.reportAll(ctx, tenant, f.report())
}

// reportAll takes a report, for both names of a user who has two: resources' paths may have either.
func (a *API) reportAll(ctx context.Context, tenant heliograph.TenantID, report access.Report) (subscribe.Affected, error) {
	did, err := a.opts.Access.Report(ctx, tenant, report)
	if err != nil || report.User == "" || a.opts.OtherName == nil {
		return did, err
	}
	other := a.opts.OtherName(tenant, string(report.User))
	if other == "" {
		return did, nil
	}
	report.User = heliograph.ObjectID(other)
	more, err := a.opts.Access.Report(ctx, tenant, report)
	return subscribe.Affected{
		Challenged: did.Challenged + more.Challenged, Removed: did.Removed + more.Removed, Resumed: did.Resumed + more.Resumed,
	}, err
}

func reported(_ *exchange, did subscribe.Affected) answer {
	return answer{status: http.StatusAccepted, body: struct {
		Challenged int `json:"challenged"`
		Removed    int `json:"removed"`
		Resumed    int `json:"resumed"`
	}(did)}
}

// reportEvents takes events that report access. They are carried out one after the other: when one fails, those before it
// stand, and all may be sent again.
func (a *API) reportEvents(ctx context.Context, caller *heliograph.Caller, p publication) (receipt, error) {
	if a.opts.Access == nil || !caller.HasRole(heliograph.PermissionControl) {
		return receipt{}, heliograph.Errorf(heliograph.Denied, "publish.access", "reports of access need the application permission %s besides", heliograph.PermissionControl)
	}
	type said struct {
		tenant heliograph.TenantID
		report access.Report
	}
	all := make([]said, len(p.events))
	r := receipt{Accepted: len(p.events), IDs: make([]heliograph.ChangeID, len(p.events))}
	for i := range p.events {
		e := &p.events[i]
		tenant, report, err := reportOf(caller, e)
		if err != nil && p.batch {
			err = cloudevents.At(i, err)
		}
		if err != nil {
			return receipt{}, err
		}
		all[i], r.IDs[i] = said{tenant, report}, heliograph.DeriveGUID("report", string(tenant), e.Source, e.ID)
	}
	for _, s := range all {
		if _, err := a.reportAll(ctx, s.tenant, s.report); err != nil {
			return receipt{}, err
		}
	}
	return r, nil
}

// reportOf turns an event into the report that it is. Its data has the properties of a report's, less the change, which
// is the event's type.
func reportOf(caller *heliograph.Caller, e *cloudevents.Event) (tenant heliograph.TenantID, report access.Report, err error) {
	kind, isReport := strings.CutPrefix(e.Type, accessEvents)
	if !isReport {
		return "", report, heliograph.Errorf(heliograph.Invalid, "publish.mixed", "a batch holds changes or reports of access, not both")
	}
	if tenant, err = tenantOf(caller, e); err != nil {
		return "", report, err
	}
	var f reportForm
	if len(e.Data) > 0 {
		if f, err = reportShape().decode(e.Data, "The data of the report cannot be read; the header Heliograph-Detail says why."); err != nil {
			return "", report, err
		}
	}
	if f.kind != "" || f.tenant != "" {
		return "", report, heliograph.Errorf(heliograph.Invalid, "publish.data", "what changed is the type of the event, its tenant the attribute %q", tenantExtension)
	}
	f.kind = kind
	report, err = f.report().Normal()
	return tenant, report, err
}

func isReport(e *cloudevents.Event) bool { return strings.HasPrefix(e.Type, accessEvents) }

// provokeForm asks for a lifecycle notification.
type provokeForm struct {
	event string
	keep  *bool
}

func (a *API) readProvoke(x *exchange) (subscribe.Provocation, error) {
	id, err := readID(x)
	if err != nil {
		return subscribe.Provocation{}, err
	}
	body, err := x.jsonBody()
	if err != nil {
		return subscribe.Provocation{}, err
	}
	f, err := shape[provokeForm]{
		text("event", func(f *provokeForm) *string { return &f.event }),
		boolean("keep", func(f *provokeForm) **bool { return &f.keep }),
	}.decode(body, unreadable)
	if err != nil {
		return subscribe.Provocation{}, err
	}
	event, known := heliograph.ParseLifecycleEvent(f.event)
	if !known {
		return subscribe.Provocation{}, heliograph.Errorf(heliograph.Invalid, "lifecycle.event",
			"%.40q is none of missed, subscriptionRemoved and reauthorizationRequired", f.event)
	}
	return subscribe.Provocation{Subscription: id, Event: event, Keep: f.keep != nil && *f.keep}, nil
}

func provoked(_ *exchange, id heliograph.ChangeID) answer {
	return answer{status: http.StatusAccepted, body: map[string]heliograph.ChangeID{"id": id}}
}
