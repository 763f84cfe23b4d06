package httpapi

import (
	"context"
	"net/http"

	"heliograph.dev"
)

// Changes are those of the log.
type Changes interface {
	// Recent returns the latest changes of the caller's tenant whose resource has the text in it, the latest first.
	Recent(ctx context.Context, caller *heliograph.Caller, q ChangesQuery) ([]heliograph.Change, error)
}

// ChangesQuery says which changes are looked for.
type ChangesQuery struct {
	Contains string // in the path of the resource, in any case
	Most     int
}

// mostChanges bounds a list of changes.
const mostChanges = 200

// changeView is a change as it is shown: what it is about, not what it says.
type changeView struct {
	ID         string `json:"id"`
	Resource   string `json:"resource"`
	ChangeType string `json:"changeType"`
	Accepted   string `json:"accepted"`
}

func readChanges(x *exchange) (ChangesQuery, error) {
	q := ChangesQuery{Contains: x.request.URL.Query().Get("contains"), Most: 50}
	err := readTop(x, "changes.query", mostChanges, &q.Most)
	return q, err
}

func (a *API) recentChanges(ctx context.Context, caller *heliograph.Caller, q ChangesQuery) ([]heliograph.Change, error) {
	return a.opts.Changes.Recent(ctx, caller, q)
}

func listedChanges(_ *exchange, list []heliograph.Change) answer {
	value := make([]changeView, len(list))
	for i := range list {
		c := &list[i]
		value[i] = changeView{ID: c.ID.String(), Resource: c.Resource, ChangeType: c.Type.String(), Accepted: stamp(c.Accepted)}
	}
	return answer{status: http.StatusOK, body: map[string]any{"value": value}}
}
