package catalog

import (
	"maps"
	"slices"
	"time"
)

// Values of billing in a profile.
const (
	billingMetered = "metered"
	billingIgnored = "ignored"
)

// lifetime is what a profile says of the longest leases of a family, 0 where it says nothing.
type lifetime struct{ basic, rich time.Duration }

type storedLifetime struct {
	Basic int `yaml:"basic"` // minutes, as the rows have them
	Rich  int `yaml:"rich"`
}

// MaxLifetime returns the longest lease of a row: the row's own, unless it was another at the profile's time
// (contract section 17).
func (p *Profile) MaxLifetime(r *Row, rich bool) time.Duration {
	was := p.lifetimes[r.Family]
	switch {
	case rich && was.rich > 0:
		return was.rich
	case rich && r.MaxRich > 0:
		return r.MaxRich
	case was.basic > 0:
		return was.basic
	}
	return r.MaxBasic
}

// dated reads what few profiles say.
func (s *storedProfile) dated(file string, p *Profile, bad *problems) {
	if s.Billing != billingMetered && s.Billing != billingIgnored {
		bad.add(file, "", "billing", "%q is neither %s nor %s", s.Billing, billingMetered, billingIgnored)
	}
	p.lifetimes = make(map[string]lifetime, len(s.Lifetimes))
	for _, family := range slices.Sorted(maps.Keys(s.Lifetimes)) {
		l := s.Lifetimes[family]
		if l.Basic <= 0 && l.Rich <= 0 {
			bad.add(file, "", "lifetimes: "+family, "says nothing")
		}
		p.lifetimes[family] = lifetime{minutes(l.Basic), minutes(l.Rich)}
	}
}
