package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"heliograph.dev"
)

// Validate tells everything that is wrong, or nil. Each line names the key, where its value came from, what is wrong
// with it and what to do. It looks at no file and at no network.
func (c *Config) Validate() error {
	v := validator{c: c}
	v.listen()
	v.store()
	v.cluster()
	v.identity()
	v.pages()
	v.failIf(!slices.Contains([]string{"v1", "v2"}, v.c.Tokens.Form), "validation_tokens.form", "write v2, or v1 for receivers that know only that")
	v.limits()
	v.tracing()
	v.rest()
	return errors.Join(v.errs...)
}

type validator struct {
	c    *Config
	errs []error
}

func (v *validator) fail(key, format string, args ...any) {
	v.errs = append(v.errs, fmt.Errorf("%s (%s): %w", key, v.c.Origin(key), fmt.Errorf(format, args...)))
}

func (v *validator) failIf(wrong bool, key, text string) {
	if wrong {
		v.fail(key, "%s", text)
	}
}

func (v *validator) listen() {
	l, t := &v.c.Listen, &v.c.TLS
	taken := map[Address]string{}
	for _, one := range []struct {
		key     string
		address Address
	}{{"listen.http", l.HTTP}, {"listen.https", l.HTTPS}, {"listen.operations", l.Operations}} {
		if one.address == "" {
			continue
		}
		_, port, err := net.SplitHostPort(string(one.address))
		n, notNumber := strconv.Atoi(port)
		if err != nil || notNumber != nil || n < 0 || n > 65535 {
			v.fail(one.key, "%q is no address: write host:port, such as 127.0.0.1:8080, or off", one.address)
		} else if other, is := taken[one.address]; is && n != 0 {
			v.fail(one.key, "%s is the address of %s already: give each its own", one.address, other)
		}
		taken[one.address] = one.key
	}
	if l.HTTP == "" && l.HTTPS == "" {
		v.fail("listen.http", "neither http nor https is answered: set listen.http or listen.https")
	}
	switch {
	case (t.Certificate == "") != (t.Key == ""):
		v.fail("tls.certificate", "a certificate and its key belong together: set both tls.certificate and tls.key, or none")
	case t.Certificate != "" && l.HTTPS == "":
		v.fail("tls.certificate", "nothing is answered with it while listen.https is off: set listen.https, such as :8443")
	case t.Certificate == "" && l.HTTPS != "" && v.c.Mode == Serve:
		v.fail("listen.https", "https needs a certificate: set tls.certificate and tls.key, or set it off and let a proxy end TLS")
	case t.Certificate == "" && l.HTTPS != "" && t.LocalCA == "":
		v.fail("tls.local_ca", "there is no home folder to keep a local authority in: set a folder, or set listen.https off")
	}
	if u, err := url.Parse(v.c.PublicURL); v.c.PublicURL != "" &&
		(err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.RawQuery != "" || u.Fragment != "") {
		v.fail("public_url", "%q is no URL of a server: write one such as https://graph.example.org", v.c.PublicURL)
	}
}

