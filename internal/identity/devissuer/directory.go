package devissuer

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"strings"

	"heliograph.dev"
)

const (
	maxName  = 256
	maxScope = 256 // words
)

// Application is a client that is known.
type Application struct {
	ID   heliograph.AppID
	Name string
	// Secret is what the client must present. Empty: it has none and cannot have a token of its own.
	Secret heliograph.Secret
	// Roles are its application permissions. Nil: all.
	Roles []string
	// RedirectURIs are where people who sign in may be sent back to. Nil: to this machine.
	RedirectURIs []string
}

// User is a person who is known.
type User struct {
	Tenant   heliograph.TenantID // empty: the default tenant
	UPN      string
	Object   heliograph.ObjectID // empty: follows from tenant and UPN
	Name     string              // empty: follows from the UPN
	Password heliograph.Secret   // empty: any will do
	// Roles are those that applications have given the user, and DirectoryRoles the directory's, by template id
	// (contract 8.1).
	Roles, DirectoryRoles []string
}

// UserID returns the object id of a user who is not configured.
func UserID(tenant heliograph.TenantID, upn string) heliograph.ObjectID {
	return heliograph.ObjectID(heliograph.DeriveGUID("user", string(tenant), strings.ToLower(upn)).String())
}

// ServicePrincipalID returns the object id of an application's service principal in a tenant.
func ServicePrincipalID(tenant heliograph.TenantID, app heliograph.AppID) heliograph.ObjectID {
	return heliograph.ObjectID(heliograph.DeriveGUID("servicePrincipal", string(tenant), strings.ToLower(string(app))).String())
}

// defaultApplication is who Mint makes tokens for when nobody is named.
func defaultApplication() heliograph.AppID {
	return heliograph.AppID(heliograph.DeriveGUID("application", "default").String())
}

// directory is who is known, and what they may do.
type directory struct {
	tenant       heliograph.TenantID
	applications []Application
	users        []User
	roles        []string // of an application with none of its own
	scopes       []string // of a user who asks for none
	canonical    map[string]string
}

func newDirectory(o Options) (directory, error) {
	d := directory{
		tenant:       heliograph.TenantID(lowerGUID(string(o.DefaultTenant))),
		applications: slices.Clone(o.Applications),
		users:        slices.Clone(o.Users),
		roles:        sortedSet(append(slices.Clone(o.ApplicationPermissions), heliograph.PermissionPublish, heliograph.PermissionControl)),
		scopes:       sortedSet(slices.Clone(o.DelegatedPermissions)),
		canonical:    make(map[string]string),
	}
	for _, name := range d.scopes {
		d.canonical[strings.ToLower(name)] = name
	}
	if d.tenant == "" {
		d.tenant = heliograph.TenantID(heliograph.DeriveGUID("tenant", "default").String())
	}
	if !isGUID(string(d.tenant)) {
		return directory{}, fmt.Errorf("devissuer: the default tenant %q is not a GUID", d.tenant)
	}
	for n := range d.applications {
		app := &d.applications[n]
		app.ID = heliograph.AppID(lowerGUID(string(app.ID)))
		if !validName(string(app.ID)) {
			return directory{}, fmt.Errorf("devissuer: unusable application id %q", app.ID)
		}
	}
	for n := range d.users {
		user := &d.users[n]
		if user.Tenant == "" {
			user.Tenant = d.tenant
		}
		user.Tenant = heliograph.TenantID(lowerGUID(string(user.Tenant)))
		if !validName(user.UPN) || !isGUID(string(user.Tenant)) {
			return directory{}, fmt.Errorf("devissuer: unusable user %q of tenant %q", user.UPN, user.Tenant)
		}
		user.complete()
	}
	return d, nil
}

func sortedSet(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}

// complete fills in what follows from the rest.
func (u *User) complete() {
	if u.Object == "" {
		u.Object = UserID(u.Tenant, u.UPN)
	}
	u.Object = heliograph.ObjectID(lowerGUID(string(u.Object)))
	if u.Name == "" {
		u.Name, _, _ = strings.Cut(u.UPN, "@")
	}
}

// resolveTenant returns the tenant behind a path segment, and whether the segment stands for any tenant.
func (d *directory) resolveTenant(name string) (tenant heliograph.TenantID, anyTenant bool, err error) {
	name = strings.ToLower(name)
	switch name {
	case "common", "organizations":
		return d.tenant, true, nil
	case "consumers":
		return heliograph.PersonalTenant, false, nil
	}
	if isGUID(name) {
		return heliograph.TenantID(name), false, nil
	}
	if !validDomain(name) {
		return "", false, errors.New("neither a GUID nor a domain name")
	}
	return heliograph.TenantID(heliograph.DeriveGUID("tenant", name).String()), false, nil
}

// application returns a client by its id. One that is not configured is good for everything, unless others are.
func (d *directory) application(id string) (app Application, known bool) {
	id = lowerGUID(id)
	for _, app := range d.applications {
		if string(app.ID) == id {
			return app, true
		}
	}
	return Application{ID: heliograph.AppID(id), Name: id}, len(d.applications) == 0
}

// user returns a person by UPN or object id, in any tenant when anyTenant.
func (d *directory) user(tenant heliograph.TenantID, anyTenant bool, name string) (user User, known bool) {
	for _, user := range d.users {
		named := strings.EqualFold(user.UPN, name) || string(user.Object) == lowerGUID(name)
		if named && (anyTenant || user.Tenant == tenant) {
			return user, true
		}
	}
	user = User{Tenant: tenant, UPN: name}
	if isGUID(name) {
		user.Object = heliograph.ObjectID(name)
	}
	user.complete()
	return user, len(d.users) == 0
}

// OtherName returns the object id of a user named by UPN, or the UPN of a configured one named by object id.
func (d *directory) OtherName(tenant heliograph.TenantID, name string) string {
	user, known := d.user(tenant, false, name)
	switch {
	case !known:
		return ""
	case string(user.Object) == lowerGUID(name):
		if user.UPN == name {
			return ""
		}
		return user.UPN
	}
	return string(user.Object)
}

// sameSecret compares without telling by its duration how much is right.
func sameSecret(want heliograph.Secret, got string) bool {
	w, g := sha256.Sum256([]byte(want.Reveal())), sha256.Sum256([]byte(got))
	return subtle.ConstantTimeCompare(w[:], g[:]) == 1
}

// validName reports whether s can name an application or a user: the name becomes part of paths.
func validName(s string) bool {
	return s != "" && len(s) <= maxName && !strings.ContainsFunc(s, func(c rune) bool {
		return c <= ' ' || c > '~' || strings.ContainsRune(`/\?#%'"()<>*`, c)
	})
}

// validScope reports whether s is a scope (RFC 6749, 3.3).
func validScope(s string) bool {
	return s != "" && len(s) <= maxName && !strings.ContainsFunc(s, func(c rune) bool {
		return c <= ' ' || c > '~' || c == '"' || c == '\\'
	})
}

func validDomain(s string) bool {
	return strings.Contains(s, ".") && len(s) <= 253 && !strings.ContainsFunc(s, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '-'
	})
}

func isGUID(s string) bool {
	_, ok := heliograph.ParseGUID(s)
	return ok
}

func lowerGUID(s string) string {
	if g, ok := heliograph.ParseGUID(s); ok {
		return g.String()
	}
	return s
}
