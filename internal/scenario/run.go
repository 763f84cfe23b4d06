package scenario

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"heliograph.dev/client"
	"heliograph.dev/internal/junit"
)

// Options say where a scenario runs.
type Options struct {
	// API is the server's, for a caller with Heliograph.Control and Changes.Publish.
	API *client.Client
	Now func() time.Time
	// Saw, which may be nil, is called with each step when it is over.
	Saw func(Result)
}

// Result is how a step went.
type Result struct {
	Step   int     `json:"step"` // from 1
	Line   int     `json:"line"`
	Kind   string  `json:"kind"`
	About  string  `json:"about,omitempty"`
	Passed bool    `json:"passed"`
	Why    string  `json:"why,omitempty"`     // it did not
	Left   bool    `json:"leftOut,omitempty"` // an earlier one failed
	TookMs float64 `json:"tookMs"`
}

// Report is how a scenario went.
type Report struct {
	Name   string   `json:"name"`
	Passed bool     `json:"passed"`
	Steps  []Result `json:"steps"`
}

// change is one that a step made.
type change struct{ id, text string }

// run is a scenario under way.
type run struct {
	api           *client.Client
	subscriptions map[string]*client.Outline
	changes       map[string][]change
	faults        []string
	seed          uint64
}

// Run does the steps, one after the other, and returns how they went. What it has made go wrong goes right again at its
// end. It ends early when ctx does.
func Run(ctx context.Context, s *Scenario, o Options) *Report {
	r := &run{api: o.API, subscriptions: map[string]*client.Outline{}, changes: map[string][]change{}, seed: s.Seed}
	defer func() { _ = r.clearFaults(context.WithoutCancel(ctx)) }() // where the server is gone, so are they
	report := &Report{Name: s.Name, Passed: true}
	for i := range s.Steps {
		step := &s.Steps[i]
		do := step.do()
		result := Result{Step: i + 1, Line: step.line, Kind: do.kind(), About: do.about(), Left: !report.Passed}
		if !result.Left {
			began := o.Now()
			err := do.run(ctx, r)
			result.TookMs = float64(o.Now().Sub(began).Microseconds()) / 1000
			if result.Passed = err == nil; err != nil {
				result.Why, report.Passed = err.Error(), false
			}
		}
		report.Steps = append(report.Steps, result)
		if o.Saw != nil {
			o.Saw(result)
		}
	}
	return report
}

// id is the id of a named subscription, or empty for no name.
func (r *run) id(name string) string {
	if s := r.subscriptions[name]; s != nil {
		return s.ID
	}
	return ""
}

// nextSeed follows from the scenario's own and from how many were asked for.
func (r *run) nextSeed() uint64 {
	r.seed++
	return r.seed & (1<<53 - 1)
}

func (r *run) clearFaults(ctx context.Context) error {
	var errs []error
	for _, id := range r.faults {
		if err := r.api.RemoveFault(ctx, id); err != nil && !client.IsNotFound(err) {
			errs = append(errs, err)
		}
	}
	r.faults = nil
	return errors.Join(errs...)
}

// await looks at once and again until it is so, or the time is over.
func (r *run) await(ctx context.Context, limit time.Duration, done func() (bool, error), why func() string) error {
	const every = 10 * time.Millisecond
	late := time.NewTimer(limit)
	defer late.Stop()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-late.C:
			return fmt.Errorf("not within %v: %s", limit, why())
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// WriteJUnit writes reports as JUnit's XML: a suite for each scenario, a case for each step.
func WriteJUnit(w io.Writer, reports []*Report) error {
	var cases []junit.Case
	for _, r := range reports {
		for i := range r.Steps {
			s := &r.Steps[i]
			c := junit.Case{
				Suite: r.Name, Class: s.Kind, Name: fmt.Sprintf("%d %s %s", s.Step, s.Kind, s.About), Took: time.Duration(s.TookMs * float64(time.Millisecond)),
				Failure: s.Why,
			}
			if s.Left {
				c.Skipped = "an earlier step failed"
			}
			cases = append(cases, c)
		}
	}
	return junit.Write(w, "heliograph scenarios", cases)
}
