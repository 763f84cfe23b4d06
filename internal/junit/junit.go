// Package junit writes results in JUnit's XML, which CI systems show.
package junit

import (
	"encoding/xml"
	"fmt"
	"io"
	"time"
)

// Case is one result.
type Case struct {
	Suite string // cases of a suite follow each other
	Name  string
	Class string
	Took  time.Duration
	// Failure and Skipped say why, where it did not pass; Text says more of a failure, Output of any other.
	Failure, Skipped string
	Text, Output     string
}

// Write writes the cases, in their order.
func Write(w io.Writer, name string, cases []Case) error {
	all := suites{Name: name, Tests: len(cases)}
	for i := range cases {
		c := &cases[i]
		if n := len(all.Suites); n == 0 || all.Suites[n-1].Name != c.Suite {
			all.Suites = append(all.Suites, suite{Name: c.Suite})
		}
		all.Suites[len(all.Suites)-1].add(c)
	}
	for i := range all.Suites {
		all.Failures += all.Suites[i].Failures
		all.Skipped += all.Suites[i].Skipped
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

type suites struct {
	XMLName  xml.Name `xml:"testsuites"`
	Name     string   `xml:"name,attr"`
	Tests    int      `xml:"tests,attr"`
	Failures int      `xml:"failures,attr"`
	Skipped  int      `xml:"skipped,attr"`
	Suites   []suite  `xml:"testsuite"`
}

type suite struct {
	Name     string     `xml:"name,attr"`
	Tests    int        `xml:"tests,attr"`
	Failures int        `xml:"failures,attr"`
	Skipped  int        `xml:"skipped,attr"`
	Cases    []testcase `xml:"testcase"`
}

type testcase struct {
	Name    string `xml:"name,attr"`
	Class   string `xml:"classname,attr"`
	Time    string `xml:"time,attr"`
	Failure *fault `xml:"failure"`
	Skipped *fault `xml:"skipped"`
	Output  string `xml:"system-out,omitempty"`
}

type fault struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

func (s *suite) add(c *Case) {
	t := testcase{Name: c.Name, Class: c.Class, Time: fmt.Sprintf("%.3f", c.Took.Seconds()), Output: c.Output}
	s.Tests++
	switch {
	case c.Failure != "":
		s.Failures++
		t.Failure = &fault{Message: c.Failure, Text: c.Text}
	case c.Skipped != "":
		s.Skipped++
		t.Skipped = &fault{Message: c.Skipped}
	}
	s.Cases = append(s.Cases, t)
}