func (v *validator) store() {
	s, n := &v.c.Store, &v.c.NATS
	if v.c.Mode == Serve && v.c.Data == "" && n.URL == "" {
		v.fail("data", "serve keeps what it accepts and needs to know where: set data (--data DIR), or nats.url (--nats URL)")
	}
	if n.URL == "" {
		const outside = "this is for an engine outside of this process: set nats.url as well"
		v.failIf(n.Credentials != "", "nats.credentials", outside)
		v.failIf(n.CA != "", "nats.ca", outside)
		v.failIf(n.AcceptLazyFsync, "nats.accept_lazy_fsync", outside)
		v.failIf(s.Replicas > 1 && v.c.Cluster.Name == "", "store.replicas", "more than one copy takes a cluster: set cluster.name, or nats.url")
	}
	for address := range strings.SplitSeq(n.URL, ",") {
		u, err := url.Parse(address)
		switch {
		case n.URL == "":
		case err != nil || u.Host == "" || !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme):
			v.fail("nats.url", "this is no NATS address: write one such as nats://127.0.0.1:4222")
		case u.User != nil:
			v.fail("nats.url", "an address is no place for a password: keep it in a file and name that in nats.credentials")
		}
	}
	v.failIf(n.URL != "" && v.c.StoreKeys() == "", "store.key_file",
		"what is kept in NATS is sealed with keys that outlive this process: name their file (--key-file FILE), the same for each node")
	if !slices.Contains([]int{1, 3, 5}, s.Replicas) {
		v.fail("store.replicas", "%d replicas form no majority that one lost node leaves standing: write 1, 3 or 5", s.Replicas)
	}
	v.atLeast("store.partitions", int64(s.Partitions), 1)
	v.atLeast("store.shards", int64(s.Shards), 1)
	v.failIf(s.Partitions > 256, "store.partitions", "write at most 256")
	v.failIf(s.Shards > 64, "store.shards", "write at most 64")
	v.atLeast("store.max_log_bytes", int64(s.MaxLogBytes), 16<<20)
	v.atLeast("store.min_free_bytes", int64(s.MinFreeBytes), 1)
	if s.Retention < retryWindow {
		v.fail("store.retention", "%s is too short: a change is delivered from the log for up to %s; keep it at least as long",
			shortDuration(s.Retention), shortDuration(retryWindow))
	}
}

// cluster looks at what nodes say to each other, and to whom.
func (v *validator) cluster() {
	c := &v.c.Cluster
	if c.Name == "" {
		const alone = "this is for a node of a cluster: set cluster.name (--cluster NAME) as well"
		v.failIf(c.Advertise != "", "cluster.advertise", alone)
		v.failIf(len(c.Peers) > 0, "cluster.peers", alone)
		v.failIf(c.SecretFile != "", "cluster.secret_file", alone)
		v.failIf(c.Certificate != "", "cluster.certificate", alone)
		v.failIf(c.Node != "" && !isNodeName(c.Node), "cluster.node", "letters, digits, - and _ make the name of a node, 64 at most")
		return
	}
	v.failIf(v.c.Mode == Dev, "cluster.name", "dev is one server on this machine: run heliograph serve")
	v.failIf(v.c.NATS.URL != "", "cluster.name", "an existing NATS is a cluster of its own: set cluster.name or nats.url, not both")
	v.failIf(!isNodeName(c.Name), "cluster.name", "letters, digits, - and _ make the name of a cluster, 64 at most")
	v.failIf(!isNodeName(c.Node), "cluster.node", "letters, digits, - and _ make the name of a node, 64 at most: set it (--node NAME)")
	v.failIf(v.c.Store.KeyFile == "", "store.key_file",
		"the nodes seal what they keep with the same keys: make them once (heliograph keys make FILE), copy them to each node, and name the file (--key-file FILE)")
	v.addresses(c)
	given := 0
	for _, file := range []string{c.Certificate, c.Key, c.CA} {
		if file != "" {
			given++
		}
	}
	v.failIf(given != 0 && given != 3, "cluster.certificate", "nodes that show certificates need all of cluster.certificate, cluster.key and cluster.ca")
	host, _, _ := net.SplitHostPort(string(c.Listen))
	v.failIf(given == 0 && c.SecretFile == "" && !isLoopback(host), "cluster.secret_file",
		"anybody who reaches "+string(c.Listen)+" could join: set cluster.secret_file, or cluster.certificate, cluster.key and cluster.ca, or better all")
}

func (v *validator) addresses(c *Cluster) {
	_, port, err := net.SplitHostPort(string(c.Listen))
	n, notNumber := strconv.Atoi(port)
	v.failIf(err != nil || notNumber != nil || n < 1 || n > 65535, "cluster.listen", "this is no address that others can connect to: write host:port, such as :6222")
	v.failIf(len(c.Addresses()) == 0, "cluster.peers", "a node needs others: name their addresses (--peers host:6222,host:6222)")
	for _, peer := range c.Addresses() {
		if _, _, err := net.SplitHostPort(peer); err != nil {
			v.fail("cluster.peers", "%q is no address of a node: write host:port", peer)
		}
	}
}

