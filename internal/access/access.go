// Package access says what a report of an identity system means for subscriptions: whose consent was revoked, who was
// disabled, deleted or is no member any more. It is pure: reports in, verdicts with a named reason out.
//
// A report stands until the access that it speaks of is reported as restored. While it stands, whoever it speaks of can
// neither make, nor renew, nor reauthorize a subscription. What it does to the subscriptions that are there:
//
//	report           of                          they are
//	consentRevoked   an application's, or one    challenged: asked to reauthorize, and paused after the grace
//	                 of its users'                 (contract 14.4, 14.6)
//	userDisabled     those that a user made      challenged
//	membershipLost   those that a user made on   challenged
//	                 the resource or below it
//	userDeleted      those that a user made,     removed, and their owners told where the row knows that
//	                 and on what is the user's     (contract 14.2, 14.9)
//	tenantDeleted    all of a tenant             removed
//	restored         what one of these spoke of  as they were: what was paused for it goes on
package access

import (
	"strings"

	"heliograph.dev"
	"heliograph.dev/internal/lifecycle"
)

// Kind is what is reported.
type Kind string

// The kinds.
const (
	ConsentRevoked Kind = "consentRevoked"
	UserDisabled   Kind = "userDisabled"
	UserDeleted    Kind = "userDeleted"
	TenantDeleted  Kind = "tenantDeleted"
	MembershipLost Kind = "membershipLost"
	Restored       Kind = "restored"
)

// Report is what an identity system says.
type Report struct {
	Kind Kind `json:"kind"`
	// User is an object id, App a client id, as tokens have them; Resource a canonical path such as teams/{id} or
	// chats/{id}. Empty ones do not matter to the kind, or mean any.
	User     heliograph.ObjectID `json:"user,omitempty"`
	App      heliograph.AppID    `json:"app,omitempty"`
	Resource string              `json:"resource,omitempty"`
}

// Why a report is refused.
const (
	RuleKind     = "access.kind"
	RuleUser     = "access.user"
	RuleApp      = "access.app"
	RuleResource = "access.resource"
)

// Normal returns the report with its resource as it is compared, or says what is missing of it or too much.
func (r Report) Normal() (Report, error) {
	r.Resource = strings.ToLower(strings.Trim(r.Resource, "/"))
	needs := map[Kind]struct{ user, app, resource need }{
		ConsentRevoked: {may, must, not}, UserDisabled: {must, not, not}, UserDeleted: {must, not, not},
		TenantDeleted: {not, not, not}, MembershipLost: {must, not, must}, Restored: {may, may, may},
	}
	n, known := needs[r.Kind]
	if !known {
		return r, heliograph.Errorf(heliograph.Invalid, RuleKind, "%.40q is not one of consentRevoked, userDisabled, userDeleted, tenantDeleted, membershipLost and restored", r.Kind)
	}
	for _, part := range []struct {
		name, rule, value string
		need              need
	}{
		{"user", RuleUser, string(r.User), n.user}, {"app", RuleApp, string(r.App), n.app}, {"resource", RuleResource, r.Resource, n.resource},
	} {
		switch {
		case part.need == must && part.value == "":
			return r, heliograph.Errorf(heliograph.Invalid, part.rule, "%s needs the property %q", r.Kind, part.name)
		case part.need == not && part.value != "":
			return r, heliograph.Errorf(heliograph.Invalid, part.rule, "%s has no property %q", r.Kind, part.name)
		case len(part.value) > 1024:
			return r, heliograph.Errorf(heliograph.Invalid, part.rule, "the property %q is longer than 1024 bytes", part.name)
		}
	}
	if r.Kind == Restored && r.Resource != "" && r.User == "" {
		return r, heliograph.Errorf(heliograph.Invalid, RuleUser, "whose membership of the resource is restored? Name the user")
	}
	return r, nil
}

type need uint8

const (
	not need = iota
	may
	must
)

