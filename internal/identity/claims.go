package identity

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"heliograph.dev"
)

const (
	maxID     = 256
	latestSec = 253402300799 // the last second of the year 9999
)

// claims is what a token says, as far as it matters here (contract 8.1).
type claims struct {
	issuer             string
	audiences          []string
	expires, notBefore time.Time
	tenant             string
	app                string
	object             string
	upn                string
	kind               string // idtyp
	scopes, roles      []string
	directoryRoles     []string
}

// parseClaims reads the payload of a token. Names are matched to the letter, which encoding/json alone does not
// do: an issuer that lets its users choose a claim named "Roles" must not give them roles.
func parseClaims(payload []byte) (*claims, error) {
	var r claimReader
	if err := json.Unmarshal(payload, &r.fields); err != nil {
		return nil, errors.New("the payload is not a JSON object")
	}
	c := &claims{
		issuer:         r.text("iss"),
		audiences:      r.list("aud"),
		expires:        r.moment("exp"),
		notBefore:      r.moment("nbf"),
		tenant:         lowerGUID(r.text("tid")),
		app:            r.text("azp"), // v2
		object:         r.text("oid"),
		kind:           r.text("idtyp"),
		roles:          r.list("roles"),
		directoryRoles: r.list("wids"),
	}
	for _, words := range r.list("scp") { // one string for Entra, a list for others
		c.scopes = append(c.scopes, strings.Fields(words)...)
	}
	v1App := r.text("appid")
	if c.app == "" {
		c.app = v1App
	}
	if v1App != "" && v1App != c.app {
		return nil, errors.New("appid and azp differ")
	}
	if sub := r.text("sub"); c.object == "" {
		c.object = sub
	}
	for _, name := range []string{"upn", "preferred_username", "unique_name"} {
		if text := r.text(name); c.upn == "" {
			c.upn = text
		}
	}
	return c, r.err
}

// delegated tells a user's token from an application's (contract 8.2).
func (c *claims) delegated() bool {
	return c.kind != "app" && (len(c.scopes) > 0 || c.kind == "user")
}

// caller makes the caller of a token that was issued for tenant (contract 8.1 to 8.5).
func (c *claims) caller(tenant heliograph.TenantID) (*heliograph.Caller, error) {
	personal := tenant == heliograph.PersonalTenant
	switch {
	case !validID(c.app):
		return nil, refuse("application", "The token names no application: neither appid nor azp is usable.")
	case !validID(c.object):
		return nil, refuse("object", "The token names no user or service principal: neither oid nor sub is usable.")
	case personal && !c.delegated():
		return nil, refuse("personal", "Personal accounts have no application tokens.")
	}
	caller := &heliograph.Caller{
		Tenant:    tenant,
		App:       heliograph.AppID(lowerGUID(c.app)),
		Object:    heliograph.ObjectID(lowerGUID(c.object)),
		Delegated: c.delegated(),
		Personal:  personal,
		Expires:   c.expires,
	}
	for _, role := range c.directoryRoles {
		caller.DirectoryRoles = append(caller.DirectoryRoles, lowerGUID(role))
	}
	if caller.Delegated {
		// The roles of a user's token are the user's, not permissions of the application.
		caller.Scopes, caller.UPN = c.scopes, c.upn
	} else {
		caller.Roles = slices.Clip(c.roles)
	}
	return caller, nil
}

// ownRoles are the roles of a user that are permissions of Heliograph's own.
func ownRoles(roles []string) (own []string) {
	for _, name := range []string{heliograph.PermissionPublish, heliograph.PermissionControl} {
		if slices.Contains(roles, name) {
			own = append(own, name)
		}
	}
	return own
}

// validID reports whether s can name an application or a directory object: such ids become part of paths.
func validID(s string) bool {
	if s == "" || len(s) > maxID {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || strings.IndexByte(`/\?#%'"()<>*`, c) >= 0 {
			return false
		}
	}
	return true
}

func lowerGUID(s string) string {
	if g, ok := heliograph.ParseGUID(s); ok {
		return g.String()
	}
	return s
}

// claimReader takes claims out of a payload and keeps the first complaint.
type claimReader struct {
	fields map[string]json.RawMessage
	err    error
}

// read decodes a claim into v, and reports whether it is there and is not null.
func (r *claimReader) read(name string, v any) bool {
	raw, ok := r.fields[name]
	if !ok || string(raw) == "null" {
		return false
	}
	if err := json.Unmarshal(raw, v); err != nil {
		r.fail(name)
		return false
	}
	return true
}

func (r *claimReader) fail(name string) {
	if r.err == nil {
		r.err = fmt.Errorf("the %s claim is of the wrong kind", name)
	}
}

func (r *claimReader) text(name string) (s string) {
	r.read(name, &s)
	return s
}

// list reads an array of strings, or one string as a list of one.
func (r *claimReader) list(name string) (list []string) {
	raw := r.fields[name]
	if len(raw) > 0 && raw[0] == '"' {
		return []string{r.text(name)}
	}
	r.read(name, &list)
	return list
}

func (r *claimReader) moment(name string) time.Time {
	var seconds float64
	if !r.read(name, &seconds) {
		return time.Time{}
	}
	if seconds < 0 || seconds > latestSec {
		r.fail(name)
		return time.Time{}
	}
	return time.Unix(int64(seconds), 0).UTC()
}
