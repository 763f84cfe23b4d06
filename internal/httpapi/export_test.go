package httpapi

import "slices"

// MostStreams is how many clients may follow at a time.
const MostStreams = mostStreams

// Routes returns the route table, with lines such as "GET /v1.0/subscriptions/{id}": the reference is held against it.
func (a *API) Routes() []string {
	var lines []string
	for _, to := range a.routes() {
		for _, prefix := range to.place.prefixes() {
			lines = append(lines, to.method+" "+to.below(prefix))
		}
	}
	slices.Sort(lines)
	return lines
}

// CreateProperties returns what the body of a create may have.
func (a *API) CreateProperties() []string { return namesOf(a.create) }

// TokenProperties returns what the body of a token request may have.
func (*API) TokenProperties() []string { return namesOf(tokenShape()) }

// TriggerProperties returns what the body of a trigger request may have.
func (*API) TriggerProperties() []string { return namesOf(triggerShape()) }

func namesOf[T any](s shape[T]) []string {
	names := make([]string, len(s))
	for i := range s {
		names[i] = s[i].name
	}
	slices.Sort(names)
	return names
}