// Reason is the kind as records of deliveries and refusals say it; that of restored is empty.
func (k Kind) Reason() heliograph.Reason {
	switch k {
	case ConsentRevoked:
		return lifecycle.ConsentRevoked
	case UserDisabled:
		return lifecycle.UserDisabled
	case UserDeleted:
		return lifecycle.UserDeleted
	case TenantDeleted:
		return lifecycle.TenantDeleted
	case MembershipLost:
		return lifecycle.MembershipLost
	case Restored:
	}
	return ""
}

// Removes reports whether the subscriptions that a report speaks of are removed, and not challenged.
func (k Kind) Removes() bool { return k == UserDeleted || k == TenantDeleted }

// Undone returns the reports that one of restored access ends.
func (r Report) Undone() []Report {
	switch {
	case r.Resource != "":
		return []Report{{Kind: MembershipLost, User: r.User, Resource: r.Resource}}
	case r.App != "":
		return []Report{{Kind: ConsentRevoked, App: r.App, User: r.User}}
	case r.User != "":
		return []Report{{Kind: UserDisabled, User: r.User}, {Kind: UserDeleted, User: r.User}}
	}
	return []Report{{Kind: TenantDeleted}}
}

// Concerns reports whether a report that stands speaks of a subscription.
func (r Report) Concerns(s *heliograph.Subscription) bool {
	made := s.Delegated && s.Creator == r.User
	switch r.Kind {
	case ConsentRevoked:
		return s.App == r.App && (r.User == "" || made)
	case UserDisabled:
		return made
	case MembershipLost:
		return made && below(s.Path, r.Resource)
	case UserDeleted:
		return made || below(s.Path, "users/"+string(r.User))
	case TenantDeleted:
		return true
	case Restored:
	}
	return false
}

// below reports whether a path is a resource or lies below it.
func below(path, resource string) bool {
	return len(path) >= len(resource) && strings.EqualFold(path[:len(resource)], resource) && (len(path) == len(resource) || path[len(resource)] == '/')
}

// Could are the reports that, if they stand, keep somebody from a subscription: few, whatever the number of those that
// stand. The first that does is the reason.
func Could(caller *heliograph.Caller, path string) []Report {
	app, user := caller.App, caller.Object
	all := []Report{{Kind: TenantDeleted}, {Kind: ConsentRevoked, App: app}}
	path = strings.ToLower(path)
	if owner := Owner(path); owner != "" {
		all = append(all, Report{Kind: UserDeleted, User: owner})
	}
	if !caller.Delegated {
		return all
	}
	all = append(all, Report{Kind: UserDeleted, User: user}, Report{Kind: UserDisabled, User: user}, Report{Kind: ConsentRevoked, App: app, User: user})
	for i := range len(path) {
		if path[i] == '/' {
			all = append(all, Report{Kind: MembershipLost, User: user, Resource: path[:i]})
		}
	}
	return append(all, Report{Kind: MembershipLost, User: user, Resource: path})
}

// Owner is the user whose resource a canonical path names, or nobody.
func Owner(path string) heliograph.ObjectID {
	rest, found := strings.CutPrefix(path, "users/")
	if !found {
		return ""
	}
	owner, _, _ := strings.Cut(rest, "/")
	return heliograph.ObjectID(owner)
}

// Standing is a set of reports that stand, of one tenant. The zero value has none.
type Standing map[Report]struct{}

// Bars returns why somebody is kept from a subscription, or nothing.
func (s Standing) Bars(caller *heliograph.Caller, path string) heliograph.Reason {
	if len(s) == 0 {
		return ""
	}
	for _, r := range Could(caller, path) {
		if _, stands := s[r]; stands {
			return r.Kind.Reason()
		}
	}
	return ""
}

// Revokes returns the reason for which a subscription's access is revoked, or nothing: that of any report that stands.
func (s Standing) Revokes(sub *heliograph.Subscription) heliograph.Reason {
	owner := heliograph.Caller{App: sub.App, Object: sub.Creator, Delegated: sub.Delegated}
	return s.Bars(&owner, sub.Path)
}
