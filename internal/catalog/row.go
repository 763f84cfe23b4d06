package catalog

import (
	"slices"
	"strings"
	"time"

	"heliograph.dev"
)

// Row is one subscribable resource. Rows do not change; nobody changes what they point to.
type Row struct {
	ID     string
	Family string
	// Workload is the service of Graph's that it belongs to ("teams", "outlook", "drive", …): the words of some
	// refusals depend on it.
	Workload    string
	Scope       string // in words
	APIVersions []string
	Status      string // "current" or "deprecated"
	// Paths are the templates of what a subscription's resource may be: users/{user}/messages. Aliases are
	// further spellings.
	Paths, Aliases []string
	// Changes are the templates of the paths under which changes of its instances are published:
	// users/{user}/messages/{message}.
	Changes []string
	// ChangeTypes are those of the row; Resolved has those of one path.
	ChangeTypes heliograph.ChangeType
	// MaxBasic and MaxRich are the longest leases; MaxRich is 0 where there are no rich notifications.
	MaxBasic, MaxRich time.Duration
	// LifecycleURLOver is the lease above which a lifecycleNotificationUrl is required, or 0: never.
	LifecycleURLOver time.Duration
	LifecycleEvents  []heliograph.LifecycleEvent
	Rich             Rich
	Extras           Extras
	// DelegatedOwnOnly says that a signed-in user reaches the own mailbox only (contract 3.2.8).
	DelegatedOwnOnly bool
	// Duplicates says that an application may have equal subscriptions beside each other.
	Duplicates bool
	// UserSpecific says that notifyOnUserSpecificProperties is understood (contract 13.21).
	UserSpecific bool
	// MaxIDs bounds the ids of one subscription, where it names a list of them, or is 0.
	MaxIDs       int
	QueryOptions map[string]QueryOption // by name, with its $
	Quotas       []Quota
	Billing      Billing
	Clouds       map[string]string // national clouds: global, us_l4, us_l5, china
	Latency      Latency
	ODataType    string
	Example      string // of a notification's resource
	Notes        []string
	Sources      []string

	catalog     *Catalog
	templates   []*template
	byPath      map[string]pathRule // by template
	permissions [callerKinds]grants
	byFilter    map[string][]string // permissions that suffice for a $filter that names the value
	unlisted    []callerKind        // to whom Subscription.Read.All does not list the row's subscriptions
	// single is the path of one instance, by the template of a list of them.
	single map[string]*template
	// keyFilters are the properties that name keys in a $filter; options those that make more changes visible.
	keyFilters, options []string
	many                bool // a subscription may watch more than its own path
}

// Rich says whether and how a row's notifications may carry resource data.
type Rich struct {
	Supported bool
	Only      bool     // a basic subscription is refused
	Endpoints []string // v1.0, beta
	Content   *Content
}

// QueryOption is what a row makes of one query option.
type QueryOption struct {
	// Rule is allowed, boolean, keys, required_when_rich, unsupported, forbidden, property or billing.
	Rule string
	// Only are the values that may be given, Except those that may not.
	Only, Except []string
	// Properties are those that a $filter may read, with what is below them, or that a $search looks into; Words the
	// operators and functions that a $filter may use. None: any. TopLevel keeps a $filter from what is below a
	// property.
	Properties, Words []string
	TopLevel          bool
	// Entering says that entering and leaving a $filter is told as created and deleted (contract 18.7).
	Entering bool
	Text     string // as the documentation has it
}

// Quota bounds how many active subscriptions may share what Per names, within a tenant.
type Quota struct {
	Per        []string // app, creator, path, or a parameter of the path; none of these: the tenant
	Limit      int      // 0: there is one, and nobody knows which
	Pool       string   // what counts together: rows with a quota of the same pool
	AllTenants bool     // counted over all tenants
	Rule       string   // the profile's rule that refuses
	Text       string   // as the documentation has it
}