// isNodeName reports whether a name can be a node's: it stands in subjects and in the data folder.
func isNodeName(name string) bool {
	return name != "" && len(name) <= 64 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == ""
}

// retryWindow is how long a notification is retried (contract 10.5), and with that how long its change is needed.
const retryWindow = 4 * time.Hour

func (v *validator) identity() {
	i := &v.c.Identity
	if v.c.Mode == Serve {
		if len(i.Issuers) == 0 {
			v.fail("identity.issuers", "serve believes no tokens but those of issuers that it is told: set identity.issuers "+
				"(--issuer URL), or run heliograph dev to try things out")
		}
		const local = "only dev has an issuer of its own that could use this: remove it"
		v.failIf(i.Applications != nil, "identity.applications", local)
		v.failIf(i.Users != nil, "identity.users", local)
	}
	for _, issuer := range i.Issuers {
		u, err := url.Parse(issuer.URL)
		switch {
		case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.Fragment != "":
			v.fail("identity.issuers", "%q is no issuer: write its URL as it stands in the iss of its tokens", issuer.URL)
		case u.Scheme == "http" && !i.AllowHTTP && !isLoopback(u.Hostname()):
			v.fail("identity.issuers", "%s would send its keys over http: use https, or set identity.allow_http", issuer.URL)
		}
	}
	if _, ok := heliograph.ParseGUID(string(i.Tenant)); i.Tenant != "" && !ok {
		v.fail("identity.tenant", "%q is no tenant: write a GUID", i.Tenant)
	}
	known := map[heliograph.AppID]bool{}
	for _, a := range i.Applications {
		if known[a.ID] {
			v.fail("identity.applications", "the application %s stands there twice", a.ID)
		}
		known[a.ID] = true
	}
	for _, u := range i.Users {
		if _, ok := heliograph.ParseGUID(string(u.Tenant)); u.Tenant != "" && !ok {
			v.fail("identity.users", "the tenant of %s is %q: write a GUID", u.UPN, u.Tenant)
		}
	}
}

// PagesIssuer returns where people sign in who look at the pages, or "" when nothing says it.
func (c *Config) PagesIssuer() string {
	if c.Pages.Issuer == "" && len(c.Identity.Issuers) == 1 {
		return c.Identity.Issuers[0].URL
	}
	return c.Pages.Issuer
}

func (v *validator) pages() {
	p := &v.c.Pages
	if p.ClientID == "" {
		v.failIf(!p.ClientSecret.IsZero() || p.Issuer != "", "pages.client_id", "people sign in with an application of yours: set its id, or leave out the rest")
		return
	}
	v.failIf(v.c.Mode == Dev, "pages.client_id", "nobody has to sign in to look at dev's pages: remove it")
	at, err := url.Parse(v.c.PublicURL)
	v.failIf(err != nil || at.Scheme != "https" && !isLoopback(at.Hostname()), "public_url",
		"people sign in only over https, and are sent back to where they came from: set the URL by which browsers know this server")
	switch issuer := v.c.PagesIssuer(); {
	case issuer == "":
		v.fail("pages.issuer", "there are several issuers: name the one at which people sign in")
	case strings.ContainsAny(issuer, "{}"):
		v.fail("pages.issuer", "%s stands for many tenants: name the one whose people sign in", issuer)
	case !slices.ContainsFunc(v.c.Identity.Issuers, func(i Issuer) bool { return issuerCovers(i.URL, issuer) }):
		v.fail("pages.issuer", "the tokens of %s are not believed: add it to identity.issuers", issuer)
	}
	v.failIf(p.Session < time.Minute, "pages.session", "write at least 1m")
}

