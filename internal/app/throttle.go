package app

import (
	"heliograph.dev"
	"heliograph.dev/internal/catalog"
	"heliograph.dev/internal/clock"
	"heliograph.dev/internal/throttle"
)

// callLimits hold applications to the profile's limits.
type callLimits struct {
	limiter *throttle.Limiter
	profile *catalog.Profile
	clock   clock.Clock
}

func newThrottle(profile *catalog.Profile, c clock.Clock) callLimits {
	limits := make(map[string]throttle.Limit, len(profile.Calls.Limits))
	for family, limit := range profile.Calls.Limits {
		limits[family] = throttle.Limit(limit)
	}
	return callLimits{
		limiter: throttle.New(throttle.Options{Window: profile.Calls.Window, Limits: limits}), profile: profile, clock: c,
	}
}

// Take counts a call, or refuses it in the profile's words.
func (l callLimits) Take(caller *heliograph.Caller, family string) error {
	wait := l.limiter.Take(throttle.Call{Family: family, App: caller.App, Tenant: caller.Tenant}, l.clock.Now())
	if wait == 0 {
		return nil
	}
	refusal := l.profile.Refuse("request.throttled", nil)
	refusal.RetryAfter = wait
	return refusal
}
