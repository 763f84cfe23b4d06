package httpapi

import (
	"cmp"
	"mime"
	"net/http"
	"strconv"
	"strings"
)

// metadata is how much OData metadata an answer carries.
type metadata uint8

const (
	minimal metadata = iota
	bare
	full
)

// format is how the Graph API writes an answer.
type format struct {
	metadata metadata
	ieee754  bool // the client takes 64-bit numbers as strings; no property here is one
}

// media returns what Graph says of its JSON, word for word: clients parse the parameters.
func (f format) media() string {
	level := "minimal"
	switch f.metadata {
	case bare:
		level = "none"
	case full:
		level = "full"
	case minimal:
	}
	return "application/json;odata.metadata=" + level + ";odata.streaming=true;IEEE754Compatible=" + strconv.FormatBool(f.ieee754) + ";charset=utf-8"
}

// formatOf returns the format that the Accept headers like most. JSON is all there is, and a client that accepts
// nothing of it is sent it all the same: Graph is as lenient.
func formatOf(header http.Header) format {
	var best format
	var most preference
	for _, line := range header.Values("Accept") {
		for part := range strings.SplitSeq(line, ",") {
			media, params, err := mime.ParseMediaType(part)
			if err != nil {
				continue
			}
			if p := preferenceFor(media, params["q"]); p.over(most) {
				best, most = formatFrom(params), p
			}
		}
	}
	return best
}

// preference is how much a client likes a media range. The zero value is that of a range that it does not take.
type preference struct {
	quality float64
	precise int // a range that names the type says more than one with a star
}

func preferenceFor(media, quality string) preference {
	precise := map[string]int{"application/json": 3, "text/json": 3, "application/*": 2, "*/*": 1}[media]
	q, err := strconv.ParseFloat(cmp.Or(quality, "1"), 64)
	if err != nil || precise == 0 || q <= 0 {
		return preference{}
	}
	return preference{quality: min(q, 1), precise: precise}
}

// over reports whether p is liked more. Of two that are liked as much, the first counts.
func (p preference) over(other preference) bool {
	return cmp.Or(cmp.Compare(p.quality, other.quality), cmp.Compare(p.precise, other.precise)) > 0
}

// formatFrom reads a media type's parameters. Since 4.01, OData's own may leave out the prefix. Values that are not
// known say nothing.
func formatFrom(params map[string]string) format {
	f := format{ieee754: strings.EqualFold(params["ieee754compatible"], "true")}
	switch strings.ToLower(cmp.Or(params["odata.metadata"], params["metadata"])) {
	case "none":
		f.metadata = bare
	case "full":
		f.metadata = full
	}
	return f
}
