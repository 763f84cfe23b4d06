package subscribe

import (
	"context"
	"log/slog"
	"strconv"
	"time"
)

// notAfterReauthorize and notAfterRenewal notice a PATCH and a reauthorize that come within the profile's gap, after
// which Graph's own state may not be consistent (contract 7.11). Only the strict refuse it: it is noted on the
// subscription, told in the log and, by whoever answers the request, in a header.
func notAfterReauthorize(d *draft) error { return d.hurry(d.sub.Reauthorized, "reauthorized") }

func notAfterRenewal(d *draft) error { return d.hurry(d.sub.Renewed, "updated") }

func (d *draft) hurry(last time.Time, done string) error {
	gap := d.profile.ReauthorizeGap
	if last.IsZero() || d.now.Sub(last) >= gap {
		return nil
	}
	if d.strict {
		return d.refuse("update.reauthorize_gap", "last", done, "gap", strconv.Itoa(int(gap/time.Minute))+" minutes")
	}
	d.sub.Hurried = d.now
	return nil
}

// tellHurry logs what hurry has noticed in this change.
func (s *Service) tellHurry(ctx context.Context, d *draft) {
	if !d.sub.Hurried.Equal(d.now) {
		return
	}
	s.options.Logger.InfoContext(ctx, "subscription updated and reauthorized within too short a time",
		slog.String("subscription", d.sub.ID.String()), slog.String("tenant", string(d.sub.Tenant)), slog.String("app", string(d.sub.App)),
		slog.String("rule", "update.reauthorize_gap"), slog.Duration("gap", d.profile.ReauthorizeGap))
}
