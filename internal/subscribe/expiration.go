package subscribe

import (
	"strconv"
	"time"

	"heliograph.dev/internal/catalog"
)

// expiration reads the time, raises what is too near to the floor (contract 1.6, 17.14) and refuses what is
// beyond the row's maximum (contract 3.2.11, 5.15, 5.16).
func expiration(d *draft) error {
	if d.operation == operationUpdate && d.update.ExpirationDateTime == nil {
		return nil
	}
	asked, ok := parseTime(d.expires)
	if !ok {
		refusal := d.profile.Refuse("create.expiration.form", nil)
		refusal.Detail = `"expirationDateTime" must be a moment as in RFC 3339, with its offset: 2026-11-22T10:30:00Z`
		return refusal
	}
	longest := d.longest()
	if asked.After(d.now.Add(longest)) {
		if d.profile.ExpirationCap == catalog.CapRefuse {
			return d.beyond(asked, longest)
		}
		asked = d.now.Add(longest)
	}
	if floor := d.now.Add(d.profile.ExpirationFloor); asked.Before(floor) {
		asked = floor
	}
	d.sub.Expires = asked
	return nil
}

// longest is the longest lease that the row gives, or gave at the profile's time.
func (d *draft) longest() time.Duration {
	return d.profile.MaxLifetime(d.resolved.Row, d.rich())
}

// beyond refuses in the words of the row's workload: Teams has its own.
func (d *draft) beyond(asked time.Time, longest time.Duration) error {
	if d.resolved.Row.Workload != "teams" {
		return d.refuse("create.expiration.maximum", "minutes", strconv.Itoa(int(longest/time.Minute)))
	}
	return d.refuse("create.expiration.maximum.teams",
		"expiration", asked.Format(time.RFC3339Nano), "ahead", "-"+span(asked.Sub(d.now)), "maximum", span(longest))
}

// span writes a duration as .NET does: days.hours:minutes:seconds.ticks, with no days and no ticks where there
// are none.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	s := time.Time{}.Add(d % day).Format("15:04:05")
	if d >= day {
		s = strconv.Itoa(int(d/day)) + "." + s
	}
	if ticks := d % time.Second / 100; ticks > 0 {
		digits := strconv.Itoa(int(ticks))
		s += "." + "0000000"[len(digits):] + digits
	}
	return s
}

// parseTime reads an RFC 3339 time with any number of decimals and any offset (contract 1.27), to the tenth of a
// microsecond.
func parseTime(s string) (time.Time, bool) {
	var t time.Time
	if err := t.UnmarshalText([]byte(s)); err != nil {
		return time.Time{}, false
	}
	return tick(t), true
}

// lifecycleURLRequired asks long leases of some rows for a lifecycleNotificationUrl (contract 3.2.10, 5.17).
func lifecycleURLRequired(d *draft) error {
	over := d.resolved.Row.LifecycleURLOver
	if over == 0 || d.sub.LifecycleNotificationURL != "" || !d.sub.Expires.After(d.now.Add(over)) {
		return nil
	}
	return d.refuse("create.lifecycle_url.required")
}
