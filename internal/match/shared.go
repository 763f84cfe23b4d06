package match

import (
	"strings"
	"sync"

	"heliograph.dev"
)

// shared keeps one copy of what many targets have in common: owners and URLs. It counts who uses them and
// forgets what nobody does.
type shared struct {
	mu     sync.Mutex
	owners map[Owner]*used[*Owner]
	urls   map[heliograph.Endpoint]*used[heliograph.Endpoint]
}

type used[T any] struct {
	value T
	users int
}

func newShared() *shared {
	return &shared{owners: map[Owner]*used[*Owner]{}, urls: map[heliograph.Endpoint]*used[heliograph.Endpoint]{}}
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
}
