package catalog

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/lifecycle"
)

// Profile is what Graph changes over the years: limits, time-outs and texts, as of a date. It does not change.
type Profile struct {
	Name             string
	ExpirationFloor  time.Duration // a shorter lease is silently raised to it (contract 17.14)
	ExpirationCap    string        // of a lease beyond the row's maximum: CapRefuse or CapClip
	HandshakeTimeout time.Duration // of the whole exchange (contract 4.6)
	FirstTimeout     time.Duration // of a notification's first attempt (contract 10.4)
	RetryTimeout     time.Duration // of the later ones (contract 10.5)
	RetryWindow      time.Duration // after which a notification is given up
	Backoff          Backoff
	Endpoint         EndpointRules
	Calls            Calls
	ClientStateMax   int // characters
	CertificateIDMax int // characters
	// ReauthorizeGap is the time between a PATCH and a reauthorize in which the other must not come (contract 7.11).
	ReauthorizeGap time.Duration
	// Lifecycle says when subscriptions are told of, and paused (contract section 14).
	Lifecycle lifecycle.Rules
	// NoticeObserved has lifecycle notifications look as they were seen, and not as they are documented.
	NoticeObserved bool
	// Metered says that the payment model of a resource is looked at (contract section 19).
	Metered bool
	// EntityContext and ListContext are @odata.context with {root} and {version} to fill in.
	EntityContext, ListContext string

	refusals  map[string]refusal
	lifetimes map[string]lifetime
	stored    *storedProfile
}

// What happens to a lease that is longer than its row allows.
const (
	CapRefuse = "refuse"
	CapClip   = "clip"
)

// Backoff is the schedule of retries: First, then Factor times the one before up to Max, each moved by up to
// Jitter of itself either way.
type Backoff struct {
	First, Max     time.Duration
	Factor, Jitter float64
}

// EndpointRules say when an endpoint is slow and when its notifications are dropped (contract 10.8 to 10.10):
// by the share of answers within Window that took longer than a limit.
type EndpointRules struct {
	Window     time.Duration
	After      int // answers within the window before anything is judged
	SlowShare  float64
	SlowOver   time.Duration
	SlowDelay  time.Duration // of new notifications, while it is slow
	ProbeEvery time.Duration // how often a few are sent to see whether it still is
	DropShare  float64
	DropOver   time.Duration
	DropFor    time.Duration
}

// Calls say how many calls of the API an application may make within a window (contract 15.1 to 15.4).
type Calls struct {
	Window time.Duration
	Limits map[string]CallLimit // by family: write, reauthorize, get, list
}

// CallLimit is the limit of one family of calls.
type CallLimit struct {
	App    int // over all tenants
	Tenant int // in one tenant
}

// refusal is what a rule tells.
type refusal struct {
	kind  heliograph.Kind
	code  string
	text  string
	fact  string
	basis string
}

// Refuse returns the error of a rule, with the words in its text's braces filled in from args. A rule that the
// profile does not know is a mistake of ours: it gives an Internal error that names the rule.
func (p *Profile) Refuse(rule string, args map[string]string) *heliograph.Error {
	r, ok := p.refusals[rule]
	if !ok {
		return heliograph.Errorf(heliograph.Internal, rule, "profile %s has no rule %q", p.Name, rule)
	}
	return &heliograph.Error{Kind: r.kind, Rule: rule, Code: r.code, Message: fill(r.text, args)}
}

// Knows reports whether the profile has a rule of that name.
func (p *Profile) Knows(rule string) bool {
	_, ok := p.refusals[rule]
	return ok
}

// Refusal describes one rule, for reference pages.
type Refusal struct {
	Rule, Fact, Code, Text string
	Kind                   heliograph.Kind
	Basis                  string // documented, observed or chosen
}

// Refusals returns every rule in the order of their names.
func (p *Profile) Refusals() []Refusal {
	list := make([]Refusal, 0, len(p.refusals))
	for _, rule := range slices.Sorted(maps.Keys(p.refusals)) {
		r := p.refusals[rule]
		list = append(list, Refusal{Rule: rule, Fact: r.fact, Code: r.code, Text: r.text, Kind: r.kind, Basis: r.basis})
	}
	return list
}

// fill replaces {name} by its value. What a value holds is not looked at again.
func fill(text string, args map[string]string) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "{")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		name, after, _ := strings.Cut(rest, "}")
		b.WriteString(args[name])
		text = after
	}
}

// checkText reports braces that do not pair.
func checkText(text string) error {
	depth := 0
	for _, c := range text {
		switch c {
		case '{':
			depth++
		case '}':
			depth--
		}
		if depth < 0 || depth > 1 {
			return fmt.Errorf("braces do not pair in %q", text)
		}
	}
	if depth != 0 {
		return fmt.Errorf("braces do not pair in %q", text)
	}
	return nil
}
