package doctor

import (
	"cmp"
	"io"
	"strings"
	"time"

	"heliograph.dev/internal/junit"
)

// WriteJUnit writes the report as JUnit's XML: a suite for each group, a failure for each check that failed. Warnings are
// in the output of their checks.
func (r *Report) WriteJUnit(w io.Writer) error {
	cases := make([]junit.Case, len(r.Findings))
	for i := range r.Findings {
		f := &r.Findings[i]
		c := junit.Case{Suite: f.Group, Name: f.Title, Class: f.ID, Took: time.Duration(f.TookMs * float64(time.Millisecond))}
		switch f.Verdict {
		case Failed:
			c.Failure, c.Text = cmp.Or(f.Seen, "failed"), strings.TrimSpace(f.Matters+"\n"+f.Mend)
		case Skipped:
			c.Skipped = f.Seen
		case Warned:
			c.Output = strings.Join([]string{"warning: " + f.Seen, f.Matters, f.Mend}, "\n")
		case Passed:
			c.Output = f.Seen
		}
		cases[i] = c
	}
	return junit.Write(w, "heliograph doctor "+r.URL, cases)
}
