package subscribe

import (
	"encoding/json"
	"log/slog"
	"slices"
	"strings"

	"heliograph.dev"
	"heliograph.dev/internal/access"
)

// reportPrefix begins the names of the records of reports that stand: access.<hash>, the report as JSON.
const reportPrefix = "access."

func reportName(r access.Report) string {
	return reportPrefix + heliograph.DeriveGUID("access", string(r.Kind), string(r.User), string(r.App), r.Resource).String()
}

// standing are a tenant's reports, by the names of their records too.
type standing struct {
	names   map[string]access.Report
	reports access.Standing
}

// reported takes the record of a report.
func (r *Registry) reported(rec *heliograph.Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.standing[rec.Tenant]
	if s == nil {
		s = &standing{make(map[string]access.Report), make(access.Standing)}
		r.standing[rec.Tenant] = s
	}
	if rec.Deleted {
		delete(s.reports, s.names[rec.Name])
		delete(s.names, rec.Name)
		return
	}
	var report access.Report
	if err := json.Unmarshal(rec.Value, &report); err != nil {
		r.logger.Error("record of a report of lost access is unreadable", slog.String("record", rec.Name), slog.Any("error", err))
		return
	}
	s.names[rec.Name] = report
	s.reports[report] = struct{}{}
}

// bars returns why somebody is kept from a subscription by a report that stands, or nothing.
func (r *Registry) bars(caller *heliograph.Caller, path string) heliograph.Reason {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if s := r.standing[caller.Tenant]; s != nil {
		return s.reports.Bars(caller, path)
	}
	return ""
}

// concerned returns the subscriptions that a report speaks of, in the order of their making. It looks at those of the
// application, of the user or, where the whole tenant is meant, of the tenant.
func (r *Registry) concerned(tenant heliograph.TenantID, report access.Report) []heliograph.SubscriptionID {
	r.mu.RLock()
	defer r.mu.RUnlock()
	t := r.tenants[tenant]
	if t == nil {
		return nil
	}
	var rolls []*roll
	switch report.Kind {
	case access.ConsentRevoked:
		rolls = append(rolls, t.apps[report.App])
	case access.UserDisabled, access.MembershipLost:
		rolls = append(rolls, t.users[report.User])
	case access.UserDeleted:
		rolls = append(rolls, t.users[report.User], t.owners[heliograph.ObjectID(strings.ToLower(string(report.User)))])
	case access.TenantDeleted:
		for _, l := range t.apps {
			rolls = append(rolls, l)
		}
	case access.Restored:
	}
	var found []*entry
	for _, l := range rolls {
		if l == nil {
			continue
		}
		for _, e := range l.entries {
			if e.gone {
				continue
			}
			if s := e.subscription(); report.Concerns(&s) {
				found = append(found, e)
			}
		}
	}
	slices.SortFunc(found, func(a, b *entry) int { return a.place().compare(b.place()) })
	ids := make([]heliograph.SubscriptionID, 0, len(found))
	for i, e := range found {
		if i == 0 || found[i-1] != e { // one that the user made on the user's own
			ids = append(ids, e.id)
		}
	}
	return ids
}
