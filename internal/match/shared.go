package match

import (
	"strings"
	"sync"

	"heliograph.dev"
	"heliograph.dev/internal/catalog"
)

// shared keeps one copy of what many targets have in common: owners, URLs, conditions. It counts who uses them and
// forgets what nobody does.
type shared struct {
	mu     sync.Mutex
	owners map[Owner]*used[*Owner]
	urls   map[heliograph.Endpoint]*used[heliograph.Endpoint]
	// selections are by row and canonical text.
	selections map[[2]string]*used[*catalog.Selection]
}

type used[T any] struct {
	value T
	users int
}

func newShared() *shared {
	return &shared{
		owners: map[Owner]*used[*Owner]{}, urls: map[heliograph.Endpoint]*used[heliograph.Endpoint]{},
		selections: map[[2]string]*used[*catalog.Selection]{},
	}
}

// hold puts the shared copies into t. They are clones: what t came with may be a part of something larger.
func (s *shared) hold(t *Target) {
	s.mu.Lock()
	defer s.mu.Unlock()
	owner := s.owners[*t.Owner]
	if owner == nil {
		o := &Owner{heliograph.TenantID(strings.Clone(string(t.Tenant))), heliograph.AppID(strings.Clone(string(t.App)))}
		owner = &used[*Owner]{value: o}
		s.owners[*o] = owner
	}
	url := s.urls[t.URL]
	if url == nil {
		url = &used[heliograph.Endpoint]{value: heliograph.Endpoint(strings.Clone(string(t.URL)))}
		s.urls[url.value] = url
	}
	owner.users++
	url.users++
	t.Owner, t.URL = owner.value, url.value
	if t.rest != nil && t.rest.condition != nil {
		s.holdSelection(t)
	}
}

func (s *shared) holdSelection(t *Target) {
	c := t.rest.condition
	name := [2]string{t.Row.ID, c.selection.String()}
	held := s.selections[name]
	if held == nil {
		held = &used[*catalog.Selection]{value: c.selection}
		s.selections[name] = held
	}
	held.users++
	c.selection = held.value
}

// release gives back what hold gave.
func (s *shared) release(t *Target) {
	s.mu.Lock()
	defer s.mu.Unlock()
	owner, url := s.owners[*t.Owner], s.urls[t.URL]
	if owner.users--; owner.users == 0 {
		delete(s.owners, *t.Owner)
	}
	if url.users--; url.users == 0 {
		delete(s.urls, t.URL)
	}
	if t.rest == nil || t.rest.condition == nil {
		return
	}
	name := [2]string{t.Row.ID, t.rest.condition.selection.String()}
	held := s.selections[name]
	if held.users--; held.users == 0 {
		delete(s.selections, name)
	}
}
