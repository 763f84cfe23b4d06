// Package scenario runs a story from a file against a server: wait for the application's subscription, let something
// happen, move the clock, make things go wrong, and expect what the application's endpoint gets. The same file runs in a
// terminal, in CI and from a page.
//
// A scenario is a list of steps, done one after the other; the first that fails ends it, with a reason. A step is a YAML
// object with one key, its kind, and what the kind takes:
//
//	wait_for_subscription: {resource: users/demo/messages, as: mail, within: 30s}
//	trigger:               {event: message.created, user: demo, set: {subject: Hi}, seed: 7, as: hello}
//	publish:               {resource: users/demo/messages/1, type: created, data: {…}, as: hello}
//	expect_delivery:       {of: hello, to: mail, within: 10s}
//	expect_none:           {of: hello, to: mail}
//	expect_renewal:        {of: mail, within: 10s}
//	expect_lifecycle:      {event: missed, to: mail, within: 10s}
//	expect_gone:           {of: mail, within: 10s}
//	lifecycle:             {event: missed, of: mail}
//	advance:               70h
//	fault:                 {kind: throttled, method: POST, times: 2}
//	clear_faults:          true
//
// "as" gives a subscription or a change a name that later steps use. Waits are in real time and have a limit.
package scenario

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"go.yaml.in/yaml/v3"
)

const (
	// MaxBytes bounds a file.
	MaxBytes = 1 << 20
	// MaxSteps bounds what is in it.
	MaxSteps = 1000
	// within is how long a step waits that does not say.
	within = 10 * time.Second
	// MaxWithin bounds what one may say.
	MaxWithin = 10 * time.Minute
)

// Scenario is a story.
type Scenario struct {
	Name string `yaml:"name"`
	// Seed decides what is random in triggers and faults that have no seed of their own.
	Seed  uint64 `yaml:"seed"`
	Steps []Step `yaml:"steps"`
}

// Step is one thing to do or to expect: one of its fields is set.
type Step struct {
	WaitForSubscription *WaitForSubscription `yaml:"wait_for_subscription"`
	Trigger             *Trigger             `yaml:"trigger"`
	Publish             *Publish             `yaml:"publish"`
	ExpectDelivery      *ExpectDelivery      `yaml:"expect_delivery"`
	ExpectNone          *ExpectNone          `yaml:"expect_none"`
	ExpectRenewal       *Expect              `yaml:"expect_renewal"`
	ExpectLifecycle     *ExpectLifecycle     `yaml:"expect_lifecycle"`
	ExpectGone          *Expect              `yaml:"expect_gone"`
	Lifecycle           *Lifecycle           `yaml:"lifecycle"`
	Advance             *Duration            `yaml:"advance"`
	Fault               *Fault               `yaml:"fault"`
	ClearFaults         *bool                `yaml:"clear_faults"`

	line int
}

