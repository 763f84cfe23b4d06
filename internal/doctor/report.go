package doctor

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

// WriteJUnit writes the report as JUnit's XML, which CI systems show: a suite for each group, a failure for each check that
// failed. Warnings are in the output of their checks.
func (r *Report) WriteJUnit(w io.Writer) error {
	suites := junitSuites{Name: "heliograph doctor " + r.URL, Tests: len(r.Findings), Failures: r.Failed, Skipped: r.Skipped}
	for i := range r.Findings {
		f := &r.Findings[i]
		if n := len(suites.Suites); n == 0 || suites.Suites[n-1].Name != f.Group {
			suites.Suites = append(suites.Suites, junitSuite{Name: f.Group})
		}
		suites.Suites[len(suites.Suites)-1].add(f)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(suites); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Skipped  int          `xml:"skipped,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Name    string      `xml:"name,attr"`
	Class   string      `xml:"classname,attr"`
	Time    string      `xml:"time,attr"`
	Failure *junitFault `xml:"failure"`
	Skipped *junitFault `xml:"skipped"`
	Output  string      `xml:"system-out,omitempty"`
}

type junitFault struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

func (s *junitSuite) add(f *Finding) {
	c := junitCase{Name: f.Title, Class: f.ID, Time: fmt.Sprintf("%.3f", f.TookMs/1000)}
	s.Tests++
	switch f.Verdict {
	case Failed:
		s.Failures++
		c.Failure = &junitFault{Message: f.Seen, Text: strings.TrimSpace(f.Matters + "\n" + f.Mend)}
	case Skipped:
		s.Skipped++
		c.Skipped = &junitFault{Message: f.Seen}
	case Warned:
		c.Output = strings.Join([]string{"warning: " + f.Seen, f.Matters, f.Mend}, "\n")
	case Passed:
		c.Output = f.Seen
	}
	s.Cases = append(s.Cases, c)
}
