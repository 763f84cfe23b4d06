package match_test

import "time"

var start = time.Date(2026, 4, 1, 12, 0, 0, 0, time.UTC)
