package devissuer

import (
	"slices"
	"strings"
)

// wishes is what a request's scope (v2) or resource (v1) asks for.
type wishes struct {
	audience   string
	isGraph    bool     // the audience is this server, by one of its names
	everything bool     // /.default
	names      []string // of permissions, without their resource
	words      []string // of the scope as it was sent
	openID     bool
	offline    bool
}

// wishes reads them from the form. graph is Graph's audience.
func (q *tokenRequest) wishes(graph string) (*wishes, error) {
	w := &wishes{words: strings.Fields(q.form.Get("scope"))}
	if len(w.words) > maxScope || slices.ContainsFunc(w.words, func(s string) bool { return !validScope(s) }) {
		return nil, badRequest("invalid_scope", 70011, "The provided value for the input parameter 'scope' is not valid.")
	}
	var resource string
	if q.v1 {
		resource, w.everything, w.offline = q.form.Get("resource"), true, true
		w.openID = slices.Contains(w.words, "openid")
	} else {
		if len(w.words) == 0 {
			return nil, missing("scope")
		}
		var err error
		if resource, err = w.read(); err != nil {
			return nil, err
		}
	}
	w.audience, w.isGraph = audienceOf(resource, q.base, graph)
	return w, nil
}

// read sorts the words and returns the resource that they are of: one, or none for Graph.
func (w *wishes) read() (string, error) {
	var resource string
	for _, word := range w.words {
		switch word {
		case "openid":
			w.openID = true
			continue
		case "offline_access":
			w.offline = true
			continue
		case "profile", "email":
			continue
		}
		of, name := splitScope(word)
		if of != "" && resource != "" && of != resource {
			return "", badRequest("invalid_scope", 28000, "Provided value for the input parameter scope is not valid because it contains more than one resource.")
		}
		if of != "" {
			resource = of
		}
		if name == ".default" {
			w.everything = true
		} else {
			w.names = append(w.names, name)
		}
	}
	if w.everything && len(w.names) > 0 {
		return "", badRequest("invalid_scope", 70011, "The provided value for the input parameter 'scope' is not valid: .default cannot be combined with resource-specific scopes.")
	}
	return resource, nil
}

// splitScope splits https://graph.microsoft.com/Mail.Read into resource and name. A bare name is Graph's.
func splitScope(word string) (resource, name string) {
	at := strings.LastIndexByte(word, '/')
	if at < 0 {
		return "", word
	}
	return strings.TrimRight(word[:at], "/"), word[at+1:]
}

// audienceOf returns the aud for a resource. The server's own address means Graph: clients that are pointed at
// another host derive the resource from it.
func audienceOf(resource, base, graph string) (audience string, isGraph bool) {
	resource = strings.TrimRight(resource, "/")
	switch {
	case resource == "" || strings.EqualFold(resource, graph) || strings.EqualFold(resource, base):
		return graph, true
	case strings.EqualFold(resource, graphID):
		return graphID, true
	}
	return resource, false
}

// scopeAnswer says what was granted: what was asked for, word by word, because clients compare it with that, and
// what .default stood for.
func (w *wishes) scopeAnswer(granted []string) string {
	if w.everything || len(w.names) == 0 {
		return strings.Join(slices.Concat(w.words, granted), " ")
	}
	return strings.Join(w.words, " ")
}
