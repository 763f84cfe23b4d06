package httpapi

import (
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"heliograph.dev"
)

// stop is a path of the table with the routes that share it.
type stop struct {
	label    string // as logs and metrics name it
	version  string // of the Graph API, or empty
	segments []string
	methods  map[string]route
	allow    string // the methods, for the Allow header
}

// router finds the stop of a path. There are few stops: it looks at each.
type router struct{ stops []*stop }

// below returns the path of a route below a prefix.
func (r route) below(prefix string) string { return "/" + strings.Trim(prefix+"/"+r.path, "/") }

func newRouter(table []route) router {
	var r router
	for _, to := range table {
		for _, prefix := range to.place.prefixes() {
			at := r.stop(to.below(prefix))
			at.methods[to.method] = to
			if to.method == http.MethodGet {
				at.methods[http.MethodHead] = to // net/http sends the headers alone
			}
			if to.place == graph {
				at.version = prefix
			}
		}
	}
	for _, at := range r.stops {
		methods := append(slices.Collect(maps.Keys(at.methods)), http.MethodOptions)
		slices.Sort(methods)
		at.allow = strings.Join(methods, ", ")
	}
	return r
}

// stop returns the stop at path, making it when it is new.
func (r *router) stop(path string) *stop {
	for _, at := range r.stops {
		if at.label == path {
			return at
		}
	}
	at := &stop{label: path, segments: segmentsOf(path), methods: make(map[string]route)}
	r.stops = append(r.stops, at)
	return at
}

// find returns the stop that a path leads to, or nil, and how many of the path's segments lead along some route.
func (r *router) find(segments []string) (at *stop, depth int) {
	for _, at := range r.stops {
		along := at.along(segments)
		if along == len(segments) && along == len(at.segments) {
			return at, along
		}
		if !strings.HasSuffix(at.label, "/"+objectPath) { // which leads anywhere
			depth = max(depth, along)
		}
	}
	return nil, depth
}

// along returns how many segments are those of the stop.
func (s *stop) along(segments []string) int {
	for i, segment := range s.segments {
		if i == len(segments) {
			return i
		}
		_, isValue := valueName(segment)
		if !isValue && !strings.EqualFold(segment, segments[i]) || segments[i] == "" {
			return i
		}
	}
	return len(s.segments)
}

// setValues sets what stands in the path where the stop has names.
func (s *stop) setValues(request *http.Request, segments []string) {
	for i, segment := range s.segments[:min(len(s.segments), len(segments))] {
		if name, isValue := valueName(segment); isValue {
			request.SetPathValue(name, segments[i])
		}
	}
}

func valueName(segment string) (string, bool) {
	if strings.HasPrefix(segment, "{") {
		return segment[1 : len(segment)-1], true
	}
	return "", false
}

// namespace may stand before the name of an action: old SDKs write it.
const namespace = "microsoft.graph."

// segmentsOf splits a path. A trailing slash does not count, a key in parentheses is a segment of its own, and an
// action's namespace and empty parentheses say nothing.
func segmentsOf(path string) []string {
	path = strings.TrimSuffix(strings.TrimPrefix(path, "/"), "/")
	if path == "" {
		return nil
	}
	var segments []string
	for segment := range strings.SplitSeq(path, "/") {
		if len(segment) > len(namespace) && strings.EqualFold(segment[:len(namespace)], namespace) {
			segment = segment[len(namespace):]
		}
		name, key, found := strings.Cut(strings.TrimSuffix(segment, "()"), "(")
		if !found || !strings.HasSuffix(key, ")") {
			segments = append(segments, strings.TrimSuffix(segment, "()"))
			continue
		}
		key = strings.TrimSuffix(key, ")")
		if len(key) >= 2 && key[0] == '\'' && key[len(key)-1] == '\'' {
			key = strings.ReplaceAll(key[1:len(key)-1], "''", "'")
		}
		segments = append(segments, name, key)
	}
	return segments
}

// versionLike is a first segment that is meant to be a version of the Graph API, or follows one that was forgotten.
var versionLike = regexp.MustCompile(`(?i)^(v\d+(\.\d+)?|subscriptions|\$batch|\$metadata)$`)

// strayed returns the error for a path that leads nowhere. For a path of Graph's it has Graph's words and is a 400, not
// a 404: one of its segments is not known (seen 2019 to 2025), or its version is not (seen 2022 and 2023).
func strayed(segments []string, depth int) *heliograph.Error {
	err := heliograph.Errorf(heliograph.NotFound, "request.path", "Resource not found for the segment '%.100s'.", segments[min(depth, len(segments)-1)])
	isVersion := func(version string) bool { return strings.EqualFold(version, segments[0]) }
	switch {
	case slices.ContainsFunc(graph.prefixes(), isVersion):
		err.Kind, err.Code = heliograph.Invalid, "BadRequest"
	case depth == 0 && versionLike.MatchString(segments[0]):
		return &heliograph.Error{Kind: heliograph.Invalid, Rule: "request.version", Code: "BadRequest", Message: "Invalid version."}
	}
	return err
}
