package catalog

import (
	"fmt"
	"strings"

	"heliograph.dev/internal/odata"
)

// place is where a parameter's value stands, which decides how it is written.
type place uint8

const (
	literal      place = iota
	inSegment          // between slashes: as in a canonical path
	inArgument         // between the quotes of a canonical path's argument
	inQuotes           // between the quotes of a notification's resource: ' doubled
	alone              // the whole text: as it is
	subscription       // not a parameter: the subscription's resource
)

// piece is a part of a text with parameters.
type piece struct {
	text  string
	param int
	place place
}

// pieces renders a text from the values of a change's path. The values are canonical segments.
type pieces []piece

// append appends the text; subscribed is the subscription's resource.
func (p pieces) append(b []byte, values *[maxParams]string, subscribed string) []byte {
	for i := range p {
		one := &p[i]
		switch one.place {
		case literal:
			b = append(b, one.text...)
		case inSegment:
			b = append(b, values[one.param]...)
		case inArgument:
			v := odata.Quote(odata.Unescape(values[one.param]))
			b = append(b, v[1:len(v)-1]...)
		case inQuotes:
			b = append(b, strings.ReplaceAll(odata.Unescape(values[one.param]), "'", "''")...)
		case alone:
			b = append(b, odata.Unescape(values[one.param])...)
		case subscription:
			b = append(b, subscribed...)
		}
	}
	return b
}

// text is append for one string, without building it where it is there already.
func (p pieces) text(values *[maxParams]string, subscribed string) string {
	if len(p) == 1 {
		switch p[0].place {
		case alone:
			return odata.Unescape(values[p[0].param])
		case subscription:
			return subscribed
		case literal:
			return p[0].text
		case inSegment, inArgument, inQuotes:
		}
	}
	return string(p.append(make([]byte, 0, 160), values, subscribed))
}

// compileText reads a text of the data files with {parameters} of the change's path.
func compileText(text string, params []string) (pieces, error) {
	var p pieces
	for rest := text; rest != ""; {
		before, after, found := strings.Cut(rest, "{")
		if before != "" {
			p = append(p, piece{text: before})
		}
		if !found {
			break
		}
		name, tail, closed := strings.Cut(after, "}")
		if !closed {
			return nil, fmt.Errorf("{ without } in %q", text)
		}
		rest = tail
		one, err := compileParam(name, params)
		if err != nil {
			return nil, err
		}
		switch {
		case one.place == subscription:
		case text == "{"+name+"}":
			one.place = alone
		case strings.HasSuffix(before, "'"):
			one.place = inQuotes
		}
		p = append(p, one)
	}
	return p, nil
}

func compileParam(name string, params []string) (piece, error) {
	if name == "subscription" {
		return piece{place: subscription}, nil
	}
	for i, p := range params {
		if p == name {
			return piece{param: i, place: inSegment}, nil
		}
	}
	return piece{}, fmt.Errorf("{%s} is not a parameter of the change's path", name)
}

// compilePath makes the pieces of a subscription's path out of the parameters of a change's path. A list
// becomes a list of one: that is what one instance is seen under.
func compilePath(t *template, params []string) (pieces, error) {
	var p pieces
	var text strings.Builder
	value := func(name string, where place) error {
		one, err := compileParam(name, params)
		if err != nil {
			return err
		}
		one.place = where
		p = append(p, piece{text: text.String()}, one)
		text.Reset()
		return nil
	}
	for i, s := range t.steps {
		if i > 0 {
			text.WriteByte('/')
		}
		if s.param >= 0 {
			if err := value(t.params[s.param], inSegment); err != nil {
				return nil, err
			}
			continue
		}
		text.WriteString(odata.Resource{Segments: []odata.Segment{{Text: s.name, Colon: s.colon}}}.Path())
		for j, a := range s.args {
			open, end := "='", "'"
			if a.list {
				open, end = "=['", "']"
			}
			text.WriteString(string(",("[max(0, 1-j)]) + a.name + open)
			if err := value(t.params[a.param], inArgument); err != nil {
				return nil, err
			}
			text.WriteString(end)
		}
		if len(s.args) > 0 {
			text.WriteByte(')')
		}
	}
	if text.Len() > 0 {
		p = append(p, piece{text: text.String()})
	}
	return p, nil
}