// issuerCovers reports whether an issuer, or a template for many, is the one named.
func issuerCovers(known, named string) bool {
	before, after, many := strings.Cut(known, "{tenantid}")
	return known == named || many && strings.HasPrefix(named, before) && strings.HasSuffix(named, after)
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

func (v *validator) limits() {
	p, d := &v.c.Publish, &v.c.Delivery
	v.atLeast("publish.max_event_bytes", int64(p.MaxEventBytes), 1<<10)
	v.atLeast("publish.max_batch_events", int64(p.MaxBatchEvents), 1)
	switch {
	case p.MaxRequestBytes > maxRequest:
		v.fail("publish.max_request_bytes", "%s would not fit into one frame of the change log: write at most %s",
			p.MaxRequestBytes, maxRequest)
	case p.MaxRequestBytes < p.MaxEventBytes:
		v.fail("publish.max_request_bytes", "%s is less than one event may have (publish.max_event_bytes, %s)",
			p.MaxRequestBytes, p.MaxEventBytes)
	}
	v.atLeast("objects.max_count", int64(v.c.Objects.MaxCount), 1)
	v.atLeast("objects.max_bytes", int64(v.c.Objects.MaxBytes), 1<<20)
	v.atLeast("delivery.batch_count", int64(d.BatchCount), 1)
	v.atLeast("delivery.batch_bytes", int64(d.BatchBytes), 1<<10)
	v.atLeast("delivery.lane_pending", int64(d.LanePending), int64(d.BatchCount))
	v.atLeast("delivery.lane_flights", int64(d.LaneFlights), 1)
	v.atLeast("delivery.max_in_flight", int64(d.MaxInFlight), 1<<20)
	v.atLeast("delivery.max_unread", int64(d.MaxUnread), int64(p.MaxBatchEvents))
}

// maxRequest leaves what is added to the events of a full request room in a frame, which stays under 1 MB.
const maxRequest Bytes = 900_000

func (v *validator) atLeast(key string, n, least int64) {
	if n < least {
		v.fail(key, "%d is too little: write at least %d", n, least)
	}
}

func (v *validator) tracing() {
	t := &v.c.Tracing
	if u, err := url.Parse(t.Endpoint); t.Endpoint != "" {
		switch {
		case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "":
			v.fail("tracing.endpoint", "this is no URL that spans can be posted to: write one such as http://127.0.0.1:4318/v1/traces, or off")
		case u.User != nil:
			v.fail("tracing.endpoint", "a URL is no place for a password: send it along by OTEL_EXPORTER_OTLP_HEADERS")
		}
	}
	v.failIf(t.SampleRatio < 0 || t.SampleRatio > 1, "tracing.sample_ratio", "write a number from 0 to 1")
	v.failIf(t.Service == "", "tracing.service", "a name is needed: leave it out for the default")
}

func (v *validator) rest() {
	c := v.c
	if c.Mode != Dev && c.Mode != Serve {
		v.errs = append(v.errs, fmt.Errorf("%q is no mode: dev and serve are", c.Mode))
	}
	if c.ShutdownGrace <= 0 {
		v.fail("shutdown_grace", "%s leaves no time to stop: write at least 1s", c.ShutdownGrace)
	}
	if c.Catalog.Profile == "" {
		v.fail("catalog.profile", "a profile is needed: leave it out for the default")
	}
	if !slices.Contains([]string{"auto", "text", "json"}, c.Log.Format) {
		v.fail("log.format", "%q is no format: write auto, text or json", c.Log.Format)
	}
	v.failIf(c.Mode == Serve && len(c.Drives) > 0 && c.Identity.Tenant == "", "drives",
		"a drive belongs to somebody of a tenant: set identity.tenant (--tenant GUID)")
	owner := map[string]string{}
	for _, d := range c.Drives {
		if d.User == "" || d.Dir == "" {
			v.fail("drives", "%q is no drive: write USER=DIR", d)
		} else if other, is := owner[d.User]; is {
			v.fail("drives", "%s has two drives, %s and %s: a user has one", d.User, other, d.Dir)
		}
		owner[d.User] = d.Dir
	}
}
