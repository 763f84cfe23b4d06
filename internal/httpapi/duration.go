package httpapi

import (
	"strconv"
	"strings"
	"time"

	"heliograph.dev"
)

// parseDuration reads an ISO 8601 duration of days and smaller (P1DT12H, PT70H, PT0.5S, -PT5M). Months and
// years have no fixed length.
func parseDuration(s string) (time.Duration, error) {
	text, negative := strings.CutPrefix(s, "-")
	text, ok := strings.CutPrefix(text, "P")
	days, clock, hasClock := strings.Cut(text, "T")
	if !ok || text == "" || hasClock && clock == "" {
		return 0, badDuration(s)
	}
	total, ok := sumUnits(days, "D", 24*time.Hour, 0)
	for _, unit := range []struct {
		letter string
		size   time.Duration
	}{{"H", time.Hour}, {"M", time.Minute}, {"S", time.Second}} {
		if i := strings.Index(clock, unit.letter); ok && i >= 0 {
			total, ok = sumUnits(clock[:i+1], unit.letter, unit.size, total)
			clock = clock[i+1:]
		}
	}
	if !ok || clock != "" {
		return 0, badDuration(s)
	}
	if negative {
		total = -total
	}
	return total, nil
}

// sumUnits adds the number in text, which ends with a unit's letter, to total.
func sumUnits(text, letter string, size, total time.Duration) (time.Duration, bool) {
	if text == "" {
		return total, true
	}
	number, ok := strings.CutSuffix(text, letter)
	n, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || strings.Trim(number, "0123456789.") != "" || n*float64(size) > float64(100*365*24*time.Hour) {
		return 0, false
	}
	return total + time.Duration(n*float64(size)), true
}

// formatDuration writes a duration as ISO 8601 has it, in hours and smaller, to the millisecond.
func formatDuration(d time.Duration) string {
	d = d.Round(time.Millisecond)
	text, rest := "PT", d.Abs()
	if d < 0 {
		text = "-PT"
	}
	if h := rest / time.Hour; h > 0 {
		text += strconv.FormatInt(int64(h), 10) + "H"
	}
	if m := rest % time.Hour / time.Minute; m > 0 {
		text += strconv.FormatInt(int64(m), 10) + "M"
	}
	if s := rest % time.Minute; s > 0 || d == 0 {
		text += strconv.FormatFloat(s.Seconds(), 'f', -1, 64) + "S"
	}
	return text
}

func badDuration(s string) error {
	return heliograph.Errorf(heliograph.Invalid, "request.duration", "%.40q is no duration; write it as in ISO 8601, such as PT1H30M", s)
}
