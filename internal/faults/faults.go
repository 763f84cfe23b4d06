// Package faults is trouble made on purpose, so that an application can be seen to bear it: calls of the API that are
// refused or take long, and deliveries that get lost, come late, twice, in another order, cut off or forged.
//
// A Fault says what happens, to which calls or endpoints, and to how many of them. Which of them it hits follows from its
// seed and from their order alone: a run that failed can be repeated. A Book holds the faults that are in force and is asked
// about each call and each POST; it decides, and whoever asks does it.
//
// A Book is safe for concurrent use. It waits for nothing and reads no clock.
package faults

import (
	"strings"
	"sync"
	"time"

	"heliograph.dev"
)

// Kind is what happens.
type Kind string

// What happens to calls of the Graph API.
const (
	Unauthorized Kind = "unauthorized" // 401
	Forbidden    Kind = "forbidden"    // 403
	Conflict     Kind = "conflict"     // 409
	Throttled    Kind = "throttled"    // 429 with Retry-After
	Unavailable  Kind = "unavailable"  // 503 with Retry-After
	Latency      Kind = "latency"      // answered after Delay
)

// What happens to deliveries.
const (
	Drop        Kind = "drop"         // told as delivered, and never sent
	Delay       Kind = "delay"        // sent after Delay
	Duplicate   Kind = "duplicate"    // sent twice
	Reorder     Kind = "reorder"      // the last notification of a POST first; a POST with one, behind the next POST
	Truncate    Kind = "truncate"     // the body ends in the middle
	ClientState Kind = "client_state" // another clientState
	Signature   Kind = "signature"    // a dataSignature that does not fit
	Certificate Kind = "certificate"  // an encryptionCertificateId that nobody has
	Issuer      Kind = "issuer"       // validation tokens of the other form of issuer
	Outage      Kind = "outage"       // the endpoint cannot be reached; what waits too long ends in missed
)

// Kinds returns every kind, those of calls first.
func Kinds() []Kind {
	return []Kind{
		Unauthorized, Forbidden, Conflict, Throttled, Unavailable, Latency,
		Drop, Delay, Duplicate, Reorder, Truncate, ClientState, Signature, Certificate, Issuer, Outage,
	}
}

// ofCalls reports whether the kind happens to calls; otherwise it happens to deliveries.
func (k Kind) ofCalls() bool {
	switch k {
	case Unauthorized, Forbidden, Conflict, Throttled, Unavailable, Latency:
		return true
	default:
		return false
	}
}

const (
	// MaxFaults bounds a book.
	MaxFaults = 100
	// MaxDelay bounds what a call or a delivery is held up.
	MaxDelay = time.Minute
	// standardRetryAfter is what a refusal says where the fault does not.
	standardRetryAfter = 10 * time.Second
)

// Fault is one kind of trouble.
type Fault struct {
	ID   heliograph.GUID
	Kind Kind

	// App, Method and Path choose calls: those of an application, with a method, below a path such as
	// /v1.0/subscriptions. Endpoint chooses deliveries: those to URLs that begin so. What is empty chooses all.
	App      heliograph.AppID
	Method   string
	Path     string
	Endpoint string

	// Of those chosen, the first Skip are left alone, then Share of them are hit (0 counts as 1: all), until Times have
	// been (0: without end).
	Skip, Times int
	Share       float64
	Seed        uint64

	Delay      time.Duration // of latency and delay
	RetryAfter time.Duration // of throttled and unavailable; 0: ten seconds
}

// State is a fault and how far it has come.
type State struct {
	Fault
	Seen, Hit int // how many calls or POSTs it chose, and how many of them it hit
}

// over reports whether it will hit nothing more.
func (s *State) over() bool { return s.Times > 0 && s.Hit >= s.Times }

// hits counts one that was chosen and decides.
func (s *State) hits() bool {
	n := s.Seen
	s.Seen++
	if n < s.Skip || s.over() || s.Share > 0 && s.Share < 1 && dice(s.Seed, uint64(n)) >= s.Share { //nolint:gosec // counts up from 0
		return false
	}
	s.Hit++
	return true
}

// dice returns a number in [0, 1) that follows from a seed and a count alone (SplitMix64).
func dice(seed, n uint64) float64 {
	z := seed + (n+1)*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return float64((z^z>>31)>>11) / (1 << 53)
}

// Book holds the faults that are in force.
type Book struct {
	mu     sync.Mutex
	faults []*State
}

