package httpapi

import (
	"context"
	"net/http"

	"heliograph.dev"
	"heliograph.dev/internal/deliver"
	"heliograph.dev/internal/health"
)

// Endpoints tells how endpoints are, and makes them what a person says.
type Endpoints interface {
	Endpoints() []deliver.Endpoint
	Force(endpoint heliograph.Endpoint, state health.State)
}

// endpointView is an endpoint as it is shown.
type endpointView struct {
	Endpoint heliograph.Endpoint `json:"endpoint"`
	// Apart is the subscription that the endpoint refuses while it takes others: the entry is about what waits of it.
	Apart string `json:"apart,omitempty"`
	// State is healthy, slow or dropping (contract 10.8, 10.9); Late and Beyond are the shares of the window's answers
	// that it follows from.
	State   string            `json:"state"`
	Since   string            `json:"since,omitempty"`
	Answers int               `json:"answers"`
	Late    float64           `json:"late"`
	Beyond  float64           `json:"beyond"`
	Parked  bool              `json:"parked"`
	Why     heliograph.Reason `json:"why,omitempty"`
	Resumes string            `json:"resumes,omitempty"`
	Failed  int               `json:"failuresInARow"`
	Pending int               `json:"pendingInMemory"`
	Flights int               `json:"postsUnderWay"`
}

func (a *API) endpoints(context.Context, *heliograph.Caller, none) ([]deliver.Endpoint, error) {
	return a.opts.Endpoints.Endpoints(), nil
}

func listedEndpoints(_ *exchange, list []deliver.Endpoint) answer {
	value := make([]endpointView, len(list))
	for i := range list {
		e := &list[i]
		value[i] = endpointView{
			Endpoint: e.URL, State: e.State.String(), Answers: e.Shares.Answers, Late: e.Shares.Late, Beyond: e.Shares.Beyond,
			Parked: e.Parked, Why: e.Why, Failed: e.Failures, Pending: e.Pending, Flights: e.Flights,
		}
		if !e.Apart.IsZero() {
			value[i].Apart = e.Apart.String()
		}
		if !e.Since.IsZero() {
			value[i].Since = stamp(e.Since)
		}
		if e.Parked {
			value[i].Resumes = stamp(e.Resumes)
		}
	}
	return answer{status: http.StatusOK, body: map[string]any{"value": value}}
}

// forceRequest makes an endpoint what a person says.
type forceRequest struct{ endpoint, state string }

func (a *API) readForce(x *exchange) (forceRequest, error) {
	body, err := x.jsonBody()
	if err != nil {
		return forceRequest{}, err
	}
	return shape[forceRequest]{
		text("endpoint", func(r *forceRequest) *string { return &r.endpoint }),
		text("state", func(r *forceRequest) *string { return &r.state }),
	}.decode(body, "The request cannot be read; the header Heliograph-Detail says why.")
}

func (a *API) force(_ context.Context, _ *heliograph.Caller, r forceRequest) error {
	state, ok := health.ParseState(r.state)
	if !ok || r.endpoint == "" {
		return heliograph.Errorf(heliograph.Invalid, "endpoints.state", "say an endpoint, and as its state healthy, slow or dropping")
	}
	a.opts.Endpoints.Force(heliograph.Endpoint(r.endpoint), state)
	return nil
}
