package catalog

import (
	"slices"
	"time"

	"heliograph.dev/internal/lifecycle"
)

type storedLifecycle struct {
	Token   []storedBand    `yaml:"token"`
	Lease   []storedBand    `yaml:"lease"`
	Revoked []time.Duration `yaml:"revoked"`
	Gap     time.Duration   `yaml:"gap"`
	Grace   time.Duration   `yaml:"grace"`
	Pause   string          `yaml:"pause"`
	Window  time.Duration   `yaml:"window"`
	Payload string          `yaml:"payload"`
}

type storedBand struct {
	From  time.Duration `yaml:"from"`
	To    time.Duration `yaml:"to"`
	Every time.Duration `yaml:"every"`
	Halve bool          `yaml:"halve"`
	Last  float64       `yaml:"last"`
}

// Forms of a lifecycle notification.
const (
	payloadDocumented = "documented"
	payloadObserved   = "observed"
)

// mostInBand bounds how often something may be due within one band.
const mostInBand = 500

// lifecycle reads when subscriptions are told of, and paused.
func (s *storedProfile) lifecycle(file string, p *Profile, bad *problems) {
	l := &s.Lifecycle
	p.Lifecycle = lifecycle.Rules{
		Token: bandsOf(file, "lifecycle: token", l.Token, bad), Lease: bandsOf(file, "lifecycle: lease", l.Lease, bad),
		Revoked: l.Revoked, Gap: l.Gap, Grace: l.Grace, Pause: l.Pause, Window: l.Window,
	}
	p.NoticeObserved = l.Payload == payloadObserved
	if !slices.IsSorted(l.Revoked) || len(l.Revoked) > 0 && l.Revoked[0] < 0 {
		bad.add(file, "", "lifecycle: revoked", "the times are not in their order")
	}
	if !slices.Contains([]string{lifecycle.PauseChallenged, lifecycle.PauseAlways, lifecycle.PauseNever}, l.Pause) {
		bad.add(file, "", "lifecycle: pause", "%q is not known", l.Pause)
	}
	if l.Payload != payloadDocumented && l.Payload != payloadObserved {
		bad.add(file, "", "lifecycle: payload", "%q is neither %s nor %s", l.Payload, payloadDocumented, payloadObserved)
	}
	if l.Gap <= 0 || l.Grace < 0 || l.Window <= 0 {
		bad.add(file, "", "lifecycle", "gap and window are needed, and grace is not negative")
	}
}

func bandsOf(file, field string, stored []storedBand, bad *problems) []lifecycle.Band {
	bands := make([]lifecycle.Band, len(stored))
	for i, b := range stored {
		bands[i] = lifecycle.Band{From: b.From, To: b.To, Every: b.Every, Last: b.Last}
		switch {
		case b.From <= b.To, b.To < 0, b.Halve && b.To == 0:
			bad.add(file, "", field, "a band goes from more to less")
		case b.Halve == (b.Every > 0), b.Every < 0:
			bad.add(file, "", field, "a band either halves or says every")
		case b.Every > 0 && (b.From-b.To)/b.Every > mostInBand:
			bad.add(file, "", field, "a band is due too often")
		case b.Last <= 0 || b.Last > 1:
			bad.add(file, "", field, "last is a share")
		}
	}
	return bands
}