// Add puts a fault in force and returns it with its id, or says what is wrong with it.
func (b *Book) Add(f Fault) (State, error) {
	if err := f.check(); err != nil {
		return State{}, err
	}
	f.ID = heliograph.NewGUID()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.faults) >= MaxFaults {
		return State{}, heliograph.Errorf(heliograph.Limited, "faults.many", "There are %d faults already; remove some.", MaxFaults)
	}
	s := &State{Fault: f}
	b.faults = append(b.faults, s)
	return *s, nil
}

func (f *Fault) check() error {
	wrong := func(format string, args ...any) error {
		return heliograph.Errorf(heliograph.Invalid, "faults.fault", format, args...)
	}
	known := false
	for _, k := range Kinds() {
		known = known || k == f.Kind
	}
	switch {
	case !known:
		names := make([]string, len(Kinds()))
		for i, k := range Kinds() {
			names[i] = string(k)
		}
		return wrong("There is no fault %q; there are: %s.", string(f.Kind), strings.Join(names, ", "))
	case f.Share < 0 || f.Share > 1:
		return wrong("share is between 0 and 1.")
	case f.Skip < 0 || f.Times < 0:
		return wrong("skip and times are counts.")
	case f.Delay < 0 || f.Delay > MaxDelay || f.RetryAfter < 0:
		return wrong("delay is at most %v, and no time is negative.", MaxDelay)
	case (f.Kind == Latency || f.Kind == Delay) && f.Delay == 0:
		return wrong("%s takes a delay, such as PT2S.", string(f.Kind))
	case f.Kind.ofCalls() && f.Endpoint != "":
		return wrong("%s happens to calls of the API: endpoint does not choose any of them.", string(f.Kind))
	case !f.Kind.ofCalls() && (f.App != "" || f.Method != "" || f.Path != ""):
		return wrong("%s happens to deliveries: app, method and path do not choose any of them.", string(f.Kind))
	}
	return nil
}

// List returns the faults in force, those that are over too, in the order in which they came.
func (b *Book) List() []State {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make([]State, len(b.faults))
	for i, f := range b.faults {
		list[i] = *f
	}
	return list
}

// Remove takes a fault out of force and reports whether there was one.
func (b *Book) Remove(id heliograph.GUID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, f := range b.faults {
		if f.ID == id {
			b.faults = append(b.faults[:i:i], b.faults[i+1:]...)
			return true
		}
	}
	return false
}

// Clear takes all faults out of force.
func (b *Book) Clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults = nil
}

// Call is a call of the Graph API.
type Call struct {
	App          heliograph.AppID
	Method, Path string
}

// OnCall says what happens to a call: it is held up for wait, and then refused unless the error is nil. The first fault
// that refuses decides.
func (b *Book) OnCall(c Call) (wait time.Duration, refusal error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range b.faults {
		if !f.Kind.ofCalls() || !f.chooses(&c) || !f.hits() {
			continue
		}
		if f.Kind == Latency {
			wait += f.Delay
			continue
		}
		return wait, f.refusal()
	}
	return wait, nil
}

func (f *Fault) chooses(c *Call) bool {
	return (f.App == "" || strings.EqualFold(string(f.App), string(c.App))) &&
		(f.Method == "" || strings.EqualFold(f.Method, c.Method)) &&
		len(c.Path) >= len(f.Path) && strings.EqualFold(c.Path[:len(f.Path)], f.Path)
}

// refusal is what a caller hears.
func (f *Fault) refusal() error {
	err := &heliograph.Error{Rule: "fault." + string(f.Kind), Detail: "fault " + f.ID.String()}
	switch f.Kind {
	case Unauthorized:
		err.Kind, err.Message = heliograph.Unauthenticated, "Access token has expired or is not yet valid."
	case Forbidden:
		err.Kind, err.Message = heliograph.Denied, "Access is denied. Check credentials and try again."
	case Conflict:
		err.Kind, err.Message = heliograph.Conflict, "The specified resource was changed meanwhile."
	case Throttled:
		err.Kind, err.Message = heliograph.Limited, "Too many requests."
	default:
		err.Kind, err.Message = heliograph.Unavailable, "The service is unavailable."
	}
	if f.Kind == Throttled || f.Kind == Unavailable {
		if err.RetryAfter = f.RetryAfter; err.RetryAfter == 0 {
			err.RetryAfter = standardRetryAfter
		}
	}
	return err
}

// OnPost returns what happens to a POST to an endpoint, in the order of the faults.
func (b *Book) OnPost(endpoint heliograph.Endpoint) []Fault {
	b.mu.Lock()
	defer b.mu.Unlock()
	var hit []Fault
	for _, f := range b.faults {
		if !f.Kind.ofCalls() && strings.HasPrefix(string(endpoint), f.Endpoint) && f.hits() {
			hit = append(hit, f.Fault)
		}
	}
	return hit
}