// Billing is what the payment models of before 2025-08-25 were (contract section 19).
type Billing struct {
	Models       []string
	Default, Now string
}

// Latency is how long the documentation lets a notification take, in its words.
type Latency struct{ Average, Maximum string }

type pathRule struct {
	callers []callerKind // nil: all that have permissions
	types   heliograph.ChangeType
}

// callerKind is one of the columns of the permission tables.
type callerKind int

const (
	delegatedWork callerKind = iota
	delegatedPersonal
	application
	callerKinds
)

func (k callerKind) String() string {
	return [...]string{"delegated_work", "delegated_personal", "application"}[k]
}

func kindOf(caller *heliograph.Caller) callerKind {
	switch {
	case !caller.Delegated:
		return application
	case caller.Personal || caller.Tenant == heliograph.PersonalTenant:
		return delegatedPersonal
	}
	return delegatedWork
}

// grants are the permissions that suffice, least privileged first.
type grants struct {
	union  []string // everything that was ever documented to suffice
	newest []string // what the newest reference page says
	rsc    []string // those of union that are resource-specific consent
}

// rscOption is the query option that has the resource-specific consent decide, where a row knows it.
const rscOption = "useResourceSpecificConsentBasedAuthorization"

// Permits reports whether the caller's permissions suffice for a resource of this row, and which ones would
// have: any one of them; none when no such caller can. With strict the newest documentation decides, else
// everything that was ever documented to suffice (contract 3.2.1, 3.2.2, section 7 and 8.6 to 8.9).
func (r *Row) Permits(caller *heliograph.Caller, res *Resolved, strict bool) (ok bool, sufficient []string) {
	kind := kindOf(caller)
	if callers := r.byPath[res.Template].callers; callers != nil && !slices.Contains(callers, kind) {
		return false, nil
	}
	g := &r.permissions[kind]
	sufficient = g.union
	if strict {
		sufficient = g.newest
	}
	if _, known := r.QueryOptions[rscOption]; known && kind == application {
		byConsent := isTrue(res.Query.Get(rscOption))
		sufficient = slices.DeleteFunc(slices.Clone(sufficient), func(p string) bool {
			return slices.Contains(g.rsc, p) != byConsent
		})
	}
	if r.byFilter != nil {
		return r.permitsFilter(caller, res, sufficient)
	}
	return holdsAny(caller, sufficient), sufficient
}

// Permissions returns every permission that suffices for some caller of the row, of applications and of users.
func (r *Row) Permissions() (app, delegated []string) {
	delegated = slices.Concat(r.permissions[delegatedWork].union, r.permissions[delegatedPersonal].union)
	slices.Sort(delegated)
	return slices.Clone(r.permissions[application].union), slices.Compact(delegated)
}

// has reports whether the row has the same path.
func (r *Row) has(t *template) bool {
	return slices.ContainsFunc(r.templates, func(own *template) bool { return own.text == t.text })
}

// supports reports whether any caller of the kind can subscribe to the template.
func (r *Row) supports(kind callerKind, template string) bool {
	callers := r.byPath[template].callers
	return len(r.permissions[kind].union) > 0 && (callers == nil || slices.Contains(callers, kind))
}

// WatchPaths returns the paths to index a stored subscription of this row under.
func (r *Row) WatchPaths(s *heliograph.Subscription) ([]string, error) {
	if !r.many {
		return []string{s.Path}, nil
	}
	resource := s.Path
	if _, query, ok := strings.Cut(s.Resource, "?"); ok {
		resource += "?" + query
	}
	found, err := r.catalog.Resolve(resource, Me{})
	if err != nil {
		return nil, err
	}
	for i := range found {
		if found[i].Row == r {
			return found[i].Watch, nil
		}
	}
	return nil, heliograph.Errorf(heliograph.Internal, "subscription.row", "%s is not of row %s", s.Path, r.ID)
}
