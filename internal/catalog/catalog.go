// Package catalog knows what can be subscribed to: the rows of data/resources.yaml and the dated profiles of
// data/profiles, both data, checked when they are loaded.
package catalog

import (
	"time"

	"heliograph.dev"
	"heliograph.dev/internal/odata"
)

// Catalog is the loaded data with one active profile. It does not change; any number may use it at once.
type Catalog struct{}

// Load reads the embedded rows and profiles, and then the operator's files in the same form, whose rows are
// added or replace the row of the same id.
func Load(extra ...[]byte) (*Catalog, error) { return &Catalog{}, nil }

// Rows returns every row in the order of the files.
func (c *Catalog) Rows() []*Row { return nil }

// Row returns the row of that id, or nil.
func (c *Catalog) Row(id string) *Row { return nil }

// Profile returns the active profile.
func (c *Catalog) Profile() *Profile { return nil }

// WithProfile returns the same catalog with another active profile ("2026-04").
func (c *Catalog) WithProfile(name string) (*Catalog, error) { return c, nil }

// Row is one subscribable resource.
type Row struct {
	ID          string
	Family      string
	Scope       string
	Paths       []string // templates: users/{user}/messages
	ChangeTypes heliograph.ChangeType
	// MaxBasic and MaxRich are the longest leases; MaxRich is 0 where there are no rich notifications.
	MaxBasic, MaxRich time.Duration
	// LifecycleURLOver is the lease from which on a lifecycleNotificationUrl is required, or 0: never.
	LifecycleURLOver time.Duration
	LifecycleEvents  []heliograph.LifecycleEvent
	Rich             Rich
	Quotas           []Quota
	Notes            []string
	Sources          []string
}

// Rich says whether and how a row's notifications may carry resource data.
type Rich struct {
	Supported bool
	Only      bool     // a basic subscription is refused
	Endpoints []string // v1.0, beta
}

// Quota bounds how many active subscriptions may share what Per names.
type Quota struct {
	Pool  string   // rows that count together
	Per   []string // app, tenant, user, path, or a parameter of the path
	Limit int
	Rule  string // the profile's rule that refuses
	Text  string // as the documentation has it
}

// Me is who a request comes from, where that decides which resource is meant. The zero Me is an application.
type Me struct {
	Object heliograph.ObjectID
	UPN    string
}

// MeOf returns the Me of a caller: the zero Me unless a user is signed in.
func MeOf(caller *heliograph.Caller) Me {
	if !caller.Delegated {
		return Me{}
	}
	return Me{Object: caller.Object, UPN: caller.UPN}
}

// Resolved is a resource and one row that it belongs to.
type Resolved struct {
	Row      *Row
	Template string // the row's path that it matched
	// Path is the canonical path. Resolving it again gives the same.
	Path   string
	Params []Param
	Query  odata.Query
	// ChangeTypes are what can be subscribed to on this path.
	ChangeTypes heliograph.ChangeType
	// Watch are the paths to index a subscription under: [Path], or one for each id of a list.
	Watch []string
}

// Param is a named part of a path, with its value.
type Param struct{ Name, Value string }

// Param returns the value of the named parameter.
func (r *Resolved) Param(name string) (string, bool) { return "", false }

// Resolve finds the rows that a resource belongs to: almost always one. Errors are *heliograph.Error, ready
// for the caller (rules create.resource.…).
func (c *Catalog) Resolve(resource string, me Me) ([]Resolved, error) { return nil, nil }

// Pick returns the candidate for the caller's kind (a drive's root is a personal row and a business row).
func Pick(candidates []Resolved, caller *heliograph.Caller) Resolved { return candidates[0] }

// Permits reports whether the caller's permissions suffice, and which ones would have. With strict the newest
// documentation decides, else everything that was ever documented to suffice.
func (r *Row) Permits(caller *heliograph.Caller, res *Resolved, strict bool) (ok bool, sufficient []string) {
	return false, nil
}

// WatchPaths returns the paths to index a stored subscription of this row under.
func (r *Row) WatchPaths(s *heliograph.Subscription) ([]string, error) { return []string{s.Path}, nil }

// CanonicalChange returns the canonical form of a changed instance's path (users/{id}/messages/{id}), or a
// *heliograph.Error when no row knows it.
func (c *Catalog) CanonicalChange(path string) (string, error) { return path, nil }

// Watchers visits every subscription path that a change of the instance at path is visible under. The path
// must be canonical. The Watcher is valid during the visit only; Instance copies what outlives it.
func (c *Catalog) Watchers(path string, visit func(*Watcher)) error { return nil }

// Watcher is one path that a subscription may stand on, and how a notification for it names the instance.
type Watcher struct {
	Row *Row
}

// AppendPath appends the canonical subscription path.
func (w *Watcher) AppendPath(b []byte) []byte { return b }

// Type returns the first of the types that this change is told as, among those wanted (a file made below a
// drive's root is an update of the root), or 0.
func (w *Watcher) Type(changed, wanted heliograph.ChangeType) heliograph.ChangeType { return 0 }

// Instance returns how the notification names the instance.
func (w *Watcher) Instance() Instance { return Instance{} }

// Instance is how a notification names what changed. It is small and keeps nothing but the change's path.
type Instance struct{}

// Resource returns the notification's resource, given the subscription's own (drives name that one).
func (i *Instance) Resource(subscribed string, rich bool) string { return "" }

// ODataID returns resourceData's @odata.id, or "" to leave it out.
func (i *Instance) ODataID(subscribed string, rich bool) string { return "" }

// ODataType returns resourceData's @odata.type, or "".
func (i *Instance) ODataType(rich bool) string { return "" }

// ID returns resourceData's id, or "" to leave it out.
func (i *Instance) ID() string { return "" }
