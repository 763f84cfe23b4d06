package catalog

import (
	"time"

	"heliograph.dev"
)

// Profile is what Graph changes over the years: limits, time-outs and texts, as of a date.
type Profile struct {
	Name             string
	ExpirationFloor  time.Duration // a shorter lease is silently raised to it (contract 17.14)
	ExpirationCap    string        // "refuse": a longer one than the row allows is refused
	HandshakeTimeout time.Duration
	FirstTimeout     time.Duration // of a notification's first attempt (contract 10.4)
	RetryTimeout     time.Duration // of the later ones (contract 10.5)
	RetryWindow      time.Duration
	Backoff          Backoff
	ClientStateMax   int
	Context          string // @odata.context's fixed part
}

// Backoff is the schedule of retries: First, then Factor times the one before up to Max, each moved by up to
// Jitter of itself either way.
type Backoff struct {
	First, Max     time.Duration
	Factor, Jitter float64
}

// Refuse returns the error of a rule with its text filled in. A rule that the profile does not know is a
// mistake of ours and gives an Internal error that names it.
func (p *Profile) Refuse(rule string, args map[string]string) *heliograph.Error {
	return &heliograph.Error{Kind: heliograph.Internal, Rule: rule}
}
