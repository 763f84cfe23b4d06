package app

import (
	"strings"

	"heliograph.dev"
	"heliograph.dev/internal/deliver"
	"heliograph.dev/internal/deliveries"
)

// recorder lets the book remember what delivery tells.
type recorder struct{ book *deliveries.Book }

// Wants reports whether a POST that went so would be kept.
func (r recorder) Wants(ok bool) bool { return r.book.Wants(ok) }

// Record keeps a POST, or a notification that was given up.
func (r recorder) Record(attempt *heliograph.Attempt, givenUp heliograph.Reason, notifications []deliver.Notification, body []byte) {
	kept := make([]deliveries.Notified, min(len(notifications), r.book.Listed()))
	for i := range kept {
		n := &notifications[i]
		kept[i] = deliveries.Notified{
			ID: n.ID, Subscription: n.Subscription, Change: n.Change, Position: n.Position, Tenant: n.Tenant, App: n.App,
			Attempts: n.Attempts, Accepted: n.Accepted, Lifecycle: n.Lifecycle, Told: n.Told,
			Resource: strings.Clone(n.Resource), Type: n.Type,
		}
	}
	r.book.Add(attempt, givenUp, kept, len(notifications), body)
}