// The kinds of steps.
type (
	// WaitForSubscription waits until somebody has subscribed to a resource.
	WaitForSubscription struct {
		Resource string   `yaml:"resource"`
		As       string   `yaml:"as"`
		Within   Duration `yaml:"within"`
	}
	// Trigger makes up a change, or several.
	Trigger struct {
		Event      string            `yaml:"event"`
		User       string            `yaml:"user"`
		Parameters map[string]string `yaml:"parameters"`
		Set        map[string]any    `yaml:"set"`
		Seed       *uint64           `yaml:"seed"`
		Count      int               `yaml:"count"`
		As         string            `yaml:"as"`
	}
	// Publish tells of a change that the scenario writes.
	Publish struct {
		Resource string         `yaml:"resource"`
		Type     string         `yaml:"type"`
		Paths    []string       `yaml:"paths"`
		Data     map[string]any `yaml:"data"`
		As       string         `yaml:"as"`
	}
	// ExpectDelivery waits until the endpoints have what a change is for: of one subscription, or of all.
	ExpectDelivery struct {
		Of     string   `yaml:"of"`
		To     string   `yaml:"to"`
		Within Duration `yaml:"within"`
	}
	// ExpectNone fails when a change is for a subscription, or for any.
	ExpectNone struct {
		Of string `yaml:"of"`
		To string `yaml:"to"`
	}
	// Expect waits for something to become of a subscription.
	Expect struct {
		Of     string   `yaml:"of"`
		Within Duration `yaml:"within"`
	}
	// ExpectLifecycle waits until an endpoint has a lifecycle notification, of any time in the scenario.
	ExpectLifecycle struct {
		Event  string   `yaml:"event"`
		To     string   `yaml:"to"`
		Within Duration `yaml:"within"`
	}
	// Lifecycle sends a lifecycle notification; subscriptionRemoved removes the subscription too.
	Lifecycle struct {
		Event string `yaml:"event"`
		Of    string `yaml:"of"`
	}
	// Fault makes something go wrong from here on.
	Fault struct {
		Kind       string   `yaml:"kind"`
		App        string   `yaml:"app"`
		Method     string   `yaml:"method"`
		Path       string   `yaml:"path"`
		Endpoint   string   `yaml:"endpoint"`
		Skip       int      `yaml:"skip"`
		Times      int      `yaml:"times"`
		Share      float64  `yaml:"share"`
		Seed       *uint64  `yaml:"seed"`
		Delay      Duration `yaml:"delay"`
		RetryAfter Duration `yaml:"retry_after"`
	}
)

// Duration is a time span as Go writes it: 90s, 70h.
type Duration time.Duration

// UnmarshalYAML reads it.
func (d *Duration) UnmarshalYAML(n *yaml.Node) error {
	span, err := time.ParseDuration(n.Value)
	if err != nil || span < 0 {
		return fmt.Errorf("line %d: %q is no time span: write it as 90s, 10m or 70h", n.Line, n.Value)
	}
	*d = Duration(span)
	return nil
}

// UnmarshalYAML reads a step and remembers where it stands.
func (s *Step) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.MappingNode || len(n.Content) != 2 {
		return fmt.Errorf("line %d: a step is one kind and what it takes, such as advance: 70h", n.Line)
	}
	if !known(n.Content[0].Value) {
		return fmt.Errorf("line %d: there is no step %q", n.Line, n.Content[0].Value)
	}
	var text bytes.Buffer // decoded anew, so that unknown fields are refused
	if err := yaml.NewEncoder(&text).Encode(n); err != nil {
		return err
	}
	type plain Step
	decoder := yaml.NewDecoder(&text)
	decoder.KnownFields(true)
	if err := decoder.Decode((*plain)(s)); err != nil {
		return fmt.Errorf("line %d, %s: %w", n.Line, n.Content[0].Value, err)
	}
	s.line = n.Line
	return nil
}

// Parse reads a scenario, or says what is wrong with it and where.
func Parse(text []byte) (*Scenario, error) {
	if len(text) > MaxBytes {
		return nil, fmt.Errorf("a scenario has at most %d bytes", MaxBytes)
	}
	var s Scenario
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&s); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("it is empty")
		}
		return nil, err
	}
	return &s, s.check()
}

// check looks at what can be wrong before anything is done.
func (s *Scenario) check() error {
	if len(s.Steps) == 0 || len(s.Steps) > MaxSteps {
		return fmt.Errorf("a scenario has between 1 and %d steps", MaxSteps)
	}
	names := map[string]bool{}
	for i := range s.Steps {
		step := &s.Steps[i]
		do := step.do()
		if do == nil {
			return fmt.Errorf("line %d: the step says nothing", step.line)
		}
		for _, problem := range []string{do.check(), missingName(names, do.uses())} {
			if problem != "" {
				return fmt.Errorf("line %d, %s: %s", step.line, do.kind(), problem)
			}
		}
		if name := do.names(); name != "" {
			names[name] = true
		}
	}
	return nil
}

func missingName(names map[string]bool, used []string) string {
	for _, name := range used {
		if name != "" && !names[name] {
			return fmt.Sprintf("no step before it is named %q", name)
		}
	}
	return ""
}
