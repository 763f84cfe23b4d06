package identity

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"golang.org/x/sync/errgroup"

	"heliograph.dev"
)

// placeholder stands for the tenant in the URL of a multi-tenant issuer, as Entra's discovery document writes it.
const placeholder = "{tenantid}"

// trust is whom we believe.
type trust struct {
	issuers []*trusted
	local   LocalIssuer
	locally *localKeys
}

// trusted is one issuer out there.
type trusted struct {
	before, after string // around the placeholder; before is the whole URL when there is none
	template      bool
	tenant        heliograph.TenantID // the only one, or empty
	keys          *remoteKeys
}

// origin is where a token says that it comes from.
type origin struct {
	source keySource
	tenant heliograph.TenantID // that the issuer speaks for, or empty when the token has to say
}

func newTrust(o Options) (trust, error) {
	if o.Now == nil {
		return trust{}, errors.New("identity: Now is required")
	}
	if len(o.Issuers) == 0 && o.Local == nil {
		return trust{}, errors.New("identity: no issuer to trust")
	}
	t := trust{local: o.Local}
	if o.Local != nil {
		t.locally = &localKeys{issuer: o.Local}
	}
	client := Client(o.Transport)
	for _, i := range o.Issuers {
		one, err := newTrusted(i, o.AllowHTTP)
		if err != nil {
			return trust{}, fmt.Errorf("identity: issuer %q: %w", i.URL, err)
		}
		one.keys = newRemoteKeys(i.URL, client, o)
		t.issuers = append(t.issuers, one)
	}
	return t, nil
}

func newTrusted(i Issuer, allowHTTP bool) (*trusted, error) {
	t := &trusted{tenant: heliograph.TenantID(lowerGUID(string(i.Tenant)))}
	t.before, t.after, t.template = strings.Cut(i.URL, placeholder)
	if err := checkURL(strings.ReplaceAll(i.URL, placeholder, "common"), allowHTTP); err != nil {
		return nil, err
	}
	if strings.ContainsAny(t.before+t.after, "{}?") {
		return nil, fmt.Errorf("an issuer has no query, and no placeholder but %s, once", placeholder)
	}
	if t.tenant == "" && !t.template {
		t.tenant = onlyGUID(i.URL)
	}
	if _, ok := heliograph.ParseGUID(string(t.tenant)); !ok && t.tenant != "" {
		return nil, fmt.Errorf("the tenant %q is not a GUID", t.tenant)
	}
	return t, nil
}

// checkURL says whether keys may be fetched from an address: without TLS anybody on the way could add their own.
func checkURL(raw string, allowHTTP bool) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return errors.New("not a URL")
	case u.Host == "" || u.User != nil || u.Fragment != "":
		return errors.New("not an absolute URL without user and fragment")
	case u.Scheme == "https", u.Scheme == "http" && (allowHTTP || isLoopback(u.Hostname())):
		return nil
	}
	return errors.New("must be https")
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// onlyGUID returns the tenant that an issuer's path names, when it names exactly one.
func onlyGUID(raw string) heliograph.TenantID {
	var found heliograph.TenantID
	for segment := range strings.SplitSeq(raw, "/") {
		if g, ok := heliograph.ParseGUID(segment); ok {
			if found != "" {
				return ""
			}
			found = heliograph.TenantID(g.String())
		}
	}
	return found
}

// recognise finds the trusted issuer that iss names.
func (t *trust) recognise(iss string) (origin, bool) {
	for _, one := range t.issuers {
		if tenant, ok := one.recognise(iss); ok {
			return origin{source: one.keys, tenant: tenant}, true
		}
	}
	if t.local != nil {
		if tenant, ok := t.local.TenantOf(iss); ok {
			return origin{source: t.locally, tenant: tenant}, true
		}
	}
	return origin{}, false
}

func (t *trusted) recognise(iss string) (heliograph.TenantID, bool) {
	if !t.template {
		return t.tenant, iss == t.before
	}
	middle, ok := strings.CutPrefix(iss, t.before)
	if !ok {
		return "", false
	}
	if middle, ok = strings.CutSuffix(middle, t.after); !ok {
		return "", false
	}
	g, ok := heliograph.ParseGUID(middle)
	tenant := heliograph.TenantID(g.String())
	return tenant, ok && (t.tenant == "" || t.tenant == tenant)
}

// tenantOf settles which tenant a token is of: what the issuer speaks for and what the token says must agree.
func (o origin) tenantOf(said *claims) (heliograph.TenantID, error) {
	tenant := heliograph.TenantID(said.tenant)
	switch {
	case tenant == "":
		tenant = o.tenant
	case o.tenant != "" && o.tenant != tenant:
		return "", refuse("tenant", "Invalid tenant: the issuer %s does not speak for the tid %s.", excerpt(said.issuer), excerpt(said.tenant))
	}
	if _, ok := heliograph.ParseGUID(string(tenant)); !ok {
		return "", refuse("tenant", "Invalid tenant: the tid %s is not a GUID.", excerpt(said.tenant))
	}
	return tenant, nil
}

func (t *trust) ready(ctx context.Context) error {
	errs := make([]error, len(t.issuers))
	var all errgroup.Group
	for n, one := range t.issuers {
		all.Go(func() error {
			if _, err := one.keys.keys(ctx, "", nil); err != nil {
				errs[n] = fmt.Errorf("keys of issuer %s: %w", one.keys.issuer, err)
			}
			return nil
		})
	}
	_ = all.Wait() // the errors are in errs, all of them
	return errors.Join(errs...)
}

func (t *trust) close() {
	for _, one := range t.issuers {
		one.keys.close()
	}
}
