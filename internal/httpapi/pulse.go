package httpapi

import (
	"context"
	"net/http"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/pulse"
)

// Pulse tells how the server and its endpoints did lately.
type Pulse interface {
	Steps() []pulse.Step
	Delays() (median, late time.Duration)
	StepLength() (each time.Duration, most int)
	Histories() []pulse.History
}

type pulseView struct {
	Now         string     `json:"now"`
	StepSeconds float64    `json:"stepSeconds"`
	Steps       int        `json:"steps"`
	MedianMS    float64    `json:"medianMs"`
	LateMS      float64    `json:"lateMs"`
	Value       []stepView `json:"value"`
}

type stepView struct {
	At        string  `json:"at"`
	Changes   int     `json:"changes"`
	Delivered int     `json:"delivered"`
	Failed    int     `json:"failed"`
	GivenUp   int     `json:"givenUp"`
	MedianMS  float64 `json:"medianMs"`
	LateMS    float64 `json:"lateMs"`
}

type historyView struct {
	Endpoint heliograph.Endpoint `json:"endpoint"`
	Points   []pointView         `json:"points"`
}

type pointView struct {
	At      string  `json:"at"`
	State   string  `json:"state"`
	Answers int     `json:"answers"`
	Late    float64 `json:"late"`
	Beyond  float64 `json:"beyond"`
	Failed  int     `json:"failuresInARow"`
	Pending int     `json:"pendingInMemory"`
	Parked  bool    `json:"parked"`
}

func (a *API) pulse(context.Context, *heliograph.Caller, none) (pulseView, error) {
	each, most := a.opts.Pulse.StepLength()
	v := pulseView{Now: stamp(a.opts.Now()), StepSeconds: each.Seconds(), Steps: most, Value: []stepView{}}
	median, late := a.opts.Pulse.Delays()
	v.MedianMS, v.LateMS = milliseconds(median), milliseconds(late)
	for _, s := range a.opts.Pulse.Steps() {
		v.Value = append(v.Value, stepView{
			At: stamp(s.At), Changes: s.Changes, Delivered: s.Delivered, Failed: s.Failed, GivenUp: s.GivenUp,
			MedianMS: milliseconds(s.Median), LateMS: milliseconds(s.Late),
		})
	}
	return v, nil
}

func shownPulse(_ *exchange, v pulseView) answer { return answer{status: http.StatusOK, body: v} }

func (a *API) histories(context.Context, *heliograph.Caller, none) ([]pulse.History, error) {
	return a.opts.Pulse.Histories(), nil
}

func listedHistories(x *exchange, list []pulse.History) answer {
	value := make([]historyView, len(list))
	for i := range list {
		value[i] = historyView{Endpoint: list[i].Endpoint, Points: []pointView{}}
		for _, p := range list[i].Points {
			value[i].Points = append(value[i].Points, pointView{
				At: stamp(p.At), State: p.State.String(), Answers: p.Answers, Late: p.Late, Beyond: p.Beyond,
				Failed: p.Failures, Pending: p.Pending, Parked: p.Parked,
			})
		}
	}
	return answer{status: http.StatusOK, body: map[string]any{"value": value, "rules": rulesView{
		SlowShare: x.api.opts.Health.SlowShare, SlowMS: milliseconds(x.api.opts.Health.SlowOver),
		DropShare: x.api.opts.Health.DropShare, DropMS: milliseconds(x.api.opts.Health.DropOver),
	}}}
}

// rulesView says when an endpoint is slow or dropping: when a larger share of its answers took longer.
type rulesView struct {
	SlowShare float64 `json:"slowShare"`
	SlowMS    float64 `json:"slowMs"`
	DropShare float64 `json:"dropShare"`
	DropMS    float64 `json:"dropMs"`
}
