package match

import (
	"strings"
	"sync"

	"heliograph.dev"
)

// words keeps one copy of each text that many targets share: tenants, applications, URLs. It counts who uses
// them and forgets those that nobody does.
type words struct {
	mu    sync.Mutex
	known map[string]*word
}

type word struct {
	text  string
	users int
}

// hold puts the shared copies into t.
func (w *words) hold(t *Target) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t.Tenant = heliograph.TenantID(w.take(string(t.Tenant)))
	t.App = heliograph.AppID(w.take(string(t.App)))
	t.URL = heliograph.Endpoint(w.take(string(t.URL)))
}

func (w *words) take(text string) string {
	one := w.known[text]
	if one == nil {
		one = &word{text: strings.Clone(text)} // and not the record that it was cut from
		w.known[one.text] = one
	}
	one.users++
	return one.text
}

// release gives back what hold took.
func (w *words) release(t *Target) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, text := range []string{string(t.Tenant), string(t.App), string(t.URL)} {
		if one := w.known[text]; one != nil {
			if one.users--; one.users == 0 {
				delete(w.known, text)
			}
		}
	}
}
